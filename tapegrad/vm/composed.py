"""Makers of loops that call other loops, tile by tile, for what NumPy has no vector code; imported only to be compiled.

NumPy's and libmvec's powers leave negative bases to scalar code, at fifty times the cost: here they are called with
the absolute values, and small whole powers of negative numbers are written in their places (`tapegrad.vm.powers`).
"""

from __future__ import annotations

import numpy as np

from .asking import READERS, TILE, asker, attempt
from .intrinsics import call_loop, f64, i32, i64
from .jit import jit
from .memory import address_of, gather, scatter, scratch
from .powers import LARGEST
from .vectors import lanes

__all__ = ["power", "sigmoid"]


def power(char: str):
    """Loop y = a ** b for a type character; `data` points at the address of the loop it calls, and at its data."""
    size, numbers, dtype = np.dtype(char).itemsize, READERS[char], np.dtype(char).type
    bits, room, ask = {"f": i32, "d": i64}[char], TILE * size, asker(2, char)

    @jit
    def is_left_to_the_loop(n, a, step_a, b, step_b):
        """Whether it is as fast: an exponent for all that it knows, or that negative numbers have not; none of them."""
        if step_b == 0:
            exponent = numbers(b)[0]
            if not (exponent < -1.0 or exponent > 2.0) or abs(exponent) > LARGEST or exponent != np.floor(exponent):
                return True
        signs = bits(a)[0]
        if step_a == size:
            for i in range(n):
                signs |= bits(a)[i]
        else:
            for i in range(n):
                signs |= bits(a + i * step_a)[0]
        return signs >= 0

    def loop(args, dims, steps, data):
        """Power: y = a ** b."""
        words = i64(address_of(data))
        n, a, b, y = dims[0], args[0], args[1], args[2]
        step_a, step_b, step_y = steps[0], steps[1] if n > 1 else 0, steps[2]
        call, bases, exponents, found, flags = scratch(56), scratch(room), scratch(room), scratch(room), scratch(TILE)
        given, width = i64(call), lanes(dtype)
        for start in range(0, n, TILE):
            m = min(TILE, n - start)
            at_a, at_b, at_y = a + start * step_a, b + start * step_b, y + start * step_y
            given[0], given[1], given[2], given[3] = at_a, at_b, at_y, m
            given[4], given[5], given[6] = step_a, step_b, step_y
            if is_left_to_the_loop(m, at_a, step_a, at_b, step_b):
                call_loop(words[0], call, call + 24, call + 32, words[1])
                continue
            padded = (m + width - 1) // width * width
            gather(bases, at_a, step_a, m, padded, dtype)
            gather(exponents, at_b, step_b, m, padded, dtype)
            for i in range(padded):
                numbers(found)[i] = abs(numbers(bases)[i])
            given[0], given[2], given[4], given[6] = found, found, size, size
            call_loop(words[0], call, call + 24, call + 32, words[1])
            for i in range(0, padded, width):
                at = i * size
                attempt("signed_power", (bases + at, exponents + at, found + at), found + at, flags + i, dtype)
            ask(flags, m, bases, size, exponents, size, found, words)
            scatter(at_y, step_y, found, m, dtype)

    return loop


def sigmoid(char: str):
    """Loop y = 1 / (1 + exp(-x)); `data` points at the loop of exp of float64."""
    size, numbers, number = np.dtype(char).itemsize, READERS[char], np.dtype(char).type
    one, room = number(1.0), TILE * 8

    def loop(args, dims, steps, data):
        """The logistic function, by exponentials of float64, of float32 too."""
        words = i64(address_of(data))
        n, x, y, step_x, step_y = dims[0], args[0], args[1], steps[0], steps[1]
        tile, call = scratch(room), scratch(40)
        given, length, strides = i64(call), i64(call + 16), i64(call + 24)
        given[0], given[1], strides[0], strides[1] = tile, tile, 8, 8
        for start in range(0, n, TILE):
            m = min(TILE, n - start)
            at_x, at_y = x + start * step_x, y + start * step_y
            if step_x == size:
                operands = numbers(at_x)
                for i in range(m):
                    f64(tile)[i] = -operands[i]
            else:
                for i in range(m):
                    f64(tile)[i] = -numbers(at_x + i * step_x)[0]
            length[0] = m
            call_loop(words[0], call, call + 16, call + 24, words[1])
            if step_y == size:
                results = numbers(at_y)
                for i in range(m):
                    results[i] = one / (one + number(f64(tile)[i]))
            else:
                for i in range(m):
                    numbers(at_y + i * step_y)[0] = one / (one + number(f64(tile)[i]))

    return loop
