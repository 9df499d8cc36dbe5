"""Compiled programs inside Numba's nopython code: a function of arrays and numbers, written out as source."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from ..tape.spec import Spec
from ..vm import call_fields as f
from .entries import marked

if TYPE_CHECKING:
    from .recorded import Program

__all__ = ["function_of"]

_kept: list = []  # the address of a program stands in machine code, which may live as long as the process

_intrinsic: Any = intrinsic


@_intrinsic
def _replay(typingctx: Any, function: Any, table: Any, inputs: Any, outputs: Any) -> Any:
    """Call the machine code of `tapegrad.vm.replaying` with two tuples of addresses."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)
        rows = []
        for k in (2, 3):
            count = signature.args[k].count
            place = cgutils.alloca_once(builder, ir.ArrayType(word, max(count, 1)))
            for j, address in enumerate(cgutils.unpack_tuple(builder, values[k], count)):
                builder.store(address, cgutils.gep_inbounds(builder, place, 0, j))
            rows.append(builder.ptrtoint(place, word))
        target = builder.inttoptr(values[0], ir.FunctionType(word, [word] * 4).as_pointer())
        return builder.call(target, [values[1], *rows, word(0)])

    return types.int64(types.int64, types.int64, inputs, outputs), codegen


@_intrinsic
def _cell(typingctx: Any, x: Any) -> Any:
    """The address of a number on the stack."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = cgutils.alloca_once(builder, context.get_data_type(x))
        context.pack_value(builder, x, values[0], place)
        return builder.ptrtoint(place, ir.IntType(64))

    return types.int64(x), codegen


@_intrinsic
def _number(typingctx: Any, address: Any, like: Any) -> Any:
    """The number at an address, of the type of `like`."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = builder.inttoptr(values[0], context.get_data_type(like).as_pointer())
        return context.unpack_value(builder, like, place)

    return like(types.int64, like), codegen


def _taker(k: int, spec: Spec) -> Callable:
    """A function for nopython code: argument `k`'s address, or its number; its type and its shape are checked."""
    dtype, ndim, shape, cast = numba.from_dtype(spec.dtype), spec.ndim, spec.shape, spec.dtype.type
    message = f"argument {k} must have shape {shape}, as in the recording"

    def take(x: Any) -> Any:
        raise NotImplementedError("this is for nopython code")

    @overload(take)
    def _(x: Any) -> Any:
        def of_number(x: Any) -> Any:
            return cast(x)

        def of_scalar(x: Any) -> Any:
            return x[()]

        def of_array(x: Any) -> Any:
            if x.shape != shape:
                raise ValueError(message)
            return x.ctypes.data

        if ndim == 0 and isinstance(x, (types.Number, types.Boolean)):
            return of_number
        if not isinstance(x, types.Array) or (x.dtype, x.ndim, x.layout) != (dtype, ndim, "C"):
            raise TypingError(f"argument {k} must be a C-contiguous array of {spec.dtype}{list(shape)}, and is {x}")
        return of_array if ndim else of_scalar

    return take


def _composed(mark: Any, program: Program, space: dict) -> str:
    """Source of an expression for a result; lists become tuples."""
    kind = type(mark)
    if mark is None:
        return "None"
    if kind is tuple or kind is list:
        return "(" + "".join(_composed(item, program, space) + ", " for item in mark) + ")"
    if not isinstance(mark, int):
        raise TypeError(
            f"results for nopython code are arrays and numbers, in tuples and lists: a {kind.__name__} is returned; "
            f"return a tuple"
        )
    k, value = program.results[mark]
    if k is not None:
        return f"_number(y{k}, zero{k})" if value.ndim == 0 else f"y{k}"
    space[f"constant{int(mark)}"] = value
    return f"constant{int(mark)}" + (".copy()" if isinstance(value, np.ndarray) else "")


def function_of(program: Program, specs: list[Spec], name: str) -> Any:
    """A function that Numba compiles when it is first called, with arrays or numbers for the inputs in their order.

    Parameters
    ----------
    program : Program
    specs : list of Spec
        Of its inputs.
    name : str

    Returns
    -------
    numba.core.registry.CPUDispatcher
    """
    linked, name = program.linked, name if name.isidentifier() else "compiled"
    space: dict = {"np": np, "_replay": _replay, "_number": _number, "_cell": _cell}
    space |= {"REPLAY": linked.address, "TABLE": linked.at}
    space |= {f"take{k}": _taker(k, spec) for k, spec in enumerate(specs)}
    lines, outputs = [], []
    for k, spec in enumerate(linked.specs):
        if spec.ndim == 0:
            space[f"zero{k}"] = spec.dtype.type(0)
            lines.append(f"y{k} = _cell(zero{k})")
            outputs.append(f"y{k}")
        else:
            space[f"shape{k}"], space[f"dtype{k}"] = spec.shape, numba.from_dtype(spec.dtype)
            lines.append(f"y{k} = np.empty(shape{k}, dtype{k})")
            outputs.append(f"y{k}.ctypes.data")
    inputs = "".join(f"take{k}(x{k}), " if s.ndim else f"_cell(take{k}(x{k})), " for k, s in enumerate(specs))
    lines += [
        f"status = _replay(REPLAY, TABLE, ({inputs}), ({''.join(y + ', ' for y in outputs)}))",
        "if status:",
        f"    if status == {f.ANOTHER_PATH}:",
        "        raise RuntimeError('these arguments take another path through the function than was recorded')",
        f"    if status == {f.OUT_OF_RANGE}:",
        "        raise IndexError('an index is out of bounds for the axis that it selects on')",
        f"    if status == {f.NO_MEMORY}:",
        "        raise MemoryError('there is no memory for intermediate values')",
        "    raise RuntimeError('a row that Python runs has failed')",
        f"return {_composed(marked(program.treedef), program, space)}",
    ]
    source = f"def {name}({', '.join(f'x{k}' for k in range(len(specs)))}):\n" + "".join(f"    {x}\n" for x in lines)
    exec(compile(source, f"<{name}, by tapegrad>", "exec"), space)
    _kept.append(linked)
    return numba.njit(error_model="numpy")(space[name])
