"""Densities and distribution functions of `scipy.stats` for tensors.

Each distribution is an object with the methods of SciPy's: ``pdf``, ``logpdf``, ``cdf``, ``logcdf``, ``sf``, ``logsf``,
``ppf`` and ``isf`` where they have derivatives, ``pmf`` and ``logpmf`` for discrete ones; ``loc`` and ``scale`` take
part.
``norm(loc, scale)`` keeps parameters; other methods, such as ``rvs`` and ``mean``, are SciPy's, of plain numbers.
Outside the support the density is 0, its logarithm minus infinity, and the gradient 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

from ..primitives.scipy_loader import load as _load
from ._frozen import Frozen, of_scipy
from ._multivariate import LOG_2PI, floating
from ._multivariate import dirichlet as dirichlet
from ._multivariate import multivariate_normal as multivariate_normal
from ._multivariate import wishart as wishart

_load()


def __getattr__(name: str) -> Any:
    import scipy.stats

    return getattr(scipy.stats, name)


class Continuous:
    """A continuous distribution.

    Attributes
    ----------
    name : str
    shapes : tuple of str
        Names of the shape parameters, in order.
    """

    def __init__(
        self,
        name: str,
        logpdf: Callable[..., Any],
        shapes: tuple[str, ...] = (),
        cdf: Callable[..., Any] | None = None,
        sf: Callable[..., Any] | None = None,
        ppf: Callable[..., Any] | None = None,
        last: Callable[..., Any] | None = None,
        middle: float = 0.5,
        logcdf: Callable[..., Any] | None = None,
        logsf: Callable[..., Any] | None = None,
        support: tuple[float, float] = (-math.inf, math.inf),
        isf: Callable[..., Any] | None = None,
    ):
        self.name, self.shapes = name, shapes
        self._log, self._cdf, self._sf, self._ppf = logpdf, cdf, sf, ppf
        self._logcdf, self._logsf, self._isf = logcdf, logsf, isf
        self._last, self._middle, self._support = last, middle, support

    def __call__(self, *args: Any, **kwargs: Any) -> Frozen:
        """The distribution with these parameters."""
        return Frozen(self, self.name, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        """What has no derivative here is SciPy's: random numbers, moments, fits."""
        return of_scipy(self.__dict__.get("name", ""), name)

    def _standard(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any], Any, Any]:
        """The standardised variable, shape parameters, location and scale."""
        values = list(args)
        names = (*self.shapes, "loc", "scale")
        if len(values) > len(names):
            raise TypeError(f"{self.name} takes {len(names)} parameters ({', '.join(names)}), not {len(values)}")
        bound = dict(zip(names, values, strict=False))
        for key, value in kwargs.items():
            if key not in names or key in bound:
                raise TypeError(f"{self.name}: {key!r} is no parameter, or was given twice; it has {', '.join(names)}")
            bound[key] = value
        missing = [s for s in self.shapes if s not in bound]
        if missing:
            raise TypeError(f"{self.name} needs the shape parameters {', '.join(missing)}")
        loc, scale = bound.get("loc", 0.0), bound.get("scale", 1.0)
        return (floating(x) - loc) / scale, [floating(bound[s]) for s in self.shapes], loc, scale

    def _within(self, z: Any) -> tuple[Any, Any]:
        """Where the standardised variable is outside of the support, and the variable moved inside there; NaN stays."""
        low, high = self._support
        if low == -math.inf:
            return None, z
        outside = z < low if high == math.inf else (z < low) | (z > high)
        return outside, np.where(outside, self._middle, z)

    def logpdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Logarithm of the density."""
        z, shapes, _, scale = self._standard(x, args, kwargs)
        outside, safe = self._within(z)
        log = self._log(safe, *shapes) - np.log(floating(scale))
        return log if outside is None else np.where(outside, -math.inf, log)

    def pdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Density."""
        return np.exp(self.logpdf(x, *args, **kwargs))

    def _probability(self, function: Any, below: float, above: float, x: Any, args: Any, kwargs: Any) -> Any:
        z, shapes, _, _ = self._standard(x, args, kwargs)
        outside, safe = self._within(z)
        y = function(safe, *shapes)
        return y if outside is None else np.where(outside, np.where(z < self._support[0], below, above), y)

    def _missing(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{self.name}.{what} is not available for tensors")

    def cdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Distribution function."""
        if self._cdf is None:
            raise self._missing("cdf")
        return self._probability(self._cdf, 0.0, 1.0, x, args, kwargs)

    def sf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Survival function."""
        if self._sf is None:
            return 1.0 - self.cdf(x, *args, **kwargs)
        return self._probability(self._sf, 1.0, 0.0, x, args, kwargs)

    def logcdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Logarithm of the distribution function."""
        if self._logcdf is None:
            return np.log(self.cdf(x, *args, **kwargs))
        return self._probability(self._logcdf, -math.inf, 0.0, x, args, kwargs)

    def logsf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Logarithm of the survival function."""
        if self._logsf is None:
            return np.log(self.sf(x, *args, **kwargs))
        return self._probability(self._logsf, 0.0, -math.inf, x, args, kwargs)

    def ppf(self, q: Any, *args: Any, **kwargs: Any) -> Any:
        """Quantile function."""
        if self._ppf is None:
            raise self._missing("ppf")
        return self._quantile(self._ppf, floating(q), args, kwargs)

    def isf(self, q: Any, *args: Any, **kwargs: Any) -> Any:
        """Inverse of the survival function."""
        if self._isf is None:
            return self.ppf(1.0 - floating(q), *args, **kwargs)
        return self._quantile(self._isf, floating(q), args, kwargs)

    def _quantile(self, function: Any, q: Any, args: Any, kwargs: Any) -> Any:
        _, shapes, loc, scale = self._standard(0.0, args, kwargs)
        if self.name not in _NAN_BEYOND:
            q = np.where((q < 0.0) | (q > 1.0), math.nan, q)
        return function(q, *shapes) * scale + loc


class Discrete(Continuous):
    """A discrete distribution: ``pmf`` and ``logpmf`` in place of the densities."""

    def logpmf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Logarithm of the probability of k; minus infinity where k is no integer."""
        k, shapes, _, _ = self._standard(k, args, kwargs)
        outside = (k < self._support[0]) | (k > np.floor(k))
        if self._last is not None:
            outside = outside | (k > self._last(*shapes))
        return np.where(outside, -math.inf, self._log(np.where(outside, self._middle, k), *shapes))

    def pmf(self, k: Any, *args: Any, **kwargs: Any) -> Any:
        """Probability of k."""
        return np.exp(self.logpmf(k, *args, **kwargs))

    def logpdf(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Refused: a discrete distribution has no density."""
        raise AttributeError(f"{self.name} is discrete: use logpmf or pmf")

    pdf = logpdf


POSITIVE = (0.0, math.inf)
_NAN_BEYOND = {"beta", "chi2", "f", "gamma", "invgamma", "logistic", "lognorm", "norm", "t"}
"""Distributions whose quantiles beyond 0 and 1 are NaN as they are computed."""


def _t_log(x: Any, v: Any) -> Any:
    return -0.5 * (v + 1.0) * np.log1p(x * x / v) - 0.5 * np.log(v) - sp.betaln(0.5 * v, 0.5)


def _gamma_log(x: Any, a: Any) -> Any:
    return sp.xlogy(a - 1.0, x) - x - sp.gammaln(a)


def _beta_log(x: Any, a: Any, b: Any) -> Any:
    return sp.xlogy(a - 1.0, x) + sp.xlog1py(b - 1.0, -x) - sp.betaln(a, b)


def _chi2_log(x: Any, v: Any) -> Any:
    return _gamma_log(0.5 * x, 0.5 * v) - math.log(2.0)


def _f_log(x: Any, n: Any, d: Any) -> Any:
    half = 0.5 * n
    log = half * np.log(n / d) + sp.xlogy(half - 1.0, x) - sp.betaln(half, 0.5 * d)
    return log - 0.5 * (n + d) * np.log1p(n * x / d)


def _laplace_cdf(x: Any) -> Any:
    low = x < 0
    return np.where(low, 0.5 * np.exp(np.where(low, x, 0.0)), 1.0 - 0.5 * np.exp(-np.where(low, 0.0, x)))


def _laplace_logcdf(x: Any) -> Any:
    low = x < 0
    return np.where(low, x - math.log(2.0), np.log1p(-0.5 * np.exp(-np.where(low, 0.0, x))))


def _laplace_ppf(q: Any) -> Any:
    low = q < 0.5
    return np.where(low, np.log(2.0 * np.where(low, q, 0.25)), -np.log(2.0 * (1.0 - np.where(low, 0.75, q))))


def _t_ppf(q: Any, v: Any) -> Any:
    return np.where(q == 0.0, -math.inf, sp.stdtrit(v, q))


def _cauchy_isf(q: Any) -> Any:
    low = q < 0.5
    y = 1.0 / np.tan(math.pi * np.where(low, q, 1.0 - q))
    return np.where(low, y, -y)


def _lognorm_log(x: Any, s: Any) -> Any:
    logs = np.log(x)
    return -0.5 * (logs / s) ** 2 - logs - np.log(s) - 0.5 * LOG_2PI


def _binom_log(k: Any, n: Any, p: Any) -> Any:
    ways = sp.gammaln(n + 1.0) - sp.gammaln(k + 1.0) - sp.gammaln(n - k + 1.0)
    return ways + sp.xlogy(k, p) + sp.xlog1py(n - k, -p)


def _binom_tail(function: Any, beyond: float, k: Any, n: Any, p: Any) -> Any:
    after = k >= n
    return np.where(after, beyond, function(np.floor(np.where(after, 0.0, k)), n.astype(np.int64), p))


def _nbinom_log(k: Any, n: Any, p: Any) -> Any:
    return sp.gammaln(n + k) - sp.gammaln(k + 1.0) - sp.gammaln(n) + n * np.log(p) + sp.xlog1py(k, -p)


def _normal_log(x: Any) -> Any:
    return -0.5 * (x * x + LOG_2PI)


def _mirrored(function: Any) -> Any:
    def call(x: Any) -> Any:
        return function(-x)

    return call


norm = Continuous(
    "norm",
    _normal_log,
    (),
    sp.ndtr,
    _mirrored(sp.ndtr),
    sp.ndtri,
    logcdf=sp.log_ndtr,
    logsf=_mirrored(sp.log_ndtr),
    isf=lambda q: -sp.ndtri(q),
)
t = Continuous(
    "t",
    _t_log,
    ("df",),
    lambda x, v: sp.stdtr(v, x),
    lambda x, v: sp.stdtr(v, -x),
    _t_ppf,
    isf=lambda q, v: -_t_ppf(q, v),
)
gamma = Continuous(
    "gamma",
    _gamma_log,
    ("a",),
    lambda x, a: sp.gammainc(a, x),
    lambda x, a: sp.gammaincc(a, x),
    lambda q, a: sp.gammaincinv(a, q),
    support=POSITIVE,
    isf=lambda q, a: sp.gammainccinv(a, q),
)
beta = Continuous(
    "beta",
    _beta_log,
    ("a", "b"),
    lambda x, a, b: sp.betainc(a, b, x),
    lambda x, a, b: sp.betaincc(a, b, x),
    lambda q, a, b: sp.betaincinv(a, b, q),
    support=(0.0, 1.0),
    isf=lambda q, a, b: sp.betainccinv(a, b, q),
)
chi2 = Continuous(
    "chi2",
    _chi2_log,
    ("df",),
    lambda x, v: sp.chdtr(v, x),
    lambda x, v: sp.chdtrc(v, x),
    lambda q, v: 2.0 * sp.gammaincinv(0.5 * v, q),
    support=POSITIVE,
    isf=lambda q, v: sp.chdtri(v, q),
)
f = Continuous(
    "f",
    _f_log,
    ("dfn", "dfd"),
    lambda x, n, d: sp.fdtr(n, d, x),
    lambda x, n, d: sp.fdtrc(n, d, x),
    lambda q, n, d: sp.fdtri(n, d, q),
    support=POSITIVE,
)
expon = Continuous(
    "expon",
    np.negative,
    (),
    lambda x: -np.expm1(-x),
    lambda x: np.exp(-x),
    lambda q: -np.log1p(-q),
    support=POSITIVE,
    logsf=np.negative,
    isf=lambda q: -np.log(q),
)
laplace = Continuous(
    "laplace",
    lambda x: -np.abs(x) - math.log(2.0),
    (),
    _laplace_cdf,
    _mirrored(_laplace_cdf),
    _laplace_ppf,
    logcdf=_laplace_logcdf,
    logsf=_mirrored(_laplace_logcdf),
    isf=lambda q: -_laplace_ppf(q),
)
uniform = Continuous("uniform", lambda x: 0.0 * x, (), lambda x: x, None, lambda q: q, support=(0.0, 1.0))
lognorm = Continuous(
    "lognorm",
    _lognorm_log,
    ("s",),
    lambda x, s: sp.ndtr(np.log(x) / s),
    lambda x, s: sp.ndtr(-np.log(x) / s),
    lambda q, s: np.exp(s * sp.ndtri(q)),
    support=(1e-300, math.inf),
    logcdf=lambda x, s: sp.log_ndtr(np.log(x) / s),
    logsf=lambda x, s: sp.log_ndtr(-np.log(x) / s),
    isf=lambda q, s: np.exp(-s * sp.ndtri(q)),
)
cauchy = Continuous(
    "cauchy",
    lambda x: -math.log(math.pi) - np.log1p(x * x),
    (),
    lambda x: np.arctan2(1.0, -x) / math.pi,
    lambda x: np.arctan2(1.0, x) / math.pi,
    lambda q: -_cauchy_isf(q),
    isf=_cauchy_isf,
)
logistic = Continuous(
    "logistic",
    lambda x: sp.log_expit(x) + sp.log_expit(-x),
    (),
    sp.expit,
    _mirrored(sp.expit),
    sp.logit,
    logcdf=sp.log_expit,
    logsf=_mirrored(sp.log_expit),
    isf=lambda q: -sp.logit(q),
)
gumbel_r = Continuous(
    "gumbel_r",
    lambda x: -x - np.exp(-x),
    (),
    lambda x: np.exp(-np.exp(-x)),
    lambda x: -np.expm1(-np.exp(-x)),
    lambda q: -np.log(-np.log(q)),
    logcdf=lambda x: -np.exp(-x),
    isf=lambda q: -np.log(-np.log1p(-q)),
)
weibull_min = Continuous(
    "weibull_min",
    lambda x, c: np.log(c) + sp.xlogy(c - 1.0, x) - x**c,
    ("c",),
    lambda x, c: -np.expm1(-(x**c)),
    lambda x, c: np.exp(-(x**c)),
    lambda q, c: (-np.log1p(-q)) ** (1.0 / c),
    support=POSITIVE,
    logsf=lambda x, c: -(x**c),
    isf=lambda q, c: (-np.log(q)) ** (1.0 / c),
)
pareto = Continuous(
    "pareto",
    lambda x, b: np.log(b) - (b + 1.0) * np.log(x),
    ("b",),
    lambda x, b: 1.0 - x ** (-b),
    lambda x, b: x ** (-b),
    lambda q, b: (1.0 - q) ** (-1.0 / b),
    middle=2.0,
    support=(1.0, math.inf),
    logsf=lambda x, b: -b * np.log(x),
    isf=lambda q, b: q ** (-1.0 / b),
)
halfnorm = Continuous(
    "halfnorm",
    lambda x: _normal_log(x) + math.log(2.0),
    (),
    lambda x: sp.erf(x / math.sqrt(2.0)),
    lambda x: sp.erfc(x / math.sqrt(2.0)),
    lambda q: math.sqrt(2.0) * sp.erfinv(q),
    support=POSITIVE,
    logsf=lambda x: math.log(2.0) + sp.log_ndtr(-x),
    isf=lambda q: math.sqrt(2.0) * sp.erfcinv(q),
)
invgamma = Continuous(
    "invgamma",
    lambda x, a: -(a + 1.0) * np.log(x) - 1.0 / x - sp.gammaln(a),
    ("a",),
    lambda x, a: sp.gammaincc(a, 1.0 / x),
    lambda x, a: sp.gammainc(a, 1.0 / x),
    lambda q, a: 1.0 / sp.gammainccinv(a, q),
    support=(1e-300, math.inf),
    isf=lambda q, a: 1.0 / sp.gammaincinv(a, q),
)

poisson = Discrete(
    "poisson",
    lambda k, mu: sp.xlogy(k, mu) - mu - sp.gammaln(k + 1.0),
    ("mu",),
    lambda k, mu: sp.pdtr(np.floor(k), mu),
    lambda k, mu: sp.pdtrc(np.floor(k), mu),
    support=POSITIVE,
)
binom = Discrete(
    "binom",
    _binom_log,
    ("n", "p"),
    lambda k, n, p: _binom_tail(sp.bdtr, 1.0, k, n, p),
    lambda k, n, p: _binom_tail(sp.bdtrc, 0.0, k, n, p),
    last=lambda n, p: n,
    support=POSITIVE,
)
bernoulli = Discrete(
    "bernoulli",
    lambda k, p: _binom_log(k, 1.0, p),
    ("p",),
    lambda k, p: np.where(k >= 1.0, 1.0, 1.0 - p + np.minimum(np.floor(k), 0.0)),
    last=lambda p: 1.0,
    support=POSITIVE,
)
geom = Discrete(
    "geom",
    lambda k, p: sp.xlog1py(k - 1.0, -p) + np.log(p),
    ("p",),
    lambda k, p: -np.expm1(np.floor(k) * np.log1p(-p)),
    lambda k, p: np.exp(np.floor(k) * np.log1p(-p)),
    middle=1.0,
    support=(1.0, math.inf),
    logsf=lambda k, p: np.floor(k) * np.log1p(-p),
)
nbinom = Discrete(
    "nbinom",
    _nbinom_log,
    ("n", "p"),
    lambda k, n, p: sp.betainc(n, np.floor(k) + 1.0, p),
    lambda k, n, p: sp.betaincc(n, np.floor(k) + 1.0, p),
    support=POSITIVE,
)
