"""Errors that NumPy and PyTorch raise as different classes: here they are both, so either `except` catches them."""

from __future__ import annotations

__all__ = [
    "BatchedValueError",
    "CastingError",
    "EmptyReductionError",
    "KeyTypeError",
    "MixedDevicesError",
    "NoLoopError",
    "NotScalarError",
    "OutOfBoundsError",
    "PowerError",
    "ScalarError",
    "ShapeError",
]


class ShapeError(ValueError, RuntimeError):
    """Shapes do not fit: NumPy has a `ValueError` for this, PyTorch a `RuntimeError`."""


class CastingError(TypeError, RuntimeError):
    """A result does not fit into the dtype of its target: NumPy has a `TypeError`, PyTorch a `RuntimeError`."""


class ScalarError(TypeError, ValueError):
    """Several elements cannot be one number: NumPy has a `TypeError` for this, PyTorch a `ValueError`."""


class EmptyReductionError(ValueError, IndexError, RuntimeError):
    """Nothing has no largest element: a `ValueError` in NumPy, an `IndexError` or `RuntimeError` in PyTorch."""


class OutOfBoundsError(IndexError, RuntimeError):
    """An index beyond the end, or that is none: PyTorch has an `IndexError` here and a `RuntimeError` there."""


class PowerError(ValueError, RuntimeError):
    """An integer to a negative power is no integer: NumPy has a `ValueError` for this, PyTorch a `RuntimeError`."""


class KeyTypeError(IndexError, TypeError):
    """What is no key at all: NumPy has an `IndexError` for this, PyTorch a `TypeError`."""


class NoLoopError(TypeError, RuntimeError):
    """A function is not there for operands of a dtype: NumPy has a `TypeError` for this, PyTorch a `RuntimeError`."""


class NotScalarError(TypeError, RuntimeError):
    """What is to have a gradient is no single number: JAX has a `TypeError` for this, PyTorch a `RuntimeError`."""


class MixedDevicesError(RuntimeError):
    """Operands of one operation stand on different devices."""


class BatchedValueError(TypeError, RuntimeError):
    """A value of each example was asked for: JAX has a `TypeError` for this, PyTorch a `RuntimeError`."""
