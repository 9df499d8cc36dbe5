"""Compiled functions for callers outside of Python: nopython code, C, and SciPy's routines that call C functions."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from ..tape.memory import address_of
from ..tape.spec import Spec
from ..vm.native import addresses, bind_last
from .arguments import arguments_of

if TYPE_CHECKING:
    from .looking import Looking
    from .recorded import Program

__all__ = ["fixed", "general_address", "low_level_callable"]

_kept: list = []  # the address of a program stands in machine code, which lives as long as the process
_FUNCTIONS = "outside.general", "outside.number"


def fixed(step: Looking, examples: tuple) -> tuple[Program, list[Spec]]:
    """The recorded path that some arguments take, with machine code if it may have any, and the specs of its inputs.

    Raises
    ------
    ValueError
        If there are no arguments, and not exactly one structure of them has been recorded.
    TypeError
        If they stand in containers, or are given by name.
    RuntimeError
        If nothing can be recorded for them.
    """
    name = getattr(step, "__name__", "the function")
    if examples:
        step(*examples)
        found = arguments_of(examples, {})
        key = () if found is None or found.device is not None else found.key
    elif len(step.programs) == 1:
        (key,) = step.programs
    else:
        raise ValueError(
            f"outside of Python, shapes and types are fixed: {name} has met {len(step.programs)} structures of "
            f"arguments; pass arguments like those to come"
        )
    flat: Any = tuple(range(len(key) - 1)), {}
    if not key or key[0] != optree.tree_structure(flat):
        taken = key[0] if key else "tensors"
        raise TypeError(
            f"outside of Python, arguments are arrays and numbers, by position: {name} takes {taken}; compile a "
            f"function that takes them one by one"
        )
    paths = step.programs.get(key)
    program = None if paths is None or paths.given_up else paths.latest
    if program is None:
        raise RuntimeError(f"{name} has no recorded path for these arguments: {step.explain()}")
    if step.native:
        program.make_native()
    tape, inputs, _ = program.recorded
    return program, [tape.signature(slot).out.plain for slot in inputs]


def _bound(name: str, table: int, count: int, result: str = "word") -> int:
    """The address of a C function of machine code, with a table of its own."""
    code = addresses(_FUNCTIONS)[_FUNCTIONS.index(name)]
    return bind_last(code, [table], count, result)[0]


def general_address(program: Program) -> int:
    """Of ``int64_t f(const void *const *inputs, void *const *outputs)``."""
    _kept.append(program.linked)
    return _bound("outside.general", program.linked.at, 3)


def low_level_callable(program: Program, specs: list[Spec], name: str) -> Any:
    """A `scipy.LowLevelCallable` of the signature ``double (int, double *)``.

    Raises
    ------
    TypeError
        If inputs and result are not of those shapes.
    """
    from scipy import LowLevelCallable

    from ..vm.outside import MOST_ELEMENTS  # it brings Numba along

    double, results = np.dtype(np.float64), program.linked.specs
    vector = len(specs) == 1 and specs[0].ndim == 1
    taken = [s for s in specs if s.dtype == double and (vector or s.ndim == 0)]
    if len(taken) != len(specs) or not 0 < len(specs) <= MOST_ELEMENTS:
        raise TypeError(
            f"double (int, double *) takes one float64 array of one dimension, or up to {MOST_ELEMENTS} "
            f"float64 numbers: {name} takes {specs}; compile a function of such arguments"
        )
    if [(s.dtype, s.ndim) for s in results] != [(double, 0)] or not program.treedef.is_leaf():
        raise TypeError(
            f"double (int, double *) returns one float64 number: {name} returns {results}; return its sum, say"
        )
    count = specs[0].shape[0] if vector else len(specs)
    table = np.array([program.linked.at, count, len(specs)], np.int64)
    _kept.append((program.linked, table))
    prototype = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))
    return LowLevelCallable(prototype(_bound("outside.number", address_of(table), 3, "double")))
