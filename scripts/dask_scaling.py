#!/usr/bin/env python
"""What sums on a cluster cost: a partition, and the same sum on 1, 2 and 4 workers; from that, on paper, on 1,000.

Measure on a quiet machine; it takes some three minutes.

Run:  python scripts/dask_scaling.py            # print
      python scripts/dask_scaling.py --update   # and renew the tables of docs/guides/dask.md
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np
from dask_check import cluster, data, loss

import tapegrad as tg
import tapegrad.dask as td
from tapegrad.cli.info import collect

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("TAPEGRAD", "OMP", "OPENBLAS", "MKL")}
PAGE = Path(__file__).parents[1] / "docs" / "guides" / "dask.md"
BEGIN, END = "<!-- scaling: begin -->", "<!-- scaling: end -->"
ROWS, COLUMNS, PARTS = 2_000_000, 20, 16
WORKERS = (1, 2, 4)
ON_PAPER = (4, 32, 100, 1000)
WIDTH = 8
"""Parts that a node of the tree adds."""


@dataclass
class Cost:
    """Seconds of a call: as they pass, and of processors in client and scheduler, and in all workers together."""

    wall: float
    here: float
    workers: float


def spent(client) -> tuple[float, float, float]:
    """The clock, and processor time so far: client and scheduler run in this process."""
    return time.perf_counter(), time.process_time(), sum(client.run(time.process_time).values())


def cost_of(client, call, repeats: int = 5) -> Cost:
    """Medians of several calls."""
    samples = []
    for _ in range(repeats):
        before = spent(client)
        call()
        samples.append([after - then for after, then in zip(spent(client), before, strict=True)])
    return Cost(*(statistics.median(column) for column in zip(*samples, strict=True)))


def measure_partition() -> Cost:
    """What one partition costs: the difference between many tiny ones and few."""
    few, many = 50, 400
    with cluster(4) as client:
        found = {}
        for parts in (few, many):
            x, y = dask.persist(*data(parts * 10, 3, parts))
            f, w = td.value_and_grad(loss, client=client), np.zeros(3)
            f(w, x, y)
            found[parts] = cost_of(client, lambda f=f, w=w, x=x, y=y: f(w, x, y))
    a, b = found[few], found[many]
    return Cost(*((q - p) / (many - few) for p, q in zip(vars(a).values(), vars(b).values(), strict=True)))


def measure_alone() -> Cost:
    """The whole sum in this process."""
    x, y = dask.compute(*data(ROWS, COLUMNS, PARTS), scheduler="threads")
    step, w = tg.compile(tg.value_and_grad(loss)), np.zeros(COLUMNS)
    step(w, x, y)
    step.optimize()
    samples = []
    for _ in range(7):
        wall, here = time.perf_counter(), time.process_time()
        step(w, x, y)
        samples.append((time.perf_counter() - wall, time.process_time() - here))
    walls, heres = zip(*samples, strict=True)
    return Cost(statistics.median(walls), statistics.median(heres), 0.0)


def measure_workers(count: int) -> Cost:
    """The same on so many workers, the data with them."""
    with cluster(count, "4GB") as client:
        x, y = dask.persist(*data(ROWS, COLUMNS, PARTS))
        f, w = td.value_and_grad(loss, client=client), np.zeros(COLUMNS)
        for _ in range(4):  # the fourth call finds machine code
            f(w, x, y)
        time.sleep(2.0)
        return cost_of(client, lambda: f(w, x, y))


def report(partition: Cost, alone: Cost, found: dict[int, Cost]) -> str:
    """The part of the page."""
    processor, versions = collect()["processor"], collect()["versions"]
    lines = [
        f"Measured by `scripts/dask_scaling.py` on {processor['cores']} cores ({processor['name']}, Python "
        f"{versions['python']}, tapegrad {versions['tapegrad']}), medians of five calls, one thread a process; load at "
        f"the end {os.getloadavg()[0]:.1f}. A partition of ten rows costs, by the difference between 400 and 50 of "
        f"them, **{partition.here * 1e3:.1f} ms of processor time in client and scheduler**, one after the other, and "
        f"**{partition.workers * 1e3:.1f} ms in the workers**. Both are Dask's: a task for the partition, an eighth of "
        f"one for the tree.",
        "",
        f"A sum over {ROWS:,} rows of {COLUMNS} columns in {PARTS} partitions:",
        "",
        "| workers | a call | times as fast | processor time in client and scheduler | in all workers together |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| none: `tg.compile` in one process | {alone.wall * 1e3:.0f} ms | 1 | {alone.here * 1e3:.0f} ms | |",
    ]
    for count, cost in found.items():
        lines.append(
            f"| {count} | {cost.wall * 1e3:.0f} ms | {alone.wall / cost.wall:.2f} | {cost.here * 1e3:.0f} ms | "
            f"{cost.workers * 1e3:.0f} ms |"
        )
    lines += [
        "",
        "On paper, with the constant of client and scheduler, a sum over one partition a worker, with partitions that "
        "take a worker one second or ten:",
        "",
        "| workers | client and scheduler | levels of the tree | efficiency at 1 s a partition | at 10 s |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for count in ON_PAPER:
        beside = count * partition.here
        shares = " | ".join(f"{seconds / (seconds + beside):.0%}" for seconds in (1.0, 10.0))
        lines.append(f"| {count:,} | {beside:.2g} s | {math.ceil(math.log(count, WIDTH))} | {shares} |")
    return "\n".join(lines)


def update(text: str) -> None:
    """Put the tables into the page."""
    page = PAGE.read_text(encoding="utf-8")
    made, count = re.subn(f"(?s){BEGIN}.*{END}", lambda _: f"{BEGIN}\n{text}\n{END}", page)
    if count != 1:
        raise SystemExit(f"dask_scaling: {PAGE} has no place between {BEGIN} and {END}")
    PAGE.write_text(made, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="renew the tables of docs/guides/dask.md")
    options = parser.parse_args()
    if not ONE_THREAD.items() <= os.environ.items():  # libraries look when they are imported, and workers inherit it
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    text = report(measure_partition(), measure_alone(), {count: measure_workers(count) for count in WORKERS})
    print(text)
    if options.update:
        update(text)


if __name__ == "__main__":
    main()
