#!/usr/bin/env python
"""Load saved functions that were mutated or truncated: each is refused with a clear error, or runs.

Half of the mutations are random bytes, which the checksum finds. The other half changes the description or the rows and
seals the file with a right checksum, as somebody would who wants to do harm. What loads is run between pages that
nobody may touch (`tests/fences.py`): by the interpreter, and some by machine code of their own, which must agree.

The files are tried in a process of its own. If that dies, its file is counted as a crash, and another process goes on
with the next one. `--only K` tries one file of a seed in this process.

Run:  python scripts/fuzz_saved.py 100000
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import hashlib
import json
import marshal
import multiprocessing
import random
import resource
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import optree

import tapegrad as tg
from tapegrad.compiler.saving import _HEAD, LoadError, dump_bytes, load_bytes
from tapegrad.primitives import scipy_loader
from tapegrad.primitives.core import RECORDS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from fences import fenced, fenced_copy

X = np.array([0.3, -1.2, 2.0])
OUTCOMES = ("refused", "ran", "failed when run", "unclear", "different", "greedy", "broke", "crashed")
WRONG = OUTCOMES[3:]
NATIVE_EVERY = 40
"""Of how many files that lie one gets machine code, if it runs; compiling takes a hundred times as long as the rest."""
LOOK_EVERY = 8
"""After how many files the memory is looked at."""
MOST_BYTES = 1 << 16
"""Of a value in a file."""
GREEDY = 1 << 27
"""Bytes that no file whose values are so small may take."""
MOST_MEMORY = 8 << 30
"""Where the script ends, rather than the machine."""


def branches(x):
    y = np.sort(x)[::-1] * np.array([1.0, 2.0, 3.0]) + x[np.array([2, 0, 1])]
    return np.sum(y * y) if x[0] > 0 else np.sum(np.sin(x[:2]))


def layers(x):
    w = np.linspace(-1, 1, 12).reshape(3, 4)
    hidden = np.tanh(x @ w) + 0.0
    hidden[1:3] *= 2.0
    spread = np.broadcast_to(hidden, (3, 4)) + w
    parts = np.concatenate([spread[:, ::2].T, np.ones((2, 3))])
    return np.sum(np.where(parts > 0.5, parts, np.exp(parts))) + np.max(np.cumsum(hidden))


def images(x):
    import tapegrad.nn.functional as F

    image = np.reshape(np.outer(x, np.arange(12.0)), (1, 1, 6, 6))
    y = F.conv2d(image, np.ones((2, 1, 3, 3)), stride=2, padding=1)
    return np.sum(F.max_pool2d(y, 2)) + np.sum(np.pad(x, 2) ** 2)


class Seed:
    """A saved function to begin with, as bytes and taken apart."""

    def __init__(self, f):
        step = tg.compile(tg.value_and_grad(f))
        step(X)
        step(-X)
        self.data = dump_bytes(step)
        size = _HEAD.unpack_from(self.data)[3]
        header = json.loads(self.data[_HEAD.size : _HEAD.size + size])
        self.header, self.blob = marshal.dumps(header), self.data[_HEAD.size + size :]
        self.places = list(places(header))


def seeds():
    """Saved functions to begin with."""
    return [Seed(f) for f in (branches, layers, images)]


def seal(header, blob):
    text = json.dumps(header).encode()
    return _HEAD.pack(b"TAPEGRAD", 1, 0, len(text), len(blob), hashlib.sha256(text + blob).digest()) + text + blob


def places(x, before=()):
    """The paths to all items of a description."""
    for key in list(x) if isinstance(x, dict) else range(len(x)):
        yield (*before, key)
        if isinstance(x[key], (dict, list)):
            yield from places(x[key], (*before, key))


def some_place(header, seed, rng):
    """An item's container and key; one that is still there after other changes."""
    while True:
        *before, key = rng.choice(seed.places)
        try:
            x = header
            for k in before:
                x = x[k]
            x[key]
        except (LookupError, TypeError):
            continue
        if isinstance(x, (dict, list)):
            return x, key


@functools.cache
def record_names():
    """Of all primitives; SciPy's as well, where it is installed."""
    with contextlib.suppress(ImportError):
        scipy_loader.load()
    return sorted(RECORDS)


def another(value, rng, others):
    """Something else in the place of a value."""
    if rng.random() < 0.3:
        return rng.choice(others)
    if type(value) is int:
        return rng.choice([value + 1, value - 1, -value, value * 8, 0, 1, 2, 1 << rng.randrange(64)])
    if type(value) is str:
        if value in RECORDS and rng.random() < 0.7:
            return rng.choice(record_names())
        names = ["<f8", "<f4", "<i8", "|b1", "<c16", "sum", "view", "place", "gather", "add", "matmul", "00" * 8]
        return rng.choice([value[:-1], value + "0", *names])
    if isinstance(value, list):
        made = list(value)
        rng.shuffle(made)
        return rng.choice([made, made[:-1], [*made, *made[:1]], []])
    if type(value) is bool or value is None:
        return rng.choice([True, False, None, 0])
    return rng.choice([{}, None, 3, value])


def lie(seed, rng):
    """A file with a right checksum and wrong content."""
    header, blob = marshal.loads(seed.header), bytearray(seed.blob)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if rng.random() < 0.25:
            at = rng.randrange(len(blob) // 8) * 8
            word = int.from_bytes(blob[at : at + 8], "little", signed=True)
            new = rng.choice(
                [word + 1, word - 1, word + 8, -word, rng.randrange(20), rng.randrange(-(1 << 62), 1 << 62)]
            )
            blob[at : at + 8] = max(min(new, 2**63 - 1), -(2**63)).to_bytes(8, "little", signed=True)
            continue
        container, key = some_place(header, seed, rng)
        others, other = some_place(header, seed, rng)
        container[key] = another(container[key], rng, [copy.deepcopy(others[other])])
    return seal(header, bytes(blob))


def damage(seed, rng):
    """A file with wrong bytes, or too few."""
    data = seed.data
    if rng.random() < 0.3:
        return data[: rng.randrange(len(data))]
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 4, 64])):
        made[rng.randrange(len(made))] = rng.randrange(256)
    return bytes(made)


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@functools.cache
def arguments():
    """Of all signatures, between fences."""
    return [fenced_copy(x) for x in (X, -X)]


def results(step):
    """What a function gives for the arguments of all its signatures, or None where it fails."""
    found = []
    for x in arguments():
        try:
            found.append(step(x))
        except (LookupError, ArithmeticError, MemoryError, RuntimeError, np.linalg.LinAlgError):
            found.append(None)
    return found


def agree(found, others):
    """Whether machine code gives what the interpreter gave, where neither failed."""
    for a, b in zip(found, others, strict=True):
        if a is None or b is None:
            continue
        for x, y in zip(optree.tree_leaves(a), optree.tree_leaves(b), strict=True):
            scale = np.max(np.abs(x), initial=1.0, where=np.isfinite(x)) if isinstance(x, np.ndarray) else 1.0
            if not np.allclose(x, y, rtol=1e-6, atol=1e-6 * scale, equal_nan=True):
                return False
    return True


def attempt(data, at_end=True, native=False):
    """Load, and run with arguments of all signatures."""
    with fenced(at_end):
        try:
            step = load_bytes(data, most_bytes=MOST_BYTES)
        except LoadError as error:
            return "refused" if str(error).startswith("these bytes cannot be loaded: ") else "unclear"
        found = results(step)
        if native and not agree(found, results(step.optimize())):
            return "different"
    return "failed when run" if None in found else "ran"


@contextlib.contextmanager
def limited_memory():
    """No more memory than `MOST_MEMORY`, as long as it lasts: what is asked for beyond is a `MemoryError`."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def file_of(k, seed, files):
    """File `k` of a seed."""
    rng = random.Random(f"{seed}, {k}")
    return (lie if k % 2 else damage)(rng.choice(files), rng)


def try_files(first, count, seed, report, at, tried):
    """Try files from `first` on; `at` and `tried` keep what a process that dies has come to."""
    files, peak = seeds(), peak_memory()
    with limited_memory(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(first, count):
            at.value = k
            try:
                outcome = attempt(file_of(k, seed, files), k % 4 > 1, k % 2 == 1 and k // 2 % NATIVE_EVERY == 0)
            except Exception:  # whatever it is, it is a mistake of ours
                traceback.print_exc()
                outcome = "broke"
            tried[OUTCOMES.index(outcome)] += 1
            if outcome in WRONG:
                print(f"file {k} of seed {seed}: {outcome}", flush=True)
            if k % LOOK_EVERY == 0:
                before, peak = peak, peak_memory()
                if peak - before > GREEDY:
                    tried[OUTCOMES.index("greedy")] += 1
                    print(f"a file up to {k} of seed {seed} took {(peak - before) >> 20} MiB", flush=True)
            if report and k % report == report - 1:
                said = {name: n for name, n in zip(OUTCOMES, tried, strict=True) if n}
                print(k + 1, said, f"{peak >> 20} MiB at most", flush=True)


def fuzz(count, seed=0, report=None, first=0):
    """Outcomes of mutated files, by kind: of a seed's files below `count`, from `first` on."""
    fork = multiprocessing.get_context("fork")
    at, tried = fork.RawValue("q", -1), fork.RawArray("q", len(OUTCOMES))
    while first < count:
        child = fork.Process(target=try_files, args=(first, count, seed, report, at, tried))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        if child.exitcode > 0 or at.value < first:
            raise RuntimeError(f"the process that tries files ended with {child.exitcode}, at file {at.value}")
        print(f"file {at.value} of seed {seed}: crashed, signal {-child.exitcode}", flush=True)
        tried[OUTCOMES.index("crashed")] += 1
        first = at.value + 1
    return Counter({name: n for name, n in zip(OUTCOMES, tried, strict=True) if n})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=10_000, help="files to try (default 10,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="K", help="the file to begin with")
    parser.add_argument("--only", type=int, metavar="K", help="the one file of that number, in this process")
    options = parser.parse_args()
    if options.only is not None:
        k = options.only
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            print(attempt(file_of(k, options.seed, seeds()), k % 4 > 1, True))
        return
    began = time.monotonic()
    counts = fuzz(options.count, options.seed, max(options.count // 10, 1), options.first)
    print(dict(counts), f"in {time.monotonic() - began:.0f} s")
    sys.exit(any(counts[name] for name in WRONG))


if __name__ == "__main__":
    main()
