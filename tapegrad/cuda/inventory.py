"""Every kernel that there is: records run on a device that takes notes and computes nothing.

So what is listed is what would be launched, with the types of its arguments; a kernel that no record uses is not there.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..primitives import scipy_loader
from ..primitives.core import RECORDS, Elementwise, Primitive
from ..primitives.domain import EVERYWHERE, Integers
from ..tape.handle import Tensor
from ..tape.viewing import record_view
from ..vm import opcodes as op
from . import random, reductions, sorting
from .device import Device
from .driver import StandIn
from .elementwise import Step, fused_function
from .interpreter import INSTRUCTIONS, interpreter
from .scalars import DOUBLE
from .table import LAUNCHERS, SINGLE_COMPLEX, HostFallbackWarning, entry
from .variants import variant

__all__ = ["Entry", "inventory"]

FLOATS, COMPLEX, INTEGERS = "df", "DF", "lLiIhHbB?"
TOGETHER = 8
"""Steps of a compilation of several records at once, for dtypes that few programs use."""
LONG = 3000
"""Elements of an axis that one block of threads neither reduces nor sorts alone."""


@dataclass
class Entry:
    """A kernel, with the types that it is called with.

    Attributes
    ----------
    name : str
        Of the record that launches it first, and of the kernel where that is another.
    function : function
    types : tuple
        A dtype for a number, ``("array", dtype)`` for memory.
    fused : bool
        Whether it is an elementwise kernel.
    dtype : str
        Of the record's operands.
    users : set of str
        All records that launch it.
    """

    name: str
    function: Any
    types: tuple
    fused: bool
    dtype: str
    users: set[str]


class _Notes(StandIn):
    """A device that writes down what it is to launch."""

    max_threads, max_blocks, tile, granularity = 256, 1024, 16, 1

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple] = []

    def allocate(self, nbytes: int) -> Any:
        """Zeros: places that are never out of range."""
        return np.zeros(nbytes, np.uint8)

    def kernel(self, function: Any) -> Any:
        """The function itself."""
        return function

    def launch(self, kernel: Any, grid: tuple, block: tuple, args: tuple, stream: Any = None) -> None:
        """Write it down."""
        types = tuple([("array", a.dtype) if isinstance(a, np.ndarray) else np.asarray(a).dtype for a in args])
        self.found.append((kernel, types))


@functools.cache
def inventory(names: tuple[str, ...] = ()) -> list[Entry]:
    """All kernels of some records (by default, of all) at the dtypes that they are made for.

    Parameters
    ----------
    names : tuple of str, optional

    Returns
    -------
    list of Entry
        Each kernel once at the same types.
    """
    with contextlib.suppress(ImportError):  # without SciPy its records are not there
        scipy_loader.load()
    driver = _Notes()
    device = Device(0, driver)
    device.interprets = False
    known: dict[tuple, Entry] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", HostFallbackWarning)
        for name in names or sorted(RECORDS):
            state, _ = entry(RECORDS[name])
            if state not in ("fused", "kernel", "composed"):
                continue
            for char, operands, attrs in _cases(RECORDS[name]):
                driver.found.clear()
                for device.deterministic in (False, True):
                    _run(device, RECORDS[name], operands, attrs)
                for function, types in driver.found:
                    label = name if function.__name__ == "fused" else f"{name}: {function.__name__}"
                    made = Entry(label, function, types, function.__name__ == "fused", char, set())
                    known.setdefault((function, types), made).users.add(name)
    others = [] if names else [*_interpreters(driver.max_threads), *_random_numbers()]
    return _joined(list(known.values())) + others


def _random_numbers() -> list[Entry]:
    """The kernels that make random numbers."""
    word, place = np.dtype(np.uint64), np.dtype(np.int64)
    found = []
    for function in (random.uniform, random.normal):
        for char in FLOATS:
            kernel = variant(function, **random.names(np.dtype(char)))
            types = (place, word, word, word, ("array", np.dtype(char)), place)
            found.append(Entry(f"random numbers: {function.__name__}", kernel, types, False, char, set()))
    return found


def _interpreters(threads: int) -> list[Entry]:
    """The kernels that run programs."""
    count = np.dtype(np.int64)
    code = ("array", count), count
    known = []
    for name, numbers, wide in (("interpret", 1, False), ("interpret", 1, True), ("interpret_elements", 2, False)):
        for char in FLOATS:
            function = interpreter(name, np.dtype(char), threads, wide)
            users = {n for n in INSTRUCTIONS if n in RECORDS}
            label = f"program: {name}{' by a whole grid' if wide else ''}"
            known.append(Entry(label, function, ((count,) * numbers) + code, False, char, users))
    return known


def _joined(entries: list[Entry]) -> list[Entry]:
    """Elementwise kernels of integers and complex numbers put together, as a group of rows would be.

    Each is compiled in the company of others: that takes the compiler a fraction of the time.
    """
    kept = []
    groups: dict[str, list[Entry]] = {}
    for e in entries:
        alone = not e.fused or e.dtype in FLOATS or e.function.plan[3] > 1 or len(e.function.plan[0]) > 1
        if alone or "number" in e.function.plan[1] or "" in e.function.plan[4]:
            kept.append(e)
        else:
            groups.setdefault(e.dtype, []).append(e)
    for dtype, members in groups.items():
        for k in range(0, len(members), TOGETHER):
            kept.append(_together(members[k : k + TOGETHER], dtype))
    return kept


def _together(members: list[Entry], dtype: str) -> Entry:
    steps: list[Step] = []
    units_in: list[str] = []
    units_out: list[str] = []
    count = sum(len(e.function.plan[1]) for e in members)
    first = 0
    types_in: list = []
    types_out: list = []
    for e in members:
        (step,), inputs, _, _, units = e.function.plan
        steps.append(Step(step.name, tuple([first + p for p in step.operands]), step.kinds, step.dtype))
        units_in += units[: len(inputs)]
        units_out += units[len(inputs) :]
        for kind in step.kinds:
            types_in += [("array", kind), np.dtype(np.int64)]
        types_out += [("array", step.dtype), np.dtype(np.int64)]
        first += len(inputs)
    places = tuple(range(count, count + len(steps)))
    function = fused_function(tuple(steps), ("array",) * count, places, 1, tuple(units_in + units_out))
    name = ", ".join(e.name for e in members)
    users = set().union(*[e.users for e in members])
    return Entry(name, function, (np.dtype(np.int64), *types_in, *types_out), True, dtype, users)


def _run(device: Device, record: Primitive, operands: list, attrs: dict) -> None:
    try:
        tensors = [device.tensor_over(device.upload(x)) for x in operands]
        made = _applied(record, tensors, attrs)
        if isinstance(made, Tensor) and made._tape is not None:
            made._tape.flush()
    except Exception:  # a dtype that the record refuses, or values that zeros cannot stand for
        device.leave(device.tape_of(None))


def _applied(record: Any, tensors: list, attrs: dict) -> Any:
    if record.kind in (op.WINDOW, op.VIEW):
        (x,) = tensors
        return record_view(record, x, tuple(sorted(attrs.items())), attrs.get("offset", 0))
    return record(*tensors, **attrs)


def _cases(record: Any) -> Iterator[tuple[str, list, dict]]:
    """Operands of a record at each dtype: one case for ufuncs, the record's samples for the others."""
    if isinstance(record, Elementwise) and record.probes is not None:
        yield from _of_ufunc(record)
        return
    for operands, attrs in _samples(record):
        arrays = [np.asarray(x) for x in operands]
        floating = [a.dtype.kind == "f" for a in arrays]
        chars = "d" if record.name in DOUBLE or f"{record.name} 0" in DOUBLE else FLOATS + "DlL?"
        for char in chars + ("F" if record.name in SINGLE_COMPLEX else ""):
            given = [a.astype(char) if f else a for a, f in zip(arrays, floating, strict=True)]
            if any(floating) or char == "d":
                yield char, given, attrs


def _samples(record: Any) -> Iterator[tuple[tuple, dict]]:
    """A record's samples; of reductions and sorts, one more that is too long for a thread, or a block."""
    attrs: dict = {}
    for sample in record.samples() if callable(record.samples) else record.samples:
        operands, attrs = sample if len(sample) == 2 and isinstance(sample[1], dict) else (sample, {})
        yield operands, attrs
    long = getattr(LAUNCHERS.get(record.name), "__module__", "") in (reductions.__name__, sorting.__name__)
    if long and "axis" in attrs:
        yield (np.ones((2, LONG)),), attrs | {"axis": (1,) if isinstance(attrs["axis"], tuple) else 1}


def _of_ufunc(record: Any) -> Iterator[tuple[str, list, dict]]:
    count = getattr(record.function, "nin", 1)
    domain = record.domain or EVERYWHERE
    domains = domain if isinstance(domain, tuple) else (domain,) * count
    for char in FLOATS + COMPLEX + INTEGERS:
        kinds = [np.dtype("l") if isinstance(d, Integers) and char in FLOATS else np.dtype(char) for d in domains]
        try:
            loop = record.resolve(tuple(kinds))
        except TypeError:
            continue
        if record.name in DOUBLE and char != "d":
            continue  # the same function between conversions
        if loop[0].char == char or any(isinstance(d, Integers) for d in domains):
            yield char, [np.ones(5, d) for d in kinds], {}
    if record.name in ("add", "multiply", "exp"):
        for shape in ((2, 3), (2, 3, 4)):
            given = [np.ones(shape).T if k == 0 else np.ones(shape[::-1]) for k in range(count)]
            yield "d", given, {}
