"""Numbers as people read them."""

from __future__ import annotations

__all__ = ["human_bytes", "human_rate", "human_time"]


def _scaled(value: float, step: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if abs(value) < 0.9995 * step:
            return f"{value:.3g} {unit}"
        value /= step
    return f"{value:.3g} {units[-1]}"


def human_bytes(count: float) -> str:
    """A size in three digits.

    Examples
    --------
    >>> human_bytes(1250), human_bytes(12), human_bytes(3.2e9)
    ('1.25 kB', '12 B', '3.2 GB')
    """
    return _scaled(count, 1e3, ("B", "kB", "MB", "GB"))


def human_time(seconds: float) -> str:
    """A time in three digits.

    Examples
    --------
    >>> human_time(4.52e-5), human_time(2.0), human_time(3e-8)
    ('45.2 µs', '2 s', '30 ns')
    """
    return _scaled(seconds * 1e9, 1e3, ("ns", "µs", "ms", "s"))


def human_rate(each_second: float, unit: str) -> str:
    """How much in a second, in three digits.

    Examples
    --------
    >>> human_rate(2.5e9, "B/s")
    '2.5 GB/s'
    """
    return _scaled(each_second, 1e3, tuple(f"{prefix}{unit}" for prefix in ("", "k", "M", "G", "T")))
