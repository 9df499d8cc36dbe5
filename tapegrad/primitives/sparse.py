"""Products of SciPy's sparse matrices, as constants, and tensors; registered with SciPy's functions."""

from __future__ import annotations

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .batching import one_by_one
from .core import ops, primitive
from .layout import view_of_function
from .matmul import conjugated
from .shape import reshape_to

_DATA, _COLUMNS, _STARTS = np.array([1.0, -2.0, 0.5, 3.0]), np.array([0, 2, 1, 2]), np.array([0, 2, 2, 4])


@primitive()
class csr_matmul:
    """Product of a constant sparse matrix, given by its rows, or of its transpose, and vectors as columns."""

    linear = (3,)
    grad_name = "SparseMm"
    fixed = (0,)
    samples = tuple(
        ((_DATA, _COLUMNS, _STARTS, np.sin(np.arange(rows * k)).reshape(rows, k)), {"columns": 4, "transposed": flag})
        for rows, k, flag in ((4, 2, False), (3, 1, True), (3, 0, True))
    )

    def infer(specs, attrs):
        _, _, starts, x = specs
        inner, outer = attrs["columns"], starts.size - 1
        if attrs["transposed"]:
            inner, outer = outer, inner
        if x.shape[0] != inner:
            raise ValueError(
                f"sparse matmul: the matrix has {inner} columns, the operand {x.shape[0]} rows; they must be as many"
            )
        return spec_of((outer, x.shape[1]), x.dtype), op.KERNEL

    def compute(data, indices, starts, x, columns, transposed):
        from scipy.sparse import csr_array

        a = csr_array((data, indices, starts), shape=(starts.size - 1, columns))
        return np.ascontiguousarray((a.T if transposed else a) @ x)

    def pullback(y_bar, y, data, indices, starts, x, columns, transposed):
        back = csr_matmul(conjugated(data), indices, starts, y_bar, columns=columns, transposed=not transposed)
        return None, None, None, back

    def batching(row):
        if any(row.mapped[:3]):
            return one_by_one(row)
        *matrix, x = row.xs
        rows, columns = row.specs[3].shape
        side = reshape_to(view_of_function(np.moveaxis, "Permute", x, 0, 1), (rows, row.size * columns))
        y = reshape_to(row.again([*matrix, side]), (row.out.shape[0], row.size, columns))
        return ops.copy(view_of_function(np.moveaxis, "Permute", y, 1, 0))
