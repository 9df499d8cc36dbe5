"""Where a function is smooth: tests and benchmarks draw operands from there."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EVERYWHERE", "Above", "Below", "Between", "Integers", "Normal"]


@dataclass(frozen=True)
class Normal:
    """All numbers; drawn from a normal distribution, its parts if complex."""

    scale: float = 1.0

    def sample(self, rng, shape, dtype):
        """Random elements."""
        x = rng.normal(scale=self.scale, size=shape)
        if dtype.kind == "c":
            x = x + 1j * rng.normal(scale=self.scale, size=shape)
        return x.astype(dtype)


@dataclass(frozen=True)
class Above:
    """Numbers greater than `low`."""

    low: float

    def sample(self, rng, shape, dtype):
        """Random elements."""
        x = self.low + 0.1 + rng.exponential(size=shape)
        return _complex(x, rng, dtype)


@dataclass(frozen=True)
class Below:
    """Numbers less than `high`."""

    high: float

    def sample(self, rng, shape, dtype):
        """Random elements."""
        x = self.high - 0.1 - rng.exponential(size=shape)
        return _complex(x, rng, dtype)


@dataclass(frozen=True)
class Between:
    """Numbers between `low` and `high`."""

    low: float
    high: float

    def sample(self, rng, shape, dtype):
        """Random elements, not too near to the ends."""
        margin = 0.05 * (self.high - self.low)
        x = rng.uniform(self.low + margin, self.high - margin, size=shape)
        return _complex(x, rng, dtype)


@dataclass(frozen=True)
class Integers:
    """Integers from `low` up to, not including, `high`."""

    low: int
    high: int

    def sample(self, rng, shape, dtype):
        """Random elements."""
        low = max(self.low, 0) if dtype.kind == "u" else self.low
        return rng.integers(low, self.high, size=shape).astype(dtype)


EVERYWHERE = Normal()


def _complex(x, rng, dtype):
    if dtype.kind == "c":
        x = x + 0.3j * rng.normal(size=x.shape)
    return x.astype(dtype)
