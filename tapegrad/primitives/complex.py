"""Parts of complex numbers.

The cotangent of a complex operand is ``y_bar * conj(dy/dx)`` where y is holomorphic; in general, it is the vector
with ``Re(conj(x_bar) x_dot) = Re(conj(y_bar) y_dot)`` for all directions, as in PyTorch.
"""

from __future__ import annotations

import numpy as np

from ..tape.importing import import_array
from ..tape.spec import spec_of
from ..vm import opcodes as op
from ..vm.bridge import loop_address
from .batching import stacked
from .core import Primitive, implements, lift, primitive

Z = np.array([1.0 + 2.0j, -3.0 + 0.5j, 0.0j])


@primitive(np.conjugate)
class conjugate:
    """Complex conjugate."""

    linear = True
    grad_name = "Conj"

    def pullback(y_bar, y, x):
        return conjugate(y_bar)

    probes = (1.5, -2.0)


class _Part(Primitive):
    """A copy of one component of complex numbers, read in place as floats."""

    imaginary = False
    batching = staticmethod(stacked)

    def infer(self, specs, attrs):
        (x,) = specs
        if x.dtype.kind != "c":
            raise TypeError(f"{self.name} takes complex operands, not {x.dtype.name}; use numpy.{self.name}(x)")
        return spec_of(x.shape, np.dtype(x.dtype.char.lower())), op.KERNEL

    def kernel(self, emitter, out, operands, attrs):
        ((code, x),) = operands
        part = spec_of(x.shape, out[1].dtype, x.strides)
        alias = emitter.shifted(code, part.dtype.itemsize * self.imaginary)
        c = part.dtype.char
        add = (*loop_address(np.add, f"{c}{c}->{c}"), False)
        emitter.loop(loop_address(np.positive, f"{c}->{c}"), out, [(alias, part)], accumulate=add, inline=op.COPY)


@primitive(base=_Part)
class real:
    """Real part."""

    linear = True
    samples = [(Z,), (Z.astype(np.complex64),), (np.outer(Z, Z).T,)]

    def compute(x):
        return np.real(x)

    def pullback(y_bar, y, x):
        return lift(y_bar, x._spec.dtype)


@primitive(base=_Part)
class imag:
    """Imaginary part."""

    linear = True
    imaginary = True
    samples = [(Z,), (Z.astype(np.complex64),), (np.outer(Z, Z).T,)]

    def compute(x):
        return np.imag(x)

    def pullback(y_bar, y, x):
        return lift(y_bar, x._spec.dtype) * 1j


@implements(np.real)
def numpy_real(val):
    """`numpy.real`."""
    x = lift(val)
    return real(x) if x._spec.dtype.kind == "c" else x


@implements(np.imag)
def numpy_imag(val):
    """`numpy.imag`."""
    x = lift(val)
    if x._spec.dtype.kind == "c":
        return imag(x)
    return import_array(np.zeros(x._spec.shape, x._spec.dtype))


@implements(np.iscomplexobj)
def numpy_iscomplexobj(x):
    """`numpy.iscomplexobj`."""
    return lift(x)._spec.dtype.kind == "c"


@implements(np.isrealobj)
def numpy_isrealobj(x):
    """`numpy.isrealobj`."""
    return lift(x)._spec.dtype.kind != "c"


@implements(np.iscomplex)
def numpy_iscomplex(x):
    """`numpy.iscomplex`."""
    return numpy_imag(x) != 0


@implements(np.isreal)
def numpy_isreal(x):
    """`numpy.isreal`."""
    return numpy_imag(x) == 0
