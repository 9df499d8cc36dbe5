"""Compiled functions as methods: one that stands in a class is compiled for each instance by itself."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .program import Compiled

__all__ = ["method_of"]

_KEY = "_tapegrad_compiled"


class _Methods(dict):
    """An instance's compiled methods. They stay behind where it is pickled or copied in depth."""

    def __reduce__(self) -> tuple:
        return _Methods, ()


def method_of(compiled: Compiled, instance: Any) -> Compiled:
    """The compiled function bound to an instance, whose attributes are captured like anything else."""
    if not isinstance(compiled.fun, types.FunctionType):  # Python binds nothing else, either
        return compiled
    space = getattr(instance, "__dict__", None)
    if type(space) is not dict:
        raise TypeError(
            f"a compiled method keeps what it has recorded in its object, and those of class "
            f"{type(instance).__name__} have no __dict__: leave __slots__ out, or compile the bound method, "
            f"tapegrad.compile(x.{compiled.fun.__name__})"
        )
    methods = space.get(_KEY)
    found = None if methods is None else methods.get(compiled)
    if found is None or found.fun.__self__ is not instance:
        if methods is None or found is not None:  # a copy of an instance came with its methods
            methods = space[_KEY] = _Methods()
        bound = types.MethodType(compiled.fun, instance)
        found = methods[compiled] = type(compiled)(bound, compiled.max_paths, compiled.lines, compiled.native)
    return found
