"""Compile every kernel for a list of architectures: ``python -m tapegrad.cuda.compiling 70,75,80 --share 0/2``.

Prints a line of JSON for each kernel: its name, dtype, kind, and what came out for each architecture, or the error.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from .assembling import TOGETHER, assembled
from .inventory import inventory

__all__ = ["compile_all", "counts", "parse"]


def parse(names: str) -> tuple[tuple[int, int], ...]:
    """Compute capabilities from their names, such as ``"70,75,120"``."""
    return tuple((int(n) // 10, int(n) % 10) for n in names.split(","))


def _share(names: str, part: int, parts: int, records: list[str] | None) -> Iterator[dict]:
    """What came of every so many-th kernel."""
    architectures = parse(names)
    mine = list(enumerate(inventory(records)))[part::parts]
    for first in range(0, len(mine), TOGETHER):
        entries = mine[first : first + TOGETHER]
        began = time.process_time()
        found = assembled([(entry.function, entry.types) for _, entry in entries], architectures)
        seconds = round((time.process_time() - began) / len(entries), 3)
        for (k, entry), sizes in zip(entries, found, strict=True):
            line: dict[str, Any] = {"index": k, "name": entry.name, "dtype": entry.dtype, "fused": entry.fused}
            if isinstance(sizes, Exception):
                line["error"] = f"{type(sizes).__name__}: {sizes}"
            else:
                line["found"] = {f"{a}{b}": of for (a, b), of in sizes.items()}
            yield {**line, "seconds": seconds}


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """The compiler makes many objects that stay, and few cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def compile_all(names: str, processes: int = 2, records: list[str] | None = None) -> list[dict]:
    """Compile every kernel, in several processes, of which this is one.

    Parameters
    ----------
    names : str
        Architectures, as in `parse`.
    processes : int
    records : list of str, optional
        Only the kernels of these.

    Returns
    -------
    list of dict
        In the order of the inventory.
    """
    with contextlib.ExitStack() as stack:
        outputs, workers = [], []
        for k in range(1, processes):
            outputs.append(stack.enter_context(tempfile.TemporaryFile("w+")))
            command = [sys.executable, "-m", __name__, names, *(records or []), "--share", f"{k}/{processes}"]
            workers.append(stack.enter_context(subprocess.Popen(command, stdout=outputs[-1])))
            stack.callback(workers[-1].kill)
        with _no_collection():
            lines = list(_share(names, 0, processes, records))
        if any([worker.wait() for worker in workers]):
            raise RuntimeError("a process that compiles kernels failed; its messages are above")
        for output in outputs:
            output.seek(0)
            lines += [json.loads(line) for line in output]
    return sorted(lines, key=lambda line: line["index"])


def counts(lines: list[dict]) -> str:
    """What came of all kernels, in a line."""
    made = [sizes for line in lines for sizes in line.get("found", {}).values()]
    spilled = sum(sizes["spills"] > 0 for line in lines for sizes in line.get("found", {}).values() if line["fused"])
    seconds = sum(line["seconds"] for line in lines)
    return (
        f"{len(lines)} kernels, {len(made)} pieces of machine code, {sum('error' in line for line in lines)} errors, "
        f"{spilled} elementwise ones spill registers; {seconds:.0f} s of processor time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architectures")
    parser.add_argument("--share", default="0/1", help="which part of how many")
    parser.add_argument("records", nargs="*")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.share.split("/"))
    with _no_collection():
        for line in _share(arguments.architectures, part, parts, arguments.records or None):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
