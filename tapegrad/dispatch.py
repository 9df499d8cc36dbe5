"""NumPy's protocols: what happens when a NumPy function meets a tensor."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from .operators import recorder_of
from .primitives.core import BY_FUNCTION
from .tape.handle import Tensor, attach
from .values import TracedValueError, value_of

__all__: list[str] = []


def _array_ufunc(self, ufunc, method, *inputs, **options):
    if not options and method == "__call__" and inputs[0].__class__ is Tensor:
        recorder = _recorders.get(ufunc) or _find_recorder(ufunc)
        if recorder is not None:
            return recorder(*inputs)
    return _general(ufunc, method, inputs, **options)


_recorders: dict = {}


def _find_recorder(ufunc):
    handler = BY_FUNCTION.get(ufunc) or _late(ufunc)
    found = recorder_of(handler) if handler is not None else None
    if found is not None:
        _recorders[ufunc] = found
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
            return _without_rule(ufunc, inputs, kwargs)
        return _with_options(ufunc, handler, inputs, out, kwargs)
    return _method(ufunc, handler, method, inputs, out, kwargs)


def _late(ufunc):
    """SciPy's functions are registered when the first of them is met, so that SciPy is never imported for nothing."""
    if "scipy.special" in sys.modules:
        from .primitives import special

        special.load()
    return BY_FUNCTION.get(ufunc)


def _requires_grad(inputs):
    return any(isinstance(x, Tensor) and x.requires_grad for x in inputs)


def _without_rule(ufunc, inputs, kwargs):
    if _requires_grad(inputs):
        raise NotImplementedError(
            f"{ufunc.__name__} has no derivative rule in tapegrad yet, and was given a value that requires grad; use "
            f"tapegrad.stop_gradient(x) if its gradient is not wanted"
        )
    return ufunc(*[value_of(x) if isinstance(x, Tensor) else x for x in inputs], **kwargs)


def _with_options(ufunc, handler, inputs, out, kwargs):
    """`out=`, `dtype=` and `where=`."""
    dtype = kwargs.pop("dtype", None)
    where = kwargs.pop("where", True)
    casting = kwargs.pop("casting", "same_kind")
    kwargs.pop("order", None), kwargs.pop("subok", None)
    target = out[0] if isinstance(out, tuple) else out
    if target is not None and not isinstance(target, Tensor):
        if _requires_grad(inputs):
            raise TracedValueError(
                f"{ufunc.__name__} with out= a plain array would lose the gradient of its operands (an in-place "
                f"operation such as `y += x` with a plain array y does this as well). Write y = {ufunc.__name__}(...) "
                f"or y = y + x, or make y a tensor with tapegrad.tensor(y)."
            )
        values = [value_of(x) if isinstance(x, Tensor) else x for x in inputs]
        return ufunc(*values, out=target, where=where, casting=casting, dtype=dtype)
    if kwargs:
        raise TypeError(f"{ufunc.__name__}: tapegrad does not support {', '.join(kwargs)} on tensors")
    if dtype is not None:
        if not np.can_cast(np.result_type(*[_dtype(x) for x in inputs]), dtype, casting):
            raise TypeError(
                f"{ufunc.__name__}: cannot cast the operands to {np.dtype(dtype).name} with casting={casting!r}"
            )
        from .primitives.core import lift

        inputs = tuple(lift(x, np.dtype(dtype)) for x in inputs)
    from .primitives.core import ops

    if target is None:
        if where is not True:
            raise ValueError(f"{ufunc.__name__}: where= needs out=, which holds the elements left out")
        return handler(*inputs)
    from .inplace import write

    if where is True:
        return write(target, handler, inputs)
    return write(target, ops.copy, (ops.where(where, handler(*inputs), target),))


def _dtype(x):
    return x._spec.dtype if isinstance(x, Tensor) else np.asarray(x).dtype


_REDUCTIONS: dict[str, Callable] = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}
_SCANS: dict[str, Callable] = {"add": np.cumsum, "multiply": np.cumprod}


def _method(ufunc, handler, method, inputs, out, kwargs):
    """`reduce`, `accumulate`, `outer` and the rest."""
    if method == "reduce" and ufunc.__name__ in _REDUCTIONS:
        kwargs.setdefault("axis", 0)
        return _REDUCTIONS[ufunc.__name__](*inputs, **{k: v for k, v in kwargs.items() if v is not np._NoValue})
    if method == "accumulate" and ufunc.__name__ in _SCANS:
        return _SCANS[ufunc.__name__](*inputs, axis=kwargs.get("axis", 0))
    if method == "outer" and handler is not None and not kwargs:
        a, b = inputs
        return handler(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)
    if _requires_grad(inputs):
        raise NotImplementedError(
            f"numpy.{ufunc.__name__}.{method} has no derivative rule in tapegrad yet; write it with array functions"
        )
    values = [value_of(x) if isinstance(x, Tensor) else x for x in inputs]
    return getattr(ufunc, method)(*values, **kwargs)


def _array_function(self, function, types, args, kwargs):
    handler = BY_FUNCTION.get(function)
    if handler is None:
        raise NotImplementedError(
            f"{function.__module__}.{function.__name__} has no rule for tensors in tapegrad yet; compose it from other "
            f"functions, or use it on x.detach().numpy() if its gradient is not wanted"
        )
    return handler(*args, **kwargs)


attach(__array_ufunc__=_array_ufunc, __array_function__=_array_function, __array_priority__=1000)
