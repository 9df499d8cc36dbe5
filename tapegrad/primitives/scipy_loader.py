"""When SciPy's functions are registered: as the first of them meets a tensor, so that SciPy is not imported in vain."""

from __future__ import annotations

import importlib
import threading

import numpy as np

from .core import BY_FUNCTION, RECORDS, Elementwise, primitive
from .packed import packed

__all__ = ["NO_ORDER", "NO_PARAMETER", "TWINS", "load", "scipy_ufunc", "scipy_ufunc_in_double"]

MODULES = (
    "scipy_error", "scipy_entropy", "scipy_gamma", "scipy_integrals", "scipy_bessel", "scipy_bessel_relatives",
    "scipy_normal_gamma", "scipy_beta_binomial", "scipy_parameter_inverses", "scipy_elliptic", "scipy_misc",
    "scipy_polynomials", "scipy_filters", "scipy_waves", "sparse",
)  # fmt: skip
"""Where the records are; these modules are imported by nobody else."""
NO_ORDER = "the derivative with respect to the order has no closed form; make the order a constant"
NO_PARAMETER = "the derivative with respect to this parameter has no closed form; make the parameter a constant"
NO_RULE = "there is no rule for it in tapegrad, nor in general a closed form; make its operands constants"

_loaded = False
_waiting: list[type] = []
_lock = threading.RLock()
_SAME = {"cbrt": "cbrt", "exp2": "exp2", "expm1": "expm1", "log1p": "log1p", "round": "rint"}
"""SciPy's functions that are NumPy's, but for their loops."""
_SHARED = ("derivative", "domain", "grad_name", "kinks", "partials", "probes")

TWINS: dict[str, Elementwise] = {}
"""Their records, by the names that they have in files."""


class _Twin(Elementwise):
    """What a record of NumPy's is, by the loops of SciPy's function: with its bits, its complex `log1p`, its dtypes."""

    vectors = False

    def __init__(self, record, function):
        shared = {name: getattr(record, name) for name in _SHARED}
        super().__init__(record.name, function, {"__doc__": record.__doc__, **shared})
        self.filed_as = f"scipy.special.{function.__name__}"


def scipy_ufunc(cls):
    """Keep a record back until SciPy is in use."""
    _waiting.append(cls)
    return cls


def scipy_ufunc_in_double(cls):
    """The same for a record whose derivatives are computed in double precision."""
    cls.in_double = True
    return scipy_ufunc(cls)


def load():
    """Register the records of all functions that the installed SciPy has.

    A function without a record of its own gets one that computes values and refuses derivatives.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    """
    global _loaded
    if _loaded:
        return
    from scipy import special

    with _lock:
        for module in MODULES:
            importlib.import_module(f".{module}", __package__)
        for name, own in _SAME.items():
            function = _named(special, name)
            if isinstance(function, np.ufunc) and function not in BY_FUNCTION:
                twin = BY_FUNCTION[function] = _Twin(RECORDS[own], function)
                TWINS[twin.filed_as] = twin
        while _waiting:
            cls = _waiting[0]
            name = cls.__dict__.get("scipy_name", cls.__name__)
            function = _named(special, name)
            if isinstance(function, np.ufunc):
                _register(cls, function)
            del _waiting[0]
        if not _loaded:
            _register_rest(special)
        _loaded = True


def _named(special, name):
    """A function of SciPy's; with SCIPY_ARRAY_API, the public one is a wrapper of the ufunc."""
    return getattr(special._ufuncs, name, None) or getattr(special, name, None)


def _register(cls, function):
    (primitive if function.nout == 1 else packed)(function)(cls)


def _register_rest(special):
    """Records without a rule for the functions that have none."""
    for name in special.__all__:
        function = _named(special, name)
        if isinstance(function, np.ufunc) and function not in BY_FUNCTION and not function.signature:
            point = (0.5,) * function.nin
            members = {"__doc__": f"`scipy.special.{name}`, without derivative.", "derivative": NO_RULE}
            members |= {"probes": (point,)} if function.nout == 1 else {"samples": (tuple(map(np.array, point)),)}
            _register(type(name, (), members), function)
