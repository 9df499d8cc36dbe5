"""Makers of the loops of the likelihood of classes; imported only when one of them has to be compiled.

They have the arguments of a generalised ufunc with the signature ``(n,c),(n)->()`` or ``(),(n)->(n,c)``; a loss for
each target is one number, or stands in an array, whose step is then not 0.  ``data`` points to the numbers below.  A
target beyond the classes picks nothing, and is counted as a fault.
"""

from __future__ import annotations

import numpy as np

from .indices import count_fault
from .intrinsics import f32, f64, fill_zero, i64
from .jit import jit
from .memory import address_of

__all__ = ["picked", "spread"]

FAULTS, IGNORED, MEAN = range(3)
"""Address of the count of faults, the target that counts for nothing, and whether the mean is wanted."""

_READERS = {"f": f32, "d": f64}


@jit
def _class_of(address, classes, words):
    """The class at an address, -1 for one that counts for nothing."""
    k = i64(address)[0]
    if k == words[IGNORED]:
        return -1
    if k < 0:
        k += classes
    if k < 0 or k >= classes:
        count_fault(words[FAULTS])
        return -1
    return k


@jit
def _counted(target, step, n, words):
    """How many targets count."""
    count = 0
    for i in range(n):
        count += i64(target + i * step)[0] != words[IGNORED]
    return count


def picked(char: str):
    """Loop y = minus what targets pick from the rows of x: each of them, their sum or their mean."""
    dtype, numbers = np.dtype(char).type, _READERS[char]

    def loop(args, dims, steps, data):
        words, n, classes = i64(address_of(data)), dims[1], dims[2]
        x, target, y = args[0], args[1], args[2]
        x_row, x_class, step, y_step = steps[3], steps[4], steps[5], steps[6]
        total = 0.0
        for i in range(n):
            k = _class_of(target + i * step, classes, words)
            loss = -numbers(x + i * x_row + k * x_class)[0] if k >= 0 else dtype(0.0)
            if y_step != 0:
                numbers(y + i * y_step)[0] = loss
            total += loss
        if y_step == 0:
            if words[MEAN] != 0:
                count = _counted(target, step, n, words)
                total = total / count if count > 0 else np.nan
            numbers(y)[0] = dtype(total)

    return loop


def spread(char: str):
    """Loop y = zeros, with minus v, or of the mean its part, where targets pick: the transpose of `picked`."""
    dtype, size, numbers = np.dtype(char).type, np.dtype(char).itemsize, _READERS[char]

    def loop(args, dims, steps, data):
        words, n, classes = i64(address_of(data)), dims[1], dims[2]
        v, target, y = args[0], args[1], args[2]
        v_step, step, y_row, y_class = steps[3], steps[4], steps[5], steps[6]
        part = 1.0
        if words[MEAN] != 0:
            part = 1.0 / max(_counted(target, step, n, words), 1)
        fill_zero(y, n * classes * size)
        for i in range(n):
            k = _class_of(target + i * step, classes, words)
            if k >= 0:
                numbers(y + i * y_row + k * y_class)[0] = dtype(-numbers(v + i * v_step)[0] * part)

    return loop
