"""Print what of NumPy and SciPy works on tensors, or write the catalogue into docs/reference/support.md."""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import scipy

from tapegrad.catalogue import entries, support

HEAD = f"""# What works on tensors

Made by `python scripts/support.py --write`, with NumPy {np.__version__} and SciPy {scipy.__version__}.

*Supported* functions have a derivative rule; *no derivative* means that the result is constant almost everywhere or no
floating array; *refused* ones compute values, and say why there is no derivative when one is asked for.

Beyond `scipy.special`: [SciPy with gradients](../guides/scipy.md), also for what traces by itself with
`SCIPY_ARRAY_API=1`.

"""


def catalogue() -> str:
    """The page."""
    text = HEAD + support() + "\n"
    for state in ("supported", "no derivative", "refused", "not on tensors", "missing"):
        own = [e for e in entries() if e.state == state]
        notes = {}
        for e in own:
            notes.setdefault(e.note, []).append(f"`{e.name}`")
        if own:
            text += f"\n## {state.capitalize()}\n"
        for note, names in sorted(notes.items()):
            text += f"\n{note}{': ' if note else ''}{', '.join(names)}\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/reference/support.md")
    arguments = parser.parse_args()
    if arguments.write:
        pathlib.Path(__file__).parents[1].joinpath("docs", "reference", "support.md").write_text(
            catalogue(), encoding="utf-8"
        )
    else:
        print(catalogue())


if __name__ == "__main__":
    main()
