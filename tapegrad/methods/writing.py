"""In-place methods: every method of the tables with an underscore, written where the tensor's memory is."""

from __future__ import annotations

import numpy as np

from ..descriptors import Operator
from ..inplace import remember_copy, rewrite, write
from ..operators import NUMBERS, described, hand_over, waiting
from ..primitives.core import RECORDS, lift, ops
from ..tape.handle import Tensor, attach
from ..tape.signature import fast_index
from ..tape.state import local
from ..updates import attach_in_place, copied, in_place
from ..values import value_of
from .elementwise import BINARY, SPECIAL, UNARY, clamp, masked_fill, special
from .naming import named

__all__: list[str] = []


def _special_writer(name, record):
    def method(self, *others):
        return write(self, special(record), (self, *others))

    named(name, method, f"`scipy.special.{record}` in place; returns the tensor.")


_PLAIN = {"add": "add", "sub": "subtract", "subtract": "subtract", "div": "divide", "divide": "divide", "pow": "power"}
for _operands, _table in enumerate((UNARY, BINARY | _PLAIN), start=1):
    for _name, _record in _table.items():
        if _name not in ("isnan", "isinf", "isfinite", "signbit", "fabs", "conj", "rint"):
            attach_in_place(**{_name + "_": in_place(RECORDS[_record], _name + "_", _operands)})
for _name, _record in SPECIAL.items():
    _special_writer(_name + "_", _record)


def _method_writer(name, function=None):
    function = function or getattr(Tensor, name)

    def method(self, *args, **kwargs):
        return rewrite(self, function, *args, **kwargs)

    named(name + "_", method, f"`{name}` in place; returns the tensor.")


for _name in (
    "rsqrt frac round clamp clamp_min clamp_max lerp addcmul addcdiv sinc nan_to_num masked_fill scatter scatter_add "
    "index_add index_copy index_fill index_put masked_scatter cumsum cumprod tril triu addmm addmv baddbmm addr addbmm "
    "scatter_reduce index_reduce renorm mvlgamma polygamma"
).split():
    _method_writer(_name)
_method_writer("clip", clamp)


def _copy(self, given, value, method):
    """Copy a value, made of what was given, to where the tensor stands; the next one of the kind may go by look-up."""
    spec, kind, grad_enabled = self._spec, given.__class__, local.state.grad_enabled
    if method in waiting:
        hand_over(method)
    write(self, ops.copy, (value,))
    simple = value is given or (kind in NUMBERS and spec.dtype.char in "fd")
    if simple and spec.device is None and value._spec.dtype == spec.dtype:
        remember_copy(described[method].table, spec, kind, value._spec, grad_enabled)
    return self


def _fill_(self, value):
    """Set every element to a number, or to a tensor of no axes."""
    if copied(self, value, described[_fill_].table):
        return self
    made = lift(value)
    if made._spec.ndim:
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {made._spec.ndim} dimensions."
        )
    return _copy(self, value, _cast(made, self._spec.dtype), _fill_)


def _zero_(self):
    """Set every element to zero."""
    if copied(self, 0, described[_zero_].table):
        return self
    return _copy(self, 0, lift(0, self._spec.dtype), _zero_)


def _copy_(self, src, non_blocking=False):
    """Take over the elements of another tensor or array, broadcast and converted."""
    if copied(self, src, described[_copy_].table):
        return self
    return _copy(self, src, _cast(lift(src), self._spec.dtype), _copy_)


def _cast(value, dtype):
    if value._spec.dtype.kind == "c" and dtype.kind != "c":
        value = ops.real(value)
    return lift(value, dtype)


def _fill_diagonal_(self, fill_value, wrap=False):
    """Set the diagonal to a number."""
    if self._spec.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self._spec.ndim > 2 and len(set(self._spec.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    eye = np.zeros(self._spec.shape, np.bool_)
    np.fill_diagonal(eye, True, wrap=wrap)
    return rewrite(self, masked_fill, eye, fill_value)


def _random(draw):
    def method(self, *args, rng=None, **kwargs):
        from ..creation import generator_of

        values = draw(generator_of(rng), self._spec.shape, *args, **kwargs)
        return write(self, ops.copy, (lift(np.asarray(values).astype(self._spec.dtype)),))

    return method


def _uniform(rng, shape, low=0.0, high=1.0):
    return rng.uniform(low, high, shape)


def _normal(rng, shape, mean=0.0, std=1.0):
    return rng.normal(mean, std, shape)


def _bernoulli(rng, shape, p=0.5):
    return rng.random(shape) < p


def _exponential(rng, shape, lambd=1.0):
    return rng.exponential(1.0 / lambd, shape)


def _log_normal(rng, shape, mean=1.0, std=2.0):
    return rng.lognormal(mean, std, shape)


def _cauchy(rng, shape, median=0.0, sigma=1.0):
    return median + sigma * rng.standard_cauchy(shape)


def _geometric(rng, shape, p):
    return rng.geometric(p, shape)


def _random_integers(rng, shape, low=0, high=None):
    low, high = (0, low) if high is None else (low, high)
    return rng.integers(low, high or 1 << 24, shape)


def _detach_(self):
    """Cut the tensor off from its history, in place.

    Raises
    ------
    RuntimeError
        If it is a view: its base would still have the history.
    """
    if self._base is not None:
        raise RuntimeError("Can't detach views in-place. Use detach() instead, which gives a tensor of its own.")
    if self._leaf:
        self.requires_grad_(False)
    elif self._spec.requires_grad:
        alias = self.detach()
        self._home, self._retains = None, False
        self._slot, self._tape, self._spec = alias._slot, alias._tape, alias._spec
    return self


def _apply_(self, function):
    """Replace each element by a Python function of it."""
    return _map_(self, self.detach().clone(), lambda x, y: function(x), "apply_")


def _map_(self, other, function, name="map_"):
    """Replace each element by a Python function of it and of another tensor's."""
    if self.requires_grad or other.requires_grad:
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad: a Python function of numbers has no derivative. Use "
            f"var.detach().{name}() instead."
        )
    pairs = np.broadcast(value_of(self), value_of(other))
    made = np.array([function(x.item(), y.item()) for x, y in pairs]).astype(self._spec.dtype)
    return write(self, ops.copy, (lift(made.reshape(self._spec.shape)),))


def _bernoulli_of(self, p=None, *, rng=None):
    """Zeros and ones, one with the probability that the tensor gives (or `p`), from `rng` or the default generator."""
    from ..creation import generator_of

    draws = generator_of(rng).random(self._spec.shape)
    return lift((draws < (value_of(self) if p is None else p)).astype(self._spec.dtype))


def _multinomial(self, num_samples, replacement=False, *, rng=None):
    """Indices drawn by weights along the last axis, from `rng` or the default generator."""
    from ..creation import generator_of

    weights, generator = value_of(self), generator_of(rng)
    if (weights < 0).any() or not np.isfinite(weights).all() or (weights.sum(-1) <= 0).any():
        raise RuntimeError("multinomial: weights must be finite, not negative, and not all zero")
    rows = [
        generator.choice(weights.shape[-1], num_samples, replacement, row / row.sum())
        for row in weights.reshape(-1, weights.shape[-1])
    ]
    return lift(np.array(rows, np.intp).reshape(*weights.shape[:-1], num_samples))


for _name, _draw in {
    "uniform_": _uniform, "normal_": _normal, "bernoulli_": _bernoulli, "exponential_": _exponential,
    "random_": _random_integers, "log_normal_": _log_normal, "cauchy_": _cauchy, "geometric_": _geometric,
}.items():  # fmt: skip
    named(_name, _random(_draw), f"Fill with random numbers, from `rng` or the default generator ({_name[:-1]}).")

described[_fill_] = Operator(_fill_, "writing.write_copy", fast_index())
described[_zero_] = Operator(_zero_, "writing.write_zero", fast_index())
described[_copy_] = Operator(_copy_, "writing.write_copy", fast_index())
attach_in_place(fill_=_fill_, zero_=_zero_, copy_=_copy_)
attach(
    fill_diagonal_=_fill_diagonal_,
    detach_=_detach_,
    apply_=_apply_,
    map_=_map_,
    bernoulli=_bernoulli_of,
    multinomial=_multinomial,
)
