"""Negative log-likelihood of classes, which picks one element for each target: one row, and its transpose."""

from __future__ import annotations

import functools

import numpy as np

from ..errors import ShapeError
from ..tape.spec import spec_of
from ..vm import opcodes as op
from ..vm.kernels import extra_loop, faults
from ..vm.plans import gufunc_plan
from .batching import one_by_one
from .core import lift, ops, primitive
from .shape import expand_to, reshape_to

_LOGS = -np.abs(np.sin(np.arange(1.0, 13.0))).reshape(3, 4)
_IMAGES = -np.abs(np.cos(np.arange(1.0, 25.0))).reshape(2, 3, 4)
_TARGET, _PLACES = np.array([3, 0, 2]), np.array([[0, 2, 1, 1], [2, 0, -1, 0]])
_WEIGHT = np.array([0.5, 1.0, 2.0, 0.7])
_FORMS = [
    (_LOGS, (_TARGET,), {"ignore_index": -100, "reduction": "mean"}),
    (_LOGS, (_TARGET, _WEIGHT), {"ignore_index": 2, "reduction": "mean"}),
    (_LOGS, (_TARGET, _WEIGHT), {"ignore_index": -100, "reduction": "none"}),
    (_IMAGES, (_PLACES,), {"ignore_index": -1, "reduction": "sum"}),
]


def _picked(ndim, target, weight, ignore_index, reduction, dtype):
    """A key for the elements that targets pick, and each one's part in the loss: a number if all have the same."""
    counts = target != ignore_index
    if weight is None and np.logical_and.reduce(counts, axis=None):
        parts = 1.0 / max(target.size, 1) if reduction == "mean" else 1.0
    else:
        target = np.where(counts, target, 0)
        parts = np.asarray(counts if weight is None else np.where(counts, weight[target], 0)).astype(dtype)
        if reduction == "mean":
            parts = parts / (parts.sum() or 1)
    if ndim == 1:
        return (target,), parts
    if target.ndim == 1:
        return (np.arange(len(target)), target), parts
    first, *others = np.ogrid[tuple(slice(n) for n in target.shape)]
    return (first, target, *others), parts


@functools.cache
def _words(ignored, mean):
    """What the loops read through ``data``; kept as long as the process."""
    return np.array([faults.ctypes.data, ignored, mean], np.int64)


def _emit_loop(name, emitter, out, operands, table, attrs):
    """Emit the loop of that name for a table of (n, classes); whether there is one for these operands."""
    (code, y), (first, x), (second, target) = out, operands[0], operands[-1]
    c = y.dtype.char
    if len(operands) > 2 or table.ndim != 2 or c not in "fd" or target.dtype != np.intp or 0 in (*table.shape, y.size):
        return False
    losses = y if name == "picked" else x
    if losses.shape != (target.shape if attrs["reduction"] == "none" else ()):
        return False
    steps = [*table.strides, *target.strides, *(losses.strides or (0,))]
    if name == "spread":
        steps = [*steps[3:], steps[2], *steps[:2]]
    loop = extra_loop(name, f"{c}->{c}"), _words(attrs["ignore_index"], attrs["reduction"] == "mean").ctypes.data
    emitter.emit(op.GUFUNC, gufunc_plan(loop, list(table.shape), steps, (), [()] * 3), code, first, second)
    return True


def _fold(x):
    """The batch and the axis behind it, as one."""
    size, n, *rest = x._spec.shape
    return reshape_to(x, (size * n, *rest))


def _losses(row, x):
    """The loss at each target of each example, for values x of all of them."""
    target, attrs = row.whole(1), {"ignore_index": row.attrs["ignore_index"], "reduction": "none"}
    if target._spec.ndim == 1:
        return nll_loss(x, target, *row.xs[2:], **attrs)
    return reshape_to(nll_loss(_fold(x), _fold(target), *row.xs[2:], **attrs), target._spec.shape)


def _total(losses):
    return ops.sum(losses, axis=tuple(range(1, losses._spec.ndim)), keepdims=False)


def _counted(row, shape):
    """What the mean of each example divides by: the sum of the weights of its targets."""
    minus = lift(np.full((), -1.0, row.specs[0].dtype))
    return _total(_losses(row, expand_to(minus, (row.size, *shape))))


@primitive()
class nll_loss:
    """Minus the elements along axis 1 that targets pick, weighted; their mean, their sum or each of them."""

    samples = tuple(((x, *others), attrs) for x, others, attrs in _FORMS)
    fixed = (1, 2)

    def infer(specs, attrs):
        x, target = specs[:2]
        expected = (x.shape[0], *x.shape[2:]) if x.ndim > 1 else ()
        if target.shape != expected:
            if x.ndim == 2 and target.ndim == 1:
                raise ShapeError(
                    f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({target.shape[0]})."
                )
            raise ShapeError(f"Expected target size {list(expected)}, got {list(target.shape)}")
        if len(specs) > 2 and specs[2].shape != x.shape[min(x.ndim - 1, 1) :][:1]:
            raise ShapeError(f"nll_loss: weight of shape {specs[2].shape} for classes in shape {x.shape}")
        return spec_of(target.shape if attrs["reduction"] == "none" else (), x.dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        if not _emit_loop("picked", emitter, out, operands, operands[0][1], attrs):
            emitter.call(nll_loss, attrs, out, operands)

    def compute(x, target, weight=None, *, ignore_index, reduction):
        key, parts = _picked(x.ndim, target, weight, ignore_index, reduction, x.dtype)
        losses, equal = x[key] * -parts, isinstance(parts, float)
        if not equal:
            losses[parts == 0] = 0  # where the logarithm may be -inf
        if reduction == "none":
            return losses
        nothing = reduction == "mean" and not (target.size and (equal or parts.any()))
        return np.nan if nothing else np.add.reduce(losses, axis=None)

    def pullback(y_bar, y, x, *others, **attrs):
        return ops.nll_loss_spread(y_bar, *others, shape=x._spec.shape, **attrs), *[None] * len(others)

    def batching(row):
        if any(row.mapped[2:]):
            return one_by_one(row)
        losses = _losses(row, row.whole(0))
        if row.attrs["reduction"] == "none":
            return losses
        total = _total(losses)
        return total if row.attrs["reduction"] == "sum" else total / _counted(row, row.specs[0].shape)


@primitive()
class nll_loss_spread:
    """Zeros, with a cotangent where targets pick: the transpose of `nll_loss`."""

    samples = tuple(
        ((nll_loss.compute(x, *others, **attrs), *others), {**attrs, "shape": x.shape}) for x, others, attrs in _FORMS
    )
    fixed = (1, 2)

    def infer(specs, attrs):
        return spec_of(attrs["shape"], specs[0].dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        if not _emit_loop("spread", emitter, out, operands, out[1], attrs):
            emitter.call(nll_loss_spread, attrs, out, operands)

    def compute(v, target, weight=None, *, shape, ignore_index, reduction):
        key, parts = _picked(len(shape), target, weight, ignore_index, reduction, v.dtype)
        x_bar = np.zeros(shape, v.dtype)
        x_bar[key] = -v * parts
        return x_bar

    def pullback(y_bar, y, v, *others, shape, **attrs):
        return nll_loss(y_bar, *others, **attrs), *[None] * len(others)

    def batching(row):
        if any(row.mapped[2:]):
            return one_by_one(row)
        v, shape, reduction = row.whole(0), row.attrs["shape"], row.attrs["reduction"]
        if reduction == "mean":
            v = v / _counted(row, shape)
        places = row.specs[1].shape
        if reduction != "none":
            v = expand_to(reshape_to(v, (row.size, *(1,) * len(places))), (row.size, *places))
        target = row.whole(1)
        if places:
            v, target = reshape_to(v, (row.size * places[0], *places[1:])), _fold(target)
            shape = (row.size * shape[0], *shape[1:])
        else:
            shape = (row.size, *shape)
        x = row.again([v, target, *row.xs[2:]], shape=shape, reduction="none")
        return reshape_to(x, (row.size, *row.attrs["shape"]))
