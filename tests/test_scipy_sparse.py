"""SciPy's sparse matrices with tensors: every format, products, sums, solvers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")
import scipy.linalg
import scipy.sparse.linalg
from scipy import sparse

import tapegrad as tg
from tapegrad.scipy.sparse import linalg

RNG = np.random.default_rng(7)
DENSE = RNG.normal(size=(4, 3)) * (RNG.random((4, 3)) < 0.6)
X, MANY = RNG.normal(size=3), RNG.normal(size=(3, 2))
ROW, ROWS = RNG.normal(size=4), RNG.normal(size=(2, 4))
SQUARE = 0.5 * RNG.normal(size=(4, 4)) * (RNG.random((4, 4)) < 0.5) + 3.0 * np.eye(4)
FORMATS = [f"{f}_{kind}" for kind in ("array", "matrix") for f in "csr csc coo lil dok dia bsr".split()]

OPERATIONS = {
    "A @ x": (lambda a, x: a @ x, X),
    "A @ X": (lambda a, x: a @ x, MANY),
    "A.T @ x": (lambda a, x: a.T @ x, ROW),
    "x @ A": (lambda a, x: x @ a, ROW),
    "X @ A": (lambda a, x: x @ a, ROWS),
    "A.dot(x)": (lambda a, x: a.dot(x) if sparse.issparse(a) else a @ x, X),
    "A + X": (lambda a, x: a + x, DENSE + 1.0),
    "X + A": (lambda a, x: x + a, DENSE + 1.0),
    "A - X": (lambda a, x: a - x, DENSE + 1.0),
    "X - A": (lambda a, x: x - a, DENSE + 1.0),
}


@pytest.mark.parametrize("name", FORMATS)
def test_operators(name):
    a = getattr(sparse, name)(DENSE)
    for operation, (function, x) in OPERATIONS.items():
        if operation == "A.dot(x)" and name.startswith("coo"):  # has a way of its own, which asks for arrays
            continue
        on_tensors = function(a, tg.tensor(x, requires_grad=True))
        assert isinstance(on_tensors, tg.Tensor), operation
        np.testing.assert_allclose(on_tensors.detach().numpy(), np.asarray(function(a, x)), rtol=1e-13)
        found, expected = (tg.grad(lambda v, m=m, f=function: np.sum(np.sin(f(m, v))))(x) for m in (a, DENSE))
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=operation)
    assert isinstance(a @ tg.tensor(X), tg.Tensor)  # no gradient, but no plain array either


@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_star_is_what_scipy_says(kind):
    a = getattr(sparse, f"csr_{kind}")(DENSE)
    if kind == "matrix":
        np.testing.assert_allclose(tg.grad(lambda v: np.sum(np.sin(a * v)))(X), DENSE.T @ np.cos(DENSE @ X))
        np.testing.assert_allclose(tg.grad(lambda v: np.sum(np.sin(v * a)))(ROW), DENSE @ np.cos(ROW @ DENSE))
    else:
        with pytest.raises(tg.TracedValueError):
            tg.grad(lambda v: np.sum(a * v))(X)
    with pytest.raises(tg.TracedValueError):
        tg.grad(lambda v: np.sum(a.multiply(v)))(X)


def test_every_order_and_mode_compiled_and_complex():
    a = sparse.csr_array(DENSE)
    tg.check_grads(lambda x: np.exp(a @ x), (X,), order=2)
    tg.check_grads(lambda x: np.exp(x @ a), (ROWS,), order=2)
    slope = lambda m: tg.grad(lambda x: np.sum(np.sin(m @ x)))
    compiled = tg.compile(slope(a))
    for x in (X, 2.0 * X):
        np.testing.assert_allclose(compiled(x), slope(DENSE)(x), rtol=1e-12)
    z = sparse.csc_array(DENSE * (1.0 + 2.0j))
    tg.check_grads(lambda x: np.real(z @ (x * (0.5 - 1.0j))) ** 2, (X,), order=2)
    single = tg.grad(lambda x: np.sum(a.astype("f") @ x))(X.astype("f"))
    assert single.dtype == np.float32


def test_vectors_and_many_steps():
    v = sparse.coo_array(np.array([1.0, 0.0, 2.0]))
    for function, x in ((lambda v, x: v @ x, X), (lambda v, x: v @ x, MANY), (lambda v, x: x @ v, MANY.T)):
        np.testing.assert_allclose(function(v, tg.tensor(x)).numpy(), function(v, x))
    a = sparse.dia_array((np.ones((3, 200)) * np.array([[1.0], [-2.0], [1.0]]), [-1, 0, 1]), shape=(200, 200))

    def diffuse(u):
        for _ in range(50):
            u = u + 0.1 * (a @ u)
        return np.sum(u**2)

    u = RNG.normal(size=200)
    step = np.linalg.matrix_power(np.eye(200) + 0.1 * a.toarray(), 50)
    np.testing.assert_allclose(tg.grad(diffuse)(u), 2.0 * step.T @ step @ u, rtol=1e-10)


def test_wrong_shapes():
    a = sparse.csr_array(DENSE)
    with pytest.raises(ValueError, match="the matrix has 3 columns, the operand 4 rows"):
        a @ tg.tensor(ROW)
    with pytest.raises(ValueError, match="one axis or two"):
        a @ tg.tensor(np.ones((2, 3, 2)))


def iterative(name):
    def solve(a, b):
        a = a @ a.T if name in ("cg", "minres") else a
        x, info = getattr(linalg, name)(a, b, rtol=1e-13)
        assert info == 0
        return x

    return solve


ITERATIVE = "bicg bicgstab cg cgs gcrotmk gmres lgmres minres qmr tfqmr".split()
SOLVES = {
    "spsolve": linalg.spsolve,
    "factorized": lambda a, b: linalg.factorized(a)(b),
    "transposed": lambda a, b: linalg.splu(a).solve(b, "T"),
    "adjoint": lambda a, b: linalg.splu(a).solve(b, "H"),
    "expm_multiply": linalg.expm_multiply,
    "times": lambda a, b: linalg.expm_multiply(a, b, start=0.1, stop=0.4, num=3),
    "lower": lambda a, b: linalg.spsolve_triangular(sparse.tril(a).tocsr(), b),
    **{name: iterative(name) for name in ITERATIVE},
}
DENSE_SOLVES = {
    "transposed": lambda a, b: np.linalg.solve(a.T, b),
    "adjoint": lambda a, b: np.linalg.solve(a.conj().T, b),
    "expm_multiply": lambda a, b: scipy.linalg.expm(a) @ b,
    "times": lambda a, b: np.stack([scipy.linalg.expm(t * a) @ b for t in (0.1, 0.25, 0.4)]),
    "lower": lambda a, b: np.linalg.solve(np.tril(a), b),
    "cg": lambda a, b: np.linalg.solve(a @ a.T, b),
    "minres": lambda a, b: np.linalg.solve(a @ a.T, b),
}


@pytest.mark.parametrize("name", SOLVES)
def test_solvers(name):
    a = sparse.csc_array(SQUARE)
    solve, dense = SOLVES[name], DENSE_SOLVES.get(name, np.linalg.solve)
    for b in (
        (ROW, ROWS.T) if name in ("spsolve", "factorized", "expm_multiply", "times", "lower", "transposed") else (ROW,)
    ):
        np.testing.assert_allclose(solve(a, b), dense(SQUARE, b), rtol=1e-7)
        breaks_down = name in (
            "bicg",
            "bicgstab",
            "cgs",
            "qmr",
            "tfqmr",
        )  # on unit vectors, which the other checks solve for
        how = {"modes": ("rev",)} if breaks_down else {"order": 2}
        tg.check_grads(lambda b: np.sin(solve(a, b)), (b,), rtol=1e-4, **how)
        found, expected = (tg.grad(lambda b, f=f, m=m: np.sum(np.sin(f(m, b))))(b)
                           for f, m in ((solve, a), (dense, SQUARE)))  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_complex_systems_and_compiled():
    a = SQUARE + 1j * np.diag(np.arange(4.0))
    for trans in "NTH":
        solve = lambda b, trans=trans: linalg.splu(sparse.csc_array(a)).solve(b * (1.0 + 2.0j), trans)
        tg.check_grads(lambda b, solve=solve: np.real(solve(b)) ** 2, (ROW,))
    real = lambda b: np.real(linalg.spsolve(sparse.csc_array(SQUARE), b * (1.0 + 2.0j))) ** 2
    tg.check_grads(real, (ROW,))
    compiled = tg.compile(tg.grad(lambda b: np.sum(linalg.spsolve(sparse.csc_array(SQUARE), b) ** 2)))
    for b in (ROW, 2.0 * ROW):
        y = np.linalg.solve(SQUARE, b)
        np.testing.assert_allclose(compiled(b), 2.0 * np.linalg.solve(SQUARE.T, y), rtol=1e-12)


def test_solvers_that_fail_say_so():
    with pytest.raises(np.linalg.LinAlgError, match="no convergence in solving for the derivative"):
        tg.grad(lambda b: np.sum(linalg.gmres(sparse.csc_array(SQUARE), b, maxiter=1, restart=1, rtol=1e-14)[0]))(ROW)
    with pytest.raises(ValueError, match="trans is one of"):
        linalg.splu(sparse.csc_array(SQUARE)).solve(ROW, "X")
    assert tg.scipy.sparse.diags is sparse.diags and linalg.eigsh is scipy.sparse.linalg.eigsh
