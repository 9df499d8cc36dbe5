"""Python's integers, tuples and lists, read where they stand in memory: a quarter of the time of Python's functions.

Objects are int64 addresses. How integers are laid out depends on Python's version, see `integers.layout`.
"""

from __future__ import annotations

from .fields import AS_INT, HEADER, INT_TYPE, INTEGERS, ITEMS, LIST_TYPE, SIZE
from .integers import DIGIT_BITS, TAGGED
from .intrinsics import call_python, i32, i64
from .jit import jit

__all__ = ["integer", "list_item", "list_size", "read_integers", "tuple_item", "type_of"]


@jit
def type_of(thing):
    """The type of an object."""
    return i64(thing + HEADER)[0]


@jit
def tuple_item(thing, k):
    """A tuple's item."""
    return i64(thing + ITEMS)[k]


@jit
def list_size(thing, at):
    """How many items a list has; -1 for what is no list."""
    return i64(thing + SIZE)[0] if type_of(thing) == i64(at)[LIST_TYPE] else -1


@jit
def list_item(thing, k):
    """A list's item."""
    return i64(i64(thing + ITEMS)[0])[k]


@jit
def digits(thing, layout):
    """The value of an integer, of those that fit into 64 bits."""
    size = i64(thing + SIZE)[0]
    if layout == TAGGED:
        count, negative = size >> 3, size & 3 == 2
    else:
        count, negative = abs(size), size < 0
    word = 0
    for k in range(count):
        word += i32(thing + ITEMS)[k] << (DIGIT_BITS * k)
    return -word if negative else word


@jit
def integer(thing, at):
    """The value of an integer, or of what stands for one; without one, anything, with Python's error set."""
    c = i64(at)
    if type_of(thing) == c[INT_TYPE]:
        return digits(thing, c[INTEGERS])
    return call_python(c[AS_INT], thing, 0, 0)


def read_integers(things, first, last, words, kind, layout):
    """Write a list's items from `first` to before `last` to `words`; returns the first that is not of type `kind`."""
    items = i64(i64(things + ITEMS)[0])
    for k in range(first, min(last, i64(things + SIZE)[0])):
        if type_of(items[k]) != kind:
            return k
        words[k - first] = digits(items[k], layout)
    return last
