"""Functions that `scipy.linalg` shares with `numpy.linalg`, with SciPy's arguments and defaults.

``overwrite_a``, ``overwrite_b``, ``check_finite``, ``lwork`` and ``driver`` are taken and do nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import lift
from ..primitives.picking import _plain
from ._batches import over_batches

__all__ = [
    "det",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "norm",
    "pinv",
    "qr",
    "solve",
    "svdvals",
]


def adjoint(a: Any) -> Any:
    """The conjugate transpose of each matrix."""
    return np.conj(np.swapaxes(a, -1, -2))


def _from_triangle(a: Any, lower: bool, conjugate: bool = True) -> Any:
    """The Hermitian (or symmetric) matrix of which a triangle is given; its diagonal is taken as real."""
    half, diagonal = (np.tril(a, -1) if lower else np.triu(a, 1)), np.tril(np.triu(a))
    if not conjugate:
        return half + diagonal + np.swapaxes(half, -1, -2)
    return half + np.real(diagonal) + adjoint(half)


def _assumed(name: str, a: Any, structure: str | None, lower: bool) -> Any:
    """The matrix that SciPy solves with: of some structures it reads a part only."""
    match structure:
        case None | "gen" | "general" | "banded":
            return a
        case "sym" | "symmetric":
            return _from_triangle(a, lower, conjugate=False)
        case "her" | "hermitian" | "pos" | "positive definite":
            return _from_triangle(a, lower)
        case "diagonal":
            return np.tril(np.triu(a))
        case "tridiagonal":
            return np.tril(np.triu(a, -1), 1)
        case "upper triangular":
            return np.triu(a)
        case "lower triangular":
            return np.tril(a)
    raise ValueError(f"{name}: {structure!r} is no structure that assume_a= knows")


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.det`."""
    return np.linalg.det(a)


def inv(
    a: Any, overwrite_a: bool = False, check_finite: bool = True, *, assume_a: str | None = None, lower: bool = False
) -> Any:
    """`scipy.linalg.inv`."""
    return np.linalg.inv(_assumed("inv", a, assume_a, lower))


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Any:
    """`scipy.linalg.solve`; what `assume_a` says is not read has no gradient."""
    a = _assumed("solve", a, assume_a, lower)
    return np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b)


def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.norm`."""
    return np.linalg.norm(a, ord, axis, keepdims)


def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.svdvals`."""
    return np.linalg.svd(a, compute_uv=False)


def pinv(
    a: Any, *, atol: float | None = None, rtol: float | None = None, return_rank: bool = False,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """`scipy.linalg.pinv`."""
    if (atol or return_rank) and np.ndim(a) > 2:
        return _each_pinv(a, atol=atol, rtol=rtol, return_rank=return_rank)
    values = np.linalg.svd(_plain(lift(a)), compute_uv=False)
    most = float(np.max(values, initial=0.0))
    if rtol is None:
        rtol = 0.0 if atol else max(np.shape(a)) * float(np.finfo(values.dtype).eps)
    cutoff = (atol or 0.0) + rtol * most
    y = np.linalg.pinv(a, rtol=cutoff / most if most else rtol)
    return (y, int(np.sum(values > cutoff))) if return_rank else y


_each_pinv = over_batches(2)(pinv)


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: int | None = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """`scipy.linalg.qr`; the order of the columns is a constant."""
    if mode not in ("full", "r", "economic"):
        raise ValueError(f"qr: mode is one of 'full', 'r', 'economic', not {mode!r}; 'raw' has no rule for tensors")
    order: tuple[Any, ...] = ()
    if pivoting and np.ndim(a) > 2:
        return _each_qr(a, mode=mode, pivoting=True)
    if pivoting:
        import scipy.linalg

        order = (scipy.linalg.qr(_plain(lift(a)), mode="r", pivoting=True)[1],)
        a = a[:, order[0]]
    q, r = np.linalg.qr(a, mode="reduced" if mode == "economic" else "complete")
    return (r, *order) if mode == "r" else (q, r, *order)


_each_qr = over_batches(2)(qr)


def eig(
    a: Any,
    b: Any = None,
    left: bool = False,
    right: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    homogeneous_eigvals: bool = False,
) -> Any:
    """`scipy.linalg.eig`: complex eigenvalues, and vectors of length one."""
    if homogeneous_eigvals:
        raise NotImplementedError("eig: homogeneous_eigvals=True has no rule for tensors; use the quotients")
    w, v = np.linalg.eig(a if b is None else np.linalg.solve(b, a))
    w = w.astype(np.result_type(w.dtype, np.complex64))
    if not left:
        return (w, v) if right else w
    vl = np.linalg.inv(adjoint(v if b is None else b @ v))
    vl = vl / np.linalg.norm(vl, axis=-2, keepdims=True)
    return (w, vl, v) if right else (w, vl)


def eigvals(
    a: Any, b: Any = None, overwrite_a: bool = False, check_finite: bool = True, homogeneous_eigvals: bool = False
) -> Any:
    """`scipy.linalg.eigvals`: complex."""
    return eig(a, b, right=False, homogeneous_eigvals=homogeneous_eigvals)


def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Any:
    """`scipy.linalg.eigh`: of two matrices by the Cholesky factor of b."""
    if type not in (1, 2, 3):
        raise ValueError(f"eigh: type is 1, 2 or 3, not {type!r}")
    if subset_by_value is not None and np.ndim(a) > 2:
        return _each_eigh(a, b, lower=lower, eigvals_only=eigvals_only, type=type, subset_by_value=subset_by_value)
    back = None
    if b is not None:
        a, root = _from_triangle(a, lower), np.linalg.cholesky(_from_triangle(b, lower))
        left = np.linalg.inv(root) if type == 1 else adjoint(root)
        a = left @ a @ adjoint(left)
        back = root if type == 3 else adjoint(np.linalg.inv(root))
    w, v = np.linalg.eigh(a, UPLO="L" if lower or b is not None else "U")
    if subset_by_value is not None:
        low, high = subset_by_value
        values = _plain(lift(w))
        chosen = np.flatnonzero((values > low) & (values <= high))
        subset_by_index = (chosen[0], chosen[-1]) if chosen.size else (0, -1)
    if subset_by_index is not None:
        first, last = subset_by_index
        w, v = w[..., first : last + 1], v[..., first : last + 1]
    if eigvals_only:
        return w
    return w, v if back is None else back @ v


_each_eigh = over_batches(2, 2)(eigh)


def eigvalsh(a: Any, b: Any = None, **options: Any) -> Any:
    """`scipy.linalg.eigvalsh`, with the options of `eigh`."""
    return eigh(a, b, eigvals_only=True, **options)
