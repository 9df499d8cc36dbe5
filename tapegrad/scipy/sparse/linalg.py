"""`scipy.sparse.linalg` for tensors: linear systems and exponentials of constant matrices.

Each is a linear map of its right-hand side, and its adjoint is the same of the adjoint matrix; factors serve both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as _sparse
import scipy.sparse.linalg as _linalg

from ...external import primitive
from ...primitives.core import lift
from ...tape.handle import Tensor

__all__ = [
    "bicg",
    "bicgstab",
    "cg",
    "cgs",
    "expm_multiply",
    "factorized",
    "gcrotmk",
    "gmres",
    "lgmres",
    "minres",
    "qmr",
    "splu",
    "spsolve",
    "spsolve_triangular",
    "tfqmr",
]


def __getattr__(name: str) -> Any:
    return getattr(_linalg, name)


def linear_map(forward: Callable, adjoint: Callable) -> Callable:
    """A linear function of one array, which may be a tensor, from what it and its adjoint do to plain arrays."""
    there, back = primitive(forward), primitive(adjoint)
    there.defvjp(lambda g, y, x: back(g))
    back.defvjp(lambda g, y, x: there(g))

    def apply(b: Any) -> Any:
        if not isinstance(b, Tensor):
            return forward(np.asarray(b))
        return there(lift(b, np.result_type(b._spec.dtype, np.float32)))

    return apply


class SuperLU:
    """Factors of a sparse matrix; see `splu`.

    Attributes
    ----------
    shape : tuple of int
    """

    def __init__(self, A: Any, **options: Any):
        self._factors = _linalg.splu(_sparse.csc_array(A, dtype=np.result_type(A.dtype, np.float64)), **options)
        self.shape = self._factors.shape
        self._adjoints = {"N": "H", "T": "T", "H": "N"}

    def solve(self, b: Any, trans: str = "N") -> Any:
        """The solution of ``A x = b``, or of the transposed or adjoint system.

        Parameters
        ----------
        b : array_like or Tensor, shape (n,) or (n, k)
        trans : {"N", "T", "H"}

        Returns
        -------
        Tensor or numpy.ndarray
        """
        if trans not in self._adjoints:
            raise ValueError(f"splu: trans is one of 'N', 'T', 'H', not {trans!r}")
        if trans == "T":
            return np.conj(linear_map(self._plain("H"), self._plain("N"))(np.conj(b)))
        return linear_map(self._plain(trans), self._plain(self._adjoints[trans]))(b)

    def _plain(self, trans: str) -> Callable:
        def solve(b: np.ndarray) -> np.ndarray:
            factors, b = self._factors, np.asarray(b)
            if b.dtype.kind == "c" and factors.L.dtype.kind != "c":
                return factors.solve(b.real.copy(), trans) + 1j * factors.solve(b.imag.copy(), trans)
            return factors.solve(b.astype(factors.L.dtype), trans)

        return solve

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factors, name)


def splu(A: Any, **options: Any) -> SuperLU:
    """`scipy.sparse.linalg.splu`: factors whose ``solve`` takes tensors."""
    return SuperLU(A, **options)


def factorized(A: Any) -> Callable:
    """`scipy.sparse.linalg.factorized`: a function that solves ``A x = b``."""
    return SuperLU(A).solve


def spsolve(A: Any, b: Any, permc_spec: Any = None, use_umfpack: bool = True) -> Any:
    """`scipy.sparse.linalg.spsolve`; the matrix is a constant.

    Parameters
    ----------
    A : sparse array or matrix, shape (n, n)
    b : array_like or Tensor, shape (n,) or (n, k)
    permc_spec : str, optional
    use_umfpack : bool
        Taken for SciPy's sake: SuperLU does it.

    Returns
    -------
    Tensor or numpy.ndarray
        Of the shape of `b`.
    """
    return SuperLU(A, **({} if permc_spec is None else {"permc_spec": permc_spec})).solve(b)


def spsolve_triangular(A: Any, b: Any, lower: bool = True, unit_diagonal: bool = False, **options: Any) -> Any:
    """`scipy.sparse.linalg.spsolve_triangular`; the matrix is a constant."""
    a = _sparse.csr_array(A)
    adjoint = a.conj().T.tocsr()
    return linear_map(
        lambda x: _linalg.spsolve_triangular(a, x, lower, unit_diagonal=unit_diagonal),
        lambda x: _linalg.spsolve_triangular(adjoint, x, not lower, unit_diagonal=unit_diagonal),
    )(b)


def expm_multiply(
    A: Any, B: Any, start: Any = None, stop: Any = None, num: Any = None, endpoint: Any = None, traceA: Any = None
) -> Any:
    """`scipy.sparse.linalg.expm_multiply`: the exponential of a constant matrix times vectors.

    Parameters
    ----------
    A : sparse array or matrix, shape (n, n)
    B : array_like or Tensor, shape (n,) or (n, k)
    start, stop, num, endpoint
        Times, as those of `numpy.linspace`: one exponential for each.
    traceA : scalar, optional

    Returns
    -------
    Tensor or numpy.ndarray
        With a first axis of times, where these are given.
    """
    adjoint = A.conj().T
    if start is None and stop is None and num is None and endpoint is None:
        there = lambda x: _linalg.expm_multiply(A, x, traceA=traceA)
        return linear_map(there, lambda x: _linalg.expm_multiply(adjoint, x))(B)
    times = np.linspace(start, stop, 50 if num is None else num, endpoint is not False)
    return linear_map(
        lambda x: _linalg.expm_multiply(A, x, start, stop, num, endpoint, traceA),
        lambda y: sum(_linalg.expm_multiply(adjoint * t, part) for t, part in zip(times, y, strict=True)),
    )(B)


def _iterative(name: str) -> Callable:
    solver = getattr(_linalg, name)

    def solve(A: Any, b: Any, x0: Any = None, *, M: Any = None, **options: Any) -> tuple[Any, int]:
        a = _linalg.aslinearoperator(A)
        infos: list[int] = []

        def run(operator: Any, start: Any, preconditioner: Any) -> Callable:
            def call(b: np.ndarray) -> np.ndarray:
                given = options if preconditioner is None else {"M": preconditioner, **options}
                x, info = solver(operator, b, start if not infos else None, **given)
                if infos and info:  # the first is the user's to look at
                    raise np.linalg.LinAlgError(
                        f"{name}: no convergence in solving for the derivative (info {info}); try another method or "
                        f"another maxiter"
                    )
                infos.append(info)
                return x

            return call

        forward = run(a, x0, M)
        back = run(a.H, None, None if M is None else _linalg.aslinearoperator(M).H)
        return linear_map(forward, back)(b), infos[0] if infos else 0

    solve.__name__ = solve.__qualname__ = name
    solve.__doc__ = (
        f"`scipy.sparse.linalg.{name}`; the matrix is a constant. The gradient is solved for by the same method, to "
        f"the same tolerance."
    )
    return solve


bicg, bicgstab, cg, cgs, gcrotmk, gmres, lgmres, minres, qmr, tfqmr = map(
    _iterative, ("bicg", "bicgstab", "cg", "cgs", "gcrotmk", "gmres", "lgmres", "minres", "qmr", "tfqmr")
)
