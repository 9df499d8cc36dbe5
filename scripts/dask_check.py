#!/usr/bin/env python
"""Sums on a cluster of processes here: what killed workers change, and more data than memory holds.

Run:  python scripts/dask_check.py [kills] [rows]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import tapegrad as tg
import tapegrad.dask as td


def loss(w, x, y):
    return np.sum(np.logaddexp(0.0, -y * (x @ w)))


@contextlib.contextmanager
def cluster(workers, memory="1GB"):
    """A client of so many processes with one thread each."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1000, "distributed.worker.daemon": True}),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0", memory_limit=memory) as local,
        Client(local) as client,
    ):
        client.wait_for_workers(workers)
        yield client


def data(rows, columns, parts, seed=0):
    """A logistic regression's data, made on the workers."""
    chunk = -(-rows // parts)
    x = da.random.default_rng(seed).standard_normal((rows, columns), chunks=(chunk, columns))
    return x, da.where(x[:, 0] > 0.3, 1.0, -1.0)


def slowly(block):
    time.sleep(0.02)
    return block


def is_alive(pid):
    """Whether a process runs; one that was killed may wait to be buried by the nanny."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def workers_of(client, count, patience=60.0):
    """The processes of so many workers, once they are there: a nanny starts another for each that dies, as a rule."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with contextlib.suppress(OSError):  # one that has died is asked
            pids = sorted(client.run(os.getpid).values())
            if len(pids) == count and all(map(is_alive, pids)):
                return pids
        time.sleep(0.3)
    return []


def kills(runs=20):
    """A worker is killed during each run; the result is compared with that of one machine."""
    x, y = dask.compute(*data(20_000, 5, 1), scheduler="threads")
    w = np.linspace(-1.0, 1.0, 5)
    value, gradient = tg.value_and_grad(loss)(w, x, y)
    k = same = died = 0
    while k < runs:
        with cluster(4) as client:
            f = td.value_and_grad(loss)
            while k < runs and (pids := workers_of(client, 4)):
                victim = pids[k % 4]
                parts = td.shard(x, 40).map_blocks(slowly), td.shard(y, 40)
                killer = threading.Timer(0.05 + 0.3 * k / runs, os.kill, (victim, signal.SIGKILL))
                killer.start()
                found = f(w, *parts)
                killer.join()
                died += not is_alive(victim)
                same += np.allclose(found[0], value, rtol=1e-12) and np.allclose(found[1], gradient, rtol=1e-10)
                k += 1
                print(f"run {k}: {died} workers died, {same} results the same", flush=True)


def rows(count=10_000_000, columns=20):
    """Data larger than a worker's memory, and than that of all four, made partition by partition as it is used."""
    x, y = data(count, columns, 200)
    with cluster(4, "350MB") as client:
        f, w = td.value_and_grad(loss, straggler=None), np.zeros(columns)
        print(f"{x.nbytes / 1e9:.1f} GB of data in {x.numblocks[0]} partitions; 4 workers of 0.35 GB", flush=True)
        for _ in range(3):
            began = time.perf_counter()
            value, gradient = f(w, x, y)
            took = time.perf_counter() - began
            w -= gradient / count * 4.0
            memory = client.run(lambda dask_worker: dask_worker.monitor.get_process_memory())
            most = max(memory.values()) >> 20
            print(f"loss {value / count:.6f} in {took:.1f} s; workers use {most} MiB at most", flush=True)
        checked, total = np.zeros(columns), 0.0
        for block, labels in zip(x.to_delayed().ravel()[:3], y.to_delayed().ravel()[:3], strict=True):
            a, b = dask.compute(block, labels, scheduler="synchronous")
            v, g = tg.value_and_grad(loss)(w, a, b)
            total, checked = total + v, checked + g
        part = f(w, x[: 3 * x.chunks[0][0]], y[: 3 * x.chunks[0][0]])
        print("three partitions, as on one machine:", np.allclose(part[0], total), np.allclose(part[1], checked))


CHECKS = {"kills": kills, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(CHECKS)}; all, if none is named")
    names = parser.parse_args().checks or list(CHECKS)
    for name in names:
        if name not in CHECKS:
            parser.error(f"there is no check {name!r}, only {', '.join(CHECKS)}")
    for name in names:
        print(f"-- {name}", flush=True)
        CHECKS[name]()


if __name__ == "__main__":
    main()
