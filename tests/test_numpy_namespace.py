"""Every function of NumPy is supported or has a reason, and what is supported gives NumPy's values."""

from __future__ import annotations

import importlib.util
import pathlib
import warnings

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.catalogue import NOT_ON_TENSORS, entries, functions_of
from tapegrad.primitives.core import BY_FUNCTION
from tapegrad.tape.handle import Tensor

RNG = np.random.default_rng(7)
V = np.sort(RNG.uniform(0.1, 2.0, size=3))
S = RNG.uniform(0.1, 2.0, size=(3, 3)) + 3.0 * np.eye(3)
B = np.array([[True, False, True], [False, False, True], [True, True, False]])
K = np.array([0, 2, 1])
CANDIDATES = [
    (S,), (V,), (S, S), (V, V), (S, V), (S, 1), (V, 2), (S, 0, 1), (K,), (K, K), (V, K), (S, (3, 3)), ([S, S],),
    ([V, V],), (S, K), (S, B), (B,), (B, S), ([B, B], [S, S]), (K, [V, V, V]), (0.5, 1.5), (S, S, S), (V, V, V),
    (S, 1, 0), (S, K, V, 0), (S, K, 1, 0), (V, V, 1), (S + 1j,), (S, (1, 2)), (V, 1, V), (S, 0.3),
]  # fmt: skip
OWN = {
    "apply_along_axis": [(np.sum, 0, S), (np.sort, 1, S)],
    "apply_over_axes": [(np.sum, S, 0), (np.sum, S, (0, 1))],
    "astype": [(S, np.float32), (K, float)],
    "dsplit": [(np.stack([S, S], 2), 2)],
    "put_along_axis": [(S, K[:, None], V[:, None], 1)],
    "ravel_multi_index": [((K, K), (3, 3))],
    "unpackbits": [(K.astype(np.uint8),)],
    "einsum": [("ij,jk", S, S), ("ii", S)],
    "einsum_path": [("ij,jk", S, S)],
    "interp": [(V, V, V[::-1].copy(), 3.0)],
    "piecewise": [(S, B, [np.sin]), (V, [B[0]], [np.sin, 1.0])],
    "unravel_index": [(K, (2, 2))],
}
"""Arguments for functions that want something of their own, besides or instead of the others."""
WRITE = {"copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"}
FILES = {"save", "savetxt", "savez", "savez_compressed"}
TIMES = {"can_cast", "isnat", "busday_count", "busday_offset", "datetime_as_string", "is_busday"}
UNDEFINED = {"empty_like"}
UNORDERED = {"unique_values"}
EXCEPT = {"angle": B, "polydiv": K, "sinc": B}
"""Last arguments that are not tried: NumPy works in half precision on bools, and divides by a leading zero."""
NAMESPACES = {"numpy": np, "numpy.linalg": np.linalg, "numpy.fft": np.fft}
ON_TENSORS = [
    (module, name)
    for module in NAMESPACES
    for name, function in functions_of(NAMESPACES[module])
    if function in BY_FUNCTION and name not in FILES | TIMES | UNDEFINED
]


def test_nothing_is_missing():
    """Fails when NumPy or SciPy has a function that is neither supported nor listed with a reason."""
    assert [e.name for e in entries() if e.state == "missing"] == []


def test_the_reasons_name_functions_that_exist():
    names = {name for module in NAMESPACES.values() for name, _ in functions_of(module)}
    known = {name for names in NOT_ON_TENSORS.values() for name in names.split()}
    assert known - names <= {"row_stack"}  # some NumPy releases have no such alias
    assert not [n for n in known for m in NAMESPACES.values() if BY_FUNCTION.get(getattr(m, n, None))]


def test_the_catalogue_has_every_function():
    found = {e.name for e in entries()}
    for module, space in NAMESPACES.items():
        assert {f"{module}.{name}" for name, _ in functions_of(space)} <= found


def test_most_of_what_has_a_derivative_is_supported():
    found = [e for e in entries() if e.name.startswith("numpy.")]
    supported, refused = (sum(e.state == s for e in found) for s in ("supported", "refused"))
    assert supported / (supported + refused) >= 0.95


def wrapped(x):
    if isinstance(x, np.ndarray):
        return tg.tensor(x)
    return type(x)(map(wrapped, x)) if type(x) in (list, tuple) else x


def flat(y):
    """Results as a list of arrays."""
    if isinstance(y, (list, tuple)):
        return [leaf for part in y for leaf in flat(part)]
    return [y.numpy() if isinstance(y, Tensor) else y]


def copied(x):
    if isinstance(x, np.ndarray):
        return x.copy()
    return type(x)(map(copied, x)) if type(x) in (list, tuple) else x


@pytest.mark.parametrize(("module", "name"), ON_TENSORS)
def test_values_are_numpys(module, name):
    """Whatever arguments of a few shapes NumPy takes, tensors give its result."""
    function = getattr(NAMESPACES[module], name)
    tried = 0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for args in OWN.get(name, CANDIDATES):
            if args[-1] is EXCEPT.get(name, ()):
                continue
            plain = copied(args)
            try:
                expected = function(*plain)
            except Exception:  # NumPy does not take these
                continue
            if name in WRITE:
                if not isinstance(plain[0], np.ndarray):
                    continue
                expected = plain[0]
            tensors = wrapped(copied(args))
            if not any(isinstance(leaf, Tensor) for leaf in leaves(tensors)):
                continue
            found = function(*tensors)
            if name in WRITE:
                found = tensors[0]
            if name in UNORDERED:
                found, expected = np.sort(found), np.sort(expected)
            compare(name, args, flat(found), flat(expected))
            tried += 1
    assert tried, f"no candidate fits {name}"


def leaves(x):
    return [leaf for part in x for leaf in leaves(part)] if isinstance(x, (list, tuple)) else [x]


def compare(name, args, found, expected):
    assert len(found) == len(expected), (name, args)
    for y, want in zip(found, expected, strict=True):
        assert np.shape(y) == np.shape(want), (name, args, np.shape(y), np.shape(want))
        want = np.asarray(want)
        if want.dtype.kind in "fc":
            np.testing.assert_allclose(y, want, rtol=1e-9, atol=1e-9, err_msg=f"{name} {args}")
            assert np.asarray(y).dtype == want.dtype, (name, args)
        else:
            np.testing.assert_array_equal(y, want, err_msg=f"{name} {args}")


def test_support_prints_a_table_and_single_functions():
    table = tg.support()
    assert table.startswith("| namespace | supported |") and "| numpy.linalg |" in table
    known = "numpy.isnan: no derivative (no derivative: constant almost everywhere)"
    assert tg.support("numpy.isnan").startswith(known)


def test_the_page_in_docs_is_up_to_date():
    root = pathlib.Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location("support_script", root / "scripts" / "support.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (root / "docs" / "reference" / "support.md").read_text(encoding="utf-8")
    if np.__version__.rpartition(".")[0] not in page:
        pytest.skip("the page was made with another NumPy")
    assert page == script.catalogue()
