#!/usr/bin/env python
"""Load saved functions that were mutated or truncated: each is refused with a clear error, or runs.

Half of the mutations are random bytes, which the checksum finds. The other half changes the description or the rows and
seals the file with a right checksum, as somebody would who wants to do harm. A crash ends the script; run it with
`python -X faulthandler`.

Run:  python scripts/fuzz_saved.py 100000
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import json
import random
import resource
import sys
import warnings
from collections import Counter

import numpy as np

import tapegrad as tg
from tapegrad.compiler.saving import _HEAD, LoadError, dump_bytes, load_bytes

X = np.array([0.3, -1.2, 2.0])
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


def seeds():
    """Saved functions to begin with."""
    found = []
    for f in (branches, layers, images):
        step = tg.compile(tg.value_and_grad(f))
        step(X)
        step(-X)
        found.append(dump_bytes(step))
    return found


def seal(header, blob):
    text = json.dumps(header).encode()
    return _HEAD.pack(b"TAPEGRAD", 1, 0, len(text), len(blob), hashlib.sha256(text + blob).digest()) + text + blob


def places(x, found):
    """All (container, key) in a description."""
    for key in list(x) if isinstance(x, dict) else range(len(x)):
        found.append((x, key))
        if isinstance(x[key], (dict, list)):
            places(x[key], found)
    return found


def another(value, rng, others):
    """Something else in the place of a value."""
    if rng.random() < 0.3:
        return rng.choice(others)
    if type(value) is int:
        return rng.choice([value + 1, value - 1, -value, value * 8, 0, 1, 2, 1 << rng.randrange(64)])
    if type(value) is str:
        names = ["<f8", "<f4", "<i8", "|b1", "<c16", "sum", "view", "place", "gather", "add", "matmul", "00" * 8]
        return rng.choice([value[:-1], value + "0", *names])
    if isinstance(value, list):
        made = list(value)
        rng.shuffle(made)
        return rng.choice([made, made[:-1], [*made, *made[:1]], []])
    if type(value) is bool or value is None:
        return rng.choice([True, False, None, 0])
    return rng.choice([{}, None, 3, value])


def lie(data, rng):
    """A file with a right checksum and wrong content."""
    size = _HEAD.unpack_from(data)[3]
    header, blob = json.loads(data[_HEAD.size : _HEAD.size + size]), bytearray(data[_HEAD.size + size :])
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if rng.random() < 0.25:
            at = rng.randrange(len(blob) // 8) * 8
            word = int.from_bytes(blob[at : at + 8], "little", signed=True)
            new = rng.choice(
                [word + 1, word - 1, word + 8, -word, rng.randrange(20), rng.randrange(-(1 << 62), 1 << 62)]
            )
            blob[at : at + 8] = max(min(new, 2**63 - 1), -(2**63)).to_bytes(8, "little", signed=True)
            continue
        found = places(header, [])
        container, key = rng.choice(found)
        _, other = rng.choice(found), rng.choice(found)
        container[key] = another(container[key], rng, [copy.deepcopy(other[0][other[1]])])
    return seal(header, bytes(blob))


def damage(data, rng):
    """A file with wrong bytes, or too few."""
    if rng.random() < 0.3:
        return data[: rng.randrange(len(data))]
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 4, 64])):
        made[rng.randrange(len(made))] = rng.randrange(256)
    return bytes(made)


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def attempt(data):
    """Load, and run with arguments of all its signatures."""
    try:
        step = load_bytes(data, most_bytes=MOST_BYTES)
    except LoadError as error:
        return "refused" if str(error).startswith("these bytes cannot be loaded: ") else "unclear"
    outcome = "ran"
    for x in (X, -X):
        try:
            step(x)
        except (LookupError, ArithmeticError, MemoryError, RuntimeError, np.linalg.LinAlgError):
            outcome = "failed when run"
    return outcome


@contextlib.contextmanager
def limited_memory():
    """No more memory than `MOST_MEMORY`, as long as it lasts: what is asked for beyond is a `MemoryError`."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def fuzz(count, seed=0, report=None):
    """Outcomes of that many mutated files, by kind."""
    rng, files, counts = random.Random(seed), seeds(), Counter()
    peak = peak_memory()
    with limited_memory(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(count):
            data = (lie if k % 2 else damage)(rng.choice(files), rng)
            counts[attempt(data)] += 1
            before, peak = peak, peak_memory()
            if peak - before > GREEDY:
                counts["greedy"] += 1
                print(f"file {k} of seed {seed} took {(peak - before) >> 20} MiB")
            if report and k % report == report - 1:
                print(k + 1, dict(counts), f"{peak >> 20} MiB at most", flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=10_000, help="files to try (default 10,000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = fuzz(options.count, options.seed, max(options.count // 10, 1))
    print(dict(counts))
    sys.exit(counts["unclear"] + counts["greedy"] > 0)


if __name__ == "__main__":
    main()
