"""Matrix products: a loop with the signature of NumPy's `matmul`, for matrices that a core's own cache holds.

A panel of the second matrix, as wide as two vectors, is copied to where the innermost cache holds it; twelve rows of
the first matrix at a time are multiplied with it, their sums in registers, as in BLAS [1]_.  But a first matrix whose
rows lie together is not copied, nor is the result cleared first; on some hundred rows that saves a tenth of the time or
more.  Where its columns lie together, each of the next elements of a row is on another page of memory: such a matrix is
read once, twelve rows at a time, which are copied and multiplied with several panels.

References
----------
.. [1] K. Goto and R. A. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM Transactions on
   Mathematical Software 34 (2008), article 12.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from .intrinsics import call_words, i64
from .jit import intrinsic, jit
from .memory import address_of, scratch
from .native import vector_bytes
from .registers import (
    constant,
    element_bytes,
    lanewise,
    masked_load,
    masked_store,
    masks,
    prefetch,
    spread,
    vector_type,
)

__all__ = ["panels", "product"]

ROWS = (12, 4, 1) if vector_bytes() == 64 else (6, 2, 1)
"""Rows whose sums fit the registers, of which there are 32 with vectors of 64 bytes, else 16."""
GROUP = 3
"""Rows that are reached from one pointer: an address has room for a step, and for twice that step."""
DEPTH = 272
"""Most rows of a panel that is copied, which then takes some two thirds of the innermost cache."""
PANELS = 4
"""Copies of panels, of that many rows, that are held at once where bands of the first matrix are copied, too."""
AHEAD = 2
"""So many tiles ahead is asked for what they multiply: where columns lie together no processor foresees it."""
TOGETHER = 1_000_000
"""Multiplications that are worth waking other threads for."""

# The words of a table that says what is to be done; the second half are the steps as NumPy passes them.
A, B, Y, M, K, N, A_ROW, A_K, B_K, B_COLUMN, Y_ROW, TABLE = range(12)

WORD, INDEX = ir.IntType(64), ir.IntType(32)


def _step(builder, address, step, times):
    """An address so many steps further on."""
    return builder.add(address, builder.mul(step, WORD(times))) if times else address


def _pointer(builder, address, kind):
    return builder.inttoptr(address, kind.as_pointer())


@intrinsic(prefer_literal=True)
def tile(typingctx, rows, vectors, a, a_row, a_k, panel, depth, y, y_row, columns, more, soon, soon_k, dtype):
    """Let y = a @ panel for some rows and the columns of so many vectors, or y += that if `more` is not zero.

    What stands at `soon`, and in steps of `soon_k` from there, is asked for meanwhile.
    """
    height, width = rows.literal_value, vectors.literal_value

    def codegen(context, builder, signature, values):
        a, a_row, a_k, panel, depth, y, y_row, columns, more, soon, soon_k = values[2:13]
        vector = vector_type(context, dtype)
        size = element_bytes(vector)
        span = WORD(vector.count * size)
        inside = masks(builder, vector, width, columns)
        at = [[_step(builder, _step(builder, y, y_row, r), span, v) for v in range(width)] for r in range(height)]
        zero = constant(vector, 0.0)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(width)] for _ in range(height)]
        with builder.if_then(builder.icmp_signed("!=", more, WORD(0))):
            for r in range(height):
                for v in range(width):
                    builder.store(masked_load(builder, at[r][v], vector, inside[v]), sums[r][v])
        firsts = [cgutils.alloca_once_value(builder, _step(builder, a, a_row, r)) for r in range(0, height, GROUP)]
        row, wanted = cgutils.alloca_once_value(builder, panel), cgutils.alloca_once_value(builder, soon)
        with cgutils.for_range(builder, depth):
            place = builder.load(row)
            right = [
                builder.load(_pointer(builder, _step(builder, place, span, v), vector), align=span.constant)
                for v in range(width)
            ]
            builder.store(_step(builder, place, span, width), row)
            asked = builder.load(wanted)
            prefetch(builder, asked)
            builder.store(builder.add(asked, soon_k), wanted)
            for g, first in enumerate(firsts):
                start = builder.load(first)
                builder.store(builder.add(start, a_k), first)
                for r in range(GROUP * g, min(GROUP * g + GROUP, height)):
                    address = _step(builder, start, a_row, r % GROUP)
                    left = spread(builder, builder.load(_pointer(builder, address, vector.element)), vector)
                    for v in range(width):
                        total = lanewise(builder, "fma", left, right[v], builder.load(sums[r][v]))
                        builder.store(total, sums[r][v])
        for r in range(height):
            for v in range(width):
                masked_store(builder, builder.load(sums[r][v]), at[r][v], inside[v])
        return context.get_dummy_value()

    words = [types.int64] * 11
    return types.void(rows, vectors, *words, dtype), codegen


@intrinsic(prefer_literal=True)
def copy_rows(typingctx, vectors, b, b_k, depth, columns, panel, dtype):
    """Copy a panel of a matrix whose rows lie together; beyond its columns it is filled up with zeros."""
    width = vectors.literal_value

    def codegen(context, builder, signature, values):
        _, b, b_k, depth, columns, panel, _ = values
        vector = vector_type(context, dtype)
        span = WORD(vector.count * element_bytes(vector))
        inside = masks(builder, vector, width, columns)
        with cgutils.for_range(builder, depth) as loop:
            source = builder.add(b, builder.mul(loop.index, b_k))
            target = builder.add(panel, builder.mul(loop.index, builder.mul(span, WORD(width))))
            for v in range(width):
                value = masked_load(builder, _step(builder, source, span, v), vector, inside[v])
                builder.store(value, _pointer(builder, _step(builder, target, span, v), vector), align=span.constant)
        return context.get_dummy_value()

    return types.void(vectors, *[types.int64] * 5, dtype), codegen


@intrinsic(prefer_literal=True)
def copy_columns(typingctx, b, b_column, depth, columns, panel, panel_row, dtype):
    """Copy a vector's width of a panel of a matrix whose columns lie together: squares are turned in registers."""

    def codegen(context, builder, signature, values):
        b, b_column, depth, columns, panel, panel_row, _ = values
        vector = vector_type(context, dtype)
        n, size = vector.count, element_bytes(vector)
        squares = builder.sdiv(builder.add(depth, WORD(n - 1)), WORD(n))
        with cgutils.for_range(builder, squares) as loop:
            first = builder.mul(loop.index, WORD(n))
            (mask,) = masks(builder, vector, 1, builder.sub(depth, first))
            nothing = ir.Constant(mask.type, [0] * n)
            start = _step(builder, b, first, size)
            square = []
            for lane in range(n):
                there = builder.select(builder.icmp_signed("<", WORD(lane), columns), mask, nothing)
                square.append(masked_load(builder, _step(builder, start, b_column, lane), vector, there))
            for k, value in enumerate(_turned(builder, square)):
                target = builder.add(panel, builder.mul(builder.add(first, WORD(k)), panel_row))
                builder.store(value, _pointer(builder, target, vector), align=size * n)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, dtype), codegen


def _turned(builder, square):
    """Rows of vectors, transposed: blocks of half the size change places, then those within them."""
    n = len(square)
    half = n // 2
    while half:
        low = [k if not k & half else n + k - half for k in range(n)]
        high = [k + half if not k & half else n + k for k in range(n)]
        for k in range(n):
            if not k & half:
                pair = square[k], square[k + half]
                picked = [ir.Constant(ir.VectorType(INDEX, n), lanes) for lanes in (low, high)]
                square[k], square[k + half] = [builder.shuffle_vector(*pair, lanes) for lanes in picked]
        half //= 2
    return square


def _bands(width, dtype):
    """Function: as many rows at a time as there are left, with a panel of so many vectors."""
    many, few, single = ROWS

    def bands(m, a, a_row, a_k, panel, depth, y, y_row, columns, more, soon, soon_row, soon_k):
        while m >= many:
            tile(many, width, a, a_row, a_k, panel, depth, y, y_row, columns, more, soon, soon_k, dtype)
            a, y, m, soon = a + many * a_row, y + many * y_row, m - many, soon + many * soon_row
        while m >= few:
            tile(few, width, a, a_row, a_k, panel, depth, y, y_row, columns, more, soon, soon_k, dtype)
            a, y, m, soon = a + few * a_row, y + few * y_row, m - few, soon + few * soon_row
        while m > 0:
            tile(single, width, a, a_row, a_k, panel, depth, y, y_row, columns, more, soon, soon_k, dtype)
            a, y, m, soon = a + a_row, y + y_row, m - 1, soon + soon_row

    return jit(bands)


def panels(char: str):
    """Maker of ``void panels(table, first, last, sums)``: those panels of the product that the table describes."""
    dtype, size, vector = np.dtype(char).type, np.dtype(char).itemsize, vector_bytes()
    lanes, room = vector // size, PANELS * DEPTH * 2 * vector
    many = ROWS[0]
    across = (many + lanes - 1) // lanes  # vectors of a band
    ribbon = DEPTH * across * vector
    wide, narrow = _bands(2, dtype), _bands(1, dtype)

    def copy_panel(b, b_k, b_column, depth, columns, panel):
        if columns > lanes:
            if b_column == size:
                copy_rows(2, b, b_k, depth, columns, panel, dtype)
            else:
                copy_columns(b, b_column, depth, lanes, panel, 2 * vector, dtype)
                copy_columns(b + lanes * b_column, b_column, depth, columns - lanes, panel + vector, 2 * vector, dtype)
        elif b_column == size:
            copy_rows(1, b, b_k, depth, columns, panel, dtype)
        else:
            copy_columns(b, b_column, depth, columns, panel, vector, dtype)

    copy_panel = jit(copy_panel)

    def some(table, first, last, sums):
        m, k, n = table[M], table[K], table[N]
        a_row, a_k, b_k, b_column, y_row = table[A_ROW], table[A_K], table[B_K], table[B_COLUMN], table[Y_ROW]
        copies, band = scratch(room), scratch(ribbon)
        pieces = (k + DEPTH - 1) // DEPTH
        length = ((k + pieces - 1) // pieces + 15) // 16 * 16  # whole squares for `copy_columns`
        turned = a_row == size and a_k != size
        held = room // (length * 2 * vector) if turned else 1
        height = many if turned else m
        for start in range(0, k, length):
            depth = min(length, k - start)
            a, b = table[A] + start * a_k, table[B] + start * b_k
            for p in range(first, last, held):
                stop = min(p + held, last)
                for q in range(p, stop):
                    left, panel = 2 * lanes * q, copies + (q - p) * length * 2 * vector
                    copy_panel(b + left * b_column, b_k, b_column, depth, min(n - left, 2 * lanes), panel)
                for row in range(0, m, height):
                    rows = min(height, m - row)
                    x, x_row, x_k = a + row * a_row, a_row, a_k
                    soon, soon_row, soon_k = x + AHEAD * many * a_row, a_row, a_k
                    if turned:
                        copy_rows(across, x, a_k, depth, rows, band, dtype)
                        x, x_row, x_k = band, size, across * vector
                        soon_row, soon_k = 0, many * 2 * vector // depth
                    y = table[Y] + row * y_row
                    for q in range(p, stop):
                        left, panel = 2 * lanes * q, copies + (q - p) * length * 2 * vector
                        columns, out = min(n - left, 2 * lanes), y + left * size
                        if turned:  # the rows of the result that come next, if they lie together
                            soon = y + many * y_row + (q - p) * many * 2 * vector
                        if columns > lanes:
                            wide(rows, x, x_row, x_k, panel, depth, out, y_row, columns, start, soon, soon_row, soon_k)
                        else:
                            narrow(
                                rows, x, x_row, x_k, panel, depth, out, y_row, columns, start, soon, soon_row, soon_k
                            )

    return some


def product(char: str):
    """Maker of the loop; `data` points at the address of a word, see `share_word`, and that of `panels`."""
    width, room = 2 * vector_bytes() // np.dtype(char).itemsize, 8 * TABLE

    def loop(args, dims, steps, data):
        helpers, place = i64(address_of(data)), scratch(room)
        t = i64(place)
        t[M], t[K], t[N] = dims[1], dims[2], dims[3]
        t[A_ROW], t[A_K], t[B_K], t[B_COLUMN], t[Y_ROW] = steps[3], steps[4], steps[5], steps[6], steps[7]
        count = (dims[3] + width - 1) // width
        share = i64(helpers[0])[0] if dims[1] * dims[2] * dims[3] >= TOGETHER else 0
        for i in range(dims[0]):
            t[A], t[B], t[Y] = args[0] + i * steps[0], args[1] + i * steps[1], args[2] + i * steps[2]
            if share != 0:
                call_words(share, helpers[1], place, count, 0, 0, 0, 0, 0)
            else:
                call_words(helpers[1], place, 0, count, 0, 0, 0, 0, 0)

    return loop
