"""Every ufunc of NumPy and `scipy.special` gives tensors what it gives arrays: the same bits, but for a list."""

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.vm.simd import BINARY, UNARY, WRITTEN_OUT, simd_loop

special = pytest.importorskip("scipy.special")

DISTANCES = {  # in units of the last place: docs/reference/limits.md
    "numpy.sin": {"d": 1},
    "numpy.cos": {"d": 1},
    "numpy.power": {"d": 1, "f": 1},
    "numpy.pow": {"d": 1, "f": 1},
    "scipy.special.erf": {"d": 2, "f": 2},
    "numpy.logaddexp": {"d": 2, "f": 4},
}
SUMS = ("matmul", "vecdot", "matvec", "vecmat")


def ufuncs():
    found = {}
    for module in (np, special):
        for name in sorted(dir(module)):
            f = getattr(module, name)
            if isinstance(f, np.ufunc):
                found.setdefault(f"{module.__name__}.{name}", f)
    return found


UFUNCS = ufuncs()
POINTS = np.concatenate(
    [
        np.random.default_rng(0).uniform(0.05, 0.95, 30),
        np.random.default_rng(1).uniform(-4.0, 4.0, 20),
        [0.0, -0.0, 1.0, -1.0, 2.0, 30.0, np.nan, np.inf, -np.inf, 1e-300, 1e300, 5e-324],
    ]
)


def operands(ufunc, char):
    points = POINTS
    if ufunc.__name__ in ("hyp1f1", "pbdv", "pbvv"):
        points = POINTS[np.abs(POINTS) < 50.0]  # beyond, SciPy's take minutes, or all memory
    elif ufunc.__name__.startswith("mathieu"):
        points = np.arange(1.0, 30.0)  # SciPy's crash at NaN and infinity
    x = points if char in "df" else points + 1j * points[::-1]
    x = np.where(np.isfinite(x), np.abs(x) % 7, 1.0).astype(int) if char == "l" else x.astype(char)
    x = np.resize(x, (7, 7)) if ufunc.signature else x
    return [np.roll(x, 5 * k) for k in range(ufunc.nin)]


def allowed(name, char, y):
    """How far a result may be from NumPy's, for each element."""
    short = name.rpartition(".")[2]
    distance = DISTANCES.get(name, {}).get("f" if char == "f" else "d", 0)
    if name.startswith("numpy.") and short in (*UNARY, *BINARY) and char in "df":
        if (short, char) not in WRITTEN_OUT and simd_loop(short, f"{char * (1 + (short in BINARY))}->{char}"):
            distance = 5  # of libmvec, on processors whose vectors NumPy does not use
    if short in SUMS:
        distance = 64
    with np.errstate(all="ignore"):
        scale = np.maximum(np.abs(y), np.finfo(y.dtype).tiny)
        return distance * np.spacing(np.where(np.isfinite(scale), scale, 1.0))


@pytest.mark.parametrize("char", ["d", "f", "D", "l"])
@pytest.mark.parametrize("name", UFUNCS)
@np.errstate(all="ignore")
@pytest.mark.filterwarnings("ignore")
def test_bits(name, char):
    ufunc = UFUNCS[name]
    if ufunc.__name__.startswith("mathieu") and ufunc.nout == 2 and char == "f":
        pytest.skip("SciPy's loops give NaN for float32; tensors get values")
    xs = operands(ufunc, char)
    try:
        wanted = ufunc(*xs)
    except (TypeError, ValueError):
        with pytest.raises((TypeError, ValueError)):
            ufunc(*map(tg.tensor, xs))
        return
    got = ufunc(*map(tg.tensor, xs))
    if ufunc.nout == 1:
        wanted, got = (wanted,), (got,)
    for w, g in zip(wanted, got, strict=True):
        g = g.numpy()
        assert (g.shape, g.dtype) == (w.shape, w.dtype)
        if w.dtype.kind not in "fc":
            np.testing.assert_array_equal(g, w)
            continue
        parts = ((w.real, g.real), (w.imag, g.imag)) if w.dtype.kind == "c" else ((w, g),)
        for v, y in parts:
            np.testing.assert_array_equal(np.isnan(y), np.isnan(v))
            same = (y == v) | np.isnan(v)
            near = np.abs(y - v) <= allowed(name, char, v)
            if name == "numpy.logaddexp":  # of the largest of all
                near = np.abs(y - v) <= allowed(name, char, np.maximum(np.maximum(*map(np.abs, xs)), np.abs(v)))
            assert np.all(same | near), (v[~(same | near)][:3], y[~(same | near)][:3])
            zeros = (v == 0) & (y == 0)
            np.testing.assert_array_equal(np.signbit(y[zeros]), np.signbit(v[zeros]))


def test_the_list_names_ufuncs():
    assert set(DISTANCES) <= set(UFUNCS)


@pytest.mark.parametrize("name", ["cbrt", "exp2", "expm1", "log1p"])
def test_scipys_functions_that_are_numpys(name, tmp_path):
    ours, numpys, x = getattr(special, name), getattr(np, name), np.linspace(0.1, 2.0, 7)
    np.testing.assert_allclose(tg.grad(lambda x: ours(x).sum())(x), tg.grad(lambda x: numpys(x).sum())(x), rtol=1e-14)
    step = tg.compile(ours)
    step(x)
    step.save(tmp_path / "step.tg")
    np.testing.assert_array_equal(tg.load(tmp_path / "step.tg")(x), step(x))


def test_complex_log1p_near_zero():
    z = np.array([1e-12 + 1e-12j, -1e-9 + 1e-5j])
    np.testing.assert_allclose(special.log1p(tg.tensor(z)).numpy(), special.log1p(z), rtol=1e-15)
