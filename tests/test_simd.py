"""SIMD math loops and accumulating, selecting and casting loops: accuracy, special values, strides, aliasing."""

import ctypes
import math
import platform
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.vm.kernels import ACCUMULATING, CAST_FROM, CAST_TO, extra_loop
from tapegrad.vm.native import bind_data, bind_last
from tapegrad.vm.simd import BINARY, UNARY, WRITTEN_OUT, simd_loop

MAX_ULP = 4.0
LONG = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant
NAMES = [*UNARY, *BINARY]
ACCURATE = [name for name in NAMES if name != "logaddexp"]  # whose sum may vanish; its bits are NumPy's
special = pytest.importorskip("scipy.special")
LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 1000)


def run(address, *operands, n=None, steps=None):
    """Call a loop on 1-d arrays, the result last, as NumPy would."""
    n = operands[-1].size if n is None else n
    steps = [a.strides[0] for a in operands] if steps is None else steps
    frame = np.array([*(a.ctypes.data for a in operands), n, *steps], dtype=np.int64)
    start, count = frame.ctypes.data, 8 * len(operands)
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(address)(start, start + count, start + count + 8, None)
    return operands[-1]


def get_loop(name, char):
    address = simd_loop(name, char * (2 if name in BINARY else 1) + f"->{char}")
    if address is None:
        pytest.skip(f"NumPy's own loop of {name} is used for {char!r} here")
    return address


def make_inputs(char, seed=0):
    """Random bit patterns (all exponents, subnormals, NaN), ranges where functions change their method, specials."""
    rng = np.random.default_rng(seed)
    info = np.finfo(char)
    bits = rng.integers(0, 2 ** (8 * np.dtype(char).itemsize), 20_000, dtype=f"u{np.dtype(char).itemsize}").view(char)
    parts = [bits, np.arange(-400, 400) * (np.pi / 4), np.arange(-64, 64) / 16]
    parts += [rng.uniform(-scale, scale, 3000) for scale in (1e-3, 0.1, 1, 3, 10, 30, 100, 800, 1e5, 1e7)]
    parts.append(1 + rng.normal(size=3000) * 1e-3)
    edges = [0, info.smallest_subnormal, info.tiny, info.max, np.inf, 1, 0.5, 2, np.nextafter(info.dtype.type(1), 2)]
    edges += [1e22, 709.7, 709.8, 745.1, 745.2, 708.4, 88.7, 88.8, 103.9, 104, 87.3, 1e6, 5.9, 26.5, 27.3]
    edges += [1e300] if char == "d" else [1e38]
    parts += [edges, np.negative(edges), [np.nan]]
    return np.concatenate([np.asarray(part, dtype=char) for part in parts])


def expected(name, char, operands):
    wide = np.float64 if char == "f" else np.longdouble
    with np.errstate(all="ignore"):
        if name == "erf":
            return np.vectorize(math.erf, otypes=[wide])(operands[0])
        return getattr(np, name)(*[np.asarray(a, dtype=wide) for a in operands])


def ulps(got, want):
    """Error in units of the last place of the right result; infinite for a wrong NaN, infinity or sign of zero."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        error = np.abs((got.astype(want.dtype) - want) / np.spacing(np.abs(rounded)).astype(want.dtype)).astype(float)
        special = ~np.isfinite(rounded) | ~np.isfinite(got)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        error[special] = np.where(same, 0.0, np.inf)[special]
        zeros = (got == 0) & (rounded == 0)
        error[zeros] = np.where(np.signbit(got) == np.signbit(rounded), 0.0, np.inf)[zeros]
    return error


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize("name", ACCURATE)
def test_accuracy(name, char):
    address = get_loop(name, char)
    operands = [make_inputs(char)]
    if name in BINARY:
        operands.append(np.random.default_rng(1).permutation(operands[0]))
    got = run(address, *operands, np.empty_like(operands[0]))
    want = expected(name, char, operands)
    error = ulps(got, want)
    worst = np.argmax(error)
    slack = 0.0 if char == "f" or (LONG and name != "erf") else 1.0  # of the reference
    assert error[worst] <= MAX_ULP + slack, [float(a[worst]) for a in operands] + [got[worst], want[worst]]


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize("name", [name for name in BINARY if name in ACCURATE])
def test_binary_special_values(name, char):
    values = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, np.inf, np.finfo(char).max, np.finfo(char).smallest_subnormal]
    values = np.array([*values, *np.negative(values), np.nan], dtype=char)
    a, b = (m.ravel() for m in np.meshgrid(values, values))
    got = run(get_loop(name, char), a, b, np.empty_like(a))
    assert ulps(got, expected(name, char, [a, b])).max() <= MAX_ULP


def test_exact_results():
    """Values that code relies on to be exact."""
    k = np.arange(-20.0, 21.0)
    cases = [("exp2", k, 2.0**k), ("log2", 2.0**k, k), ("exp", 0 * k, 0 * k + 1), ("cos", 0 * k, 0 * k + 1)]
    cases += [("log", 0 * k + 1, 0 * k), ("tanh", np.full(3, 30.0), np.ones(3))]
    for name, x, want in cases:
        np.testing.assert_array_equal(run(get_loop(name, "d"), x, np.empty_like(x)), want, err_msg=name)
    if simd_loop("power", "dd->d") is not None:
        a, b = (m.ravel().copy() for m in np.meshgrid(np.arange(-30.0, 31.0), np.arange(0.0, 9.0)))
        np.testing.assert_array_equal(run(get_loop("power", "d"), a, b, np.empty_like(a)), a**b)


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize("name", NAMES)
def test_same_bits_at_any_length_stride_and_position(name, char):
    address, size = get_loop(name, char), np.dtype(char).itemsize
    x = make_inputs(char)[::37][:1000].copy()
    pool = [x, np.roll(x, 11)] if name in BINARY else [x]
    whole = run(address, *pool, np.empty_like(x))
    as_bits = f"u{size}"
    for n in LENGTHS:
        out = np.full(n + 1, 7, dtype=char)
        run(address, *pool, out, n=n)
        np.testing.assert_array_equal(out[:n].view(as_bits), whole[:n].view(as_bits))
        assert out[n] == 7  # nothing written beyond the end
        shifted = run(address, *(a[3:] for a in pool), np.empty(n, dtype=char), n=min(n, x.size - 3))
        m = min(n, x.size - 3)
        np.testing.assert_array_equal(shifted[:m].view(as_bits), whole[3 : 3 + m].view(as_bits))
        for step in (2, -1, -3):
            spread = [np.zeros(n * abs(step) + 1, dtype=char)[::step][:n] for _ in range(len(pool) + 1)]
            for strided, a in zip(spread, pool, strict=False):
                strided[:] = a[:n]
            if n:
                run(address, *spread)
            np.testing.assert_array_equal(spread[-1].copy().view(as_bits), whole[:n].view(as_bits))


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize("name", NAMES)
def test_in_place_and_broadcast(name, char):
    address = get_loop(name, char)
    x = np.linspace(1.1, 2.9, 203).astype(char) if name == "arccosh" else np.linspace(0.1, 0.9, 203).astype(char)
    pool = [x, x[::-1].copy()] if name in BINARY else [x]
    want = run(address, *pool, np.empty_like(x))
    for k in range(len(pool)):
        operands = [a.copy() for a in pool]
        np.testing.assert_array_equal(run(address, *operands, operands[k]), want)
    size = x.itemsize
    first = run(address, *pool, np.empty_like(x), steps=[0] * len(pool) + [size])
    np.testing.assert_array_equal(first, np.full_like(x, want[0]))
    if name in BINARY:
        second = run(address, *pool, np.empty_like(x), steps=[size, 0, size])
        np.testing.assert_array_equal(second, run(address, x, np.full_like(x, pool[1][0]), np.empty_like(x)))


def near_multiples_of_a_right_angle():
    k = np.arange(-(2.0**20), 2.0**20, 7.0)
    return k * (np.pi / 4) * (1 + np.random.default_rng(2).integers(-4, 5, k.size) * 2.0**-52)


MORE_INPUTS = {
    "sin": lambda rng: [near_multiples_of_a_right_angle(), rng.uniform(-1e6, 1e6, 10**6), rng.normal(size=10**6)],
    "cos": lambda rng: [near_multiples_of_a_right_angle(), rng.uniform(-1e6, 1e6, 10**6), rng.normal(size=10**6)],
    "erf": lambda rng: [rng.normal(size=10**6), rng.uniform(-7, 7, 10**5)],
    "hypot": lambda rng: [
        rng.normal(size=(2, 10**5)),
        rng.normal(size=(2, 10**5)) * np.exp(rng.normal(size=10**5) * 9),
    ],
    "logaddexp": lambda rng: [
        rng.normal(size=(2, 10**6)),
        [np.zeros(10**5), rng.uniform(-760, 0, 10**5)],
        [np.zeros(10**5), -np.exp(rng.uniform(-40, 5, 10**5))],
        [np.zeros(10**5), np.full(10**5, -0.88137358) + rng.normal(size=10**5) * 1e-6],  # exp of it is sqrt(2) - 1
        [np.zeros(10**5), -(2.0**-12) + rng.normal(size=10**5) * 1e-5],
    ],
}
"""Besides `make_inputs`: where a method changes, and many at random, of which a few leave a doubt about rounding."""


@pytest.mark.parametrize("name, char", sorted(WRITTEN_OUT))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_loops_that_are_written_out_have_the_bits_of_the_librarys(name, char):
    address, rng = get_loop(name, char), np.random.default_rng(3)
    ufunc = getattr(np, name, None) or getattr(special, name)
    x = make_inputs(char)
    if name in BINARY:
        inputs = [[x, other] for other in (rng.permutation(x), x[::-1], x * rng.uniform(0.1, 10.0, x.size))]
        inputs += MORE_INPUTS[name](rng)
    else:
        inputs = [[x], *([v] for v in MORE_INPUTS[name](rng))]
    for given in inputs:
        operands = [np.ascontiguousarray(v, char) for v in given]
        expected = ufunc(*operands)
        found = run(address, *operands, np.empty_like(operands[0]))
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.signbit(found[found == 0.0]), np.signbit(expected[expected == 0.0]))


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize(
    "exponent", [-64.0, -63.0, -5.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 7.0, 33.0, 63.0, 1e6]
)
def test_powers_have_the_bits_of_numpys(char, exponent):
    rng = np.random.default_rng(4)
    x = np.concatenate([make_inputs(char), (rng.normal(size=10**5) * 3).astype(char)])
    with np.errstate(all="ignore"):
        for a, b in (
            (x, np.dtype(char).type(exponent)),
            (-np.abs(x), np.dtype(char).type(exponent)),
            (x, np.full_like(x, exponent)),
            (np.repeat(x, 2)[::2], rng.integers(-9, 9, x.size).astype(char)),
        ):
            found, expected = np.power(tg.tensor(a), b).numpy(), np.power(np.ascontiguousarray(a), b)
            np.testing.assert_array_equal(found, expected)
            zeros = expected == 0.0
            np.testing.assert_array_equal(np.signbit(found[zeros]), np.signbit(expected[zeros]))


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize(
    "name",
    ["erfc", "expit", "ndtr", "gammaln", "cbrt", "hypot", "sin", "cos", "erf", "logaddexp", "exp", "tanh", "square"],
)
def test_what_tensors_give_has_the_bits_of_the_library(name, char):
    if name in ("exp", "tanh") and simd_loop(name, f"{char}->{char}") is not None:
        pytest.skip(f"{name} is libmvec's here: NumPy has no vector code for this processor")
    ufunc = getattr(np, name, None) or getattr(special, name)
    x = make_inputs(char)
    operands = [x, x[::-1].copy()][: ufunc.nin]
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(ufunc(*map(tg.tensor, operands)).numpy(), ufunc(*operands))


@pytest.mark.parametrize("char", "df")
def test_sigmoid(char):
    from tapegrad.nn import functional as F

    x = make_inputs(char)
    x = x[np.isfinite(x)]
    wide = x.astype("d" if char == "f" else np.longdouble)
    with np.errstate(all="ignore"):
        want = 1 / (1 + np.exp(-wide))
        middle = np.abs(x) < 30  # beyond, 1 + exp(-x) may round up where it is to round down
        for made in (x, np.repeat(x, 2)[::2]):
            got = F.sigmoid(tg.tensor(made)).numpy()
            assert ulps(got, want)[middle].max() <= 2.5
    assert F.sigmoid(tg.tensor(np.array([-1000.0, 0.0, 1000.0], char))).tolist() == [0.0, 0.5, 1.0]


def test_no_loop_for_other_names_and_types():
    for name, signature in (("gamma", "d->d"), ("sin", "g->g"), ("sin", "f->d"), ("sin", "dd->d"), ("power", "d->d")):
        assert simd_loop(name, signature) is None


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="libmvec is glibc's, for x86-64")
def test_loops_exist_on_linux_x86():
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(map(int, version.split("."))) < (2, 35):
        pytest.skip("glibc is older than 2.35")
    assert simd_loop("sin", "d->d") is not None
    assert simd_loop("hypot", "dd->d") is not None


def test_bind_data_is_memoised():
    address = extra_loop("copy", "d->d")
    assert bind_data(address, 12345) == bind_data(address, 12345)
    x = np.arange(5.0)
    np.testing.assert_array_equal(run(bind_last(address, [1], 4, result="nothing")[0], x, np.zeros(5)), x)


# --- accumulating loops ------------------------------------------------------------------------------------------

TERMS = {
    "add_into": lambda a: a,
    "sub_into": lambda a: -a,
    "multiply_add": lambda a, b: a * b,
    "multiply_sub": lambda a, b: -(a * b),
    "divide_add": lambda a, b: a / b,
    "divide_sub": lambda a, b: -(a / b),
    "tanh_bar": lambda y, y_bar: y_bar * (1 - y * y),
    "sigmoid_bar": lambda y, y_bar: y_bar * y * (1 - y),
    "relu_bar": lambda y, y_bar: np.where(y <= 0, 0, y_bar),
}
ACCUMULATING_CASES = [(name, char) for name, (_, _, _, chars) in ACCUMULATING.items() for char in chars]


def make_numbers(char, n, seed):
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.2, 0.9, n) * rng.choice([-1, 1], n)
    return (values + 1j * rng.uniform(-0.9, 0.9, n) if char in "FD" else values).astype(char)


def tolerance(char):
    return 8 * np.finfo(char).eps


@pytest.mark.parametrize("name, char", ACCUMULATING_CASES)
def test_accumulate(name, char):
    nin = ACCUMULATING[name][2]
    address = extra_loop(name, char * nin + "->" + char)
    for n in (0, 1, 2, 3, 8, 37, 1000):
        operands = [make_numbers(char, n, k) for k in range(nin)]
        dst = make_numbers(char, n, 9)
        want = dst + TERMS[name](*operands)
        got = run(address, *operands, dst.copy())
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance(char) * 6)
        spread = [np.repeat(a, 3)[::3] for a in (*operands, dst)]
        if n:
            strided = run(address, *spread)
            np.testing.assert_array_equal(strided, got)
            back = run(address, *(a[::-1] for a in operands), dst[::-1].copy()[::1])[::-1]
            np.testing.assert_array_equal(back, got)
            for i in range(min(n, 9)):  # an element alone, its step given as 0 or not
                for step in (0, dst.itemsize):
                    one = run(address, *(a[i:] for a in operands), dst[i : i + 1].copy(), steps=[step] * (nin + 1))
                    assert one[0] == got[i]


@pytest.mark.parametrize("name, char", [case for case in ACCUMULATING_CASES if ACCUMULATING[case[0]][2] == 2])
def test_accumulate_with_a_broadcast_operand(name, char):
    address, size = extra_loop(name, char * 2 + "->" + char), np.dtype(char).itemsize
    a, b, dst = (make_numbers(char, 37, k) for k in range(3))
    for steps, pair in (([0, size], (np.full_like(a, a[0]), b)), ([size, 0], (a, np.full_like(b, b[0])))):
        got = run(address, a, b, dst.copy(), steps=[*steps, size])
        np.testing.assert_array_equal(got, run(address, *pair, dst.copy()))


@pytest.mark.parametrize("name, char", ACCUMULATING_CASES)
def test_accumulate_as_reduction(name, char):
    nin = ACCUMULATING[name][2]
    address, size = extra_loop(name, char * nin + "->" + char), np.dtype(char).itemsize
    wide = "D" if char in "FD" else "d"
    for n in (2, 3, 511, 512, 513, 1500, 100_000):
        operands = [make_numbers(char, n, k) for k in range(nin)]
        dst = np.array([3], dtype=char)
        want = 3 + TERMS[name](*(a.astype(wide) for a in operands)).sum()
        scale = np.abs(TERMS[name](*operands)).sum()
        got = run(address, *operands, dst.copy(), n=n, steps=[size] * nin + [0])
        assert abs(got[0] - want) <= tolerance(char) * scale
        spread = [np.repeat(a, 2)[::2] for a in operands]
        got = run(address, *spread, dst.copy(), n=n, steps=[2 * size] * nin + [0])
        assert abs(got[0] - want) <= tolerance(char) * scale


def test_float32_reduction_of_many_elements_keeps_its_digits():
    x = np.full(10_000_000, 0.1, dtype="f")
    total = run(extra_loop("add_into", "f->f"), x, np.zeros(1, "f"), n=x.size, steps=[4, 0])[0]
    assert abs(total - 1e6) < 1.0


def test_reductions_keep_nan_and_infinities():
    address = extra_loop("add_into", "d->d")
    for special in (np.nan, np.inf, -np.inf):
        x = np.ones(700)
        x[333] = special
        np.testing.assert_equal(run(address, x, np.zeros(1), n=700, steps=[8, 0])[0], special)


# --- select, copy, cast ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("char", ["?", "b", "e", "h", "f", "i", "d", "q", "D", "F"])
def test_where_and_copy(char):
    rng = np.random.default_rng(0)
    select, copy, size = (
        extra_loop("where", f"?{char}{char}->{char}"),
        extra_loop("copy", f"{char}->{char}"),
        np.dtype(char).itemsize,
    )
    for n in (0, 1, 3, 8, 33, 200):
        condition = rng.random(n) < 0.5
        a, b = (rng.integers(0, 2 if char == "?" else 100, n).astype(char) for _ in range(2))
        np.testing.assert_array_equal(run(select, condition, a, b, np.empty_like(a)), np.where(condition, a, b))
        np.testing.assert_array_equal(run(copy, a, np.empty_like(a)), a)
        if not n:
            continue
        for steps in ([1, size, 0], [1, 0, size], [0, size, size], [1, 0, 0]):
            views = [
                np.lib.stride_tricks.as_strided(v, (n,), (s,)) for v, s in zip((condition, a, b), steps, strict=True)
            ]
            got = run(select, condition, a, b, np.empty_like(a), steps=[*steps, size])
            np.testing.assert_array_equal(got, np.where(*views))
        np.testing.assert_array_equal(
            run(select, condition[::-1], a[::-1], b, np.empty_like(a)), np.where(condition[::-1], a[::-1], b)
        )
        in_place = a.copy()
        np.testing.assert_array_equal(run(select, condition, in_place, b, in_place), np.where(condition, a, b))
        out = np.zeros(2 * n, dtype=char)[::2]
        np.testing.assert_array_equal(run(copy, a[::-1], out), a[::-1])
        np.testing.assert_array_equal(run(copy, a, np.empty_like(a), steps=[0, size]), np.full_like(a, a[0]))


def test_copy_and_where_keep_every_bit():
    bits = np.array([0x7FF0000000000001, 0xFFF8000000000002, 1, 0x8000000000000000] * 9, dtype="u8")
    x = bits.view("d")
    np.testing.assert_array_equal(run(extra_loop("copy", "d->d"), x, np.zeros_like(x)).view("u8"), bits)
    condition = np.ones(x.size, dtype=bool)
    got = run(extra_loop("where", "?dd->d"), condition, x, np.zeros_like(x), np.zeros_like(x))
    np.testing.assert_array_equal(got.view("u8"), bits)


@pytest.mark.parametrize("char", "fd")
def test_share(char):
    a, b = (np.array(x, char) for x in ([1, 2, 3, np.nan, 1, np.inf] * 3, [2, 2, 2, 1, np.nan, np.inf] * 3))
    y_bar, size = np.arange(1, 19).astype(char), np.dtype(char).itemsize
    expected = y_bar * np.array([0, 0.5, 1, 1, 1, 0.5] * 3, char)
    loop = extra_loop("share", f"{char * 3}->{char}")
    np.testing.assert_array_equal(run(loop, a, b, y_bar, np.empty_like(a)), expected)
    fixed = np.where(a < 2, 0, np.where(a == 2, y_bar / 2, y_bar)).astype(char)
    got = run(loop, a, np.array([2], char), y_bar, np.empty_like(a), steps=[size, 0, size, size])
    np.testing.assert_array_equal(got, fixed)


@pytest.mark.parametrize("char_in", CAST_FROM)
def test_cast(char_in):
    if char_in in "efdFD":
        x = np.array([0.0, -0.0, 1.5, -1.5, 100.7, -100.2, 1e-7, 6e-8, 3e4, 0.1] * 3, dtype=char_in)
        x = x + x[::-1] * 1j if char_in in "FD" else x
    elif char_in == "?":
        x = np.array([0, 1, 1, 0] * 5, dtype="?")
    else:
        x = np.array([0, 1, 2, 100, np.iinfo(char_in).max, np.iinfo(char_in).min] * 4, dtype=char_in)
    for char in CAST_TO:
        values = x
        if char in "fdFD?" and char_in in "efdFD":
            values = np.concatenate([x, np.array([np.inf, -np.inf, np.nan], dtype=char_in)])
        address = extra_loop("cast", f"{char_in}->{char}")
        with np.errstate(all="ignore"), pytest.MonkeyPatch.context():
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # ComplexWarning
                want = values.astype(char)
        got = run(address, values, np.zeros(values.size, dtype=char))
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.signbit(got.real), np.signbit(want.real)) if char in "fd" else None
        spread = run(address, np.repeat(values, 3)[::3], np.zeros(2 * values.size, dtype=char)[::2])
        np.testing.assert_array_equal(spread, want)


def test_every_half_is_cast_exactly():
    halves = np.arange(2**16, dtype="u2").view("e")
    got = run(extra_loop("cast", "e->f"), halves, np.zeros(2**16, "f"))
    np.testing.assert_array_equal(got, halves.astype("f"))


@pytest.mark.parametrize(
    "name, signature",
    [
        ("where", "?df->d"),
        ("where", "dd->d"),
        ("copy", "d->f"),
        ("cast", "g->d"),
        ("cast", "d->e"),
        ("tanh_bar", "DD->D"),
        ("multiply_add", "d->d"),
        ("add_into", "->"),
        ("nothing", "d->d"),
        ("copy", "g->g" if np.dtype("g").itemsize != 16 else "G->G"),
    ],
)
def test_unknown_loops_are_refused(name, signature):
    with pytest.raises(KeyError, match="no loop"):
        extra_loop(name, signature)


SPECIAL = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    0.5,
    -0.5,
    3.0,
    -3.0,
    4.0,
    -5.0,
    7.0,
    2.5,
    -2.5,
    1e17,
    1e19,
    -1e30,
    np.inf,
    -np.inf,
    np.nan,
)


@pytest.mark.parametrize("char", "fd")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers_of_special_numbers_are_those_of_numpy(char):
    bases, exponents = [grid.ravel().astype(char) for grid in np.meshgrid(SPECIAL, SPECIAL)]
    pairs = [(bases, exponents), *[(np.array(SPECIAL, char), np.array(e, char)) for e in SPECIAL]]
    pairs += [(np.repeat(a, 300)[::2], b) for a, b in pairs[1:]]  # several tiles, with gaps
    for a, b in pairs:
        found, expected = np.power(tg.tensor(a), tg.tensor(b)).numpy(), np.power(a, b)
        np.testing.assert_array_equal(found, expected)
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize("char", "fd")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_sums_of_exponentials_are_those_of_numpy(char):
    values = [*SPECIAL, 700.0, -700.0, 36.0, -745.0, 1e-10]
    a, b = [grid.ravel().astype(char) for grid in np.meshgrid(values, values)]
    for one, other in ((a, b), (np.repeat(a, 4)[::3], np.repeat(b, 4)[::3]), (a, np.array(0.5, char))):
        found, expected = np.logaddexp(tg.tensor(one), tg.tensor(other)).numpy(), np.logaddexp(one, other)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("exponent", [-3.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0])
def test_slopes_of_powers_of_negative_numbers_and_zero(exponent):
    x = np.array([-2.0, -0.5, 0.0, 0.5, 3.0])[1 if exponent in (-3.0, -1.0) else 0 :]
    x = x[x != 0.0] if exponent < 0 else x[x >= 0.0] if exponent == 0.5 else x
    with np.errstate(divide="ignore"):
        expected = exponent * x ** (exponent - 1.0) if exponent else np.zeros_like(x)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(x**exponent))(x), expected, rtol=1e-14)
    np.testing.assert_allclose(
        tg.grad(lambda x: np.sum(np.power(x, np.full(x.shape, exponent))))(x), expected, rtol=1e-14
    )
