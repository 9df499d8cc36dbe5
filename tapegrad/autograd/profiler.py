"""Where a sweep's time and memory go, by operation."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np

from ..tape.tape import Tape
from .hooks import watchers
from .node import name_and_site

__all__ = ["FunctionEvent", "profile"]


@dataclass
class FunctionEvent:
    """What one kind of operation took, over all its rows.

    Attributes
    ----------
    key : str
        Name of the backward function.
    count : int
    cpu_time_total : float
        Microseconds, those of looking in included.
    memory : int
        Bytes of the cotangents that came in.
    shapes : set
        Shapes of the results.
    """

    key: str
    count: int = 0
    cpu_time_total: float = 0.0
    memory: int = 0
    shapes: set = field(default_factory=set)

    @property
    def cpu_time(self) -> float:
        """Microseconds for each row."""
        return self.cpu_time_total / self.count if self.count else 0.0


class profile:
    """Within a block, measure each operation of the reverse sweeps.

    Sweeps go row by row then, so that they take longer than otherwise; compare rows with one another.

    Parameters
    ----------
    enabled : bool

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> x = tg.ones(1000, requires_grad=True)
    >>> y = np.exp(x * 2).sum()
    >>> with tg.autograd.profiler.profile() as report:
    ...     y.backward()
    >>> sorted(event.key for event in report.key_averages())
    ['ExpBackward0', 'MulBackward0', 'SumBackward0']
    >>> print(report.table(sort_by="count"))  # doctest: +ELLIPSIS
    Name ...
    """

    python = False

    def __init__(self, enabled: bool = True):
        self.enabled = enabled
        self._events: dict[str, FunctionEvent] = {}
        self._begun = threading.local()

    def __enter__(self) -> profile:
        if self.enabled:
            watchers.append(self)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.enabled:
            watchers.remove(self)

    def before(self, tape: Any, row: int) -> None:
        """A row is about to run."""
        self._begun.time = time.perf_counter()

    def after(self, tape: Any, row: int, bars: Any) -> None:
        """A row has run."""
        took = time.perf_counter() - self._begun.time
        name, _ = name_and_site(tape, row)
        event = self._events.setdefault(name, FunctionEvent(name))
        event.count += 1
        event.cpu_time_total += took * 1e6
        specs = [tape.signature(row).out] if isinstance(tape, Tape) else [s for s in tape.outs if s is not None]
        event.memory += sum(s.nbytes for s in specs)
        event.shapes.update(s.shape for s in specs)

    def key_averages(self) -> list[FunctionEvent]:
        """One entry for each kind of operation, the longest first."""
        return sorted(self._events.values(), key=_total_time, reverse=True)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all rows together."""
        return sum(event.cpu_time_total for event in self._events.values())

    def table(self, sort_by: str = "cpu_time_total", row_limit: int = 100) -> str:
        """The measurements as text.

        Parameters
        ----------
        sort_by : {"cpu_time_total", "cpu_time", "count", "memory"}
        row_limit : int

        Returns
        -------
        str
        """
        if sort_by not in ("cpu_time_total", "cpu_time", "count", "memory"):
            raise ValueError(f"sort_by must be cpu_time_total, cpu_time, count or memory, not {sort_by!r}")
        events = sorted(self._events.values(), key=lambda event: getattr(event, sort_by), reverse=True)[:row_limit]
        total = self.self_cpu_time_total or 1.0
        width = max([len(event.key) for event in events], default=4) + 2
        lines = [f"{'Name':<{width}}{'Calls':>8}{'Total':>12}{'Share':>8}{'Mean':>12}{'Memory':>12}"]
        for event in events:
            share = 100 * event.cpu_time_total / total
            lines.append(
                f"{event.key:<{width}}{event.count:>8}{_time(event.cpu_time_total):>12}{share:>7.1f}%"
                f"{_time(event.cpu_time):>12}{_bytes(event.memory):>12}"
            )
        return "\n".join(lines)

    __str__ = table


def _total_time(event: FunctionEvent) -> float:
    return event.cpu_time_total


def _time(microseconds: float) -> str:
    return f"{microseconds / 1e3:.3f} ms" if microseconds >= 1e3 else f"{microseconds:.2f} us"


def _bytes(count: int) -> str:
    power = min(int(np.log2(count) // 10), 4) if count else 0
    return f"{count / 1024**power:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
