"""Every primitive over a batch, tested from its record: each choice of operands against a stack of single examples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from records import Case, differentiable, domains, precise, sample_cases, smooth_cases

import tapegrad as tg
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


def axes(case, chosen):
    return tuple(0 if k in chosen else None for k in range(len(case.operands)))


def plain(y):
    return np.array(value_of(y)) if isinstance(y, Tensor) else y


@each
def test_values_are_those_of_each_example(name):
    for case in cases(RECORDS[name]):
        for chosen in choices(case):
            given = stacks(case, chosen)
            with np.errstate(all="ignore"):
                found = tg.vmap(lambda *xs: case.on(xs), in_dims=axes(case, chosen))(*given)
                expected = np.stack([plain(case.on(one)) for one in examples(given, chosen)])
            found = plain(found)
            assert found.shape == expected.shape and found.dtype == expected.dtype, f"{case}, batched {chosen}"
            if expected.dtype.kind in "fc":
                eps = np.finfo(expected.dtype).eps
                scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
                np.testing.assert_allclose(
                    found, expected, rtol=64 * eps, atol=16 * eps * scale, err_msg=f"{case}, batched {chosen}"
                )
            else:
                np.testing.assert_array_equal(found, expected, err_msg=f"{case}, batched {chosen}")


@pytest.mark.parametrize("name", [n for n in ALL if differentiable(RECORDS[n]) and n not in PARTNERS])
def test_gradients_pass_through(name):
    """The gradient of a batch is that of its examples: for what is the same for all, their sum."""
    for case in cases(RECORDS[name]):
        if not case.moving or not precise(case) or getattr(case.record, "real_orders", 9) < 1:
            continue
        if any(x.dtype.kind == "c" for x in case.operands) and getattr(case.record, "complex_orders", 9) < 1:
            continue
        for chosen in choices(case):
            given = stacks(case, chosen)
            rng = np.random.default_rng(len(chosen))

            def total(*xs, over=None, case=case):
                y = over(*xs) if over else case.on(xs)
                return np.sum(np.real(y * weights) + (np.imag(y * 0.7) if y.dtype.kind == "c" else 0.0))

            mapped = tg.vmap(lambda *xs, case=case: case.on(xs), in_dims=axes(case, chosen))
            shape = mapped(*given).shape
            all_weights = rng.uniform(0.5, 1.5, shape)
            weights = all_weights
            with np.errstate(all="ignore"):
                found = tg.grad(lambda *xs, f=mapped: total(*xs, over=f), argnums=case.moving)(*given)
                parts = []
                for i, one in enumerate(examples(given, chosen)):
                    weights = all_weights[i]
                    parts.append(tg.grad(total, argnums=case.moving)(*one))
            for j, k in enumerate(case.moving):
                own = np.stack([p[j] for p in parts])
                expected = own if k in chosen else own.sum(0)
                scale = np.max(np.abs(own[np.isfinite(own)]), initial=1.0)
                np.testing.assert_allclose(
                    found[j], expected, rtol=1e-9, atol=1e-11 * scale, err_msg=f"{case}, batched {chosen}, operand {k}"
                )
