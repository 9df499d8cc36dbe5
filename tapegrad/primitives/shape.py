"""Shape: views and copies that rearrange elements."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..tape.spec import contiguous_strides, spec_of
from ..tape.viewing import record_view, remember_view, view_again
from ..vm import opcodes as op
from ..vm.kernels import extra_loop
from .batching import stacked
from .core import BY_FUNCTION, implements, lift, ops, primitive, unbroadcast

_X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


@primitive()
class view:
    """Some elements of an array without a copy: another shape and strides over the same memory."""

    samples = (
        ((_X,), {"shape": (3,), "strides": (8,), "label": "Select", "offset": 24}),
        ((_X,), {"shape": (3, 2), "strides": (8, 24), "label": "T"}),
        ((_X,), {"shape": (2, 2), "strides": (24, -8), "label": "Slice", "offset": 16}),
        ((_X * 1j,), {"dtype": _X.dtype, "shape": (2, 3), "strides": (48, 16), "label": "Select", "offset": 8}),
    )
    kind = op.WINDOW
    grad_name = "View"

    def infer(specs, attrs):
        (x,) = specs
        made = spec_of(attrs["shape"], attrs.get("dtype", x.dtype), attrs["strides"])
        return made, op.WINDOW if made.injective and x.injective and made.dtype == x.dtype else op.VIEW

    def compute(x, shape, strides, label, offset=0, dense=None, dtype=None):
        from ..tape.memory import address_of, array_at

        return array_at(address_of(x) + offset, spec_of(shape, dtype or x.dtype, strides), x)

    def pullback(y_bar, y, x, shape, strides, label, offset=0, dense=None, dtype=None):
        return placed(y_bar, x._spec.bar, *(dense or (strides, offset)))

    def batching(row):
        attrs, (spec,), x = row.attrs, row.specs, row.xs[0]
        shape, strides, dtype = (row.size, *attrs["shape"]), attrs["strides"], attrs.get("dtype")
        if not _is_laid_out(x._spec, spec):
            base = spec_of(x._spec.shape, spec.dtype, (max(spec.extent, 1), *spec.strides))
            return window_of(x, base, shape, (base.strides[0], *strides), row.offset, dtype)
        at = shape, (x._spec.strides[0], *strides), row.offset
        dense = None
        if not x._spec.injective:
            dense = shape, (spec.dense.nbytes, *attrs["dense"][0]), attrs["dense"][1]
        return record_view(view, x, view_attrs(x._spec, at, dense, attrs["label"], dtype), row.offset)


def _is_laid_out(batch, one):
    """Whether each example of a batch stands in memory as a spec says."""
    return all(n == 1 or s == t for n, s, t in zip(one.shape, batch.strides[1:], one.strides, strict=True)) and (
        batch.injective or not one.injective
    )


@primitive()
class place:
    """Zeros, with a window of them taken from another array: the transpose of `view`."""

    linear = True
    samples = (
        ((_X[0],), {"shape": (2, 3), "strides": (8,), "offset": 24, "base_strides": (24, 8)}),
        ((np.array([1.0, 2.0]),), {"shape": (2, 2), "strides": (24,), "offset": 0, "base_strides": (16, 8)}),
        ((_X,), {"shape": (4,), "strides": (8, 8), "offset": 0, "base_strides": (8,)}),
    )

    def infer(specs, attrs):
        return spec_of(attrs["shape"], specs[0].dtype, attrs["base_strides"]), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import copy_loops

        ((code, v),) = operands
        copy_loop, _ = copy_loops(v)
        window = spec_of(v.shape, v.dtype, attrs["strides"])
        if copy_loop is None or not window.injective:
            emitter.call(place, attrs, out, operands)
            return
        emitter.zero(out)
        emitter.loop(copy_loop, (emitter.shifted(out[0], attrs["offset"]), window), [(code, v)])

    def compute(v, shape, strides, offset, base_strides):
        from ..tape.memory import address_of, array_at

        spec = spec_of(shape, v.dtype, base_strides)
        memory = np.zeros(max(spec.extent, 1), np.uint8)
        at = address_of(memory) - spec.low
        within = spec_of(v.shape, v.dtype, strides)
        window = array_at(at + offset, within, memory)
        np.copyto(window, v) if within.injective else np.add.at(window, ..., v)
        return array_at(at, spec, memory)

    def pullback(y_bar, y, v, shape, strides, offset, base_strides):
        return window_of(y_bar, spec_of(shape, v._spec.dtype, base_strides), v._spec.shape, strides, offset)

    def batching(row):
        step = row.out.nbytes
        changes = {name: (step, *row.attrs[name]) for name in ("strides", "base_strides")}
        return row.again([row.whole(0)], shape=(row.size, *row.attrs["shape"]), **changes)


def is_packed(spec):
    """Whether the elements fill a stretch of memory from the first one on: the layout that a new array can have."""
    return spec.low == 0 and spec.extent == spec.nbytes


def placed(v, base, strides, offset):
    """Zeros of the shape of `base`, with `v` in a window that is given by strides and offset in base's layout."""
    if v._spec.dtype.kind != base.dtype.kind == "c":  # a window of real or imaginary parts
        pairs = placed(v, _pairs(base), strides, offset)
        real, imag = (view_by(pairs, operator.itemgetter((..., k)), "Select", ("part", k)) for k in (0, 1))
        return cast(real, base.dtype) + cast(imag, base.dtype) * 1j
    if is_packed(base):
        return ops.place(v, shape=base.shape, strides=strides, offset=offset, base_strides=base.strides)
    places = _places(base, v._spec.shape, strides, offset)
    unique = spec_of(v._spec.shape, v._spec.dtype, strides).injective
    flat = ops.scatter_add(v, lift(places), shape=(base.size,), key=("array",), unique=unique)
    return reshape_to(flat, base.shape)


def window_of(x, base, shape, strides, offset, dtype=None):
    """A window of `x` that is given by strides and offset in base's layout, whatever the layout of `x`."""
    if dtype is not None and dtype != x._spec.dtype:
        return window_of(BY_FUNCTION[np.stack]([ops.real(x), ops.imag(x)], -1), _pairs(base), shape, strides, offset)
    if x._spec.strides == base.strides:
        return view_of(x, shape, strides, offset, "View")
    places = _places(base, shape, strides, offset)
    unique = spec_of(shape, x._spec.dtype, strides).injective
    return ops.gather(reshape_to(x, (base.size,)), lift(places), key=("array",), unique=unique)


def _pairs(spec):
    """The layout of complex numbers as pairs of real ones."""
    part = np.dtype(spec.dtype.char.lower())
    return spec_of((*spec.shape, 2), part, (*spec.strides, part.itemsize))


def _places(base, shape, strides, offset):
    """Flat indices into an array laid out as `base` of the elements of a window."""
    at = _byte_offsets(base.shape, base.strides).ravel()
    order = np.argsort(at, kind="stable")
    return order[np.searchsorted(at[order], offset + _byte_offsets(shape, strides))]


def _byte_offsets(shape, strides):
    total = np.zeros((1,) * len(shape), np.intp)
    for d, (n, step) in enumerate(zip(shape, strides, strict=True)):
        total = total + (np.arange(n) * step).reshape([-1 if e == d else 1 for e in range(len(shape))])
    return np.broadcast_to(total, shape)


def view_of(x, shape, strides, offset, label, dtype=None):
    """Record a view of a tensor none of whose elements share memory; strides and offset in bytes."""
    dtype = None if dtype == x._spec.dtype else dtype
    attrs = view_attrs(x._spec, (tuple(shape), tuple(strides), offset), None, label, dtype)
    return record_view(view, x, attrs, offset)


PLANS: dict = {}
"""What `plan_view` answered, by spec and what names the view."""


def view_by(x, make, label, key=None, dtype=None):
    """Record the view of a tensor that a function makes of an array.

    Parameters
    ----------
    x : Tensor
    make : callable
        Takes an array, returns a view of it.
    label : str
        For `grad_fn`.
    key : hashable, optional
        Under which to remember the plan.
    dtype : numpy.dtype, optional
        Of the view, if it is another one: that of the parts of complex numbers.
    """
    if key is None:
        return record_view(view, x, *plan_view(x._spec, make, label, dtype))
    spec = x._spec
    plan = PLANS.get((spec, key))
    if plan is None:
        plan = PLANS[spec, key] = plan_view(spec, make, label, dtype)
    made = view_again(x, plan)
    if made is None:
        made = record_view(view, x, *plan)
        remember_view(plan, spec, made)
    return made


def plan_view(spec, make, label, dtype=None):
    """Attributes of `view`, and the byte offset, for the view that a function makes of an array."""
    at = layout_of(spec, make)
    return view_attrs(spec, at, None if spec.injective else layout_of(spec.dense, make), label, dtype), at[2]


def layout_of(spec, make):
    """Shape, strides and byte offset of the view that a function makes of an array."""
    origin = model(spec)
    made = make(origin)
    if isinstance(made, np.generic):  # NumPy turns views of 0-d arrays into scalars here and there
        made = origin
    offset = 0
    if made.size:
        offset = made.__array_interface__["data"][0] - origin.__array_interface__["data"][0]
        if spec.injective and not 0 <= offset - spec.low < spec.extent:
            raise ValueError(f"what was made of {spec!r} is a copy, and no view")
    return made.shape, made.strides, offset


def view_attrs(spec, at, dense, label, dtype=None):
    """Attributes of `view`; `dense` is where it stands in the cotangent, if that is not laid out as the value is."""
    shape, strides, offset = at
    attrs = [("label", label), ("shape", shape), ("strides", strides)]
    if dense is not None or dtype is not None or not spec_of(shape, spec.dtype, strides).injective:
        attrs.insert(1, ("offset", offset))
    if dtype is not None:
        attrs.insert(0, ("dtype", dtype))
    if dense is not None:
        attrs.insert(0, ("dense", dense[1:]))
    return tuple(attrs)


_models: dict = {}


def model(spec):
    """An array without memory of its own, laid out as a spec says: for asking NumPy what a view would be."""
    found = _models.get(spec)
    if found is None:
        found = np.lib.stride_tricks.as_strided(np.empty((), spec.dtype), spec.shape, spec.strides, writeable=False)
        _models[spec] = found
    return found


@primitive()
class copy:
    """The same elements in memory of their own, contiguous."""

    linear = True
    samples = (((_X,), {}), ((np.array(2.0),), {}), ((np.ones((0, 3)),), {}), ((np.arange(2000.0),), {}))
    grad_name = "Clone"
    elementwise = True
    accumulates = True

    def infer(specs, attrs):
        return specs[0].dense, op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import copy_loops

        loop, accumulate = copy_loops(out[1])
        if loop is None:
            emitter.call(copy, attrs, out, operands)
        else:
            emitter.loop(loop, out, operands, accumulate=accumulate, inline=op.COPY)

    def compute(x):
        return np.array(x)

    def pullback(y_bar, y, x):
        return y_bar


@primitive()
class astype:
    """The same elements in another dtype."""

    batching = stacked
    samples = (
        ((_X,), {"dtype": np.dtype(np.float32)}),
        ((_X,), {"dtype": np.dtype(np.complex128)}),
        ((np.array([1, 2]),), {"dtype": np.dtype(float)}),
    )
    grad_name = "ToCopy"

    def infer(specs, attrs):
        if attrs["dtype"].kind in "OSUV":
            raise TypeError(f"tensors hold numbers, and cannot become {attrs['dtype']}: use x.detach().numpy().astype")
        return spec_of(specs[0].shape, attrs["dtype"].newbyteorder("=")), op.KERNEL  # loops take native numbers

    def kernel(emitter, out, operands, attrs):
        (_, x), (_, y) = *operands, out
        try:
            loop = extra_loop("cast", f"{x.dtype.char}->{y.dtype.char}"), 0
        except KeyError:
            emitter.call(astype, attrs, out, operands)
        else:
            emitter.loop(loop, out, operands)

    def compute(x, dtype):
        return x.astype(dtype)

    def pullback(y_bar, y, x, dtype):
        if x._spec.dtype.kind not in "fc":
            return None
        if y_bar._spec.dtype.kind == "c" and x._spec.dtype.kind != "c":
            y_bar = ops.real(y_bar)
        return y_bar if y_bar._spec.dtype == x._spec.dtype else astype(y_bar, dtype=x._spec.dtype)


@primitive()
class reshape:
    """The same elements in another shape; a view where the layout allows it, else a copy."""

    linear = True
    batching = stacked
    samples = (((_X,), {"shape": (3, 2)}), ((np.array(2.0),), {"shape": (1, 1)}), ((np.ones((0, 3)),), {"shape": (0,)}))
    grad_name = "Reshape"
    accumulates = False

    def infer(specs, attrs):
        return spec_of(attrs["shape"], specs[0].dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import copy_loops

        (((_, x),), (code, y)) = operands, out
        loop, _ = copy_loops(y)
        if loop is None or x.size != y.size:
            emitter.call(reshape, attrs, out, operands)
        else:
            emitter.loop(loop, (code, spec_of(x.shape, y.dtype)), operands, inline=op.COPY)

    def compute(x, shape):
        return np.reshape(x, shape)

    def pullback(y_bar, y, x, shape):
        return reshape_to(y_bar, x._spec.shape)


def reshape_to(x, shape):
    """Reshape without a copy where that is possible."""
    if x._spec.shape == shape:
        return x
    if x._spec.contiguous:
        return view_of(x, shape, contiguous_strides(shape, x._spec.dtype.itemsize), 0, "View")
    try:
        return view_by(x, lambda a: np.reshape(a, shape, copy=False), "View")
    except (ValueError, TypeError):  # no such view; NumPy 2.0 has no `copy`
        return reshape(x, shape=shape)


def insert_axis(x, axis):
    """Insert an axis of length one, `axis` counted in the result."""
    shape = x._spec.shape
    at = axis if axis >= 0 else len(shape) + 1 + axis
    return reshape_to(x, (*shape[:at], 1, *shape[at:]))


def cast(x, dtype):
    """The tensor itself if it has that dtype, else converted."""
    return x if x._spec.dtype == dtype else astype(x, dtype=np.dtype(dtype))


def fitted(shape, to):
    """A shape with its -1 worked out; NumPy says what is wrong with one that does not fit."""
    if type(to) is int:
        to = (to,)
    if type(to) is tuple and all(type(n) is int for n in to):
        size, known, free = math.prod(shape), math.prod(n for n in to if n >= 0), [n for n in to if n < 0]
        if not free and known == size:
            return to
        if free == [-1] and known and size % known == 0:
            return tuple(size // known if n < 0 else n for n in to)
    return np.broadcast_to(np.empty((), np.bool_), shape).reshape(to).shape


@implements(np.reshape)
def numpy_reshape(a, /, shape=None, order="C", *, newshape=None, copy=None):
    """`numpy.reshape`."""
    x = lift(a)
    shape = newshape if shape is None else shape
    target = fitted(x._spec.shape, shape)
    if is_fortran(order, x._spec.shape, "reshape"):
        result = reverse_axes(reshape_to(reverse_axes(x), target[::-1]))
    else:
        result = reshape_to(x, target)
    if result is x:  # NumPy and PyTorch give a view of its own
        result = view_by(x, np.ndarray.view, "View", "view")
    return ops.copy(result) if copy else result


@implements(np.ravel)
def numpy_ravel(a, order="C"):
    """`numpy.ravel`."""
    x = lift(a)
    return numpy_reshape(x, -1, order="F" if is_fortran(order, x._spec.shape, "ravel") else "C")


def is_fortran(order, shape, name):
    """Whether elements are to be taken with the first axis running fastest.

    Raises
    ------
    ValueError
        If that depends on how the elements stand in memory (``"A"``, ``"K"``), where a tensor's may stand otherwise
        than those of the array that NumPy would have made.
    """
    if order not in ("C", "F", "A", "K", "c", "f", "a", "k"):
        raise ValueError(f"{name}: order must be one of 'C', 'F', 'A', 'K', not {order!r}")
    if order in "AaKk" and sum(n > 1 for n in shape) > 1:
        raise ValueError(
            f"{name}: order={order!r} goes by how the elements stand in memory, which for a tensor of shape {shape} "
            f"need not be as for NumPy's array: write order='C' or order='F'"
        )
    return order in "Ff"


def reverse_axes(x):
    """Transpose."""
    return view_by(x, np.transpose, "T", "T")


@implements(np.copy)
def numpy_copy(a, order="K", subok=False):
    """`numpy.copy`."""
    return copy(lift(a))


def numpy_astype(x, dtype, /, *, copy=True, device=None):
    """`numpy.astype`."""
    x, dtype = lift(x), np.dtype(dtype)
    if x._spec.dtype == dtype:
        return ops.copy(x) if copy else x
    return astype(x, dtype=dtype)


if hasattr(np, "astype"):  # since NumPy 2.1
    implements(np.astype)(numpy_astype)


@primitive()
class broadcast_to:
    """The same elements repeated along new or unit axes, without a copy."""

    linear = True
    samples = (
        ((_X,), {"shape": (4, 2, 3)}),
        ((np.ones((2, 1)),), {"shape": (2, 5)}),
        ((np.array(2.0),), {"shape": (3,)}),
    )

    kind = op.VIEW
    grad_name = "Expand"

    def infer(specs, attrs):
        (x,) = specs
        shape = attrs["shape"]
        if any([n < 0 for n in shape]):
            raise ValueError(f"an array cannot have the shape {shape}: negative dimensions are not allowed")
        lead = len(shape) - x.ndim
        axes = zip(x.shape, shape[lead:], x.strides, strict=True)
        strides = (0,) * lead + tuple(0 if n == 1 and m != 1 else s for n, m, s in axes)
        return spec_of(shape, x.dtype, strides), op.VIEW

    def compute(x, shape):
        return np.broadcast_to(x, shape)

    def pullback(y_bar, y, x, shape):
        return unbroadcast(y_bar, x)

    def batching(row):
        shape = row.attrs["shape"]
        return expand_to(row.lengthened(0, len(shape)), (row.size, *shape))


def broadcasts(shape, target):
    """Whether an array of a shape can be broadcast to another shape."""
    lead = len(target) - len(shape)
    return lead >= 0 and all(n in (1, m) for n, m in zip(shape, target[lead:], strict=True))


def expand_to(x, shape):
    """Broadcast a tensor to a shape."""
    if x._spec.shape == shape:
        return x
    return record_view(broadcast_to, x, (("shape", shape),), 0)


@implements(np.broadcast_to)
def numpy_broadcast_to(array, shape, subok=False):
    """`numpy.broadcast_to`."""
    x = lift(array)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    np.broadcast_to(np.empty(x._spec.shape, np.bool_), shape)  # NumPy's own error
    return expand_to(x, shape)
