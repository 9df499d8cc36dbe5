"""What a primitive is: one record from which dispatch, both sweeps, forward mode and the tests are derived.

A record is a class body under `@primitive(...)`. It states how the result's type follows from the operands'
(`infer`), how it is computed (`compute`, by NumPy; `kernel`, by the interpreter, where there is a loop) and
one derivative rule:

- ``partials(y, *xs)`` for elementwise functions: the partial derivative with respect to each operand;
- ``pullback(y_bar, y, *xs, **attrs)`` for the rest: each operand's cotangent;
- ``derivative = ZERO`` where it is zero almost everywhere, ``derivative = "reason"`` where there is none.

Rules are written in terms of primitives, so they can be recorded, and so differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import NoLoopError
from ..tape.current import constant
from ..tape.handle import Tensor
from ..tape.importing import import_array
from ..tape.record import record
from ..tape.spec import spec_of
from ..tape.subclasses import refuse_other_algebra
from ..vm import opcodes as op
from .broadcasting import broadcast_shapes
from .memo import keep_in_mind, recall
from .nesting import joined

__all__ = [
    "BY_FUNCTION",
    "RECORDS",
    "ZERO",
    "Elementwise",
    "NoRuleError",
    "Primitive",
    "Promoting",
    "implements",
    "lift",
    "ops",
    "primitive",
    "unbroadcast",
    "zero_like",
]

ZERO = object()
"""Marks a derivative that is zero wherever it exists."""

RECORDS: dict[str, Primitive] = {}
"""Every primitive by name."""
BY_FUNCTION: dict = {}
"""The primitive that stands for a NumPy or SciPy function."""


class NoRuleError(NotImplementedError):
    """A derivative exists, but tapegrad has no rule for it yet."""


class Primitive:
    """One differentiable operation.

    Attributes
    ----------
    name : str
    function : callable or None
        The NumPy function that it stands for.
    grad_name : str
        As in PyTorch's ``grad_fn``, without ``Backward0``.
    elementwise : bool
    accumulates : bool
        Its kernel is a single instruction that can add into its destination.
    immediate : bool
        Runs at once whatever its size, since its errors depend on the data.
    into : callable, optional
        Like `compute`, with a C-contiguous array to fill as first argument: for results that should not be copied.
    linear : bool or tuple of int
        Operands in which it is linear, all of them together; the others carry no gradient.
    multilinear : bool
        It is linear in each operand by itself.
    batching : callable, optional
        What it is over a batch, where that does not follow from the rest: see `tapegrad.primitives.batching`.
    samples : list
        Tuples of operands, or ``(operands, attrs)``, for tests and benchmarks.
    """

    elementwise = False
    accumulates = False
    immediate = False
    kind = op.KERNEL
    into: Callable | None = None
    batching: Callable | None = None
    linear: bool | tuple[int, ...] = ()
    multilinear = False
    derivative = None
    partials = None
    pullback = None
    samples: tuple = ()
    refusals: tuple = ()

    def __init__(self, name, function, body):
        self.name, self.function = name, function
        self.__doc__ = body.get("__doc__")
        for key, value in body.items():
            if not key.startswith("__"):
                setattr(self, key, value)
        self.grad_name = body.get("grad_name") or "".join(w.capitalize() for w in name.split("_"))
        self._check()

    def _check(self):
        rules = sum(r is not None for r in (self.derivative, self.partials, self.pullback))
        if rules != 1:
            raise TypeError(f"record {self.name!r} needs one of partials, pullback and derivative, and has {rules}")
        if not self.__doc__:
            raise TypeError(f"record {self.name!r} needs a docstring")

    def infer(self, specs, attrs):
        """Result's spec (its layout; flags are set by the caller) and kind of row."""
        raise NotImplementedError(self.name)

    def runs_at_once(self, specs) -> bool:
        """Whether rows with such operands are never deferred."""
        return self.immediate

    def carries_grad(self, specs, out) -> bool:
        """Whether a gradient can flow from the result to an operand."""
        return out.dtype.kind in "fc" and any(s.requires_grad for s in specs)

    def kernel(self, emitter, out, operands, attrs):
        """Emit the instructions that compute the result; by default, a call-out to `compute`."""
        emitter.call(self, attrs, out, operands)

    def compute(self, *arrays, **attrs):
        """The result, by NumPy."""
        return self.function(*arrays, **attrs)

    def try_attributes(self, specs, attrs):
        """Run a call-out on ones, so that bad attributes are told at the user's line.

        When the row runs it would be too late: the error would come from another line, and again for all rows after it.
        """
        if attrs and "kernel" not in self.__dict__ and type(self).kernel is Primitive.kernel:
            blank = [np.ones(s.shape, s.dtype) if s.dtype.kind in "fc" else np.zeros(s.shape, s.dtype) for s in specs]
            with np.errstate(all="ignore"):
                self.compute(*blank, **attrs)

    def transpose_at(self, y_bar, y, xs, wanted, attrs):
        """Cotangents of the operands, each of its operand's shape and dtype, or None."""
        if isinstance(self.derivative, str):
            raise NoRuleError(f"{self.name} has no derivative here: {self.derivative}")
        if self.derivative is ZERO:
            return _zeros(xs, wanted)
        bars = self.pullback(y_bar, y, *xs, **attrs)
        if not isinstance(bars, (tuple, list)):
            bars = (bars,)
        return [bar if want else None for bar, want in zip(bars, wanted, strict=True)]

    def __call__(self, *tensors, **attrs):
        return record(self, tensors, tuple(sorted(attrs.items())))

    def __repr__(self):
        return f"<primitive {self.name}>"

    @property
    def writer(self):
        """The same operation with its result written into operand 0."""
        found = self.__dict__.get("_writer")
        if found is None:
            found = self._writer = _Writer(self)
        return found


class _Writer:
    """A primitive whose result takes over the memory of operand 0."""

    elementwise = False

    def __init__(self, inner):
        self.inner = inner
        self.name = inner.name + "_"
        self.grad_name = {"copy": "CopyBackwards", "where": "IndexPut"}.get(inner.name, inner.grad_name)
        self.kernel = inner.kernel
        self.derivative = inner.derivative

    def infer(self, specs, attrs):
        target = specs[0]
        out, _ = self.inner.infer(specs[1:], attrs)
        fills = self.inner.name == "copy" and not (out.shape or specs[1].requires_grad)  # an array, with a number
        if not (out.shape == target.shape or fills) or out.dtype != target.dtype:
            raise ValueError(
                f"{self.inner.name} in place: the result is {out.dtype}{list(out.shape)}, "
                f"the target {target.dtype}{list(target.shape)}"
            )
        return target, op.WRITE

    def runs_at_once(self, specs):
        return self.inner.runs_at_once(specs[1:])

    def try_attributes(self, specs, attrs):
        self.inner.try_attributes(specs[1:], attrs)

    def carries_grad(self, specs, out):
        return self.inner.carries_grad(specs[1:], out) or specs[0].requires_grad

    def transpose_at(self, y_bar, y, xs, wanted, attrs):
        """Cotangents of the target's old value and of the operands.

        The old value is gone, so its cotangent is zero; that is said where nothing else carries the history on.
        """
        if any(wanted[1:]) or not wanted[0]:
            old = _zeros(xs[:1], wanted[:1]) if self.inner.name == "copy" else [None]
            return [*old, *self.inner.transpose_at(y_bar, y, xs[1:], wanted[1:], attrs)]
        return _zeros(xs, wanted)

    def __repr__(self):
        return f"<primitive {self.name}>"


class Promoting(Primitive):
    """A function whose operands are first brought to the dtypes that NumPy's promotion asks for."""

    def lift(self, operands):
        """Operands as tensors of those dtypes."""
        raise NotImplementedError(self.name)

    def __call__(self, *operands):
        """Record the function on tensors, arrays and numbers, with NumPy's promotion."""
        y = recall((self,), operands)
        if y is None:
            tensors = self.lift([joined(o) for o in operands])
            y = record(self, tensors)
            keep_in_mind((self,), operands, tensors, y)
        return y


class Elementwise(Promoting):
    """A ufunc: one loop over broadcast operands of one loop dtype.

    A partial derivative is a tensor or number, None where it is zero, the reason why there is none, or a function that
    gives one of these, where it is much work: it is called if the derivative is wanted.

    Attributes
    ----------
    beyond : bool
        Takes Python's integers that the other operand's dtype does not have, with a loop of another dtype.
    inline : int or None
        Opcode that does the same to a few float64 elements.
    domain : Domain or tuple of Domain, optional
        Where the function is smooth, one for each operand; by default, everywhere.
    probes : tuple
        Points of interest: numbers, or tuples of operands.
    kinks : dict
        Partial derivatives that the rule gives at points without derivative.
    in_double : bool
        Derivatives of single precision go through double: their formulas over- or underflow in it, or lose its digits.
    coarse : float
        How far SciPy's own values are from right, where tests must know it.
    fixed : tuple of int
        Operands that tests do not differentiate with respect to: there is no rule, or only steps.
    real_orders, complex_orders : int
        How many times it can be differentiated at real and at complex numbers.
    vectors : bool
        Whether a loop of `tapegrad.vm.simd` may take the place of the ufunc's own.
    """

    elementwise = True
    vectors = True
    accumulates = True
    beyond = False
    inline = None
    domain = None
    probes = None
    kinks: dict = {}
    fixed: tuple = ()
    coarse = 0.0
    in_double = False
    real_orders = complex_orders = 99

    def __init__(self, name, function, body):
        self._resolved = {}
        super().__init__(name, function, body)

    def infer(self, specs, attrs):
        shape = broadcast_shapes(self, [s.shape for s in specs])
        dtypes = self.resolve(tuple(s.dtype for s in specs))
        return spec_of(shape, dtypes[-1]), op.KERNEL

    def resolve(self, dtypes):
        """Dtypes of the loop, the result's last; ``int``, ``float`` and ``complex`` stand for Python numbers."""
        found = self._resolved.get(dtypes)
        if found is None:
            try:
                found = self.function.resolve_dtypes((*dtypes, *[None] * self.function.nout))[: len(dtypes) + 1]
            except TypeError as error:
                names = ", ".join(getattr(d, "name", None) or d.__name__ for d in dtypes)
                raise NoLoopError(
                    f"{self.name} has no loop for operands of dtype {names}: convert them first, for example with "
                    f".astype(float)"
                ) from error
            self._resolved[dtypes] = found
        return found

    def lift(self, operands):
        """Operands as tensors of the loop's dtypes."""
        kinds = tuple([o._spec.dtype if isinstance(o, Tensor) else _kind(o) for o in operands])
        dtypes = self.resolve(kinds)
        return tuple([lift(o, d) for o, d in zip(operands, dtypes, strict=False)])

    def kernel(self, emitter, out, operands, attrs):
        chars = "".join(s.dtype.char for _, s in operands)
        loop, accumulate = self.loops(chars, out[1].dtype.char)
        emitter.loop(loop, out, operands, accumulate=accumulate, inline=self.inline)

    def loops(self, ins, out):
        """Addresses of the loop, and of one that adds its result to the destination."""
        from ..vm.bridge import loop_address
        from ..vm.simd import simd_loop

        signature = f"{ins}->{out}"
        own = simd_loop(self.name, signature) if self.vectors else None
        loop = (own, 0) if own else loop_address(self.function, signature)
        accumulate = None
        if out in "efdgFDG":
            accumulate = (*loop_address(np.add, f"{out}{out}->{out}"), False)
        return loop, accumulate

    def partials_at(self, y, xs):
        """The partial derivatives, a tuple; those of single precision in double where the record asks for it."""
        if self.in_double and y._spec.dtype.char == "f":
            xs = [ops.astype(x, dtype=np.dtype(float)) if x._spec.dtype.char == "f" else x for x in xs]
            y = self(*xs)
        found = self.partials(y, *xs)
        return found if isinstance(found, tuple) else (found,)

    def transpose_at(self, y_bar, y, xs, wanted, attrs):
        if isinstance(self.derivative, str):
            raise NoRuleError(f"{self.name} has no derivative here: {self.derivative}")
        if self.derivative is ZERO:
            return _zeros(xs, wanted)
        if self.pullback is not None:
            bars = self.pullback(y_bar, y, *xs)
        else:
            partials = self.partials_at(y, xs)
            bars = [_scale(y_bar, p) if want else None for p, want in zip(partials, wanted, strict=True)]
        if not isinstance(bars, (tuple, list)):
            bars = (bars,)
        return [
            unbroadcast(bar, x) if want and bar is not None else None
            for bar, x, want in zip(bars, xs, wanted, strict=True)
        ]


def zero_like(x):
    """A cotangent of `x` that is zero: one number, expanded."""
    from .shape import expand_to

    return expand_to(lift(np.zeros((), x._spec.dtype)), x._spec.shape)


def _zeros(xs, wanted):
    """Cotangents that are zero."""
    return [zero_like(x) if want else None for x, want in zip(xs, wanted, strict=True)]


def _kind(operand):
    """What NumPy's promotion looks at: a dtype, or a Python number's type."""
    kind = type(operand)
    if kind is float or kind is int or kind is complex:
        return kind
    if isinstance(operand, int) and kind is not bool:
        return int
    return np.asarray(operand).dtype


def lift(operand, dtype=None):
    """An operand as a tensor, of the given dtype if there is one."""
    if not isinstance(operand, Tensor):
        if isinstance(operand, (bool, int, float, complex)):  # float64 and complex128 scalars are floats, too
            return constant(operand, dtype or np.asarray(operand).dtype)
        if isinstance(operand, (np.float32, np.integer)):
            return constant(operand.item(), dtype or operand.dtype)
        if type(operand) is not np.ndarray:
            refuse_other_algebra(operand)
            operand = joined(operand)
        operand = operand if isinstance(operand, Tensor) else import_array(np.asarray(operand))
    if dtype is not None and operand._spec.dtype != dtype:
        return ops.astype(operand, dtype=dtype)
    return operand


def _scale(y_bar, partial):
    """``y_bar`` times the conjugate of a partial derivative; None where that is zero."""
    if callable(partial):
        partial = partial()
    if partial is None:
        return None
    if isinstance(partial, str):
        raise NoRuleError(partial)
    if isinstance(partial, (int, float)):
        if partial == 1:
            return y_bar
        if partial == -1:
            return -y_bar
    elif partial._spec.dtype.kind == "c":
        partial = ops.conjugate(partial)
    return y_bar * partial


def unbroadcast(bar, x):
    """Sum a cotangent over the axes along which `x` was broadcast, and bring it to `x`'s dtype."""
    shape = x._spec.shape
    if bar._spec.dtype != x._spec.dtype:
        if bar._spec.dtype.kind == "c" and x._spec.dtype.kind != "c":
            bar = ops.real(bar)
        if bar._spec.dtype != x._spec.dtype:
            bar = ops.astype(bar, dtype=x._spec.dtype)
    if bar._spec.shape == shape:
        return bar
    lead = bar._spec.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + d for d, n in enumerate(shape) if n == 1 and bar._spec.shape[lead + d] != 1
    )
    if axes:
        bar = ops.sum(bar, axis=axes, keepdims=False)
    if bar._spec.shape != shape:
        from .shape import reshape_to

        bar = reshape_to(bar, shape)
    return bar


def implements(*functions):
    """Register a Python function as what the given NumPy functions do to tensors; it takes their arguments."""

    def register(handler):
        for function in functions:
            BY_FUNCTION[function] = handler
        return handler

    return register


class _Ops:
    """All primitives by name, for rules: ``ops.where(...)``; families need not import one another."""

    def __getattr__(self, name: str) -> Any:
        try:
            return RECORDS[name]
        except KeyError:
            raise AttributeError(f"there is no primitive named {name!r}") from None


ops = _Ops()


def primitive(function=None, *, also=(), base=None, name=None) -> Callable[[type], Any]:
    """Turn a class body into a primitive and register it.

    Parameters
    ----------
    function : callable, optional
        The NumPy (or SciPy) function that it stands for; a ufunc makes it elementwise.
    also : tuple of callables
        Other functions that are the same operation.
    base : type, optional
        Subclass of `Primitive` to build on.
    """

    def make(cls):
        kind = base or (Elementwise if isinstance(function, np.ufunc) and not function.signature else Primitive)
        made = kind(name or cls.__name__, function, dict(cls.__dict__))
        if made.name in RECORDS:
            raise TypeError(f"there are two records named {made.name!r}")
        RECORDS[made.name] = made
        for f in (function, *also):
            if f is not None:
                BY_FUNCTION[f] = made
        return made

    return make
