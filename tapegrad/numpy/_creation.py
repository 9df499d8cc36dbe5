"""Creation functions that return tensors, and take tensors wherever NumPy takes numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..creation import from_numpy, tensor
from ..methods.standard import check_device
from ..primitives.core import BY_FUNCTION, lift, ops
from ..primitives.nesting import holds_tensor, joined
from ..primitives.shape import cast, expand_to, reshape_to
from ..tape.buffer import buffer_of
from ..tape.handle import Tensor
from ..tape.importing import import_array
from ..tape.record import renewed
from ..tape.state import local


def fillable(made: Tensor) -> Tensor:
    """Let a tensor be filled bit by bit, as arrays are: what a rule reads of it meanwhile is copied.

    In a function under transformation, writes spare what rules read, see `tapegrad.sparing`.
    """
    made = renewed(made)
    if not local.state.is_sparing():
        buffer_of(made).copies_reads = True
    return made


_IGNORED = {"order", "subok", "like"}
"""What says how memory is laid out, or what kind of array comes out."""


def _check(function: str, options: dict[str, Any]) -> None:
    """Refuse another device, and options that NumPy's function does not have."""
    check_device(options.pop("device", None))
    unknown = options.keys() - _IGNORED
    if unknown:
        raise TypeError(f"{function}() got an unexpected keyword argument {sorted(unknown)[0]!r}")


def array(object: Any, dtype: Any = None, *, copy: bool | None = True, ndmin: int = 0, **options: Any) -> Tensor:
    """A tensor of nested lists, of which any element may be a tensor.

    Parameters
    ----------
    object : array_like
        Numbers, arrays, tensors, and nested lists of these.
    dtype : dtype, optional
        By default, the elements' common one.
    copy : bool or None, default True
        None copies where it must, False nothing at all.
    ndmin : int, default 0
        Axes that the result has at least.
    **options
        ``order``, ``subok`` and ``like`` are taken and do nothing; ``device`` may be ``"cpu"``.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If the lists are ragged, `copy` is False and there is no way round a copy, or the device is another one.
    """
    _check("array", options)
    if copy is False:
        return _shared(object, dtype, ndmin)
    if isinstance(object, Tensor):
        made = lift(object) if dtype is None else lift(object, np.dtype(dtype))
        made = ops.copy(made) if copy and made is object else made
    elif isinstance(object, (list, tuple)) and holds_tensor(object):
        made = joined(object, dtype)
    else:
        made = tensor(object, dtype=dtype)
    missing = ndmin - made._spec.ndim
    made = reshape_to(made, (1,) * missing + made._spec.shape) if missing > 0 else made
    return made if made is object or not copy else fillable(made)


def _shared(object: Any, dtype: Any, ndmin: int) -> Tensor:
    """A tensor over the memory of a tensor or array."""
    there = object if isinstance(object, Tensor) else np.array(object, dtype=dtype, copy=False)
    if there.dtype != np.dtype(there.dtype if dtype is None else dtype):
        raise ValueError(f"copy=False, and dtype {there.dtype} cannot become {np.dtype(dtype)} without a copy")
    made = there if isinstance(there, Tensor) else from_numpy(there)
    return made[(None,) * (ndmin - made.ndim)] if ndmin > made.ndim else made


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, **options: Any) -> Tensor:
    """A tensor of nested lists; a tensor of the right dtype itself, unless a copy is asked for."""
    return array(a, dtype, copy=copy, **options)


asanyarray = ascontiguousarray = asarray


def copy(a: Any, order: str = "K", subok: bool = False) -> Tensor:
    """A copy, with the history."""
    return array(a)


def _shape(shape: Any) -> tuple[int, ...]:
    return (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)


def _filled(function: Callable[..., Any]) -> Callable[..., Tensor]:
    def make(shape: Any, dtype: Any = None, order: str = "C", **options: Any) -> Tensor:
        _check(function.__name__, options)
        return fillable(import_array(function(_shape(shape), float if dtype is None else dtype), copy=True))

    make.__name__ = make.__qualname__ = function.__name__
    make.__doc__ = f"`numpy.{function.__name__}`, as a tensor to be filled."
    return make


zeros, ones, empty = _filled(np.zeros), _filled(np.ones), _filled(np.empty)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **options: Any) -> Tensor:
    """`numpy.full`; the value may be a tensor."""
    _check("full", options)
    value = lift(fill_value) if dtype is None else lift(fill_value, np.dtype(dtype))
    return fillable(ops.copy(expand_to(value, _shape(shape))))


def _like(function: Callable[..., Any]) -> Callable[..., Tensor]:
    def make(
        a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
    ) -> Tensor:
        check_device(device)
        spec = asarray(a)._spec
        return function(spec.shape if shape is None else shape, spec.dtype if dtype is None else dtype)

    make.__name__ = make.__qualname__ = f"{function.__name__}_like"
    make.__doc__ = f"`numpy.{function.__name__}_like`, as a tensor to be filled."
    return make


zeros_like, ones_like, empty_like = _like(zeros), _like(ones), _like(empty)


def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """`numpy.full_like`; the value may be a tensor."""
    check_device(device)
    spec = asarray(a)._spec
    dtype = spec.dtype if dtype is None else np.dtype(dtype)
    return fillable(ops.copy(expand_to(cast(lift(fill_value), dtype), spec.shape if shape is None else _shape(shape))))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None, **options: Any) -> Tensor:
    """`numpy.eye`, as a tensor."""
    _check("eye", options)
    return fillable(import_array(np.eye(N, M, k, float if dtype is None else dtype), copy=True))


def identity(n: int, dtype: Any = None, **options: Any) -> Tensor:
    """`numpy.identity`, as a tensor."""
    return eye(n, dtype=dtype, **options)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = float, **options: Any) -> Tensor:
    """`numpy.tri`, as a tensor."""
    _check("tri", options)
    return import_array(np.tri(N, M, k, dtype), copy=True)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, **options: Any) -> Tensor:
    """`numpy.arange`, as a tensor; bounds that are tensors take part, their values decide the length."""
    _check("arange", options)
    if stop is None:
        start, stop = 0, start
    bounds = (start, stop, step)
    if not any(isinstance(a, Tensor) for a in bounds):
        return fillable(import_array(np.arange(*bounds, dtype=dtype), copy=True))
    from ..primitives.picking import _plain

    count = np.arange(*[_plain(a).item() for a in bounds]).size
    y = lift(start) + np.arange(count) * lift(step)
    return y if dtype is None else cast(y, np.dtype(dtype))


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: int = 0, *, device: Any = None,
) -> Any:  # fmt: skip
    """`numpy.linspace`, as a tensor."""
    check_device(device)
    return BY_FUNCTION[np.linspace](start, stop, num, endpoint, retstep, dtype, axis)


def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    """`numpy.indices`, as tensors."""
    if sparse:
        return tuple(map(import_array, np.indices(dimensions, dtype, sparse=True)))
    return import_array(np.indices(dimensions, dtype), copy=True)


def fromiter(iter: Any, dtype: Any, count: int = -1, **options: Any) -> Tensor:
    """`numpy.fromiter`, of numbers and tensors."""
    items = list(iter if count < 0 else itertools.islice(iter, count))
    if len(items) < count:
        raise ValueError(f"iterator too short: Expected {count} but iterator had only {len(items)} items.")
    return array(items, dtype, **options)


def ndenumerate(arr: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """`numpy.ndenumerate`: pairs of an index and the element there."""
    x = asarray(arr)
    return ((index, x[index]) for index in np.ndindex(*x._spec.shape))


def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """`numpy.fromfunction`, called with tensors of indices."""
    return function(*indices(_shape(shape), dtype), **kwargs)


class _Joiner:
    """`numpy.r_` and `numpy.c_`: arrays joined by indexing; slices are ranges, as in NumPy."""

    def __init__(self, plain: Any, columns: bool):
        self.plain, self.columns = plain, columns

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if not any(holds_tensor(p) for p in parts):
            return self.plain[key]
        if any(isinstance(p, str) for p in parts):
            raise NotImplementedError("r_ and c_: directives in text are not supported for tensors; use concatenate")
        made = [np.r_[p] if isinstance(p, slice) else asarray(p) for p in parts]
        if self.columns:
            return BY_FUNCTION[np.column_stack](made)
        return BY_FUNCTION[np.concatenate]([BY_FUNCTION[np.atleast_1d](p) for p in made])


r_, c_ = _Joiner(np.r_, False), _Joiner(np.c_, True)
