"""Reporting: tables in Markdown, from the numbers that a run leaves."""

from __future__ import annotations

import math
import os
import platform
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
OURS, JAX_FORMS = "tapegrad compiled", ("JAX jit", "JAX own form")
COMPILED = ("JAX", "torch.compile", "advect staged", "by hand")
DYNAMIC = ("tapegrad eager", "autograd", "PyTorch")


def human(seconds):
    unit, size = next((u for u in UNITS if seconds >= u[1]), UNITS[-1])
    number = seconds / size
    return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"


def numbers(results):
    """What is kept of a case: medians, first calls, and ratios to the rival, round by round."""
    kept = {}
    for name, entry in results.items():
        rival = results[entry.contender.rival]
        ratio = statistics.median(a / b for a, b in zip(entry.seconds, rival.seconds, strict=False))
        kept[name] = {"median": entry.median, "first": entry.first, "ratio": ratio}
    forms = [kept[name] for name in JAX_FORMS if name in kept]
    if forms:
        kept["JAX"] = min(forms, key=lambda form: form["median"])
    return kept


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def mean_ratio(run, name):
    """Of one contender over all the cases that it ran."""
    return geometric_mean(case[name]["ratio"] for case in run["cases"].values() if name in case)


def mean_text(run, name):
    mean = mean_ratio(run, name)
    return "–" if math.isnan(mean) else f"{mean:.2f}×"


def markdown(rows):
    rule = ["---"] + ["---:"] * (len(rows[0]) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def _times(ratio):
    """A ratio with two digits, or as many as a whole number has."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def cells(case, names):
    return [f"{human(case[n]['median'])} ({_times(case[n]['ratio'])}×)" if n in case else "–" for n in names]


def compiled_table(run):
    rows = [["value and gradient", OURS, *COMPILED]]
    rows += [[name, human(case[OURS]["median"]), *cells(case, COMPILED)] for name, case in run["cases"].items()]
    rows.append(["geometric mean", "", *(mean_text(run, n) for n in COMPILED)])
    return markdown(rows)


def dynamic_table(run):
    rows = [["value and gradient", "tapegrad", *DYNAMIC]]
    recorded = {name: case for name, case in run["cases"].items() if "tapegrad" in case}
    rows += [[name, human(case["tapegrad"]["median"]), *cells(case, DYNAMIC)] for name, case in recorded.items()]
    rows.append(["geometric mean", "", *(mean_text(run, n) for n in DYNAMIC)])
    return markdown(rows)


def first_call_table(run):
    names = ("tapegrad", "autograd", "PyTorch", OURS, *JAX_FORMS, "torch.compile", "advect staged")
    rows = [["first call", "geometric mean", "longest"]]
    for name in names:
        first = {case: found[name]["first"] for case, found in run["cases"].items() if name in found}
        if first:
            longest = max(first, key=first.get)
            rows.append([name, human(geometric_mean(first.values())), f"{human(first[longest])} ({longest})"])
    return markdown(rows)


CAUSES = {
    "ode, large": "each of its 4,000 stages needs what the one before has computed for neighbouring lanes, so that the "
    "interpreter runs them, row by row",
    "det, large": "JAX's form is another one, in which minors are shared; compiled from that form tapegrad takes a "
    "seventeenth of JAX's time",
    "MLP, large": "the matrix products alone take 87 % of tapegrad's time, as long as JAX's whole step; what is beside "
    "them takes it 3 ms, and JAX less than 1",
    "3,000 operators, medium": "cotangents become subnormal numbers, which the processor is slow with and XLA takes "
    "for zeros; for inputs from 1.0 to 1.9, which lead to none, JAX takes 6.4 times as long as tapegrad",
}
"""Why JAX is faster, as it was measured."""


def slower_than_jax(run):
    slow = [name for name, case in run["cases"].items() if "JAX" in case and case["JAX"]["ratio"] < 1.0]
    return [f"{name} ({CAUSES[name]})" if name in CAUSES else name for name in slow]


def processor():
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def versions():
    found = []
    for name in ("numpy", "numba", "autograd", "torch", "jax", "advect"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def machine():
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions()}"


def threads_of(run):
    threads = "one thread" if run["threads"] == 1 else f"{run['threads']} threads"
    return threads + (", processor time" if run["clock"] == "processor" else "")


def merged(runs):
    """One run for each number of threads, of all the cases that were measured in parts, and contenders apart.

    A contender's ratios are those of the run that it was in; of what was measured twice, the first stays.
    """
    found = {}
    for run in runs:
        whole = found.setdefault(run["threads"], run | {"cases": {}})
        for name, case in run["cases"].items():
            whole["cases"][name] = case | whole["cases"].get(name, {})
    for run in found.values():
        run["cases"] = dict(sorted(run["cases"].items(), key=lambda item: in_order(item[0])))
    return list(found.values())


def in_order(name):
    """Where a case stands in tables: problems as they are listed, sizes from tiny to large."""
    from benchmarks.problems import PROBLEMS
    from benchmarks.problems.problem import SIZES

    problem, _, size = name.rpartition(", ")
    return [p.name for p in PROBLEMS].index(problem), SIZES.index(size)


def document(runs):
    """The whole of docs/comparison/benchmarks.md."""
    parts = [
        "# Timings",
        "Made by `python scripts/compare_peers.py --update`; not edited by hand.",
        "The problems are written from their published definitions, in `asv_bench/benchmarks/problems`: those of "
        "ADBench and GradBench, and some that show other kinds of work. All contenders compute value and gradient of "
        "the same inputs in one process; each was checked against JAX in float64 before it was timed. Rounds are "
        "interleaved, a number is the median of the rounds, a ratio the median of the rounds' ratios: above 1 is "
        "slower than tapegrad.",
        "*JAX* is the faster one of `jax.jit` of the plain form and of the form that its users would write "
        "(`lax.scan`, its own convolution); the plain form is left out where it is unrolled for so long that compiling "
        "takes minutes, and `torch.compile` with it. *advect staged* are its staged programs. *By hand* are gradients "
        "written in Numba or NumPy for this one problem. *tapegrad compiled* is timed with its machine code in place "
        "(`Compiled.optimize()`), which is otherwise made in the background: that time is not part of the first call, "
        "which the interpreter runs.",
        f"{runs[0]['machine']}.",
    ]
    for run in runs:
        parts += [f"## Compiled, {threads_of(run)}", compiled_table(run)]
        slow = slower_than_jax(run)
        parts.append(f"Slower than JAX: {'; '.join(slow)}." if slow else "No row is slower than JAX.")
    for run in runs:
        if any("tapegrad" in case for case in run["cases"].values()):
            parts += [f"## Recorded at each call, {threads_of(run)}", dynamic_table(run)]
    parts += [f"## First call, compilation included, {threads_of(runs[0])}", first_call_table(runs[0])]
    return "\n\n".join(parts) + "\n"


README_ROWS = (
    "3,000 operators, small",
    "3,000 functions, small",
    "expression, tiny",
    "expression, small",
    "expression, large",
    "MLP, medium",
    "lstm, medium",
    "gmm, medium",
    "ba, medium",
)


def summary(run):
    """README's block: a few rows, and what all of them come to."""
    columns = ("tapegrad", "autograd", "PyTorch", OURS, "torch.compile", "JAX", "by hand")
    rows = [["value and gradient", *columns]]
    for name in README_ROWS:
        case = run["cases"].get(name)
        if case is not None:
            ours = {"tapegrad": human(case["tapegrad"]["median"]), OURS: human(case[OURS]["median"])}
            rows.append([name, *(ours.get(c) or cells(case, [c])[0] for c in columns)])
    count = len(run["cases"])
    written = ["" if n in ("tapegrad", OURS) else mean_text(run, n) for n in columns]
    rows.append([f"geometric mean of {count}", *written])
    text = (
        f"Time of one call, {threads_of(run)}, medians of interleaved rounds; in brackets the time divided by "
        "tapegrad's (dynamic against dynamic, compiled against compiled; above 1 is slower than tapegrad). All "
        "problems, sizes and peers: [docs/comparison/benchmarks.md](docs/comparison/benchmarks.md)."
    )
    return "\n\n".join([text, markdown(rows), f"{run['machine']}."])
