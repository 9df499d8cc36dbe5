"""How a loop reaches the elements that a key with arrays of indices selects."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..tape.memory import address_of
from ..tape.spec import Spec, spec_of
from ..vm.kernels import extra_loop, faults
from ..vm.pools import pools

__all__ = ["ARRAY", "FALSE", "TRUE", "Selected", "emit_indexed", "selected"]

ARRAY = "array"
"""Stands in a key's form for an array of indices, which is an operand."""
TRUE, FALSE = "true", "false"
"""Stand for bools, which would be equal to 1 and 0."""

MOST = 5
"""Indices that a loop takes; the frame of the interpreter holds eight operands."""


class Selected(NamedTuple):
    """What a key selects, as a loop over the result's shape sees it.

    Attributes
    ----------
    loop : int
        Address of the loop, see `tapegrad.vm.indices`.
    base : Spec
        The array, without the axes that indices select on: it has a stride of 0 there.
    offset : int
        Bytes from its first element to the first of those.
    indices : list of Spec
        The indices, broadcast to the result's axes.
    axes : list of int
        Length and byte stride of the axis that each index selects on, one after the other.
    lasting : bool
        Whether a loop meets the indices in their order, whatever the order of its axes.
    """

    loop: int
    base: Spec
    offset: int
    indices: list[Spec]
    axes: list[int]
    lasting: bool


def selected(name: str, base: Spec, form: tuple, indices: list[Spec]) -> Selected | None:
    """Where a key leads in an array, for a loop of that name; None where no loop goes there.

    Parameters
    ----------
    name : str
        ``'gather'`` reads from the base; ``'scatter'`` and ``'scatter_add'`` write into it.
    base : Spec
    form : tuple
        Of the key, see `tapegrad.primitives.indexing`.
    indices : list of Spec

    Raises
    ------
    ValueError
        If the form has another number of arrays: in a file, that is, as keys of indexing have as many as they say.
    """
    if form.count(ARRAY) != len(indices):
        raise ValueError(f"a key with {form.count(ARRAY)} arrays of indices comes with {len(indices)}")
    try:
        loop = extra_loop(name, f"{base.dtype.char}->{base.dtype.char}")
    except KeyError:
        return None
    if not 1 <= len(indices) <= MOST or any(s.dtype != np.intp for s in indices) or base.extent >= 2**31:
        return None
    if any(type(k) is str and k in (TRUE, FALSE) for k in form):
        return None
    common = np.broadcast_shapes(*[s.shape for s in indices])
    entries = _expanded(form, base.ndim)
    advanced = [d for d, k in enumerate(entries) if type(k) in (int, str)]
    together = advanced[-1] - advanced[0] + 1 == len(advanced)
    shape: list[int] = []
    strides: list[int] = []
    at = None if together else 0
    offset, axis, axes = 0, 0, []
    for d, k in enumerate(entries):
        if together and d == advanced[0]:
            at = len(shape)
        if k is None:
            shape.append(1)
            strides.append(0)
            continue
        n, stride = base.shape[axis], base.strides[axis]
        axis += 1
        if type(k) is int:
            offset += (k + n if k < 0 else k) * stride
        elif k == ARRAY:
            axes += [n, stride]
        else:
            start, stop, step = slice(*k).indices(n)
            shape.append(len(range(start, stop, step)))
            strides.append(step * stride)
            offset += start * stride if shape[-1] else 0
    head, tail = shape[:at], shape[at:]
    full = (*head, *common, *tail)
    steps = (*strides[:at], *(0,) * len(common), *strides[at:])
    places = []
    for s in indices:
        within = np.lib.stride_tricks.as_strided(np.empty((), s.dtype), s.shape, s.strides)
        own = np.broadcast_to(within, common).strides
        places.append(spec_of(full, s.dtype, (*(0,) * len(head), *own, *(0,) * len(tail))))
    return Selected(loop, spec_of(full, base.dtype, steps), offset, places, axes, sum(n > 1 for n in common) <= 1)


def _expanded(form: tuple, ndim: int) -> list:
    """The key with slices for its ellipsis, or for what it leaves out."""
    missing = ndim - len([k for k in form if k is not None and k is not Ellipsis])
    whole = [(None, None, None)] * missing
    at = form.index(Ellipsis) if Ellipsis in form else len(form)
    return [*form[:at], *whole, *form[at + 1 :]]


_words: dict[tuple, np.ndarray] = {}
"""What loops read through ``data``, kept as long as the process."""


def emit_indexed(emitter, where, base, other, indices, reads=False):
    """Emit the loop over what a key selects.

    Parameters
    ----------
    emitter : Emitter
    where : Selected
    base, other : (int, Spec)
        The array that the key selects from; the array of the elements.
    indices : list of (int, Spec)
    reads : bool
        Whether elements go from the base to the other array.
    """
    key = (address_of(faults), len(indices), *where.axes)
    data = _words.setdefault(key, np.array(key, np.int64))
    code = base[0]
    if where.offset:
        code = pools.const_at(code, where.offset) if code < 0 else emitter.shifted(code, where.offset)
    array = code, where.base
    places = [(c, s) for (c, _), s in zip(indices, where.indices, strict=True)]
    out, first = (other, array) if reads else (array, other)
    emitter.loop((where.loop, address_of(data)), out, [first, *places], shape=where.base.shape)
