"""Discrete Fourier transforms.

Three records carry the family: the complex transform over any axes, and the two between real arrays and half spectra.
Each is, up to weights, the adjoint of another. Their `norm` is NumPy's for a forward transform, whichever their sign:
"backward" takes them without a scale.
"""

from __future__ import annotations

import numpy as np

from ..tape.spec import contiguous_strides, spec_of
from ..vm import opcodes as op
from .core import implements, lift, ops, primitive
from .indexing import getitem
from .reduction import refuse
from .repeating import numpy_roll
from .scan import along
from .shape import cast

_Z = np.array([[1.0 + 2.0j, -3.0 + 0.5j, 0.2j], [0.5, 1.0 - 1.0j, 2.0]])
_X = np.array([[1.0, -2.0, 3.0, 0.3], [0.5, 4.0, -1.0, 2.0]])


_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


@primitive()
class dft:
    """Complex discrete Fourier transform over axes, with the sign of its exponent."""

    linear = True
    grad_name = "FftC2C"
    samples = (
        ((_Z,), {"axes": (1,), "sign": -1, "norm": "backward"}),
        ((_Z,), {"axes": (0, 1), "sign": 1, "norm": "ortho"}),
        ((_Z[0],), {"axes": (0,), "sign": -1, "norm": "forward"}),
    )

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def compute(x, axes, sign, norm):
        if sign < 0:
            return np.fft.fftn(x, axes=axes, norm=norm)
        return np.fft.ifftn(x, axes=axes, norm=_SWAPPED[norm])

    def pullback(y_bar, y, x, axes, sign, norm):
        return dft(y_bar, axes=axes, sign=-sign, norm=norm)


@primitive()
class rdft:
    """First half of the discrete Fourier transform of real arrays along an axis."""

    linear = True
    grad_name = "FftR2C"
    samples = (
        ((_X,), {"axis": 1, "norm": "backward"}),
        ((_X.T[:3].copy(),), {"axis": 0, "norm": "forward"}),
        ((np.array([2.0]),), {"axis": 0, "norm": "ortho"}),
    )

    def infer(specs, attrs):
        x, axis = specs[0], attrs["axis"]
        shape = (*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :])
        return spec_of(shape, np.result_type(x.dtype, np.complex64)), op.KERNEL

    def compute(x, axis, norm):
        return np.fft.rfft(x, axis=axis, norm=norm)

    def pullback(y_bar, y, x, axis, norm):
        n = x._spec.shape[axis]
        return irdft(y_bar * (1.0 / _multiplicity(n, axis, y)), n=n, axis=axis, norm=norm)


@primitive()
class irdft:
    """Real discrete Fourier transform of a half spectrum along an axis."""

    linear = True
    grad_name = "FftC2R"
    samples = (
        ((_Z,), {"n": 4, "axis": 1, "norm": "backward"}),
        ((_Z,), {"n": 5, "axis": 1, "norm": "ortho"}),
        ((_Z,), {"n": 2, "axis": 0, "norm": "forward"}),
    )

    def infer(specs, attrs):
        x, axis = specs[0], attrs["axis"]
        shape = (*x.shape[:axis], attrs["n"], *x.shape[axis + 1 :])
        return spec_of(shape, np.dtype(x.dtype.char.lower())), op.KERNEL

    def compute(x, n, axis, norm):
        return np.fft.irfft(x, n, axis=axis, norm=_SWAPPED[norm])

    def pullback(y_bar, y, x, n, axis, norm):
        return rdft(y_bar, axis=axis, norm=norm) * _multiplicity(n, axis, x)


def _multiplicity(n, axis, spectrum):
    """How often each element of a half spectrum stands in the whole one: once at the ends, else twice."""
    count = np.full(n // 2 + 1, 2.0, np.dtype(spectrum._spec.dtype.char.lower()))
    count[0] = 1.0
    if n % 2 == 0:
        count[-1] = 1.0
    return count.reshape([-1 if d == axis else 1 for d in range(spectrum._spec.ndim)])


# --- numpy.fft -------------------------------------------------------------------------------------------------------


def _complex(a):
    x = lift(a)
    return cast(x, np.dtype(complex) if x._spec.dtype.kind in "biu" else np.result_type(x._spec.dtype, np.complex64))


def _real(a, name):
    x = lift(a)
    if x._spec.dtype.kind == "c":
        raise TypeError(f"{name} takes real arrays, not {x._spec.dtype.name}; use fft")
    return cast(x, np.dtype(float) if x._spec.dtype.kind in "biu" else np.result_type(x._spec.dtype, np.float32))


def fitted(x, n, axis):
    """Cut an axis to n elements, or fill it up with zeros."""
    have, ndim = x._spec.shape[axis], x._spec.ndim
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    if have > n:
        return getitem(x, along(ndim, axis, slice(0, n)))
    if have == n:
        return x
    shape = (*x._spec.shape[:axis], n, *x._spec.shape[axis + 1 :])
    strides = contiguous_strides(shape, x._spec.dtype.itemsize)
    return ops.place(x, shape=shape, strides=strides, offset=0, base_strides=strides)


def _norm(norm, forward):
    """How a transform is scaled, in the words of a forward one."""
    norm = norm or "backward"
    if norm not in _SWAPPED:
        raise ValueError(f'Invalid norm value {norm}; should be "backward","ortho" or "forward".')
    return norm if forward else _SWAPPED[norm]


def _axis(x, axis):
    return np.lib.array_utils.normalize_axis_index(axis, x._spec.ndim)


def _one(a, n, axis, norm, forward):
    x = _complex(a)
    axis = _axis(x, axis)
    x = fitted(x, x._spec.shape[axis] if n is None else n, axis)
    return dft(x, axes=(axis,), sign=-1 if forward else 1, norm=_norm(norm, forward))


def _shape_and_axes(x, s, axes):
    if axes is None:
        axes = tuple(range(x._spec.ndim)) if s is None else tuple(range(-len(s), 0))
    if s is None:
        s = [x._spec.shape[d] for d in axes]
    if len(s) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    return [x._spec.shape[d] if n == -1 else n for n, d in zip(s, axes, strict=True)], [_axis(x, d) for d in axes]


def _many(a, s, axes, norm, forward):
    x = _complex(a)
    sizes, axes = _shape_and_axes(x, s, axes)
    if len(set(axes)) < len(axes):
        for n, d in zip(sizes, axes, strict=True):
            x = _one(x, n, d, norm, forward)
        return x
    for n, d in zip(sizes, axes, strict=True):
        x = fitted(x, n, d)
    if not axes:
        return x
    return dft(x, axes=tuple(axes), sign=-1 if forward else 1, norm=_norm(norm, forward))


@implements(np.fft.fft)
def fft_fft(a, n=None, axis=-1, norm=None, out=None):
    """`numpy.fft.fft`."""
    refuse("fft", out=out)
    return _one(a, n, axis, norm, True)


@implements(np.fft.ifft)
def fft_ifft(a, n=None, axis=-1, norm=None, out=None):
    """`numpy.fft.ifft`."""
    refuse("ifft", out=out)
    return _one(a, n, axis, norm, False)


@implements(np.fft.fftn)
def fft_fftn(a, s=None, axes=None, norm=None, out=None):
    """`numpy.fft.fftn`."""
    refuse("fftn", out=out)
    return _many(a, s, axes, norm, True)


@implements(np.fft.ifftn)
def fft_ifftn(a, s=None, axes=None, norm=None, out=None):
    """`numpy.fft.ifftn`."""
    refuse("ifftn", out=out)
    return _many(a, s, axes, norm, False)


@implements(np.fft.fft2)
def fft_fft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`numpy.fft.fft2`."""
    refuse("fft2", out=out)
    return _many(a, s, axes, norm, True)


@implements(np.fft.ifft2)
def fft_ifft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`numpy.fft.ifft2`."""
    refuse("ifft2", out=out)
    return _many(a, s, axes, norm, False)


def _half(x, n, axis, norm):
    return rdft(fitted(x, n, axis), axis=axis, norm=_norm(norm, True))


def _whole(x, n, axis, norm):
    return irdft(fitted(x, n // 2 + 1, axis), n=n, axis=axis, norm=_norm(norm, False))


@implements(np.fft.rfft)
def fft_rfft(a, n=None, axis=-1, norm=None, out=None):
    """`numpy.fft.rfft`."""
    refuse("rfft", out=out)
    x = _real(a, "rfft")
    axis = _axis(x, axis)
    return _half(x, x._spec.shape[axis] if n is None else n, axis, norm)


@implements(np.fft.irfft)
def fft_irfft(a, n=None, axis=-1, norm=None, out=None):
    """`numpy.fft.irfft`."""
    refuse("irfft", out=out)
    x = _complex(a)
    axis = _axis(x, axis)
    return _whole(x, (x._spec.shape[axis] - 1) * 2 if n is None else n, axis, norm)


@implements(np.fft.hfft)
def fft_hfft(a, n=None, axis=-1, norm=None, out=None):
    """`numpy.fft.hfft`."""
    refuse("hfft", out=out)
    return fft_irfft(ops.conjugate(_complex(a)), n, axis, _norm(norm, False))


@implements(np.fft.ihfft)
def fft_ihfft(a, n=None, axis=-1, norm=None, out=None):
    """`numpy.fft.ihfft`."""
    refuse("ihfft", out=out)
    return ops.conjugate(fft_rfft(a, n, axis, _norm(norm, False)))


@implements(np.fft.rfftn)
def fft_rfftn(a, s=None, axes=None, norm=None, out=None):
    """`numpy.fft.rfftn`."""
    refuse("rfftn", out=out)
    x = _real(a, "rfftn")
    sizes, axes = _shape_and_axes(x, s, axes)
    y = _half(x, sizes[-1], axes[-1], norm)
    return _many(y, sizes[:-1], axes[:-1], norm, True)


@implements(np.fft.irfftn)
def fft_irfftn(a, s=None, axes=None, norm=None, out=None):
    """`numpy.fft.irfftn`."""
    refuse("irfftn", out=out)
    x = _complex(a)
    last = None if s is None else s[-1]
    sizes, axes = _shape_and_axes(x, s, axes)
    n = (x._spec.shape[axes[-1]] - 1) * 2 if last in (None, -1) else last
    return _whole(_many(x, sizes[:-1], axes[:-1], norm, False), n, axes[-1], norm)


@implements(np.fft.rfft2)
def fft_rfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`numpy.fft.rfft2`."""
    return fft_rfftn(a, s, axes, norm, out)


@implements(np.fft.irfft2)
def fft_irfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """`numpy.fft.irfft2`."""
    return fft_irfftn(a, s, axes, norm, out)


def _shift(x, axes, sign):
    x = lift(x)
    if axes is None:
        axes = tuple(range(x._spec.ndim))
    axes = (axes,) if isinstance(axes, (int, np.integer)) else tuple(axes)
    halves = [x._spec.shape[d] // 2 for d in axes]
    return numpy_roll(x, [sign * h for h in halves], axes)


@implements(np.fft.fftshift)
def fft_fftshift(x, axes=None):
    """`numpy.fft.fftshift`."""
    return _shift(x, axes, 1)


@implements(np.fft.ifftshift)
def fft_ifftshift(x, axes=None):
    """`numpy.fft.ifftshift`."""
    return _shift(x, axes, -1)
