"""Measuring: every contender is checked, then timed in interleaved rounds."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .contenders import Contender, convert, leaves


class WrongResult(Exception):
    """A contender computes something else than JAX in float64 does."""


@dataclass
class Entry:
    """One contender's run of one case: seconds of the first call, and a call's seconds in each round."""

    contender: Contender
    step: Callable
    first: float
    clock: Callable = time.perf_counter
    calls: int = 1
    seconds: list[float] = field(default_factory=list)

    def time(self):
        start = self.clock()
        for _ in range(self.calls):
            self.step()
        return (self.clock() - start) / self.calls

    def choose_calls(self, sample):
        """So many calls that they take `sample` seconds; the first one may take longer than all others."""
        self.time()
        while (took := self.time()) * self.calls < sample / 2:
            self.calls *= 2
        self.calls = max(1, round(sample / took))

    @property
    def median(self):
        return statistics.median(self.seconds)


def flat(result):
    """Arrays of a result: value and gradients, or what a step returns."""
    return [np.asarray(a) for part in result for a in leaves(part)]


def reference(case):
    """What JAX comes to in float64, uncompiled where code for the plain form would take too long to build."""
    import jax

    from .contenders import Namespace

    wide = np.float64
    parameters = convert(lambda p: jax.numpy.asarray(p, wide), case.parameters)
    data = [jax.numpy.asarray(d, wide if d.dtype.kind == "f" else d.dtype) for d in case.data]
    function = case.over(Namespace(jax.numpy, jax.grad))
    if case.problem.jax is not None:
        function = case.problem.jax
    if not case.problem.is_step:
        function = jax.value_and_grad(function)
    return flat(jax.jit(function)(parameters, *data))


def largest_error(expected, found):
    """Of all arrays, relative to the largest element of each."""
    if len(expected) != len(found):
        return np.inf
    return max(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30) for a, b in zip(expected, found, strict=True))


def prepare(contender, case, expected):
    """An entry that has been checked."""
    start = time.perf_counter()
    step = contender.make(case)
    result = step()
    entry = Entry(contender, step, time.perf_counter() - start)
    slow = contender.rival == "tapegrad" and entry.first > 1.0
    getattr(step, "settle", lambda: None)()
    for found in (flat(result), *([] if slow else [flat(step())])):  # the first call may take another way
        error = largest_error(expected, found)
        if not error <= case.problem.tolerance:
            raise WrongResult(
                f"{contender.name} is wrong on {case.name}: error {error:.1e}, {case.problem.tolerance} allowed"
            )
    return entry


def measure(case, contenders, options):
    """Entries by contender's name."""
    expected = reference(case)
    entries = []
    for contender in contenders:
        if case.unrolled and contender.builds_code:
            continue
        try:
            entries.append(prepare(contender, case, expected))
        except WrongResult:
            raise
        except LookupError:  # it has no such form
            continue
        except Exception as error:  # one that cannot run a program must not keep the others from it
            if contender.needs == "tapegrad":
                raise
            line = (str(error).strip().splitlines() or [""])[0]
            print(f"   {contender.name} is left out: {type(error).__name__}: {line}", flush=True)
    gc.collect()
    gc.freeze()  # what one contender has made must not slow another's allocations
    for entry in (*entries, *entries):  # twice, as what preparing the last one left running counts for the first, too
        if options.cpu_time:
            entry.clock = time.process_time
        if entry.first < 1.0 or entry.contender.rival != "tapegrad":
            entry.choose_calls(options.sample)
    for turn in range(options.rounds):
        for k in range(len(entries)):
            entry = entries[(turn + k) % len(entries)]
            if entry.contender.rival == "tapegrad" and sum(entry.seconds) > 30 * options.sample:
                continue  # slow ones of the dynamic kind are timed less often
            entry.seconds.append(entry.time())
    gc.unfreeze()
    return {entry.contender.name: entry for entry in entries}
