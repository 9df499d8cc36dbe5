"""Values and containers as JSON, for saved functions: nothing in a file names code that could be run."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import optree

__all__ = ["KINDS", "SaveError", "decode", "decode_tree", "dtype_of", "encode", "encode_tree"]

KINDS = "biufc"
"""Kinds of dtypes that arrays in a file can have."""


class SaveError(TypeError):
    """A function cannot be saved: something in it has no place in a file."""


def encode(x: Any) -> Any:
    """A value as JSON: plain ones as they are, others as an object with one tag."""
    if x is None or x is True or x is False or type(x) is str or type(x) is int:
        return x
    kind = type(x)
    if kind is float:
        return {"float": x.hex()}
    if kind is complex:
        return {"complex": [x.real.hex(), x.imag.hex()]}
    if kind is tuple or kind is list:
        return {kind.__name__: [encode(v) for v in x]}
    if kind is slice:
        return {"slice": [encode(v) for v in (x.start, x.stop, x.step)]}
    if x is Ellipsis:
        return {"ellipsis": 0}
    if isinstance(x, np.dtype) and x.kind in KINDS:
        return {"dtype": x.str}
    if isinstance(x, type) and issubclass(x, np.generic) and np.dtype(x).kind in KINDS:
        return {"scalar type": np.dtype(x).str}
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in KINDS:
        data = base64.b64encode(x.tobytes()).decode()
        return {"array" if isinstance(x, np.ndarray) else "scalar": [x.dtype.str, list(x.shape), data]}
    raise SaveError(f"a value of type {kind.__module__}.{kind.__qualname__} cannot be saved: {x!r:.60}")


def decode(x: Any) -> Any:
    """The value that `encode` made JSON of; anything else is a `ValueError`."""
    if x is None or isinstance(x, (bool, int, str)):
        return x
    if not isinstance(x, dict) or len(x) != 1:
        raise ValueError(f"this is no value: {x!r:.60}")
    ((tag, body),) = x.items()
    if tag == "float":
        return float.fromhex(body)
    if tag == "complex":
        return complex(*[float.fromhex(part) for part in body])
    if tag in ("tuple", "list"):
        made = [decode(v) for v in body]
        return tuple(made) if tag == "tuple" else made
    if tag == "slice":
        start, stop, step = body
        return slice(decode(start), decode(stop), decode(step))
    if tag == "ellipsis":
        return Ellipsis
    if tag == "dtype":
        return dtype_of(body)
    if tag == "scalar type":
        return dtype_of(body).type
    if tag in ("array", "scalar"):
        dtype, shape, data = body
        array = np.frombuffer(base64.b64decode(data, validate=True), dtype_of(dtype)).reshape(_shape(shape))
        return array.copy() if tag == "array" else array[()]
    raise ValueError(f"there is no value of kind {tag!r}")


def dtype_of(text: Any) -> np.dtype:
    """A dtype of numbers or bools, of this machine's byte order."""
    if not isinstance(text, str) or len(text) > 6:
        raise ValueError(f"this is no dtype: {text!r:.60}")
    dtype = np.dtype(text)
    if dtype.kind not in KINDS or not dtype.isnative:
        raise ValueError(f"arrays of dtype {text} cannot be loaded on this machine")
    return dtype


def _shape(lengths: Any) -> tuple[int, ...]:
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths):
        raise ValueError(f"this is no shape: {lengths!r:.60}")
    return tuple(lengths)


def encode_tree(treedef: optree.PyTreeSpec) -> Any:
    """A structure of tuples, lists and dictionaries as JSON, with the leaves' numbers at their places."""
    places: Any = optree.tree_unflatten(treedef, list(range(treedef.num_leaves)))
    return _encode_node(places)


def _encode_node(x: Any) -> Any:
    kind = type(x)
    if x is None:
        return None
    if kind is int:
        return x
    if kind is tuple or kind is list:
        return {kind.__name__: [_encode_node(v) for v in x]}
    if kind is dict and all(type(k) in (str, int) for k in x):
        return {"dict": [[k, _encode_node(v)] for k, v in x.items()]}
    raise SaveError(
        f"a container of type {kind.__module__}.{kind.__qualname__} cannot be saved: functions are saved with "
        f"arguments and results in tuples, lists, and dictionaries with names or numbers as keys"
    )


def decode_tree(x: Any) -> optree.PyTreeSpec:
    """The structure that `encode_tree` made JSON of."""
    made: Any = _decode_node(x)
    leaves, treedef = optree.tree_flatten(made)
    if leaves != list(range(len(leaves))):
        raise ValueError("the leaves of a structure are not numbered in order")
    return treedef


def _decode_node(x: Any) -> Any:
    if x is None or type(x) is int:
        return x
    if not isinstance(x, dict) or len(x) != 1:
        raise ValueError(f"this is no structure: {x!r:.60}")
    ((tag, body),) = x.items()
    if tag in ("tuple", "list"):
        made = [_decode_node(v) for v in body]
        return tuple(made) if tag == "tuple" else made
    if tag == "dict":
        if not all(type(k) in (str, int) for k, _ in body):
            raise ValueError("keys of a dictionary are names or numbers")
        return {k: _decode_node(v) for k, v in body}
    raise ValueError(f"there is no structure of kind {tag!r}")
