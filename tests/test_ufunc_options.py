"""Options and methods of every ufunc of NumPy on traced values: NumPy's value, the right gradient or a refusal."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest

import tapegrad as tg

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Passing more than 2 positional")
UFUNCS = sorted(
    {f.__name__: f for f in vars(np).values() if isinstance(f, np.ufunc) and not f.signature}.values(),
    key=lambda f: f.__name__,
)
BINARY = [f for f in UFUNCS if f.nin == 2 and f is not np.ldexp]  # it is reduced in half precision
A, B = np.array([[0.31, 0.73, 0.47], [0.61, 0.23, 0.97]]), np.array([[0.53, 0.35, 0.81], [0.15, 0.66, 0.42]])
M, N = np.array([[3, 1, 2], [4, 5, 6]]), np.array([[2, 1, 3], [1, 2, 1]])
MASK = np.array([[True, False, True], [False, True, True]])
KEY = ([0, 1, 0, 0], [0, 0, 0, 2])
"""Element (0, 0) comes twice."""


def named(functions):
    return pytest.mark.parametrize("ufunc", functions, ids=lambda f: f.__name__)


def operands(ufunc, floating=True):
    """Operands on which the ufunc works, in range of arccosh and arctanh alike."""
    if ufunc is np.arccosh:
        return (A + 1.0,) if floating else (M,)
    if ufunc.nin == 3:  # clip
        return A, 0.2 * B, B
    return ((A, B) if floating else (M, N))[: ufunc.nin]


def values(y):
    parts = y if isinstance(y, tuple) else (y,)
    return [v.detach().numpy() if isinstance(v, tg.Tensor) else np.asarray(v) for v in parts]


def total(y):
    """A number that depends on every element of a result."""
    s = 0.0
    for v in y if isinstance(y, tuple) else (y,):
        if np.dtype(v.dtype).kind in "fc":
            s = s + np.sum(np.real(v) * (np.arange(v.size).reshape(v.shape) + 1.5))
    return s


def check(call, arguments):
    """Compare values with NumPy's and gradients with differences; False if NumPy itself refuses the call."""
    try:
        wanted = call(*[a.copy() for a in arguments])
    except (TypeError, ValueError):
        return False
    try:
        found = call(*[tg.tensor(a, requires_grad=a.dtype.kind == "f") for a in arguments])
    except NotImplementedError as error:
        assert "stop_gradient" in str(error)
        found = call(*map(tg.tensor, arguments))
    for y, w in zip(values(found), values(wanted), strict=True):
        assert (y.dtype, y.shape) == (w.dtype, w.shape)
        np.testing.assert_allclose(y, w, rtol=1e-12)
    if not any(w.dtype.kind in "fc" for w in values(wanted)):
        return True
    for k, a in enumerate(arguments):
        if a.dtype.kind != "f":
            continue

        def f(x, k=k):
            return total(call(*[x if i == k else b.copy() for i, b in enumerate(arguments)]))

        try:
            gradient = tg.grad(f)(a)
        except tg.TracedValueError as error:  # where out= is made like an argument that is none here
            assert "make y a tensor" in str(error) or "make the array a tensor" in str(error)
            continue
        except NotImplementedError as error:
            assert "stop_gradient" in str(error)
            continue
        steps = 1e-6 * np.eye(a.size).reshape(a.size, *a.shape)
        numeric = np.reshape([(f(a + d) - f(a - d)) / 2e-6 for d in steps], a.shape)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-5)
    return True


OPTIONS = {
    "out": lambda f, dtypes: lambda *a: f(*a, out=made(np.zeros_like, a[0], dtypes)),
    "out by position": lambda f, dtypes: lambda *a: f(*a, *made(np.zeros_like, a[0], dtypes)),
    "where": lambda f, dtypes: lambda *a: f(*a, out=made(np.ones_like, a[0], dtypes), where=MASK),
    "dtype float": lambda f, dtypes: lambda *a: f(*a, dtype=np.float64),
    "dtype complex": lambda f, dtypes: lambda *a: f(*a, dtype=np.complex128),
    "casting": lambda f, dtypes: lambda *a: f(*a, casting="unsafe"),
    "order and subok": lambda f, dtypes: lambda *a: f(*a, order="C", subok=True),
}


def made(function, like, dtypes):
    return tuple(function(like, dtype=d) for d in dtypes)


@named(UFUNCS)
def test_options(ufunc):
    done = 0
    for arguments in (operands(ufunc), operands(ufunc, False)):
        try:
            y = ufunc(*arguments)
        except TypeError:
            continue
        dtypes = [v.dtype for v in values(y)]
        done += sum(check(option(ufunc, dtypes), arguments) for option in OPTIONS.values())
    assert done or ufunc is np.isnat


REDUCTIONS = (
    {}, {"axis": 1}, {"axis": None}, {"axis": (0, 1)}, {"keepdims": True}, {"initial": 1}, {"dtype": np.float64},
)  # fmt: skip


def folds_rows(ufunc):
    """Whether NumPy folds a row from left to right: by AVX-512, arctan2 and power of NumPy 2.4.6 do not."""
    row = np.abs(A.ravel())
    return ufunc not in (np.arctan2, np.power) or np.isclose(ufunc.reduce(row), functools.reduce(ufunc, row))


def along_axes(ufunc, options):
    """Those options under which NumPy's own result is right."""
    return [o for o in options if o.get("axis", 0) == 0 or folds_rows(ufunc)]


@named([f for f in BINARY if f.nout == 1])
def test_reduce(ufunc):
    for x in (A, M):
        for options in along_axes(ufunc, REDUCTIONS):
            check(lambda a, options=options: ufunc.reduce(a, **options), (x,))
        check(lambda a: ufunc.reduce(a, axis=0, out=np.zeros_like(ufunc.reduce(a, axis=0))), (x,))


@named([f for f in BINARY if f.nout == 1])
def test_reduce_where(ufunc):
    for x in (A, M):
        for options in along_axes(ufunc, ({"initial": 1}, {"initial": 1, "axis": 1}, {})):
            check(lambda a, options=options: ufunc.reduce(a, where=MASK, **options), (x,))


@named([f for f in BINARY if f.nout == 1])
def test_accumulate_and_reduceat(ufunc):
    for x in (A, M):
        for options in along_axes(ufunc, ({}, {"axis": 1}, {"dtype": np.float64})):
            check(lambda a, options=options: ufunc.accumulate(a, **options), (x,))
            check(lambda a, options=options: ufunc.reduceat(a, [0, 1, 0], **options), (x,))
        check(lambda a: ufunc.accumulate(a, axis=0, out=np.zeros_like(ufunc.accumulate(a, axis=0))), (x,))


@named(BINARY)
def test_outer(ufunc):
    for pair in ((A, B), (M, N), (A[0], B)):
        check(ufunc.outer, pair)
        check(lambda a, b: ufunc.outer(a, b, dtype=np.float64), pair)


TWICE = {"arccos": 0.3 * A + 0.6, **dict.fromkeys(("arccosh", "log", "log10", "log2"), A + 11.0)}
"""Where a function can be applied to its own values."""


@named([f for f in UFUNCS if f.nin < 3 and f.nout == 1])
def test_at(ufunc):
    def at(a, *b):
        c = a * 1
        ufunc.at(c, KEY, *(v[0, [0, 1, 2, 0]] for v in b))
        return c

    floats = (TWICE[ufunc.__name__],) if ufunc.__name__ in TWICE else operands(ufunc)
    for arguments in (floats, operands(ufunc, False)):
        try:
            check(at, arguments)
        except TypeError as error:
            assert "cannot be written into" in str(error)


@pytest.mark.parametrize("ufunc", [np.divide, np.subtract, np.arctan2, np.power, np.fmod])
def test_what_depends_on_the_order_is_not_reduced_over_several_axes(ufunc):
    for axis in ((0, 1), None):
        with pytest.raises(ValueError, match="not reorderable"):
            ufunc.reduce(tg.tensor(A), axis=axis)


def test_at_with_a_single_index_and_with_slices():
    x = tg.tensor(A * 1.0)
    np.multiply.at(x, (0, 0), 3.0)
    np.exp.at(x, (slice(None), 1))
    wanted = A.copy()
    np.multiply.at(wanted, (0, 0), 3.0)
    np.exp.at(wanted, (slice(None), 1))
    np.testing.assert_allclose(x.numpy(), wanted)


def test_where_of_several_results_needs_out_for_each():
    with pytest.raises(ValueError, match="where= needs out= for every result"):
        np.modf(tg.tensor(A), out=(np.zeros_like(tg.tensor(A)), None), where=MASK)


@pytest.mark.parametrize("casting", ["no", "equiv", "safe", "same_kind"])
def test_casting(casting):
    """What a rule of casting forbids is refused as NumPy refuses it."""
    for dtype, x in ((np.float32, A), (np.int64, A), (np.complex128, A), (np.float64, M)):
        try:
            wanted = np.add(x, x, dtype=dtype, casting=casting)
        except TypeError:
            with pytest.raises(TypeError, match="casting"):
                np.add(tg.tensor(x), x, dtype=dtype, casting=casting)
            continue
        found = np.add(tg.tensor(x), x, dtype=dtype, casting=casting)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found.numpy(), wanted)


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_signed_and_unsigned_integers_are_compared_exactly(name):
    compare = getattr(operator, name)
    signed, unsigned = np.array([-1, 2**62, 5]), np.array([2**64 - 1, 2**62, 4], np.uint64)
    for a, b in ((signed, unsigned), (unsigned, signed)):
        expected = [compare(int(p), int(q)) for p, q in zip(a, b, strict=True)]
        np.testing.assert_array_equal(compare(tg.tensor(a), tg.tensor(b)).numpy(), expected)


FOLDS = ("reduce", "accumulate", "reduceat")
ODD = np.array([0.3, 1.2, -0.7, 9e7, 2.1, -0.2, 3e-9, 1.1], np.float32)


@pytest.mark.parametrize("ufunc", [f for f in BINARY if f is not np.arctan2], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.bool_])
def test_methods_have_the_bits_of_numpy(ufunc, dtype):
    """Where no gradient is asked for: whole and odd options, empty axes, beginnings that are converted."""
    x = np.resize(ODD, (5, 33)).astype(dtype)
    calls = [
        (method, options)
        for method in FOLDS
        for options in ({"axis": 1}, {"axis": 0, "dtype": np.float64}, {"axis": -1, "dtype": np.int64})
    ]
    calls += [("reduce", o) for o in ({"axis": ()}, {"axis": (0, 1)}, {"initial": 1.5, "axis": 1}, {"initial": 2})]
    calls += [("reduce", {"axis": 1, "initial": 1, "where": np.arange(33) % 3 > 0, "keepdims": True})]
    calls += [("reduce", {"axis": (), "initial": 0.5})]
    for method, options in calls:
        more = ([0, 3, 1],) if method == "reduceat" else ()
        try:
            wanted = getattr(ufunc, method)(x, *more, **options)
        except (TypeError, ValueError) as error:
            with pytest.raises(type(error)):
                getattr(ufunc, method)(tg.tensor(x), *more, **options)
            continue
        found = getattr(ufunc, method)(tg.tensor(x), *more, **options).numpy()
        assert found.dtype == wanted.dtype, (method, options)
        np.testing.assert_array_equal(found, wanted, err_msg=f"{method} {options}")
    a = x[0].copy()
    t = tg.tensor(a)
    try:
        ufunc.at(a, [0, 3, 3, -1, 3], x[1, :5])
    except (TypeError, ValueError):
        return
    ufunc.at(t, [0, 3, 3, -1, 3], tg.tensor(x[1, :5]))
    np.testing.assert_array_equal(t.numpy(), a)


def test_methods_are_of_the_ufunc_that_was_named():
    special = pytest.importorskip("scipy.special")
    a = np.linspace(-3.0, 3.0, 200)
    for ufunc in (special.cbrt, special.exp2, np.cbrt, np.exp2):  # SciPy's differ from NumPy's in last digits
        x, y = tg.tensor(a), a.copy()
        ufunc.at(x, np.arange(200))
        ufunc.at(y, np.arange(200))
        np.testing.assert_array_equal(x.numpy(), y)


def test_arctan2_is_reduced_one_after_another():
    """NumPy 2.4's own `arctan2.reduce` reads what its vector loop is still to write; `accumulate` is right."""
    for dtype in (np.float32, np.float64):
        x = ODD[:6].astype(dtype)
        wanted = functools.reduce(np.arctan2, x)
        for options in ({}, {"requires_grad": True}):
            np.testing.assert_allclose(np.arctan2.reduce(tg.tensor(x, **options)).item(), wanted, rtol=1e-6)
        np.testing.assert_array_equal(np.arctan2.accumulate(tg.tensor(x)).numpy(), np.arctan2.accumulate(x))
    x = np.array([0.3, 1.2, 0.7, -0.4])
    wanted = tg.grad(lambda x: np.arctan2.accumulate(x)[-1])(x)
    np.testing.assert_allclose(tg.grad(np.arctan2.reduce)(x), wanted)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "nansum", "nanprod", "nanmax", "nanmin"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, np.bool_])
def test_beginnings_and_masks_of_reductions(name, dtype):
    f, x = getattr(np, name), np.resize(ODD, (3, 7)).astype(dtype)
    for options in (
        {"initial": 0.5},
        {"initial": 1, "axis": 0},
        {"initial": 2.5, "axis": 1, "where": np.arange(7) % 3 > 0},
        {"initial": 0.5, "axis": (0, 1), "keepdims": True},
    ):
        wanted = f(x, **options)
        for more in ({}, {"requires_grad": True}) if x.dtype.kind == "f" else ({},):
            found = f(tg.tensor(x, **more), **options).detach().numpy()
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-6 if more else 0)
    np.testing.assert_array_equal(f(tg.tensor(x[:, :0]), axis=1, initial=1).numpy(), f(x[:, :0], axis=1, initial=1))


def test_methods_are_compiled_and_carried_over_batches():
    def f(x, i):
        y = x.copy()
        np.multiply.at(y, i, 3.0)
        return np.hypot.reduce(x) + np.sum(y, initial=2.0) + np.add.reduceat(x, [0, 2])[1]

    x, i = ODD[:5].astype(float), np.array([0, 2, 2])
    compiled = tg.compile(f)
    for j in (i, i, i + 1):
        np.testing.assert_array_equal(compiled(x, j), f(x, j))
    rows = np.stack([x, 2.0 * x])
    np.testing.assert_array_equal(tg.vmap(np.hypot.reduce)(rows), np.hypot.reduce(rows, axis=1))


def test_castings_that_numpy_refuses_leave_its_types_alone():
    """`ufunc.resolve_dtypes` gives types back that it never took, for some of them, until the process dies."""
    x = tg.tensor(np.ones(3, bool))
    for _ in range(200):
        with pytest.raises(TypeError, match="cast"):
            np.add(x, 3, dtype=np.float32, casting="equiv")


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.uint64])
@pytest.mark.parametrize("number", [300, -1, -300, 10**20, -(10**20), 2**63, 100])
def test_comparisons_with_integers_that_the_dtype_does_not_have(dtype, number):
    a = np.array([0, 1, 100], dtype)
    x = tg.tensor(a)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, np.equal, np.less):
        for _ in range(2):
            np.testing.assert_array_equal(compare(x, number).numpy(), compare(a, number))
            np.testing.assert_array_equal(compare(number, x).numpy(), compare(number, a))
    x == 5  # noqa: B015  (a number that is kept, and the same look-up for one that is not)
    np.testing.assert_array_equal((x == number).numpy(), a == number)
    if number > 2**16:
        with pytest.raises(OverflowError):
            x + number if dtype is not np.uint64 else x + 10**30


@pytest.mark.parametrize("ufunc", [np.multiply, np.square, np.divide, np.exp, np.absolute], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_single_complex_numbers_have_the_bits_of_numpy(ufunc, dtype):
    random = np.random.default_rng(0)
    for shape in ((), (1,), (1, 1)):
        for _ in range(40):
            xs = [(random.normal(size=shape) + 1j * random.normal(size=shape)).astype(dtype) for _ in range(ufunc.nin)]
            xs = [np.asarray(x) for x in xs]
            np.testing.assert_array_equal(ufunc(*map(tg.tensor, xs)).numpy(), ufunc(*xs))
