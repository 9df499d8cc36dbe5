"""Dtypes for which no kernels are compiled: what is no fused row is computed in the widest dtype of their kind."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cuda import table

PLACES = np.array([3, 0, 0, 2])
FUNCTIONS = {
    "sum": lambda x: np.sum(x, axis=0),
    "prod": lambda x: np.prod(x, axis=0),
    "max": lambda x: np.max(x, axis=1),
    "sort": lambda x: np.sort(x, axis=1),
    "argmax": lambda x: np.argmax(x, axis=0),
    "cumsum": lambda x: np.cumsum(x, axis=1),
    "gather": lambda x: x[PLACES],
    "concatenate": lambda x: np.concatenate([x, x]),
    "any": lambda x: np.any(x, axis=0),
    "matmul": lambda x: np.matmul(x.T, x),
    "roll": lambda x: np.roll(x, 1),
    "count": lambda x: np.count_nonzero(x, axis=0),
}


@pytest.mark.parametrize("char", "?bBhHiIlLqQ")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_integers_and_truth_values(name, char, device):
    x = np.random.default_rng(0).integers(0, 100, (4, 5)).astype(char)
    expected = FUNCTIONS[name](x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", table.HostFallbackWarning)
        found = FUNCTIONS[name](tg.tensor(x, device=device)).cpu().numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_launchers_meet_no_narrow_dtype(device, monkeypatch):
    """What a launcher is given is what the compile suite has kernels for."""
    table.load()
    met = set()
    launcher = table.LAUNCHERS["gather"]

    def noted(on, out, arrays, **attrs):
        met.update({out.dtype.char, *[a.dtype.char for a in arrays]})
        return launcher(on, out, arrays, **attrs)

    monkeypatch.setitem(table.LAUNCHERS, "gather", noted)
    for char in "bBhHiI":
        tg.tensor(np.ones((3, 2), char), device=device)[PLACES[1:]].cpu().numpy()
    assert met == {"l"}
