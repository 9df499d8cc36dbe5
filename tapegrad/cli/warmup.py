"""``tapegrad warmup``: everything that is compiled once a machine, compiled now."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..inspect.units import human_bytes, human_time
from . import CommandError
from .text import columns

__all__ = ["add_arguments", "collect", "jobs", "show"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether to show progress."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def jobs() -> list[tuple[str, Callable[[], Any]]]:
    """What there is to compile, with names."""
    from ..vm import kernels, simd

    found: list[tuple[str, Callable[[], Any]]] = [
        ("interpreter and sweeps", _gradient),
        ("recording and writes in place", _writes),
        ("compiled programs", _compiled),
    ]
    for name in (*simd.UNARY, *simd.BINARY):
        for char in "df":
            signature = f"{char * (2 if name in simd.BINARY else 1)}->{char}"
            found.append((f"{name} {signature}", _bind(simd.simd_loop, name, signature)))
    for name, (_, _, count, chars) in kernels.ACCUMULATING.items():
        found += [(f"{name} {c}", _bind(kernels.extra_loop, name, f"{c * count}->{c}")) for c in chars]
    found += [(f"matmul {c}", _bind(kernels.cached_product, c)) for c in "fd"]
    for char in "?fdFD":
        found.append((f"where {char}", _bind(kernels.extra_loop, "where", f"?{char}{char}->{char}")))
        found.append((f"copy {char}", _bind(kernels.extra_loop, "copy", f"{char}->{char}")))
    return found + [(f"cast {a} to {b}", _bind(kernels.extra_loop, "cast", f"{a}->{b}")) for a in "?ilf" for b in "fd"]


def _bind(function: Callable, *arguments: str) -> Callable[[], Any]:
    return lambda: function(*arguments)


def _gradient() -> None:
    from .. import grad

    grad(lambda x: np.sum(np.exp(x) * x))(np.ones(3))


def _writes() -> None:
    from .. import tensor

    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2.0
    y *= x
    y[0] = x[1]
    y.sum().backward()


def _compiled() -> None:
    from .. import compile, value_and_grad

    step = compile(value_and_grad(lambda w, x: np.mean(np.tanh(x @ w) ** 2)))
    for _ in range(2):
        step(np.ones(3), np.ones((4, 3)))


def collect(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compile what is not in the cache yet; the state of the cache before and after, and the time taken."""
    from ..vm import cache

    before = cache.state()
    if before["folder"] is None:
        raise CommandError(
            "what is compiled can be kept nowhere: no cache folder can be written. Set TAPEGRAD_CACHE_DIR to a folder "
            "of yours"
        )
    began = time.perf_counter()
    todo = jobs()
    slowest: list[tuple[float, str]] = []
    for name, job in _with_progress(todo, shown=not (arguments.quiet or arguments.json)):
        start = time.perf_counter()
        job()
        slowest.append((time.perf_counter() - start, name))
    after = cache.state()
    return {
        "seconds": time.perf_counter() - began,
        "jobs": len(todo),
        "compiled": after["files"] - before["files"],
        "cache": after,
        "slowest": [{"job": name, "seconds": seconds} for seconds, name in sorted(slowest, reverse=True)[:3]],
    }


def _with_progress(todo: list[tuple[str, Callable]], shown: bool) -> Iterator[tuple[str, Callable]]:
    """The jobs in turn: on a terminal under a bar, if the package tqdm is there, else with a line for each tenth."""
    if not shown:
        yield from todo
        return
    try:
        from tqdm import tqdm
    except ImportError:
        tqdm = None
    if tqdm is None or not sys.stderr.isatty():
        yield from _by_lines(todo)
        return
    bar = tqdm(todo, unit="job", file=sys.stderr, leave=False)
    for name, job in bar:
        bar.set_description(f"{name:32}")
        yield name, job


def _by_lines(todo: list[tuple[str, Callable]]) -> Iterable[tuple[str, Callable]]:
    step = max(1, len(todo) // 10)
    for k, (name, job) in enumerate(todo):
        if k % step == 0:
            print(f"{k:3} of {len(todo)}: {name}", file=sys.stderr)
        yield name, job


def show(found: dict[str, Any]) -> str:
    """The same as text."""
    cache = found["cache"]
    rows = [[job["job"], human_time(job["seconds"])] for job in found["slowest"]]
    return (
        f"{found['jobs']} jobs in {human_time(found['seconds'])}, {found['compiled']} files of code written\n"
        f"cache: {cache['folder']}, {cache['files']} files, {human_bytes(cache['bytes'])}\n"
        f"slowest:\n{columns(rows, right=(1,))}"
    )
