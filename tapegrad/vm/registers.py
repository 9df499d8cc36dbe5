"""Vectors in registers, for code generators: their type, numbers spread over their lanes, masks, functions of LLVM."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from .native import vector_bytes

__all__ = [
    "constant",
    "element_bytes",
    "fma",
    "lanewise",
    "masked_load",
    "masked_store",
    "masks",
    "polynomial",
    "prefetch",
    "spread",
    "vector_type",
]

_WORD, _INDEX = ir.IntType(64), ir.IntType(32)


def vector_type(context, dtype):
    """The vector of a Numba type for a dtype."""
    return ir.VectorType(context.get_value_type(dtype.dtype), vector_bytes() * 8 // dtype.dtype.bitwidth)


def element_bytes(vector):
    """Bytes of an element, which is a float or a double."""
    return 8 if isinstance(vector.element, ir.DoubleType) else 4


def constant(vector, value):
    """A number known to the compiler, in all lanes."""
    return ir.Constant(vector, [value] * vector.count)


def spread(builder, value, vector):
    """A number in all lanes."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, _INDEX(0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(_INDEX, vector.count), [0] * vector.count)
    )


def lanewise(builder, name, *operands):
    """LLVM's function of that name in each lane."""
    vector = operands[0].type
    return _call(builder, f"llvm.{name}.{_suffix(vector)}", vector, *operands)


def fma(builder, *operands):
    """Return a * b + c, rounded once; operands may be numbers known to the compiler."""
    vector = next(v.type for v in operands if not isinstance(v, float))
    return lanewise(builder, "fma", *(constant(vector, v) if isinstance(v, float) else v for v in operands))


def polynomial(builder, x, coefficients):
    """Value at x of the polynomial with these coefficients, highest first."""
    y = constant(x.type, coefficients[0])
    for coefficient in coefficients[1:]:
        y = fma(builder, y, x, coefficient)
    return y


def masks(builder, vector, count, length):
    """For each of `count` vectors in a row: which lanes lie within a length."""
    words = ir.VectorType(_WORD, vector.count)
    end = spread(builder, length, words)
    starts = range(0, count * vector.count, vector.count)
    places = [ir.Constant(words, list(range(start, start + vector.count))) for start in starts]
    return [builder.icmp_signed("<", place, end) for place in places]


def masked_load(builder, address, vector, mask):
    """A vector with zeros where the mask is not set, and nothing read there."""
    pointer, name = builder.inttoptr(address, vector.as_pointer()), f"llvm.masked.load.{_suffix(vector)}.p0"
    return _call(builder, name, vector, pointer, _INDEX(element_bytes(vector)), mask, constant(vector, 0.0))


def masked_store(builder, value, address, mask):
    """Write where the mask is set."""
    vector = value.type
    pointer, name = builder.inttoptr(address, vector.as_pointer()), f"llvm.masked.store.{_suffix(vector)}.p0"
    _call(builder, name, ir.VoidType(), value, pointer, _INDEX(element_bytes(vector)), mask)


def prefetch(builder, address):
    """Ask for the memory at an address, which need not exist, to be brought into the innermost cache."""
    pointer = builder.inttoptr(address, ir.IntType(8).as_pointer())
    _call(builder, "llvm.prefetch.p0", ir.VoidType(), pointer, _INDEX(0), _INDEX(3), _INDEX(1))


def _suffix(vector):
    return f"v{vector.count}f{8 * element_bytes(vector)}"


def _call(builder, name, result, *operands):
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)
