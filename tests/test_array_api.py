"""The Array API standard: every name and signature of it, and the results of `array_api_strict`."""

from __future__ import annotations

import inspect
import itertools
import operator
import pathlib

import numpy as np
import pytest
from array_api import ATTRIBUTES, CONSTANTS, DTYPES, FUNCTIONS, METHODS, OPERATORS

import tapegrad as tg
import tapegrad.numpy as xp

strict = pytest.importorskip("array_api_strict", reason="the differential tests need array-api-strict")
pytestmark = pytest.mark.filterwarnings(
    "ignore::RuntimeWarning", "ignore:Casting complex values", "ignore:.*NumPy native dtype"
)

DOCS = pathlib.Path(__file__).parents[1] / "docs" / "reference" / "array_api.md"
DUNDERS = [f"__{n}__" for names in OPERATORS.values() for n in names.split()] + [
    f"__{prefix}{n}__" for prefix in "ri" for n in OPERATORS["binary"].split()
]
FLOATING, EVERY = ("float32", "float64", "complex64", "complex128"), DTYPES
SHAPES = [(), (0,), (3,), (2, 3), (0, 3), (2, 1, 3)]
PAIRS = [((3,), (3,)), ((), (3,)), ((2, 1), (3,)), ((0, 3), (1,)), ((), ())]


def find(name):
    return operator.attrgetter(name)(xp)


# --- names and signatures -----------------------------------------------------------------------------------------


def test_every_name_is_there():
    for name in (*FUNCTIONS, *CONSTANTS, *DTYPES):
        assert find(name) is not Ellipsis
    for name in (*ATTRIBUTES, *METHODS, *DUNDERS):
        assert hasattr(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), name), name
    assert xp.__array_api_version__ == strict.__array_api_version__ == "2025.12"


def test_the_table_has_what_array_api_strict_has():
    settings = {"ArrayAPIStrictFlags", "Device", "__version__", "__array_api_version__", "fft", "linalg"}
    listed = {*FUNCTIONS, *CONSTANTS, *DTYPES} | settings
    for space, prefix in ((strict, ""), (strict.linalg, "linalg."), (strict.fft, "fft.")):
        assert {prefix + n for n in space.__all__ if not n.endswith("array_api_strict_flags")} <= listed
    assert set(dir(xp)) >= {n for n in FUNCTIONS if "." not in n}
    assert {n for n in dir(strict.asarray(1)) if n[:2] == "__"} & set(DUNDERS) == set(DUNDERS)


def accepts(function, standard):
    """Whether a function can be called in the ways of a signature: names by keyword, the rest by position."""
    own = inspect.signature(function)
    parameters = list(standard.parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        own.bind(1, 2, **{p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY})
        return
    for by_keyword in (True, False):
        args, kwargs = [], {}
        for p in parameters:
            keyword = p.kind is p.KEYWORD_ONLY or (by_keyword and p.kind is p.POSITIONAL_OR_KEYWORD)
            if keyword:
                kwargs[p.name] = p.default
            else:
                args.append(p.default)
        own.bind(*args, **kwargs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures(name):
    function = find(name)
    if isinstance(function, np.ufunc):  # positional operands and no more, where there is no axis
        extra = {"axis": -1} if name == "vecdot" else {}
        assert function.nin == len(FUNCTIONS[name].parameters) - len(extra)
        assert not extra or function.signature
    else:
        accepts(function, FUNCTIONS[name])


@pytest.mark.parametrize("name", METHODS)
def test_signatures_of_methods(name):
    accepts(getattr(tg.Tensor, name), METHODS[name])


# --- values --------------------------------------------------------------------------------------------------------


def array(dtype, shape, seed=0):
    """A NumPy array with signs, ties and a zero."""
    rng = np.random.default_rng(len(shape) + 10 * seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.asarray(rng.integers(0, 2, shape), bool)
    if kind in "iu":
        return np.asarray(rng.integers(0 if kind == "u" else -3, 5, shape), dtype)
    values = np.round(rng.uniform(-1.5, 1.5, shape), 1)
    if kind == "c":
        values = values + 1j * np.round(rng.uniform(-1.0, 1.0, shape), 1)
    return np.asarray(values, dtype)


def same(found, wanted, where):
    """Check values, dtypes and shapes, in containers too."""
    if isinstance(wanted, (tuple, list)):
        assert isinstance(found, (tuple, list)) and len(found) == len(wanted), where
        assert getattr(found, "_fields", ()) == getattr(wanted, "_fields", ()), where
        for pair in zip(found, wanted, strict=True):
            same(*pair, where)
    elif isinstance(wanted, type(strict.asarray(0))):
        assert isinstance(found, tg.Tensor), (where, type(found))
        wanted = np.asarray(wanted)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), where
        single = wanted.dtype.char in "fF"
        tolerance = {"rtol": 2e-5, "atol": 1e-6} if single else {"rtol": 1e-12, "atol": 1e-13}
        np.testing.assert_allclose(found.numpy(), wanted, err_msg=str(where), **tolerance)
    elif isinstance(wanted, type(strict.float32)):
        assert found == wanted._np_dtype, where
    else:
        assert isinstance(found, (type(wanted), np.floating)) and found == wanted, where


def compare(text, least=1, **arrays):
    """Evaluate a call in both namespaces; what array_api_strict refuses is not compared.

    Returns
    -------
    int
        1 if results were compared.
    """
    mine = {name: xp.asarray(a) if isinstance(a, np.ndarray) else a for name, a in arrays.items()}
    theirs = {name: strict.asarray(a) if isinstance(a, np.ndarray) else a for name, a in arrays.items()}
    try:
        wanted = eval(text, {"xp": strict, **theirs})
    except (TypeError, ValueError, IndexError, np.linalg.LinAlgError):
        return 0
    same(eval(text, {"xp": xp, **mine}), wanted, (text, arrays))
    return 1


UNARY = [
    n for n, s in FUNCTIONS.items()
    if list(s.parameters) == ["x"] and s.parameters["x"].kind is inspect.Parameter.POSITIONAL_ONLY and "." not in n
]  # fmt: skip
BINARY = [n for n, s in FUNCTIONS.items() if list(s.parameters) == ["x1", "x2"] and "." not in n]
UNDEFINED = {
    "bitwise_left_shift": "negative shifts", "bitwise_right_shift": "negative shifts", "pow": "negative integer powers",
}  # fmt: skip
"""Where operands of one sign only are compared: the standard leaves the others open."""


@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("from_dlpack", "matrix_transpose")])
def test_functions_of_one_array(name):
    done = sum(compare(f"xp.{name}(a)", a=array(d, shape)) for d in EVERY for shape in SHAPES)
    assert done


@pytest.mark.parametrize("name", [n for n in BINARY if n != "matmul"])
def test_functions_of_two_arrays_and_of_a_number(name):
    done = 0
    for d, e in itertools.product(EVERY, EVERY):
        for left, right in PAIRS if d == e else PAIRS[:1]:
            a, b = array(d, left), array(e, right, 1)
            if name in UNDEFINED and np.dtype(e).kind in "iu":
                b = np.abs(b)
            done += compare(f"xp.{name}(a, b)", a=a, b=b)
    for d, number in itertools.product(EVERY, (2, 1.5, True, 1j)):
        done += compare(f"xp.{name}(a, {number})", a=array(d, (3,)))
        done += compare(f"xp.{name}({number}, a)", a=np.abs(array(d, (3,))) if name in UNDEFINED else array(d, (3,)))
    assert done


@pytest.mark.parametrize("name", OPERATORS["binary"].split() + OPERATORS["comparison"].split())
def test_binary_operators(name):
    method = getattr(operator, f"__{name}__")
    in_place = getattr(operator, f"__i{name}__", method)
    done = 0
    for d, e in itertools.product(EVERY, EVERY):
        a, b = array(d, (2, 2)), array(e, (2, 2), 1)
        b = np.abs(b) if name in ("lshift", "rshift", "pow") and np.dtype(e).kind in "iu" else b
        for f, other in itertools.product((method, in_place), (b, 2, 0.5)):
            done += compare("f(a, b)", f=f, a=a.copy(), b=other)
        done += compare("f(2, b)", f=method, b=b)
    assert done


def test_unary_operators_and_conversions():
    done = 0
    for name in [*OPERATORS["unary"].split(), "index"]:
        done += sum(compare("f(a)", f=getattr(operator, f"__{name}__"), a=array(d, ())) for d in EVERY)
    for f, d in itertools.product((bool, int, float, complex), EVERY):
        done += compare("f(a)", f=f, a=array(d, ()))
    assert done > 50


AXES = ("", ", axis=0", ", axis=-1", ", axis=-1, keepdims=True")
SEVERAL = (*AXES, ", keepdims=True", ", axis=(0, 1)", ", axis=()")
CALLS = {
    **{n: [f"a{k}" for k in SEVERAL] for n in ("all", "any", "count_nonzero", "max", "mean", "min")},
    **{n: [f"a{k}" for k in (*SEVERAL, ", dtype=xp.float32", ", dtype=xp.int16")] for n in ("prod", "sum")},
    **{n: [f"a{k}" for k in (*SEVERAL, ", correction=1", ", axis=0, correction=0.5")] for n in ("std", "var")},
    **{n: [f"a{k}" for k in AXES] for n in ("argmax", "argmin")},
    **{
        n: [f"a{k}" for k in ("", ", axis=0", ", descending=True", ", axis=0, descending=True, stable=True")]
        for n in ("argsort", "sort")
    },
    **{
        n: [f"a, axis=-1{k}" for k in ("", ", include_initial=True", ", dtype=xp.float64")] + ["a"]
        for n in ("cumulative_sum", "cumulative_prod")
    },
    "diff": ["a", "a, axis=0", "a, n=2", "a, prepend=a", "a, axis=0, append=a"],
    "astype": [f"a, xp.{d}" for d in ("bool", "int8", "float32", "complex64")] + ["a, a.dtype, copy=False"],
    "broadcast_arrays": ["a, a[..., :1]", "a"],
    "broadcast_to": ["a, (2, *a.shape)", "a, shape=a.shape"],
    "clip": ["a", "a, 0, 1", "a, min=1", "a, max=1", "a, a, a"],
    "concat": ["(a, a)", "[a, a], axis=-1", "(a, a, a), axis=None"],
    "stack": ["(a, a)", "[a], axis=-1", "(a, a), axis=1"],
    "unstack": ["a", "a, axis=-1"],
    "expand_dims": ["a, axis=0", "a, 1", "a, -1", "a, axis=(0, -1)"],
    "flip": ["a", "a, axis=0", "a, axis=(0, 1)"],
    "roll": ["a, 1", "a, -2, axis=-1", "a, (1, 2), axis=(0, 1)"],
    "moveaxis": ["a, 0, -1", "a, (0, 1), (1, 0)"],
    "permute_dims": ["a, (1, 0)", "a, axes=(2, 0, 1)", "a, (0,)", "a, (-1, 0)"],
    "matrix_transpose": ["a"],
    "repeat": ["a, 2", "a, 2, axis=0", "a, xp.asarray([1, 0, 2]), axis=-1"],
    "tile": ["a, (2,)", "a, (2, 1, 2)", "a, ()"],
    "reshape": ["a, (-1,)", "a, shape=(3, -1)", "a, a.shape, copy=True"],
    "squeeze": ["a, axis=1", "a, (1,)"],
    "take": ["a, xp.asarray([1, 0]), axis=-1", "a, xp.asarray([0, 0, 1])"],
    "take_along_axis": ["a, xp.zeros(a.shape, dtype=xp.int64)", "a, xp.zeros(a.shape, dtype=xp.int64), axis=0"],
    "tril": ["a", "a, k=1"],
    "triu": ["a", "a, k=-1"],
    "meshgrid": ["a, a", "a, indexing='ij'"],
    "isin": ["a, a[..., :1]", "a, 1", "1, a"],
    "isdtype": [
        f"a.dtype, {k!r}"
        for k in (
            "bool",
            "signed integer",
            "unsigned integer",
            "integral",
            "real floating",
            "complex floating",
            "numeric",
        )
    ]
    + ["a.dtype, (xp.float32, 'bool')"],
    "result_type": [f"a.dtype, xp.{d}" for d in DTYPES] + ["a, 1", "a, 1.5, xp.float32", "a, 1j"],
    "searchsorted": ["xp.sort(a), a", "xp.sort(a), a, side='right'", "a, a, sorter=xp.argsort(a)", "xp.sort(a), 1"],
    "tensordot": ["a, a, axes=0", "a, a, axes=((0,), (0,))", "a, a, axes=1"],
    "vecdot": ["a, a", "a, a, axis=-2", "a, a[:1, ...]"],
    "where": ["a > 0, a, a", "a == a, 1, a", "a != a, a, 2.5"],
    "empty_like": ["a, dtype=xp.int8, device=None"],
    "full_like": ["a, 1", "a, 2, dtype=xp.float32", "a, fill_value=1"],
    "ones_like": ["a", "a, dtype=xp.int8"],
    "zeros_like": ["a", "a, dtype=xp.complex64, device=None"],
    "asarray": ["a", "a, dtype=xp.float64, copy=True", "a, copy=False"],
    "from_dlpack": ["a", "a, copy=True"],
    "linalg.diagonal": ["a", "a, offset=1", "a, offset=-1"],
    "linalg.trace": ["a", "a, offset=1", "a, dtype=xp.float32"],
    "linalg.matrix_transpose": ["a"],
    "linalg.cross": ["a, a + a", "a, a, axis=-1"],
    "linalg.outer": ["a, a"],
    "linalg.vecdot": ["a, a", "a, a, axis=-2"],
    "linalg.tensordot": ["a, a, axes=0"],
    "linalg.vector_norm": [
        "a",
        "a, axis=-1, keepdims=True",
        "a, ord=1",
        "a, axis=0, ord=3.5",
        "a, ord=xp.inf",
        "a, ord=0",
    ],
    "linalg.matrix_norm": ["a", "a, keepdims=True", *(f"a, ord={k}" for k in (1, -1, 2, -2, "'nuc'", "xp.inf"))],
    **{
        f"fft.{n}": ["a", "a, n=4", "a, axis=0, norm='ortho'", "a, norm='forward'"]
        for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    },
    **{
        f"fft.{n}": ["a", "a, axes=(0,)", "a, s=(4, 2), axes=(0, 1)", "a, norm='ortho'"]
        for n in ("fftn", "ifftn", "rfftn", "irfftn")
    },
    **{f"fft.{n}": ["a", "a, axes=0", "a, axes=(0,)"] for n in ("fftshift", "ifftshift")},
}
"""Arguments, for arrays `a` of every dtype and shape."""
MATRICES = {
    "matmul": ["m, m", "m, m[..., 0]", "m[..., 0, :], m"],
    "linalg.matmul": ["m, m"],
    "linalg.cholesky": ["p", "p, upper=True"],
    "linalg.det": ["m"],
    "linalg.eigh": ["p"],
    "linalg.eigvalsh": ["p"],
    "linalg.inv": ["m"],
    "linalg.matrix_power": ["m, 3", "m, 0", "m, -1"],
    "linalg.matrix_rank": ["m", "m, rtol=0.5"],
    "linalg.pinv": ["m", "m[..., :2], rtol=1e-8"],
    "linalg.qr": ["m", "m[..., :2], mode='complete'"],
    "linalg.slogdet": ["m"],
    "linalg.solve": ["m, m", "m, m[..., :1]"],
    "linalg.svd": ["m", "m[..., :2], full_matrices=False", "m[..., :2], full_matrices=True"],
    "linalg.svdvals": ["m[..., :2]"],
    "linalg.eig": ["m"],
    "linalg.eigvals": ["m"],
}
"""Arguments, for square matrices `m` and positive definite ones `p`."""
ALONE = {
    "arange": ["4", "1, 4", "1, stop=7, step=2", "0.5, 2.5, 0.5", "3, dtype=xp.float32, device=None", "5, 1, -1", "0"],
    "asarray": ["1", "1.5", "True", "1j", "[[1, 2], [3, 4]]", "[1.0, 2], dtype=xp.float32", "[], dtype=xp.int8"],
    "empty": ["(2, 0)", "0, dtype=xp.int8"],
    "eye": ["3", "3, 4, k=1", "2, 3, k=-1, dtype=xp.int8", "0"],
    "full": ["(2, 3), 1", "2, 1.5", "(), True", "(1,), 1j", "(2,), 1, dtype=xp.float32"],
    "linspace": ["0, 1, 5", "0, 1, num=4, endpoint=False", "0.0, 1.0, 3, dtype=xp.float32", "0, 1j, 3", "1, 2, 0"],
    "ones": ["3", "(2, 3), dtype=xp.bool", "()"],
    "zeros": ["3", "(2, 0), dtype=xp.complex64, device=None", "()"],
    "can_cast": ["xp.float32, xp.float64", "xp.float64, xp.float32", "xp.zeros(2), xp.float32", "xp.int8, xp.uint8"],
    "broadcast_shapes": ["(2, 1), (3,)", "()", "(0,), (1,)"],
    "fft.fftfreq": ["4", "5, d=0.5, dtype=xp.float32", "3, device=None"],
    "fft.rfftfreq": ["4", "5, d=0.5, dtype=xp.float32"],
    "meshgrid": ["xp.arange(3), xp.arange(2)", "xp.arange(3), xp.arange(2), indexing='ij'"],
}
"""Arguments that are no arrays."""
DTYPE_FACTS = {
    "finfo": ("bits", "eps", "max", "min", "smallest_normal", "dtype"),
    "iinfo": ("bits", "max", "min", "dtype"),
}


@pytest.mark.parametrize(("name", "arguments"), [(n, a) for n, calls in CALLS.items() for a in calls])
def test_functions_of_an_array(name, arguments):
    if name.startswith("empty"):
        assert xp.empty_like(xp.zeros((2, 0)), dtype=xp.int8).dtype == xp.int8
        return
    shapes = [s for s in SHAPES if 0 not in s] if name.startswith("fft") else SHAPES  # NumPy reads beyond empty arrays
    assert sum(compare(f"xp.{name}({arguments})", a=array(d, shape)) for d in EVERY for shape in shapes)


@pytest.mark.parametrize(("name", "arguments"), [(n, a) for n, calls in MATRICES.items() for a in calls])
def test_functions_of_matrices(name, arguments):
    done = 0
    for d, batch in itertools.product(FLOATING, ((), (2,), (0,))):
        if name in ("linalg.eig", "linalg.eigvals") and np.dtype(d).kind == "f":
            continue  # NumPy's result is real where the values are
        m = array(d, (*batch, 3, 3)) + 3 * np.eye(3, dtype=d)
        p = m @ np.conj(np.swapaxes(m, -1, -2))
        if hasattr(strict.linalg, name.rpartition(".")[2]):
            done += compare(f"xp.{name}({arguments})", m=m, p=p)
        else:  # newer than array_api_strict
            y, wanted = find(name)(xp.asarray(m)), operator.attrgetter(name)(np)(m)
            for found, values in zip(
                y if isinstance(y, tuple) else (y,), wanted if isinstance(y, tuple) else (wanted,), strict=True
            ):
                done += 1
                np.testing.assert_allclose(found.numpy(), values, rtol=1e-4 if d in ("float32", "complex64") else 1e-10)
    assert done


@pytest.mark.parametrize(("name", "arguments"), [(n, a) for n, calls in ALONE.items() for a in calls])
def test_functions_of_numbers(name, arguments):
    if name == "empty":
        made = eval(f"xp.empty({arguments})", {"xp": xp})
        assert isinstance(made, tg.Tensor) and made.size == 0
    else:
        assert compare(f"xp.{name}({arguments})")


@pytest.mark.parametrize("dtype", DTYPES)
def test_facts_about_dtypes(dtype):
    for name, facts in DTYPE_FACTS.items():
        for argument in (f"xp.{dtype}", "a"):
            for fact in facts:
                compare(f"xp.{name}({argument}).{fact}", a=array(dtype, (2,)))
    assert xp.zeros(2, dtype=getattr(xp, dtype)).dtype == getattr(xp, dtype) == xp.asarray(array(dtype, ())).dtype


def test_isin_inverted():
    """array_api_strict 2.6.1 takes no notice of it."""
    np.testing.assert_array_equal(xp.isin(xp.arange(3), xp.asarray([1]), invert=True).numpy(), [True, False, True])


def test_constants():
    assert xp.newaxis is None and np.isnan(xp.nan)
    assert all(getattr(xp, n) == getattr(strict, n) for n in ("e", "inf", "pi"))


def test_every_function_is_compared():
    own = {"__array_namespace_info__", "finfo", "iinfo", "isdtype"}
    assert set(FUNCTIONS) == {*own, *UNARY, *BINARY, *CALLS, *MATRICES, *ALONE}


KEYS = [
    "0", "-1", "...", "None", "()", "slice(None)", "slice(1, None)", "slice(None, None, -1)", "(0, ...)", "(..., 0)",
    "(slice(None), 0)", "(None, ...)", "(..., None)", "a > 0", "xp.asarray([1, 0])", "(xp.asarray([1, 0]), 0)",
    "(0, xp.asarray([0, 2, 1]))", "(slice(0, 0), ...)", "xp.asarray(1)",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_indexing(key):
    done = sum(compare(f"a[{key}]", a=array(d, shape)) for d in ("bool", "int8", "float64") for shape in SHAPES)
    assert done
    for d, value in itertools.product(("int8", "float32", "complex64"), ("1", "xp.zeros((), dtype=a.dtype)")):
        compare(f"(a.__setitem__({key}, {value}), a)[1]", a=array(d, (2, 3)))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes(name):
    if name == "device":
        assert xp.ones(2).device == xp.__array_namespace_info__().default_device() == "cpu"
        return
    assert sum(compare(f"a.{name}", a=array(d, shape)) for d in EVERY for shape in SHAPES if name != "size") + (
        name == "size"
    )
    assert xp.ones((2, 3)).size == 6 and isinstance(xp.ones(2).size, int)


# --- errors ---------------------------------------------------------------------------------------------------------


ERRORS = {
    "xp.add(xp.ones(2), xp.ones(3))": ValueError,
    "xp.reshape(xp.ones(3), (2, 2))": ValueError,
    "xp.broadcast_to(xp.ones(3), (2,))": ValueError,
    "xp.broadcast_shapes((2,), (3,))": ValueError,
    "xp.concat((xp.ones((2, 2)), xp.ones((3, 3))))": ValueError,
    "xp.stack((xp.ones(2), xp.ones(3)))": ValueError,
    "xp.squeeze(xp.ones(2), 0)": ValueError,
    "xp.expand_dims(xp.ones(2), axis=5)": (IndexError, ValueError),
    "xp.sum(xp.ones(2), axis=3)": (IndexError, ValueError),
    "xp.flip(xp.ones(2), axis=1)": (IndexError, ValueError),
    "xp.unstack(xp.ones(()))": (IndexError, ValueError),
    "xp.max(xp.ones(0))": ValueError,
    "xp.argmax(xp.ones(0))": ValueError,
    "xp.matmul(xp.ones((2, 3)), xp.ones((2, 3)))": ValueError,
    "xp.matmul(xp.ones(()), xp.ones(2))": ValueError,
    "xp.matrix_transpose(xp.ones(2))": ValueError,
    "xp.ones(2).mT": ValueError,
    "xp.vecdot(xp.ones(2), xp.ones(3))": ValueError,
    "xp.tensordot(xp.ones(2), xp.ones(3), axes=1)": ValueError,
    "xp.ones(2)[5]": IndexError,
    "xp.ones((2, 2))[0, 0, 0]": IndexError,
    "xp.ones(2)[xp.asarray([True, False, True])]": IndexError,
    "xp.take(xp.ones(2), xp.asarray([5]), axis=0)": IndexError,
    "bool(xp.ones(2))": (TypeError, ValueError),
    "float(xp.ones(2))": (TypeError, ValueError),
    "int(xp.asarray(xp.nan))": ValueError,
    "float(xp.asarray(1j))": TypeError,
    "operator.index(xp.asarray(1.0))": TypeError,
    "len(xp.ones(()))": TypeError,
    "iter(xp.ones(())).__next__()": (TypeError, IndexError),
    "xp.asarray([1.0], copy=False)": ValueError,
    "xp.asarray(xp.ones(2), dtype=xp.float32, copy=False)": ValueError,
    "xp.asarray(1, device='gpu')": ValueError,
    "xp.zeros(2, device='gpu')": ValueError,
    "xp.ones(2).to_device('gpu')": ValueError,
    "xp.ones(2).to_device('cpu', stream=1)": ValueError,
    "xp.ones(2).__array_namespace__(api_version='1999.01')": ValueError,
    "xp.bitwise_and(xp.ones(2), xp.ones(2))": TypeError,
    "xp.floor(xp.asarray(1j))": TypeError,
    "xp.isdtype(xp.float64, 'no such kind')": ValueError,
    "xp.linalg.inv(xp.ones((2, 2)))": xp.linalg.LinAlgError,
    "xp.linalg.inv(xp.ones((2, 3)))": xp.linalg.LinAlgError,
    "xp.linalg.cholesky(-xp.eye(2))": xp.linalg.LinAlgError,
    "xp.linalg.solve(xp.eye(2), xp.ones(3))": ValueError,
    "xp.linalg.cross(xp.ones(4), xp.ones(4))": ValueError,
    "xp.fft.fft(xp.ones(()))": (IndexError, ValueError),
    "xp.fft.fft(xp.ones(2), norm='no such norm')": ValueError,
    "xp.linspace(0, 1, num=-1)": ValueError,
    "xp.__array_namespace_info__().dtypes(kind='no such kind')": ValueError,
    "xp.zeros(2, dtpye=xp.int8)": TypeError,
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    with pytest.raises(ERRORS[text]):
        eval(text, {"xp": xp, "operator": operator})


# --- inspection -------------------------------------------------------------------------------------------------------


def test_inspection():
    info, theirs = xp.__array_namespace_info__(), strict.__array_namespace_info__()
    assert info.capabilities().keys() == theirs.capabilities().keys()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 32}
    assert info.devices() == ("cpu",)
    for name in ("real floating", "complex floating", "integral", "indexing"):
        assert info.default_dtypes(device="cpu")[name] == theirs.default_dtypes()[name]._np_dtype
    for kind in (
        None,
        "bool",
        "signed integer",
        "unsigned integer",
        "integral",
        "real floating",
        "numeric",
        ("bool", "integral"),
    ):
        assert info.dtypes(kind=kind) == {n: d._np_dtype for n, d in theirs.dtypes(kind=kind).items()}


def test_as_many_axes_as_promised():
    most = xp.__array_namespace_info__().capabilities()["max dimensions"]
    x = tg.tensor(np.ones((1,) * most), requires_grad=True)
    (x * 2.0 + x.sum(axis=0, keepdims=True)).sum().backward()
    assert x.grad.item() == 3.0


def test_namespace_of_a_tensor():
    x = tg.tensor([1.0, 2.0])
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is xp


# --- DLPack -------------------------------------------------------------------------------------------------------


def test_dlpack_shares_memory_both_ways():
    a = np.arange(3.0)
    x = xp.from_dlpack(a)
    x[0] = 5.0
    assert a[0] == 5.0
    b = np.from_dlpack(x)
    a[1] = 7.0
    assert b[1] == x[1].item() == 7.0 and x.__dlpack_device__() == (1, 0)
    y = xp.from_dlpack(a, copy=True)
    y[2] = -1.0
    assert a[2] == 2.0


def test_dlpack_sees_later_writes_and_gradients_are_right():
    x = tg.tensor(np.arange(3.0))
    shared = np.from_dlpack(x)
    w = tg.tensor(np.ones(3), requires_grad=True)
    loss = (w * x).sum()
    shared[:] = 100.0
    assert loss.item() == 3.0


def test_read_only_memory_is_copied():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = xp.from_dlpack(a)
    x[0] = 9.0
    assert a[0] == 0.0
    with pytest.raises(BufferError, match="read-only"):
        xp.from_dlpack(a, copy=False)


def test_dlpack_loses_no_gradient():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(BufferError, match=r"x\.detach\(\)"):
        np.from_dlpack(x)
    with pytest.raises(BufferError, match=r"x\.detach\(\)"):
        tg.grad(lambda x: np.from_dlpack(x).sum())(np.ones(2))
    assert xp.from_dlpack(x) is x


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "bool" and not d.startswith("complex")])
def test_equal_elements_stay_in_order(dtype):
    a = np.random.default_rng(3).integers(0, 4, (3, 200)).astype(dtype)
    for options in ({}, {"descending": True}, {"axis": 0, "descending": True}):
        expected = np.asarray(strict.argsort(strict.asarray(a), **options)._array)
        np.testing.assert_array_equal(np.asarray(xp.argsort(xp.asarray(a), **options)), expected)
        np.testing.assert_array_equal(xp.argsort(a, **options), expected)


def test_dlpack_with_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    t = torch.arange(3.0)
    x = tg.from_dlpack(t)
    x[0] = 4.0
    assert t[0] == 4.0
    assert torch.from_dlpack(x)[0] == 4.0 and torch.from_dlpack(tg.ones(2, dtype=int)).dtype == torch.int64
    assert torch.from_dlpack(x, copy=True)[0] == 4.0


def test_the_namespace_is_numpys_own_for_plain_arrays():
    for name in ("sum", "sort", "argsort", "astype", "isin"):
        extra = {"astype": (float,), "isin": (1,)}.get(name, ())
        assert not isinstance(getattr(xp, name)(np.array([2, 1]), *extra), tg.Tensor)


def test_deviations_are_few():
    deviations = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("- ")]
    assert 0 < len(deviations) <= 12
