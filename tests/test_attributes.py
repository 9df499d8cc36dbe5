"""Attributes that no operation can have are told at the user's line, and what was recorded before stays right."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

BAD = {
    "sort's axis": lambda x: np.sort(x, axis=3),
    "sort's kind": lambda x: np.argsort(x, kind="by colour"),
    "no rank": lambda x: np.argpartition(x, ()),
    "a rank too high": lambda x: np.partition(x, 9),
    "a diagonal between two": lambda x: np.diag(x, 0.5),
    "a diagonal of the flat array": lambda x: np.diagflat(x, 0.5),
    "degrees of freedom": lambda x: np.var(x, ddof=(0, 0)),
    "degrees of freedom by name": lambda x: np.std(x, ddof="one"),
    "tiles": lambda x: np.tile(x, -2),
    "a size": lambda x: np.resize(x, -2),
    "a shape": lambda x: np.broadcast_to(x, (-1, 4)),
    "another shape": lambda x: np.reshape(x, (3, 3)),
    "an axis of sums": lambda x: np.cumsum(x, axis=2),
    "an axis of products": lambda x: np.cumprod(x, axis=-3),
    "axes twice": lambda x: np.sum(x[None], axis=(0, 0)),
    "an axis that is a word": lambda x: np.sum(x, axis="rows"),
    "an axis of a join": lambda x: np.concatenate([x, x], axis=1),
    "an axis of a stack": lambda x: np.stack([x, x], axis=3),
    "an axis of a transform": lambda x: np.fft.fft(x, axis=1),
    "a length of a transform": lambda x: np.fft.rfft(x, n=0),
    "subscripts": lambda x: np.einsum("ij->i", x),
    "a side": lambda x: np.searchsorted(x, x, side="above"),
    "a mode": lambda x: np.pad(x, 1, mode="sideways"),
    "an order": lambda x: np.linalg.norm(x, ord="long"),
    "decimals": lambda x: np.round(x, "two"),
    "a method": lambda x: np.quantile(x, 0.5, method="guess"),
    "a quantile": lambda x: np.quantile(x, 1.5),
    "an index": lambda x: np.take(x, [9]),
    "repeats": lambda x: np.repeat(x, [1, -1, 1, 1]),
}


@pytest.mark.parametrize("deferral", [True, False], ids=["deferred", "immediate"])
@pytest.mark.parametrize("name", BAD)
def test_they_are_told_where_they_are_and_spoil_nothing(name, deferral):
    def f(x):
        before = 2.0 * x
        with pytest.raises((TypeError, ValueError, IndexError)):
            BAD[name](before)
        return np.sum(before * before)

    x = np.array([0.5, 0.25, 2.0, 1.0])
    with pytest.raises((TypeError, ValueError, IndexError)):
        BAD[name](x)
    kept = tg.set_deferral(deferral)
    try:
        np.testing.assert_array_equal(tg.grad(f)(x), 8.0 * x)
    finally:
        tg.set_deferral(kept)


@pytest.mark.parametrize("size, strides", [((-1, -1), (0, 5)), ((-6,), (5,)), ((2, 2), (-1, 1)), ((2, 2), (1,))])
def test_strided_views_stay_in_their_memory(size, strides):
    x = tg.tensor(np.ones((3, 4)), requires_grad=True)
    with pytest.raises(RuntimeError, match=r"as_strided: sizes .* none of them negative"):
        (2.0 * x).as_strided(size, strides)
