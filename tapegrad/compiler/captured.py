"""What a function captures: noticed when a name is bound anew, so that nothing is replayed that holds the old value.

Watched are the global names that a function's code mentions, its closure and its defaults, and those of the functions
that it reaches through them; of captured lists and dictionaries also what they hold; of the object that a method
belongs to, and of others that are captured, the attributes that the code mentions. Modules, and functions of installed
packages, are taken to stay. What is changed inside of an array is not noticed, nor what an attribute's object holds.
"""

from __future__ import annotations

import functools
import inspect
import random
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..external import primitive
from ..tape.site import inside

__all__ = ["Captured", "Draws"]

_FIXED = (types.ModuleType, type, types.BuiltinFunctionType, np.ufunc)
_FUNCTIONS = (types.FunctionType, types.MethodType)
_PLAIN = (int, float, complex, str, bytes, bool)


def _names(code: types.CodeType) -> Iterator[str]:
    """Names that code, and code inside of it, looks up outside."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _unwrapped(found: Any) -> Any:
    """What stands behind a compiled function, or one with a rule of its own that was recorded with it.

    That of a `primitive` runs in each replay, so that nothing of it was captured.
    """
    while type(found).__module__.partition(".")[0] == "tapegrad" and not isinstance(found, primitive):
        if isinstance(found, _FUNCTIONS) or not callable(getattr(found, "__wrapped__", None)):
            break
        found = found.__wrapped__
    return found


class Captured:
    """What a function captured when it was looked at.

    Parameters
    ----------
    fun : callable
    """

    def __init__(self, fun: Callable):
        self.names: list[tuple[dict, str, Any, str]] = []
        self.cells: list[tuple[types.CellType, str, Any, str]] = []
        self.held: list[tuple[Any, list, str, str]] = []
        self.generators: list[Any] = []
        self._seen: set[tuple[int, int]] = set()
        self._searched: set[tuple[int, str]] = set()
        self._reach(fun)

    def _reach(self, found: Any) -> None:
        """Look at a callable, and at what it reaches."""
        owner, found = None, _unwrapped(found)
        if isinstance(found, functools.partial):
            for value in (found.func, *found.args, *found.keywords.values()):
                self._look(value, "an argument of a partial function", "functools.partial")
            return
        if isinstance(found, types.MethodType):
            found, owner = found.__func__, found.__self__
        if not isinstance(found, types.FunctionType) or (id(found), id(owner)) in self._seen:
            return
        self._seen.add((id(found), id(owner)))
        code = found.__code__
        place = f"{code.co_filename}:{code.co_firstlineno}"
        objects = [owner]
        ours = inside[code.co_filename]  # a wrapper has the module of the function that it wraps
        for name, cell in zip(code.co_freevars, found.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not bound yet
                continue
            if not ours:
                self.cells.append((cell, name, value, place))
            self._look(value, name, place)
            objects.append(value)
        for value in (*(found.__defaults__ or ()), *(found.__kwdefaults__ or {}).values()):
            self._look(value, "a default", place)
        if ours or "site-packages" in code.co_filename:
            return
        space, mentioned = found.__globals__, tuple(dict.fromkeys(_names(code)))
        for name in mentioned:
            if name in space and not isinstance(space[name], _FIXED):
                self.names.append((space, name, space[name], f"the global {name!r} of the function at {place}"))
                self._look(space[name], name, place)
                objects.append(space[name])
        for it in objects:
            self._look_into(it, mentioned, place)

    def _look_into(self, it: Any, mentioned: tuple[str, ...], place: str) -> None:
        """Look at the attributes of an object that the code at a place mentions, and at its methods among them."""
        kind, space = type(it), getattr(it, "__dict__", None)
        known = isinstance(it, (*_FIXED, *_FUNCTIONS)) or kind.__module__.partition(".")[0] == "tapegrad"
        if known or type(space) is not dict or (id(it), place) in self._searched:
            return
        self._searched.add((id(it), place))
        for name in mentioned:
            if name in space:
                what = f"the attribute {name!r} of a {kind.__name__}, which the function at {place} uses,"
                self.names.append((space, name, space[name], what))
                self._look(space[name], name, place)
                self._look_into(space[name], mentioned, place)
                continue
            method = inspect.getattr_static(kind, name, None)
            method = _unwrapped(method.fget if isinstance(method, property) else method)
            if isinstance(method, types.FunctionType):
                self._reach(types.MethodType(method, it))

    def _look(self, value: Any, name: str, place: str) -> None:
        if isinstance(value, (np.random.Generator, np.random.RandomState)):
            self.generators.append(value)
        elif type(value) is list or type(value) is dict:
            self.held.append((value, _contents(value), name, place))
        else:
            self._reach(value)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could change."""
        return not (self.names or self.cells or self.held)

    def change(self) -> str | None:
        """What is other than it was: a sentence, or None."""
        for k, (space, name, old, what) in enumerate(self.names):
            new = space.get(name)
            if new is not old:
                if not _is_equal(new, old):
                    return f"{what} was bound anew"
                self.names[k] = (space, name, new, what)
        for k, (cell, name, old, place) in enumerate(self.cells):
            new = cell.cell_contents
            if new is not old:
                if not _is_equal(new, old):
                    return f"the captured {name!r} of the function at {place} was bound anew"
                self.cells[k] = (cell, name, new, place)
        for value, old, name, place in self.held:
            new = _contents(value)
            if len(new) != len(old) or any(a is not b for a, b in zip(new, old, strict=True)):
                return f"{name!r}, captured by the function at {place}, holds other things"
        return None


def _contents(value: Any) -> list:
    return list(value) if type(value) is list else [*value, *value.values()]


def _is_equal(new: Any, old: Any) -> bool:
    """Whether two plain values are the same, so that it does not matter which one was captured."""
    return type(new) is type(old) and isinstance(new, _PLAIN) and new == old and repr(new) == repr(old)


class DrawnError(RuntimeError):
    """Random numbers were drawn while a function was recorded; other threads' draws from Python's generator count."""


class Draws:
    """Finds out whether random numbers were drawn while a function was recorded: each replay would use the same.

    Parameters
    ----------
    generators : list
        NumPy's generators that the function can reach; the module's own and Python's are looked at in any case.
    """

    def __init__(self, generators: list):
        self.generators = generators
        self.before = self._states()

    def _states(self) -> list:
        from ..creation import generator_of

        legacy: Any = np.random.get_state()  # noqa: NPY002 -- to see whether somebody else uses it
        states: list = [(legacy[1].tobytes(), *legacy[2:]), random.getstate()]
        for g in (*self.generators, generator_of(None)):
            states.append(repr(g.bit_generator.state if isinstance(g, np.random.Generator) else g.get_state()))
        return states

    def drawn(self) -> str | None:
        """From which generator there were draws, in words; None if there were none."""
        for k, (before, after) in enumerate(zip(self.before, self._states(), strict=True)):
            if before != after:
                return ("numpy.random", "Python's random", "a NumPy Generator, or tapegrad's own")[min(k, 2)]
        return None

    def check(self, name: str) -> None:
        """Raise if there were draws.

        Raises
        ------
        DrawnError
            Naming the generator.
        """
        whose = self.drawn()
        if whose is not None:
            raise DrawnError(
                f"random numbers were drawn (from {whose}) while {name} was being compiled; every replay would use "
                f"the same ones. Draw them outside and pass them as an argument"
            )
