"""Every primitive over a batch, tested from its record: each choice of operands against a stack of single examples."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from records import differentiable, domains, orders, precise, sample_cases, smooth_cases

import tapegrad as tg
from tapegrad.primitives import batching
from tapegrad.primitives.core import RECORDS, Elementwise
from tapegrad.primitives.domain import Integers
from tapegrad.tape.handle import Tensor
from tapegrad.values import value_of

ALL = sorted(RECORDS)
SIZE = 3
PARTNERS = {"copy_slices"}  # it works beside other rows only: see test_batching.py
each = pytest.mark.parametrize("name", [n for n in ALL if n not in PARTNERS])


def variants(case, k):
    """Operand k for each of several examples: near the case's own, so that it stays where the record is smooth."""
    x = case.operands[k]
    if x.dtype.kind in "fc":
        with np.errstate(invalid="ignore"):  # infinities times a complex number
            return np.stack([x, x * x.dtype.type(1.01), x * x.dtype.type(0.98)])
    domain = domains(case.record)[k] if isinstance(case.record, Elementwise) else None
    if isinstance(domain, Integers) or x.dtype.kind == "b" or x.ndim != 1 or case.record.name == "csr_matmul":
        return np.stack([x, x, x])
    return np.stack([x, x[::-1], x])  # places, in another order


def cases(record):
    """Samples, and for elementwise records operands of unequal numbers of axes."""
    yield from sample_cases(record)
    if isinstance(record, Elementwise) and record.probes is not None:
        yield from itertools.islice(smooth_cases(record), 1, None)


def choices(case):
    """Which operands are batched: each alone, all together, and pairs of three and more."""
    count = len(case.operands)
    for size in {1, 2, count} & set(range(1, count + 1)):
        yield from itertools.combinations(range(count), size)


def stacks(case, chosen):
    return [variants(case, k) if k in chosen else x for k, x in enumerate(case.operands)]


def examples(given, chosen):
    for i in range(SIZE):
        yield [x[i] if k in chosen else x for k, x in enumerate(given)]


def plain(y):
    return np.array(value_of(y)) if isinstance(y, Tensor) else y


def applied(case):
    """The record as a function of its operands."""
    return lambda *xs: case.on(xs)


def over_a_batch(case, chosen):
    """The record mapped over the chosen operands."""
    return tg.vmap(applied(case), in_dims=tuple(0 if k in chosen else None for k in range(len(case.operands))))


def weighted_sum(function, weights):
    """A real number that depends on every element of a result, and on both parts of a complex one."""

    def total(*xs):
        y = function(*xs) * weights
        return np.sum(y.real) + 0.7 * np.sum(y.imag) if y.dtype.kind == "c" else np.sum(y)

    return total


@each
def test_values_are_those_of_each_example(name):
    for case in cases(RECORDS[name]):
        for chosen in choices(case):
            given, label = stacks(case, chosen), f"{case}, batched {chosen}"
            with np.errstate(all="ignore"):
                found = plain(over_a_batch(case, chosen)(*given))
                expected = np.stack([plain(case.on(one)) for one in examples(given, chosen)])
            assert found.shape == expected.shape and found.dtype == expected.dtype, label
            if expected.dtype.kind not in "fc":
                np.testing.assert_array_equal(found, expected, err_msg=label)
                continue
            eps = np.finfo(expected.dtype).eps
            scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
            np.testing.assert_allclose(found, expected, rtol=64 * eps, atol=16 * eps * scale, err_msg=label)


@pytest.mark.parametrize("name", [n for n in ALL if differentiable(RECORDS[n]) and n not in PARTNERS])
def test_gradients_pass_through(name):
    """The gradient of a batch is that of its examples: for what is the same for all, their sum."""
    for case in cases(RECORDS[name]):
        if not case.moving or not precise(case) or orders(case) < 1:
            continue
        for chosen in choices(case):
            given = stacks(case, chosen)
            mapped = over_a_batch(case, chosen)
            with np.errstate(all="ignore"):
                weights = np.random.default_rng(len(chosen)).uniform(0.5, 1.5, mapped(*given).shape)
                found = tg.grad(weighted_sum(mapped, weights), argnums=case.moving)(*given)
                parts = [
                    tg.grad(weighted_sum(applied(case), w), argnums=case.moving)(*one)
                    for w, one in zip(weights, examples(given, chosen), strict=True)
                ]
            for k, bar, own in zip(case.moving, found, zip(*parts, strict=True), strict=True):
                expected = np.stack(own) if k in chosen else np.sum(own, axis=0)
                scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=1.0)
                label = f"{case}, batched {chosen}, operand {k}"
                np.testing.assert_allclose(bar, expected, rtol=1e-9, atol=1e-11 * scale, err_msg=label)


ONE_BY_ONE = {
    "external": "calls a function of the user's",
    "recursion": "where the coefficients differ",
    "searchsorted": "where the sorted arrays differ",
    "ufunc_method": "its options name axes in many ways",
    "csr_matmul": "where the matrices differ",
    "nll_loss": "where the classes' weights differ",
    "nll_loss_spread": "where the classes' weights differ",
}


def test_few_rows_are_done_one_by_one(monkeypatch):
    """A record needs a batching rule, or a reason here why it has none."""
    met = set()
    plain_rule = batching.one_by_one

    def noted(row):
        met.add(row.primitive.name)
        return plain_rule(row)

    for module in [m for name, m in sys.modules.items() if name.startswith("tapegrad.primitives")]:
        if getattr(module, "one_by_one", None) is plain_rule:
            monkeypatch.setattr(module, "one_by_one", noted)
    for name in ALL:
        if name in PARTNERS:
            continue
        for case in sample_cases(RECORDS[name]):
            for chosen in choices(case):
                with np.errstate(all="ignore"):
                    over_a_batch(case, chosen)(*stacks(case, chosen))
    assert met == set(ONE_BY_ONE)
