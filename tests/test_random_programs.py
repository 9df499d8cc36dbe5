"""Random programs give the same values, gradients and errors deferred, immediate, compiled, and in PyTorch."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter

import numpy as np
import pytest
from fences import fenced
from hypothesis import HealthCheck, Phase, assume, given, settings
from programs import Outcome, Program, as_function, programs, run_tapegrad, run_torch

import tapegrad as tg

EXPLORE = bool(os.environ.get("TAPEGRAD_EXPLORE"))  # other programs each time, rather than the same ones
CALM = settings(
    deadline=None,
    derandomize=not EXPLORE,
    database=None,
    print_blob=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.large_base_example,
    ],
)
FAST, SLOW = settings(CALM, max_examples=150), settings(CALM, max_examples=2000)
COMPARED, COMPARED_SLOW = 500, 5000  # with PyTorch
FAST_COMPILED, SLOW_COMPILED = settings(CALM, max_examples=60), settings(CALM, max_examples=1000)

WRITE = re.compile(r"\] = |[-+*]= |\w_\(")
VIEW = re.compile(r"= x\d+\[|transpose|swapaxes|reshape|diagonal|squeeze|expand_dims|broadcast_to|detach\(\)$|flip")
VIEW_OF_VIEW = re.compile(r"\]\[[^]]*\] [-+*]= ")
LEAF = "a leaf Variable that requires grad"
STALE = "modified by an inplace operation"
SECOND_TIME = "Trying to backward through the graph a second time"


def assert_close(program: Program, what, ours, theirs, exact=False):
    """Arrays by name, equal bit for bit or to rounding."""
    assert ours.keys() == theirs.keys(), f"{program}\n{what}: {sorted(ours)} and {sorted(theirs)}"
    single = program.dtype == "float32" or any("float32" in s.numpy for s in program.statements)
    for name, mine in ours.items():
        its = theirs[name]
        context = f"{program}\n{what} of {name}:\n{mine}\nand\n{its}"
        assert (mine is None) == (its is None), context
        if mine is None:
            continue
        assert mine.shape == its.shape and mine.dtype == its.dtype, context
        if exact:
            assert np.array_equal(mine, its, equal_nan=True), context
            continue
        scale = np.max(np.abs(its), initial=1.0)
        rtol, atol = (2e-3, scale * 1e-4) if single else (1e-8, scale * 1e-10)
        assert np.allclose(mine, its, rtol=rtol, atol=atol, equal_nan=True), context


def tame(outcome: Outcome, program: Program):
    """Leave out programs whose numbers grow until rounding is all that is compared."""
    limit = 1e3 if program.dtype == "float32" else 1e6
    arrays = [*outcome.values.values(), *(g for g in outcome.gradients.values() if g is not None)]
    assume(all(np.all(np.abs(x) < limit) for x in arrays))


def assert_same_errors(program, ours, theirs, who):
    assert ours.errors == theirs.errors, (
        f"{program}\ntapegrad:\n"
        + "\n".join(ours.messages or ["no error"])
        + f"\n{who}:\n"
        + "\n".join(theirs.messages or ["no error"])
    )


def check_deferral(program):
    ours, immediate = run_tapegrad(program), run_tapegrad(program, deferred=False)
    assert_same_errors(program, ours, immediate, "immediate")
    assert_close(program, "value deferred and immediate", ours.values, immediate.values, exact=True)
    assert_close(program, "gradient deferred and immediate", ours.gradients, immediate.gradients, exact=True)
    assert ours.flags == immediate.flags, program
    assert ours.versions == immediate.versions, program


def comparable_errors(program, ours, theirs):
    """PyTorch's errors, with ours where it frees a graph and tapegrad does not, or takes a view for a leaf.

    Its CopySlices cannot be swept twice, though it saves no value; and a sweep that fails has freed what it visited
    until then, while ours leaves everything as it was. ``x[...][0:1] += v`` writes twice; at the second write PyTorch
    refuses ``x[...]``, if x had no history before the first, unless somebody asked for its `grad_fn` in between.
    """
    lenient = any(WRITE.search(s.torch) for s in program.statements)
    errors, failed, texts = [], False, [*[s.torch for s in program.statements], "loss", "backward"]
    for text, its, mine in zip(texts, theirs.errors, ours.errors, strict=True):
        freed = its == SECOND_TIME and (failed or (lenient and mine in (None, STALE)))
        taken = its == LEAF and mine is None and VIEW_OF_VIEW.search(text)
        errors.append(mine if freed or taken else its)
        failed = failed or its in (STALE, SECOND_TIME)
    return errors


def check_pytorch(program):
    """Compare a program with PyTorch; says what was compared."""
    theirs = run_torch(program)
    tame(theirs, program)
    ours = run_tapegrad(program)
    errors = comparable_errors(program, ours, theirs)
    for k, statement in enumerate(program.statements):
        # PyTorch lacks a variable that tapegrad has, or has written once where it writes twice
        if errors[k] != theirs.errors[k] and (statement.made or theirs.errors[k] == LEAF):
            ours.errors, theirs.errors = ours.errors[:k], theirs.errors[:k]
            assert_same_errors(program, ours, theirs, "PyTorch")
            return Counter(all=1, cut_short=1)
    theirs.errors = errors
    assert_same_errors(program, ours, theirs, "PyTorch")
    assert_close(program, "value in tapegrad and PyTorch", ours.values, theirs.values)
    # where a sweep fails, PyTorch has added what it reached until then, tapegrad nothing
    if not any("backward" in message for message in theirs.messages):
        assert_close(program, "gradient in tapegrad and PyTorch", ours.gradients, theirs.gradients)
    flags = "requires_grad, is_leaf, retains_grad"
    assert ours.flags == theirs.flags, f"{program}\n({flags}): {ours.flags} and {theirs.flags}"
    assert ours.versions == theirs.versions, f"{program}\n_version: {ours.versions} and {theirs.versions}"
    lines = [line for s in program.statements for line in s.numpy.splitlines()]
    viewed, written = (any(pattern.search(line) for line in lines) for pattern in (VIEW, WRITE))
    moved = any(g is not None and g.any() for g in ours.gradients.values())
    return Counter(all=1, views_and_writes=viewed and written, gradients=moved, stale=STALE in ours.errors)


def compare_with_pytorch(count, **options):
    """Compare so many random programs with PyTorch, and see that they are about something."""
    pytest.importorskip("torch", reason="the differential test needs PyTorch")
    compared = Counter()

    @settings(CALM, max_examples=count)
    @given(programs(**options))
    def compare(program):
        compared.update(check_pytorch(program))

    compare()
    assert compared["all"] >= count, compared
    assert compared["views_and_writes"] >= 0.5 * count and compared["gradients"] >= 0.6 * count, compared
    assert compared["stale"] >= 0.01 * count and compared["cut_short"] <= 0.05 * count, compared


ELEMENT = re.compile(r"\[(-?\d+(, )?)+\]")


def writes_near_numbers(program, outcome):
    """Whether a program writes, and has 0-d values: in a compiled function those are NumPy's numbers, no memory."""
    lines = [line for s in program.statements for line in s.numpy.splitlines()]
    if not any(WRITE.search(line) for line in lines):
        return False
    return any(x.ndim == 0 for n, x in outcome.values.items() if n != "loss") or any(map(ELEMENT.search, lines))


def check_compiled(program, native=False):
    ours = run_tapegrad(program)
    assume(not any(ours.errors) and not writes_near_numbers(program, ours))
    function, argnums = as_function(program)
    with fenced() if native else contextlib.nullcontext():
        step = tg.compile(tg.value_and_grad(function, argnums), native=not native)
        _compare_replays(program, ours, step, argnums, native)


def check_machine_code(program):
    """Compare machine code with eager runs, between fences."""
    check_compiled(program, native=True)


def _compare_replays(program, ours, step, argnums, native):
    for shift in (0, 1000, 0) if native else (0, 0, 1000):
        if native and shift:
            step.optimize()
        eager = ours if shift == 0 else run_tapegrad(program, shift=shift)
        arrays = [leaf.value(program.dtype, shift) for leaf in program.leaves]
        before = [a.copy() for a in arrays]
        value, gradients = step(*arrays)
        for a, b in zip(arrays, before, strict=True):
            assert np.array_equal(a, b), f"{program}\nan argument was changed"
        assert_close(program, "value compiled and eager", {"loss": np.asarray(value)}, {"loss": eager.values["loss"]})
        found = {program.leaves[k].name: np.asarray(g) for k, g in zip(argnums, gradients, strict=True)}
        expected = {}
        for leaf in program.leaves:
            if leaf.requires_grad:
                gradient = eager.gradients[leaf.name]
                expected[leaf.name] = np.zeros(leaf.shape, program.dtype) if gradient is None else gradient
        assert_close(program, "gradient compiled and eager", found, expected)


@FAST
@given(programs())
def test_deferred_and_immediate(program):
    check_deferral(program)


def test_pytorch():
    compare_with_pytorch(COMPARED)


@FAST_COMPILED
@given(programs(static=True))
def test_compiled(program):
    check_compiled(program)


@settings(CALM, max_examples=20)
@given(programs(static=True))
def test_machine_code(program):
    check_machine_code(program)


@pytest.mark.slow
@SLOW
@given(programs(max_statements=20))
def test_deferred_and_immediate_many(program):
    check_deferral(program)


@pytest.mark.slow
def test_pytorch_many():
    compare_with_pytorch(COMPARED_SLOW, max_statements=20)


@pytest.mark.slow
@SLOW_COMPILED
@given(programs(max_statements=20, static=True))
def test_compiled_many(program):
    check_compiled(program)
