"""Einstein summation."""

from __future__ import annotations

import math
import string

import numpy as np

from ..tape.spec import spec_of
from ..vm import opcodes as op
from .core import implements, lift, ops, primitive
from .layout import view_of_function
from .matmul import conjugated
from .reduction import refuse
from .shape import cast, expand_to, reshape_to

_A, _B = np.sin(np.arange(6.0)).reshape(2, 3), np.cos(np.arange(12.0)).reshape(3, 4)


@primitive()
class einsum:
    """Sum of products over labelled axes, ``subscripts`` with letters only and an explicit result."""

    multilinear = True
    samples = (
        ((_A, _B), {"subscripts": "ij,jk->ik"}),
        ((_A,), {"subscripts": "ij->j"}),
        ((_A,), {"subscripts": "ij->"}),
        ((np.arange(9.0).reshape(3, 3),), {"subscripts": "ii->i"}),
        ((np.arange(9.0).reshape(3, 3),), {"subscripts": "ii->"}),
        ((_A, _A, np.arange(3.0)), {"subscripts": "ij,kj,j->ik"}),
        ((_A + 1j, np.arange(3.0) - 1j), {"subscripts": "ij,k->kji"}),
    )

    def infer(specs, attrs):
        sizes: dict = {}
        inputs, result = attrs["subscripts"].split("->")
        for labels, s in zip(inputs.split(","), specs, strict=True):
            for label, n in zip(labels, s.shape, strict=True):
                if sizes.setdefault(label, n) != n:
                    if 1 not in (n, sizes[label]):
                        raise ValueError(
                            f"einsum {attrs['subscripts']!r}: the axis {label!r} has length {sizes[label]} in one "
                            f"operand and {n} in another; shapes are {', '.join(str(s.shape) for s in specs)}"
                        )
                    sizes[label] = max(n, sizes[label])
        return spec_of(tuple(sizes[label] for label in result), specs[0].dtype), op.KERNEL

    def compute(*arrays, subscripts):
        if len(arrays) == 2:
            inputs, _, result = subscripts.partition("->")
            product = _as_product(*arrays, *inputs.split(","), result)
            if product is not None:
                return product
        return np.einsum(subscripts, *arrays, optimize=len(arrays) > 2)

    def pullback(y_bar, y, *xs, subscripts):
        inputs, result = subscripts.split("->")
        inputs = inputs.split(",")
        return [_operand_bar(y_bar, xs, inputs, result, k) for k in range(len(xs))]

    def batching(row):
        inputs, result = row.attrs["subscripts"].split("->")
        label = next(c for c in string.ascii_letters if c not in inputs)
        terms = [label * mapped + term for term, mapped in zip(inputs.split(","), row.mapped, strict=True)]
        return row.again(row.xs, subscripts=",".join(terms) + "->" + label + result)


def _as_product(a, b, of_a, of_b, result):
    """A sum over labels that two operands share, as a product of matrices, for which there is BLAS; None if it is none.

    Every label stands for rows of the first matrix, columns of the second, what is summed, or a batch of matrices.
    """
    if a.dtype.kind not in "fc" or a.dtype.itemsize < 4 or len(set(of_a)) < len(of_a) or len(set(of_b)) < len(of_b):
        return None
    sizes = dict(zip(of_b, b.shape, strict=True))
    if any(sizes.setdefault(label, n) != n for label, n in zip(of_a, a.shape, strict=True)):
        return None  # a length of 1, which is repeated
    shared = [label for label in of_a if label in of_b]
    rows, columns = [[c for c in own if c not in shared] for own in (of_a, of_b)]
    summed, batch = [c for c in shared if c not in result], [c for c in shared if c in result]
    if not summed or not rows or not columns or not set(rows + columns) <= set(result):
        return None
    m, k, n = [math.prod([sizes[c] for c in labels]) for labels in (rows, summed, columns)]
    if m * k * n < WORTH_A_PRODUCT:
        return None
    lead = [sizes[c] for c in batch]
    left = a.transpose([of_a.index(c) for c in batch + rows + summed]).reshape(*lead, m, k)
    right = b.transpose([of_b.index(c) for c in batch + summed + columns]).reshape(*lead, k, n)
    made = batch + rows + columns
    return np.matmul(left, right).reshape([sizes[c] for c in made]).transpose([made.index(c) for c in result])


WORTH_A_PRODUCT = 1 << 9
"""Multiplications of a matrix from which on it pays to rearrange the operands."""


def _operand_bar(y_bar, xs, inputs, result, k):
    """Cotangent of operand `k`: the other operands and `y_bar` summed over all that is not in its labels."""
    labels, x = inputs[k], xs[k]
    others = [(inputs[i], conjugated(xs[i])) for i in range(len(xs)) if i != k]
    sizes: dict = {}
    for name, t in (*others, (labels, x), (result, y_bar)):
        for label, n in zip(name, t._spec.shape, strict=True):
            sizes[label] = max(sizes.get(label, 1), n)
    distinct = "".join(dict.fromkeys(labels))
    known = set(result).union(*[name for name, _ in others])
    summed = "".join(label for label in distinct if label in known)
    terms = [(result, y_bar), *others]
    narrow = [label for label in summed if _length(x, labels, label) == 1 < sizes[label]]
    bar_labels = "".join(label for label in summed if label not in narrow)
    bar = _apply(",".join(name for name, _ in terms) + "->" + bar_labels, [t for _, t in terms])
    # Axes that only this operand has were summed away: their cotangent is the same all along.
    shape = tuple(sizes[label] if label in bar_labels else 1 for label in distinct)
    bar = reshape_to(bar, shape)
    full = tuple(_length(x, labels, label) for label in distinct)
    bar = expand_to(bar, full)
    return bar if distinct == labels else _on_diagonal(bar, distinct, labels)


def _length(x, labels, label):
    return x._spec.shape[labels.index(label)]


def _on_diagonal(bar, distinct, labels):
    """Zeros of shape `labels` with `bar` where repeated labels coincide."""
    sizes = dict(zip(distinct, bar._spec.shape, strict=True))
    shape = tuple(sizes[label] for label in labels)
    spec = spec_of(shape, bar._spec.dtype)
    steps = dict.fromkeys(distinct, 0)
    for label, stride in zip(labels, spec.strides, strict=True):
        steps[label] += stride
    strides = tuple(steps[label] for label in distinct)
    return ops.place(bar, shape=shape, strides=strides, offset=0, base_strides=spec.strides)


def _apply(subscripts, tensors):
    dtype = np.result_type(*[t._spec.dtype for t in tensors])
    return einsum(*[cast(t, dtype) for t in tensors], subscripts=subscripts)


def _explicit(subscripts, tensors):
    """Subscripts without ellipses or blanks, and with the result's labels."""
    text = subscripts.replace(" ", "")
    inputs, arrow, result = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(tensors):
        raise ValueError(f"einsum {subscripts!r}: {len(terms)} operands are named, {len(tensors)} are given")
    free = [c for c in string.ascii_letters if c not in text]
    widths = []
    for term, t in zip(terms, tensors, strict=True):
        n = t._spec.ndim - len(term.replace("...", ""))
        if n < 0 or (n > 0 and "..." not in term):
            raise ValueError(f"einsum {subscripts!r}: {term!r} does not fit an operand of shape {t._spec.shape}")
        widths.append(n if "..." in term else 0)
    extra = "".join(free[: max(widths)])
    terms = [t.replace("...", extra[len(extra) - n :]) for t, n in zip(terms, widths, strict=True)]
    if arrow:
        result = result.replace("...", extra)
    else:
        letters = inputs.replace(",", "").replace(".", "")
        result = extra + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    bad = [c for c in ",".join(terms) + result if c not in string.ascii_letters and c != ","]
    if bad or len(set(result)) != len(result) or not set(result) <= set("".join(terms)):
        raise ValueError(f"einsum: {subscripts!r} is not a valid set of subscripts")
    return ",".join(terms) + "->" + result


def _interleaved(operands):
    """Subscripts of the form ``einsum(a, [0, 1], b, [1, 2], [0, 2])``."""
    operands = list(operands)
    result = operands.pop() if len(operands) % 2 else None
    lists = operands[1::2] + ([] if result is None else [result])
    labels = sorted({k for entry in lists for k in entry if k is not Ellipsis})
    letter = dict(zip(labels, string.ascii_letters, strict=False))
    texts = ["".join("..." if k is Ellipsis else letter[k] for k in entry) for entry in lists]
    if result is None:
        return ",".join(texts), operands[::2]
    return ",".join(texts[:-1]) + "->" + texts[-1], operands[::2]


@implements(np.einsum)
def numpy_einsum(*operands, out=None, optimize=False, dtype=None, order="K", casting="safe"):
    """`numpy.einsum`; three operands and more are contracted in pairs, in NumPy's order or a given one."""
    refuse("einsum", out=out)
    if isinstance(operands[0], str):
        subscripts, operands = operands[0], operands[1:]
    else:
        subscripts, operands = _interleaved(operands)
    tensors = [lift(a) if dtype is None else lift(a, np.dtype(dtype)) for a in operands]
    subscripts = _explicit(subscripts, tensors)
    if len(tensors) == 1 and _is_view(subscripts, tensors[0]):
        return view_of_function(_rearranged, "Permute", tensors[0], subscripts)
    if optimize is False or len(tensors) < 3:
        return _apply(subscripts, tensors)
    return _by_path(subscripts, tensors, optimize)


def _is_view(subscripts, x):
    """Whether nothing is summed: axes are permuted, or a diagonal is taken, and NumPy's result may be written to."""
    labels, _, result = subscripts.partition("->")
    lengths = set(zip(labels, x._spec.shape, strict=True))
    return set(labels) == set(result) and len(lengths) == len(result)


def _rearranged(array, subscripts):
    return np.einsum(subscripts, array)


def _by_path(subscripts, tensors, optimize):
    """Contract in the order of `numpy.einsum_path`."""
    models = [np.broadcast_to(np.empty(()), t._spec.shape) for t in tensors]
    path = np.einsum_path(subscripts, *models, optimize=optimize)[0][1:]
    inputs, _, result = subscripts.partition("->")
    terms, tensors = inputs.split(","), list(tensors)
    for places in path:
        chosen = sorted(places, reverse=True)
        names, parts = [terms.pop(k) for k in chosen], [tensors.pop(k) for k in chosen]
        needed = set(result).union(*terms)
        made = "".join(label for label in dict.fromkeys("".join(names)) if label in needed) if terms else result
        terms.append(made)
        tensors.append(_apply(",".join(names) + "->" + made, parts))
    return tensors[0]
