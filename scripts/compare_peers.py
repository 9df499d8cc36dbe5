#!/usr/bin/env python
"""Time the same programs in tapegrad, HIPS autograd, PyTorch and JAX, side by side.

Every program is written once, over a NumPy-like namespace, and every contender computes its value and
gradient in this one process. Rounds are interleaved: each round times every contender once, so that a
machine that slows down slows all of them. Times are medians over the rounds; a ratio is the median of
the rounds' ratios. Before any timing, all contenders must agree on the value and the gradient.

Dynamic contenders are compared with `tg.value_and_grad(f)`, compiled ones with `tg.compile` of it.
Peers come with `pip install tapegrad[peers]`; those that are missing are left out.

Run:  python scripts/compare_peers.py --threads 1
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import tapegrad as tg

sys.path.insert(0, str(Path(__file__).parents[1] / "asv_bench"))
from benchmarks.programs import Program, programs

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- timings: begin -->", "<!-- timings: end -->"


# The contenders: each makes, from a program, a function without arguments that returns value and gradients -


def convert(function, parameters):
    return [function(p) for p in parameters] if isinstance(parameters, list) else function(parameters)


def leaves(parameters):
    return parameters if isinstance(parameters, list) else [parameters]


def functional(value_and_grad, program, xp, array=np.asarray):
    function = value_and_grad(program.over(xp))
    parameters, data = convert(array, program.parameters), [array(d) for d in program.data]
    return lambda: function(parameters, *data)


def by_backward(tensor, function, program):
    parameters = convert(lambda p: tensor(p, requires_grad=True), program.parameters)
    data = [tensor(d) for d in program.data]

    def step():
        for leaf in leaves(parameters):
            leaf.grad = None
        value = function(parameters, *data)
        value.backward()
        return value.detach(), convert(lambda p: p.grad, parameters)

    return step


def tapegrad_dynamic(program):
    return functional(tg.value_and_grad, program, np)


def tapegrad_eager(program):
    return by_backward(tg.tensor, program.over(np), program)


def tapegrad_compiled(program):
    return functional(lambda f: tg.compile(tg.value_and_grad(f)), program, np)


def hips_autograd(program):
    import autograd

    return functional(autograd.value_and_grad, program, autograd.numpy)


def torch_namespace():
    import torch

    names = ("exp", "log", "sin", "tanh", "sum")
    return SimpleNamespace(maximum=torch.clamp_min, **{name: getattr(torch, name) for name in names})


def torch_eager(program):
    import torch

    return by_backward(torch.tensor, program.over(torch_namespace()), program)


def torch_compiled(program):
    import torch

    torch._dynamo.reset()
    return by_backward(torch.tensor, torch.compile(program.over(torch_namespace())), program)


def jax_jit(program):
    import jax

    function = functional(lambda f: jax.jit(jax.value_and_grad(f)), program, jax.numpy, jax.numpy.asarray)

    def step():
        value, gradients = function()
        value.block_until_ready()  # outputs of one computation are ready together
        return value, gradients

    return step


@dataclass
class Contender:
    name: str
    make: Callable
    needs: str = "tapegrad"
    rival: str = "tapegrad"  # whose time its own is divided by
    builds_code: bool = False


CONTENDERS = (
    Contender("tapegrad", tapegrad_dynamic),
    Contender("tapegrad eager", tapegrad_eager),
    Contender("autograd", hips_autograd, "autograd"),
    Contender("PyTorch", torch_eager, "torch"),
    Contender("tapegrad compiled", tapegrad_compiled, rival="tapegrad compiled"),
    Contender("torch.compile", torch_compiled, "torch", rival="tapegrad compiled", builds_code=True),
    Contender("JAX jit", jax_jit, "jax", rival="tapegrad compiled", builds_code=True),
)


# Measuring ------------------------------------------------------------------------------------------


@dataclass
class Entry:
    """One contender's run of one program: seconds of the first call, and a call's seconds in each round."""

    contender: Contender
    step: Callable
    first: float
    result: list
    calls: int = 1
    seconds: list[float] = field(default_factory=list)

    def time(self):
        start = time.perf_counter()
        for _ in range(self.calls):
            self.step()
        return (time.perf_counter() - start) / self.calls


def prepare(contender, program):
    start = time.perf_counter()
    step = contender.make(program)
    value, gradients = step()
    first = time.perf_counter() - start
    return Entry(contender, step, first, [np.asarray(a).copy() for a in (value, *leaves(gradients))])


def check(entries, tolerance):
    """All contenders must have the first one's value and gradients."""
    for entry in entries[1:]:
        for ours, theirs in zip(entries[0].result, entry.result, strict=True):
            scale = max(np.abs(ours).max(), 1e-30)
            error = np.abs(theirs - ours).max() / scale
            if not error <= tolerance:
                raise SystemExit(f"{entry.contender.name} disagrees: relative error {error:.1e}, allowed {tolerance}")


def measure(program, contenders, options):
    entries = []
    for contender in contenders:
        if options.skip_slow and program.long and contender.builds_code:
            continue
        try:
            entries.append(prepare(contender, program))
        except Exception as error:  # one that cannot run a program must not keep the others from it
            if contender.needs == "tapegrad":
                raise
            print(f"   {contender.name} is left out: {type(error).__name__}: {str(error).strip().splitlines()[0]}")
        else:
            print(f"   {contender.name}: first call {human(entries[-1].first)}", flush=True)
    check(entries, program.tolerance)
    gc.collect()
    gc.freeze()  # what one contender has made must not slow another's allocations
    for entry in entries:
        entry.time()
        entry.calls = max(1, round(options.sample / max(entry.time(), 1e-9)))
    for turn in range(options.rounds):
        for k in range(len(entries)):
            entry = entries[(turn + k) % len(entries)]
            entry.seconds.append(entry.time())
    return {entry.contender.name: entry for entry in entries}


def peak_memory(program, contender):
    """MiB that the program adds to the peak of a process that has already run it on a smaller input."""
    small = Program(program.name, program.function, program.parameters[:1000])
    contender.make(small)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = contender.make(program)
    for _ in range(3):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def limit_threads(count):
    """Start this script anew with `count` threads: the libraries read these settings when they are loaded.

    The affinity matters too: XLA's own pool has a thread for each core that the process may use.
    """
    wanted = {name: str(count) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    wanted |= {
        "NUMBA_NUM_THREADS": str(count),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # the first call is timed as well
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
    }
    if all(os.environ.get(name) == value for name, value in wanted.items()):
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)


# Reporting ------------------------------------------------------------------------------------------


UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def human(seconds):
    unit, size = next((u for u in UNITS if seconds >= u[1]), UNITS[-1])
    number = seconds / size
    return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"


def ratio(results, entry):
    pairs = zip(entry.seconds, results[entry.contender.rival].seconds, strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


def cell(results, contender):
    entry = results.get(contender.name)
    if entry is None:
        return "–"
    text = human(statistics.median(entry.seconds))
    return text if contender.name == contender.rival else f"{text} ({ratio(results, entry):.2g}×)"


def table(measured, contenders):
    rows = [["value and gradient", *(c.name for c in contenders)], ["---"] + ["---:"] * len(contenders)]
    rows += [[name, *(cell(results, c) for c in contenders)] for name, results in measured.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def first_calls(measured):
    """One line: what the first call takes, for the program on which somebody's takes longest."""
    name, results = max(measured.items(), key=lambda item: max(entry.first for entry in item[1].values()))
    times = ", ".join(f"{entry.contender.name} {human(entry.first)}" for entry in results.values())
    return f"First call, compilation included, of “{name}”: {times}."


def versions(contenders):
    names = dict.fromkeys(["numpy", "numba", *(c.needs for c in contenders if c.needs != "tapegrad")])
    return ", ".join(f"{name} {version(name)}" for name in names)


def report(measured, contenders, options):
    threads = "one thread" if options.threads == 1 else f"{options.threads} threads"
    parts = [
        f"Time of one call, {threads}, median of {options.rounds} interleaved rounds; in brackets the time divided by"
        " tapegrad's (dynamic against dynamic, compiled against compiled; above 1 is slower than tapegrad).",
        table(measured, contenders),
        first_calls(measured),
        f"{platform.machine()}, Python {platform.python_version()}, {versions(contenders)}.",
    ]
    return "\n\n".join(parts)


def update_readme(text):
    readme = README.read_text(encoding="utf-8")
    block = f"{BEGIN}\n{text}\n{END}"
    changed, count = re.subn(f"{BEGIN}.*?{END}", lambda _: block, readme, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{README} should have one block between {BEGIN} and {END}, and has {count}")
    README.write_text(changed, encoding="utf-8")


def as_json(measured, contenders, options):
    return {
        "threads": options.threads,
        "rounds": options.rounds,
        "versions": versions(contenders),
        "programs": {
            program: {
                name: {
                    "median": statistics.median(entry.seconds),
                    "lowest": min(entry.seconds),
                    "highest": max(entry.seconds),
                    "first": entry.first,
                    "rival": entry.contender.rival,
                    "ratio": ratio(results, entry),
                }
                for name, entry in results.items()
            }
            for program, results in measured.items()
        },
    }


def report_memory(contenders):
    """One process a contender, as a peak never falls."""
    for contender in contenders:
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-memory-of", contender.name]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        text = f"{float(run.stdout):8.1f} MiB" if run.returncode == 0 else run.stderr.strip().splitlines()[-1]
        print(f"   {contender.name:18} {text}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of every library (default 1)")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds (default 15)")
    parser.add_argument("--sample", type=float, default=0.05, help="seconds of one sample (default 0.05)")
    parser.add_argument("--only", default="", metavar="TEXT", help="programs whose name contains TEXT")
    parser.add_argument(
        "--skip-slow",
        action="store_true",
        help="leave out JAX (half a minute) and torch.compile (a quarter of an hour) for the chains of 3,000",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers to a file")
    parser.add_argument("--update-readme", action="store_true", help="rewrite the table in README.md")
    parser.add_argument("--peak-memory", action="store_true", help="compare peak memory at n = 1,000,000 instead")
    parser.add_argument("--peak-memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    limit_threads(options.threads)

    contenders = [contender for contender in CONTENDERS if find_spec(contender.needs)]
    if find_spec("torch"):
        import torch

        torch.set_num_threads(options.threads)
        warnings.filterwarnings("ignore", "dynamo_pgo force disabled")
    if options.peak_memory:
        program = next(p for p in programs() if p.name.endswith("1,000,000"))
        if options.peak_memory_of:
            print(peak_memory(program, next(c for c in contenders if c.name == options.peak_memory_of)))
        else:
            print(f"Memory that {program.name} adds to a process's peak:")
            report_memory(contenders)
        return

    for name in sorted({c.needs for c in CONTENDERS} - {c.needs for c in contenders}):
        print(f"{name} is not installed: left out")
    measured = {}
    for program in programs():
        if options.only in program.name:
            print(program.name, flush=True)
            measured[program.name] = measure(program, contenders, options)
    if not measured:
        raise SystemExit(f"no program's name contains {options.only!r}")
    text = report(measured, contenders, options)
    print(f"\n{text}")
    if options.json:
        options.json.write_text(json.dumps(as_json(measured, contenders, options), indent=2) + "\n")
    if options.update_readme:
        update_readme(text)


if __name__ == "__main__":
    main()
