"""Distributions with their parameters, and what distributions have beside densities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Frozen", "of_scipy"]

_METHODS = ("pdf", "logpdf", "pmf", "logpmf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf")


class Frozen:
    """A distribution with its parameters, as ``norm(1.0, scale=2.0)``: its methods take what is left.

    Parameters
    ----------
    distribution : object
        Has the methods.
    name : str
        SciPy's name for it.
    args, kwargs
        Parameters.

    Examples
    --------
    >>> import tapegrad as tg
    >>> from tapegrad.scipy import stats
    >>> tg.grad(lambda mean: stats.norm(mean, 2.0).logpdf(3.0))(1.0)
    np.float64(0.5)
    """

    def __init__(self, distribution: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]):
        self._distribution, self._name, self._args, self._kwargs = distribution, name, args, kwargs

    def __getattr__(self, method: str) -> Any:
        if method not in _METHODS:
            if method.startswith("_"):
                raise AttributeError(method)
            if method == "entropy" and method in vars(self._distribution):
                return lambda: self._distribution.entropy(*self._args, **self._kwargs)
            return getattr(_scipys(self._name)(*self._args, **self._kwargs), method)
        full: Callable[..., Any] = getattr(self._distribution, method)

        def call(x: Any) -> Any:
            return full(x, *self._args, **self._kwargs)

        return call


def of_scipy(distribution: str, name: str) -> Any:
    """An attribute of SciPy's own distribution.

    Raises
    ------
    AttributeError
        If SciPy's has none either, or it is a private one, for which Python's protocols ask.
    """
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(_scipys(distribution), name)


def _scipys(distribution: str) -> Any:
    import scipy.stats

    return getattr(scipy.stats, distribution)
