"""Random numbers made on a device, by a generator that counts: each number is a function of a key and its place.

So threads need no state, and the same seed gives the same numbers whatever the device and the launch.

References
----------
.. [1] Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011: Philox4x32-10, section 4.3.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import creation
from ..tape.spec import spec_of
from .elementwise import casts
from .memory import DeviceArray
from .toolchain import build, cuda, math
from .variants import launch, pair

__all__ = ["draw"]

uint64: Any = None
number: Any = None
"""Filled in: the type of words, and what makes a number of two of them."""


def philox(c0, c1, c2, c3, k0, k1):
    """Four random words of 32 bits from a counter of four and a key of two: ten rounds."""
    mask, half = uint64(0xFFFFFFFF), uint64(32)
    for _ in range(10):
        p, q = uint64(0xD2511F53) * c0, uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (q >> half) ^ c1 ^ k0, q & mask, (p >> half) ^ c3 ^ k1, p & mask
        k0, k1 = (k0 + uint64(0x9E3779B9)) & mask, (k1 + uint64(0xBB67AE85)) & mask
    return c0, c1, c2, c3


def double_of(high, low):
    """Two words as a number in [0, 1), of 53 bits."""
    return float(((high >> uint64(5)) << uint64(26)) | (low >> uint64(6))) * 1.1102230246251565e-16


def single_of(high, low):
    """Two words as a number in [0, 1), of 24 bits."""
    return float(high >> uint64(8)) * 5.960464477539063e-08


def words(i, call, k0, k1):
    """The words of places i and i ^ 1 of a call."""
    mask, half = uint64(0xFFFFFFFF), uint64(32)
    c = uint64(i // 2)
    return philox(c & mask, c >> half, call & mask, call >> half, k0, k1)


def uniform(n, call, k0, k1, y, oy):
    """y[i] = a random number in [0, 1)."""
    i = cuda.grid(1)
    while i < n:
        a, b, c, d = words(i, call, k0, k1)
        y[oy + i] = number(a, b) if i % 2 == 0 else number(c, d)
        i += cuda.gridsize(1)


def normal(n, call, k0, k1, y, oy):
    """y[i] = a random number of the standard normal distribution, by Box and Muller's transform."""
    i = cuda.grid(1)
    while i < n:
        a, b, c, d = words(i, call, k0, k1)
        radius = math.sqrt(-2.0 * math.log(1.0 - number(a, b)))
        angle = 6.283185307179586 * number(c, d)
        y[oy + i] = radius * (math.cos(angle) if i % 2 == 0 else math.sin(angle))
        i += cuda.gridsize(1)


class _Stream:
    """The key of a device's random numbers, and how many calls have used it."""

    def __init__(self, seeding: tuple):
        self.seeding, self.calls = seeding, 0
        self.key = np.random.SeedSequence(seeding[0]).generate_state(2)


def _next(device: Any, rng: Any) -> tuple:
    """Number of the call, and key: of the device's own stream, or of a seed or generator that is given."""
    if rng is not None:
        seed = int(rng.integers(1 << 63)) if isinstance(rng, np.random.Generator) else rng
        return 0, np.random.SeedSequence(seed).generate_state(2)
    with device.lock:
        stream = device.random
        if stream is None or stream.seeding is not creation.seeding:
            stream = device.random = _Stream(creation.seeding)
        stream.calls += 1
        return stream.calls, stream.key


def draw(device: Any, shape: tuple[int, ...], dtype: Any, rng: Any = None, gaussian: bool = False) -> Any:
    """A tensor of random numbers on a device.

    Parameters
    ----------
    device : Device
    shape : tuple of int
    dtype : numpy.dtype
        Real and floating.
    rng : int or numpy.random.Generator, optional
        A seed, or what gives one; by default what `tapegrad.manual_seed` has set.
    gaussian : bool
        Standard normal numbers rather than uniform ones in [0, 1).
    """
    dtype = np.dtype(dtype)
    if dtype.char not in "fd":
        raise TypeError(f"random numbers on {device} are float32 or float64, not {dtype}: convert them with .to(dtype)")
    made: DeviceArray = device.empty(spec_of(shape, dtype))
    call, key = _next(device, rng)
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    launch(
        device, normal if gaussian else uniform, made.spec.size, np.uint64(call), k0, k1, *pair(made), **names(dtype)
    )
    return device.tensor_over(made)


@functools.cache
def names(dtype: np.dtype) -> dict:
    """What the names in this module's kernels stand for, for a dtype."""
    word = {"uint64": casts()["uint64"]}
    return {**word, "number": build(double_of if dtype.char == "d" else single_of, lambda copy: copy, word)}
