"""Methods that are given numbers: as arguments or as one sequence; and remembered by them."""

from __future__ import annotations

import functools
import operator

from ..descriptors import Operator, is_supported
from ..operators import described, hand_over, waiting
from ..tape.handle import Tensor
from ..tape.signature import FAST, fast_index
from ..tape.viewing import remember_method

__all__ = ["by_numbers", "ints"]


def ints(args):
    """Numbers given one by one or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    return tuple([operator.index(n) for n in args])


def by_numbers(function):
    """A method that remembers the views which it made of numbers; its twin in machine code makes them again."""
    if not is_supported():
        return function
    index = fast_index()

    @functools.wraps(function)
    def method(self, *args, **kwargs):
        view = function(self, *args, **kwargs)
        if view.__class__ is Tensor and not kwargs and all([n.__class__ is int for n in args]):
            if method in waiting and args in FAST[True][index].get(self._spec, ()):
                hand_over(method)
            remember_method(index, self, args, view)
        return view

    described[method] = Operator(method, "viewing.by_numbers", index)
    return method
