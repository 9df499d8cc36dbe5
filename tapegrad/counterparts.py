"""Which of tapegrad's functions to use in place of one that makes plain arrays of its arguments: for messages."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Iterator
from opcode import opname
from types import FrameType, FunctionType
from typing import Any

__all__ = ["Unseen", "unseen_function"]


class Unseen:
    """A function of NumPy or SciPy that tapegrad cannot see.

    Attributes
    ----------
    name : str
        As users know it, such as ``"scipy.special.logsumexp"``.
    counterpart : str
        The same in tapegrad; empty if there is none.
    """

    def __init__(self, name: str, counterpart: str):
        self.name, self.counterpart = name, counterpart


def unseen_function(depth: int = 1) -> Unseen | None:
    """The function of NumPy's or SciPy's that the user called, and in which a tensor is asked for an array.

    Parameters
    ----------
    depth : int
        Frames between that function and the caller of this one.

    Returns
    -------
    Unseen or None
        The outermost that has a counterpart, else the outermost of SciPy's; None if the user asked.
    """
    frame: FrameType | None = sys._getframe(depth + 1)
    found = outermost = None
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in ("numpy", "scipy"):
            break
        for module, names in _functions(frame):
            public = [part for part in module.split(".") if not part.startswith("_")]
            # `scipy.sparse.linalg` is a module of a module; of NumPy's only the outermost counts.
            paths = [public[:1]] if package == "numpy" else [public[:3], public[:2]]
            for path, k in itertools.product(paths, range(len(names), 0, -1)):
                if all(n.startswith("_") for n in names[k:]) and _exists(["tapegrad", *path], names[:k]):
                    name = ".".join([*path, *names[:k]])
                    found = Unseen(name, f"tapegrad.{name}")
                    break
            if package == "scipy" and len(public) > 1 and names and not names[0].startswith(("_", "<")):
                outermost = Unseen(".".join([*public, *names]), "")
        frame = frame.f_back
    return found or outermost


def is_writing(depth: int = 1) -> bool:
    """Whether the user is at ``array[index] = value``, for which NumPy asks the value for a number or an array.

    Parameters
    ----------
    depth : int
        Frames between the user's and the caller of this one.
    """
    frame = sys._getframe(depth + 1)
    return opname[frame.f_code.co_code[frame.f_lasti]] in ("STORE_SUBSCR", "STORE_SLICE")


def _functions(frame: FrameType) -> Iterator[tuple[str, list[str]]]:
    """Modules and names of the function of a frame; of a wrapper, those of what it wraps."""
    names = getattr(frame.f_code, "co_qualname", frame.f_code.co_name).split(".")  # Python 3.10 knows no class
    if "<locals>" in names:
        for wrapped in frame.f_locals.values():
            if isinstance(wrapped, FunctionType) and "<locals>" not in wrapped.__qualname__:
                if (wrapped.__module__ or "").partition(".")[0] in ("numpy", "scipy"):  # not the user's, of any name
                    yield wrapped.__module__, [wrapped.__qualname__]
        return
    owner = getattr(frame.f_locals.get("self"), "name", None)
    if len(names) == 2 and isinstance(owner, str):  # a distribution
        names[0] = owner
    names[0] = names[0].removesuffix("_gen")
    yield frame.f_globals["__name__"], [n for n in names if not n.startswith("__")]


def _exists(path: list[str], names: list[str]) -> bool:
    """Whether tapegrad has a function of its own by a name; its modules hand on NumPy's and SciPy's others."""
    try:
        module = importlib.import_module(".".join(path))
        original: Any = importlib.import_module(".".join(path[1:]))
    except ImportError:
        return False
    found: Any = vars(module).get(names[0])
    for name in names:
        original = getattr(original, name, None)
    for name in names[1:]:
        found = getattr(found, name, None)
    return found is not None and getattr(found, "__wrapped__", found) != original  # methods are equal, not the same
