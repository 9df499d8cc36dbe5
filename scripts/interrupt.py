#!/usr/bin/env python
"""Interrupt programs at random moments, and see that everything they touched is whole: old or new, nothing between.

Each round runs one of several programs with a timer whose signal raises KeyboardInterrupt somewhere in it: while
recording, in a sweep, in a compiled replay, in a hook, in a write. Afterwards gradients must all be those from before
or all be new, written tensors must hold what they held before or after the write with a version that says so, and the
same program must give the right answer on the same tensors.

Run:  python scripts/interrupt.py 1000
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections import Counter

import numpy as np

import tapegrad as tg

N = 50


armed = False


def interrupt(number, frame):
    if armed:
        raise KeyboardInterrupt


def swallowed(report):
    """A hook for what the interpreter has to drop: an interrupt that came in a finalizer is as if it had never come."""

    def hook(unraisable):
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            report(unraisable)

    return hook


def interrupted(seconds, call):
    """Whether a call was interrupted, at that time after its beginning."""
    global armed
    try:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            call()
        finally:
            armed = False
    except KeyboardInterrupt:
        return True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return False


def leaves():
    rng = np.random.default_rng(1)
    return [tg.tensor(rng.standard_normal(n), requires_grad=True) for n in (3, N, 40_000)]


def chain(small, medium, large):
    x = medium
    for _ in range(60):
        x = np.sin(x) * 1.01 + small[0]
    y = large * large.sum() * 1e-3
    return x.sum() + np.tanh(y).sum() + (small * small).sum()


def with_hooks(small, medium, large):
    y = small * 2.0
    y.register_hook(lambda g: g * 1.0)
    z = np.exp(medium * 0.01)
    z.retain_grad()
    z.register_hook(lambda g: None)
    return chain(y, z, large)


class Cube(tg.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3.0 * x * x


def with_function(small, medium, large):
    return chain(Cube.apply(small), medium, large)


def check_backward(build, rng, seconds):
    """Record and sweep; gradients are all there or none, and a second attempt adds what it should."""
    tensors = leaves()
    build(*tensors).backward()
    expected = [t.grad.numpy().copy() for t in tensors]
    for t in tensors:
        t.grad = None
    for _ in range(3):
        before = [None if t.grad is None else t.grad.numpy().copy() for t in tensors]
        happened = interrupted(seconds(rng), lambda: build(*tensors).backward())
        after = [None if t.grad is None else t.grad.numpy().copy() for t in tensors]
        added = [
            (b is None or not np.array_equal(a, b)) if a is not None else False
            for a, b in zip(after, before, strict=True)
        ]
        assert all(added) or not any(added), f"some gradients were added, others not: {added}"
        assert all(added) or happened
    for t in tensors:
        t.grad = None
    build(*tensors).backward()
    for t, e in zip(tensors, expected, strict=True):
        assert np.array_equal(t.grad.numpy(), e), "a gradient is not what it was"
        assert t._version == 0
    return happened


def check_same_graph(rng, seconds):
    """A sweep that was interrupted can be done again over the same graph, unless it was finished."""
    tensors = leaves()
    loss = chain(*tensors)
    value = loss.item()
    chain(*tensors).backward()
    expected = [t.grad.numpy().copy() for t in tensors]
    for t in tensors:
        t.grad = None
    happened = interrupted(seconds(rng), lambda: loss.backward(retain_graph=True))
    for t in tensors:
        t.grad = None
    loss.backward()
    for t, e in zip(tensors, expected, strict=True):
        np.testing.assert_array_equal(t.grad.numpy(), e)
    assert loss.item() == value
    return happened


def check_writes(rng, seconds):
    """Writes happen once or not at all, and versions count them."""
    n = rng.choice([5, 300, 30_000])
    x = tg.tensor(np.arange(float(n)), requires_grad=True)
    y = x * 1.0
    done = 0
    steps = [
        (lambda t: t.mul_(1.5), lambda a: a * 1.5),
        (lambda t: t.__setitem__(slice(1, 3), 7.0), lambda a: np.concatenate([a[:1], [7.0, 7.0], a[3:]])),
        (lambda t: t.add_(t), lambda a: a + a),
        (lambda t: t.__setitem__(np.array([0, 4]), t[1:3] * 2.0), lambda a: _put(a, [0, 4], a[1:3] * 2.0)),
        (lambda t: t[2:].sub_(1.0), lambda a: np.concatenate([a[:2], a[2:] - 1.0])),
        (lambda t: t.sum().item(), lambda a: a),
    ]
    states = [np.arange(float(n))]
    program = [rng.randrange(len(steps)) for _ in range(30)]
    for k in program:
        states.append(steps[k][1](states[-1]))

    def write():
        nonlocal done
        for k in program:
            steps[k][0](y)
            done += 1

    happened = interrupted(seconds(rng), write)
    found = y.detach().numpy().copy()
    reached = [k for k in (done, done + 1) if k < len(states) and np.array_equal(found, states[k])]
    assert reached, (
        f"after {done} of {len(program)} writes, the last {program[done : done + 1]}: {found[:6]} {states[done][:6]}"
    )
    writes = {sum(k != 5 for k in program[:r]) for r in reached}
    assert y._version in writes, f"version {y._version}, and {writes} writes were made"
    y.sum().backward()
    assert np.all(np.isfinite(x.grad.numpy()))
    return happened


def _put(a, places, values):
    a = a.copy()
    a[places] = values
    return a


class Replay:
    """A compiled function, interrupted in recording and in replays."""

    def __init__(self):
        self.kept = tg.compile(tg.value_and_grad(self.loss), native=False)
        self.x = np.linspace(0.0, 1.0, 200_000)
        self.expected = self.kept(self.x)

    @staticmethod
    def loss(x):
        y = x
        for _ in range(12):
            y = np.exp(-y * y) + x
        return np.sum(y)

    def __call__(self, rng, seconds):
        step = self.kept if rng.random() < 0.8 else tg.compile(tg.value_and_grad(self.loss), native=False)
        happened = interrupted(seconds(rng), lambda: step(self.x))
        value, gradient = step(self.x)
        assert value == self.expected[0] and np.array_equal(gradient, self.expected[1]), "another result"
        return happened


def check_functional(rng, seconds):
    """A transformation that ended early leaves nothing traced behind."""
    x = np.linspace(0.0, 1.0, 300)

    def f(x):
        return np.sum(tg.grad(lambda y: np.sum(np.sin(y) * x))(x) ** 2)

    expected = tg.grad(f)(x)
    happened = interrupted(seconds(rng), lambda: [tg.grad(f)(x) for _ in range(5)])
    assert np.array_equal(tg.grad(f)(x), expected)
    assert tg.is_grad_enabled()
    assert isinstance(np.sin(x), np.ndarray)
    return happened


def duration(check):
    """A distribution of moments: over the time that the program takes when nobody interrupts it."""
    began = time.perf_counter()
    check(random.Random(0), lambda rng: 100.0)
    whole = time.perf_counter() - began
    return lambda rng: max(rng.random() * whole * 0.7, 1e-6)


def interrupt_all(count, seed=0, report=None):
    """Rounds that were interrupted, by program; the first state that is not whole raises AssertionError."""
    rng, counts = random.Random(seed), Counter()
    replay = Replay()
    checks = {
        "chain": lambda rng, s: check_backward(chain, rng, s),
        "hooks": lambda rng, s: check_backward(with_hooks, rng, s),
        "function": lambda rng, s: check_backward(with_function, rng, s),
        "same graph": check_same_graph,
        "writes": check_writes,
        "replay": replay,
        "functional": check_functional,
    }
    old = signal.signal(signal.SIGALRM, interrupt)
    report_unraisable = sys.unraisablehook
    sys.unraisablehook = swallowed(report_unraisable)
    try:
        for check in checks.values():
            check(random.Random(0), lambda rng: 100.0)  # make what is made once
        moments = {name: duration(check) for name, check in checks.items()}
        while sum(counts.values()) < count:
            name = rng.choice(list(checks))
            state = rng.getstate()
            try:
                happened = bool(checks[name](rng, moments[name]))
                counts[name] += happened
            except BaseException:
                print(f"program {name!r}, after {dict(counts)}, random state {hash(state)}", file=sys.stderr)
                raise
            if report and happened and sum(counts.values()) % report == 0:
                print(dict(counts), flush=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        sys.unraisablehook = report_unraisable
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=1_000, help="interruptions (default 1,000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(dict(interrupt_all(options.count, options.seed, max(options.count // 10, 1))))


if __name__ == "__main__":
    main()
