"""Methods in machine code: the operators' common case without Python's interpreter.

Recording is what eager code spends its time on, and an operator written in Python spends most of that in Python's own
interpreter. So each has a twin in machine code (`tapegrad.vm.recording` and `tapegrad.vm.writing`), which reads the
same tables through Python's C interface and hands whatever it does not know to the Python function. The twins take the
operators' places when the first of them is called, since that is when machine code is loaded.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .tape.buffer import Buffer, buffer_of
from .tape.handle import NOTHING, BufferFacts, Tensor, ViewFacts
from .tape.memory import address_of
from .tape.site import known
from .tape.spec import Spec
from .tape.state import State, local
from .tape.tape import Tape
from .tape.viewing import KEYS
from .vm import fields
from .vm.integers import layout
from .vm.native import addresses, bind_last

__all__ = [
    "Operator",
    "function_address",
    "is_supported",
    "method_of",
    "methods_of",
    "place_of",
    "shared_words",
    "table_of",
    "ufunc_method",
]

_RECORDERS = (
    ("recording.unary", "recording.binary", "recording.array_ufunc"),
    ("viewing.select", "viewing.by_numbers", "writing.write_unary", "writing.write_binary", "writing.write_copy",
     "writing.write_zero", "writing.assign"),
)  # fmt: skip
"""What is compiled together: most programs do without writes and slices, and start the sooner for it."""
_NOARGS, _O, _FASTCALL, _KEYWORDS = 0x0004, 0x0008, 0x0080, 0x0002  # METH_... of Python's C interface
_SLICE_PARTS = (1, None, 2)
_SLICE = slice(*_SLICE_PARTS)
_LIST = [_SLICE]
_kept: list = []  # what machine code refers to


class Operator(NamedTuple):
    """What a twin in machine code has to know of an operator.

    Attributes
    ----------
    function : callable
        Takes the long way.
    recorder : str
        The function in machine code.
    table : int
        Its place in the fast tables.
    swapped : bool
        Whether a number comes first, and the tensor second.
    apart : Operator, optional
        Of one that writes in place: the one that makes a new tensor.
    """

    function: Callable
    recorder: str
    table: int
    swapped: bool = False
    apart: Operator | None = None


class _Definition(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


@functools.cache
def is_supported() -> bool:
    """Whether this Python lays its objects out as machine code expects, and nobody has switched it off.

    The environment variable ``TAPEGRAD_NATIVE=0`` keeps the operators in Python, to look into them with a debugger.
    """
    return (
        os.environ.get("TAPEGRAD_NATIVE", "1") != "0"
        and sys.implementation.name == "cpython"
        and getattr(sys, "_is_gil_enabled", lambda: True)()
        and layout() != 0
        and all(_word(_SLICE, fields.SLICE_START + 8 * k) == id(part) for k, part in enumerate(_SLICE_PARTS))
        and _word(_SLICE_PARTS, fields.ITEMS) == id(_SLICE_PARTS[0])
        and ctypes.c_uint64.from_address(_word(_LIST, fields.ITEMS)).value == id(_SLICE)
        and _word(Tensor(), fields.HEADER) == id(Tensor)
    )


def function_address(function: Any) -> int:
    """Of a function of ctypes."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _word(thing: object, offset: int) -> int:
    return ctypes.c_uint64.from_address(id(thing) + offset).value


def place_of(thing: Any, name: str) -> int:
    """Bytes from an object's start to one of its slots."""
    mark = object()
    before = getattr(thing, name, None)
    setattr(thing, name, mark)
    places = [k for k in range(0, type(thing).__basicsize__, 8) if _word(thing, k) == id(mark)]
    setattr(thing, name, before)
    if len(places) != 1:
        raise RuntimeError(f"the slot {name} of {type(thing).__name__} was found {len(places)} times in its memory")
    return places[0]


@functools.cache
def shared_words() -> np.ndarray:
    """The part of the tables that all operators have in common."""
    words = np.zeros(fields.COUNT, np.int64)
    for name, function in fields.FUNCTIONS.items():
        found = getattr(ctypes.pythonapi, function, None)
        words[getattr(fields, name)] = function_address(found) if found else 0
    objects = {
        "FLOAT_TYPE": float, "INT_TYPE": int, "FLOAT32_TYPE": np.float32, "FLOAT64_TYPE": np.float64,
        "LIST_TYPE": list, "TUPLE_TYPE": tuple, "SLICE_TYPE": slice, "TAPE_TYPE": Tape, "TENSOR_TYPE": Tensor,
        "BUFFER_TYPE": Buffer, "BUFFER_FACTS": BufferFacts, "VIEW_FACTS": ViewFacts,
        "NOTHING": NOTHING, "NOT_IMPLEMENTED": NotImplemented,
        "NONE": None, "FALSE": False, "ZERO": 0, "ELLIPSIS": ..., "SITES": known, "BUFFER_OF": buffer_of,
        "LOCAL": local,
    }  # fmt: skip
    names = {
        "METHOD": "__call__", "ZERO_TEXT": "0", "BASE_NAME": "_base", "BUFFER_NAME": "_buffer", "LEAF_NAME": "_leaf",
        "MADE_BY_NAME": "_made_by", "STATE_NAME": "state",
    }  # fmt: skip
    for name, thing in (objects | {name: sys.intern(text) for name, text in names.items()}).items():
        words[getattr(fields, name)] = id(thing)
    words[fields.KEYS], words[fields.INTEGERS] = KEYS, layout()
    slots = {
        Tensor(): {"SLOT_AT": "_slot", "SPEC_AT": "_spec", "TAPE_AT": "_tape", "RARE_AT": "_rare"},
        Tape(): {
            "FAST_AT": "fast", "LIMIT_AT": "limit", "NUMBERS_AT": "numbers", "ROWS_AT": "rows", "THREAD_AT": "thread",
            "NOTED_AT": "noted", "TRACING_AT": "tracing", "SPARING_AT": "sparing",
        },
        Buffer(): {
            "COPIES_AT": "copies_reads", "END_AT": "end", "HISTORY_AT": "history", "LOOSE_AT": "loose",
            "QUIET_AT": "quiet", "SETTLED_AT": "settled", "SITE_AT": "site", "VERSION_AT": "version",
            "VIEWS_AT": "views",
        },
        ViewFacts(Tensor(), Buffer(), 0, 0): {
            "BASE_AT": "_base", "VIEWED_AT": "_buffer", "OFFSET_AT": "_offset", "SEEN_AT": "_seen",
        },
        BufferFacts(Buffer()): {"OWN_BUFFER_AT": "_buffer"},
        Spec((1,), (8,), np.dtype(float), False): {"SHAPE_AT": "shape"},
        State(): {"WITHIN_AT": "within", "STATE_TAPE_AT": "tape"},
    }  # fmt: skip
    for thing, places in slots.items():
        for name, slot in places.items():
            words[getattr(fields, name)] = place_of(thing, slot)
    return words


def _address(recorder: str) -> int:
    """Of a function in machine code, which is loaded with those of its kind."""
    together = next(names for names in _RECORDERS if recorder in names)
    return addresses(together)[together.index(recorder)]


def _table(function: Callable, **given: int) -> int:
    words = shared_words().copy()
    words[fields.FALLBACK] = id(function)
    for name, word in given.items():
        words[getattr(fields, name)] = word
    _kept.append((words, function))
    return address_of(words)


def table_of(operator: Operator) -> int:
    """Address of the table that machine code reads for an operator."""
    operands = 1 if operator.recorder.endswith("unary") else 2
    apart = 0 if operator.apart is None else table_of(operator.apart)
    return _table(operator.function, OPERANDS=operands, INDEX=operator.table, SWAPPED=operator.swapped, APART=apart)


def methods_of(operators: Sequence[Operator]) -> list[Any]:
    """Methods of `Tensor` in machine code.

    Parameters
    ----------
    operators : sequence of Operator

    Returns
    -------
    list of method descriptors
        One for each operator, of its function's name and documentation.
    """
    made = {}
    for recorder, (words, flags, operands) in _FORMS.items():
        group = [operator for operator in operators if operator.recorder == recorder]
        if group:
            codes = bind_last(_address(recorder), [table_of(operator) for operator in group], words)
            for operator, code in zip(group, codes, strict=True):
                made[operator] = method_of(operator.function, code, flags, operands or _parameters(operator.function))
    return [made[operator] for operator in operators]


_FORMS = {
    "recording.unary": (3, _NOARGS, "$self, /"),
    "recording.binary": (3, _O, "$self, other, /"),
    "viewing.select": (3, _O, "$self, key, /"),
    "viewing.by_numbers": (5, _FASTCALL | _KEYWORDS, None),
    "writing.write_unary": (3, _NOARGS, "$self, /"),
    "writing.write_zero": (3, _NOARGS, "$self, /"),
    "writing.write_binary": (5, _FASTCALL | _KEYWORDS, "$self, other, /, **options"),
    "writing.write_copy": (5, _FASTCALL | _KEYWORDS, "$self, src, non_blocking=False"),
    "writing.assign": (5, _FASTCALL | _KEYWORDS, "$self, key, value, /"),
}
"""By the function in machine code: its arguments, how Python calls it, and its parameters if all have the same."""


def _parameters(function: Callable) -> str:
    """A function's parameters, as Python knows those of its twin."""
    return "$" + str(inspect.signature(function))[1:-1]


def ufunc_method(function: Callable, operators: dict) -> Any:
    """`Tensor.__array_ufunc__` in machine code.

    Parameters
    ----------
    function : callable
        Takes the long way.
    operators : dict
        By ufunc, the address of its operator's table; it may grow later.

    Returns
    -------
    method descriptor
    """
    _kept.append(operators)
    table = _table(function, OPERATORS=id(operators))
    (code,) = bind_last(_address("recording.array_ufunc"), [table], 5)
    return method_of(function, code, _FASTCALL | _KEYWORDS, "$self, ufunc, method, /, *inputs, **options")


def method_of(function: Callable, code: int, flags: int, operands: str, owner: type = Tensor) -> Any:
    """A method descriptor of a class.

    Parameters
    ----------
    function : callable
        Takes the long way; has the name and the documentation.
    code : int
        Address of the machine code.
    flags : int
        How Python calls it: METH_... of its C interface.
    operands : str
        Its parameters, for `inspect.signature`.
    owner : type
    """
    make = ctypes.pythonapi.PyDescr_NewMethod
    make.restype, make.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.POINTER(_Definition)]
    doc = f"{function.__name__}({operands})\n--\n\n{function.__doc__ or ''}"
    definition = _Definition(function.__name__.encode(), code, flags, doc.encode())
    _kept.append(definition)
    return make(owner, ctypes.byref(definition))
