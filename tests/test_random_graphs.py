"""Random graphs with hooks, user's functions, views and writes: every gradient is PyTorch's.

PyTorch calls a hook with None where a function's result has no gradient while another one has; tapegrad does not call
it. In which order the hooks of branches are called that do not lead to one another, is nobody's business. What `grad`
finds of a tensor with a hook depends, in PyTorch, on what else is asked for; so does which hooks of the results of one
call run: these are not asked for.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad.tape.current import rotate
from tapegrad.tape.state import local

N = 4
KINDS = (
    "add", "mul", "tanh", "own", "own pair", "own write", "hook", "scaling hook", "leaf hook", "node hook", "retain",
    "view", "write", "detach", "rotate", "save elsewhere",
)  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 30), st.integers(0, 30)), min_size=3, max_size=25)
ENDS = ("backward", "backward twice", "inputs", "grad", "grad of grad")


def functions(lib):
    class Own(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * 0.5

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x

    class Pair(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            y = (a * b).tanh()
            ctx.save_for_backward(a, b, y)
            return y, a + b

        @staticmethod
        def backward(ctx, g, h):
            a, b, y = ctx.saved_tensors
            inner = g * (1 - y * y)
            return inner * b + h, inner * a + h

    class Write(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            x.mul_(2.0).add_(y)
            ctx.mark_dirty(x)
            rest = (x > 0) * 1.0
            ctx.mark_non_differentiable(rest)
            ctx.set_materialize_grads(False)
            return x, rest

        @staticmethod
        def backward(ctx, g, _):
            return (None, None) if g is None else (g * 2.0, g)

    return Own, Pair, Write


def run(lib, steps, end, is_ours):
    """Values, gradients, and what the hooks saw."""
    own, pair, write = functions(lib)
    rng = np.random.default_rng(7)
    leaves = [lib.tensor(rng.standard_normal(N), requires_grad=True) for _ in range(2)]
    pool, seen, retained, apart = list(leaves), [], [], []
    for number, (kind, i, j) in enumerate(steps):
        x, y = pool[i % len(pool)], pool[j % len(pool)]
        made = None
        if kind == "add":
            made = x + y * 0.5
        elif kind == "mul":
            made = x * y * 0.5
        elif kind == "tanh":
            made = x.tanh()
        elif kind == "own":
            made = own.apply(x)
        elif kind == "own pair":
            made, other = pair.apply(x, y)
            pool.append(other)
            apart += [made, other]
        elif kind == "own write":
            made, other = write.apply(x * 1, y)
            pool.append(other)
        elif kind == "view":
            made = x[:1] + y
        elif kind == "write":
            made = x * 1
            made[j % N :] = y[j % N :] * 2
        elif kind == "detach":
            made = x.detach() * y
        elif kind == "save elsewhere":
            with lib.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
                made = (x * y).tanh()
        elif kind == "rotate" and is_ours:
            rotate(local.state)
        elif kind == "leaf hook":
            leaves[i % 2].register_hook(lambda g: g * 1.2)
        elif x.requires_grad and not x.is_leaf:
            if kind == "hook":
                x.register_hook(lambda g, k=number: None if g is None else seen.append((k, g.detach().numpy().copy())))
            elif kind == "scaling hook":
                x.register_hook(lambda g: None if g is None else g * 0.9)
                apart.append(x)
            elif kind == "node hook":
                x.grad_fn.register_prehook(lambda outs: tuple(None if g is None else g * 1.1 for g in outs))
            elif kind == "retain":
                x.retain_grad()
                retained.append(x)
        if made is not None:
            pool.append(made)
    loss = pool[-1].sum() + (pool[len(pool) // 2] * 0.3).sum() + leaves[0].sum()
    inner = [t for t in pool[2:-1] if t.requires_grad and not t.is_leaf and all(t is not a for a in apart)][-2:]
    given: list = []
    if end == "grad of grad":
        slopes = lib.autograd.grad(loss, [*leaves, *inner], create_graph=True, allow_unused=True)
        loss = sum((g * g).sum() for g in slopes if g is not None) + leaves[0].sum()
    if end == "grad":
        given = lib.autograd.grad(loss, [leaves[1], *inner], retain_graph=True, allow_unused=True)
    if end == "backward twice":
        loss.backward(retain_graph=True)
    if end == "inputs":
        loss.backward(inputs=[leaves[0]], retain_graph=True)
    loss.backward()
    grads = [None if t.grad is None else t.grad.detach().numpy().copy() for t in (*leaves, *retained)]
    grads += [None if g is None else g.detach().numpy().copy() for g in given]
    return [loss.detach().numpy().copy()], grads, [g for _, g in sorted(seen, key=lambda pair: pair[0])]


def check(torch, steps, end):
    found = {}
    for lib in (torch, tg):
        try:
            found[lib] = run(lib, steps, end, lib is tg)
        except RuntimeError as error:
            found[lib] = str(error).split(":")[0]
    theirs, ours = found[torch], found[tg]
    if isinstance(theirs, str) or isinstance(ours, str):
        assert ours == theirs
        return
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) == len(b)
        for p, q in zip(a, b, strict=True):
            assert (p is None) == (q is None)
            if p is not None:
                np.testing.assert_allclose(p, q, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("deferred", [True, False], ids=["deferred", "immediate"])
@pytest.mark.parametrize("end", ENDS)
def test_random_graphs(deferred, end):
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    before = tg.set_deferral(deferred)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(STEPS)
    def every(steps):
        check(torch, steps, end)

    try:
        every()
    finally:
        tg.set_deferral(before)
        torch.set_default_dtype(dtype)
