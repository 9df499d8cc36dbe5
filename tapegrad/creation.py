"""Making tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .primitives.nesting import holds_tensor
from .tape.buffer import Buffer
from .tape.current import new_tensor
from .tape.handle import Tensor
from .tape.memory import aligned_copy
from .tape.record import renewed
from .tape.spec import spec_of_array
from .tape.state import local
from .tape.subclasses import refuse_masked
from .values import TracedValueError, value_of

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "generator_of",
    "linspace",
    "logspace",
    "manual_seed",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "tensor",
    "zeros",
    "zeros_like",
]


def _make(array: ArrayLike, requires_grad: bool, escaped: bool = False) -> Tensor:
    array = np.asarray(array)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"a tensor holds numbers or booleans; this data has dtype {array.dtype}. Ragged lists and text cannot be "
            f"tensors"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if requires_grad:
        check_differentiable(array.dtype)
    made = new_tensor(None, 0, spec_of_array(array, requires_grad))
    made._memory = array
    made._leaf, made._made = requires_grad, True
    if requires_grad and local.state.forward is not None:
        local.state.forward.own(made)
    if local.state.inference:
        made._inference = True
    if escaped:
        made._buffer = Buffer()
        made._buffer.escaped = True
    return made if requires_grad or escaped else renewed(made)


def check_differentiable(dtype: np.dtype) -> None:
    """Refuse a dtype that has no derivative."""
    if dtype.kind not in "fc":
        raise RuntimeError(
            f"Only Tensors of floating point and complex dtype can require gradients, not {dtype.name}; "
            f"write 1.0 rather than 1, or convert with dtype=float"
        )


def tensor(
    data: ArrayLike | Tensor, dtype: DTypeLike | None = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A tensor with a copy of the data.

    Parameters
    ----------
    data : array_like or Tensor
        Nested lists of numbers, an array, a tensor (its values are copied, its history is not).
    dtype : dtype, optional
        By default as NumPy: float64 for Python floats, int64 for ints.
    requires_grad : bool
        Whether operations on it are recorded and ``backward()`` fills its ``grad``.
    device : str or Device, optional
        Where it stands: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``. By default where `data` does.

    Returns
    -------
    Tensor
        A leaf.

    Raises
    ------
    TypeError
        If the data are not numbers.
    RuntimeError
        If an integer or bool tensor is to require grad.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.tensor([1.0, 2.0], requires_grad=True)
    tensor([1., 2.], requires_grad=True)
    """
    if isinstance(data, Tensor):
        device = data._spec.device if device is None else device
        data = _values_alone(data)
    elif isinstance(data, (list, tuple)) and holds_tensor(data):
        data = _plain(data)
    refuse_masked(data)
    if type(data) is np.ndarray and dtype is None:
        values = aligned_copy(data)
    else:
        values = np.array(data, dtype=dtype, order="C", subok=False)
    made = _make(values, requires_grad)
    return made if device is None or device == "cpu" else _moved(made, device)


def _moved(made: Tensor, device: Any) -> Tensor:
    """A leaf with the values of a new one, on a device."""
    from .cuda import device_of

    place = device_of(device)
    if place is None:
        return made
    moved = place.tensor_over(place.upload(value_of(made)))
    if made._spec.requires_grad:
        moved._spec, moved._leaf = moved._spec.differentiable, True
    return moved


def _values_alone(data: Tensor) -> np.ndarray:
    """A tensor's values, with a word where that drops a history."""
    if data.requires_grad:
        remedy = "x.clone() keeps the history, x.detach().clone() drops it on purpose"
        if local.state.depth:
            raise TracedValueError(
                f"tensor(x) of a value that is being differentiated would lose its gradient: {remedy}"
            )
        warnings.warn(f"tensor(x) copies the values of x without its history: {remedy}", UserWarning, stacklevel=3)
    return value_of(data)


def _plain(data: Any) -> Any:
    if isinstance(data, Tensor):
        if data.requires_grad:
            raise TypeError(
                "tensor([...]) of values that require grad would lose their gradient: use np.stack([...]) or "
                "np.concatenate([...]), which keep it"
            )
        return value_of(data)
    return [_plain(x) for x in data] if isinstance(data, (list, tuple)) else data


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor over a NumPy array's own memory: writes to one are seen in the other.

    Parameters
    ----------
    array : numpy.ndarray
        Not copied.

    Returns
    -------
    Tensor
    """
    refuse_masked(array)
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy expects a numpy.ndarray, not {type(array).__name__}; use tensor(data)")
    if not array.dtype.isnative or not array.flags.aligned:
        raise ValueError("from_numpy needs native byte order and aligned memory; use tensor(array), which copies")
    return _make(array, False, escaped=True)


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        return tuple(shape[0])
    return shape


def zeros(*shape: int | Sequence[int], dtype: DTypeLike = float, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros; the shape as numbers or as one tuple."""
    return _make(np.zeros(_shape(shape), dtype), requires_grad)


def ones(*shape: int | Sequence[int], dtype: DTypeLike = float, requires_grad: bool = False) -> Tensor:
    """A tensor of ones; the shape as numbers or as one tuple."""
    return _make(np.ones(_shape(shape), dtype), requires_grad)


def empty(*shape: int | Sequence[int], dtype: DTypeLike = float, requires_grad: bool = False) -> Tensor:
    """A tensor whose elements are not set; the shape as numbers or as one tuple."""
    return _make(np.empty(_shape(shape), dtype), requires_grad)


def full(
    shape: int | Sequence[int], fill_value: ArrayLike, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one value."""
    return _make(np.full(shape, fill_value, dtype), requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Evenly spaced values in a half-open interval, as `numpy.arange`."""
    array = np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype=dtype)
    return _make(array, requires_grad)


def linspace(
    start: float | np.ndarray,
    stop: float | np.ndarray,
    num: int = 50,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`num` evenly spaced values from `start` to `stop`, as `numpy.linspace`."""
    return _make(np.linspace(start, stop, num, dtype=dtype), requires_grad)


def eye(n: int, m: int | None = None, dtype: DTypeLike = float, requires_grad: bool = False) -> Tensor:
    """The identity matrix."""
    return _make(np.eye(n, m, dtype=dtype), requires_grad)


_default = np.random.default_rng()
seeding: tuple = (None,)
"""The seed of random numbers on devices, in a tuple that is another one each time that it is set."""


def manual_seed(seed: int) -> np.random.Generator:
    """Seed the default generator of random numbers, and those of devices.

    Parameters
    ----------
    seed : int

    Returns
    -------
    numpy.random.Generator
        The default generator.
    """
    global _default, seeding
    _default = np.random.default_rng(seed)
    seeding = (seed,)
    return _default


def generator_of(rng: np.random.Generator | int | None) -> np.random.Generator:
    """A generator of random numbers: as given, from a seed, or the default one."""
    if rng is None:
        return _default
    return np.random.default_rng(rng)


def _drawn(device: Any, shape: Any, dtype: DTypeLike, requires_grad: bool, rng: Any, gaussian: bool) -> Tensor | None:
    """Random numbers that are made on a device; None if it is the host."""
    if device is None:
        return None
    from .cuda import device_of

    place = device_of(device)
    if place is None:
        return None
    from .cuda.random import draw

    made = draw(place, _shape(shape), np.dtype(dtype), rng, gaussian)
    return made.requires_grad_(requires_grad)


def rand(
    *shape: int | Sequence[int],
    dtype: DTypeLike = float,
    requires_grad: bool = False,
    rng: np.random.Generator | int | None = None,
    device: Any = None,
) -> Tensor:
    """Uniform random numbers in [0, 1), from `rng` (a `numpy.random.Generator`, a seed, or None: see `manual_seed`).

    On a `device` they are made there, and are others than on the host.
    """
    made = _drawn(device, shape, dtype, requires_grad, rng, False)
    if made is not None:
        return made
    values = generator_of(rng).random(_shape(shape)).astype(dtype)
    return _make(values, requires_grad)


def randn(
    *shape: int | Sequence[int],
    dtype: DTypeLike = float,
    requires_grad: bool = False,
    rng: np.random.Generator | int | None = None,
    device: Any = None,
) -> Tensor:
    """Standard normal random numbers, from `rng` (a `numpy.random.Generator`, a seed, or None: see `manual_seed`).

    On a `device` they are made there, and are others than on the host.
    """
    made = _drawn(device, shape, dtype, requires_grad, rng, True)
    if made is not None:
        return made
    values = np.asarray(generator_of(rng).standard_normal(_shape(shape))).astype(dtype)
    return _make(values, requires_grad)


def _like(make: Callable) -> Callable[..., Tensor]:
    def like(x: ArrayLike | Tensor, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
        spec = x._spec if isinstance(x, Tensor) else spec_of_array(np.asarray(x))
        return _make(make(spec.shape, dtype or spec.dtype), requires_grad)

    like.__name__ = make.__name__ + "_like"
    like.__doc__ = f"`{make.__name__}` in the shape and dtype of another tensor."
    return like


zeros_like, ones_like, empty_like = _like(np.zeros), _like(np.ones), _like(np.empty)


def full_like(
    x: ArrayLike | Tensor, fill_value: ArrayLike, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one value in the shape and dtype of another tensor."""
    spec = x._spec if isinstance(x, Tensor) else spec_of_array(np.asarray(x))
    return full(spec.shape, fill_value, dtype or spec.dtype, requires_grad)


def rand_like(
    x: ArrayLike | Tensor,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    rng: np.random.Generator | int | None = None,
) -> Tensor:
    """`rand` in the shape and dtype of another tensor."""
    spec = x._spec if isinstance(x, Tensor) else spec_of_array(np.asarray(x))
    return rand(spec.shape, dtype=dtype or spec.dtype, requires_grad=requires_grad, rng=rng, device=spec.device)


def randn_like(
    x: ArrayLike | Tensor,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    rng: np.random.Generator | int | None = None,
) -> Tensor:
    """`randn` in the shape and dtype of another tensor."""
    spec = x._spec if isinstance(x, Tensor) else spec_of_array(np.asarray(x))
    return randn(spec.shape, dtype=dtype or spec.dtype, requires_grad=requires_grad, rng=rng, device=spec.device)


def randint(
    low: int,
    high: int | Sequence[int] | None = None,
    size: int | Sequence[int] | None = None,
    dtype: DTypeLike = int,
    rng: np.random.Generator | int | None = None,
) -> Tensor:
    """Random integers from `low` (or 0) up to, not including, `high`: ``randint(high, size)`` or with both bounds."""
    if not isinstance(high, (int, np.integer)):
        low, high, size = 0, low, high if size is None else size
    return _make(generator_of(rng).integers(low, high, () if size is None else size).astype(dtype), False)


def randperm(n: int, dtype: DTypeLike = int, rng: np.random.Generator | int | None = None) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    return _make(generator_of(rng).permutation(n).astype(dtype), False)


def logspace(
    start: float,
    stop: float,
    num: int = 50,
    base: float = 10.0,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`num` values from ``base ** start`` to ``base ** stop``, evenly spaced in the exponent."""
    return _make(np.logspace(start, stop, num, base=base, dtype=dtype), requires_grad)


def as_tensor(data: ArrayLike | Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """The data as a tensor without a copy where possible: a tensor as it is, an array's own memory, else a copy."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.astype(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == dtype):
        if data.dtype.isnative and data.flags.aligned and data.dtype.kind in "biufc":
            return from_numpy(data)
    return tensor(data, dtype)
