"""Kernels that run rows of integers: one for each real dtype, whatever the rows say.

`interpret` runs a program of many shapes, row after row with barriers between them: a small tape, or the reverse sweep
over one, is a single launch. It is made for a single block of threads, and for a whole grid of them that waits for all
its blocks after each row, where the device can launch one (a cooperative launch). `interpret_elements` runs a group of
rows over one large shape, each thread with values of its own. Neither needs the compiler when a program is new, which
takes half a second for a kernel that is written for it (`elementwise`).

A row says ``y[i] = f(a[i], b[i], c[i])``, or, where it has inner places, ``y[i] = combine(c, a[i, j] * b[i, j] for all
j)``: sums, extrema, products of matrices. It holds addresses and steps in bytes, so that views are free.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import scalars, toolchain
from .elementwise import casts, function_of
from .scalars import add, maximum, minimum, multiply
from .stepper import defined
from .toolchain import cuda, peek_byte, peek_double, peek_single, poke_byte, poke_double, poke_single

__all__ = ["COMBINING", "INSTRUCTIONS", "interpreter", "opcode_of"]

OP, SIZE, INNER = 0, 1, 2
LENGTHS = 3
"""Lengths of the axes but the first."""
A, B, C, Y = 6, 12, 18, 24
"""Operands and the result: address, kind, four steps."""
INNER_LENGTHS, STEPS_A, STEPS_B = 30, 33, 37
NUMBERS = 41
"""Where numbers among the operands stand in the row itself."""
AXES_HERE, INNER_AXES = 44, 45
"""How many axes there are: with one, nothing is taken apart."""
ROW = 46
"""Words of a row."""
AXES = 4
NOTHING, REAL, BYTE, REGISTER, NUMBER = 0, 1, 2, 3, 4
"""Kinds of operands; a number's address is put in when the program is sent, and it is a real operand then."""
FEW = 32
"""Inner places that one thread combines by itself."""
MOST_REGISTERS = 32
WORDS = MOST_REGISTERS * ROW

INSTRUCTIONS = (
    "copy add subtract multiply divide negative reciprocal square sqrt absolute sign power exp expm1 log log1p sin cos "
    "tan tanh sinh cosh arctan maximum minimum floor sigmoid relu hypot arctan2 greater greater_equal less less_equal "
    "equal not_equal logical_and logical_or logical_not where truth"
).split()
"""Records by opcode."""
COMBINING = ("add", "multiply", "maximum", "minimum")
"""Records by the number that `combine` knows them by."""
_OTHER_NAMES = {
    "positive": "copy", "conjugate": "copy", "fabs": "absolute", "expit": "sigmoid",
    "bitwise_and": "logical_and", "bitwise_or": "logical_or", "invert": "logical_not", "float_power": "power",
}  # fmt: skip
_OF_TRUTHS = ("copy", "truth", "logical_and", "logical_or", "logical_not")
BLOCK: int = 0
"""Threads of a block; it and the names below are filled in for a dtype by `interpreter`."""
WIDE: bool = False
"""Whether blocks wait for each other, by a barrier of the whole grid."""
real: Any = None
int64: Any = None
fetch: Any = None
store: Any = None
apply: Any = None


def fetch_double(address, kind):
    """The operand at an address: double, or a truth value."""
    if kind == BYTE:
        return real(peek_byte(address))
    return peek_double(address)


def fetch_single(address, kind):
    """The operand at an address: single, or a truth value."""
    if kind == BYTE:
        return real(peek_byte(address))
    return peek_single(address)


def store_double(address, kind, value):
    """Set the result at an address."""
    if kind == BYTE:
        poke_byte(address, value != 0)
    else:
        poke_double(address, value)


def store_single(address, kind, value):
    """Set the result at an address."""
    if kind == BYTE:
        poke_byte(address, value != 0)
    else:
        poke_single(address, value)


def apart(i, axes, row, lengths):
    """Counter i as places along four axes, of which all lengths but the first stand in the row."""
    if axes < 2:
        return i, 0, 0, 0
    i, i3 = divmod(i, row[lengths + 2])
    i, i2 = divmod(i, row[lengths + 1])
    i0, i1 = divmod(i, row[lengths])
    return i0, i1, i2, i3


def along(places, row, steps):
    """What places along four axes add to an address."""
    i0, i1, i2, i3 = places
    return i0 * row[steps] + i1 * row[steps + 1] + i2 * row[steps + 2] + i3 * row[steps + 3]


def element(row, operand, places):
    """An element of an operand; 0 of nothing."""
    if row[operand + 1] == NOTHING:
        return real(0)
    return fetch(row[operand] + along(places, row, operand + 2), row[operand + 1])


def combine(op, a, b):
    """One of two numbers, as a row over inner places puts them together."""
    if op == 0:
        return add(a, b)
    if op == 1:
        return multiply(a, b)
    if op == 2:
        return maximum(a, b)
    return minimum(a, b)


def combined(row, places, first, step):
    """combine(c, a[i, j] * b[i, j]) over every step-th inner place j from the first on."""
    best = fetch(row[C], row[C + 1])
    left = row[A] + along(places, row, A + 2)
    right = row[B] + along(places, row, B + 2)
    j = first
    while j < row[INNER]:
        inner = apart(j, row[INNER_AXES], row, INNER_LENGTHS)
        v = fetch(left + along(inner, row, STEPS_A), row[A + 1])
        if row[B + 1] != NOTHING:
            v *= fetch(right + along(inner, row, STEPS_B), row[B + 1])
        best = combine(row[OP], best, v)
        j += step
    return best


def interpret(rows, code, start):
    """Rows one after the other, by one block of threads or by all blocks of a grid."""
    row = cuda.shared.array(ROW, int64)
    held = cuda.shared.array(BLOCK, real)
    me = cuda.threadIdx.x
    k = 0
    while k < rows:
        word = me
        while word < ROW:
            row[word] = code[start + k * ROW + word]
            word += BLOCK
        cuda.syncthreads()
        together = row[INNER] > FEW and row[SIZE] < cuda.gridsize(1)
        i = cuda.blockIdx.x if together else cuda.grid(1)
        while i < row[SIZE]:
            places = apart(i, row[AXES_HERE], row, LENGTHS)
            target = row[Y] + along(places, row, Y + 2)
            if row[INNER] < 0:
                a, b, c = element(row, A, places), element(row, B, places), element(row, C, places)
                store(target, row[Y + 1], apply(row[OP], a, b, c))
            else:
                total = combined(row, places, me if together else 0, BLOCK if together else 1)
                if not together:
                    store(target, row[Y + 1], total)
            if together:
                held[me] = total
                cuda.syncthreads()
                half = BLOCK // 2
                while half > 0:
                    if me < half:
                        held[me] = combine(row[OP], held[me], held[me + half])
                    cuda.syncthreads()
                    half //= 2
                if me == 0:
                    store(target, row[Y + 1], held[0])
            i += cuda.gridDim.x if together else cuda.gridsize(1)
        if WIDE:
            cuda.cg.this_grid().sync()
        else:
            cuda.syncthreads()
        k += 1


def operand(row, at, which, places, registers):
    """An element of an operand, which may be what an earlier row left in a register."""
    if row[at + which + 1] == REGISTER:
        return registers[row[at + which]]
    return element(row, at + which, places)


def interpret_elements(n, rows, code, start):
    """All rows for element i, then for element i + threads: rows of one shape, whose results stay in registers."""
    row = cuda.shared.array(WORDS, int64)
    registers = cuda.local.array(MOST_REGISTERS, real)
    word = cuda.threadIdx.x
    while word < rows * ROW:
        row[word] = code[start + word]
        word += cuda.blockDim.x
    cuda.syncthreads()
    i = cuda.grid(1)
    while i < n:
        places = apart(i, row[AXES_HERE], row, LENGTHS)
        k = 0
        while k < rows:
            at = k * ROW
            a = operand(row, at, A, places, registers)
            b = operand(row, at, B, places, registers)
            c = operand(row, at, C, places, registers)
            v = apply(row[at], a, b, c)
            registers[k] = v
            if row[at + Y + 1] != NOTHING:
                store(row[at + Y] + along(places, row, at + Y + 2), row[at + Y + 1], v)
            k += 1
        i += cuda.gridsize(1)


@functools.cache
def _apply(dtype: np.dtype) -> Any:
    """apply(op, a, b, c): what an opcode stands for."""
    lines = ["def apply(op, a, b, c):"]
    scope: dict[str, Any] = {"__name__": __name__, "real": casts()[dtype.name]}
    for opcode, name in enumerate(INSTRUCTIONS):
        count = scalars.SCALARS[name, "f"].__code__.co_argcount
        scope[f"f{opcode}"] = function_of(name, (dtype,) * count, dtype)
        lines += [f"    if op == {opcode}:", f"        return real(f{opcode}({', '.join('abc'[:count])}))"]
    lines.append("    return a")
    return defined("apply", "\n".join(lines) + "\n", scope)


@functools.cache
def interpreter(name: str, dtype: np.dtype, block: int, wide: bool = False) -> Any:
    """One of the kernels of this module, for a real dtype and a number of threads.

    Parameters
    ----------
    name : {"interpret", "interpret_elements"}
    dtype : numpy.dtype
    block : int
    wide : bool
        Whether it is for a cooperative launch of several blocks.
    """
    kind = "double" if dtype.char == "d" else "single"
    known = casts()
    names = {
        "real": known[dtype.name],
        "int64": known["int64"],
        "BLOCK": block,
        "WIDE": wide,
        "apply": _apply(dtype),
        "fetch": toolchain.build(globals()[f"fetch_{kind}"], lambda copy: copy, {"real": known[dtype.name]}),
        "store": globals()[f"store_{kind}"],
    }
    return toolchain.build(globals()[name], lambda copy: copy, names)


@functools.cache
def opcode_of(name: str, kinds: tuple[np.dtype, ...], dtype: np.dtype) -> tuple[int, str] | None:
    """The opcode for a step, and the letter of its real dtype ("" for truth values only); None if there is none."""
    name = _OTHER_NAMES.get(name, name)
    if name == "copy" and dtype.char == "?":
        name = "truth"
    letters = {d.char for d in (*kinds, dtype)} - {"?"}
    main = kinds[1:] if name == "where" else kinds
    if name not in INSTRUCTIONS or len(letters) > 1 or not letters <= {"d", "f"}:
        return None
    if name not in _OF_TRUTHS and any(d.char == "?" for d in main):  # sums of truth values are not sums of numbers
        return None
    return INSTRUCTIONS.index(name), "".join(letters)
