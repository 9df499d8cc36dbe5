"""What the reverse reads stays alive, though the user keeps the loss alone: large values have their own memory."""

from __future__ import annotations

import numpy as np
import pytest
import records

import tapegrad as tg
from tapegrad.inplace import write
from tapegrad.primitives.core import RECORDS, Elementwise
from tapegrad.primitives.scipy_loader import load
from tapegrad.tape.signature import DEFER_BYTES

try:
    load()
except ImportError:  # without SciPy, NumPy's functions are looked at
    pass

N = DEFER_BYTES // 8 + 1000
SMOOTH = [
    name if getattr(np, name, None) is record.function else pytest.param(name, marks=pytest.mark.slow)
    for name, record in RECORDS.items()
    if isinstance(record, Elementwise) and record.probes is not None and records.differentiable(record)
]


def gradients(record, operands, in_place, kept):
    """The gradients' bytes; unless all is kept, memory that was given back is overwritten before the reverse."""
    leaves = [tg.tensor(x, requires_grad=x.dtype.kind in "fc") for x in operands]
    xs = [leaf * 1.0 if leaf.requires_grad else leaf for leaf in leaves]
    y = write(xs[0], record, tuple(xs)) if in_place else records.apply(record, xs, {})
    y = y * np.cos(np.arange(1.0, N + 1)).astype(y.dtype)
    loss = np.sum(np.real(y))
    if not kept:
        del xs, y
        garbage = [np.full(N, np.nan) for _ in range(8)]
        del garbage
    loss.backward()
    return [leaf.grad.numpy().tobytes() for leaf in leaves if leaf.grad is not None]


@pytest.mark.parametrize("in_place", [False, True], ids=["anew", "in place"])
@pytest.mark.parametrize("name", SMOOTH)
def test_saved_values_live(name, in_place):
    record = RECORDS[name]
    dtype = next((d for d in records.dtypes(record) if d.char == "d"), records.dtypes(record)[0])
    operands = records.draw(record, [(400,)], dtype, records.generator(name, "lifetimes"))
    operands = [np.resize(x, N) for x in operands]  # some take long
    try:
        expected = gradients(record, operands, in_place, kept=True)
    except (RuntimeError, TypeError, NotImplementedError) as refused:
        with pytest.raises(type(refused)):
            gradients(record, operands, in_place, kept=False)
        return
    assert gradients(record, operands, in_place, kept=False) == expected
