"""Makers of loops that call other loops, tile by tile, for what NumPy has no vector code; imported only to be compiled.

NumPy's and libmvec's powers leave negative bases to scalar code, at fifty times the cost: here they are called with
the absolute values, and the signs follow. Squares and cubes are products; as in machine code, so that results agree.
"""

from __future__ import annotations

import math

import numpy as np

from .intrinsics import call_loop, f32, f64, i64
from .jit import jit
from .memory import address_of, scratch

__all__ = ["logaddexp", "power", "sigmoid"]

TILE = 256
_READERS = {"f": f32, "d": f64}


def power(char: str):
    """Loop y = a ** b for a type character; `data` points at the address of the loop it calls, and at its data."""
    size, numbers, number = np.dtype(char).itemsize, _READERS[char], np.dtype(char).type
    room = TILE * size

    @jit
    def products(n, a, step_a, y, step_y, cubes):
        if step_a == size and step_y == size:
            x, z = numbers(a), numbers(y)
            if cubes:
                for i in range(n):
                    z[i] = x[i] * x[i] * x[i]
            else:
                for i in range(n):
                    z[i] = x[i] * x[i]
            return
        for i in range(n):
            value = numbers(a + i * step_a)[0]
            numbers(y + i * step_y)[0] = value * value * value if cubes else value * value

    @jit
    def signed(n, a, step_a, b, step_b, values, y, step_y):
        """Y = a ** b, where the values are those of the absolute values of a."""
        for i in range(n):
            base, exponent = numbers(a + i * step_a)[0], numbers(b + i * step_b)[0]
            value = numbers(values + i * size)[0]
            if math.copysign(1.0, base) < 0.0 and not math.isinf(exponent):
                half = 0.5 * exponent
                if exponent != np.floor(exponent):  # NaN, too; the floor of `math` would be an int64
                    if exponent != exponent or not (base == 0.0 or math.isinf(base)):
                        value = number(math.nan)
                elif half != np.floor(half):
                    value = -value
            numbers(y + i * step_y)[0] = value

    def loop(args, dims, steps, data):
        """Power: y = a ** b."""
        words = i64(address_of(data))
        n, a, b, y = dims[0], args[0], args[1], args[2]
        step_a, step_b, step_y = steps[0], steps[1], steps[2]
        if n > 0 and (step_b == 0 or n == 1):
            exponent = numbers(b)[0]
            if exponent == 2.0 or exponent == 3.0:
                products(n, a, step_a, y, step_y, exponent == 3.0)
                return
            if exponent == 0.5:  # NumPy takes the square root
                call_loop(words[0], address_of(args), address_of(dims), address_of(steps), words[1])
                return
        bases, results, call = scratch(room), scratch(room), scratch(72)
        given, length, strides = i64(call), i64(call + 24), i64(call + 32)
        for start in range(0, n, TILE):
            m = min(TILE, n - start)
            at_a, at_b, at_y = a + start * step_a, b + start * step_b, y + start * step_y
            negative = False
            for i in range(m):
                value = numbers(at_a + i * step_a)[0]
                negative |= math.copysign(1.0, value) < 0.0
                numbers(bases)[i] = math.fabs(value)
            given[0], given[1], given[2], length[0] = bases, at_b, results, m
            strides[0], strides[1], strides[2] = size, step_b, size
            if not negative:
                given[0], given[2], strides[0], strides[2] = at_a, at_y, step_a, step_y
            call_loop(words[0], call, call + 24, call + 32, words[1])
            if negative:
                signed(m, at_a, step_a, at_b, step_b, results, at_y, step_y)

    return loop


def logaddexp(char: str):
    """Loop y = log(exp(a) + exp(b)); `data` points at the loops of exp and log1p: address and data of each."""
    size, numbers, number = np.dtype(char).itemsize, _READERS[char], np.dtype(char).type
    room = TILE * size

    def loop(args, dims, steps, data):
        """The greater one, and the logarithm of 1 + exp(-distance)."""
        words = i64(address_of(data))
        n, a, b, y, step_a, step_b, step_y = dims[0], args[0], args[1], args[2], steps[0], steps[1], steps[2]
        tile, call = scratch(room), scratch(64)
        given, length, strides = i64(call), i64(call + 16), i64(call + 24)
        given[0], given[1], strides[0], strides[1] = tile, tile, size, size
        for start in range(0, n, TILE):
            m = min(TILE, n - start)
            at_a, at_b, at_y = a + start * step_a, b + start * step_b, y + start * step_y
            for i in range(m):
                one, other = numbers(at_a + i * step_a)[0], numbers(at_b + i * step_b)[0]
                numbers(tile)[i] = number(0.0) if one == other else -abs(one - other)  # of equal infinities, too
            length[0] = m
            call_loop(words[0], call, call + 16, call + 24, words[1])
            call_loop(words[2], call, call + 16, call + 24, words[3])
            for i in range(m):
                one, other = numbers(at_a + i * step_a)[0], numbers(at_b + i * step_b)[0]
                numbers(at_y + i * step_y)[0] = (other if one < other else one) + numbers(tile)[i]  # NaN are in both

    return loop


def sigmoid(char: str):
    """Loop y = 1 / (1 + exp(-x)); `data` points at the loop of exp of float64."""
    size, numbers, number = np.dtype(char).itemsize, _READERS[char], np.dtype(char).type
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
