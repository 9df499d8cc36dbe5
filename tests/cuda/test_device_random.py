"""Random numbers that are made on the device."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cuda import random
from tapegrad.cuda.elementwise import casts
from tapegrad.cuda.stepper import BoundsError, defined
from tapegrad.cuda.toolchain import build
from tapegrad.values import value_of

KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""Counter, key and words: the known answers of Random123's philox4x32 with ten rounds."""


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    philox = build(random.philox, lambda f: f, {"uint64": casts()["uint64"]})
    assert tuple(int(w) for w in philox(*map(np.uint64, (*counter, *key)))) == words


def test_the_same_seed_gives_the_same_numbers(device):
    tg.manual_seed(3)
    first, second = tg.rand(5, 3, device="cuda"), tg.rand(5, 3, device="cuda")
    tg.manual_seed(3)
    np.testing.assert_array_equal(value_of(tg.rand(5, 3, device="cuda")), value_of(first))
    assert first.device is device and not np.any(value_of(first) == value_of(second))
    tg.manual_seed(4)
    assert not np.any(value_of(tg.rand(5, 3, device="cuda")) == value_of(first))
    a, b = [value_of(tg.randn(7, device="cuda", rng=11)) for _ in range(2)]
    np.testing.assert_array_equal(a, b)
    generator = np.random.default_rng(0)
    a, b = [value_of(tg.randn(7, device="cuda", rng=generator)) for _ in range(2)]
    assert not np.any(a == b)


def test_numbers_do_not_depend_on_the_launch(device, monkeypatch):
    whole = value_of(tg.rand(30, device="cuda", rng=5))
    monkeypatch.setattr(device.driver, "max_threads", 3)
    np.testing.assert_array_equal(value_of(tg.rand(30, device="cuda", rng=5)), whole)
    np.testing.assert_array_equal(value_of(tg.rand(7, device="cuda", rng=5)), whole[:7])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distributions(dtype):
    u = value_of(tg.rand(4000, dtype=dtype, device="cuda", rng=1))
    assert u.dtype == dtype and u.min() >= 0.0 and u.max() < 1.0 and len(np.unique(u)) > 3990
    counts = np.histogram(u, 10, (0.0, 1.0))[0]
    assert np.sum((counts - 400.0) ** 2 / 400.0) < 27.9  # chi-squared, nine degrees of freedom: one in a thousand
    z = np.sort(value_of(tg.randn(4000, dtype=dtype, device="cuda", rng=2)))
    assert z.dtype == dtype and np.isfinite(z).all()
    from scipy.special import ndtr

    distance = np.max(np.abs(ndtr(z) - (np.arange(4000) + 0.5) / 4000))
    assert distance < 1.95 / np.sqrt(4000)  # Kolmogorov and Smirnov: one in a thousand
    assert abs(np.corrcoef(z[::2], z[1::2])[0, 1]) <= 1.0


def test_like_and_leaves(device):
    x = tg.tensor(np.zeros((2, 3), np.float32), device="cuda")
    y = tg.rand_like(x)
    assert y.device is device and y.shape == (2, 3) and y.dtype == np.float32
    z = tg.randn(3, device="cuda", requires_grad=True)
    (z * 2.0).sum().backward()
    np.testing.assert_array_equal(value_of(z.grad), [2.0, 2.0, 2.0])
    assert tg.rand(0, 3, device="cuda").shape == (0, 3) and tg.rand(2, device="cpu").device == "cpu"
    with pytest.raises(TypeError, match="random numbers on cuda:0 are float32 or float64, not int64"):
        tg.rand(3, dtype=int, device="cuda")


def test_dropout_draws_on_the_device():
    x = tg.tensor(np.ones((20, 30)), device="cuda", requires_grad=True)
    tg.manual_seed(0)
    y = tg.nn.functional.dropout(x, 0.25)
    found = value_of(y)
    assert set(np.unique(found)) == {0.0, 1.0 / 0.75} and abs(np.mean(found == 0.0) - 0.25) < 0.08
    y.sum().backward()
    np.testing.assert_array_equal(value_of(x.grad), found)


@pytest.mark.parametrize(("name", "draw"), [("uniform", tg.rand), ("normal", tg.randn)])
def test_the_end_is_looked_at(name, draw, monkeypatch):
    source = inspect.getsource(getattr(random, name)).replace("while i < n:", "while i <= n:")
    faulty = defined(name, source, dict(vars(random)))
    faulty.__module__ = random.__name__
    monkeypatch.setattr(random, name, faulty)
    with pytest.raises(BoundsError):
        draw(5, device="cuda")
