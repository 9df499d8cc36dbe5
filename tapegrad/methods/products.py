"""Products of vectors and matrices, and what is added to them."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..primitives.core import BY_FUNCTION, lift, ops
from ..primitives.matmul import adjoint
from ..tape.handle import attach
from .naming import named
from .reductions import _axis

__all__: list[str] = []


def _of_ranks(name, left, right, text):
    """A product of operands that must have so many axes."""

    def method(self, other):
        other = lift(other)
        for x, ndim, which in ((self, left, "self"), (other, right, "the operand")):
            if x._spec.ndim != ndim:
                raise ShapeError(f"{name}: {which} must have {ndim} axes, and has shape {x._spec.shape}")
        return ops.matmul(self, other)

    named(name, method, text)


_of_ranks("mm", 2, 2, "Product of two matrices.")
_of_ranks("mv", 2, 1, "Product of a matrix and a vector.")
_of_ranks("bmm", 3, 3, "Products of two stacks of matrices.")


def _fused(name, product):
    def method(self, a, b, *, beta=1, alpha=1):
        y = product(a, b)
        y = y if alpha == 1 else y * alpha
        if beta == 0:
            return y
        return (self if beta == 1 else self * beta) + y

    named(name, method, f"``beta * self + alpha * {product.__name__}(a, b)``.")


def mm(a, b):
    return lift(a).mm(b)


def mv(a, b):
    return lift(a).mv(b)


def bmm(a, b):
    return lift(a).bmm(b)


def outer(a, b):
    return BY_FUNCTION[np.outer](a, b)


for _name, _product in {"addmm": mm, "addmv": mv, "baddbmm": bmm, "addr": outer}.items():
    _fused(_name, _product)


def _cross(self, other, dim=-1):
    """`numpy.linalg.cross` along an axis."""
    return BY_FUNCTION[np.linalg.cross](self, other, axis=dim)


def _dist(self, other, p=2):
    """The norm of the difference."""
    return (self - other).norm(p)


def _linear_algebra(name, function):
    def method(self, *args, **kwargs):
        return BY_FUNCTION[function](self, *args, **kwargs)

    named(name, method, f"`numpy.linalg.{function.__name__}` of the tensor.")


for _name, _function in {
    "inverse": np.linalg.inv, "det": np.linalg.det, "slogdet": np.linalg.slogdet, "pinverse": np.linalg.pinv,
    "cholesky": np.linalg.cholesky, "qr": np.linalg.qr, "matrix_power": np.linalg.matrix_power, "kron": np.kron,
    "vdot": np.vdot, "cov": np.cov, "corrcoef": np.corrcoef,
}.items():  # fmt: skip
    _linear_algebra(_name, _function)


def _logdet(self):
    """Logarithm of the determinant; NaN where that is negative."""
    sign, log = BY_FUNCTION[np.linalg.slogdet](self)
    return ops.where(sign < 0, np.nan, log)


def _addbmm(self, batch1, batch2, *, beta=1, alpha=1):
    """``beta * self + alpha * (the sum of the products of two stacks of matrices)``."""
    total = ops.sum(bmm(batch1, batch2), axis=(0,), keepdims=False)
    total = total if alpha == 1 else total * alpha
    return total if beta == 0 else (self if beta == 1 else self * beta) + total


def _renorm(self, p, dim, maxnorm):
    """Each slice along an axis scaled down to a norm of at most `maxnorm`."""
    axis = _axis(self, dim)
    others = [d for d in range(self._spec.ndim) if d != axis]
    norm = self.norm(p=p, dim=others, keepdim=True)
    return self * ops.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0)


def _matrix_exp(self):
    """Exponential of matrices."""
    from ..scipy.linalg import expm

    return expm(self)


def _cholesky_solve(self, input2, upper=False):
    """Solution x of ``a x = self``, where `input2` is a's Cholesky factor."""
    from ..scipy.linalg import cho_solve

    return cho_solve((input2, not upper), self)


def _cholesky_inverse(self, upper=False):
    """Inverse of the matrix of which this is the Cholesky factor."""
    return _cholesky_solve(lift(np.eye(self._spec.shape[-1], dtype=self._spec.dtype)), self, upper)


def _svd(self, some=True, compute_uv=True):
    """Singular value decomposition ``u, s, v`` with ``self = u diag(s) v^H``."""
    u, s, vh = BY_FUNCTION[np.linalg.svd](self, full_matrices=not some)
    return (u, s, adjoint(vh)) if compute_uv else (u * 0, s, adjoint(vh) * 0)


attach(
    cross=_cross,
    dist=_dist,
    logdet=_logdet,
    ger=lambda self, other: outer(self, other),
    addbmm=_addbmm,
    renorm=_renorm,
    matrix_exp=_matrix_exp,
    cholesky_solve=_cholesky_solve,
    cholesky_inverse=_cholesky_inverse,
    svd=_svd,
)
