"""Every ufunc of NumPy and `scipy.special` gives tensors what it gives arrays: the same bits, but for a list."""

import os
import subprocess
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.vm.bridge import loop_address
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


@pytest.fixture(params=["deferred", "at once"])
def numpys_loops(request):
    """Within the test NumPy's and SciPy's own loops are called."""
    loops, deferral = tg.set_numpy_loops(True), tg.set_deferral(request.param == "deferred")
    yield
    tg.set_numpy_loops(loops)
    tg.set_deferral(deferral)


def of_type(ufunc, char, k):
    """An operand for a type of the ufunc's loops: other points for each `k`."""
    dtype = np.dtype(char)
    if ufunc.__name__.startswith(("pro_", "obl_")):
        points = np.resize([[1.0], [2.0, 3.0], [0.3, 0.5, 0.9]][min(k, 2)], 29)  # elsewhere SciPy's take all memory
    elif dtype.kind in "fc":
        points = operands(ufunc, "D" if dtype.kind == "c" else "d")[0]
        if ufunc.__name__.startswith("eval_"):
            points = np.resize(points[np.abs(points) < 50.0], len(points))  # SciPy's take long
    else:  # no negative powers of integers
        points = np.arange(49 if ufunc.signature else 62) % 5 - (3 if dtype.kind == "i" and k == 0 else 0)
        points = points.reshape(7, 7) if ufunc.signature else points
    return np.roll(points, 5 * k).astype(dtype)


LAYOUTS = {
    "without gaps": np.copy,
    "gaps": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1],
    "columns": lambda x: np.asfortranarray(x if x.ndim > 1 else np.stack([x, np.roll(x, 3)])),
    "many": lambda x: np.tile(x, 40) if x.ndim == 1 else np.copy(x),
}


@pytest.mark.parametrize("name", UFUNCS)
@np.errstate(all="ignore")
@pytest.mark.filterwarnings("ignore")
def test_numpys_loops(name, numpys_loops):
    ufunc = UFUNCS[name]
    tried = 0
    for types in ufunc.types:
        if set(types) & set("OmM"):
            continue
        if ufunc.__name__.startswith(("mathieu", "obl_", "pro_")) and types.startswith("f"):
            continue  # SciPy's loops give NaN, or take forever; tensors get values
        xs = [of_type(ufunc, char, k) for k, char in enumerate(types.partition("->")[0])]
        for layout in LAYOUTS.values():
            arrays = [layout(x) for x in xs]
            if ufunc.nin > 1 and not ufunc.signature:
                arrays[1] = arrays[1][..., :1]  # broadcast
            tensors = [tg.from_numpy(x) if x.dtype.char in "fdFD" else tg.tensor(x) for x in arrays]
            wanted, got = ufunc(*[t.numpy() for t in tensors]), ufunc(*tensors)
            for w, g in zip(*[v if isinstance(v, tuple) else (v,) for v in (wanted, got)], strict=True):
                assert_same(g.numpy(), w)
            tried += 1
    assert tried or all(set(types) & set("OmM") for types in ufunc.types)


def assert_same(got, wanted):
    """The same dtype, shape and bits, whatever a NaN's."""
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_array_equal(got, wanted)
    if wanted.dtype.kind in "fc":
        for part in (np.real, np.imag):
            known = ~np.isnan(part(wanted))
            np.testing.assert_array_equal(np.signbit(part(got)[known]), np.signbit(part(wanted)[known]))


def test_numpys_loops_at_every_switch():
    x = np.linspace(-5.0, 5.0, 1200)

    def products(x):  # whose sums have another order by default
        return np.concatenate(
            [np.ravel(x.reshape(m, -1) @ np.sin(x).reshape(-1, m)) for m in (3, 5, 10, 12, 24, 48, 60)]
        )

    functions = (np.sin, special.erf, lambda x: np.logaddexp(x, x[::-1]), lambda x: np.power(x, 5.0), products)

    def equal():
        return [bool(np.array_equal(f(tg.tensor(x)).numpy(), f(x))) for f in functions]

    before = tg.set_numpy_loops(False)
    by_default = equal()
    try:
        for _ in range(2):
            assert tg.set_numpy_loops(True) is False
            assert tg.is_numpy_loops_enabled()
            assert all(equal())
            compiled = [tg.compile(f) for f in functions]
            for f, step in zip(functions, compiled, strict=True):
                np.testing.assert_array_equal(step(x), f(x))
                np.testing.assert_array_equal(step(x), f(x))
            assert tg.set_numpy_loops(False) is True
            assert equal() == by_default
            assert not all(by_default)
    finally:
        tg.set_numpy_loops(before)


def test_numpys_loops_of_a_process():
    code = (
        "import numpy as np, tapegrad as tg; x = np.linspace(-5.0, 5.0, 1001); "
        "assert tg.is_numpy_loops_enabled(); assert np.array_equal(np.sin(tg.tensor(x)).numpy(), np.sin(x))"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TAPEGRAD_NUMPY_LOOPS": "1"}, check=True)


def test_functions_compiled_before_and_after_a_switch():
    """Rows that were lowered before are lowered anew for those made later; a program keeps its own instructions."""
    x = np.linspace(-5.0, 5.0, 1001)

    def f(x):
        return np.sum(np.sin(x) * x**3 + np.sort(x))

    made = [tg.compile(tg.value_and_grad(f))]
    expected = made[0](x)
    before = tg.set_numpy_loops(True)
    try:
        made.append(tg.compile(tg.value_and_grad(f)))
        by_them = made[1](x)
    finally:
        tg.set_numpy_loops(before)
    made.append(tg.compile(tg.value_and_grad(f), native=False))
    for step in made:
        value, slope = step(x)
        np.testing.assert_allclose(value, expected[0], rtol=1e-12)
        np.testing.assert_allclose(slope, expected[1], rtol=1e-12)
        lines = str(step.profile(x, repeats=1)).splitlines()
        assert sum("(Python)" in line for line in lines) >= 1
    assert by_them[0] == pytest.approx(expected[0], rel=1e-12)


def test_graphs_across_a_switch():
    x = tg.tensor(np.linspace(0.1, 2.0, 50), requires_grad=True)
    y = (np.sin(x) * x**3).sum()
    before = tg.set_numpy_loops(True)
    try:
        y.backward()
        by_them = tg.grad(lambda x: (np.sin(x) * x**3).sum())(x.detach().numpy())
    finally:
        tg.set_numpy_loops(before)
    v = x.detach().numpy()
    for found in (x.grad.numpy(), by_them):
        np.testing.assert_allclose(found, np.cos(v) * v**3 + 3.0 * v**2 * np.sin(v), rtol=1e-14)


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


@pytest.mark.skipif(np.dtype("l") != np.dtype("q"), reason="long long is longer than long here")
@pytest.mark.parametrize(
    ("ufunc", "types", "own"),
    [
        (special.smirnov, "qd->d", "ld->d"),
        (special.nbdtr, "qld->d", "lld->d"),
        (special.bdtri, "dqd->d", "dld->d"),
        (np.ldexp, "gq->g", "gl->g"),
        (np.add, "ll->l", "ll->l"),
    ],
)
def test_two_names_of_the_same_integers(ufunc, types, own):
    assert loop_address(ufunc, types) == loop_address(ufunc, own)


def test_long_long_arrays_come_first():
    code = (
        "import numpy as np, tapegrad as tg, scipy.special as s; n = np.arange(1, 4); tg.tensor(n.astype('q')) + 1; "
        "assert np.array_equal(s.kn(tg.tensor(n), 0.5).numpy(), s.kn(n, 0.5))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
