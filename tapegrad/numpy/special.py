"""Special functions, where SciPy's Array API dispatch (SCIPY_ARRAY_API=1) looks for a namespace's own."""

from __future__ import annotations

from typing import Any

import numpy as _numpy
import scipy.special as _scipy

from ..scipy import special as _own


def __getattr__(name: str) -> Any:
    found = vars(_own).get(name) or getattr(_scipy._ufuncs, name, None)
    if name.startswith("_") or not (callable(found) or isinstance(found, _numpy.ufunc)):
        raise AttributeError(f"tapegrad.numpy.special has no {name!r}; scipy.special and tapegrad.scipy may have it")
    return found
