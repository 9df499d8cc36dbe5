"""NumPy's protocols: what happens when a NumPy function meets a tensor."""

from __future__ import annotations

import inspect
import sys

import numpy as np

from .descriptors import is_supported, table_of, ufunc_method
from .inplace import write
from .operators import described, recorder_of
from .primitives.core import BY_FUNCTION, Primitive, lift, ops
from .primitives.folding import cast_for, methods_of_ufuncs
from .tape.handle import Tensor, attach
from .tape.importing import import_array
from .values import TracedValueError, value_of

__all__ = ["as_tensor", "call", "into"]


def _array_ufunc(self, ufunc, method, *inputs, **options):
    if not options and method == "__call__":
        if inputs[0].__class__ is Tensor:
            recorder = _recorders.get(ufunc) or _find_recorder(ufunc)
            if recorder is not None:
                result = recorder(*inputs)
                if result is not NotImplemented:  # as it is for lists
                    return result
        elif inputs[0].__class__ in _FIRST and self is inputs[-1]:
            recorder = _swapped.get(ufunc) or _find_swapped(ufunc)
            if recorder is not None:
                return recorder(self, inputs[0])
    return _general(ufunc, method, inputs, **options)


_FIRST = frozenset((np.ndarray, np.float64, np.float32))
"""Types of what may stand before a tensor."""
_recorders: dict = {}
_swapped: dict = {}
_tables: dict = {}
"""For machine code, which takes this method's place when it is first called."""


def _find_recorder(ufunc):
    handler = BY_FUNCTION.get(ufunc) or _late(ufunc)
    found = recorder_of(handler) if handler is not None else None
    if found is not None:
        _recorders[ufunc] = found
        if is_supported():
            if not _tables:
                attach(__array_ufunc__=ufunc_method(_array_ufunc, _tables))
            _tables[ufunc] = table_of(described[found])
    return found


def _find_swapped(ufunc):
    """The recorder for an array and a tensor, in this order."""
    handler = BY_FUNCTION.get(ufunc) or _late(ufunc)
    found = recorder_of(handler, swapped=True) if handler is not None else None
    if found is not None:
        _swapped[ufunc] = found
    return found


def _general(ufunc, method, inputs, out=None, **kwargs):
    """A ufunc with options, a method of it, or one whose first operand is no tensor."""
    handler = BY_FUNCTION.get(ufunc)
    if handler is None:
        handler = _late(ufunc)
    if method == "__call__":
        if out is None and not kwargs and handler is not None:
            return handler(*inputs)
        if handler is None:
            return _without_rule(ufunc, inputs, out, kwargs)
        return _with_options(ufunc, handler, inputs, out, kwargs)
    return _method(ufunc, handler, method, inputs, out, kwargs)


def _late(ufunc):
    """SciPy's functions are registered when the first of them is met, so that SciPy is never imported for nothing."""
    if "scipy.special" in sys.modules:
        from .primitives import scipy_loader

        scipy_loader.load()
    return BY_FUNCTION.get(ufunc)


def _requires_grad(inputs):
    return any(isinstance(x, Tensor) and x.requires_grad for x in inputs)


def _without_rule(ufunc, inputs, out, kwargs):
    """A ufunc that tapegrad does not know, such as one of `numpy.frompyfunc` or `numba.vectorize`: values only."""
    if _requires_grad(inputs):
        raise NotImplementedError(
            f"{ufunc.__name__} has no derivative rule in tapegrad yet, and was given a value that requires grad; use "
            f"tapegrad.stop_gradient(x) if its gradient is not wanted, or give it a rule with tapegrad.primitive"
        )
    result = ufunc(*[value_of(x) if isinstance(x, Tensor) else x for x in inputs], **kwargs)
    if out is not None:
        return into(out[0] if isinstance(out, tuple) else out, result, ufunc.__name__)
    return tuple(map(as_tensor, result)) if isinstance(result, tuple) else as_tensor(result)


def _with_options(ufunc, handler, inputs, out, kwargs):
    """`out=`, `dtype=` and `where=`."""
    dtype = kwargs.pop("dtype", None)
    where = kwargs.pop("where", True)
    casting = kwargs.pop("casting", "same_kind")
    kwargs.pop("order", None), kwargs.pop("subok", None)
    target = next((t for t in out if t is not None), None) if isinstance(out, tuple) else out
    if target is not None and not isinstance(target, Tensor):
        if _requires_grad(inputs):
            raise TracedValueError(
                f"{ufunc.__name__} with out= a plain array would lose the gradient of its operands (an in-place "
                f"operation such as `y += x` with a plain array y does this as well). Write y = {ufunc.__name__}(...) "
                f"or y = y + x, or make y a tensor with tapegrad.tensor(y)."
            )
        values = [value_of(x) if isinstance(x, Tensor) else x for x in inputs]
        mask = {} if where is True else {"where": where}
        return ufunc(*values, out=out, casting=casting, dtype=dtype, **mask, **kwargs)
    if ufunc is np.matmul and target is None and set(kwargs) == {"axes"}:
        return _along_axes(handler, inputs, kwargs["axes"])
    if kwargs and not isinstance(handler, Primitive) and target is None:
        return handler(*inputs, **kwargs)  # axis= of vecdot and its like; the handler refuses others
    if kwargs:
        raise TypeError(f"{ufunc.__name__}: tapegrad does not support {', '.join(kwargs)} on tensors")
    if dtype is not None or casting != "same_kind":
        inputs = cast_for(ufunc, inputs, dtype, casting)
    if target is None:
        if where is not True:
            raise ValueError(f"{ufunc.__name__}: where= needs out=, which holds the elements left out")
        return handler(*inputs)
    if (isinstance(out, tuple) and len(out) > 1) or not isinstance(handler, Primitive):
        results, targets = handler(*inputs), out if isinstance(out, tuple) else (out,)
        results = results if isinstance(results, tuple) else (results,)
        if where is not True:
            if None in targets:
                raise ValueError(
                    f"{ufunc.__name__}: where= needs out= for every result, which holds the elements left out"
                )
            results = [ops.where(where, r, lift(t)) for r, t in zip(results, targets, strict=True)]
        made = [r if t is None else into(t, r, ufunc.__name__) for r, t in zip(results, targets, strict=True)]
        return made[0] if len(made) == 1 else tuple(made)
    if where is True:
        return write(target, handler, inputs)
    return write(target, ops.copy, (ops.where(where, handler(*inputs), target),))


def _along_axes(handler, inputs, axes):
    """A matrix product of other axes than the last."""
    places = [(a,) if isinstance(a, int) else tuple(a) for a in axes]
    back = [tuple(range(-len(p), 0)) for p in places]
    moved = [np.moveaxis(lift(x), p, b) for x, p, b in zip(inputs, places, back, strict=False)]
    y = handler(*moved)
    return np.moveaxis(y, back[2], places[2]) if len(places) > 2 else y


def as_tensor(array):
    """An array as a tensor; what tensors cannot hold stays as it is."""
    array = np.asarray(array)
    return import_array(array) if array.dtype.kind in "biufc" else array


def into(target, value, name):
    """Write a result into what `out=` names.

    Parameters
    ----------
    target : Tensor or numpy.ndarray
    value : Tensor or array
    name : str
        Of the function, for messages.

    Returns
    -------
    Tensor or numpy.ndarray
        `target`.

    Raises
    ------
    TracedValueError
        If the value requires grad and `target` is a plain array.
    """
    if isinstance(target, Tensor):
        return write(target, ops.copy, (lift(value),))
    if isinstance(value, Tensor):
        if value._spec.requires_grad:
            raise TracedValueError(
                f"{name} with out= a plain array would lose the gradient of its operands: use the value that it "
                f"returns, or make the array a tensor with tapegrad.tensor(array)"
            )
        value = value_of(value)
    np.copyto(target, value, casting="same_kind")
    return target


def call(function, args, kwargs):
    """A NumPy function on tensors: its handler, with `out=` taken care of."""
    handler = BY_FUNCTION.get(function) or _made_like(function)
    if handler is None:
        raise NotImplementedError(
            f"{function.__module__}.{function.__name__} has no rule for tensors in tapegrad yet; compose it from other "
            f"functions, or use it on x.detach().numpy() if its gradient is not wanted"
        )
    out = kwargs.get("out")
    if out is None:
        place = _OUT_PLACES.get(function)
        if place is None:
            place = _OUT_PLACES[function] = _place_of_out(function)
        if len(args) <= place or args[place] is None:
            return handler(*args, **kwargs)
        out, args = args[place], (*args[:place], None, *args[place + 1 :])
    rest = {k: v for k, v in kwargs.items() if k != "out"}
    return into(out, handler(*args, **rest), function.__name__)


_OF_LIKE = {
    "arange", "array", "asanyarray", "asarray", "ascontiguousarray", "empty", "eye", "full", "identity", "ones",
    "require", "tri", "zeros",
}  # fmt: skip


def _made_like(function):
    """The function of `tapegrad.numpy` that makes tensors, where NumPy's was given a tensor as ``like=``."""
    name = function.__name__
    if name not in _OF_LIKE or getattr(np, name, None) is not function:
        return None
    from . import numpy

    return getattr(numpy, name)


_OUT_PLACES: dict = {}


def _place_of_out(function):
    """Where a function takes `out` among its positional arguments; beyond all of them if it does not."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return 1 << 30
    names = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names.index("out") if "out" in names else 1 << 30


def _method(ufunc, handler, method, inputs, out, kwargs):
    """`reduce`, `accumulate` and the rest."""
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    result = methods_of_ufuncs(ufunc, handler, method, inputs, kwargs)
    if out is None or (isinstance(out, tuple) and out[0] is None):
        return result
    return into(out[0] if isinstance(out, tuple) else out, result, f"{ufunc.__name__}.{method}")


def _array_function(self, function, types, args, kwargs):
    if len(args) == 1 and "out" not in kwargs:
        handler = BY_FUNCTION.get(function)
        if handler is not None:
            return handler(*args, **kwargs)
    return call(function, args, kwargs)


attach(__array_ufunc__=_array_ufunc, __array_function__=_array_function, __array_priority__=1000)
