"""Checking derivatives against finite differences, with a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optree

from .functional import grad, jvp
from .tape.handle import Tensor
from .values import value_of

__all__ = ["Disagreement", "check_grads"]

MOST = 24
"""Entries of an argument that are tried; of larger ones, that many are drawn."""


@dataclass(frozen=True)
class Disagreement:
    """A derivative that differs from finite differences.

    Attributes
    ----------
    order : int
    mode : str
        ``"fwd"`` or ``"rev"``.
    argument : int
        Number of the argument (of its leaves, where it is a container).
    entry : tuple of int
    found, expected : float
    part : str
        ``"real"`` or ``"imaginary"`` of complex arguments.
    """

    order: int
    mode: str
    argument: int
    entry: tuple[int, ...]
    found: float
    expected: float
    part: str = ""

    def __str__(self) -> str:
        part = f", {self.part} part" if self.part else ""
        place = f"argument {self.argument}{part}" + (f", entry {list(self.entry)}" if self.entry else "")
        error = abs(self.found - self.expected)
        return (
            f"order {self.order}, mode {self.mode}, {place}: {self.found:.10g}, finite differences "
            f"{self.expected:.10g} (error {error:.2g})"
        )


def check_grads(
    f: Callable,
    args: Sequence[Any],
    order: int = 1,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float = 1e-6,
    rtol: float = 1e-5,
    eps: float | None = None,
) -> None:
    """Compare a function's derivatives with central differences.

    Parameters
    ----------
    f : callable
        Of floating or complex arrays, or containers of such; returns arrays or a container of such.
    args : tuple
    order : int, default 1
        Up to which derivative.
    modes : sequence of {"fwd", "rev"}
        Forward and reverse mode.
    atol, rtol : float
        Tolerances, absolute and relative to the differences.
    eps : float, optional
        Step of the differences, relative to each argument's size.

    Raises
    ------
    AssertionError
        With order, mode, argument, entry and size of each error.

    Notes
    -----
    The results are made a number by random weights; of complex arguments and results, real and imaginary parts are
    taken. Each entry of each argument is tried; of arguments with more than 24 entries, that many are drawn.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.check_grads(np.sin, (np.array([0.3, 1.0]),), order=2)
    """
    bad = [m for m in modes if m not in ("fwd", "rev")]
    if bad:
        raise ValueError(f"check_grads: modes are 'fwd' and 'rev', not {bad[0]!r}")
    given: Any = tuple(args)
    leaves, treedef = optree.tree_flatten(given)
    plain = [np.asarray(value_of(x) if isinstance(x, Tensor) else x) for x in leaves]
    parts = [_parts(x) for x in plain]
    points = [np.array(x, float) for pair in parts for x in pair]
    names = [(k, name) for k, pair in enumerate(parts) for name in (("real", "imaginary") if pair[1:] else ("",))]

    def of_parts(*xs: Any) -> Any:
        rest = iter(xs)
        joined = [next(rest) + 1j * next(rest) if pair[1:] else next(rest) for pair in parts]
        return [part for y in optree.tree_leaves(f(*optree.tree_unflatten(treedef, joined))) for part in _parts(y)]

    found = _compare(_weighted(of_parts, points), points, order, 1, tuple(modes), atol, rtol, eps or 1e-4)
    if found:
        found = [replace(d, argument=names[d.argument][0], part=names[d.argument][1]) for d in found]
        shown = [str(d) for d in found[:20]] + ([f"... and {len(found) - 20} more"] if len(found) > 20 else [])
        raise AssertionError("derivatives differ from finite differences:\n" + "\n".join(shown))


def _parts(x: Any) -> tuple[Any, ...]:
    """The real and the imaginary part of what is complex."""
    return (np.real(x), np.imag(x)) if np.result_type(x).kind == "c" else (x,)


def _weighted(f: Callable, points: Sequence[np.ndarray]) -> Callable:
    """A scalar function: the results, weighted and summed."""
    rng = np.random.default_rng(0)
    outputs = [value_of(y) if isinstance(y, Tensor) else y for y in optree.tree_leaves(f(*points))]
    weights = [rng.uniform(0.5, 1.5, np.shape(y)) * rng.choice([-1.0, 1.0], np.shape(y)) for y in outputs]

    def total(*xs: Any) -> Any:
        result: Any = 0.0
        for w, y in zip(weights, optree.tree_leaves(f(*xs)), strict=True):
            result = result + np.sum(w * y)
        return result

    return total


def _compare(
    total: Callable,
    points: list[np.ndarray],
    order: int,
    now: int,
    modes: tuple[str, ...],
    atol: float,
    rtol: float,
    eps: float,
) -> list[Disagreement]:
    numbers = tuple(range(len(points)))
    found: list[Disagreement] = []
    bars = grad(total, argnums=numbers)(*points) if "rev" in modes else None
    rng = np.random.default_rng(now)
    for k, x in enumerate(points):
        places = list(np.ndindex(x.shape))
        if len(places) > MOST:
            places = [places[i] for i in sorted(rng.choice(len(places), MOST, replace=False))]
        for entry in places:
            expected = _difference(total, points, k, entry, eps)
            for mode in modes:
                value = float(bars[k][entry]) if mode == "rev" and bars is not None else _slope(total, points, k, entry)
                if not abs(value - expected) <= atol + rtol * abs(expected):
                    found.append(Disagreement(now, mode, k, entry, value, expected))
    if order > 1 and not found:
        for mode in modes:
            next_total = _weighted(_derivative(total, mode, points), points)
            found += _compare(next_total, points, order - 1, now + 1, (mode,), 10 * atol, 10 * rtol, eps)
    return found


def _derivative(total: Callable, mode: str, points: list[np.ndarray]) -> Callable:
    """The gradient, or the slope along a fixed direction, as a function."""
    if mode == "rev":
        return grad(total, argnums=tuple(range(len(points))))
    rng = np.random.default_rng(3)
    directions = tuple(rng.normal(size=x.shape) for x in points)

    def along(*xs: Any) -> Any:
        return jvp(total, xs, directions)[1]

    return along


def _difference(total: Callable, points: list[np.ndarray], k: int, entry: tuple[int, ...], eps: float) -> float:
    """Slope along one entry, by central differences of fourth order."""
    step = eps * max(1.0, abs(float(points[k][entry])))

    def at(times: float) -> float:
        moved = [x.copy() for x in points]
        moved[k][entry] += times * step
        return float(value_of(y) if isinstance(y := total(*moved), Tensor) else y)

    return (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)


def _slope(total: Callable, points: list[np.ndarray], k: int, entry: tuple[int, ...]) -> float:
    directions = [np.zeros(x.shape) for x in points]
    directions[k][entry] = 1.0
    return float(jvp(total, tuple(points), tuple(directions))[1])
