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
from typing import Any

from . import toolchain
from .inventory import inventory

__all__ = ["compile_all", "parse"]


def parse(names: str) -> tuple[tuple[int, int], ...]:
    """Compute capabilities from their names, such as ``"70,75,120"``."""
    return tuple((int(n) // 10, int(n) % 10) for n in names.split(","))


def _share(names: str, part: int, parts: int, records: list[str] | None) -> None:
    gc.disable()  # the compiler makes many objects and few cycles
    architectures = parse(names)
    for k, entry in enumerate(inventory(records)):
        if k % parts != part:
            continue
        line: dict[str, Any] = {"index": k, "name": entry.name, "dtype": entry.dtype, "fused": entry.fused}
        began = time.process_time()
        try:
            found = toolchain.assembled(entry.function, entry.types, architectures)
            line["found"] = {f"{a}{b}": sizes for (a, b), sizes in found.items()}
        except Exception as error:  # it is the caller's to judge
            line["error"] = f"{type(error).__name__}: {error}"
        line["seconds"] = round(time.process_time() - began, 3)
        print(json.dumps(line), flush=True)
        if k % 64 == part:
            gc.collect()


def compile_all(names: str, processes: int = 2, records: list[str] | None = None) -> list[dict]:
    """Compile every kernel, in several processes.

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
        outputs = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(processes)]
        workers = []
        for k, output in enumerate(outputs):
            command = [sys.executable, "-m", __name__, names, *(records or []), "--share", f"{k}/{processes}"]
            workers.append(subprocess.Popen(command, stdout=output))
        if any([worker.wait() for worker in workers]):
            raise RuntimeError("a process that compiles kernels failed; its messages are above")
        lines = []
        for output in outputs:
            output.seek(0)
            lines += [json.loads(line) for line in output]
    return sorted(lines, key=lambda line: line["index"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architectures")
    parser.add_argument("--share", default="0/1", help="which part of how many")
    parser.add_argument("records", nargs="*")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.share.split("/"))
    _share(arguments.architectures, part, parts, arguments.records or None)


if __name__ == "__main__":
    main()
