#!/usr/bin/env python
"""Run random programs several ways and compare: deferred and at once, compiled and eager, in tapegrad and in PyTorch.

The programs and the comparisons are those of the tests (`tests/programs.py`, `tests/test_random_programs.py`), drawn
from other seeds. A difference is printed, as the smallest program that hypothesis finds, and the next batch goes on.

Run:  python scripts/fuzz_programs.py 100000
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import hypothesis
from hypothesis import Phase, given, settings

TESTS = Path(__file__).resolve().parent.parent / "tests"
BATCH = 500


def kinds():
    """What is compared, by name: the comparison, what it is told of programs, and its share of them."""
    sys.path.insert(0, str(TESTS))
    import programs
    import test_random_programs as tests

    found = {
        "deferred": (tests.check_deferral, {"max_statements": 20}, 0.4),
        "compiled": (tests.check_compiled, {"max_statements": 20, "static": True}, 0.15),
        "machine code": (tests.check_machine_code, {"max_statements": 20, "static": True}, 0.05),
    }
    if programs.torch is not None:
        found["pytorch"] = (tests.check_pytorch, {"max_statements": 20}, 0.4)
    return found, programs.programs, tests.CALM


def run_batch(check, drawn, calm, count, seed):
    """Compare so many programs; returns how many were run, and what failed."""
    ran = 0

    @hypothesis.seed(seed)
    @settings(calm, max_examples=count, derandomize=False, phases=[Phase.generate, Phase.shrink])
    @given(drawn)
    def compare(program):
        nonlocal ran
        check(program)
        ran += 1

    try:
        compare()
    except Exception:
        return ran, traceback.format_exc()
    return ran, None


def fuzz(count, seed=0, only=None, report=print):
    """Programs compared and batches with a difference, by kind."""
    found, programs, calm = kinds()
    chosen = {name: kind for name, kind in found.items() if only in (None, name)}
    whole = sum(share for *_, share in chosen.values())
    counts = Counter()
    for name, (check, options, share) in chosen.items():
        wanted, began, batch = count * share / whole, time.monotonic(), 0
        while counts[name] < wanted:
            size = int(min(BATCH, wanted - counts[name]) + 1)
            ran, failure = run_batch(check, programs(**options), calm, size, seed + batch)
            batch += 1
            counts[name] += ran
            if failure:
                counts[f"{name}: different"] += 1
                report(f"{name}, batch of seed {seed + batch - 1}:\n{failure}")
            if batch % 10 == 0:
                report(f"{name}: {counts[name]} programs in {time.monotonic() - began:.0f} s")
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=2_000, help="programs to compare (default 2,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("deferred", "compiled", "machine code", "pytorch"))
    options = parser.parse_args()
    counts = fuzz(options.count, options.seed, options.only, lambda text: print(text, flush=True))
    print(dict(counts))
    sys.exit(any("different" in name for name in counts))


if __name__ == "__main__":
    main()
