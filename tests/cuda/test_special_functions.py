"""Special functions over their domains, against SciPy: the scalar functions, run as the stand-in runs them.

Where SciPy's own digits are few, inverses are put back into what they invert.
"""

from __future__ import annotations

import numpy as np
import pytest

from tapegrad.cuda import scalars, toolchain
from tapegrad.cuda.stepper import ARITHMETIC

special = pytest.importorskip("scipy.special")
POINTS = 60


def uniform(low, high):
    return lambda rng: rng.uniform(low, high, POINTS)


def spread(low, high):
    """Numbers of all sizes."""
    return lambda rng: np.exp(rng.uniform(np.log(low), np.log(high), POINTS))


def signed(low, high):
    return lambda rng: spread(low, high)(rng) * rng.choice([-1.0, 1.0], POINTS)


def whole(low, high):
    return lambda rng: rng.integers(low, high + 1, POINTS).astype(float)


def chances(rng):
    """Probabilities, half of them small."""
    return np.where(rng.random(POINTS) < 0.5, rng.random(POINTS), 10.0 ** rng.uniform(-12, 0, POINTS))


def degrees(rng):
    """Degrees of polynomials, some of them no whole numbers."""
    return np.where(rng.random(POINTS) < 0.7, rng.integers(0, 10, POINTS), rng.uniform(0, 5, POINTS))


SIZES, MIDDLE, SINGLE, SHORT = spread(1e-2, 300), uniform(0.02, 0.98), spread(1e-3, 1e3), signed(1e-2, 8)
EXACT = {
    "gammainc": (spread(1e-4, 1e4), spread(1e-4, 1e4)),
    "gammaincc": (spread(1e-4, 1e4), spread(1e-4, 1e4)),
    "gammaincinv": (SIZES, chances),
    "gammainccinv": (SIZES, chances),
    "betainc": (SIZES, SIZES, chances),
    "betaincc": (SIZES, SIZES, chances),
    "betaincinv": (spread(0.1, 300), spread(0.1, 300), chances),
    "betainccinv": (spread(0.1, 300), spread(0.1, 300), chances),
    "poch": (signed(1e-2, 1e2), signed(1e-2, 50)),
    "chdtr": (SIZES, spread(0.1, 400)),
    "chdtri": (SIZES, chances),
    "pdtr": (uniform(0, 50), SIZES),
    "pdtri": (whole(0, 50), chances),
    "bdtr": (uniform(0, 5), whole(5, 50), chances),
    "nbdtri": (whole(0, 30), whole(1, 50), chances),
    "fdtr": (SIZES, SIZES, SIZES),
    "fdtri": (spread(1, 300), spread(1, 300), chances),
    "stdtr": (spread(0.5, 1e3), signed(0.1, 10)),
    "stdtrit": (spread(0.5, 1e3), chances),
    "gdtrib": (spread(0.1, 10), MIDDLE, spread(0.1, 50)),
    "chdtriv": (MIDDLE, spread(0.1, 50)),
    "btdtria": (MIDDLE, spread(0.3, 50), MIDDLE),
    "btdtrib": (spread(0.3, 50), MIDDLE, MIDDLE),
    "ncfdtr": (spread(0.3, 50), spread(0.3, 50), spread(0.01, 50), spread(0.1, 5)),
    "exp1": (spread(1e-5, 700),),
    "expn": (whole(0, 80), spread(1e-4, 500)),
    "spence": (spread(1e-6, 1e6),),
    "zeta": (spread(1.001, 30), spread(1e-3, 1e3)),
    "zetac": (uniform(-30, 30),),
    "dawsn": (signed(1e-4, 1e3),),
    "erfi": (signed(1e-4, 26),),
    "i0": (signed(1e-3, 700),),
    "i1": (signed(1e-3, 700),),
    "i0e": (signed(1e-3, 1e5),),
    "k0": (spread(1e-3, 700),),
    "k1e": (spread(1e-3, 1e5),),
    "iv": (uniform(-50, 50), spread(1e-2, 300)),
    "ive": (spread(1e-2, 100), spread(1e-2, 1e4)),
    "kv": (uniform(-50, 50), spread(1e-2, 300)),
    "kve": (spread(1e-2, 100), spread(1e-2, 1e4)),
    "elliprf": (SINGLE, SINGLE, SINGLE),
    "elliprd": (SINGLE, SINGLE, SINGLE),
    "elliprg": (SINGLE, SINGLE, SINGLE),
    "elliprc": (SINGLE, signed(1e-3, 1e3)),
    "elliprj": (SINGLE, SINGLE, SINGLE, signed(1e-3, 1e3)),
    "agm": (SINGLE, SINGLE),
    "ellipk": (uniform(-10, 1),),
    "ellipe": (uniform(-10, 1),),
    "ellipkinc": (uniform(-10, 10), uniform(-5, 1)),
    "ellipeinc": (uniform(-10, 10), uniform(-5, 1)),
    "hyp2f1": (uniform(-3, 5), uniform(-3, 5), uniform(0.1, 8), uniform(-2, 1)),
    "voigt_profile": (signed(1e-2, 30), spread(0.01, 5), spread(0.01, 5)),
    "kolmogorov": (spread(0.1, 5),),
    "kolmogi": (chances,),
    "smirnov": (whole(1, 40), uniform(0, 1)),
    "smirnovi": (whole(1, 40), chances),
    "wrightomega": (signed(0.01, 1e3),),
    "wright_bessel": (spread(0.01, 5), spread(0.01, 5), spread(1e-3, 300)),
    "tandg": (uniform(-500, 500),),
    "cotdg": (uniform(-500, 500),),
    "nextafter": (SHORT, SHORT),
    "spacing": (signed(1e-300, 1e300),),
}
"""Relative to their own size."""
SCALED = {
    "expi": (signed(1e-5, 700),),
    "j0": (signed(1e-3, 1e4),),
    "j1": (signed(1e-3, 1e4),),
    "y0": (spread(1e-3, 1e4),),
    "y1": (spread(1e-3, 1e4),),
    "jv": (uniform(-50, 50), spread(1e-2, 300)),
    "yv": (uniform(-50, 50), spread(1e-2, 300)),
    "struve": (uniform(-5, 10), spread(1e-2, 100)),
    "modstruve": (uniform(-5, 10), spread(1e-2, 100)),
    "besselpoly": (uniform(0.1, 6), uniform(0, 3), uniform(0, 5)),
    "ber": (signed(1e-2, 9),),
    "bei": (signed(1e-2, 9),),
    "ker": (spread(1e-2, 60),),
    "kei": (spread(1e-2, 60),),
    "berp": (signed(1e-2, 9),),
    "kerp": (spread(1e-2, 60),),
    "hyp0f1": (uniform(0.1, 30), signed(1e-3, 1e2)),
    "hyp1f1": (uniform(-5, 20), uniform(0.1, 20), signed(1e-3, 50)),
    "owens_t": (SHORT, signed(0.01, 20)),
    "ndtri_exp": (lambda rng: -spread(1e-5, 1e5)(rng),),
    "tklmbda": (uniform(-3, 3), uniform(-2, 2)),
    "lpmv": (whole(-3, 3), uniform(0, 8), uniform(-0.95, 0.95)),
    "eval_chebyt": (degrees, uniform(-0.8, 1)),
    "eval_chebyu": (degrees, uniform(-0.8, 1)),
    "eval_legendre": (degrees, uniform(-0.8, 1)),
    "eval_jacobi": (whole(0, 10), uniform(0.1, 3), uniform(0.1, 3), uniform(-0.8, 1)),
    "eval_gegenbauer": (whole(0, 10), uniform(0.1, 3), uniform(-0.8, 1)),
    "eval_laguerre": (degrees, uniform(0, 5)),
    "nctdtr": (spread(0.3, 50), uniform(-3, 3), uniform(-5, 5)),
}
"""Relative to 1, where they are below it: their zeros are no worse than the rest."""
PARTS = {
    "airy": (4, signed(1e-3, 30)),
    "airye": (4, spread(1e-3, 30)),
    "sici": (2, spread(1e-5, 1e4)),
    "shichi": (2, signed(1e-5, 600)),
    "fresnel": (2, signed(1e-3, 100)),
    "kelvin": (4, spread(1e-2, 9)),
    "modfresnelp": (2, spread(1e-2, 30)),
    "modfresnelm": (2, spread(1e-2, 30)),
}
"""Functions of several results."""
INVERSES = {
    "nbdtrin": (lambda k, y, p, n: special.betainc(n, k + 1, p) - y, (whole(0, 20), MIDDLE, MIDDLE)),
    "nbdtrik": (
        lambda y, n, p, k: special.betainc(n, k + 1, p) - y,
        (uniform(0.5, 0.9), whole(1, 9), uniform(0.2, 0.5)),
    ),
    "bdtrin": (lambda k, y, p, n: special.betainc(n - k, k + 1, 1 - p) - y, (uniform(0, 20), MIDDLE, MIDDLE)),
    "bdtrik": (
        lambda y, n, p, k: special.betainc(n - k, k + 1, 1 - p) - y,
        (uniform(0.5, 0.9), spread(10, 50), uniform(0.2, 0.8)),
    ),
    "pdtrik": (lambda y, m, k: special.gammaincc(k + 1, m) - y, (uniform(0.4, 0.9), spread(1, 50))),
    "fdtridfd": (
        lambda a, y, x, b: special.fdtr(a, b, x) - y,
        (spread(1, 10), uniform(0.55, 0.58), uniform(1.2, 1.4)),
    ),
    "stdtridf": (lambda y, t, v: special.stdtr(v, t) - y, (uniform(0.8, 0.84), uniform(1.05, 1.3))),
    "chndtrix": (lambda y, v, c, x: special.chndtr(x, v, c) - y, (MIDDLE, spread(0.3, 50), spread(0.01, 30))),
    "chndtrinc": (
        lambda x, v, y, c: special.chndtr(x, v, c) - y,
        (uniform(3, 4), uniform(2.2, 2.8), uniform(0.3, 0.5)),
    ),
    "ncfdtri": (
        lambda a, b, c, y, x: special.ncfdtr(a, b, c, x) - y,
        (spread(1, 50), spread(1, 50), spread(0.01, 50), MIDDLE),
    ),
    "ncfdtridfn": (
        lambda y, b, c, x, a: special.ncfdtr(a, b, c, x) - y,
        (uniform(0.3, 0.4), uniform(3, 6), uniform(0.3, 0.4), uniform(0.3, 0.5)),
    ),
    "ncfdtrinc": (
        lambda a, b, y, x, c: special.ncfdtr(a, b, c, x) - y,
        (uniform(2, 4), uniform(3, 6), uniform(0.3, 0.4), uniform(2, 3)),
    ),
    "nctdtridf": (
        lambda y, c, t, v: special.nctdtr(v, c, t) - y,
        (uniform(0.638, 0.645), uniform(0.48, 0.52), uniform(0.98, 1.02)),
    ),
    "nctdtrinc": (lambda v, y, t, c: special.nctdtr(v, c, t) - y, (spread(0.5, 50), MIDDLE, uniform(-2, 2))),
    "nctdtrit": (lambda v, c, y, t: special.nctdtr(v, c, t) - y, (spread(0.5, 50), uniform(-2, 2), MIDDLE)),
}
"""Inverses, and what is left when they are put back."""


def values(name, operands, kind="f"):
    """A scalar function's values, element by element."""
    function = toolchain.build(scalars.SCALARS[name, kind], lambda copy: copy, {"math": ARITHMETIC})
    with np.errstate(all="ignore"):
        return np.array([function(*point) for point in zip(*operands, strict=True)])


def drawn(samplers, name):
    rng = np.random.default_rng(sum(name.encode()))
    return [s(rng) for s in samplers]


def agree(found, expected, scale, label):
    assert not np.any(np.isnan(found) != np.isnan(expected)), label
    error = np.abs(found - expected) / np.maximum(np.abs(expected), max(scale, 1e-290))
    error[(found == expected) | np.isnan(expected)] = 0.0
    worst = int(np.argmax(error))
    assert error[worst] < 3e-12, f"{label}: {found[worst]} instead of {expected[worst]} at point {worst}"


@pytest.mark.parametrize("name", [*EXACT, *SCALED])
@pytest.mark.filterwarnings("ignore")
def test_values(name):
    operands = drawn(EXACT.get(name) or SCALED[name], name)
    expected = getattr(np if hasattr(np, name) and name in ("nextafter", "spacing") else special, name)(*operands)
    agree(values(name, operands), expected, 1.0 if name in SCALED else 0.0, name)


@pytest.mark.parametrize("name", PARTS)
def test_parts(name):
    count, sampler = PARTS[name]
    operands = drawn([sampler], name)
    for k in range(count):
        agree(values(f"{name} {k}", operands), getattr(special, name)(*operands)[k], 1.0, f"{name}, result {k}")


def test_elliptic_functions():
    operands = drawn([uniform(-10, 10), uniform(0, 1)], "ellipj")
    for k in range(4):
        agree(values(f"ellipj {k}", operands), special.ellipj(*operands)[k], 1.0, f"result {k}")


def test_plasma_dispersion():
    rng = np.random.default_rng(1)
    z = rng.normal(0, 5, 200) + 1j * rng.normal(0, 2, 200)
    expected = special.wofz(z)
    assert np.max(np.abs(values("wofz", [z], "c") - expected) / np.abs(expected)) < 1e-12


@pytest.mark.parametrize("name", INVERSES)
def test_inverses_come_back(name):
    rest, samplers = INVERSES[name]
    operands = [x[:15] for x in drawn(samplers, name)]
    found = values(name, operands)
    assert np.all(np.isfinite(found))
    assert np.max(np.abs(rest(*operands, found))) < 1e-10


@pytest.mark.parametrize("name", sorted({n for n, _ in scalars.SCALARS if n in scalars.DOUBLE and n not in EXACT}))
def test_no_operand_makes_a_function_run_on(name):
    """Infinities, NaN and huge numbers end every loop; none raises."""
    function = scalars.SCALARS[name, "f"]
    count = function.__code__.co_argcount
    extreme = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e300])
    rng = np.random.default_rng(0)
    values(name, [rng.choice(extreme, 12) for _ in range(count)])
