"""Linear algebra on LAPACK: solutions, inverses, determinants and the Cholesky factor, over batches.

The rules are those of Giles [1]_, with the adjoint (conjugate transpose) in place of the transpose, so that
they hold for complex matrices as well.

References
----------
.. [1] M. B. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
   differentiation", Advances in Automatic Differentiation (2008), pp. 35-44.
.. [2] I. Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527 (2016), section 3.
"""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import leading, stacked
from .core import BY_FUNCTION, implements, lift, ops, primitive, unbroadcast
from .matmul import adjoint, conjugated, matmul, matrix_transpose
from .shape import cast, insert_axis, reshape_to

__all__ = ["floating_matrix", "identity", "square"]


def floating_matrix(a, name):
    """A stack of matrices in a dtype that LAPACK works in."""
    x = lift(a)
    if x._spec.ndim < 2:
        raise np.linalg.LinAlgError(f"{x._spec.ndim}-dimensional array given. Array must be at least two-dimensional")
    if x._spec.dtype.kind in "biu":
        x = cast(x, np.dtype(float))
    if x._spec.dtype.char not in "fdFD":
        raise TypeError(f"{name}: array type {x._spec.dtype.name} is unsupported in linalg; use float64")
    return x


def square(a, name):
    """A stack of square matrices."""
    x = floating_matrix(a, name)
    if x._spec.shape[-1] != x._spec.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return x


def identity(x):
    """The identity matrix of a stack's size and dtype."""
    return lift(np.eye(x._spec.shape[-1], dtype=x._spec.dtype))


def _per_matrix(y):
    """A number for each matrix, as matrices of one element."""
    return reshape_to(y, (*y._spec.shape, 1, 1))


_A = np.array([[4.0, 1.0, -2.0], [0.5, 3.0, 1.0], [-1.0, 2.0, 5.0]])
_BATCH = np.stack([_A, _A.T + 1.0])
_POSITIVE = np.array([[4.0, 1.0], [1.0, 3.0]])
_COMPLEX = _A + 1j * _A.T[::-1]


@primitive()
class inv:
    """Inverse of square matrices."""

    batching = stacked
    immediate = True
    grad_name = "LinalgInvEx"
    samples = (((_A,), {}), ((_BATCH,), {}), ((np.ones((0, 3, 3)),), {}), ((_COMPLEX,), {}))

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def compute(a):
        return np.linalg.inv(a)

    def pullback(y_bar, y, a):
        # Giles 2008, section 2.2.3: A_bar = -C^T C_bar C^T.
        c = adjoint(y)
        return -matmul(c, matmul(y_bar, c))


@primitive()
class solve:
    """Solution x of a x = b, for matrices b."""

    batching = leading(2)
    immediate = True
    grad_name = "LinalgSolveEx"
    samples = (
        ((_A, np.array([[1.0, 2.0], [-1.0, 0.5], [3.0, 1.0]])), {}),
        ((_BATCH, np.array([[1.0], [-1.0], [3.0]])), {}),
        ((_A, np.sin(np.arange(12.0)).reshape(2, 3, 2)), {}),
    )

    def infer(specs, attrs):
        a, b = specs
        if a.shape[-1] != b.shape[-2]:
            raise ValueError(
                f"solve: the matrices have {a.shape[-1]} rows and the right-hand sides {b.shape[-2]}; operands have "
                f"shapes {a.shape} and {b.shape}"
            )
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise ValueError(f"solve: batch axes of shapes {a.shape} and {b.shape} do not broadcast") from None
        return spec_of((*batch, *b.shape[-2:]), b.dtype), op.KERNEL

    def compute(a, b):
        return np.linalg.solve(a, b)

    def pullback(y_bar, y, a, b):
        # Giles 2008, section 2.3.1: B_bar = A^-T C_bar, A_bar = -B_bar C^T.
        b_bar = solve(adjoint(a), y_bar)
        return unbroadcast(-matmul(b_bar, adjoint(y)), a), unbroadcast(b_bar, b)


@primitive()
class det:
    """Determinant of square matrices; its gradient is right for singular ones too."""

    batching = stacked
    grad_name = "LinalgDet"
    samples = (((_A,), {}), ((_BATCH,), {}), ((_COMPLEX,), {}))

    def infer(specs, attrs):
        return spec_of(specs[0].shape[:-2], specs[0].dtype), op.KERNEL

    def compute(a):
        return np.linalg.det(a)

    def pullback(y_bar, y, a):
        # Giles 2008, section 2.2.4: A_bar = C_bar C A^-T, where C A^-T are the cofactors.
        return _per_matrix(y_bar) * conjugated(cofactor(a))


@primitive()
class cofactor:
    """Cofactors: determinant times the inverse's transpose, defined for singular matrices as well."""

    batching = stacked
    samples = (((_A,), {}), ((_BATCH,), {}), ((_COMPLEX,), {}))

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def compute(a):
        if a.size == 0:
            return a
        # From A = U S V: cof A = det(U) det(V) conj(U) cof(S) conj(V), and cof(S) has no division.
        u, s, v = np.linalg.svd(a)
        n = a.shape[-1]
        others = np.stack([np.prod(np.delete(s, k, -1), -1) for k in range(n)], -1)
        sign = np.linalg.det(u) * np.linalg.det(v)
        return sign[..., None, None] * np.matmul(u.conj() * others[..., None, :], v.conj())

    def pullback(y_bar, y, a):
        # With X = A^-T and F = det(A) X: dF = tr(X^T dA) F - F dA^T X; for regular matrices only.
        x = matrix_transpose(inv(a))
        xc, fc = conjugated(x), conjugated(y)
        trace = ops.sum(y_bar * fc, axis=(y_bar._spec.ndim - 2, y_bar._spec.ndim - 1), keepdims=True)
        return trace * xc - matmul(xc, matmul(matrix_transpose(y_bar), fc))


@primitive()
class slogdet_sign:
    """Sign of the determinant; for complex matrices det / |det|."""

    batching = stacked
    samples = (((_A,), {}), ((_BATCH,), {}), ((_COMPLEX,), {}))

    def infer(specs, attrs):
        return spec_of(specs[0].shape[:-2], specs[0].dtype), op.KERNEL

    def compute(a):
        return np.linalg.slogdet(a)[0]

    def pullback(y_bar, y, a):
        if a._spec.dtype.kind != "c":
            return None
        # d sign = i sign Im tr(A^-1 dA)
        along = ops.imag(conjugated(y) * y_bar)
        return adjoint(inv(a)) * _per_matrix(along * 1j)


@primitive()
class slogdet_log:
    """Logarithm of the determinant's absolute value."""

    batching = stacked
    grad_name = "LinalgSlogdet"
    samples = (((_A,), {}), ((_BATCH,), {}), ((_COMPLEX,), {}))

    def infer(specs, attrs):
        x = specs[0]
        return spec_of(x.shape[:-2], np.empty(0, x.dtype).real.dtype), op.KERNEL

    def compute(a):
        return np.linalg.slogdet(a)[1]

    def pullback(y_bar, y, a):
        # Giles 2008, section 2.2.4, for the logarithm: A_bar = C_bar A^-T.
        return _per_matrix(y_bar) * adjoint(inv(a))


@primitive()
class cholesky:
    """Lower triangular factor L of positive definite matrices L L^H, read from their lower triangle."""

    batching = stacked
    immediate = True
    grad_name = "LinalgCholeskyEx"
    symmetric = True  # defined on Hermitian matrices: the gradient is Hermitian, too
    samples = (((_POSITIVE,), {}), ((np.stack([_POSITIVE, 2.0 * _POSITIVE]),), {}))

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def compute(a):
        return np.linalg.cholesky(a)

    def pullback(y_bar, y, a):
        # Murray 2016, section 3: A_bar = L^-T P(L^T L_bar) L^-1, made symmetric; P halves the diagonal.
        n = y._spec.shape[-1]
        half = np.tril(np.ones((n, n))) - 0.5 * np.eye(n)
        middle = matmul(adjoint(y), y_bar) * half.astype(np.empty(0, y._spec.dtype).real.dtype)
        left = adjoint(y)
        s = solve(left, adjoint(solve(left, adjoint(middle))))
        return (s + adjoint(s)) * 0.5


@implements(np.linalg.inv)
def linalg_inv(a):
    """`numpy.linalg.inv`."""
    return inv(square(a, "inv"))


@implements(np.linalg.solve)
def linalg_solve(a, b):
    """`numpy.linalg.solve`."""
    a, b = square(a, "solve"), lift(b)
    dtype = np.result_type(a._spec.dtype, b._spec.dtype)
    a, b = cast(a, dtype), cast(b, dtype)
    if b._spec.ndim == 0:
        raise ValueError("solve: the right-hand side needs at least one axis")
    if b._spec.ndim > 1:
        return solve(a, b)
    x = solve(a, insert_axis(b, 1))
    return reshape_to(x, x._spec.shape[:-1])


@implements(np.linalg.det)
def linalg_det(a):
    """`numpy.linalg.det`."""
    return det(square(a, "det"))


_Slogdet = type(np.linalg.slogdet(np.eye(1)))


@implements(np.linalg.slogdet)
def linalg_slogdet(a):
    """`numpy.linalg.slogdet`."""
    x = square(a, "slogdet")
    return _Slogdet(slogdet_sign(x), slogdet_log(x))


@implements(np.linalg.cholesky)
def linalg_cholesky(a, /, *, upper=False):
    """`numpy.linalg.cholesky`."""
    x = square(a, "cholesky")
    return adjoint(cholesky(adjoint(x))) if upper else cholesky(x)


@implements(np.linalg.tensorsolve)
def linalg_tensorsolve(a, b, axes=None):
    """`numpy.linalg.tensorsolve`."""
    a, b = lift(a), lift(b)
    if axes is not None:
        rest = [k for k in range(a._spec.ndim) if k not in axes]
        a = BY_FUNCTION[np.transpose](a, (*rest, *axes))
    shape = a._spec.shape[b._spec.ndim :]
    n = b._spec.size
    if int(np.prod(shape)) != n:
        raise np.linalg.LinAlgError("Input arrays must satisfy the requirement prod(a.shape[b.ndim:]) == b.size")
    return reshape_to(linalg_solve(reshape_to(a, (n, n)), reshape_to(b, (n,))), shape)


@implements(np.linalg.tensorinv)
def linalg_tensorinv(a, ind=2):
    """`numpy.linalg.tensorinv`."""
    a = lift(a)
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    shape = a._spec.shape
    rows = int(np.prod(shape[ind:]))
    return reshape_to(
        inv(square(reshape_to(a, (a._spec.size // max(rows, 1), rows)), "tensorinv")), (*shape[ind:], *shape[:ind])
    )
