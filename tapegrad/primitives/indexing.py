"""Indexing: views by basic keys, gathers and scatters by arrays of indices and masks."""

from __future__ import annotations

import operator

import numpy as np

from ..errors import KeyTypeError, ShapeError
from ..tape.handle import Tensor
from ..tape.spec import spec_of
from ..tape.viewing import record_view, remember_view, view_again
from ..vm import opcodes as op
from .batched_keys import KeyOverBatch
from .batching import one_by_one
from .core import ZERO, lift, ops, primitive, unbroadcast
from .keys import ARRAY, FALSE, TRUE, emit_indexed, selected
from .shape import PLANS, broadcasts, cast, layout_of, plan_view, view

__all__ = [
    "advanced_key",
    "basic_view",
    "gather",
    "gathered_shape",
    "getitem",
    "index_put",
    "is_traced",
    "key_form",
    "put",
    "scatter_add",
]

_layouts: dict = {}
_probes: dict = {}


def _bound(value):
    return value if type(value) is int or value is None else operator.index(value)


def key_form(key):
    """A hashable form of a basic key, or None: ints and so on as they are, slices as tuples."""
    kind = type(key)
    if kind is int or key is None or key is Ellipsis:
        return (key,)
    if kind is slice:
        return ((_bound(key.start), _bound(key.stop), _bound(key.step)),)
    if kind is not tuple:
        key = (key,)
    made = []
    for k in key:
        kind = type(k)
        if kind is int or k is None or k is Ellipsis:
            made.append(k)
        elif kind is slice:
            made.append((_bound(k.start), _bound(k.stop), _bound(k.step)))
        elif isinstance(k, np.integer) or (isinstance(k, int) and kind is not bool):
            made.append(int(k))
        elif (isinstance(k, np.ndarray) or (isinstance(k, Tensor) and not is_traced(k))) and _is_index(k):
            made.append(operator.index(k))
        else:
            return None
    return tuple(made)


def _is_index(k):
    dtype, shape = (k._spec.dtype, k._spec.shape) if isinstance(k, Tensor) else (k.dtype, k.shape)
    return shape == () and dtype.kind in "iu"


def is_traced(tensor):
    """Whether a tensor has no value yet, as its function is being compiled or a rule lowered."""
    return tensor._tape is not None and tensor._tape.tracing


def _thaw(form, arrays=()):
    """The key of a form."""
    arrays = iter(arrays)
    return tuple(
        [
            slice(*k) if type(k) is tuple else (next(arrays) if k == ARRAY else k == TRUE) if type(k) is str else k
            for k in form
        ]
    )


def _viewer(form):
    """The function that makes the view that a basic key is."""
    key = _thaw(form)
    if Ellipsis not in form:
        key = (*key, Ellipsis)  # so that NumPy gives a view of no axes, not a number
    return operator.itemgetter(key)


def basic_view(x, key):
    """Where a basic key leads.

    Parameters
    ----------
    x : Tensor
        None of whose elements share memory.
    key : object

    Returns
    -------
    tuple or None
        Shape, strides and offset in bytes; None for a key with masks or arrays of indices.

    Raises
    ------
    IndexError
        NumPy's own.
    """
    form = key_form(key)
    if form is None:
        return None
    found = _layouts.get((x._spec, form))
    if found is None:
        found = _layouts[x._spec, form] = layout_of(x._spec, _viewer(form))
    return found


def getitem(x, key):
    """``x[key]``: a view for a basic key, else a copy of the elements.

    Parameters
    ----------
    x : Tensor
    key : object
        Whatever NumPy takes; arrays of indices and masks may be tensors. The shape of what a mask selects
        depends on its values, so they are computed here.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexError
        NumPy's own, also for indices out of range.
    """
    form = (key,) if key.__class__ is int else key_form(key)
    if form is None:
        return _advanced(x, key)
    plan = PLANS.get((x._spec, form))
    if plan is None:
        plan = PLANS[x._spec, form] = plan_view(x._spec, _viewer(form), _label(form, x._spec.shape))
    made = view_again(x, plan)
    if made is None:
        spec = x._spec
        made = record_view(view, x, *plan)
        remember_view(plan, spec, made, form)
    return made


def _label(form, shape):
    """What PyTorch calls a view by a basic key: the last of the steps that lead there."""
    label, axis = "Alias", 0
    for k in form:
        if k is None:
            label = "Unsqueeze"
        elif k is Ellipsis:
            axis = len(shape) - sum(j is not None for j in form[form.index(k) + 1 :])
        elif type(k) is int:
            label, axis = "Select", axis + 1
        else:
            start, stop, step = slice(*k).indices(shape[axis])
            label = label if (start, stop, step) == (0, shape[axis], 1) else "Slice"
            axis += 1
    return label


def advanced_key(x, key):
    """Split a key into a hashable form and arrays of indices.

    Parameters
    ----------
    x : Tensor
    key : object

    Returns
    -------
    form : tuple
        With `ARRAY` in place of each array.
    indices : list of Tensor
        Integer tensors of dtype intp.
    unique : bool
        Whether no element can be selected twice.

    Raises
    ------
    IndexError
        NumPy's own.
    """
    key = key if type(key) is tuple else (key,)
    form, indices, values, traced, masks = [], [], [], False, 0
    for k in key:
        if type(k) is slice:
            form.append((_bound(k.start), _bound(k.stop), _bound(k.step)))
        elif k is None or k is Ellipsis or type(k) is int:
            form.append(k)
        elif isinstance(k, (bool, np.bool_)):
            form.append(TRUE if k else FALSE)
        elif isinstance(k, Tensor) and k._spec.dtype.kind in "iu":
            form.append(ARRAY)
            indices.append(cast(k, np.dtype(np.intp)))
            traced = traced or is_traced(k)
            values.append(k)
        else:
            array = _index_array(k)
            if array.dtype.kind == "b" and array.ndim == 0:
                form.append(TRUE if array else FALSE)
                continue
            parts = array.nonzero() if array.dtype.kind == "b" else (array.astype(np.intp, copy=False),)
            masks += array.dtype.kind == "b"
            if array.dtype.kind == "b":
                _check_mask(x, form, array)
            form.extend([ARRAY] * len(parts))
            indices.extend([lift(np.ascontiguousarray(p).reshape(p.shape)) for p in parts])
            values.extend(parts)
    if not traced:
        _probe(x._spec.shape)[_thaw(form, _probes_of(values))]  # NumPy's own errors, at the user's line
    unique = masks == 1 and _groups(key) == 1
    return tuple(form), indices, unique


def _probes_of(indices):
    """Arrays of indices to try on an array; where some stand on a device, the least and greatest of each instead."""
    if not any(isinstance(v, Tensor) and v._spec.device is not None for v in indices):
        return [_value(v) for v in indices]
    from ..values import limits_of

    found = [limits_of(v if isinstance(v, Tensor) else lift(v)) for v in indices]
    some = all(low <= high for low, high in found)
    return [np.array(pair if some else (), np.intp) for pair in found]


def _groups(key):
    """How many entries of a key are neither slices nor new axes."""
    return len([k for k in key if not (k is None or k is Ellipsis or type(k) is slice)])


def _check_mask(x, form, mask):
    """A mask must be as long as the axes that it stands for."""
    at = len([k for k in form if k is not None and k not in (TRUE, FALSE)])
    if Ellipsis in form:
        return
    shape = x._spec.shape[at : at + mask.ndim]
    if shape != mask.shape:
        for d, (n, m) in enumerate(zip(shape, mask.shape, strict=False)):
            if n != m:
                raise IndexError(
                    f"boolean index did not match indexed array along axis {at + d}; size of axis is {n} but size of "
                    f"corresponding boolean axis is {m}"
                )


def _value(index):
    if isinstance(index, Tensor):
        from ..values import settled_value

        return settled_value(index)
    return index


def _index_array(k):
    """An index that is no tensor of integers as an array of ints or bools."""
    array = np.asarray(_value(k)) if not isinstance(k, list) or k else np.empty(0, np.intp)
    if array.dtype.kind not in "iub":
        raise KeyTypeError(
            "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays are "
            f"valid indices; this one is {type(k).__name__} of dtype {array.dtype}"
        )
    return array


def _probe(shape):
    """An array of that shape and one byte."""
    found = _probes.get(shape)
    if found is None:
        found = _probes[shape] = np.broadcast_to(np.empty((), np.bool_), shape)
    return found


def gathered_shape(shape, form, specs):
    """Shape of what a key with arrays of indices selects."""
    zeros = [np.broadcast_to(np.zeros((), np.intp), s.shape) for s in specs]
    return _probe(shape)[_thaw(form, zeros)].shape


def _advanced(x, key):
    form, indices, unique = advanced_key(x, key)
    return gather(x, *indices, key=form, unique=unique)


_KEY = (ARRAY,)
_SAMPLES = (
    ((np.arange(5.0), np.array([0, 3, 3, -1])), {"key": _KEY, "unique": False}),
    ((np.arange(12.0).reshape(3, 4), np.array([[2, 0], [1, 1]])), {"key": _KEY, "unique": False}),
    ((np.arange(12.0).reshape(3, 4), np.array([2, 0, 2]), np.array([1, 3, 1])), {"key": _KEY * 2, "unique": False}),
    ((np.arange(24.0).reshape(2, 3, 4), np.array([1, 0])), {"key": ((0, 1, None), Ellipsis, ARRAY), "unique": False}),
    ((np.arange(5.0), np.array([], np.intp)), {"key": _KEY, "unique": True}),
)


@primitive()
class gather:
    """Elements selected by arrays of indices: ``x[key]``."""

    linear = (0,)
    grad_name = "Index"
    samples = _SAMPLES

    def infer(specs, attrs):
        return spec_of(gathered_shape(specs[0].shape, attrs["key"], specs[1:]), specs[0].dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        x, *indices = operands
        where = selected("gather", x[1], attrs["key"], [s for _, s in indices])
        if where is None:
            emitter.call(gather, attrs, out, operands)
        else:
            emit_indexed(emitter, where, x, out, indices, reads=True)

    def compute(x, *indices, key, unique):
        return x[_thaw(key, indices)]

    def pullback(y_bar, y, x, *indices, key, unique):
        return scatter_add(y_bar, *indices, shape=x._spec.shape, key=key, unique=unique), *[None] * len(indices)

    def batching(row):
        if _has_bools(row):
            return one_by_one(row)
        based = row.mapped[0]
        key = KeyOverBatch(row, 1, row.specs[0].ndim, based)
        return key.sorted(gather(row.xs[0], *key.indices, key=key.form, unique=row.attrs["unique"] and based))


def _has_bools(row):
    """Whether a row's key has a bool in it, which is an axis of its own."""
    return TRUE in row.attrs["key"] or FALSE in row.attrs["key"]


@primitive()
class scatter_add:
    """Zeros of a shape, with elements added at ``[key]``: the transpose of `gather`."""

    linear = (0,)
    samples = (
        ((np.array([1.0, 2.0, 3.0]), np.array([0, 3, 3])), {"shape": (5,), "key": _KEY, "unique": False}),
        ((np.arange(8.0).reshape(2, 4), np.array([1, -1])), {"shape": (3, 4), "key": _KEY, "unique": False}),
        ((np.array([1.0, 2.0]), np.array([1, 0])), {"shape": (3,), "key": _KEY, "unique": True}),
    )

    def infer(specs, attrs):
        return spec_of(attrs["shape"], specs[0].dtype), op.KERNEL

    def kernel(emitter, out, operands, attrs):
        v, *indices = operands
        where = selected("scatter_add", out[1], attrs["key"], [s for _, s in indices])
        if where is None:
            emitter.call(scatter_add, attrs, out, operands)
        else:
            emitter.zero(out)
            emit_indexed(emitter, where, out, v, indices)

    def compute(v, *indices, shape, key, unique):
        y = np.zeros(shape, v.dtype)
        np.add.at(y, _thaw(key, indices), v)
        return y

    def pullback(y_bar, y, v, *indices, shape, key, unique):
        return gather(y_bar, *indices, key=key, unique=unique), *[None] * len(indices)

    def batching(row):
        if _has_bools(row):
            return one_by_one(row)
        shape = row.attrs["shape"]
        key = KeyOverBatch(row, 1, len(shape), True)
        return row.again([key.fitted(row.whole(0)), *key.indices], shape=(row.size, *shape), key=key.form)


@primitive()
class index_put:
    """A copy of x with ``x[key] = v``; where an element is selected twice the later value stays."""

    linear = (0, 1)
    samples = (
        ((np.arange(5.0), np.array([7.0, 8.0]), np.array([0, 3])), {"key": _KEY, "unique": True}),
        ((np.arange(5.0), np.array([7.0, 8.0, 9.0]), np.array([0, 3, 0])), {"key": _KEY, "unique": False}),
        ((np.arange(12.0).reshape(3, 4), np.array(2.0), np.array([0, -1])), {"key": _KEY, "unique": False}),
        ((np.arange(12.0).reshape(3, 4), np.array([1.0, 2.0])), {"key": ((None, 2, None), 1), "unique": True}),
    )

    def infer(specs, attrs):
        x, v = specs[:2]
        shape = gathered_shape(x.shape, attrs["key"], specs[2:])
        if not broadcasts(v.shape, shape):
            raise ShapeError(
                f"shape mismatch: value tensor of shape {list(v.shape)} cannot be broadcast to indexing result of "
                f"shape {list(shape)}"
            )
        return x.dense, op.KERNEL

    def kernel(emitter, out, operands, attrs):
        from ..tape.lower import copy_loops

        x, v, *indices = operands
        where = selected("scatter", out[1], attrs["key"], [s for _, s in indices])
        copy_loop, _ = copy_loops(x[1])
        if where is None or copy_loop is None or not where.lasting or v[1].dtype != x[1].dtype:
            emitter.call(index_put, attrs, out, operands)
        else:
            emitter.loop(copy_loop, out, [x], inline=op.COPY)
            emit_indexed(emitter, where, out, v, indices)

    def compute(x, v, *indices, key, unique):
        y = np.array(x)
        y[_thaw(key, indices)] = v
        return y

    def pullback(y_bar, y, x, v, *indices, key, unique):
        zero = lift(np.zeros((), y_bar._spec.dtype))
        v_bar = gather(y_bar, *indices, key=key, unique=unique)
        if not unique:
            stays = last_written(*indices, shape=x._spec.shape, key=key)
            v_bar = ops.where(stays, v_bar, zero)
        x_bar = index_put(y_bar, zero, *indices, key=key, unique=unique)
        return x_bar, unbroadcast(v_bar, v), *[None] * len(indices)

    def batching(row):
        if _has_bools(row):
            return one_by_one(row)
        key = KeyOverBatch(row, 2, row.specs[0].ndim, True)
        return row.again([row.whole(0), key.fitted(row.lengthened(1, key.ndim)), *key.indices], key=key.form)


@primitive()
class last_written:
    """For each element that a key selects, whether no later one stands at the same place."""

    derivative = ZERO
    samples = (((np.array([0, 3, 0]),), {"shape": (5,), "key": _KEY}),)

    def infer(specs, attrs):
        return spec_of(gathered_shape(attrs["shape"], attrs["key"], specs), np.dtype(np.bool_)), op.KERNEL

    def compute(*indices, shape, key):
        where = _thaw(key, indices)
        order = np.empty(shape, np.int64)
        mine = np.arange(_probe(shape)[where].size).reshape(_probe(shape)[where].shape)
        order[where] = mine
        return order[where] == mine

    def batching(row):
        if _has_bools(row):
            return one_by_one(row)
        shape = row.attrs["shape"]
        key = KeyOverBatch(row, 0, len(shape), True)
        return key.sorted(row.again(key.indices, shape=(row.size, *shape), key=key.form))


def put(x, key, v):
    """A copy of a tensor with ``x[key] = v``, for any key."""
    form, indices, unique = advanced_key(x, key)
    return index_put(x, cast(lift(v), x._spec.dtype), *indices, key=form, unique=unique or not indices)
