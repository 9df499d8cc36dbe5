#!/usr/bin/env python
"""Call everything public with wrong arguments: what is refused is refused in words, and nothing crashes or hangs.

Each public function, and each method of a tensor, is called with random arguments of random kinds. Errors that are
fine: Python's and NumPy's own classes for wrong arguments, with a message that does not speak of what only tapegrad
knows (names that begin with an underscore, its tapes' states), and not from a mistake such as a name without a value.

Run:  python scripts/fuzz_calls.py 20000
"""

from __future__ import annotations

import argparse
import inspect
import random
import re
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter

import numpy as np

import tapegrad as tg
import tapegrad.func
import tapegrad.nn.functional as F
from tapegrad.tape.tape import TapeError

SECONDS = 20
MOST_MEMORY = 12 << 30
MODULES = {"tg": tg, "tg.autograd": tg.autograd, "tg.func": tg.func, "F": F}
LEFT_OUT = {
    "set_deferral", "manual_seed", "set_grad_enabled", "load", "check_grads", "compat", "cuda", "func", "nn",
    "autograd", "support", "Tensor", "save_on_cpu", "set_detect_anomaly",
}  # fmt: skip
"""Settings of the process, files, modules; what takes minutes."""
METHODS_LEFT_OUT = {"backward", "to", "cuda", "cpu", "record_stream"}
MISTAKES = (UnboundLocalError, NameError, AssertionError, RecursionError, SystemError, TapeError, ZeroDivisionError)
INTERNAL = re.compile(r"attribute '_|'_\w+'|\b_[a-z]\w+\(\)|'Rare'|'Spec'|NoneType' object|unpack|Workspace|slots\b")
FINE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


def arguments(rng):
    """Something to pass: right somewhere, wrong nearly everywhere."""
    x = np.array([0.5, -1.0, 2.0])
    kinds = [
        lambda: tg.tensor(x, requires_grad=True),
        lambda: tg.tensor(np.ones((2, 3)), requires_grad=rng.random() < 0.5),
        lambda: tg.tensor(2.0),
        lambda: tg.tensor([1, 2]),
        lambda: tg.tensor([1 + 2j]),
        lambda: tg.tensor(np.zeros((0, 3))),
        lambda: x,
        lambda: np.ones((3, 3)),
        lambda: np.array([True, False, True]),
        lambda: np.array(["a", "b"]),
        lambda: np.array([None, 3], dtype=object),
        lambda: rng.choice([0, 1, -1, 2, 7, -100, 2**31, 2**63, -(2**70), True]),
        lambda: rng.choice([0.0, -1.5, 1e308, float("nan"), float("inf"), 3 + 1j]),
        lambda: rng.choice(["", "sum", "mean", "text", "float64", "cpu", "cuda:9"]),
        lambda: None,
        lambda: [],
        lambda: [1, 2],
        lambda: (0, 1),
        lambda: (1 << 40, 1 << 40),
        lambda: {},
        lambda: {"a": x},
        lambda: object(),
        lambda: Ellipsis,
        lambda: slice(1, None),
        lambda: np.float32,
        lambda: np.dtype("f8"),
        lambda: int,
        lambda: np.sin,
        lambda: lambda *args: np.sum(args[0]) if args else 1.0,
        lambda: lambda: None,
        lambda: [tg.tensor(x), tg.tensor(x)],
        lambda: b"bytes",
        lambda: range(3),
    ]
    return rng.choice(kinds)()


def targets():
    """Names and functions to call."""
    found = []
    for prefix, module in MODULES.items():
        for name in getattr(module, "__all__", dir(module)):
            thing = getattr(module, name, None)
            if name[0] == "_" or name in LEFT_OUT or not callable(thing) or isinstance(thing, type(np)):
                continue
            if inspect.isclass(thing) and issubclass(thing, BaseException):
                continue
            found.append((f"{prefix}.{name}", thing))
    for name in dir(tg.Tensor):
        member = getattr(tg.Tensor, name)
        public = name[0] != "_" or (name[:2] == "__" and name in dir(np.ndarray) and name not in dir(object))
        if public and callable(member) and name not in METHODS_LEFT_OUT:
            found.append((f"Tensor.{name}", member))
    return found


def late(number, frame):
    raise TimeoutError


def call(name, function, rng):
    """How a call with random arguments ended, and what is wrong with that, if anything."""
    given = [arguments(rng) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4]))]
    if name.startswith("Tensor."):
        given.insert(0, tg.tensor(np.array([[0.5, 1.5], [2.0, 3.0]]), requires_grad=rng.random() < 0.5))
    words = {}
    if rng.random() < 0.3:
        words[rng.choice(["axis", "dim", "out", "dtype", "keepdims", "argnums", "nonsense", "shape"])] = arguments(rng)
    try:
        signal.alarm(SECONDS)
        try:
            function(*given, **words)
        finally:
            signal.alarm(0)
    except TimeoutError:
        return "late", f"{name}{given, words} took longer than {SECONDS} s"
    except Exception as error:
        text = str(error)
        try:
            shown = f"{name}{given, words}: {type(error).__name__}: {text}"
        except Exception as later:  # a row that waits, and cannot run: its tape is of no use any more
            return "mistake", f"after {name}, a tensor cannot be printed: {type(later).__name__}: {later}"
        if isinstance(error, MISTAKES) or not isinstance(error, FINE):
            return "mistake", shown + "\n" + "".join(traceback.format_tb(error.__traceback__)[-3:])
        if not text or INTERNAL.search(text):
            return "unclear", shown + "\n" + "".join(traceback.format_tb(error.__traceback__)[-3:])
        return "refused", None
    return "done", None


def fuzz(count, seed=0, report=print):
    """Calls by how they ended; the first of each kind of fault is reported for each function and place."""
    rng, counts, seen = random.Random(seed), Counter(), set()
    found = targets()
    old = signal.signal(signal.SIGALRM, late)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, limits[1]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for k in range(count):
                name, function = found[k % len(found)]
                ended, fault = call(name, function, rng)
                counts[ended] += 1
                if fault and (name, ended) not in seen:
                    seen.add((name, ended))
                    report(f"{ended}: {fault}")
                tg.set_grad_enabled(True)
    finally:
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, limits)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=20_000, help="calls (default 20,000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = fuzz(options.count, options.seed, lambda text: print(text, flush=True))
    print(len(targets()), "functions,", dict(counts))
    sys.exit(counts["late"] + counts["mistake"] + counts["unclear"] > 0)


if __name__ == "__main__":
    main()
