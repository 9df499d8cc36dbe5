"""``tapegrad inspect FILE``: what a saved compiled function holds. It is checked in full, and not run."""

from __future__ import annotations

import argparse
import stat
from pathlib import Path
from typing import Any

from ..inspect.units import human_bytes
from . import CommandError
from .text import at_least_one, columns

__all__ = ["add_arguments", "collect", "show"]

MOST_BYTES = 2**30
"""Of a single value, unless told otherwise: a file from a stranger should not take the machine's memory."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and how much of it to show."""
    parser.add_argument("file", type=Path, help="written by step.save(...), where step = tapegrad.compile(...)")
    parser.add_argument(
        "--rows", type=at_least_one, default=40, metavar="N", help="rows to list of each path (default 40)"
    )
    parser.add_argument(
        "--most-bytes",
        type=at_least_one,
        default=MOST_BYTES,
        metavar="N",
        help="refuse files with a value larger than this (default 2**30)",
    )


def collect(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the file holds."""
    from ..compiler.saving import LoadError, load

    try:
        status = arguments.file.stat()
        if stat.S_ISCHR(status.st_mode):
            raise CommandError(f"{arguments.file} cannot be read: it is a device")
        step = load(arguments.file, most_bytes=arguments.most_bytes)
    except OSError as error:
        raise CommandError(f"{arguments.file} cannot be read: {error.strerror or error}") from error
    except LoadError as error:
        raise CommandError(str(error)) from error
    except MemoryError as error:
        raise CommandError(f"{arguments.file} cannot be read: it does not fit into memory") from error
    signatures = [_described(key, paths, arguments.rows) for key, paths in step.programs.items()]
    return {
        "file": str(arguments.file),
        "bytes": status.st_size,
        "name": getattr(step, "__name__", "function"),
        "signatures": signatures,
    }


def _described(key: tuple, paths: Any, most: int) -> dict[str, Any]:
    import optree

    from ..inspect.programs import list_program, rows_of

    arguments = [_argument(path, part) for path, part in zip(optree.treespec_paths(key[0]), key[1:], strict=True)]
    programs = [
        {
            "rows": len(rows_of(program)),
            "guards": [
                {"kind": guard.kind, "where": guard.where, "answer": guard.shown(answer)}
                for guard, answer in zip(program.guards, program.outcomes, strict=True)
            ],
            "listing": list_program(program, most),
        }
        for program in paths
    ]
    return {"arguments": arguments, "paths": programs}


def _argument(path: tuple, part: tuple) -> str:
    """A leaf of ``(args, kwargs)``: where it stands, and what it is."""
    name = str(path[1]) + "".join(f"[{k!r}]" for k in path[2:])
    if isinstance(part[0], tuple):
        return f"{name}: {part[1].name}{list(part[0])}"
    return f"{name}: {part[1]!r:.60}, a constant"


def show(found: dict[str, Any]) -> str:
    """The same as text."""
    lines = [f"{found['file']}: {found['name']}, {human_bytes(found['bytes'])}, checked and not run"]
    for k, signature in enumerate(found["signatures"]):
        lines.append(f"\nsignature {k}, arguments {', '.join(signature['arguments']) or 'none'}")
        for n, path in enumerate(signature["paths"]):
            lines.append(f"\npath {k}.{n}: {path['rows']} rows, guards: {len(path['guards'])}")
            if path["guards"]:
                guards = [[g["kind"], g["where"], g["answer"]] for g in path["guards"][:20]]
                lines.append(columns([["asked", "at", "answer"], *guards]))
            lines += ["  " + line for line in path["listing"].splitlines()]
    return "\n".join(lines)
