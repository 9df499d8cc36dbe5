"""Anomaly mode: which operation's reverse made a NaN, and which line of the user's recorded it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np

from ..tape.site import describe, user_site
from ..tape.state import local
from ..values import value_of
from .hooks import Notes, watchers

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_detect_anomaly"]


def _note_site(tape: Any, signature: Any, slot: int, tensors: Any, result: Any) -> None:
    if signature.out.requires_grad:
        tape.notes.setdefault(slot, Notes()).site = user_site()


class _CheckNaN:
    """Looks at what each row of a sweep gave."""

    python = True

    def before(self, tape: Any, row: int) -> None:
        """Nothing to do."""

    def after(self, tape: Any, row: int, bars: Any) -> None:
        """Raise where a cotangent has become NaN."""
        from .node import name_and_site

        for k, bar in enumerate(bars):
            if bar is None or bar._spec.dtype.kind not in "fc" or not np.isnan(value_of(bar)).any():
                continue
            name, site = name_and_site(tape, row)
            where = f" It was recorded at {describe(site)}." if site else ""
            raise RuntimeError(f"Function '{name}' returned nan values in its {k}th output.{where}")


_check_nan = _CheckNaN()
_mode = {"enabled": False, "check_nan": True}


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return _mode["enabled"]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN."""
    return _mode["check_nan"]


def _switch(enabled: bool, check_nan: bool) -> None:
    state = local.state
    if _note_site in state.observers:
        state.unobserve(_note_site)
    if _check_nan in watchers:
        watchers.remove(_check_nan)
    _mode["enabled"], _mode["check_nan"] = enabled, check_nan
    if enabled:
        state.observe(_note_site)
        if check_nan:
            watchers.append(_check_nan)


class set_detect_anomaly:
    """Switch anomaly mode at once, and back at the end if used as a context manager.

    Operations recorded while it is on remember the user's line. A sweep then looks at every gradient that an operation
    gives, and raises at the first NaN, naming both; it takes many times as long.

    Parameters
    ----------
    mode : bool
    check_nan : bool
        Whether to look for NaN; if not, the lines serve the messages about values that were overwritten.

    Notes
    -----
    Lines are remembered in the thread that switched it on; gradients are looked at in all threads.
    """

    def __init__(self, mode: bool, check_nan: bool = True):
        self._before = dict(_mode)
        _switch(bool(mode), bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _switch(**self._before)


class detect_anomaly:
    """Anomaly mode within a block.

    Parameters
    ----------
    check_nan : bool

    Raises
    ------
    RuntimeError
        From a sweep inside, where an operation's reverse gives NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> x = tg.tensor([0.0], requires_grad=True)
    >>> with tg.autograd.detect_anomaly():
    ...     (np.sqrt(x) * 0).sum().backward()
    Traceback (most recent call last):
    RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output. It was recorded at ...
    """

    def __init__(self, check_nan: bool = True):
        self.check_nan = bool(check_nan)

    def __enter__(self) -> None:
        self._before = dict(_mode)
        _switch(True, self.check_nan)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _switch(**self._before)
