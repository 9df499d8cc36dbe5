"""`tapegrad.scipy.linalg` has SciPy's arguments and defaults where `numpy.linalg` has functions of the same name."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

scipy_linalg = pytest.importorskip("scipy.linalg", reason="SciPy is not installed")
from tapegrad.scipy import linalg  # noqa: E402

RNG = np.random.default_rng(11)
A = RNG.normal(size=(3, 3)) + 3.0 * np.eye(3)
S = A + A.T
SPD = A @ A.T + np.eye(3)
TALL, WIDE = RNG.normal(size=(4, 2)), RNG.normal(size=(2, 4))
B = RNG.normal(size=(3, 2))
STACK = np.stack([A, A.T + 1.0])
BANDS = RNG.normal(size=(2, 3, 4)) + np.array([[0.0], [5.0], [0.0]])
SCALES = np.stack([TALL, 1e-3 * TALL])


def projector(v):
    """What does not depend on the phases of eigenvectors of length one."""
    return np.abs(v) ** 2


CASES = {
    "det": (lambda la, a: la.det(a, check_finite=False), A),
    "inv": (lambda la, a: la.inv(a, True), A),
    "inv of a triangle": (lambda la, a: la.inv(a, assume_a="upper triangular"), A),
    "solve": (lambda la, a, b: la.solve(a, b, overwrite_b=True), A, B),
    "solve transposed": (lambda la, a, b: la.solve(a, b, transposed=True), A, B),
    "solve symmetric": (lambda la, a, b: la.solve(a, b, assume_a="sym"), A, B),
    "solve symmetric lower": (lambda la, a, b: la.solve(a, b, lower=True, assume_a="sym"), A, B),
    "solve positive": (lambda la, a, b: la.solve(a, b, assume_a="pos"), SPD, B),
    "solve diagonal": (lambda la, a, b: la.solve(a, b, assume_a="diagonal"), A, B),
    "solve tridiagonal": (lambda la, a, b: la.solve(a, b, assume_a="tridiagonal"), A, B),
    "solve lower": (lambda la, a, b: la.solve(a, b, assume_a="lower triangular"), A, B),
    "solve upper, vector": (lambda la, a, b: la.solve(a, b, assume_a="upper triangular"), A, B[:, 0]),
    "norm": (lambda la, a: la.norm(a, "fro", None, True, False), A),
    "svdvals": (lambda la, a: la.svdvals(a, check_finite=False), TALL),
    "pinv": (lambda la, a: la.pinv(a, return_rank=True)[0], TALL),
    "qr": (lambda la, a: la.qr(a)[0][:, :2] @ la.qr(a)[1][:2], TALL),
    "qr shapes": (lambda la, a: la.qr(a)[1], TALL),
    "qr r": (lambda la, a: la.qr(a, mode="r")[0], TALL),
    "qr economic": (lambda la, a: la.qr(a, mode="economic")[0], TALL),
    "qr wide": (lambda la, a: la.qr(a)[1], WIDE),
    "qr pivoting": (lambda la, a: la.qr(a, mode="economic", pivoting=True)[1], A),
    "eig": (lambda la, a: projector(la.eig(a)[1]), S),
    "eig left": (lambda la, a: projector(la.eig(a, left=True)[1]), A @ np.diag([1.0, 2.0, 3.0])),
    "eig two": (lambda la, a, b: np.abs(la.eig(a, b, right=False)).sum(), A, SPD),
    "eigvals": (lambda la, a: np.sum(la.eigvals(a) ** 3), A),
    "eigh": (lambda la, a: projector(la.eigh(a + a.T, check_finite=False)[1]), A),
    "eigh upper": (lambda la, a: la.eigh(a + a.T, lower=False)[0], A),
    "eigh some": (lambda la, a: la.eigh(a + a.T, subset_by_index=[1, 2], eigvals_only=True), A),
    "eigh between": (lambda la, a: la.eigvalsh(a + a.T, subset_by_value=(4.0, np.inf)), A),
    "eigh two": (lambda la, a, b: projector(la.eigh(a + a.T, b @ b.T)[1]), A, A.T + 1.0),
    "eigvalsh two": (lambda la, a, b: la.eigvalsh(a + a.T, b @ b.T, lower=False), A, A.T + 1.0),
    "eigh product": (lambda la, a, b: projector(la.eigh(a + a.T, b @ b.T, type=2)[1]), A, A.T + 1.0),
    "eigh other product": (lambda la, a, b: projector(la.eigh(a + a.T, b @ b.T, type=3)[1]), A, A.T + 1.0),
    "lu tall": (lambda la, a: la.lu(a)[1] @ la.lu(a)[2] ** 2, TALL),
    "lu wide": (lambda la, a: la.lu(a, permute_l=True)[0] @ la.lu(a)[2] ** 2, WIDE),
    "lu indices": (lambda la, a: la.lu(a, p_indices=True)[0], STACK),
    "lu_solve batch": (lambda la, a, b: la.lu_solve(la.lu_factor(a), b), STACK, B),
    "solve_banded batch": (lambda la, ab, b: la.solve_banded((1, 1), ab, b), BANDS, BANDS[:, 0, :, None]),
    "solve_sylvester batch": (lambda la, a, b: la.solve_sylvester(a, A, q=b), STACK, STACK),
    "lyapunov batch": (lambda la, a: la.solve_discrete_lyapunov(a, a[0]), STACK),
    "expm_frechet batch": (lambda la, a: la.expm_frechet(0.1 * a, a[::-1])[1], STACK),
    "lstsq batch": (lambda la, a, b: la.lstsq(a, b)[0], np.stack([TALL, TALL[::-1]]), TALL[:, 0]),
    "pinv batch": (lambda la, a: la.pinv(a, atol=1e-6), SCALES),
    "pinv ranks": (lambda la, a: la.pinv(a, atol=0.1, return_rank=True)[1], SCALES),
    "qr pivoting batch": (lambda la, a: la.qr(a, mode="economic", pivoting=True)[1], STACK),
    "eigh some of a batch": (lambda la, a: la.eigh(a + np.swapaxes(a, 1, 2), subset_by_index=[1, 2])[0], STACK),
    "eigh between in a batch": (
        lambda la, a: la.eigvalsh(a + np.swapaxes(a, 1, 2), subset_by_value=(4.0, 99.0)),
        STACK,
    ),
    "toeplitz batch": (lambda la, c, r: la.toeplitz(c, r), B, B.T[0]),
    "block_diag batch": (lambda la, a, b: la.block_diag(a, b), STACK, B),
    "khatri_rao batch": (lambda la, a, b: la.khatri_rao(a, b), STACK, A),
    "complex solve": (lambda la, a, b: np.real(la.solve(a + 1j * a.T, b, assume_a="her")), A, B),
    "complex eigh": (
        lambda la, a, b: la.eigvalsh(a + a.T + 1j * (a - a.T), b @ b.T + 0.1j * (b - b.T)),
        A,
        A.T + 1.0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    function, *operands = CASES[name]
    expected = function(scipy_linalg, *[x.copy() for x in operands])
    found = function(linalg, *map(tg.tensor, operands))
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-9, atol=1e-9)
    weights = np.cos(np.arange(np.size(expected))).reshape(np.shape(expected))
    bars = tg.grad(lambda *xs: np.sum(weights * np.real(function(linalg, *xs))), argnums=tuple(range(len(operands))))(
        *operands
    )
    step = 1e-5
    for k, bar in enumerate(bars):
        direction = RNG.normal(size=operands[k].shape)

        def at(t, k=k, direction=direction):
            moved = [x + t * direction if j == k else x.copy() for j, x in enumerate(operands)]
            return np.sum(weights * np.real(function(scipy_linalg, *moved)))

        slope = (8.0 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12.0 * step)
        np.testing.assert_allclose(np.sum(bar * direction), slope, rtol=1e-6, atol=1e-7)


def test_ranks_orders_and_dtypes():
    assert linalg.pinv(tg.tensor(np.diag([3.0, 1.0, 0.0])), return_rank=True)[1] == 2
    cut = linalg.pinv(tg.tensor(A), atol=1.2, rtol=0.1)
    np.testing.assert_allclose(cut.numpy(), scipy_linalg.pinv(A, atol=1.2, rtol=0.1), rtol=1e-10, atol=1e-12)
    q, r, order = linalg.qr(tg.tensor(A), pivoting=True)
    np.testing.assert_array_equal(order, scipy_linalg.qr(A, pivoting=True)[2])
    np.testing.assert_allclose((q @ r).numpy(), A[:, order], rtol=1e-12)
    assert linalg.eigvals(tg.tensor(S)).dtype == np.complex128
    assert linalg.eigh(tg.tensor(S), subset_by_value=(1e3, 1e4))[0].shape == (0,)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: linalg.qr(x, mode="raw"), ValueError, "mode is one of 'full', 'r', 'economic', not 'raw'"),
        (lambda x: linalg.solve(x, x, assume_a="odd"), ValueError, "'odd' is no structure that assume_a= knows"),
        (lambda x: linalg.eigh(x, x, type=4), ValueError, "type is 1, 2 or 3, not 4"),
        (lambda x: linalg.eig(x, homogeneous_eigvals=True), NotImplementedError, "use the quotients"),
    ],
)
def test_what_has_no_rule_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call(tg.tensor(A))
