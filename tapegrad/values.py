"""Getting values out of tensors: where what was deferred is run, and where a gradient could be lost."""

from __future__ import annotations

import numpy as np

from .counterparts import is_writing, unseen_function
from .errors import ScalarError, ShapeError
from .foreign import sparse_asks
from .tape.current import escape
from .tape.handle import attach
from .tape.memory import scalar_at
from .tape.site import user_site
from .tape.state import local

__all__ = [
    "INTO_A_PLAIN_ARRAY",
    "TracedValueError",
    "are_below",
    "is_traced",
    "limits_of",
    "refuse_traced",
    "scalar_of",
    "settled_value",
    "value_of",
]


class TracedValueError(TypeError, RuntimeError):
    """A traced value was about to become a plain number or array, which would cut its gradient.

    PyTorch has a `RuntimeError` for this, JAX a `TypeError`.
    """

    def __init__(self, *args: object):
        super().__init__(*args)
        local.state.refusal = args, user_site()


_UNSIGNED = {dtype.itemsize: dtype for dtype in map(np.dtype, "BHIQ")}

INTO_A_PLAIN_ARRAY = (
    "writing a value that requires grad into a plain array would lose its gradient: make the array a tensor with "
    "tapegrad.tensor(array), or by `import tapegrad.numpy as np`, whose np.zeros takes part; or collect the values in "
    "a list for np.stack, or write with np.where, or stop the gradient on purpose with tapegrad.stop_gradient(x)"
)


def value_of(tensor) -> np.ndarray:
    """The tensor's elements as a NumPy array over the same memory; for reading at once, not for keeping.

    What stands on a device is copied.

    Parameters
    ----------
    tensor : Tensor

    Returns
    -------
    numpy.ndarray
        Shape and dtype of the tensor.
    """
    tape = tensor._tape
    if tape is not None:
        if tape.tracing:
            return _questions(tensor).value(tensor)
        tape.flush()
    buffer = tensor._rare._buffer
    if buffer is not None:
        buffer.flush()
    found = tensor._memory if tensor._memory is not None else tape.view(tensor._slot, tensor._spec)
    return found if isinstance(found, np.ndarray) else found.to_host()


def settled_value(tensor) -> np.ndarray:
    """As `value_of`; what waits on a tape is not run for a tensor in memory of its own that was never written."""
    rare = tensor._rare
    if (
        type(rare._memory) is np.ndarray
        and (rare._buffer is None or not rare._buffer.version)
        and not is_traced(tensor)
    ):
        return rare._memory
    return value_of(tensor)


def limits_of(tensor):
    """The least and the greatest element of a tensor of integers; (0, -1) if it has none.

    On a device they are found there: two numbers come to the host, not the array.
    """
    if tensor._spec.device is None:
        values = settled_value(tensor)
        if not values.size:
            return 0, -1
        return int(np.minimum.reduce(values, axis=None)), int(np.maximum.reduce(values, axis=None))
    from .cuda.indexing import limits

    return limits(tensor._spec.device.array_of(tensor))


def are_below(tensor, n) -> bool:
    """Whether all elements of a tensor of integers are from 0 to n - 1."""
    if tensor._spec.device is not None:
        low, high = limits_of(tensor)
        return low >= 0 and high < n
    values = settled_value(tensor)
    if not values.size:
        return True
    unsigned = values.view(_UNSIGNED[values.itemsize])  # of which the negative ones are the largest
    return unsigned.item(unsigned.argmax()) < n  # a ufunc's reduce costs several times as much on a few


def scalar_of(tensor):
    """The element of a tensor of one element, as a NumPy scalar."""
    tape = tensor._tape
    if tape is None or tape.tracing or tape.device is not None or tensor._memory is not None:
        return value_of(tensor).reshape(())[()]
    tape.flush()
    return scalar_at(int(tape.arrays.addr[tensor._slot]), tensor._spec.dtype)


def _questions(tensor):
    """Who answers for a traced value: the recording under way, which may have to ask the one around it."""
    current = local.state.tape
    if current.symbolic and current is not tensor._tape:
        return current.questions
    if tensor._tape.questions is not None:
        return tensor._tape.questions
    if tensor._tape.symbolic:
        tensor._tape.flush()  # which says what is wrong
    from .compiler.errors import ConcretisationError

    raise ConcretisationError(
        f"a value was asked for that is not there: {tensor._spec!r} stands for one in a derivative rule, which may "
        f"look at shapes and dtypes only, or in a compiled function that has ended, which must return what is wanted "
        f"of it"
    )


def is_traced(tensor):
    """Whether a tensor stands for a value that is not there yet."""
    return tensor._tape is not None and tensor._tape.tracing


def _would_lose(tensor):
    """Whether the gradient of a plain number is one that a transformation around it wants."""
    state = local.state
    return state.depth or (state.is_differentiated() if state.forward is None else state.forward.loses(tensor))


def _is_stepwise(tensor):
    from .autograd.node import is_stepwise

    return is_stepwise(tensor)


def refuse_traced(tensor, what, remedy):
    """Inside a transformation, a value that carries a gradient must not become a plain one, unless that is 0."""
    if tensor.requires_grad and _would_lose(tensor) and not _is_stepwise(tensor):
        if is_writing(depth=2):
            raise TracedValueError(INTO_A_PLAIN_ARRAY)
        function = unseen_function(depth=2)
        if function is not None and function.counterpart:
            remedy = f"Use {function.counterpart} in place of {function.name}, or tapegrad.stop_gradient(x)."
        raise TracedValueError(
            f"{what} of a value that is being differentiated would lose its gradient: it is "
            f"{tensor._spec.dtype.name}{list(tensor._spec.shape)}. {remedy}"
        )


def item(self):
    """The only element as a Python number.

    Raises
    ------
    ValueError
        If there is not exactly one element.
    """
    refuse_traced(self, "item()", "Keep it an array, or stop its gradient on purpose with tapegrad.stop_gradient(x).")
    if self._spec.size != 1:
        raise ShapeError(
            f"a Tensor with {self._spec.size} elements cannot be converted to Scalar: item() needs exactly one "
            f"element; this tensor has shape {self._spec.shape}"
        )
    if is_traced(self):
        return _questions(self).number(self, _KINDS[self._spec.dtype.kind])
    return scalar_of(self).item()


def tolist(self):
    """The elements as nested lists of Python numbers."""
    refuse_traced(self, "tolist()", "Stop its gradient on purpose with tapegrad.stop_gradient(x).")
    return value_of(self).tolist()


def numpy(self, *, force=False):
    """The elements as a NumPy array that shares the tensor's memory.

    Parameters
    ----------
    force : bool
        Detach the tensor first.

    Raises
    ------
    RuntimeError
        If the tensor requires grad: use ``t.detach().numpy()``.
    """
    if self.requires_grad and not force:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad, since the array would carry no gradient. "
            "Use tensor.detach().numpy() instead."
        )
    _refuse_device(self)
    array = value_of(self)
    escape(self)
    return array


def _refuse_device(self):
    """A device's memory cannot be a NumPy array's."""
    if self._spec.device is not None:
        raise TypeError(
            f"can't convert {self._spec.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
            f"host memory first."
        )


def _array(self, dtype=None, copy=None):
    if sparse_asks():
        return np.array(None)  # whereupon SciPy asks the tensor to multiply
    if self.requires_grad and not _is_stepwise(self):
        _refuse_unseen(self)
        raise TracedValueError(
            f"a NumPy function that tapegrad cannot see, or np.array(...), was given a value that requires grad "
            f"({self._spec.dtype.name}{list(self._spec.shape)}); the plain array would lose its gradient. Use a NumPy "
            f"function on the tensor itself (np.stack([x[0], x[1]]) rather than np.array([x[0], x[1]]), np.dot(w, x) "
            f"or w @ x rather than w.dot(x), a new array rather than out=), or `import tapegrad.numpy as np`, in which "
            f"np.array and np.zeros take part, or x.detach() to stop the gradient on purpose."
        )
    _refuse_device(self)
    array = value_of(self)
    if copy or (dtype is not None and array.dtype != dtype):
        return array.astype(dtype or array.dtype)
    if copy is None:
        escape(self)
    return array


def _refuse_unseen(tensor):
    """Name the function that wants a plain array, and what to use in its place, where that is known."""
    if is_writing(depth=2):
        raise TracedValueError(INTO_A_PLAIN_ARRAY)
    function = unseen_function(depth=2)
    if function is None:
        return
    remedy = (
        f"Use {function.counterpart} in its place"
        if function.counterpart
        else "Compose it from NumPy's functions, give it a rule with tapegrad.primitive"
    )
    raise TracedValueError(
        f"{function.name} makes plain arrays of its arguments, and was given a value that requires grad "
        f"({tensor._spec.dtype.name}{list(tensor._spec.shape)}), whose gradient would be lost. {remedy}, or stop the "
        f"gradient on purpose with tapegrad.stop_gradient(x)."
    )


def _number(kind, remedy):
    def convert(self):
        refuse_traced(self, f"{kind.__name__}()", remedy)
        if self._spec.size != 1:
            raise ScalarError(
                f"only one element tensors can be converted to Python scalars: only a tensor of one element can become "
                f"a Python {kind.__name__}; this one has shape {self._spec.shape}"
            )
        if is_traced(self):
            return _questions(self).number(self, kind)
        return kind(scalar_of(self).item())

    return convert


def _bool(self):
    if self._spec.size != 1:
        raise ShapeError(
            f"Boolean value of Tensor with more than one value is ambiguous: the truth value of a tensor with "
            f"{self._spec.size} elements is ambiguous: use .any() or .all()"
        )
    if is_traced(self):
        return _questions(self).truth(self)
    return bool(scalar_of(self))


def _index(self):
    if self._spec.dtype.kind not in "iu" or self._spec.size != 1:
        raise TypeError(
            f"only an integer tensor of one element can be an index, not "
            f"{self._spec.dtype.name}{list(self._spec.shape)}; write int(tapegrad.stop_gradient(x))"
        )
    if is_traced(self):
        return _questions(self).number(self, int)
    return int(scalar_of(self))


def _repr(self):
    """As PyTorch prints: values, then dtype where it is not the default, then where its gradient comes from."""
    spec = self._spec
    if is_traced(self):  # to print a value is no question that a path depends on
        return f"tensor(..., shape={spec.shape}, dtype={spec.dtype.name}, traced)"
    values = value_of(self)
    text = np.array2string(values, separator=", ", prefix="tensor(", floatmode="maxprec", threshold=1000)
    parts = [text]
    if spec.size == 0 and spec.shape != (0,):
        parts = ["[]", f"size={spec.shape}"]
    if spec.dtype.name not in ("float64", "int64", "bool"):
        parts.append(f"dtype={spec.dtype.name}")
    if self._leaf:
        parts.append("requires_grad=True")
    elif spec.requires_grad:
        parts.append(f"grad_fn={self.grad_fn!r}")
    if spec.device is not None:
        parts.insert(1, f"device='{spec.device}'")
    return f"tensor({', '.join(parts)})"


def _repr_html(self):
    """What notebooks show; for a value that is not there yet, its text."""
    if is_traced(self):
        return None
    from .inspect.notebook import tensor_html

    return tensor_html(self)


def _format(self, spec):
    """A tensor of one element formats as a number; printing loses nothing, so it is allowed anywhere."""
    if is_traced(self):
        return repr(self)  # there is no number yet that a format of numbers could be for
    return format(value_of(self).item() if self._spec.size == 1 else repr(self), spec)


def _sort(self, *args, **kwargs):
    """Refused: NumPy's method sorts in place."""
    raise TypeError("sorting in place is not supported: use y = np.sort(x), which is differentiable")


_KINDS = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
_WHOLE = "Round it first (int(np.floor(x))): then there is no gradient to lose. Or use tapegrad.stop_gradient(x)."
_MATH = "Use the NumPy function of the same name (np.sin(x) rather than math.sin(x)), or tapegrad.stop_gradient(x)."
attach(
    item=item,
    tolist=tolist,
    numpy=numpy,
    sort=_sort,
    __array__=_array,
    __float__=_number(float, _MATH),
    __int__=_number(int, _WHOLE),
    __complex__=_number(complex, _MATH),
    __bool__=_bool,
    __index__=_index,
    __repr__=_repr,
    _repr_html_=_repr_html,
    __format__=_format,
)
