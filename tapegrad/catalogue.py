"""What of NumPy and SciPy works on tensors: a catalogue made from their namespaces and from the primitives' records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from .primitives.core import BY_FUNCTION, RECORDS, ZERO, Primitive

__all__ = ["Entry", "entries", "support"]

CONSTANT = "no derivative: constant almost everywhere"
WITHOUT_GRADIENT = "no derivative: the result is no floating array"
_NOT_FLOATING = """
    all any allclose argmax argmin argpartition argsort argwhere array_equal array_equiv can_cast common_type
    count_nonzero digitize flatnonzero isclose iscomplex iscomplexobj isneginf isposinf isreal isrealobj
    nanargmax nanargmin ndim nonzero result_type searchsorted shape size
""".split()
_CONSTANT = "around empty_like fix ones_like round zeros_like".split()

NOT_ON_TENSORS: dict[str, str] = {
    "makes arrays: tapegrad.numpy has it, and lets tensors take part": """
        arange array asanyarray asarray asarray_chkfinite ascontiguousarray asfortranarray empty eye fromfunction
        fromiter full identity indices ones require tri zeros
    """,
    "makes arrays of constants": """
        bartlett blackman diag_indices hamming hanning kaiser mask_indices tril_indices triu_indices fftfreq rfftfreq
    """,
    "reads files, memory or text": """
        from_dlpack frombuffer fromfile fromregex fromstring genfromtxt load loadtxt
    """,
    "makes matrices, which NumPy advises against": "asmatrix bmat",
    "is about dtypes, shapes or text, not about values": """
        base_repr binary_repr broadcast_shapes datetime_data format_float_positional format_float_scientific isdtype
        isfortran isscalar issubdtype iterable mintypecode promote_types typename
    """,
    "makes functions or iterators": "frompyfunc nested_iters",
    "is about settings or NumPy itself": """
        get_include get_printoptions getbufsize geterr geterrcall info printoptions set_printoptions setbufsize seterr
        seterrcall show_config show_runtime test
    """,
    "is deprecated in NumPy": "row_stack",
}
"""Functions that never meet a tensor, by the reason."""


@dataclass(frozen=True)
class Entry:
    """One function of a namespace.

    Attributes
    ----------
    name : str
        With its namespace, such as ``numpy.linalg.solve``.
    state : str
        ``"supported"``, ``"no derivative"``, ``"refused"``, ``"not on tensors"`` or ``"missing"``.
    note : str
        The reason, where the state is not ``"supported"``.
    cuda : str
        How it runs on a GPU: ``"fused"``, ``"kernel"``, ``"composed"``, ``"view"``, ``"fallback"`` (by the host),
        ``"refused"``, or nothing where it never meets a tensor.
    cuda_note : str
        The reason, where the GPU does not compute it.
    """

    name: str
    state: str
    note: str = ""
    cuda: str = ""
    cuda_note: str = ""


def _on_cuda(name: str, function: Callable[..., Any]) -> tuple[str, str]:
    """How a function runs on a GPU, and why not: as the record of its name does, or by several records."""
    from .cuda.table import entry

    handler: Any = BY_FUNCTION.get(function)
    record = getattr(handler, "record", handler)
    if handler is not None and not isinstance(record, Primitive):
        record = RECORDS.get(name) or RECORDS.get(f"{name}_packed")
    if isinstance(record, Primitive):
        return entry(record)
    if handler is None:
        return "", ""
    plain = getattr(handler, "plain", False)
    return ("fallback", "NumPy's own function computes it, on copies") if plain else ("composed", "")


def _state_of(name: str, function: Callable[..., Any]) -> tuple[str, str]:
    handler: Any = BY_FUNCTION.get(function)
    if handler is None:
        for reason, names in NOT_ON_TENSORS.items():
            if name in names.split():
                return "not on tensors", reason
        return "missing", "no rule for tensors"
    record = getattr(handler, "record", handler)
    if isinstance(record, Primitive):
        if record.derivative is ZERO:
            return "no derivative", CONSTANT
        if isinstance(record.derivative, str):
            return "refused", record.derivative
        return "supported", ""
    if getattr(handler, "plain", False) or name in _NOT_FLOATING:
        return "no derivative", WITHOUT_GRADIENT
    return ("no derivative", CONSTANT) if name in _CONSTANT else ("supported", "")


def functions_of(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions of a namespace, without classes, each under its first name."""
    seen = set()
    for name in sorted(vars(module)):
        function = getattr(module, name)
        if name.startswith("_") or not callable(function) or isinstance(function, type) or id(function) in seen:
            continue
        seen.add(id(function))
        yield name, function


def entries() -> list[Entry]:
    """The catalogue: every function of `numpy`, `numpy.linalg` and `numpy.fft`, every ufunc of `scipy.special`.

    Returns
    -------
    list of Entry
        Sorted by namespace and name. SciPy's are missing where it is not installed.
    """
    try:
        from scipy import special
    except ImportError:
        special = None
    else:
        from .primitives.scipy_loader import load

        load()
    found = []
    for module in (np, np.linalg, np.fft):
        for name, function in functions_of(module):
            found.append(Entry(f"{module.__name__}.{name}", *_state_of(name, function), *_on_cuda(name, function)))
    for name, function in functions_of(special) if special is not None else ():
        if isinstance(function, np.ufunc):
            found.append(Entry(f"scipy.special.{name}", *_state_of(name, function), *_on_cuda(name, function)))
    return found


def _line(e: Entry) -> str:
    here = f"{e.name}: {e.state}" + (f" ({e.note})" if e.note else "")
    return here + (f"; cuda: {e.cuda}" if e.cuda else "") + (f" ({e.cuda_note})" if e.cuda_note else "")


def support(name: str | None = None) -> str:
    """What works on tensors, as text.

    Parameters
    ----------
    name : str, optional
        A part of a function's name; without it, a table of counts by namespace.

    Returns
    -------
    str

    Examples
    --------
    >>> import tapegrad as tg
    >>> print(tg.support("linalg.inv"))
    numpy.linalg.inv: supported; cuda: kernel
    """
    found = entries()
    if name is not None:
        return "\n".join(_line(e) for e in found if name in e.name)
    return "\n".join(
        [
            *_counts(found, "state", ("supported", "no derivative", "refused", "not on tensors", "missing")),
            "",
            "On a GPU:",
            "",
            *_counts(found, "cuda", ("fused", "kernel", "composed", "view", "fallback", "refused")),
        ]
    )


def _counts(found: list[Entry], what: str, states: tuple[str, ...]) -> list[str]:
    """Lines of a table: how many functions of each namespace are in each state."""
    rows = ["| namespace | " + " | ".join(states) + " | all |", "| --- |" + " ---: |" * (len(states) + 1)]
    for module in ("numpy", "numpy.linalg", "numpy.fft", "scipy.special"):
        own = [e for e in found if e.name.rpartition(".")[0] == module and getattr(e, what)]
        counts = [sum(getattr(e, what) == s for e in own) for s in states]
        rows.append(f"| {module} | " + " | ".join(map(str, counts)) + f" | {len(own)} |")
    return rows
