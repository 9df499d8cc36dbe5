"""`numpy.fft` for tensors."""

from __future__ import annotations

from typing import Any

import numpy as _numpy

from . import forwarded


def __getattr__(name: str) -> Any:
    found = getattr(_numpy.fft, name)
    return found if isinstance(found, type) or not callable(found) else forwarded(found)
