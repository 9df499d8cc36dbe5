"""Compile every kernel for a list of architectures: ``python -m tapegrad.cuda.compiling 70,75,80 [RECORD ...]``.

Prints a line of JSON for each kernel: its name, dtype, kind, and what came out for each architecture, or the error.

Two processes share the work from both ends of one list, until they meet. Functions of `scipy.special` stand at its
beginning: what they call is typed by one process, and not by the other.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from .assembling import TOGETHER, assembled
from .inventory import Entry, inventory
from .lowering import lowered
from .scalars import DOUBLE

__all__ = ["compile_all", "counts", "parse"]


def parse(names: str) -> tuple[tuple[int, int], ...]:
    """Compute capabilities from their names, such as ``"70,75,120"``."""
    return tuple((int(n) // 10, int(n) % 10) for n in names.split(","))


def _batches(records: tuple[str, ...]) -> list[list[tuple[int, Entry]]]:
    """The inventory in pieces that are assembled together: first what is computed in double precision only."""
    entries = sorted(enumerate(inventory(records)), key=lambda numbered: not _is_special(numbered[1]))
    return [entries[first : first + TOGETHER] for first in range(0, len(entries), TOGETHER)]


def _is_special(entry: Entry) -> bool:
    return entry.fused and any([step.name in DOUBLE for step in entry.function.plan[0]])


def _share(names: str, backwards: bool, claims: str, shared: str, records: tuple[str, ...]) -> Iterator[dict]:
    """What came of the kernels that no other process takes; it makes a folder in `claims` for those that it takes.

    Lowered kernels are in `shared`.
    """
    architectures = parse(names)
    batches = list(enumerate(_batches(records)))
    for number, batch in reversed(batches) if backwards else batches:
        try:
            os.mkdir(os.path.join(claims, str(number)))
        except FileExistsError:
            return
        began = time.process_time()
        found = assembled([lowered(entry, shared, k) for k, entry in batch], architectures)
        seconds = round((time.process_time() - began) / len(batch), 3)
        for (k, entry), sizes in zip(batch, found, strict=True):
            line: dict[str, Any] = {"index": k, "name": entry.name, "dtype": entry.dtype, "fused": entry.fused}
            if isinstance(sizes, Exception):
                line["error"] = f"{type(sizes).__name__}: {sizes}"
            else:
                line["found"] = {f"{a}{b}": of for (a, b), of in sizes.items()}
            yield {**line, "seconds": seconds}


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """The compiler makes many objects that stay, and few cycles: nobody looks through them later, either."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def compile_all(names: str, shared: str, records: tuple[str, ...] = ()) -> list[dict]:
    """Compile every kernel, in two processes, of which this is one.

    Parameters
    ----------
    names : str
        Architectures, as in `parse`.
    shared : str
        A folder for lowered kernels, as in `lowering.lowered`: an empty one, or that of processes with another toolkit
        which run at the same time.
    records : tuple of str, optional
        Only the kernels of these.

    Returns
    -------
    list of dict
        In the order of the inventory.
    """
    with contextlib.ExitStack() as stack:
        claims = stack.enter_context(tempfile.TemporaryDirectory())
        output = stack.enter_context(tempfile.TemporaryFile("w+"))
        command = [sys.executable, "-m", __name__, names, *records, "--helping", claims, "--lowered", shared]
        helper = stack.enter_context(subprocess.Popen(command, stdout=output))
        stack.callback(helper.kill)
        with _no_collection():
            lines = list(_share(names, False, claims, shared, records))
        if helper.wait():
            raise RuntimeError("the other process that compiles kernels failed; its messages are above")
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
    parser.add_argument("--helping", metavar="CLAIMS", help="a folder of another process, which begins at the front")
    parser.add_argument("--lowered", metavar="FOLDER", help="where lowered kernels are shared with other processes")
    parser.add_argument("records", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as own, tempfile.TemporaryDirectory() as kernels, _no_collection():
        claims, shared = arguments.helping or own, arguments.lowered or kernels
        records = tuple(arguments.records)
        for line in _share(arguments.architectures, bool(arguments.helping), claims, shared, records):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
