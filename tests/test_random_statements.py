"""Random statements of an eager session, with several sweeps and looks between them: each tensor is PyTorch's.

Values, versions, flags and gradients of all tensors are compared, after each statement or at the end. Where a backward
fails, the session ends: PyTorch has accumulated some gradients then, tapegrad none. Left out is where tapegrad is meant
to differ: what `grad` returns is copied (PyTorch's may be expanded, and cannot be written); an operation that reads a
part of the memory it writes is left alone (PyTorch refuses it), and so are views of what begins to require grad
(PyTorch loses gradients) and gradients with respect to views (a write under no_grad changes their history there).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tapegrad as tg

N = 4
BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "sine of product": lambda a, b: (a * b).sin(),
    "maximum": lambda a, b: a.maximum(b),
}
UNARY = {
    "sine": lambda a, b: a.sin(),
    "negative": lambda a, b: -a,
    "square": lambda a, b: a * a,
    "clone": lambda a, b: a.clone(),
    "twice, under no_grad": lambda a, b: a * 2.0,
    "head": lambda a, b: a[:2],
    "tail": lambda a, b: a[1:],
    "all": lambda a, b: a[:],
    "view": lambda a, b: a.view(-1),
    "detach": lambda a, b: a.detach(),
    "data": lambda a, b: a.data,
}
WRITES = {
    "add_": lambda a, b: a.add_(b),
    "mul_": lambda a, b: a.mul_(b),
    "sin_": lambda a, b: a.sin_(),
    "set": lambda a, b: a.__setitem__(slice(0, 1), 2.5),
    "zero_": lambda a, b: a.zero_(),
    "put": lambda a, b: a.__setitem__([0, -1], 1.5),
    "put a sum": lambda a, b: a.__setitem__([-1, 0], (b * 0.5).sum()),
    "clamp_": lambda a, b: a.clamp_(-0.5, 0.5),
    "masked_fill_": lambda a, b: a.masked_fill_(a > 0, 0.25),
}
MAKING = BINARY | UNARY
SWEEPS = ("backward", "backward, retained", "grad", "grad, recorded")
OTHERS = ("leaf", "constant", "drop", "forget gradients", "retain", "print more", *SWEEPS)
KINDS = (*MAKING, *MAKING, *WRITES, *[f"{name}, under no_grad" for name in WRITES], *OTHERS, *SWEEPS)
STATEMENT = st.tuples(st.sampled_from(KINDS), st.integers(0, 30), st.integers(0, 30))


class Session:
    """The same statements in one library."""

    def __init__(self, lib):
        self.lib, self.rng = lib, np.random.default_rng(3)
        self.pool = [self.leaf(True), self.leaf(True), self.leaf(False)]

    def leaf(self, requires_grad):
        return self.lib.tensor(self.rng.uniform(-1, 1, N), requires_grad=requires_grad)

    def do(self, kind, i, j):
        """Run a statement; returns the error's kind if there is one. Each that may make a tensor makes one."""
        lib, pool = self.lib, self.pool
        a, b = pool[-1 - i % len(pool)], pool[-1 - j % len(pool)]
        name, _, quietly = kind.partition(", under ")
        made = None
        try:
            with lib.set_grad_enabled(not quietly):
                if kind in MAKING:
                    made = MAKING[kind](a, b)
                elif name in WRITES:
                    if lib is not tg:
                        _ = a.grad_fn  # else PyTorch takes a view for a leaf whose base has begun to require grad
                    WRITES[name](a, b)
                elif name.startswith("backward"):
                    a.sum().backward(retain_graph="retained" in kind)
                elif kind.startswith("grad"):
                    made = self.gradient(a, pool[j % 2], "recorded" in kind)
                elif kind in ("leaf", "constant"):
                    made = self.leaf(kind == "leaf")
                elif kind == "drop":
                    pool[-1 - i % len(pool)] = self.leaf(False)
                elif kind == "forget gradients":
                    for t in pool[:2]:
                        t.grad = None
                elif kind == "retain":
                    a.retain_grad()
                else:
                    str(a * 3)
        except RuntimeError as error:
            made = self.leaf(False) if kind in MAKING else None
            return str(error)[:30]
        finally:
            if made is not None:
                pool.append(made)

    def gradient(self, a, b, recorded):
        (found,) = self.lib.autograd.grad(a.sum(), [b], retain_graph=True, create_graph=recorded, allow_unused=True)
        return self.leaf(False) if found is None else found.clone()

    def facts(self, first):
        """Of each tensor, one of them first: shape, flags, version, values and gradient."""
        k = first % len(self.pool)
        return [self.facts_of(t) for t in (*self.pool[k:], *self.pool[:k])]

    @staticmethod
    def facts_of(t):
        grad = t.grad if t.is_leaf or t.retains_grad else None
        arrays = [np.array(x.tolist()) for x in (t, grad) if x is not None]  # read as they are, by no detach
        return (tuple(t.shape), bool(t.requires_grad), bool(t.is_leaf), t._version, len(arrays)), arrays


def overlaps(session, kind, i, j):
    """Whether a statement writes to a part of memory what stands in another part of it."""
    pool = session.pool
    a, b = pool[-1 - i % len(pool)], pool[-1 - j % len(pool)]
    return kind.startswith(("add_", "mul_")) and a is not b and np.shares_memory(a.detach().numpy(), b.detach().numpy())


def check(torch, statements, first, always):
    theirs, ours = Session(torch), Session(tg)
    for kind, i, j in statements:
        if overlaps(theirs, kind, i, j):
            continue
        failed, found = theirs.do(kind, i, j), ours.do(kind, i, j)
        assert (found is None) == (failed is None), (kind, found, failed)
        if failed and kind in SWEEPS:
            return
        if always:
            compare(theirs, ours, first)
    compare(theirs, ours, first)


def compare(theirs, ours, first):
    for (p, a), (q, b) in zip(theirs.facts(first), ours.facts(first), strict=True):
        assert q == p
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(y, x, rtol=1e-9, atol=1e-12)


STALE_ALIAS = [("add", 0, 2), ("detach", 0, 0), ("backward", 1, 0), ("add_, under no_grad", 0, 2)]
STALE_DATA = [("add", 0, 2), ("backward", 0, 0), ("data", 0, 0), ("detach", 1, 0), ("sin_, under no_grad", 2, 0)]


@pytest.mark.parametrize("deferred", [True, False], ids=["deferred", "immediate"])
@pytest.mark.parametrize("always", [True, False], ids=["each time", "at the end"])
def test_random_statements(deferred, always):
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    before = tg.set_deferral(deferred)

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.lists(STATEMENT, min_size=4, max_size=25), st.integers(0, 30))
    @example(STALE_ALIAS, 3)
    @example(STALE_DATA, 4)
    def every(statements, first):
        check(torch, statements, first, always)

    try:
        every()
    finally:
        tg.set_deferral(before)
