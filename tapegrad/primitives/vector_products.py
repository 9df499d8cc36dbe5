"""Products of vectors by NumPy's own functions; composed of other records in compiled functions and on devices."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..tape.exactness import is_numpy_loops_enabled
from ..tape.spec import spec_of
from ..tape.state import local
from ..vm import opcodes as op
from .batching import leading
from .core import Primitive, implements, lift, primitive, unbroadcast
from .layout import view_of_function
from .matmul import adjoint, conjugated, matmul
from .reduction import numpy_sum
from .shape import insert_axis, reshape_to

_A, _B = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]), np.cos(np.arange(6.0)).reshape(2, 1, 3)
_M = np.sin(np.arange(12.0)).reshape(2, 2, 3)


class _Products(Primitive):
    """A function of the last axes of two operands, `core` of each, which broadcasts over the others."""

    multilinear = True
    core: tuple[int, int]

    def infer(self, specs, attrs):
        a, b = specs
        m, n = self.core
        batch = np.broadcast_shapes(a.shape[: a.ndim - m], b.shape[: b.ndim - n])
        kept = (*a.shape[a.ndim - m : -1], *(b.shape[-1:] if n > 1 else ()))
        return spec_of((*batch, *kept), a.dtype), op.KERNEL


@primitive(base=_Products)
class plain_vecdot:
    """Sum of products of two vectors, the first one conjugated, by NumPy's own function."""

    core = (1, 1)
    batching = leading(1, 1)
    samples = (((_A, _B), {}), ((_A + 1j, _B - 2j), {}))

    def compute(a, b):
        return np.vecdot(a, b)

    def pullback(y_bar, y, a, b):
        y_bar = insert_axis(y_bar, -1)
        return unbroadcast(conjugated(y_bar) * b, a), unbroadcast(y_bar * a, b)


if hasattr(np, "matvec"):  # since NumPy 2.2

    @primitive(base=_Products)
    class plain_matvec:
        """Product of a matrix and a vector, by NumPy's own function."""

        core = (2, 1)
        batching = leading(2, 1)
        samples = (((_M, _A[:, :3]), {}), ((_M + 1j, _A - 2j), {}))

        def compute(a, b):
            return np.matvec(a, b)

        def pullback(y_bar, y, a, b):
            a_bar = insert_axis(y_bar, -1) * insert_axis(conjugated(b), -2)
            return unbroadcast(a_bar, a), unbroadcast(plain_matvec(adjoint(a), y_bar), b)

    @primitive(base=_Products)
    class plain_vecmat:
        """Product of a vector, conjugated, and a matrix, by NumPy's own function."""

        core = (1, 2)
        batching = leading(1, 2)
        samples = (((_A[:, :2], _M), {}), ((_A[:, :2] + 1j, _M - 2j), {}))

        def compute(a, b):
            return np.vecmat(a, b)

        def pullback(y_bar, y, a, b):
            b_bar = insert_axis(a, -1) * insert_axis(y_bar, -2)
            return unbroadcast(plain_matvec(b, conjugated(y_bar)), a), unbroadcast(b_bar, b)


def _pair(name, x1, x2, core):
    """Both operands, of one dtype, if they have the axes that the function is about, of the same length."""
    x1, x2 = matmul.lift((x1, x2))
    for k, (x, n) in enumerate(zip((x1, x2), core, strict=True)):
        if x._spec.ndim < n:
            raise ShapeError(
                f"{name}: input operand {k} does not have enough dimensions: it has {x._spec.ndim}, and needs {n}"
            )
    if x1._spec.shape[-1] != x2._spec.shape[-core[1]]:
        raise ShapeError(f"{name}: shapes {x1._spec.shape} and {x2._spec.shape} not aligned")
    return x1, x2


def numpy_vecdot(x1, x2, /, *, axis=-1):
    """`numpy.vecdot`."""
    x1, x2 = [view_of_function(np.moveaxis, "Permute", lift(x), axis, -1) for x in (x1, x2)]
    x1, x2 = _pair("vecdot", x1, x2, (1, 1))
    if _is_numpys(x1):
        return plain_vecdot(x1, x2)
    y = conjugated(x1) * x2
    return numpy_sum(y, -1, dtype=y._spec.dtype)


def numpy_matvec(x1, x2, /):
    """`numpy.matvec`."""
    x1, x2 = _pair("matvec", x1, x2, (2, 1))
    if _is_numpys(x1):
        return plain_matvec(x1, x2)
    return _without(matmul(x1, insert_axis(x2, -1)), -1)


def numpy_vecmat(x1, x2, /):
    """`numpy.vecmat`."""
    x1, x2 = _pair("vecmat", x1, x2, (1, 2))
    if _is_numpys(x1):
        return plain_vecmat(x1, x2)
    return _without(matmul(insert_axis(conjugated(x1), -2), x2), -2)


def _is_numpys(x):
    """Whether NumPy computes the product: its bits are its own, and machine code would have to leave for it."""
    return is_numpy_loops_enabled() or (x._spec.device is None and not local.state.tape.tracing)


def _without(x, axis):
    """Drop an axis of length one."""
    shape = list(x._spec.shape)
    del shape[axis]
    return reshape_to(x, tuple(shape))


for _name, _function in (("vecdot", numpy_vecdot), ("matvec", numpy_matvec), ("vecmat", numpy_vecmat)):
    if hasattr(np, _name):
        implements(getattr(np, _name))(_function)
implements(np.linalg.vecdot)(numpy_vecdot)
