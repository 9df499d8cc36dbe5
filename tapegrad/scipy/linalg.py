"""`scipy.linalg` for tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.core import lift, ops
from ..primitives.factorizations import _unpack, linalg_svd
from ..primitives.indexing import getitem, is_traced
from ..primitives.linalg import floating_matrix, square
from ..primitives.picking import _plain
from ..tape.handle import Tensor
from ._batches import over_batches
from ._matrices import adjoint as _adjoint
from ._matrices import det, eig, eigh, eigvals, eigvalsh, inv, norm, pinv, qr, solve, svdvals  # noqa: F401


def __getattr__(name: str) -> Any:
    import scipy.linalg

    return getattr(scipy.linalg, name)


def _same(*arrays: Any) -> list[Tensor]:
    """Tensors of one floating dtype."""
    tensors = [lift(a) for a in arrays]
    dtype = np.result_type(*[t._spec.dtype for t in tensors], np.float32)
    return [lift(t, dtype) for t in tensors]


def solve_triangular(
    a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False, **options: Any
) -> Any:
    """`scipy.linalg.solve_triangular`; the triangle that is not read has no gradient.

    Parameters
    ----------
    a : Tensor, shape (..., n, n)
    b : Tensor, shape (n,) or (..., n, k)
    trans : {0, 1, 2, "N", "T", "C"}
        Solve with a, its transpose or its conjugate transpose.
    lower, unit_diagonal : bool
    **options
        ``overwrite_b`` and ``check_finite`` are taken and do nothing.
    """
    a, b = _same(square(a, "solve_triangular"), b)
    if trans in (1, "T", 2, "C"):
        a = np.swapaxes(a, -1, -2) if trans in (1, "T") else _adjoint(a)
        lower = not lower
    elif trans not in (0, "N"):
        raise ValueError(f"solve_triangular: trans is one of 0, 1, 2, 'N', 'T', 'C', not {trans!r}")
    if unit_diagonal:
        n = a._spec.shape[-1]
        a = np.where(np.eye(n, dtype=np.bool_), np.ones((), a._spec.dtype), a)
    columns = b[:, None] if b._spec.ndim == 1 else b
    lead = np.broadcast_shapes(a._spec.shape[:-2], columns._spec.shape[:-2])
    a = np.broadcast_to(a, (*lead, *a._spec.shape[-2:]))
    columns = np.broadcast_to(columns, (*lead, *columns._spec.shape[-2:]))
    x = ops.solve_triangular(a, columns, lower=bool(lower))
    return x[..., 0] if b._spec.ndim == 1 else x


def cholesky(a: Any, lower: bool = False, **options: Any) -> Any:
    """`scipy.linalg.cholesky`: the upper factor unless `lower`."""
    return np.linalg.cholesky(lift(a), upper=not lower)


def cho_factor(a: Any, lower: bool = False, **options: Any) -> tuple[Any, bool]:
    """`scipy.linalg.cho_factor`; the other triangle is zero."""
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, **options: Any) -> Any:
    """`scipy.linalg.cho_solve`."""
    c, lower = c_and_lower
    first = solve_triangular(c, b, trans=0 if lower else 2, lower=lower)
    return solve_triangular(c, first, trans=2 if lower else 0, lower=lower)


def _of_matrix(record: Any, a: Any) -> Any:
    """A matrix function; of a real matrix that has none but a complex value, of it as a complex one."""
    x = _same(square(a, record.name))[0]
    if x._spec.dtype.kind != "c" and record is not ops.expm and not is_traced(x):
        w = np.linalg.eigvals(_plain(x))
        if np.any((w.real < 0) & (np.abs(w.imag) <= 1e-12 * np.abs(w.real))):
            x = lift(x, np.result_type(x._spec.dtype, np.complex64))
    return record(x)


def expm(A: Any) -> Any:
    """`scipy.linalg.expm`."""
    return _of_matrix(ops.expm, A)


def logm(A: Any, **options: Any) -> Any:
    """`scipy.linalg.logm`; complex where a real matrix has eigenvalues below 0."""
    return _of_matrix(ops.logm, A)


def sqrtm(A: Any, **options: Any) -> Any:
    """`scipy.linalg.sqrtm`; complex where a real matrix has eigenvalues below 0."""
    return _of_matrix(ops.sqrtm, A)


@over_batches(2, 2)
def expm_frechet(A: Any, E: Any, compute_expm: bool = True, **options: Any) -> Any:
    """`scipy.linalg.expm_frechet`: the exponential and its derivative along E."""
    A, E = _same(A, E)
    n = A._spec.shape[-1]
    y = ops.expm(np.block([[A, E], [np.zeros((n, n)), A]]))
    return (y[:n, :n], y[:n, n:]) if compute_expm else y[:n, n:]


def lu(
    a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True, p_indices: bool = False
) -> Any:
    """`scipy.linalg.lu`; the permutation is a constant."""
    x = _same(floating_matrix(a, "lu"))[0]
    m, n = x._spec.shape[-2:]
    low, up = _unpack(ops.lu_packed(x), (m, min(m, n)), (min(m, n), n))
    order = ops.lu_pivots(x)
    if p_indices and not permute_l:
        return np.argsort(order, axis=-1), low, up
    permutation = np.equal(order[..., None, :], np.arange(m)[:, None]).astype(np.real(low).dtype)
    return (permutation @ low, up) if permute_l else (permutation, low, up)


def lu_factor(a: Any, **options: Any) -> tuple[Any, Any]:
    """`scipy.linalg.lu_factor`, for `lu_solve`; the second result is the order of the rows, not LAPACK's exchanges."""
    x = _same(square(a, "lu_factor"))[0]
    n = x._spec.shape[-1]
    low, up = _unpack(ops.lu_packed(x), (n, n), (n, n))
    return np.tril(low, -1) + up, ops.lu_pivots(x)


def lu_solve(lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, **options: Any) -> Any:
    """`scipy.linalg.lu_solve` with what `lu_factor` of this module gives."""
    return _lu_solve(*lu_and_piv, b, trans)


@over_batches(2, 1, "1|2")
def _lu_solve(both: Any, order: Any, b: Any, trans: int) -> Any:
    b = lift(b)
    if trans == 0:
        return solve_triangular(both, solve_triangular(both, b[order], lower=True, unit_diagonal=True))
    first = solve_triangular(both, b, trans=trans)
    return solve_triangular(both, first, trans=trans, lower=True, unit_diagonal=True)[np.argsort(order)]


@over_batches(2, 2, 2)
def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """`scipy.linalg.solve_sylvester`: x with a x + x b = q, by the equivalent system of n m equations."""
    a, b, q = _same(a, b, q)
    n, m = q._spec.shape
    real = np.real(a).dtype
    system = np.kron(a, np.eye(m, dtype=real)) + np.kron(np.eye(n, dtype=real), b.T)
    return np.reshape(np.linalg.solve(system, np.reshape(q, (n * m,))), (n, m))


def solve_continuous_lyapunov(a: Any, q: Any) -> Any:
    """`scipy.linalg.solve_continuous_lyapunov`: x with a x + x a^H = q."""
    return solve_sylvester(a, _adjoint(lift(a)), q)


@over_batches(2, 2)
def solve_discrete_lyapunov(a: Any, q: Any, method: Any = None) -> Any:
    """`scipy.linalg.solve_discrete_lyapunov`: x with a x a^H - x + q = 0."""
    a, q = _same(a, q)
    n = q._spec.shape[0]
    system = np.eye(n * n) - np.kron(a, np.conj(a))
    return np.reshape(np.linalg.solve(system, np.reshape(q, (n * n,))), (n, n))


def solve_banded(l_and_u: tuple[int, int], ab: Any, b: Any, **options: Any) -> Any:
    """`scipy.linalg.solve_banded`, by the dense matrix."""
    return _solve_banded(ab, b, *l_and_u)


@over_batches(2, "1|2")
def _solve_banded(ab: Any, b: Any, below: int, above: int) -> Any:
    ab, b = _same(ab, b)
    n = ab._spec.shape[1]
    row, column = np.indices((n, n))
    place = above + row - column
    inside = (place >= 0) & (place <= below + above)
    dense = np.where(inside, getitem(ab, (np.clip(place, 0, below + above), column)), np.zeros((), ab._spec.dtype))
    return np.linalg.solve(dense, b)


@over_batches(1, 1)
def toeplitz(c: Any, r: Any = None) -> Any:
    """`scipy.linalg.toeplitz`."""
    c = np.ravel(lift(c))
    r = np.conj(c) if r is None else np.ravel(lift(r))
    n, m = c._spec.size, r._spec.size
    values = np.concatenate([c[::-1], r[1:]])
    return values[np.arange(m) - np.arange(n)[:, None] + n - 1]


def circulant(c: Any) -> Any:
    """`scipy.linalg.circulant`."""
    c = lift(c)
    n = c._spec.shape[-1]
    return c[..., (np.arange(n)[:, None] - np.arange(n)) % n]


def hankel(c: Any, r: Any = None) -> Any:
    """`scipy.linalg.hankel`."""
    c = np.ravel(lift(c))
    n = c._spec.size
    r = np.zeros(n, c._spec.dtype) if r is None else r
    r = np.ravel(lift(r))
    values = np.concatenate([c, r[1:]])
    return values[np.arange(r._spec.size) + np.arange(n)[:, None]]


def block_diag(*arrs: Any) -> Any:
    """`scipy.linalg.block_diag`."""
    parts = [np.atleast_2d(lift(a)) for a in arrs]
    lead = np.broadcast_shapes(*(p.shape[:-2] for p in parts))
    widths = [p.shape[-1] for p in parts]
    rows = []
    for k, p in enumerate(parts):
        around = [(0, 0)] * (len(lead) + 1) + [(sum(widths[:k]), sum(widths[k + 1 :]))]
        rows.append(np.pad(np.broadcast_to(p, (*lead, *p.shape[-2:])), around))
    return np.concatenate(rows, -2)


@over_batches(2, 2)
def khatri_rao(a: Any, b: Any) -> Any:
    """`scipy.linalg.khatri_rao`."""
    a, b = lift(a), lift(b)
    return np.reshape(a[:, None] * b[None], (-1, b.shape[1]))


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, **options: Any) -> Any:
    """`scipy.linalg.svd`."""
    found: Any = linalg_svd(a, full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


@over_batches(2, "1|2")
def lstsq(a: Any, b: Any, cond: float | None = None, **options: Any) -> Any:
    """`scipy.linalg.lstsq`."""
    return np.linalg.lstsq(lift(a), b, cond)
