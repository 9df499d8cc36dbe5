"""Elementwise methods: arithmetic, comparisons and mathematics, each a record or a few of them."""

from __future__ import annotations

import numpy as np

from ..operators import attach_operators, recorder_of, unary
from ..primitives.core import BY_FUNCTION, RECORDS, lift, ops
from ..primitives.scipy_loader import load
from ..primitives.shape import reshape_to
from ..tape.handle import Tensor, attach
from .naming import named

__all__ = ["BINARY", "SPECIAL", "UNARY", "clamp", "div", "masked_fill", "special"]

_SAME = (
    "absolute exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh "
    "arccosh arctanh ceil floor trunc rint square reciprocal sign negative positive isnan isinf isfinite signbit "
    "conjugate deg2rad rad2deg degrees radians fabs logical_not relu sigmoid"
)
UNARY = {name: name for name in _SAME.split()} | {
    "abs": "absolute", "acos": "arccos", "asin": "arcsin", "atan": "arctan", "acosh": "arccosh", "asinh": "arcsinh",
    "atanh": "arctanh", "neg": "negative", "fix": "trunc", "sgn": "sign", "conj": "conjugate", "bitwise_not": "invert",
    "conj_physical": "conjugate",
}  # fmt: skip
"""Methods of one operand, and the records that they are."""

_SAME_OF_TWO = (
    "arctan2 maximum minimum fmax fmin hypot copysign logaddexp logaddexp2 nextafter heaviside float_power "
    "floor_divide logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor gcd lcm ldexp multiply divide "
    "fmod remainder less less_equal greater greater_equal not_equal power"
)
BINARY = {name: name for name in _SAME_OF_TWO.split()} | {
    "mul": "multiply", "true_divide": "divide", "atan2": "arctan2", "eq": "equal", "ne": "not_equal", "lt": "less",
    "le": "less_equal", "gt": "greater", "ge": "greater_equal", "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
}  # fmt: skip
"""Methods of two operands, and the records that they are."""

SPECIAL = {
    "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "lgamma": "gammaln", "digamma": "psi", "logit": "logit",
    "xlogy": "xlogy", "i0": "i0", "igamma": "gammainc", "igammac": "gammaincc",
}  # fmt: skip
"""Methods that need SciPy, and the records that they are."""


def _attach_unary(name, record):
    function = unary(record, name) if recorder_of(record) else None
    if function is None:
        named(name, lambda self: record(self), record.__doc__)
    else:
        attach_operators(**{name: function})


def _attach_binary(name, record):
    function = recorder_of(record)

    def method(self, other):
        y = function(self, other)
        if y is NotImplemented or _is_list(other):
            raise _not_an_operand(name, other)
        return y

    named(name, method, record.__doc__)


def _is_list(other):
    """Methods, as PyTorch's, take no lists; operators do, as NumPy's."""
    return other.__class__ is list or other.__class__ is tuple


def _not_an_operand(name, other):
    return TypeError(
        f"{name}(): argument 'other' must be a tensor, an array or a number, not {type(other).__name__}; make a tensor "
        f"of it with tapegrad.tensor(...)"
    )


def special(name):
    """A record of SciPy's, by its name there."""
    try:
        load()
    except ImportError as error:
        raise ImportError(f"{name} needs SciPy: pip install 'tapegrad[scipy]'") from error
    return RECORDS[name]


def _attach_special(name, record):
    def method(self, *others):
        return special(record)(self, *others)

    named(name, method, f"`scipy.special.{record}` of the tensor.")


for _name, _record in UNARY.items():
    _attach_unary(_name, RECORDS[_record])


def _conjugated(self):
    """The complex conjugate; a real tensor itself."""
    return ops.conjugate(self) if self._spec.dtype.kind == "c" else self


for _name in ("conj", "conjugate", "conj_physical"):
    named(_name, _conjugated, _conjugated.__doc__)
for _name, _record in BINARY.items():
    _attach_binary(_name, RECORDS[_record])
for _name, _record in SPECIAL.items():
    _attach_special(_name, _record)


def _add(self, other, *, alpha=1):
    """The sum with another tensor or number, `alpha` times the other."""
    y = Tensor.__add__(self, other if alpha == 1 else other * alpha)
    if y is NotImplemented or _is_list(other):
        raise _not_an_operand("add", other)
    return y


def _sub(self, other, *, alpha=1):
    """The difference from another tensor or number, `alpha` times the other."""
    y = Tensor.__sub__(self, other if alpha == 1 else other * alpha)
    if y is NotImplemented or _is_list(other):
        raise _not_an_operand("sub", other)
    return y


def div(self, other, *, rounding_mode=None):
    """The quotient, as it is or rounded: towards zero (``'trunc'``) or down (``'floor'``)."""
    if rounding_mode == "floor":
        return self // other
    if rounding_mode not in (None, "trunc"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    if rounding_mode == "trunc":
        dtype = np.result_type(self._spec.dtype, lift(other)._spec.dtype)
        if dtype.kind in "iu":
            return ops.astype(ops.trunc(self / other), dtype=dtype)
    y = Tensor.__truediv__(self, other)
    if y is NotImplemented or _is_list(other):
        raise _not_an_operand("div", other)
    return ops.trunc(y) if rounding_mode else y


def _pow(self, exponent):
    """The tensor to the power of another tensor or number."""
    y = Tensor.__pow__(self, exponent)
    if y is NotImplemented or _is_list(exponent):
        raise _not_an_operand("pow", exponent)
    return y


def _rsqrt(self):
    """One over the square root."""
    return ops.reciprocal(ops.sqrt(self))


def _frac(self):
    """What follows the point: x - trunc(x)."""
    return self - ops.trunc(self)


def clamp(self, min=None, max=None):
    """Hold the elements between two bounds, either of which may be None."""
    if min is None and max is None:
        raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
    return BY_FUNCTION[np.clip](self, min, max)


def _clamp_min(self, min):
    """Hold the elements above a bound."""
    return BY_FUNCTION[np.clip](self, min, None)


def _clamp_max(self, max):
    """Hold the elements below a bound."""
    return BY_FUNCTION[np.clip](self, None, max)


def _round(self, decimals=0):
    """`numpy.round` of the tensor."""
    return BY_FUNCTION[np.round](self, decimals)


def _lerp(self, end, weight):
    """``self + weight * (end - self)``."""
    return self + weight * (end - self)


def _addcmul(self, tensor1, tensor2, *, value=1):
    """``self + value * tensor1 * tensor2``."""
    product = tensor1 * tensor2
    return self + (product if value == 1 else product * value)


def _addcdiv(self, tensor1, tensor2, *, value=1):
    """``self + value * tensor1 / tensor2``."""
    quotient = tensor1 / tensor2
    return self + (quotient if value == 1 else quotient * value)


def _sinc(self):
    """``sin(pi x) / (pi x)``, and 1 at 0."""
    return BY_FUNCTION[np.sinc](self)


def _nan_to_num(self, nan=0.0, posinf=None, neginf=None):
    """`numpy.nan_to_num` of the tensor."""
    return BY_FUNCTION[np.nan_to_num](self, True, nan, posinf, neginf)


def _angle(self):
    """`numpy.angle` of the tensor."""
    return BY_FUNCTION[np.angle](self)


def _isclose(self, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """`numpy.isclose` of two tensors."""
    return BY_FUNCTION[np.isclose](self, other, rtol, atol, equal_nan)


def _allclose(self, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """`numpy.allclose` of two tensors, a bool."""
    return BY_FUNCTION[np.allclose](self, other, rtol, atol, equal_nan)


def _equal(self, other):
    """Whether two tensors have the same shape and elements, a bool."""
    return BY_FUNCTION[np.array_equal](self, other)


def _hardshrink(self, lambd=0.5):
    """The elements whose magnitude is above a bound; the others zero."""
    return ops.where(ops.absolute(self) > lambd, self, 0.0)


def _prelu(self, weight):
    """The elements, negative ones times a weight: one for all, or one for each place along the second axis."""
    weight = lift(weight)
    if weight._spec.size > 1:
        channels = self._spec.shape[1] if self._spec.ndim > 1 else 1
        if weight._spec.shape != (channels,):
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight._spec.size} "
                f"and channel size = {channels}."
            )
        weight = reshape_to(weight, (channels,) + (1,) * (self._spec.ndim - 2))
    return ops.where(self > 0.0, self, weight * self)


def _polygamma(self, n):
    """The n-th derivative of the digamma function."""
    from ..scipy.special import polygamma

    load()
    return polygamma(n, self)


def _mvlgamma(self, p):
    """Logarithm of the multivariate gamma function of dimension `p`."""
    from ..scipy.special import multigammaln

    load()
    return multigammaln(self, p)


def _of_numpy(function):
    def method(self, *args):
        return BY_FUNCTION[function](self, *args)

    method.__name__ = method.__qualname__ = function.__name__
    method.__doc__ = f"`numpy.{function.__name__}` of the tensor."
    return method


def _where(self, condition, other):
    """The tensor where the condition is true, else the other."""
    dtype = lift(condition)._spec.dtype
    if dtype.kind != "b":
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {dtype}: ask a question "
            f"(`condition != 0`), or use np.where"
        )
    return ops.where(condition, self, other)


def masked_fill(self, mask, value):
    """The tensor with a value where the mask is true."""
    if lift(mask)._spec.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {lift(mask)._spec.dtype}"
        )
    value = lift(value, self._spec.dtype)
    if value._spec.ndim:
        raise RuntimeError(
            f"masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {value._spec.ndim} "
            f"dimension(s)."
        )
    return ops.where(mask, value, self)


attach(
    add=_add,
    sub=_sub,
    subtract=_sub,
    div=div,
    divide=div,
    pow=_pow,
    rsqrt=_rsqrt,
    frac=_frac,
    clamp=clamp,
    clamp_min=_clamp_min,
    clamp_max=_clamp_max,
    round=_round,
    lerp=_lerp,
    addcmul=_addcmul,
    addcdiv=_addcdiv,
    sinc=_sinc,
    nan_to_num=_nan_to_num,
    angle=_angle,
    isclose=_isclose,
    allclose=_allclose,
    equal=_equal,
    where=_where,
    masked_fill=masked_fill,
    hardshrink=_hardshrink,
    prelu=_prelu,
    polygamma=_polygamma,
    mvlgamma=_mvlgamma,
    isneginf=_of_numpy(np.isneginf),
    isposinf=_of_numpy(np.isposinf),
    isreal=_of_numpy(np.isreal),
    frexp=_of_numpy(np.frexp),
)
