"""Eigenvalues of Hermitian matrices, singular values and QR.

Each record returns its factors packed in one array, so that one rule sees all their cotangents; the NumPy
functions take them apart as views. Factors are fixed only up to sign or phase, and where two eigenvalues or
singular values coincide, up to a rotation: there the gradient is that of functions which do not depend on the
choice.

References
----------
.. [1] M. B. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
   differentiation", Oxford University Computing Laboratory report 08/01 (2008), section 3.
.. [2] S. F. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with application in
   optimum experimental design", arXiv:1001.1654 (2010), QR.
"""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import stacked
from .core import BY_FUNCTION, implements, lift, ops, primitive
from .indexing import getitem
from .linalg import floating_matrix, square
from .matmul import adjoint, matmul
from .picking import _plain
from .shape import insert_axis, reshape_to


def _unpack(packed, *shapes):
    """Parts of the given core shapes, as views where possible."""
    batch, parts, at = packed._spec.shape[:-1], [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        parts.append(reshape_to(getitem(packed, (Ellipsis, slice(at, at + size))), (*batch, *shape)))
        at += size
    return parts


def in_line(a):
    """An array with its last two axes made one."""
    return a.reshape(*a.shape[:-2], a.shape[-2] * a.shape[-1])


def _real_part(x):
    return ops.real(x) if x._spec.dtype.kind == "c" else x


def _off_diagonal(x, gaps):
    """``x / gaps`` off the diagonal, 0 on it and where a gap is 0."""
    n = x._spec.shape[-1]
    zero = ops.equal(gaps, 0.0) | np.eye(n, dtype=np.bool_)
    one = np.ones((), gaps._spec.dtype)
    return ops.where(zero, np.zeros((), x._spec.dtype), x / ops.where(zero, one, gaps))


def _on_diagonal(v, like):
    """A diagonal matrix of a vector, in the dtype of `like`."""
    n = v._spec.shape[-1]
    return insert_axis(v, -1) * np.eye(n, dtype=np.empty(0, like._spec.dtype).real.dtype)


_A = np.array([[4.0, 1.0, -2.0], [1.0, 3.0, 1.0], [-2.0, 1.0, 5.0]])
_M = np.array([[4.0, 1.0], [-2.0, 0.5], [3.0, -1.0]])


@primitive()
class eigh_packed:
    """Eigenvalues and eigenvectors of Hermitian matrices, read from their lower triangle, in one array."""

    batching = stacked
    immediate = True
    grad_name = "LinalgEigh"
    symmetric = True  # defined on Hermitian matrices: the gradient is Hermitian, too
    samples = (((_A,), {}), ((np.stack([_A, _A @ _A]),), {}))

    def infer(specs, attrs):
        x = specs[0]
        n = x.shape[-1]
        return spec_of((*x.shape[:-2], n + n * n), x.dtype), op.KERNEL

    def compute(a):
        w, v = np.linalg.eigh(a)
        return np.concatenate([w.astype(a.dtype), in_line(v)], -1)

    def pullback(y_bar, y, a):
        # Giles 2008 [1]_, section 3.1: A_bar = V (D_bar + F o (V^T V_bar)) V^T, F_ij = 1 / (d_j - d_i).
        n = a._spec.shape[-1]
        w, v = _unpack(y, (n,), (n, n))
        w_bar, v_bar = _unpack(y_bar, (n,), (n, n))
        w = _real_part(w)
        x = matmul(adjoint(v), v_bar)
        middle = _off_diagonal((x - adjoint(x)) * 0.5, insert_axis(w, -2) - insert_axis(w, -1))
        middle = middle + _on_diagonal(_real_part(w_bar), a)
        return matmul(v, matmul(middle, adjoint(v)))


@primitive()
class svd_packed:
    """Left singular vectors, singular values and adjoint right singular vectors (reduced) in one array."""

    batching = stacked
    immediate = True
    grad_name = "LinalgSvd"
    samples = (((_M,), {}), ((_M.T,), {}), ((_A,), {}))

    def infer(specs, attrs):
        x = specs[0]
        m, n = x.shape[-2:]
        k = min(m, n)
        return spec_of((*x.shape[:-2], m * k + k + k * n), x.dtype), op.KERNEL

    def compute(a):
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        return np.concatenate([in_line(u), s.astype(a.dtype), in_line(vh)], -1)

    def pullback(y_bar, y, a):
        # As in Giles 2008 [1]_, section 3.2, with dU and dV added: P = U^H dA V has
        # dU = U (skew parts of P S and S P) / (s_j^2 - s_i^2), and what leaves the span of U over s.
        m, n = a._spec.shape[-2:]
        k = min(m, n)
        u, s, vh = _unpack(y, (m, k), (k,), (k, n))
        u_bar, s_bar, vh_bar = _unpack(y_bar, (m, k), (k,), (k, n))
        s, s_bar = _real_part(s), _real_part(s_bar)
        v, v_bar = adjoint(vh), adjoint(vh_bar)
        row, column = insert_axis(s, -2), insert_axis(s, -1)
        gaps = (row - column) * (row + column)
        p, q = matmul(adjoint(u), u_bar), matmul(adjoint(v), v_bar)
        middle = _off_diagonal(p - adjoint(p), gaps) * row + column * _off_diagonal(q - adjoint(q), gaps)
        middle = middle + _on_diagonal(s_bar, a)
        if a._spec.dtype.kind == "c":  # the phase of each pair of vectors
            d = ops.imag(_diagonal(p)) / s
            middle = middle + _on_diagonal(d * 1j, a)
        bar = matmul(u, matmul(middle, vh))
        if m > k:
            outside = u_bar - matmul(u, p)
            bar = bar + matmul(outside / row, vh)
        if n > k:
            outside = v_bar - matmul(v, q)
            bar = bar + matmul(u, adjoint(outside / row))
        return bar


def _diagonal(x):
    n = x._spec.shape[-1]
    return ops.sum(x * np.eye(n, dtype=x._spec.dtype), axis=(x._spec.ndim - 1,), keepdims=False)


@primitive()
class qr_packed:
    """Reduced QR factors of matrices with at least as many rows as columns, in one array."""

    batching = stacked
    immediate = True
    grad_name = "LinalgQr"
    samples = (((_M,), {}), ((_A,), {}), ((np.stack([_M, _M + 1.0]),), {}))

    def infer(specs, attrs):
        x = specs[0]
        m, n = x.shape[-2:]
        return spec_of((*x.shape[:-2], m * n + n * n), x.dtype), op.KERNEL

    def compute(a):
        q, r = np.linalg.qr(a)
        return np.concatenate([in_line(q), in_line(r)], -1)

    def pullback(y_bar, y, a):
        # Walter and Lehmann 2010: A_bar = (Q_bar + Q copyltu(R R_bar^T - Q_bar^T Q)) R^-T.
        m, n = a._spec.shape[-2:]
        q, r = _unpack(y, (m, n), (n, n))
        q_bar, r_bar = _unpack(y_bar, (m, n), (n, n))
        r_bar = r_bar * np.triu(np.ones((n, n), np.empty(0, r._spec.dtype).real.dtype))
        x = matmul(r, adjoint(r_bar)) - matmul(adjoint(q_bar), q)
        low = np.tril(np.ones((n, n)), -1).astype(np.empty(0, r._spec.dtype).real.dtype)
        lower = x * low
        middle = lower + adjoint(lower) + _on_diagonal(_real_part(_diagonal(x)), a)
        right = q_bar + matmul(q, middle)
        return adjoint(ops.solve(r, adjoint(right)))


def _complement(u, rest):
    """Columns `rest` that complete those of u to a basis, as a function of u.

    They are determined up to a rotation among themselves; of all ways to move them along, this is the one without such
    a rotation, and functions that do not depend on the choice have their gradient from it. The inverse root that makes
    the projected columns orthonormal is taken by Newton and Schulz's step, exact here to the third order.
    """
    n = rest.shape[-1]
    apart = lift(rest) - matmul(u, matmul(adjoint(u), lift(rest)))
    again = 1.5 * np.eye(n, dtype=np.empty(0, u._spec.dtype).real.dtype) - matmul(adjoint(apart), apart) * 0.5
    return matmul(apart, again)


_Eigh = type(np.linalg.eigh(np.eye(1)))
_Svd = type(np.linalg.svd(np.eye(1)))
_Qr = type(np.linalg.qr(np.eye(1)))


@implements(np.linalg.eigh)
def linalg_eigh(a, UPLO="L"):
    """`numpy.linalg.eigh`."""
    x = square(a, "eigh")
    if UPLO.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    n = x._spec.shape[-1]
    w, v = _unpack(eigh_packed(adjoint(x) if UPLO.upper() == "U" else x), (n,), (n, n))
    return _Eigh(_real_part(w), v)


@implements(np.linalg.eigvalsh)
def linalg_eigvalsh(a, UPLO="L"):
    """`numpy.linalg.eigvalsh`."""
    return linalg_eigh(a, UPLO)[0]


@implements(np.linalg.svd)
def linalg_svd(a, full_matrices=True, compute_uv=True, hermitian=False):
    """`numpy.linalg.svd`; vectors beyond the smaller side are determined up to a rotation, see `_complement`."""
    x = floating_matrix(a, "svd")
    m, n = x._spec.shape[-2:]
    k = min(m, n)
    if compute_uv and full_matrices and m != n and not x._spec.requires_grad:
        return _Svd(*[lift(part) for part in np.linalg.svd(_plain(x))])
    u, s, vh = _unpack(svd_packed(x), (m, k), (k,), (k, n))
    if compute_uv and full_matrices and m != n:
        whole = np.linalg.svd(_plain(ops.detach(x)))
        if m > n:
            u = BY_FUNCTION[np.concatenate]([u, _complement(u, whole[0][..., k:])], -1)
        else:
            rest = _complement(adjoint(vh), np.conj(np.swapaxes(whole[2][..., k:, :], -1, -2)))
            vh = BY_FUNCTION[np.concatenate]([vh, adjoint(rest)], -2)
    return _Svd(u, _real_part(s), vh) if compute_uv else _real_part(s)


@implements(np.linalg.svdvals)
def linalg_svdvals(x, /):
    """`numpy.linalg.svdvals`."""
    return linalg_svd(x, compute_uv=False)


@implements(np.linalg.qr)
def linalg_qr(a, mode="reduced"):
    """`numpy.linalg.qr`; of matrices with fewer rows than columns, the first square block must be regular."""
    x = floating_matrix(a, "qr")
    m, n = x._spec.shape[-2:]
    if mode not in ("reduced", "r", "complete"):
        raise NotImplementedError(
            f"qr: mode {mode!r} gives LAPACK's reflections, which have no rule for tensors; use 'reduced', "
            f"'complete' or 'r'"
        )
    if m < n:
        q, left = _unpack(qr_packed(getitem(x, (Ellipsis, slice(0, m)))), (m, m), (m, m))
        right = matmul(adjoint(q), getitem(x, (Ellipsis, slice(m, None))))
        r = BY_FUNCTION[np.concatenate]([left, right], -1)
    else:
        q, r = _unpack(qr_packed(x), (m, n), (n, n))
    if mode == "complete" and m > n:
        whole = np.linalg.qr(_plain(ops.detach(x)), "complete")[0]
        q = BY_FUNCTION[np.concatenate]([q, _complement(q, whole[..., n:])], -1)
        r = BY_FUNCTION[np.concatenate]([r, np.zeros((*r._spec.shape[:-2], m - n, n), r._spec.dtype)], -2)
    return r if mode == "r" else _Qr(q, r)


@implements(np.linalg.cond)
def linalg_cond(x, p=None):
    """`numpy.linalg.cond`."""
    if p in (None, 2, -2):
        s = linalg_svd(x, compute_uv=False)
        first, last = (getitem(s, (Ellipsis, k)) for k in (0, -1))
        return last / first if p == -2 else first / last
    x, norm = square(x, "cond"), BY_FUNCTION[np.linalg.norm]
    return norm(x, p, (-2, -1)) * norm(BY_FUNCTION[np.linalg.inv](x), p, (-2, -1))
