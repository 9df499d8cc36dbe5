"""The dispatch table: how each record runs on a device.

A record's row is one of

- *fused*: a scalar function, put into a launch together with its neighbours;
- *kernel*: a launcher of its own, registered by `kernel`;
- *composed*: its definition in terms of other records, as the host's lowering has it, run on the device;
- *view*: no work at all, another look at the same memory;
- *fallback*: computed by the host, on copies, with one warning;
- *refused*: no meaning on a device.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..tape.spec import spec_of
from ..tape.state import grad_mode
from ..vm import opcodes as op
from . import scalars
from .elementwise import KERNEL_DTYPES, Step, function_of, launch_fused
from .kernels import copy_into
from .memory import DeviceArray
from .spec import on

__all__ = [
    "FAMILIES",
    "HostFallbackWarning",
    "LAUNCHERS",
    "REFUSED",
    "entry",
    "in_double",
    "kernel",
    "operand",
    "run_alone",
    "steps_of",
]

LAUNCHERS: dict[str, Callable] = {}
"""Functions ``(device, row, arrays, **attrs)`` that compute a record's result, or return None if they cannot."""

REFUSED = {
    "isnat": "dates are no numbers: tensors do not hold them",
    "external": "a function of the user's own is called with arrays of the host",
}
"""Records without a meaning on a device, with the reason."""

WIDE = {char: np.dtype(np.int64) for char in "bBhHiI"}
"""Dtypes that launchers meet as another one: kernels that are no fused rows are not compiled for them."""
SINGLE_COMPLEX = ("sum", "matmul", "gather", "scatter_add", "cumsum", "solve")
"""Records whose launchers take complex64 as it is."""
SHARED = ("sort", "argsort", "argpartition", "cumsum", "cumprod", "linear_scan", "matmul")
"""Records whose kernels have shared memory of their operands' dtype, of which there is none for truth values."""

FAMILIES = (
    "reductions",
    "scans",
    "indexing",
    "sorting",
    "products",
    "arranging",
    "windows",
    "linear",
    "fourier",
    "several",
)
"""Modules that register launchers."""


class HostFallbackWarning(UserWarning):
    """An operation has no kernel: its operands are copied to the host, and its result back."""


def kernel(*names: str) -> Callable:
    """Register a launcher for records."""

    def register(launcher: Callable) -> Callable:
        for name in names:
            LAUNCHERS[name] = launcher
        return launcher

    return register


def load() -> None:
    """Import the families, so that every launcher is registered."""
    for name in FAMILIES:
        importlib.import_module(f"{__package__}.{name}")


# --- rows as steps ---------------------------------------------------------------------------------------------------


def steps_of(row: Any) -> list | None:
    """A row as steps of a fused kernel ``(name, places, kinds, dtype)``; None if it is none."""
    record, out = row.primitive, row.out.dtype
    kinds = tuple([s.dtype for s in row.specs])
    if record.name == "astype":
        return _conversion(kinds[0], out)
    if not (record.elementwise or record.name in ("real", "imag", "exponent")):
        return None
    if record.name in scalars.DOUBLE:
        return in_double(record.name, kinds, out)
    if function_of(record.name, kinds, out) is not None:
        return [(record.name, tuple(range(len(kinds))), kinds, out)]
    return None


def in_double(name: str, kinds: tuple[np.dtype, ...], out: np.dtype) -> list | None:
    """A function of double numbers between conversions, where there are others, as steps; None if it has none."""
    double = np.dtype(float)
    if any(d.kind == "c" for d in kinds) or any(d.char not in KERNEL_DTYPES for d in (*kinds, out)):
        return None
    made = np.dtype(complex) if out.kind == "c" else double
    steps: list = []
    places = []
    for k, kind in enumerate(kinds):
        places.append(k if kind == double else len(kinds) + len(steps))
        if kind != double:
            steps.append(("copy", (k,), (kind,), double))
    steps.append((name, tuple(places), (double,) * len(kinds), made))
    if out != made:
        steps.append(("copy", (len(kinds) + len(steps) - 1,), (made,), out))
    return steps


def _conversion(given: np.dtype, out: np.dtype) -> list | None:
    if out.kind == "b" and given.kind != "b":
        name, middle = "truth", out
    elif given.kind == "c" and out.kind != "c":
        name, middle = "real", np.dtype(given.char.lower())
    else:
        name, middle = "copy", out
    if function_of(name, (given,), middle) is None or function_of("copy", (middle,), out) is None:
        return None
    steps: list = [(name, (0,), (given,), middle)]
    if middle != out:
        steps.append(("copy", (1,), (middle,), out))
    return steps


# --- rows by themselves ----------------------------------------------------------------------------------------------


def run_alone(tape: Any, slot: int, row: Any, operands: list[int]) -> None:
    """Run a row that is in no group."""
    values = [tape.values[k] for k in operands]
    device, name = tape.device, row.primitive.name
    if name == "to_device":
        tape.values[slot] = device.upload(values[0])
    elif name == "to_host":
        tape.values[slot] = values[0].to_host()
    elif row.kind == op.WRITE:
        tape.values[slot] = values[0]
        _write(device, row, values)
    else:
        tape.values[slot] = compute(device, row.primitive, row.attrs, values, row.out)


def operand(device: Any, value: Any) -> Any:
    """A row's value as an elementwise kernel takes it: an array of the device, or a number."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size and not any(value.strides):  # a number, or one that was spread over a shape
        return value[(0,) * value.ndim]
    return device.upload(value)


def _write(device: Any, row: Any, values: list) -> None:
    """Write a row's result into the memory of its first operand."""
    target, values = values[0], values[1:]
    inner = _Row(row.primitive.inner, row.specs[1:], row.out, row.attrs)
    steps = steps_of(inner)
    if steps is None:
        copy_into(target, compute(device, inner.primitive, inner.attrs, values, inner.out))
        return
    made = [Step(*s) for s in steps]
    given = [operand(device, v) for v in values]
    launch_fused(device, made, given, [(len(given) + len(made) - 1, target)], target.shape)


class _Row:
    """What is asked of a row: its record, operand types, result type and attributes."""

    def __init__(self, primitive: Any, specs: Any, out: Any, attrs: dict):
        self.primitive, self.specs, self.out, self.attrs = primitive, specs, out, attrs


def compute(device: Any, record: Any, attrs: dict, values: list, out: Any) -> DeviceArray:
    """The result of a record on arrays (host numbers among them), in memory of its own."""
    load()
    arrays = [device.upload(v) if isinstance(v, np.ndarray) else v for v in values]
    launcher = LAUNCHERS.get(record.name)
    if launcher is not None:
        made = _launched(launcher, device, record, attrs, arrays, out)
        if made is not None:
            return made
    definition = definition_of(record, out, arrays, attrs)
    if definition is not None:
        return composed(device, definition, arrays)
    return on_host(device, record, attrs, arrays, out)


def _launched(launcher: Callable, device: Any, record: Any, attrs: dict, arrays: list, out: Any) -> Any:
    """What a launcher makes; at dtypes that it has no kernels for, of copies in the widest dtype of the kind."""
    wide = WIDE if record.name in SINGLE_COMPLEX else {**WIDE, "F": np.dtype(complex)}
    wide = {**wide, "?": np.dtype(np.int64)} if record.name in SHARED else wide
    kinds = [a.dtype.char for a in arrays if isinstance(a, DeviceArray)]
    if not any(char in wide for char in (*kinds, out.dtype.char)):
        return launcher(device, out, arrays, **attrs)
    given = [_converted(a, wide[a.dtype.char]) if a.dtype.char in wide else a for a in arrays]
    dtype = wide.get(out.dtype.char)
    made = launcher(device, out if dtype is None else on(device, spec_of(out.shape, dtype)), given, **attrs)
    return made if made is None or dtype is None else _converted(made, out.dtype)


def _converted(x: Any, dtype: np.dtype) -> Any:
    """An array, or a number, in another dtype."""
    if not isinstance(x, DeviceArray):
        return x.astype(dtype)
    made = x.device.empty(spec_of(x.shape, dtype))
    copy_into(made, x)
    return made


def composed(device: Any, definition: Callable, arrays: list) -> DeviceArray:
    """The result of a function of tensors, by a tape of its own."""
    with device.scratch(), grad_mode(False), device.rules():
        result = definition(*[device.tensor_over(a) for a in arrays])
        made = device.array_of(result)
        return made.copy() if not made.spec.contiguous or any(made.block is a.block for a in arrays) else made


class _Asked:
    """Takes the place of the host's emitter, to learn how a record is put together from others."""

    definition: Callable | None = None
    flags = 0
    first_temp = 0

    def __init__(self) -> None:
        self.words: list = []
        self.temps: list = []

    def take(self, function: Callable) -> None:
        """What `lower.compose` would lower."""
        self.definition = function

    def __getattr__(self, name: str) -> Callable:
        def ignore(*args: Any, **kwargs: Any) -> int:
            return 0

        return ignore


def definition_of(record: Any, out: Any, arrays: list, attrs: dict) -> Callable | None:
    """A record in terms of others, as the host's lowering has it; None if it has none."""
    asked = _Asked()
    try:
        record.kernel(asked, (0, out.host.plain), [(k + 1, a.spec) for k, a in enumerate(arrays)], attrs)
    except Exception:  # a kernel that needs a real emitter has no definition
        return None
    return asked.definition


_warned: set[str] = set()


def on_host(device: Any, record: Any, attrs: dict, arrays: list, out: Any) -> DeviceArray:
    """The result by the host, on copies; says so once for each record."""
    if record.name in REFUSED:
        raise TypeError(f"{record.name} cannot run on {device}: {REFUSED[record.name]}; use x.cpu()")
    if record.name not in _warned:
        _warned.add(record.name)
        warnings.warn(
            f"{record.name} has no kernel for {device} at {', '.join(a.dtype.name for a in arrays)}: its operands are "
            f"copied to the host and its result back, each time",
            HostFallbackWarning,
            stacklevel=2,
        )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # on the host the loops themselves run, which say nothing
        result = record.compute(*[a.to_host() for a in arrays], **attrs)
    return device.upload(np.asarray(result).astype(out.dtype, copy=False).reshape(out.shape))


# --- the table -------------------------------------------------------------------------------------------------------

_WITHOUT_KERNEL = {
    "eig_packed eigh_packed eigvals svd_packed pinv": (
        "LAPACK iterates until a matrix is diagonal; no kernel does, whose threads would wait for the slowest matrix"
    ),
    "qr_packed lu_packed lu_pivots": "LAPACK's decomposition; kernels eliminate only for solve, inv, det and cholesky",
    "expm logm sqrtm": "a function of matrices by SciPy, which chooses its order by their norms",
    "csr_matmul": "a sparse product by SciPy: its rows are of unequal length",
    "combine_at": "extrema and products at repeated places, for which there are no atomic operations on all dtypes",
    "mode_index": "counts equal values, which needs them in a table whose size depends on them",
    "plain_matvec plain_vecdot plain_vecmat ufunc_method": "NumPy's own functions, which are not used on a GPU",
    "recursion": "a filter whose every element needs the one before it",
    "mathieu_a mathieu_b mathieu_cem mathieu_sem mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2": (
        "expansions by the eigenvectors of a matrix whose size depends on the operands"
    ),
    (
        "pro_cv obl_cv pro_ang1 pro_rad1 pro_rad2 obl_ang1 obl_rad1 obl_rad2 pro_ang1_cv pro_rad1_cv pro_rad2_cv "
        "obl_ang1_cv obl_rad1_cv obl_rad2_cv"
    ): "expansions by the eigenvectors of a matrix whose size depends on the operands",
    "pbdv pbvv pbwa": "expansions whose choice and length depend on order and argument",
    "hankel1 hankel1e hankel2 hankel2e": "Bessel functions of complex arguments; kernels have those of real ones",
    "lambertw": "branches of a function of complex numbers; kernels have `wrightomega`, of real ones",
    "chndtridf ncfdtridfd": (
        "searches for a parameter where there may be none or several; SciPy's own gives the end of its range"
    ),
}
"""Records that the host computes, and why."""
UNKNOWN = "no kernel was made for it"
"""Of records that are not tapegrad's own."""
_VIEWS = {"view", "broadcast_to", "track", "detach", "copy_slices"}


def entry(record: Any) -> tuple[str, str]:
    """How a record runs on a device, and the reason where it does not run there.

    Returns
    -------
    state : str
        ``"fused"``, ``"kernel"``, ``"composed"``, ``"view"``, ``"fallback"`` or ``"refused"``.
    note : str
    """
    load()
    name = record.name
    if name in REFUSED:
        return "refused", REFUSED[name]
    if name in _VIEWS:
        return "view", ""
    if name == "astype" or _has_scalar(record):
        return "fused", ""
    if name in LAUNCHERS:
        return "kernel", ""
    if _has_definition(record):
        return "composed", ""
    return "fallback", _reason(record)


def _reason(record: Any) -> str:
    """Why a record has no kernel."""
    for names, reason in _WITHOUT_KERNEL.items():
        if record.name in names.split():
            return reason
    return UNKNOWN


def _has_scalar(record: Any) -> bool:
    return any((record.name, kind) in scalars.SCALARS for kind in "fciub")


def _has_definition(record: Any) -> bool:
    samples = record.samples() if callable(record.samples) else record.samples
    for sample in samples:
        operands, attrs = sample if len(sample) == 2 and isinstance(sample[1], dict) else (sample, {})
        arrays = [np.asarray(x) for x in operands]
        specs = [_spec(a) for a in arrays]
        out, _ = record.infer(tuple(specs), attrs)
        if definition_of(record, out, [_Like(s) for s in specs], attrs) is not None:
            return True
    return False


def _spec(array: np.ndarray) -> Any:
    return spec_of(array.shape, array.dtype)


class _Like:
    def __init__(self, spec: Any):
        self.spec = spec
