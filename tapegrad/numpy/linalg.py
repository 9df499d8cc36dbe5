"""`numpy.linalg` for tensors."""

from __future__ import annotations

from typing import Any

import numpy as _numpy

from ._forwarding import forwarded


def __getattr__(name: str) -> Any:
    found = globals()[name] = forwarded(getattr(_numpy.linalg, name))
    return found


def __dir__() -> list[str]:
    return dir(_numpy.linalg)
