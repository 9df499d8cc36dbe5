"""Anomaly mode names the operation and the very line; it changes nothing else."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tapegrad as tg


def here():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"], autouse=True)
def deferral(request):
    before = tg.set_deferral(request.param)
    yield request.param
    tg.set_deferral(before)


def test_nan_names_the_line_of_the_operation():
    x = tg.tensor([0.0, 1.0], requires_grad=True)
    with tg.autograd.detect_anomaly():
        y = x * 2
        z, line = np.sqrt(y), here()
        loss = (z * np.array([0.0, 1.0])).sum()
        with pytest.raises(
            RuntimeError, match=rf"'SqrtBackward0' returned nan .* recorded at .*test_anomaly\.py:{line}"
        ):
            loss.backward()
    assert x.grad is None


def test_nan_of_a_function_names_the_line_of_the_call():
    class Bad(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * np.nan

    x = tg.tensor([0.0, 1.0], requires_grad=True)
    with tg.autograd.detect_anomaly():
        y, line = Bad.apply(x), here()
        with pytest.raises(RuntimeError, match=rf"'BadBackward' returned nan .*test_anomaly\.py:{line}"):
            y.sum().backward()


def test_version_error_names_both_lines():
    b = tg.tensor([1.0, 2.0], requires_grad=True) * 1
    with tg.autograd.detect_anomaly():
        y, needed = b * b, here()
        _, written = b.add_(1), here()
        with pytest.raises(
            RuntimeError, match=rf"MulBackward0, recorded at \S*:{needed}\)\. It was written at \S*:{written}\."
        ):
            y.sum().backward()


def test_lines_are_not_kept_outside_and_speed_comes_back():
    x = tg.tensor([0.0], requires_grad=True)
    with tg.autograd.detect_anomaly():
        x * 2
    y = x * 3
    (np.sqrt(y) * 0).sum().backward()
    assert np.isnan(x.grad.numpy()).all()
    assert not y._tape.notes.get(y._slot)


def test_gradients_are_the_same():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((3, 4))

    def gradient():
        w = tg.tensor(a, requires_grad=True)
        h = np.tanh(w @ w.T) + 0.5
        h[0] = 2.0
        v = h[1:]
        (np.exp(v).sum() + (v.mean(axis=0) * h[0]).sum() + np.linalg.det(h[1:, 1:])).backward()
        return w.grad.numpy()

    expected = gradient()
    with tg.autograd.detect_anomaly():
        np.testing.assert_allclose(gradient(), expected, rtol=1e-12)


def test_a_compiled_function_is_left_alone():
    f = tg.compile(tg.grad(lambda x: np.sum(np.sin(x))))
    with tg.autograd.detect_anomaly():
        np.testing.assert_allclose(f(np.ones(2)), np.cos(np.ones(2)))
