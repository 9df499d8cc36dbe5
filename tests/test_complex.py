"""Complex arguments: JAX's and HIPS autograd's convention in `tapegrad.grad`, PyTorch's under PyTorch's names."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

RNG = np.random.default_rng(5)
Z = RNG.normal(size=3) + 1j * RNG.normal(size=3)
A = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3)) + 3.0 * np.eye(3)
REAL = {
    "absolute": lambda np, z: np.sum(np.abs(z) ** 3),
    "parts": lambda np, z: np.sum(np.real(z) ** 2 * np.imag(z)),
    "angle": lambda np, z: np.sum(np.angle(z)),
    "analytic inside": lambda np, z: np.sum(np.real(np.exp(z) * np.sin(z) / (z + 2.0))),
    "conjugate": lambda np, z: np.real(np.vdot(z, np.conj(z) * z)),
    "matmul": lambda np, z: np.sum(np.abs(np.asarray(A) @ z) ** 2) if np.__name__ == "jax.numpy" else
    np.sum(np.abs(A @ z) ** 2),
    "fft": lambda np, z: np.sum(np.abs(np.fft.fft(z)) ** 3),
    "irfft": lambda np, z: np.sum(np.fft.irfft(z) ** 3),
    "solve": lambda np, z: np.sum(np.abs(np.linalg.solve(A, z)) ** 2),
    "power": lambda np, z: np.sum(np.real(z**3 + 2.0**z)),
    "mixed": lambda np, z: np.sum(np.abs(z[0] * np.cumsum(z)) + np.real(np.sqrt(z))),
}  # fmt: skip
HOLOMORPHIC = {
    "exp": lambda np, z: np.sum(np.exp(z) * z),
    "rational": lambda np, z: np.sum(1.0 / (z**2 + 3.0)),
    "product": lambda np, z: np.prod(np.sin(z)),
    "solve": lambda np, z: np.sum(np.linalg.solve(A, z)),
    "determinant": lambda np, z: np.linalg.det(A * z),
}
each_real = pytest.mark.parametrize("name", REAL)
each_holomorphic = pytest.mark.parametrize("name", HOLOMORPHIC)


def parts(function, step=1e-6):
    """Derivatives by the real and by the imaginary parts, by central differences."""
    eye = step * np.eye(Z.size)
    return [np.array([(function(Z + d * u) - function(Z - d * u)) / (2 * step) for d in eye]) for u in (1.0, 1.0j)]


@each_real
def test_gradient_of_a_real_function(name):
    def f(z):
        return REAL[name](np, z)

    by_x, by_y = parts(f)
    np.testing.assert_allclose(tg.grad(f)(Z), by_x - 1j * by_y, atol=1e-6)
    np.testing.assert_allclose(tg.func.grad(f)(Z), by_x + 1j * by_y, atol=1e-6)
    np.testing.assert_allclose(tg.compile(tg.grad(f))(Z), by_x - 1j * by_y, atol=1e-6)
    z = tg.tensor(Z, requires_grad=True)
    f(z).backward()
    np.testing.assert_allclose(z.grad.numpy(), by_x + 1j * by_y, atol=1e-6)


@each_real
def test_gradient_is_jaxs_and_autograds(name):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    found = tg.grad(lambda z: REAL[name](np, z))(Z)
    np.testing.assert_allclose(found, jax.grad(lambda z: REAL[name](jax.numpy, z))(Z), rtol=1e-9)
    if name in ("absolute", "parts", "angle", "fft"):
        autograd = pytest.importorskip("autograd", reason="HIPS autograd is not installed")
        import autograd.numpy as anp

        np.testing.assert_allclose(found, autograd.grad(lambda z: REAL[name](anp, z))(Z), rtol=1e-9)


@each_real
def test_directional_derivative_of_a_real_function(name):
    by_x, by_y = parts(lambda z: REAL[name](np, z))
    v = RNG.normal(size=3) + 1j * RNG.normal(size=3)
    value, tangent = tg.jvp(lambda z: REAL[name](np, z), (Z,), (v,))
    np.testing.assert_allclose(value, REAL[name](np, Z))
    np.testing.assert_allclose(tangent, np.sum(by_x * v.real + by_y * v.imag), rtol=1e-5)


@each_holomorphic
def test_derivative_of_a_holomorphic_function(name):
    def f(z):
        return HOLOMORPHIC[name](np, z)

    by_x, by_y = parts(f)
    np.testing.assert_allclose(by_y, 1j * by_x, atol=1e-5)  # it is one
    np.testing.assert_allclose(tg.grad(f, holomorphic=True)(Z), by_x, atol=1e-6)
    pullback = tg.vjp(f, Z)[1]
    np.testing.assert_allclose(pullback(np.array(2.0 - 1.0j))[0], (2.0 - 1.0j) * by_x, atol=1e-5)
    np.testing.assert_allclose(tg.func.vjp(f, Z)[1](np.array(2.0 - 1.0j))[0], (2.0 - 1.0j) * by_x.conj(), atol=1e-5)
    v = RNG.normal(size=3) + 1j * RNG.normal(size=3)
    np.testing.assert_allclose(tg.jvp(f, (Z,), (v,))[1], by_x @ v, atol=1e-5)


def test_second_derivatives():
    twice = tg.grad(tg.grad(np.exp, holomorphic=True), holomorphic=True)
    np.testing.assert_allclose(twice(0.3 + 0.4j), np.exp(0.3 + 0.4j))
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)

    def f(xp, grad):
        return grad(lambda z: xp.sum(xp.abs(grad(lambda w: xp.sum(xp.abs(w) ** 4))(z)) ** 2))(Z)

    np.testing.assert_allclose(f(np, tg.grad), f(jax.numpy, jax.grad), rtol=1e-9)


def test_jacobians():
    def f(z):
        return np.cumprod(z) + np.sin(z[::-1])

    step = 1e-6 * np.eye(3)
    wanted = np.stack([(f(Z + d) - f(Z - d)) / 2e-6 for d in step], -1)
    np.testing.assert_allclose(tg.jacfwd(f)(Z), wanted, atol=1e-6)
    np.testing.assert_allclose(tg.jacrev(f)(Z), wanted, atol=1e-6)

    def g(x):
        return np.exp(1j * x)

    for jacobian in (tg.jacfwd, tg.jacobian):
        np.testing.assert_allclose(jacobian(g)(Z.real), np.diag(1j * g(Z.real)), atol=1e-12)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: tg.grad(lambda z: np.sum(z * z))(Z), "holomorphic=True"),
        (lambda: tg.grad(lambda z: np.sum(np.abs(z)), holomorphic=True)(Z), "must return a complex scalar"),
        (lambda: tg.grad(lambda x: np.sum(x * 1j), holomorphic=True)(Z.real), "arguments must be complex"),
        (lambda: tg.jacrev(lambda x: x * 1j)(Z.real), "use jacfwd"),
        (lambda: tg.jacfwd(np.abs)(Z), "the function holomorphic"),
        (lambda: tg.jacrev(np.abs)(Z), "the function holomorphic"),
    ],
)
def test_what_has_no_meaning_is_refused(call, match):
    with pytest.raises(TypeError, match=match):
        call()


def test_containers_and_both_kinds_of_arguments():
    def f(p, x):
        return np.sum(np.abs(p["z"] * x) ** 2)

    x = np.array([1.0, 2.0, 3.0])
    bars, by_x = tg.grad(f, argnums=(0, 1))({"z": Z}, x)
    np.testing.assert_allclose(bars["z"], 2 * Z.conj() * x**2)
    np.testing.assert_allclose(by_x, 2 * x * np.abs(Z) ** 2)
    assert by_x.dtype == np.float64


def test_cotangents_of_one_complex_number():
    z = np.array(0.3 + 0.9j)
    for bar in (np.array(1.0 + 0.0j), np.complex128(1.0), 1.0 + 0.0j):
        (found,) = tg.vjp(np.sin, z)[1](bar)
        np.testing.assert_allclose(found, np.cos(z))


@pytest.mark.parametrize(
    "name", ["arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "sqrt", "log", "log1p"]
)
@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("place", [-3.0, -1.5, 1.5, 3.0])
def test_derivatives_on_branch_cuts_are_of_the_side_that_the_zero_tells(name, zero, place):
    f = getattr(np, name)
    for make in (lambda t: complex(t, zero), lambda t: complex(zero, t)):
        step = make(1.0) - make(0.0)
        wanted = (f(make(place + 1e-6)) - f(make(place - 1e-6))) / (2e-6 * step)
        z, one = np.array(make(place)), np.array(1.0 + 0.0j)
        np.testing.assert_allclose(tg.jvp(f, (z,), (one,))[1], wanted, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(tg.grad(f, holomorphic=True)(z), wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["arccos", "arcsin", "arctanh", "log", "sqrt"])
def test_functions_of_emath_beyond_their_real_domain(name):
    x = np.array([-2.7, -0.4, 0.6, 1.3])
    f = getattr(np.emath, name)
    for part in (np.real, np.imag):
        found = tg.elementwise_grad(lambda v, part=part: part(f(v)))(x)
        np.testing.assert_allclose(found, part(f(x + 1e-6) - f(x - 1e-6)) / 2e-6, rtol=1e-6, atol=1e-8)


def test_trigamma_of_complex_numbers():
    special = pytest.importorskip("scipy.special")
    z = np.array([1.0 + 1.0j, -2.5 + 0.5j, 0.5 + 30.0j, -3.0 - 300.0j])
    expected = [  # computed with mpmath
        0.4630000966227638 - 0.7942335427593189j,
        1.2458143298605204 - 0.052720600970348516j,
        5.094868860120119e-38 - 0.03333642095441711j,
        -3.8883704375772634e-05 + 0.0033328827752873535j,
    ]
    slope = tg.jvp(special.psi, (z,), (np.ones_like(z),))[1]
    np.testing.assert_allclose(slope, expected, rtol=1e-14)
    for f in (special.psi, special.gamma, special.loggamma, special.rgamma):
        tg.check_grads(f, (z[:2],), order=2, atol=1e-5)
