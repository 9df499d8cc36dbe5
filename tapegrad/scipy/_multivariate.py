"""Distributions of vectors and matrices of `scipy.stats` for tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special as sp

from ..primitives.core import lift
from ..tape.handle import Tensor
from ._frozen import Frozen, of_scipy
from .special import multigammaln

__all__ = ["LOG_2PI", "dirichlet", "floating", "multivariate_normal", "wishart"]

LOG_2PI = math.log(2.0 * math.pi)


def floating(a: Any) -> Tensor:
    """A tensor of floating-point numbers."""
    x = lift(a)
    return lift(x, np.dtype(float)) if x._spec.dtype.kind in "biu" else x


class _WithScipys(type):
    """What has no derivative here is SciPy's: random vectors, moments, distribution functions."""

    def __getattr__(cls, name: str) -> Any:
        return of_scipy(cls.__name__, name)


class dirichlet(metaclass=_WithScipys):
    """The Dirichlet distribution; as in SciPy, observations stand in the columns, of which the last may be left out."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The distribution with its parameters."""
        return Frozen(cls, "dirichlet", args, kwargs)

    @staticmethod
    def logpdf(x: Any, alpha: Any) -> Any:
        """Logarithm of the density."""
        x, alpha = floating(x), floating(alpha)
        if x._spec.shape[0] == alpha._spec.size - 1:
            x = np.concatenate([x, 1.0 - np.sum(x, 0, keepdims=True)])
        if x._spec.shape[0] != alpha._spec.size:
            raise ValueError(
                f"dirichlet: x has {x._spec.shape[0]} components and alpha {alpha._spec.size}; x must have as many as "
                f"alpha, or one less"
            )
        constant = np.sum(sp.gammaln(alpha)) - sp.gammaln(np.sum(alpha))
        exponents = np.reshape(alpha - 1.0, (-1,) + (1,) * (x._spec.ndim - 1))
        return np.sum(sp.xlogy(exponents, x), 0) - constant

    @staticmethod
    def pdf(x: Any, alpha: Any) -> Any:
        """Density."""
        return np.exp(dirichlet.logpdf(x, alpha))


class multivariate_normal(metaclass=_WithScipys):
    """The multivariate normal distribution with a regular covariance."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The distribution with its parameters."""
        return Frozen(cls, "multivariate_normal", args, kwargs)

    @staticmethod
    def logpdf(x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
        """Logarithm of the density.

        Parameters
        ----------
        x : Tensor, shape (..., n)
            Numbers, without the last axis, where `mean` and `cov` are numbers.
        mean : Tensor, shape (n,), optional
        cov : Tensor, shape (n, n) or (n,) or (), or scipy.stats.Covariance
            A matrix, its diagonal, or a number for all of the diagonal.
        allow_singular : bool
            True is refused.
        """
        if allow_singular:
            raise NotImplementedError("multivariate_normal: singular covariances have no density with a derivative")
        x, cov = floating(x), floating(getattr(cov, "covariance", cov))
        n = lift(mean)._spec.size if mean is not None else cov._spec.shape[0] if cov._spec.ndim else 1
        if cov._spec.ndim == 0:
            cov = cov * np.eye(n)
        elif cov._spec.ndim == 1:
            cov = np.diag(cov)
        deviation = x if mean is None else x - mean
        rows = np.reshape(deviation, (-1, n))
        factor = np.linalg.cholesky(cov)
        whitened = np.linalg.solve(factor, rows.T)
        log_det = 2.0 * np.sum(np.log(np.diagonal(factor)))
        value = -0.5 * (np.sum(whitened * whitened, 0) + log_det + n * LOG_2PI)
        lead = deviation._spec.shape[:-1] if deviation._spec.ndim and deviation._spec.shape[-1] == n else x._spec.shape
        return np.reshape(value, lead)

    @staticmethod
    def pdf(x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
        """Density."""
        return np.exp(multivariate_normal.logpdf(x, mean, cov, allow_singular))

    @staticmethod
    def entropy(mean: Any = None, cov: Any = 1.0) -> Any:
        """Differential entropy."""
        cov = np.atleast_2d(floating(cov))
        n = cov._spec.shape[0]
        return 0.5 * (n * (1.0 + LOG_2PI) + np.linalg.slogdet(cov)[1])


class wishart(metaclass=_WithScipys):
    """The Wishart distribution."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """The distribution with its parameters."""
        return Frozen(cls, "wishart", args, kwargs)

    @staticmethod
    def logpdf(x: Any, df: Any, scale: Any) -> Any:
        """Logarithm of the density of one matrix, or of several, which stand along the last axis, as in SciPy."""
        x, scale, df = np.atleast_2d(floating(x)), np.atleast_2d(floating(scale)), floating(df)
        x = np.moveaxis(x, -1, 0) if x._spec.ndim == 3 else x
        n = scale._spec.shape[-1]
        inverse = np.trace(np.linalg.solve(scale, x), axis1=-2, axis2=-1)
        logs = np.linalg.slogdet(x)[1] * 0.5 * (df - n - 1.0) - 0.5 * df * np.linalg.slogdet(scale)[1]
        return logs - 0.5 * inverse - 0.5 * df * n * math.log(2.0) - multigammaln(0.5 * df, n)

    @staticmethod
    def pdf(x: Any, df: Any, scale: Any) -> Any:
        """Density of one matrix, or of several along the last axis."""
        return np.exp(wishart.logpdf(x, df, scale))
