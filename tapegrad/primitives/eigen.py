"""Eigenvalues of general matrices, and pseudo-inverses.

An eigenvector is fixed only up to a complex factor of modulus one: the gradient is that of functions which do not
depend on it. Where two eigenvalues coincide, what would be divided by their gap is left out, as for Hermitian matrices.

References
----------
.. [1] C. Boeddeker, P. Hanebrink, L. Drude, J. Heymann and R. Haeb-Umbach, "On the computation of complex-valued
   gradients with application to statistically optimum beamforming", arXiv:1701.00392 (2017), section 4.
.. [2] G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
   variables separate", SIAM Journal on Numerical Analysis 10 (1973), pp. 413-432, equation 4.12.
"""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import stacked
from .core import BY_FUNCTION, implements, lift, ops, primitive
from .factorizations import _off_diagonal, _on_diagonal, _real_part, _unpack, in_line, svd_packed
from .indexing import getitem
from .linalg import floating_matrix, square
from .matmul import adjoint, conjugated, matmul
from .picking import _plain
from .reduction import given, numpy_sum
from .shape import cast, insert_axis, reshape_to

_A = np.array([[4.0, 1.0, -2.0], [0.5, 3.0, 1.0], [-1.0, 2.0, 5.0]])
_M = np.array([[4.0, 1.0], [-2.0, 0.5], [3.0, -1.0]])


@primitive()
class eigvals:
    """Eigenvalues of square matrices, as complex numbers."""

    batching = stacked
    immediate = True
    grad_name = "LinalgEigvals"
    samples = (((_A,), {}), ((np.stack([_A, _A.T @ _A]),), {}), ((_A + 1j * _A[::-1],), {}))

    def infer(specs, attrs):
        x = specs[0]
        return spec_of(x.shape[:-1], np.result_type(x.dtype, np.complex64)), op.KERNEL

    def compute(a):
        return np.linalg.eigvals(a).astype(np.result_type(a.dtype, np.complex64))

    def pullback(y_bar, y, a):
        # With left eigenvectors in the rows of V^-1: dw = diag(V^-1 dA V).
        n = a._spec.shape[-1]
        _, v = _unpack(eig_packed(a), (n,), (n, n))
        left = adjoint(ops.inv(v))
        return _to(matmul(left * insert_axis(y_bar, -2), adjoint(v)), a)


@primitive()
class eig_packed:
    """Eigenvalues and eigenvectors of square matrices, as complex numbers in one array."""

    batching = stacked
    immediate = True
    grad_name = "LinalgEig"
    samples = (((_A + 4.0 * np.triu(_A),), {}), ((np.stack([_A.T @ _A, _A @ _A.T + 1.0]),), {}))

    def infer(specs, attrs):
        x = specs[0]
        n = x.shape[-1]
        return spec_of((*x.shape[:-2], n + n * n), np.result_type(x.dtype, np.complex64)), op.KERNEL

    def compute(a):
        w, v = np.linalg.eig(a)
        packed = np.concatenate([w, in_line(v)], -1)
        return packed.astype(np.result_type(a.dtype, np.complex64))

    def pullback(y_bar, y, a):
        # Boeddeker et al. 2017 [1]_, eq. 4.77: A_bar = V^-H (diag(w_bar) + F o X) V^H, F_ij = 1 / conj(w_j - w_i),
        # X = V^H V_bar - V^H V Re diag(V^H V_bar), whose second part keeps the vectors' length.
        n = a._spec.shape[-1]
        w, v = _unpack(y, (n,), (n, n))
        w_bar, v_bar = _unpack(y_bar, (n,), (n, n))
        vh = adjoint(v)
        x = matmul(vh, v_bar)
        along = numpy_sum(ops.real(conjugated(v) * v_bar), -2, keepdims=True)
        middle = x - matmul(vh, v) * along
        middle = _off_diagonal(middle, conjugated(insert_axis(w, -2) - insert_axis(w, -1)))
        middle = middle + _on_diagonal(w_bar, a)
        return _to(ops.solve(vh, matmul(middle, vh)), a)


def _to(bar, a):
    """A complex cotangent for a matrix that may be real."""
    return bar if a._spec.dtype.kind == "c" else cast(ops.real(bar), a._spec.dtype)


_Eig = type(np.linalg.eig(np.eye(1)))


def _is_real(x, w):
    """Whether NumPy would give real eigenvalues, which depends on the values."""
    return x._spec.dtype.kind != "c" and not np.any(_plain(w).imag)


@implements(np.linalg.eigvals)
def linalg_eigvals(a):
    """`numpy.linalg.eigvals`; those of a real matrix are real if all are, so it cannot be compiled."""
    x = square(a, "eigvals")
    w = eigvals(x)
    return ops.real(w) if _is_real(x, w) else w


@implements(np.linalg.eig)
def linalg_eig(a):
    """`numpy.linalg.eig`; that of a real matrix is real if all eigenvalues are, so it cannot be compiled."""
    x = square(a, "eig")
    n = x._spec.shape[-1]
    w, v = _unpack(eig_packed(x), (n,), (n, n))
    return _Eig(ops.real(w), ops.real(v)) if _is_real(x, w) else _Eig(w, v)


# --- pseudo-inverse and least squares ---------------------------------------------------------------------------------


@primitive()
class pinv:
    """Pseudo-inverse of matrices; its derivative is that of keeping the same singular values."""

    batching = stacked
    immediate = True
    grad_name = "LinalgPinv"
    samples = (
        ((_M,), {"rtol": 1e-15, "hermitian": False}),
        ((_M.T,), {"rtol": 1e-15, "hermitian": False}),
        ((np.stack([_M, _M[::-1] + 1.0]),), {"rtol": 1e-15, "hermitian": False}),
    )

    def infer(specs, attrs):
        x = specs[0]
        return spec_of((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype), op.KERNEL

    def compute(a, rtol, hermitian):
        return np.linalg.pinv(a, rtol=rtol, hermitian=hermitian)

    def pullback(y_bar, y, a, rtol, hermitian):
        # Golub and Pereyra 1973 [2]_: dP = -P dA P + P P^H dA^H (I - A P) + (I - P A) dA^H P^H P.
        p, ph, back = y, adjoint(y), adjoint(y_bar)
        first = matmul(ph, matmul(y_bar, ph))
        left = matmul(matmul(back, p), ph)
        right = matmul(ph, matmul(p, back))
        left = left - matmul(a, matmul(p, left))
        right = right - matmul(matmul(right, p), a)
        bar = left + right - first
        return bar + _bar_of_what_is_cut_off(y_bar, a, rtol) if rtol > 1e-8 else bar


def _bar_of_what_is_cut_off(y_bar, a, rtol):
    """What singular values that are cut off, and not 0, add to the cotangent of a matrix.

    In the bases of singular vectors, with dE = U^H dA V, and s kept, t cut off, dP has beside that rule's terms
    t^2 / (s^2 (s^2 - t^2)) dE^H + t / (s (s^2 - t^2)) dE between vectors of s and of t (both ways).
    """
    m, n = a._spec.shape[-2:]
    k = min(m, n)
    u, s, vh = _unpack(svd_packed(a), (m, k), (k,), (k, n))
    s = _real_part(s)
    kept = s > getitem(s, (Ellipsis, slice(0, 1))) * rtol
    pairs = insert_axis(kept, -1) & ~insert_axis(kept, -2)
    large, small = ops.where(pairs, insert_axis(s, -1), 1.0), ops.where(pairs, insert_axis(s, -2), 0.0)
    same = small / (large * (large - small) * (large + small))
    turned = same * small / large
    middle = matmul(vh, matmul(y_bar, u))
    inner = (turned + adjoint(turned)) * adjoint(middle) + (same + adjoint(same)) * middle
    return matmul(u, matmul(inner, vh))


@implements(np.linalg.pinv)
def linalg_pinv(a, rcond=None, hermitian=False, *, rtol=np._NoValue):
    """`numpy.linalg.pinv`, differentiable where the rank does not change."""
    x = floating_matrix(a, "pinv")
    if given(rtol) and rcond is not None:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    cutoff = rcond if rcond is not None else rtol if given(rtol) else None
    if cutoff is None:  # NumPy's defaults: one where nothing is given, another for an explicit rtol=None
        cutoff = 1e-15 if rtol is np._NoValue else max(x._spec.shape[-2:]) * np.finfo(x._spec.dtype).eps
    if np.ndim(cutoff):
        raise NotImplementedError("pinv: a cutoff for each matrix is not supported for tensors; call it for each")
    return pinv(x, rtol=float(cutoff), hermitian=bool(hermitian))


@implements(np.linalg.lstsq)
def linalg_lstsq(a, b, rcond=None):
    """`numpy.linalg.lstsq`, by the pseudo-inverse; differentiable where the rank does not change."""
    x, b = floating_matrix(a, "lstsq"), lift(b)
    if x._spec.ndim != 2:
        raise np.linalg.LinAlgError(f"{x._spec.ndim}-dimensional array given. Array must be two-dimensional")
    m, n = x._spec.shape
    if b._spec.ndim not in (1, 2) or b._spec.shape[0] != m:
        raise np.linalg.LinAlgError("Incompatible dimensions")
    dtype = np.result_type(x._spec.dtype, b._spec.dtype)
    x, b = cast(x, dtype), cast(b, dtype)
    eps = np.finfo(dtype).eps
    cutoff = eps * max(m, n) if rcond is None else eps if rcond == -1 else float(rcond)
    columns = b if b._spec.ndim == 2 else insert_axis(b, 1)
    solution = matmul(pinv(x, rtol=cutoff, hermitian=False), columns)
    s = BY_FUNCTION[np.linalg.svd](x, compute_uv=False)
    values = _plain(s)
    rank = int(np.count_nonzero(values > cutoff * values.max(initial=0.0)))
    if rank == n and m > n:
        rest = columns - matmul(x, solution)
        residuals = numpy_sum(_real_part(rest * conjugated(rest)), 0)
    else:
        residuals = lift(np.empty(0, np.empty(0, dtype).real.dtype))
    return solution if b._spec.ndim == 2 else reshape_to(solution, (n,)), residuals, rank, s
