#!/usr/bin/env python
"""Time the same problems in tapegrad, HIPS autograd, PyTorch, JAX and by hand, side by side.

Every problem is written once, over a NumPy-like namespace (asv_bench/benchmarks/problems), and every contender computes
value and gradient in one process. Rounds are interleaved: each round times every contender once, so that a machine that
slows down slows all of them. Before any timing, all contenders must agree with JAX in float64.

Peers come with `pip install tapegrad[peers]`; JAX is needed, others that are missing are left out.

Run:  python scripts/compare_peers.py --threads 1,2 --update
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "asv_bench"), str(ROOT / "scripts")]
README, DOCUMENT, PICTURE = (
    ROOT / "README.md",
    ROOT / "docs" / "comparison" / "benchmarks.md",
    ROOT / "docs" / "pictures" / "benchmarks.svg",
)
BEGIN, END = "<!-- timings: begin -->", "<!-- timings: end -->"
MEMORY_CASES = ("expression, large", "MLP, medium", "MLP, large", "gmm, large")
NO_FORM = 3  # exit status


def limited(count):
    """Environment of a process with `count` threads: the libraries read these settings when they are loaded."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "TAPEGRAD_NUM_THREADS")
    return os.environ | {
        **{name: str(count) for name in names},
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # the first call is timed as well
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
    }


def in_process(options, count, *more):
    """This script in a process of its own; XLA's pool has a thread for each core that the process may use."""
    command = [sys.executable, __file__, "--in-process", str(count), *more]
    command += ["--rounds", str(options.rounds), "--sample", str(options.sample), "--only", options.only]
    command += ["--sizes", options.sizes, "--without", options.without]
    command += ["--within", str(options.within)] + ["--cpu-time"] * (options.cpu_time and count == 1)
    affinity = None
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[:count]

        def affinity():
            os.sched_setaffinity(0, cores)

    return subprocess.run(command, env=limited(count), preexec_fn=affinity, text=True, stdout=options.stdout)


def available(options):
    from peers.contenders import CONTENDERS

    left_out = options.without.split(",")
    return [c for c in CONTENDERS if find_spec(c.needs) and c.name not in left_out]


def selected(options):
    from benchmarks.problems import PROBLEMS

    sizes = options.sizes.split(",")
    for problem in PROBLEMS:
        for size in problem.sizes:
            if size in sizes and options.only in f"{problem.name}, {size}":
                yield problem.case(size)


def run(options):
    """Time everything with the threads that this process has; writes after each case, so that nothing is lost."""
    if find_spec("torch"):
        import torch

        torch.set_num_threads(options.in_process)
        warnings.filterwarnings("ignore", "dynamo_pgo force disabled")
    from peers.measuring import WrongResult, measure
    from peers.reporting import COMPILED, OURS, human, machine, numbers

    contenders = available(options)
    clock = "processor" if options.cpu_time else "wall"
    found = {"threads": options.in_process, "machine": machine(), "clock": clock, "cases": {}}
    wrong, start = [], time.monotonic()
    for case in selected(options):
        if time.monotonic() - start > 60 * options.within:
            print(f"{case.name} and what follows is left out: {options.within:g} minutes have passed", flush=True)
            break
        try:
            found["cases"][case.name] = kept = numbers(measure(case, contenders, options))
        except WrongResult as error:
            wrong.append(str(error))
            print(error, flush=True)
            continue
        ratios = "  ".join(f"{name} {kept[name]['ratio']:.2f}x" for name in COMPILED if name in kept)
        print(f"{case.name:26} {human(kept[OURS]['median']):>9}  {ratios}", flush=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if wrong:
        raise SystemExit("\n".join(wrong))


def peak_memory(options):
    """MiB that a case adds to the peak of a process that has already run the problem's tiny size."""
    contender = next(c for c in available(options) if c.name == options.peak_memory_of)
    (case,) = selected(options)
    try:
        run_settled(contender.make(case.problem.case("tiny")))
    except LookupError:  # a contender has no form of this problem
        raise SystemExit(NO_FORM) from None
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run_settled(contender.make(case))
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def run_settled(step):
    """Call a few times, and again when all code is there."""
    for _ in range(3):
        step()
    getattr(step, "settle", lambda: None)()
    for _ in range(3):
        step()


def report_memory(options):
    """One process a contender, as a peak never falls."""
    options.stdout = subprocess.PIPE
    for name in MEMORY_CASES:
        print(f"Memory that {name} adds to a process's peak:")
        options.only = name
        for contender in available(options):
            done = in_process(options, 1, "--peak-memory-of", contender.name)
            text = "    has no such form" if done.returncode == NO_FORM else "    failed"
            if done.returncode == 0:
                text = f"{float(done.stdout):8.1f} MiB"
            print(f"   {contender.name:18} {text}", flush=True)


def update(runs):
    from peers.plotting import plot
    from peers.reporting import document, summary

    DOCUMENT.write_text(document(runs), encoding="utf-8")
    PICTURE.write_text(plot(runs[0]), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    block = f"{BEGIN}\n{summary(runs[0])}\n\n![Ratios of all problems](docs/pictures/benchmarks.svg)\n{END}"
    changed, count = re.subn(f"{BEGIN}.*?{END}", lambda _: block, readme, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{README} should have one block between {BEGIN} and {END}, and has {count}")
    README.write_text(changed, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--threads", default="1", metavar="N,M", help="threads of every library: one run each (default 1)"
    )
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--sample", type=float, default=0.03, help="seconds of one sample (default 0.03)")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="cases whose name contains TEXT, such as 'gmm, large'"
    )
    parser.add_argument("--sizes", default="tiny,small,medium,large", help="sizes, separated by commas (default all)")
    parser.add_argument(
        "--within", type=float, default=float("inf"), metavar="MINUTES", help="begin no case later than that"
    )
    parser.add_argument("--without", default="", metavar="NAMES", help="contenders to leave out, such as torch.compile")
    parser.add_argument(
        "--cpu-time", action="store_true", help="with one thread, time of the processor: for a busy machine"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all numbers to a file")
    parser.add_argument(
        "--update", action="store_true", help="write docs/comparison/benchmarks.md, its picture and README's table"
    )
    parser.add_argument(
        "--from-json", type=Path, nargs="+", metavar="PATH", help="report files of --json, put together, instead"
    )
    parser.add_argument("--peak-memory", action="store_true", help="compare peak memory of large cases instead")
    parser.add_argument("--peak-memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--in-process", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.stdout = None
    if options.peak_memory:
        return report_memory(options)
    if options.in_process:
        return peak_memory(options) if options.peak_memory_of else run(options)

    from peers.reporting import document, merged

    runs, wrong = [], False
    if options.from_json:
        runs = merged(run for path in options.from_json for run in json.loads(path.read_text()))
    else:
        for count in map(int, options.threads.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "run.json"
                wrong |= in_process(options, count, "--json", str(path)).returncode != 0
                if not path.exists():
                    raise SystemExit(f"no case's name contains {options.only!r}")
                runs.append(json.loads(path.read_text()))
    print(f"\n{document(runs)}")
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1) + "\n")
    if wrong:
        raise SystemExit("a contender was wrong: nothing is written")
    if options.update:
        update(runs)


if __name__ == "__main__":
    main()
