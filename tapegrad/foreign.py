"""Operators between tensors and what is neither array nor number of Python's own: fractions, and sparse matrices.

Both take part as constants, a fraction as the float that it is. SciPy's product asks its operand for an array, and
gives way (``NotImplemented``) where there is none to be had: so Python asks the tensor, and `meet` finds the operation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from numbers import Rational
from typing import Any

import numpy as np

from .primitives.core import lift, ops
from .primitives.shape import insert_axis, reshape_to
from .tape.handle import Tensor

__all__ = ["meet", "sparse_asks"]


def sparse_asks() -> bool:
    """Whether SciPy's sparse product is who asks the caller of this function for an array."""
    asking = sys._getframe(2)
    return asking.f_code.co_name == "_matmul_dispatch" and asking.f_globals["__name__"].startswith("scipy.sparse")


def product(a: Any, x: Any) -> Tensor:
    """``a @ x`` of a sparse `a`.

    Parameters
    ----------
    a : sparse array or matrix, shape (m, n) or (n,)
    x : Tensor, shape (n,) or (n, k)

    Returns
    -------
    Tensor
    """
    from .primitives import scipy_loader

    scipy_loader.load()
    x = lift(x)
    if x._spec.ndim not in (1, 2):
        raise ValueError(f"sparse matmul: the operand must have one axis or two, and has shape {x._spec.shape}")
    csr = (a.reshape(1, -1) if a.ndim == 1 else a).tocsr()
    dtype = np.result_type(csr.dtype, x._spec.dtype)
    x = lift(x, dtype)
    parts = (csr.data.astype(dtype, copy=False), csr.indices, csr.indptr)
    columns = insert_axis(x, 1) if x._spec.ndim == 1 else x
    y: Tensor = ops.csr_matmul(*map(lift, parts), columns, columns=csr.shape[1], transposed=False)
    return reshape_to(y, (*a.shape[:-1], *x._spec.shape[1:]))


def product_from_left(a: Any, x: Any) -> Any:
    """``x @ a`` of a sparse `a`."""
    x = lift(x)
    if a.ndim == 1 or x._spec.ndim == 1:
        return x @ a.toarray() if a.ndim == 1 else product(a.T, x)
    return np.swapaxes(product(a.T, np.swapaxes(x, 0, 1)), 0, 1)


def _starred(order: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``*``, which is the matrix product for SciPy's matrices, and for its arrays is left to SciPy."""

    def operator(a: Any, x: Any) -> Any:
        return order(a, x) if isinstance(a, sys.modules["scipy.sparse"].spmatrix) else NotImplemented

    return operator


def _plus(a: Any, x: Any) -> Any:
    return x + a.toarray()


def _less(a: Any, x: Any) -> Any:
    return x - a.toarray()


def _less_from_left(a: Any, x: Any) -> Any:
    return a.toarray() - x


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "__matmul__": product_from_left,
    "__rmatmul__": product,
    "__mul__": _starred(product_from_left),
    "__rmul__": _starred(product),
    "__add__": _plus,
    "__radd__": _plus,
    "__sub__": _less,
    "__rsub__": _less_from_left,
}


def meet(name: str, tensor: Tensor, other: Any) -> Any:
    """What an operator of a tensor does with an operand that is neither array nor number of a type it knows.

    Parameters
    ----------
    name : str
        Such as ``"__rmatmul__"``.
    tensor : Tensor
    other : object

    Returns
    -------
    Tensor or NotImplemented
    """
    if isinstance(other, Rational):
        return getattr(tensor, name)(float(other))
    module, operator = sys.modules.get("scipy.sparse"), _OPERATORS.get(name)
    if module is None or operator is None or not module.issparse(other):
        return NotImplemented
    return operator(other, tensor)
