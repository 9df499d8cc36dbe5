"""Libraries that dispatch by the Array API standard take tensors, and their gradients are right."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from array_api_scipy import FUNCTIONS

import tapegrad as tg
import tapegrad.numpy as xp

RNG = np.random.default_rng(1)
X, Y, W = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3)), RNG.normal(size=4)


def check(function, point):
    """Compare a gradient with central differences of the same function of plain arrays."""
    value, found = tg.value_and_grad(lambda x: function(x, tg.tensor))(tg.tensor(point))
    plain = [float(function(point + s * d, np.asarray)) for d in directions(point) for s in (1e-6, -1e-6)]
    wanted = np.reshape((np.array(plain[::2]) - plain[1::2]) / 2e-6, point.shape)
    assert isinstance(value, tg.Tensor)
    np.testing.assert_allclose(float(value), float(function(point, np.asarray)), rtol=1e-9)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


def directions(point):
    return np.eye(point.size).reshape(point.size, *point.shape)


# --- array-api-compat ----------------------------------------------------------------------------------------------


def test_array_api_compat():
    compat = pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")
    x = tg.tensor(X, requires_grad=True)
    assert compat.is_array_api_obj(x) and compat.array_namespace(x, tg.ones(2), 1.0, None) is xp
    assert compat.array_namespace(x, api_version="2024.12", use_compat=False) is xp
    assert compat.device(x) == "cpu" and compat.to_device(x, "cpu") is x and compat.size(x) == 12
    assert compat.is_writeable_array(x) and not compat.is_lazy_array(x)
    for name in ("numpy", "torch", "cupy", "jax", "dask", "pydata_sparse"):
        assert not getattr(compat, f"is_{name}_array")(x) and not getattr(compat, f"is_{name}_namespace")(xp)
    with pytest.raises(TypeError, match="Multiple namespaces"):
        compat.array_namespace(x, X)

    def f(x):
        space = compat.array_namespace(x)
        return space.sum(compat.to_device(x, compat.device(x)) ** 2)

    np.testing.assert_allclose(tg.grad(f)(x).detach().numpy(), 2 * X)


EXTRA = {
    "apply_where": "xpx.apply_where(x > 0, x, lambda v: v**2, lambda v: v**3, xp=xp).sum()",
    "at": "xpx.at(x * 1.0, (0, 0)).set(5.0, xp=xp).sum()",
    "atleast_nd": "(xpx.atleast_nd(x, ndim=3, xp=xp) ** 2).sum()",
    "cov": "(xpx.cov(x, xp=xp) ** 2).sum()",
    "create_diagonal": "(xpx.create_diagonal(x[:, 0], xp=xp) ** 2).sum()",
    "kron": "(xpx.kron(x, y, xp=xp) ** 2).sum()",
    "pad": "(xpx.pad(x, 2, constant_values=1.0, xp=xp) ** 2).sum()",
    "sinc": "xpx.sinc(x, xp=xp).sum()",
    "partition": "xpx.partition(x[:, 0], 1, xp=xp)[:2].sum()",
}


@pytest.mark.parametrize("name", EXTRA)
def test_array_api_extra(name):
    """The helpers that scikit-learn and SciPy carry with them."""
    pytest.importorskip("sklearn", minversion="1.8", reason="scikit-learn 1.8 is not installed")
    from sklearn.externals import array_api_extra as xpx

    if not hasattr(xpx, name):
        pytest.skip(f"scikit-learn's array_api_extra has no {name}")

    def f(x, constant):
        space = xp if isinstance(x, tg.Tensor) else np
        return eval(EXTRA[name], {"x": x, "y": constant(Y), "xp": space, "xpx": xpx})

    check(f, X)


# --- scikit-learn -----------------------------------------------------------------------------------------------------


SKLEARN = {
    "metrics.pairwise.euclidean_distances": "metrics.pairwise.euclidean_distances(x, y).sum()",
    "metrics.pairwise.rbf_kernel": "metrics.pairwise.rbf_kernel(x, y, gamma=0.5).sum()",
    "metrics.pairwise.linear_kernel": "(metrics.pairwise.linear_kernel(x, y) ** 2).sum()",
    "metrics.pairwise.polynomial_kernel": "metrics.pairwise.polynomial_kernel(x, y).sum()",
    "metrics.pairwise.sigmoid_kernel": "metrics.pairwise.sigmoid_kernel(x, y).sum()",
    "metrics.pairwise.additive_chi2_kernel": "metrics.pairwise.additive_chi2_kernel(abs(x), abs(y)).sum()",
    "metrics.pairwise.manhattan_distances": "metrics.pairwise.manhattan_distances(x, y).sum()",
    "metrics.pairwise.cosine_similarity": "(metrics.pairwise.cosine_similarity(x, y) ** 2).sum()",
    "metrics.pairwise.laplacian_kernel": "metrics.pairwise.laplacian_kernel(x, y).sum()",
    "metrics.pairwise.paired_cosine_distances": "metrics.pairwise.paired_cosine_distances(x, y[:4]).sum()",
    "metrics.mean_pinball_loss": "metrics.mean_pinball_loss(y[:4], x, multioutput='raw_values').sum()",
    "metrics.explained_variance_score": "metrics.explained_variance_score(y[:4], x, multioutput='raw_values').sum()",
    "metrics.mean_squared_error": "metrics.mean_squared_error(y[:4], x, multioutput='raw_values').sum()",
    "metrics.mean_absolute_error": "metrics.mean_absolute_error(y[:4], x, multioutput='raw_values').sum()",
    "metrics.r2_score": "metrics.r2_score(y[:4], x, multioutput='raw_values').sum()",
    "preprocessing.MinMaxScaler": "(preprocessing.MinMaxScaler().fit_transform(x) ** 3).sum()",
    "preprocessing.MaxAbsScaler": "(preprocessing.MaxAbsScaler().fit_transform(x) ** 3).sum()",
    "preprocessing.PolynomialFeatures": "preprocessing.PolynomialFeatures(2).fit_transform(x).sum()",
    "preprocessing.KernelCenterer": "(preprocessing.KernelCenterer().fit_transform(x[:3]) ** 2).sum()",
    "preprocessing.normalize": "(preprocessing.normalize(x, norm='l1') ** 3).sum()",
    "decomposition.PCA": "abs(decomposition.PCA(2, svd_solver='full').fit_transform(x)).sum()",
    "LinearDiscriminantAnalysis": (
        "discriminant_analysis.LinearDiscriminantAnalysis().fit(x, c).predict_proba(x)[:, 0].sum()"
    ),
    "mixture.GaussianMixture": (
        "mixture.GaussianMixture(1, init_params='random_from_data', random_state=0).fit(x).means_.sum()"
    ),
    "naive_bayes.GaussianNB": "naive_bayes.GaussianNB().fit(x, c).predict_joint_log_proba(x).sum()",
    "kernel_approximation.Nystroem": (
        "(kernel_approximation.Nystroem(n_components=3, random_state=0).fit_transform(x) ** 2).sum()"
    ),
    "linear_model.RidgeCV": "(linear_model.RidgeCV().fit(x, w).coef_ ** 2).sum()",
    "covariance.ledoit_wolf": "(covariance.ledoit_wolf(x)[0] ** 2).sum()",
    "utils.extmath.fast_logdet": "utils.extmath.fast_logdet(x.T @ x)",
    "linear_model.Ridge": "(linear_model.Ridge(solver='svd').fit(x, w).coef_ ** 2).sum()",
    "covariance.empirical_covariance": "(covariance.empirical_covariance(x) ** 2).sum()",
}


@pytest.mark.parametrize("name", SKLEARN)
def test_scikit_learn(name, monkeypatch):
    sklearn = pytest.importorskip("sklearn", minversion="1.9", reason="scikit-learn 1.9 is not installed")
    from sklearn import (
        covariance,
        decomposition,
        discriminant_analysis,
        kernel_approximation,
        linear_model,
        metrics,
        mixture,
        naive_bayes,
        preprocessing,
        utils,
    )

    modules = {m.__name__.rpartition(".")[2]: m for m in (
        covariance, decomposition, discriminant_analysis, kernel_approximation, linear_model, metrics, mixture,
        naive_bayes, preprocessing, utils,
    )}  # fmt: skip
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # scikit-learn insists, though its own functions do without

    def f(x, constant):
        with sklearn.config_context(array_api_dispatch=isinstance(x, tg.Tensor)):
            return eval(
                SKLEARN[name], modules | {"x": x, "y": constant(Y), "w": constant(W), "c": constant(np.arange(4) % 2)}
            )

    check(f, X)


def test_scikit_learn_metrics_that_give_floats_refuse(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    sklearn = pytest.importorskip("sklearn", minversion="1.9", reason="scikit-learn 1.9 is not installed")
    from sklearn.metrics import mean_squared_error

    with sklearn.config_context(array_api_dispatch=True), pytest.raises(tg.TracedValueError, match="stop_gradient"):
        tg.grad(lambda x: mean_squared_error(tg.tensor(W), x))(tg.tensor(W + 1.0))


# --- SciPy ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcome():
    """What the functions in a process with SCIPY_ARRAY_API=1 gave, by name."""
    scipy = pytest.importorskip("scipy", reason="SciPy is not installed")
    if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17):
        pytest.skip("the functions are those of SciPy 1.17")
    here = pathlib.Path(__file__).with_name("array_api_scipy.py")
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, here], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scipy(name, outcome):
    assert outcome[name] == ""
