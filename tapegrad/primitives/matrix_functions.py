"""Functions of matrices, by SciPy: exponential, logarithm, square root; triangular systems; LU factors.

References
----------
.. [1] R. Mathias, "A chain rule for matrix functions and applications", SIAM Journal on Matrix Analysis and
   Applications 17 (1996), pp. 610-620, theorem 2.1: f([[A, E], [0, A]]) = [[f(A), L], [0, f(A)]], with L
   the derivative along E.
.. [2] M. B. Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
   differentiation", Oxford University Computing Laboratory report 08/01 (2008), sections 2.3.1 and 3.
"""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import stacked
from .core import BY_FUNCTION, ZERO, Primitive, lift, ops, primitive
from .factorizations import _unpack
from .indexing import getitem
from .matmul import adjoint, matmul

__all__ = ["expm", "logm", "lu_packed", "lu_pivots", "solve_triangular", "sqrtm"]

_A = np.array([[4.0, 1.0, -0.5], [0.5, 3.0, 1.0], [-0.3, 0.2, 5.0]])
_SAMPLES = (((_A,), {}), ((np.stack([_A, _A.T + 0.5 * np.eye(3)]),), {}))


class _MatrixFunction(Primitive):
    batching = staticmethod(stacked)
    """A function of square matrices: its derivative is a block of the function of a larger matrix [1]_."""

    immediate = True

    def infer(self, specs, attrs):
        return specs[0].dense, op.KERNEL

    def compute(self, a):
        from scipy import linalg

        double = np.result_type(a.dtype, np.float64)  # in single precision SciPy's logarithm warns of itself
        stack = a.astype(double, copy=False).reshape(-1, *a.shape[-2:])
        results = [np.asarray(getattr(linalg, self.name)(m)) for m in stack]
        y = np.stack(results).reshape(a.shape) if results else np.empty(a.shape, a.dtype)
        if y.dtype.kind == "c" and a.dtype.kind != "c":
            if np.any(y.imag):
                raise ValueError(
                    f"{self.name} of this real matrix is complex: make the matrix complex with x.astype(complex)"
                )
            y = y.real
        return y

    def transpose_at(self, y_bar, y, xs, wanted, attrs):
        (a,) = xs
        n = a._spec.shape[-1]
        concatenate = BY_FUNCTION[np.concatenate]
        block = adjoint(a)
        nothing = np.zeros(a._spec.shape, a._spec.dtype)
        joined = concatenate([concatenate([block, y_bar], -1), concatenate([lift(nothing), block], -1)], -2)
        return [getitem(self(joined), (Ellipsis, slice(0, n), slice(n, None)))]

    def _check(self):
        self.pullback = self.transpose_at  # the rule, for those who ask whether there is one
        super()._check()


@primitive(base=_MatrixFunction)
class expm:
    """Matrix exponential."""

    grad_name = "LinalgMatrixExp"
    samples = (((0.3 * _A,), {}), ((0.3 * np.stack([_A, _A.T]),), {}))


@primitive(base=_MatrixFunction)
class logm:
    """Matrix logarithm, of matrices without eigenvalues on the negative real axis."""

    samples = _SAMPLES


@primitive(base=_MatrixFunction)
class sqrtm:
    """Principal square root of matrices without eigenvalues on the negative real axis."""

    samples = _SAMPLES


def _triangle(x, lower):
    return BY_FUNCTION[np.tril if lower else np.triu](x)


@primitive()
class solve_triangular:
    """Solution x of a x = b for a triangular a, of which the other triangle is not read."""

    batching = stacked
    immediate = True
    grad_name = "LinalgSolveTriangular"
    samples = (
        ((_A, np.array([[1.0, 2.0], [-1.0, 0.5], [3.0, 1.0]])), {"lower": True}),
        ((np.stack([_A, _A + 1.0]), np.sin(np.arange(6.0)).reshape(2, 3, 1)), {"lower": False}),
    )

    def infer(specs, attrs):
        a, b = specs
        if a.shape[-1] != a.shape[-2] or a.shape[-1] != b.shape[-2] or a.shape[:-2] != b.shape[:-2]:
            raise ValueError(f"solve_triangular: shapes {a.shape} and {b.shape} do not fit")
        return b.dense, op.KERNEL

    def compute(a, b, lower):
        from scipy import linalg

        y = np.empty(b.shape, b.dtype)
        for k in np.ndindex(a.shape[:-2]):
            y[k] = linalg.solve_triangular(a[k], b[k], lower=lower)
        return y

    def pullback(y_bar, y, a, b, lower):
        # Giles 2008 [2]_, section 2.3.1: b_bar = a^-H y_bar, a_bar = -b_bar y^H, of which the triangle counts.
        b_bar = solve_triangular(adjoint(a), y_bar, lower=not lower)
        return -_triangle(matmul(b_bar, adjoint(y)), lower), b_bar


_LU_SAMPLES = (*_SAMPLES, ((_A[:, :2],), {}), ((np.stack([_A[:2], _A[1:]]),), {}))


@primitive()
class lu_pivots:
    """Row order p of an LU factorisation, a[p] = l u."""

    batching = stacked
    derivative = ZERO
    samples = _LU_SAMPLES

    def infer(specs, attrs):
        return spec_of(specs[0].shape[:-1], np.dtype(np.intp)), op.KERNEL

    def compute(a):
        from scipy import linalg

        order = np.empty(a.shape[:-1], np.intp)
        for k in np.ndindex(a.shape[:-2]):
            permutation, _, _ = linalg.lu(a[k])
            order[k] = permutation.argmax(0)
        return order


@primitive()
class lu_packed:
    """Triangular factors l and u of matrices with rows in the order of `lu_pivots`, in one array."""

    batching = stacked
    immediate = True
    grad_name = "LinalgLu"
    samples = _LU_SAMPLES

    def infer(specs, attrs):
        x = specs[0]
        m, n = x.shape[-2:]
        return spec_of((*x.shape[:-2], (m + n) * min(m, n)), x.dtype), op.KERNEL

    def compute(a):
        from scipy import linalg

        (m, n), size = a.shape[-2:], a.shape[-2] * min(a.shape[-2:])
        y = np.empty((*a.shape[:-2], (m + n) * min(m, n)), a.dtype)
        for k in np.ndindex(a.shape[:-2]):
            _, low, up = linalg.lu(a[k])
            y[k][:size], y[k][size:] = low.ravel(), up.ravel()
        return y

    def pullback(y_bar, y, a):
        # With F = l^-1 dA[p] u^-1: dl = l tril(F, -1) and du = triu(F) u; rows go back to their places.
        # Rows of l below that block (dl = (dA[p] - l du) u^-1) and columns of u beside it hand back to it.
        m, n = a._spec.shape[-2:]
        k = min(m, n)
        (low, up), (low_bar, up_bar) = _unpack(y, (m, k), (k, n)), _unpack(y_bar, (m, k), (k, n))
        (low, below), (low_bar, below_bar) = _rows(low, k), _rows(low_bar, k)
        (up, beside), (up_bar, beside_bar) = _columns(up, k), _columns(up_bar, k)
        tril, triu, concatenate = BY_FUNCTION[np.tril], BY_FUNCTION[np.triu], BY_FUNCTION[np.concatenate]
        if m > k:
            below_bar = adjoint(solve_triangular(up, adjoint(below_bar), lower=False))
            up_bar = up_bar - matmul(adjoint(below), below_bar)
        if n > k:
            beside_bar = solve_triangular(adjoint(low), beside_bar, lower=False)
            low_bar = low_bar - matmul(beside_bar, adjoint(beside))
        middle = tril(matmul(adjoint(low), low_bar), -1) + triu(matmul(up_bar, adjoint(up)))
        right = adjoint(solve_triangular(up, adjoint(middle), lower=False))
        bar = solve_triangular(adjoint(low), right, lower=False)
        bar = concatenate([bar, below_bar], -2) if m > k else concatenate([bar, beside_bar], -1) if n > k else bar
        back = BY_FUNCTION[np.argsort](lu_pivots(a), -1)
        return BY_FUNCTION[np.take_along_axis](bar, ops.reshape(back, shape=(*back._spec.shape, 1)), -2)


def _rows(x, k):
    return getitem(x, (Ellipsis, slice(0, k), slice(None))), getitem(x, (Ellipsis, slice(k, None), slice(None)))


def _columns(x, k):
    return getitem(x, (Ellipsis, slice(0, k))), getitem(x, (Ellipsis, slice(k, None)))
