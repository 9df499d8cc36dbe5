"""Every primitive, tested from its record: values, both modes, second order, compiled, planted faults."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from records import (
    Case,
    assert_compiled,
    assert_forward,
    assert_pieces,
    assert_pullback,
    assert_second_order,
    assert_values,
    derivative_state,
    dtypes,
    gradients,
    large_cases,
    layouts_matter,
    orders,
    planted,
    precise,
    sample_cases,
    smooth_cases,
    value_cases,
    weights_like,
)

import tapegrad as tg
from tapegrad.primitives.core import BY_FUNCTION, RECORDS, Elementwise, NoRuleError
from tapegrad.tape.state import set_deferral
from tapegrad.values import value_of

ALL = sorted(RECORDS)
WITH_RULE = [n for n in ALL if derivative_state(RECORDS[n]) == "rule"]
WITH_OTHERS = {"copy_slices", "view"}  # they work beside other rows only: see test_views.py, faults included
each = pytest.mark.parametrize("name", ALL)
each_with_rule = pytest.mark.parametrize("name", WITH_RULE)


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"])
def deferral(request):
    before = set_deferral(request.param)
    yield request.param
    set_deferral(before)


def precise_cases(record, times):
    """Cases in double precision at which the record can be differentiated so often."""
    return [c for c in smooth_cases(record) if precise(c) and orders(c) >= times]


@pytest.mark.parametrize("name", [n for n in ALL if n not in WITH_OTHERS])
def test_has_something_to_test_it_with(name):
    record = RECORDS[name]
    assert getattr(record, "probes", None) or list(sample_cases(record)), f"{name} has neither probes nor samples"


@each
def test_documentation_and_names(name):
    record = RECORDS[name]
    assert record.__doc__.strip().endswith(".") and "\n\n" not in record.__doc__.strip()
    assert record.grad_name[0].isupper() and not record.grad_name.endswith("Backward0")


@each
def test_values(name, deferral):
    for case in value_cases(RECORDS[name]):
        assert_values(case, case.on(case.operands))


@each
def test_values_of_samples_in_other_layouts(name):
    record = RECORDS[name]
    for case in sample_cases(record):
        if layouts_matter(case):
            continue
        for layout in (np.asfortranarray, lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x):
            other = Case(record, tuple(layout(x) for x in case.operands), case.attrs, case.label)
            assert_values(other, other.on(other.operands))


@each_with_rule
def test_pullback_against_finite_differences(name):
    for case in precise_cases(RECORDS[name], 1):
        assert_pullback(case)


@pytest.mark.parametrize("name", [n for n in WITH_RULE if isinstance(RECORDS[n], Elementwise)])
def test_pullback_of_large_arrays(name):
    for case, pieces in large_cases(RECORDS[name]):
        if orders(case) >= 1:
            assert_pieces(case, pieces)


@each_with_rule
def test_pullback_in_single_precision(name):
    record = RECORDS[name]
    if isinstance(record, Elementwise) and np.dtype("f") not in dtypes(record):
        pytest.skip("has no loop in single precision")
    for case in smooth_cases(record):
        if not precise(case) or any(x.dtype.kind == "c" for x in case.operands) or layouts_matter(case):
            continue
        single = case.astype(np.dtype("f"))
        double = single.astype(np.dtype("d"))
        weights = weights_like(double)
        for bar, expected in zip(
            gradients(single, [w.astype("f") for w in weights]), gradients(double, weights), strict=True
        ):
            assert bar.dtype == np.float32
            scale = np.max(np.abs(expected), initial=1.0)
            np.testing.assert_allclose(bar, expected, rtol=1e-3, atol=1e-5 * scale, err_msg=str(case))


@each_with_rule
def test_forward_mode_is_the_transpose(name):
    for case in precise_cases(RECORDS[name], 1):
        assert_forward(case)


@each_with_rule
def test_second_order(name):
    for case in precise_cases(RECORDS[name], 2):
        assert_second_order(case)


@pytest.mark.parametrize(
    "name", [n for n in WITH_RULE if min(getattr(RECORDS[n], f"{k}_orders", 99) for k in ("real", "complex")) < 2]
)
def test_orders_without_a_rule_are_refused(name):
    for case in smooth_cases(RECORDS[name]):
        if orders(case) < 2:
            with pytest.raises(NoRuleError, match=r"not in SciPy|not holomorphic|no closed form"):
                assert_second_order(case)


@each_with_rule
def test_compiled_is_dynamic(name):
    large = [case for case, _ in large_cases(RECORDS[name])]
    for case in precise_cases(RECORDS[name], 1)[:3] + large[:1]:
        assert_compiled(case)


@pytest.mark.parametrize("name", [n for n in WITH_RULE if n not in WITH_OTHERS])
def test_planted_faults_are_found(name):
    """The check by finite differences fails where a cotangent is 1 % off or has the wrong sign."""
    record = RECORDS[name]
    tried = 0
    for case in precise_cases(record, 1):
        points = list(case.moving)
        bars = gradients(case, weights_like(case))
        parts = iter(bars)
        reached = {}
        for k in points:
            own = [next(parts) for _ in range(1 + (case.operands[k].dtype.kind == "c"))]
            reached[k] = any(np.any(b != 0) for b in own)
        for k in points:
            if not reached[k]:
                continue
            for factor in (1.01, -1.0):
                with pytest.raises(AssertionError):
                    assert_pullback(case.with_record(planted(record, k, factor)))
                tried += 1
        if tried >= 4:
            break
    assert tried, f"{name}: no case has a cotangent that is not zero"


def test_a_copied_record_passes():
    """A planted fault is found because of the fault, not because the record was copied."""
    for name in ("multiply", "tanh"):
        for case in precise_cases(RECORDS[name], 1):
            assert_pullback(case.with_record(copy.copy(RECORDS[name])))
            assert_pullback(case.with_record(planted(RECORDS[name], 0, 1.0)))


# --- kinks and names, as in PyTorch ---------------------------------------------------------------------------------

TORCH = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "clip": "clamp",
    "expit": "sigmoid",
    "gammaln": "lgamma",
    "psi": "digamma",
    "power": "pow",
    "log_ndtr": "special.log_ndtr",
    "erfcx": "special.erfcx",
    "entr": "special.entr",
    "i0e": "special.i0e",
    "i1": "special.i1",
    "i1e": "special.i1e",
    "xlog1py": "special.xlog1py",
    **{
        name: name
        for name in (
            "add subtract multiply divide negative sqrt square reciprocal sinc exp exp2 expm1 log log2 log10 log1p "
            "logaddexp logaddexp2 sin cos tan sinh cosh tanh hypot maximum minimum fmax fmin copysign fmod remainder "
            "where erf erfc erfinv logit xlogy i0 deg2rad rad2deg"
        ).split()
    },
}
OWN_KINKS = {
    "hypot": "0 at the origin, where PyTorch has NaN",
    "logaddexp": "0 where the derivative is 0, which PyTorch gives as NaN",
    "logaddexp2": "0 where the derivative is 0, which PyTorch gives as NaN",
    "xlogy": "0 where 0 log 0 is, where PyTorch has NaN",
    "xlog1py": "0 where 0 log 0 is, where PyTorch has NaN",
    "arctan2": "right for operands whose squares overflow",
}
WITH_KINKS = [n for n in ALL if getattr(RECORDS[n], "kinks", None)]


def torch_function(name):
    torch = pytest.importorskip("torch")
    found = torch
    for part in TORCH[name].split("."):
        found = getattr(found, part, None)
    return torch, found


@pytest.mark.parametrize("name", WITH_KINKS)
def test_kinks(name):
    record = RECORDS[name]
    for point, expected in record.kinks.items():
        operands = [np.array([x]) for x in point]
        gradient = tg.grad(lambda *xs: np.sum(record(*xs)), argnums=tuple(range(len(operands))))(*operands)
        np.testing.assert_allclose(np.ravel(gradient), expected, rtol=1e-12, err_msg=f"{name} at {point}")


@pytest.mark.parametrize("name", [n for n in WITH_KINKS if n in TORCH and n not in OWN_KINKS])
def test_kinks_as_in_pytorch(name):
    torch, function = torch_function(name)
    for point, expected in RECORDS[name].kinks.items():
        operands = [torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in point]
        found = torch.autograd.grad(function(*operands).sum(), operands, allow_unused=True)
        found = [0.0 if g is None else g.item() for g in found]
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=f"{name} at {point}")


@pytest.mark.parametrize("name", sorted(n for n in TORCH if n in RECORDS))
def test_grad_name_is_pytorchs(name):
    torch, function = torch_function(name)
    record = RECORDS[name]
    (case, *_) = smooth_cases(record)
    operands = [torch.tensor(np.atleast_1d(x)) for x in case.operands]
    for x in operands:
        if x.is_floating_point():
            x.requires_grad_()
    result = function(*operands)
    theirs = result.grad_fn.name().removesuffix("Backward0").removesuffix("Backward1")
    assert record.grad_name == theirs


def test_every_ufunc_has_a_record():
    ufuncs = {f for f in vars(np).values() if isinstance(f, np.ufunc)}
    assert not [f.__name__ for f in ufuncs if f not in BY_FUNCTION]


# --- functions that NumPy composes of others --------------------------------------------------------------------------

X = np.array([1.5, -2.25, 0.0, -0.0, np.inf, -np.inf, np.nan])
INTEGERS = np.arange(-3, 4)
Z = np.array([1 + 2j, -3 + 0.5j, 0j, np.inf + 1j])
COMPOSED = [
    (np.clip, (X, -1, 1)),
    (np.clip, (X, None, 1.0)),
    (np.clip, (X.astype("f"), 0, None)),
    (np.clip, (INTEGERS, None, 2)),
    (np.clip, (INTEGERS, 0.5, 2)),
    (np.modf, (X,)),
    (np.frexp, (X,)),
    (np.divmod, (INTEGERS, 2)),
    (np.divmod, (X, 2.0)),
    (np.isclose, (X, X + 1e-9)),
    (np.isclose, (X, X, 1e-5, 1e-8, True)),
    (np.allclose, (INTEGERS, INTEGERS)),
    (np.array_equal, (X, X)),
    (np.array_equal, (X, X, True)),
    (np.angle, (X,)),
    (np.angle, (X.astype("f"),)),
    (np.angle, (INTEGERS,)),
    (np.angle, (Z, True)),
    (np.select, ([X > 1, X < -1], [X, X * X], 7)),
    (np.select, ([X > 1, X < -1], [X, 1])),
    (np.nan_to_num, (X,)),
    (np.nan_to_num, (X.astype("f"),)),
    (np.nan_to_num, (INTEGERS,)),
    (np.nan_to_num, (Z,)),
    (np.round, (X,)),
    (np.round, (X, 1)),
    (np.round, (Z, 1)),
    (np.round, (INTEGERS, -1)),
    (np.fix, (X,)),
    (np.isposinf, (X,)),
    (np.isneginf, (X,)),
    (np.real, (Z,)),
    (np.imag, (X,)),
    (np.isreal, (Z,)),
    (np.iscomplex, (Z,)),
    (np.iscomplexobj, (Z,)),
    (np.i0, (INTEGERS,)),
    (np.sinc, (INTEGERS,)),
    (np.where, (INTEGERS, X, 0)),
    (np.where, (X > 0, INTEGERS, 2.5)),
    (np.maximum, (INTEGERS, 2.5)),
]


@pytest.mark.parametrize(
    ("function", "operands"), COMPOSED, ids=[f"{f.__name__}-{k}" for k, (f, _) in enumerate(COMPOSED)]
)
def test_composed_functions(function, operands):
    tensors = [wrapped(x) for x in operands]
    with np.errstate(all="ignore"):
        expected = function(*operands)
    found = function(*tensors)
    for y, reference in zip(*[v if isinstance(v, tuple) else (v,) for v in (found, expected)], strict=True):
        y = value_of(y) if isinstance(y, tg.Tensor) else np.asarray(y)
        assert y.dtype == np.asarray(reference).dtype
        np.testing.assert_allclose(y, reference, rtol=1e-6 if y.dtype == np.float32 else 1e-14)


def wrapped(x):
    if isinstance(x, list):
        return [wrapped(element) for element in x]
    return tg.tensor(x) if isinstance(x, np.ndarray) else x


def test_a_missing_rule_says_so():
    x = np.full(2, 2.0)
    with pytest.raises(NoRuleError, match="nextafter has no derivative"):
        tg.grad(lambda a: np.sum(np.nextafter(a, 3.0)))(x)
    special = pytest.importorskip("scipy.special")
    with pytest.raises(NoRuleError, match="make the order a constant"):
        tg.grad(lambda a: np.sum(special.jv(a, 1.0)))(x)


def test_half_precision_gradients():
    gradient = tg.grad(lambda a: np.sum(np.exp(a) * a))(np.ones(3, np.float16))
    assert gradient.dtype == np.float16
    np.testing.assert_allclose(gradient, 2 * np.e, rtol=1e-3)
