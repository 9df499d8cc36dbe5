"""Methods of ufuncs by NumPy itself, whose order of steps decides about the last digits.

Where a gradient is wanted, and on devices, they are made of other records (`tapegrad.primitives.folding`).
"""

from __future__ import annotations

import sys

import numpy as np

from ..tape.handle import Tensor
from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import ZERO, primitive

__all__ = ["by_numpy"]

_X = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])


@primitive()
class ufunc_method:
    """What a method of a ufunc (`reduce`, `accumulate`, `reduceat`, `at`) gives; operands of its options by name."""

    derivative = ZERO
    samples = (
        ((_X,), {"ufunc": "hypot", "method": "reduce", "names": (), "options": (("axis", 1), ("keepdims", True))}),
        ((_X,), {"ufunc": "arctan2", "method": "accumulate", "names": (), "options": (("axis", 0),)}),
        (
            (_X, np.array(2.0), _X > 0.0),
            {"ufunc": "add", "method": "reduce", "names": ("initial", "where"), "options": (("axis", (0, 1)),)},
        ),
        (
            (_X, np.array([0, 2, 1])),
            {"ufunc": "add", "method": "reduceat", "names": ("indices",), "options": (("axis", 1),)},
        ),
        ((_X, np.array([0, 0, 5]), _X[0]), {"ufunc": "add", "method": "at", "names": ("places", "b"), "options": ()}),
    )

    def infer(specs, attrs):
        """By a trial, in which NumPy finds what is wrong with the options."""
        blanks = [np.ones(s.shape, s.dtype) if s.dtype.kind in "fcb" else np.zeros(s.shape, s.dtype) for s in specs]
        with np.errstate(all="ignore"):
            y = ufunc_method.compute(*blanks, **attrs)
        return spec_of(y.shape, y.dtype), op.KERNEL

    def compute(x, *operands, ufunc, method, names, options):
        function = _named(ufunc)
        if method == "at":
            y = np.array(x, order="C")
            function.at(y.reshape(-1), *operands)
            return y
        by_name = dict(zip(names, operands, strict=True), **dict(options))
        if "initial" in by_name:
            by_name["initial"] = by_name["initial"].reshape(())[()]
        first = (by_name.pop("indices"),) if method == "reduceat" else ()
        return np.asarray(getattr(function, method)(x, *first, **by_name))


def _named(name):
    """The ufunc of a name; both NumPy and SciPy have an `exp2` and others."""
    lead, _, name = name.rpartition(".")
    if not lead:
        return getattr(np, name)
    import scipy.special

    return getattr(scipy.special, name)


def _name_of(ufunc):
    name = ufunc.__name__
    if ufunc is getattr(np, name, None):
        return name
    return f"special.{name}" if ufunc is getattr(sys.modules.get("scipy.special"), name, None) else None


def by_numpy(ufunc, method, x, options, operands):
    """What NumPy gives; None on a device, where a gradient is wanted, or if the ufunc is not one of NumPy's or SciPy's.

    Parameters
    ----------
    ufunc : numpy.ufunc
    method : str
    x : Tensor
    options : dict
        Axes, dtypes and the like, by name.
    operands : dict
        Tensors by the names of options; for `at`, in order: flat places, and what else the ufunc takes.

    Returns
    -------
    Tensor or None
    """
    tensors = [t for t in (x, *operands.values()) if isinstance(t, Tensor)]
    if x._spec.device is not None or any(t._spec.requires_grad for t in tensors):
        return None
    name = _name_of(ufunc)
    if name is None:
        return None
    chosen = tuple(sorted(options.items()))
    return ufunc_method(x, *operands.values(), ufunc=name, method=method, names=tuple(operands), options=chosen)
