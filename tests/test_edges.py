"""Derivatives at the edges: where a formula divides 0 by 0, and where a basis is completed at will."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

special = pytest.importorskip("scipy.special")

RNG = np.random.default_rng(9)
TALL = RNG.normal(size=(4, 2))

POINTS = {
    "ellipkm1 at 1": (special.ellipkm1, (1.0,)),
    "ellipkinc at m = 0": (special.ellipkinc, (0.5, 0.0)),
    "ellipkinc far": (special.ellipkinc, (7.0, 0.4)),
    "ellipeinc at m = 0": (special.ellipeinc, (0.5, 0.0)),
    "ellipeinc far": (special.ellipeinc, (-5.0, 0.4)),
    "sn near m = 0": (lambda u, m: special.ellipj(u, m)[0], (4.0, 0.01)),
    "dn near m = 0": (lambda u, m: special.ellipj(u, m)[2], (0.5, 0.01)),
    "RC, equal": (special.elliprc, (1.0, 1.0)),
    "RC, principal value": (special.elliprc, (0.5, -1.0)),
    "RD, all equal": (special.elliprd, (1.0, 1.0, 1.0)),
    "RD, two equal": (special.elliprd, (1.0, 2.0, 1.0)),
    "RD, close": (special.elliprd, (1.0, 2.0, 1.005)),
    "RJ, all equal": (special.elliprj, (1.0, 1.0, 1.0, 1.0)),
    "RJ, p equals x": (special.elliprj, (0.5, 1.5, 2.5, 0.5)),
    "rgamma at 0": (special.rgamma, (0.0,)),
    "rgamma at -3": (special.rgamma, (-3.0,)),
    "zetac left of 0": (special.zetac, (-1.5,)),
    "zeta of one operand": (special.zeta, (-1.5,)),
    "scaled Bi left of 0": (lambda z: special.airye(z)[2], (-0.2,)),
    "voigt without Gauss": (lambda x, g: special.voigt_profile(x, 0.0, g), (0.5, 0.7)),
    "pseudo_huber": (special.pseudo_huber, (0.3, 0.0)),
    "Si at 0": (lambda x: special.sici(x)[0], (0.0,)),
    "Shi at 0": (lambda x: special.shichi(x)[0], (0.0,)),
    "mathieu_a at q = 0": (lambda q: special.mathieu_a(2, q), (0.0,)),
}


@pytest.mark.parametrize("name", POINTS)
def test_limits(name):
    function, point = POINTS[name]
    tg.check_grads(function, point, modes=("rev",), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["spherical_jn", "spherical_in"])
def test_spherical_functions_at_zero(name, n):
    ours, theirs = getattr(tg.scipy.special, name), getattr(special, name)
    z = np.array([0.0, 1e-5, 0.019, 0.021, 1.0])
    for derivative in (False, True):
        np.testing.assert_allclose(
            ours(n, tg.tensor(z), derivative).numpy(), theirs(n, z, derivative), rtol=1e-10, atol=1e-14
        )
    np.testing.assert_allclose(tg.elementwise_grad(lambda z: ours(n, z))(z), theirs(n, z, True), rtol=1e-10, atol=1e-14)


def test_completed_bases():
    """Values are NumPy's; functions that do not depend on the choice within the complement have their gradient."""
    for a in (TALL, TALL.T):
        for found, expected in zip(np.linalg.svd(tg.tensor(a, requires_grad=True)), np.linalg.svd(a), strict=True):
            np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)
    q, r = np.linalg.qr(tg.tensor(TALL, requires_grad=True), "complete")
    np.testing.assert_allclose((q @ r).detach().numpy(), TALL, atol=1e-12)
    weights = RNG.normal(size=(4, 4))
    weights = weights + weights.T

    def beyond(columns):
        rest = columns[:, 2:]
        return np.sum(weights * (rest @ rest.T)) + np.sum(rest @ rest.T) ** 2

    functions = (
        lambda a: np.sum(np.linalg.svd(a)[1]),
        lambda a: beyond(np.linalg.svd(a)[0]),
        lambda a: beyond(np.linalg.svd(a.T)[2].T),
        lambda a: beyond(np.linalg.qr(a, "complete")[0]),
        lambda a: np.sum(np.sin(np.linalg.qr(a, "complete")[1])),
    )
    for function in functions:
        tg.check_grads(function, (TALL,), order=2)


def test_padding_by_a_function():
    def ramp(lane, widths, axis, options):
        before, after = widths
        lane[:before] = lane[before] * options["factor"]
        lane[len(lane) - after :] = lane[before] ** 2

    x = RNG.normal(size=(2, 3))
    expected = np.pad(x, ((1, 2), (2, 1)), ramp, factor=3.0)
    padded = lambda x: np.pad(x, ((1, 2), (2, 1)), ramp, factor=3.0)
    np.testing.assert_allclose(padded(tg.tensor(x)).numpy(), expected)
    tg.check_grads(padded, (x,))


def test_zeta_at_complex_numbers():
    z = np.array([1.0 + 2.0j])
    np.testing.assert_array_equal(special.zeta(tg.tensor(z)).numpy(), special.zeta(z))
    with pytest.raises(NotImplementedError, match="the derivative of zeta at complex numbers is not in SciPy"):
        tg.vjp(special.zeta, z)


def test_an_empty_list_of_places_is_none():
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for y in (np.delete(x, []), np.insert(x, [], [])):
        np.testing.assert_array_equal(y.detach().numpy(), [1.0, 2.0, 3.0])
        assert y.requires_grad


@pytest.mark.parametrize(
    ("function", "x", "slope"),
    [  # by mpmath with 60 digits
        (special.dawsn, 51.0, -0.00019234472439892056),
        (special.dawsn, -1e8, -5e-17),
        (special.dawsn, np.inf, 0.0),
        (special.erfcx, 51.0, -0.00021678759208511815),
        (special.erfcx, 1e8, -5.641895835477563e-17),
        (special.ndtri_exp, -1e18, 7.0710678118654752e-10),
        (special.berp, 0.0, 0.0),
        (special.it2struve0, 0.0, -2.0 / np.pi),
    ],
)
def test_slopes_that_are_small_differences(function, x, slope):
    np.testing.assert_allclose(tg.grad(function)(x), slope, rtol=1e-13)
    np.testing.assert_allclose(tg.grad(function)(np.float32(x)), slope, rtol=1e-5)


def test_slopes_of_powers_of_nearly_one():
    slope, y = tg.grad(special.boxcox1p)(1e-20, 1e20), special.boxcox1p(1e-20, 1e20)
    np.testing.assert_allclose(slope, np.e, rtol=1e-14)
    np.testing.assert_allclose(tg.grad(special.inv_boxcox1p)(y, 1e20), 1.0 / slope, rtol=1e-14)


INF = np.inf
FAR = {  # by mpmath with 40 digits
    "agm, its lesser operand tiny": (special.agm, (1e300, 1e-300), (0.0011350192299466543, INF)),
    "agm at 0": (special.agm, (0.0, 2.0), (INF, 0.0)),
    "agm of negative numbers": (special.agm, (-2.0, -1.0), (0.4257908959543788, 0.6052092391381491)),
    "agm of a subnormal number": (special.agm, (1e-308, 1.0), (3.1109344347148267e302, 0.002207464642864059)),
    "binom where it is 0": (special.binom, (5.0, 6.0), (1.0 / 6.0, -1.0 / 6.0)),
    "binom of a negative k": (special.binom, (2.0, -4.0), (0.0, -1.0 / 60.0)),
    "binom of zeros": (special.binom, (0.0, 1.0), (1.0, -1.0)),
    "binom far out": (special.binom, (1e20, 1.0), (1.0, 4.5628917524782446e21)),
    "poch far out": (special.poch, (1e20, 1.0), (1.0, 4.605170185988091e21)),
    "betaln far out": (special.betaln, (1e10, 2.0), (-1.9999999999e-10, -22.60306659499199)),
    "beta far out": (special.beta, (1e10, 2.0), (-1.9999999997e-30, -2.2603066592731685e-19)),
    "stdtr of infinitely many degrees": (special.stdtr, (INF, 0.5), (0.0, 0.3520653267642995)),
    "zetac far out": (special.zetac, (1e300,), (0.0,)),
    "zetac of infinity": (special.zetac, (INF,), (0.0,)),
    "kn, its order cut off": (lambda x: special.kn(1.5, x), (0.5,), (-4.237301311234267,)),
    "yn, its order cut off": (lambda x: special.yn(1.5, x), (0.5,), (2.4984260518337797,)),
    "poch at 0": (special.poch, (0.0, 2.0), (1.0, 0.0)),
    "poch at a pole of both gammas": (lambda x: special.poch(x, 2.0), (-3.0,), (-5.0,)),
    "poch from one pole on": (special.poch, (-3.0, 5.0), (-6.0, 0.0)),
    "poch of a step that is not whole": (special.poch, (-2.0, 1.3), (-8.547339964821687, 0.0)),
    "ellipk at 1": (special.ellipk, (1.0,), (INF,)),
    "ellipk left of 0": (special.ellipk, (-1e10,), (5.949609912611339e-15,)),
    "quantile of 0": (special.gammaincinv, (2.0, 0.0), (0.0, INF)),
    "quantile of 1": (special.betaincinv, (2.0, 3.0, 1.0), (0.0, 0.0, INF)),
    "powm1 at 0": (special.powm1, (0.0, 2.0), (0.0, 0.0)),
    "boxcox at 0": (special.boxcox, (0.0, 2.0), (0.0, 0.25)),
    "boxcox1p at -1": (special.boxcox1p, (-1.0, 2.0), (0.0, 0.25)),
    "tklmbda, logistic": (special.tklmbda, (0.5, 0.0), (0.2350037122015945, 0.08508038960103016)),
    "relative entropy of a quotient beyond all numbers": (special.rel_entr, (1e20, 1e-300), (737.8272297580946, -INF)),
    "zeta of two, far out": (special.zeta, (INF, 1.0), (0.0, -INF)),
}


@pytest.mark.parametrize("name", FAR)
@pytest.mark.filterwarnings("ignore:floating point number truncated")
def test_slopes_far_out(name):
    function, point, slopes = FAR[name]
    found = tg.grad(function, argnums=tuple(range(len(point))))(*point)
    np.testing.assert_allclose(found, slopes, rtol=1e-12, atol=1e-45)


@pytest.mark.parametrize("point", [(5.0, 6.0), (5.0, 8.0), (2.5, 4.5), (5.0, -1.0), (2.5, -3.5), (0.0, 1.0)])
def test_second_order_of_binom_where_it_vanishes(point):
    tg.check_grads(special.binom, point, order=2, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("point", [(-3.0, 5.0), (0.0, 2.0), (-2.0, 1.3), (-1.5, 3.5)])
def test_second_order_of_poch_at_poles(point):
    x, m = point
    tg.check_grads(lambda x: special.poch(x, m), (x,), order=2, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("order", [0.0, 0.5, 1.5, 2.7, -0.5])
@pytest.mark.filterwarnings("ignore:floating point number truncated")
def test_orders_that_scipy_truncates(order):
    tg.check_grads(lambda x: special.expn(order, x), (2.0,), order=1)


@pytest.mark.parametrize("x", [20.0, 60.0, 100.0, 120.0])
def test_zetac_of_float32(x):
    np.testing.assert_allclose(tg.grad(special.zetac)(np.float32(x)), tg.grad(special.zetac)(x), rtol=1e-4)


AT_EDGES = {  # by mpmath with 40 digits; None where there is no rule, or no slope
    "power of infinity": (np.power, (INF, -2.5), (0.0, 0.0)),
    "power by minus infinity": (np.float_power, (2.0, -INF), (0.0, 0.0)),
    "beta where it is 0": (special.beta, (0.5, -2.5), (-16.0 * np.pi / 15.0, -16.0 * np.pi / 15.0)),
    "beta of equals where it is 0": (special.beta, (-0.5, -0.5), (-4.0 * np.pi, -4.0 * np.pi)),
    "betaln at a pole of both gammas": (special.betaln, (1.0, -1.0), (None, 1.0)),
    "chebyu of degree -1": (special.eval_chebyu, (-1.0, 0.5), (None, 0.0)),
    "chebyu of a negative degree": (special.eval_chebyu, (-4.0, 0.5), (None, -4.0)),
    "chebys of degree -1": (special.eval_chebys, (-1.0, 0.5), (None, 0.0)),
    "sh_chebyu of degree -1": (special.eval_sh_chebyu, (-1.0, 0.5), (None, 0.0)),
    "gegenbauer of degree -1": (special.eval_gegenbauer, (-1.0, 0.8, 0.3), (None, None, 0.0)),
    "RJ of a 0": (
        special.elliprj,
        (5.0, 1.5, 0.0, 3.6),
        (-0.03330398319205463, -0.090043045920574199, -INF, -0.088237839969072457),
    ),
    "hyperu next to 0": (special.hyperu, (3.0, 1.0, 1e-20), (None, None, -5.0000000000000003e19)),
    "inv_boxcox far out": (special.inv_boxcox, (1e300, 1.0), (1.0, -6.8977552789821374e302)),
    "inv_boxcox of a large lambda": (special.inv_boxcox, (0.22, 1e20), (4.5454545454545452e-20, None)),
    "struve at 0": (special.struve, (1.0, 0.0), (None, 0.0)),
    "modstruve at 0": (special.modstruve, (1.0, 0.0), (None, 0.0)),
    "voigt_profile at infinity": (special.voigt_profile, (INF, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "gammaincc of shape 0": (special.gammaincc, (0.0, 2.5), (0.024914917870269735, 0.0)),
    "gammainc of infinite shape": (special.gammainc, (INF, 2.0), (0.0, 0.0)),
    "betainc of a first parameter 0": (special.betainc, (0.0, 1.5, 0.5), (-0.348533611665991, 0.0, 0.0)),
    "chdtr of infinitely many degrees": (special.chdtr, (INF, 2.0), (0.0, 0.0)),
    "chdtr at infinity": (special.chdtr, (2.7, INF), (0.0, 0.0)),
    "gdtr at 0": (special.gdtr, (2.4, 0.5, 0.0), (0.0, 0.0, INF)),
    "gdtrc of rate 0": (special.gdtrc, (0.0, 0.5, 0.7), (-INF, 0.0, 0.0)),
    "pdtr of infinitely many": (special.pdtr, (INF, 1.0), (None, 0.0)),
    "nctdtr of infinitely many degrees": (
        special.nctdtr,
        (INF, -0.5, 1.0),
        (0.0, -0.12951759566589173, 0.12951759566589173),
    ),
    "fdtrc far out": (
        special.fdtrc,
        (2.0, 3.5, 1e20),
        (-4.7113641225186276e-36, -5.9233767758783740e-34, -4.6596643461603766e-55),
    ),
    "fdtrc at 0": (special.fdtrc, (1.5, 5.0, 0.0), (0.0, 0.0, -INF)),
    "fdtr of many degrees": (special.fdtr, (1e15, 1.0, 0.5), (None, -0.012635116546041809, 0.4151074974205946)),
    "fdtri of many degrees": (special.fdtri, (1e20, 2.5, 0.75), (None, -0.92514455172704410, 11.120629018176313)),
    "betainc of a share next to 0": (special.betainc, (0.5, 1e17, 1e-17), (-0.38983726432851057, None, None)),
    "chndtr far out": (special.chndtr, (1e20, 2.5, 0.5), (0.0, None, 0.0)),
    "chndtr of infinite noncentrality": (special.chndtr, (4.0, 2.5, INF), (0.0, None, 0.0)),
    "chndtr next to the central one": (
        special.chndtr,
        (1.5, 4.5, 1e-300),
        (0.14549384640456733, None, -0.048497948801522445),
    ),
    "chndtr of many degrees": (
        special.chndtr,
        (600.0, 600.0, 2.0),
        (0.011494247691305423, None, -0.011456311646186159),
    ),
    "chndtr of more degrees": (special.chndtr, (1e4, 1e4, 5.0), (0.0028191399152705634, None, -0.0028177320341376965)),
    "chndtrinc without solution": (special.chndtrinc, (0.5, 4.0, 0.375), (0.0, None, 0.0)),
    "ncfdtrinc without solution": (special.ncfdtrinc, (2.0, 3.0, 0.375, 0.5), (None, None, 0.0, 0.0)),
    "gdtr at infinity": (special.gdtr, (2.5, 0.5, INF), (0.0, 0.0, 0.0)),
    "nctdtr of many degrees": (special.nctdtr, (1e8, 0.75, 0.5), (None, -0.38666811645545207, 0.38666811573044935)),
    "nctdtr of very many degrees": (
        special.nctdtr,
        (1e20, 0.75, -0.0),
        (0.0, -0.30113743215480443, 0.30113743215480443),
    ),
    "nctdtr next to 0": (special.nctdtr, (5.0, 1.0, 1e-15), (None, None, 0.23024309600936654)),
    "boxcox of infinity": (special.boxcox, (INF, -0.5), (0.0, 4.0)),
    "boxcox1p of infinity": (special.boxcox1p, (INF, -0.5), (0.0, 4.0)),
    "pseudo_huber of a small residual": (
        special.pseudo_huber,
        (2.0, 1e-3),
        (3.124999218750183e-14, 0.0009999998750000235),
    ),
    "kolmogorov at infinity": (special.kolmogorov, (INF,), (0.0,)),
    "voigt_profile of small sigma": (
        special.voigt_profile,
        (3.0, 0.004, 0.5),
        (-0.011160719165218087, 4.3034392394652675e-05, 0.032551918992544025),
    ),
    "voigt_profile of tiny sigma": (
        special.voigt_profile,
        (-1.0, 1e-20, 0.5),
        (0.20371832715762603, 4.481803197467773e-21, 0.15278874536821951),
    ),
    "voigt_profile of infinite gamma": (special.voigt_profile, (1.0, 3.0, INF), (0.0, 0.0, 0.0)),
    "legendre of a negative degree": (special.eval_legendre, (-4.0, 0.5), (None, 0.375)),
    "sh_legendre of a negative degree": (special.eval_sh_legendre, (-4.0, 0.75), (None, 0.75)),
    "hyperu whose neighbour SciPy lacks": (special.hyperu, (2.5, 10.0, 0.5), (None, None, -399820571.58578616)),
    "i0e far out": (special.i0e, (1e15,), (-6.307831305050403e-24,)),
    "i0e far out to the left": (special.i0e, (-1e15,), (6.307831305050403e-24,)),
    "i1e far out": (special.i1e, (1e15,), (-6.307831305050393e-24,)),
    "i1e far out to the left": (special.i1e, (-1e15,), (-6.307831305050393e-24,)),
    "k0e far out": (special.k0e, (1e15,), (-1.9816636488030047e-23,)),
    "k1e far out": (special.k1e, (1e15,), (-1.9816636488030077e-23,)),
    "ive far out": (special.ive, (2.5, 1e8), (None, -1.9947112224831402e-13)),
    "kve far out": (special.kve, (2.5, 1e8), (None, -6.266571250568873e-13)),
    "hankel1e far out": (lambda x: np.real(special.hankel1e(2.5, x)), (1e8,), (3.590480523612894e-20,)),
    "hankel2e far out": (lambda x: np.imag(special.hankel2e(2.5, x)), (1e8,), (3.9894228040143206e-13,)),
    "RD of infinity": (special.elliprd, (INF, 1.5, 3.0), (0.0, 0.0, 0.0)),
    "integral of j0": (lambda x: special.itj0y0(x)[0], (0.0,), (1.0,)),
    "integral of 1 - j0 near 0": (lambda x: special.it2j0y0(x)[0], (1e-8,), (2.5e-9,)),
    "integral of 1 - j0 left of 0": (lambda x: special.it2j0y0(x)[0], (-1.0,), (-0.23480231344203345,)),
    "integral of i0 - 1 near 0": (lambda x: special.it2i0k0(x)[0], (1e-20,), (2.5e-21,)),
    "integral of i0 - 1 left of 0": (lambda x: special.it2i0k0(x)[0], (-1.0,), (-0.26606587775200834,)),
    "slope of bei at 0": (lambda x: np.imag(special.kelvin(x)[2]), (0.0,), (0.5,)),
    "hyp2f1 that is 1": (special.hyp2f1, (1.4, 0.0, 2.6, 10.0), (None, None, None, 0.0)),
    "ber left of 0": (lambda x: np.real(special.kelvin(x)[0]), (-1.0,), (0.06244575217903096,)),
    "wofz far out": (lambda x: np.imag(special.wofz(x + 0j)), (-1e8,), (-5.6418958354775629e-17,)),
}


@pytest.mark.parametrize("name", AT_EDGES)
def test_slopes_at_edges(name):
    function, point, slopes = AT_EDGES[name]
    for k, expected in enumerate(slopes):
        if expected is None:
            continue
        found = tg.grad(function, argnums=k)(*point)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-270, err_msg=f"operand {k}")
        if np.isfinite(expected):
            ones = [np.float64(j == k) for j in range(len(point))]
            moving = lambda x, k=k: function(*point[:k], x, *point[k + 1 :])
            _, dot = tg.jvp(moving, (point[k],), (ones[k],))
            np.testing.assert_allclose(dot, expected, rtol=1e-9, atol=1e-270, err_msg=f"forward, operand {k}")


@pytest.mark.parametrize(
    ("function", "point", "curvature"),
    [  # by mpmath with 40 digits, or plain limits
        (np.cbrt, -INF, 0.0),
        (special.log_ndtr, INF, 0.0),
        (lambda h: special.owens_t(h, 1.0), INF, 0.0),
        (lambda h: special.owens_t(h, INF), -1.5, 0.0971381967494188),
        (lambda t: special.nctdtr(5.0, 1.0, t), 0.0, 0.24197072451914337),
        (lambda p: special.fdtri(2.0, 3.0, p), 0.0, 5.0 / 3.0),
        (lambda x: special.gammaincc(2.8, x), 0.0, 0.0),
        (lambda x: special.gammainc(2.0, x), 0.0, 1.0),
        (lambda x: special.betainc(2.0, 3.0, x), 0.0, 12.0),
        (lambda x: special.betainc(3.0, 2.0, x), 1.0, -12.0),
        (lambda x: special.betainc(1.0, 7.0, x), 0.0, -42.0),
        (lambda x: special.betainc(7.0, 1.0, x), 1.0, 42.0),
        (lambda p: special.bdtrc(0.0, 7, p), 0.0, -42.0),
        (lambda nc: special.chndtr(1.5, 4.5, nc), 0.0, 0.018653057231354787),
        (special.i0e, 1e8, 2.9920671217111648e-21),
        (lambda x: special.elliprd(x, 1.5, 3.0), INF, 0.0),
        (lambda z: special.elliprd(0.63, 0.0, z), 2.596, 0.34819364748278046),
        (lambda p: special.elliprj(0.0, 0.5, 1.0, p), 0.7, 10.119720852834218),
        (lambda y: special.elliprj(0.0, y, 1.0, 0.7), 0.5, 6.8063002406806998),
        (lambda x: np.real(special.kelvin(x)[0]), -1.0, -0.18712028785762877),
        (lambda x: special.itj0y0(x)[0], -1.0, 0.44005058574493355),
        (lambda x: special.iti0k0(x)[0], -1.0, -0.56515910399248503),
        (lambda x: special.it2j0y0(x)[0], 0.0, 0.25),
        (lambda x: special.it2i0k0(x)[0], -1.0, 0.2990932262404767),
    ],
)
def test_second_derivatives_at_edges(function, point, curvature):
    np.testing.assert_allclose(tg.grad(tg.grad(function))(point), curvature, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(
    ("function", "point", "mixed"),
    [  # by mpmath with 40 digits; in one operand the slope is 0 there
        (special.stdtrit, (5.0, 0.5), -0.02585267196213262),
        (lambda df, nc: special.nctdtrit(df, nc, 0.5), (5.0, 0.0), -0.010313723907043368),
    ],
)
def test_mixed_derivatives_at_the_median(function, point, mixed):
    for k in (0, 1):
        first = tg.grad(function, argnums=k)
        np.testing.assert_allclose(tg.grad(first, argnums=1 - k)(*point), mixed, rtol=1e-9)


@pytest.mark.parametrize(
    ("function", "point", "k", "slope"),
    [  # by mpmath with 40 digits; formulas over- or underflow in single precision, the slopes do not
        (special.fdtrc, (1e8, 3.0, 0.75), 2, -0.57590363560854378),
        (special.fdtr, (2.0**-27, 2.25, 5.0), 2, 7.4505799661022612e-10),
        (special.inv_boxcox, (1e30, 1.0), 1, -6.8077552789821e31),
    ],
)
def test_single_precision_goes_through_double(function, point, k, slope):
    point = tuple(map(np.float32, point))
    found = tg.grad(function, argnums=k)(*point)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slope, rtol=1e-6)
    moving = lambda x: function(*point[:k], x, *point[k + 1 :])
    _, dot = tg.jvp(moving, (point[k],), (np.float32(1.0),))
    assert dot.dtype == np.float32
    np.testing.assert_allclose(dot, slope, rtol=1e-6)


def test_infinite_slopes_of_unused_results_are_no_nan():
    """Each result of a ufunc has its own slopes: one that has none does not spoil the others, in either mode."""
    both = tg.grad(lambda x: special.iti0k0(x)[0] + special.itj0y0(x)[0])(0.0)
    assert both == 2.0
    assert tg.grad(lambda x: special.itj0y0(x)[1])(0.0) == -INF
    assert tg.jvp(lambda x: special.itj0y0(x)[1], (0.0,), (1.0,))[1] == -INF


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 5)])
@pytest.mark.parametrize("phase", [1.0, np.exp(1j * np.arange(15.0))])
def test_singular_values_that_are_cut_off(shape, phase):
    """PyTorch and JAX give the derivative for a matrix whose values left out are 0."""
    size = shape[0] * shape[1]
    z = (np.sin(np.arange(float(size)) ** 2) * (phase if np.ndim(phase) == 0 else phase[:size])).reshape(shape)
    u, _, vh = np.linalg.svd(z, full_matrices=False)
    a, b = (u * np.array([3.0, 1.0, 0.05])) @ vh, np.cos(np.arange(float(shape[0])))
    tg.check_grads(lambda a: np.linalg.pinv(a, rcond=0.1), (a,), order=2, rtol=1e-4)
    tg.check_grads(lambda a, b: np.linalg.lstsq(a, b, rcond=0.1)[0], (a, b), rtol=1e-4)
    gradient = tg.grad(lambda a: np.sum(np.abs(np.linalg.pinv(a, rcond=0.1)) ** 2))
    np.testing.assert_allclose(tg.vmap(gradient)(np.stack([a, 2.0 * a]))[1], gradient(2.0 * a), rtol=1e-9, atol=1e-12)
