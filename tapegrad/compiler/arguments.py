"""Arguments of a compiled function: their leaves, and what recorded programs are found by."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import optree

from ..tape.handle import Tensor
from ..tape.subclasses import refuse_other_algebra

__all__ = ["Arguments", "arguments_of"]


class Arguments(NamedTuple):
    """What a call was given.

    Attributes
    ----------
    flat : list
        Leaves.
    treedef : optree.PyTreeSpec
        Of ``(args, kwargs)``.
    arrays : list
        Those of the leaves that are inputs, as replays take them.
    key : tuple
        The structure, and for each leaf its shape, dtype and kind, or its value.
    device : Device or None
        Where tensors among them stand.
    """

    flat: list
    treedef: optree.PyTreeSpec
    arrays: list
    key: tuple
    device: Any


def arguments_of(args: tuple, kwargs: dict) -> Arguments | None:
    """Take a call's arguments apart; None where there are tensors among them that only the function itself takes."""
    call: Any = (args, kwargs)
    flat, treedef = optree.tree_flatten(call)
    parts: list = [treedef]
    arrays: list = []
    device = None
    for k, x in enumerate(flat):
        kind = type(x)
        if kind is np.ndarray:
            if not x.flags.c_contiguous or not x.flags.aligned or not x.dtype.isnative:
                x = flat[k] = np.array(x, x.dtype.newbyteorder("="), order="C")
            parts.append((x.shape, x.dtype))
            arrays.append(x)
        elif kind is float or isinstance(x, (np.generic, np.ndarray)):
            refuse_other_algebra(x)
            array = np.asarray(x)
            parts.append((array.shape, array.dtype, kind))
            arrays.append(array)
        elif isinstance(x, Tensor):
            device = x._spec.device if device is None else device
            if device is None or x._spec.device is not device or x.requires_grad:
                return None
            parts.append((x._spec.shape, x._spec.dtype, device))
            arrays.append(device.array_of(x))
        else:
            parts.append((kind, x))
    return Arguments(flat, treedef, arrays, tuple(parts), device)
