"""How many floating-point operations a row takes: what a roofline needs, to within small factors."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["kind_of", "operations"]

_CUBES = {"cholesky": 1 / 3, "det": 2 / 3, "slogdet_log": 2 / 3, "solve": 2 / 3, "inv": 2.0, "solve_triangular": 1.0}
"""Operations of LAPACK's routines, in n cubed (Golub and Van Loan, Matrix Computations, 4th ed., chapters 3 and 4)."""
_PRODUCTS = {"matmul", "linear", "einsum", "conv2d", "conv2d_image", "conv2d_weights", "convolve"}
_MOVES = {
    "astype", "broadcast_to", "concatenate", "copy", "copy_slices", "detach", "gather", "index_put", "place", "reshape",
    "scatter_add", "stack", "track", "view", "window_spread",
}  # fmt: skip
_REDUCTIONS = {
    "sum",
    "prod",
    "amax",
    "amin",
    "mean",
    "var",
    "std",
    "window_sum",
    "logsumexp",
    "cumsum",
    "cumprod",
    "norm2",
}


def kind_of(name: str) -> str:
    """What sort of work a primitive is: ``product``, ``reduction``, ``move`` or ``elementwise``.

    Whatever is in no list is counted as elementwise: one operation for each element.
    """
    if name in _PRODUCTS or name in _CUBES:
        return "product"
    return "move" if name in _MOVES else "reduction" if name in _REDUCTIONS else "elementwise"


def operations(name: str, operands: list[Any], out: Any) -> float:
    """Additions and multiplications of a row; a function such as ``exp`` counts as one.

    Parameters
    ----------
    name : str
        Of the primitive.
    operands : list of Spec
    out : Spec
    """
    if name in _CUBES and operands:
        n = operands[0].shape[-1] if operands[0].ndim else 1
        columns = operands[1].size / n if name == "solve_triangular" and len(operands) > 1 and n else n
        return _CUBES[name] * n * n * columns * math.prod(operands[0].shape[:-2])
    if name in _PRODUCTS and len(operands) > 1:
        # Every pair that is multiplied is an index of the first, the second and the result, which has two of three.
        pairs = math.sqrt(operands[0].size * operands[1].size * out.size)
        return 2.0 * pairs
    if kind_of(name) == "move":
        return 0.0
    return float(max([out.size, *[s.size for s in operands]] if kind_of(name) == "reduction" else [out.size]))
