"""Nothing loses a gradient silently: idioms of NumPy code give the right gradient, or an error that names the remedy.

Every idiom of `idioms.py` runs inside `tg.grad` and eagerly on a tensor that requires grad. What passes must have the
gradient that central differences of the same code on plain arrays give; what raises must say what to write instead.
"""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
from idioms import IDIOMS, NUMPYS_OWN_ERROR, NUMPYS_OWN_ERROR_EAGERLY, POINT, SECTIONS

import tapegrad as tg

REMEDY = (
    *("use ", "Use ", "rather than", "stop_gradient", "detach", "write ", "Write ", "compose", "instead", "pass "),
    *("make ", "leave it out", "keeps the history"),
)


def numeric(function, x, step=1e-6):
    """Gradient by central differences on plain arrays."""
    return np.array([(float(function(x + d)) - float(function(x - d))) / (2 * step) for d in step * np.eye(len(x))])


def names_the_remedy(error):
    """Whether an error, or what caused it, says what to write instead."""
    while error is not None:
        if any(word in str(error) for word in REMEDY):
            return True
        error = error.__cause__ or error.__context__
    return False


def assert_not_silent(compute, function, own_errors=NUMPYS_OWN_ERROR):
    try:
        found = compute()
    except (Exception, UserWarning) as error:
        loud = function.__name__ in own_errors
        assert loud or names_the_remedy(error), f"no remedy in: {type(error).__name__}: {error}"
        return
    np.testing.assert_allclose(found, numeric(function, POINT), atol=1e-6)


@pytest.mark.parametrize("name", IDIOMS)
def test_inside_grad(name):
    if name == "quadrature":
        pytest.importorskip("scipy", reason="SciPy is not installed")
    function = IDIOMS[name]
    assert_not_silent(lambda: tg.grad(function)(POINT.copy()), function)


def test_the_page_lists_them():
    assert sum(map(len, SECTIONS.values())) == len(IDIOMS) >= 40
    root = pathlib.Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location("idioms_script", root / "scripts" / "idioms.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (root / "docs" / "reference" / "idioms.md").read_text(encoding="utf-8") == script.page()


def eager_gradient(function, x):
    loss = function(x)
    if not isinstance(loss, tg.Tensor):
        # A Python number came out: eagerly, float(t) and t.item() are how values are read, as in PyTorch.
        pytest.skip("gives a plain number, which cannot be mistaken for a loss")
    loss.backward()
    return np.zeros(3) if x.grad is None else x.grad.numpy()


PYTORCHS_MEANING = {
    "swapped_elements", "element_kept_while_it_is_overwritten", "bubble_sort", "running_total_that_is_kept",
    "element_updated_apart_from_its_array", "number_as_argument_in_place", "array_of_no_axes_is_a_view", "deep_copy",
    "pickled",
}  # fmt: skip
"""Outside of transformations tensors mean what PyTorch's do: elements are views, ``+=`` writes, copies are leaves."""
READ_ON_PURPOSE = {
    "python_float", "python_int", "item", "rounded", "math_floor", "math_trunc", "parsed_text", "arange",
    "numpy_float",
}  # fmt: skip
"""Where a tensor is turned into a number in plain sight: PyTorch allows this eagerly, and so does tapegrad."""


@pytest.mark.parametrize("name", sorted(set(IDIOMS) - READ_ON_PURPOSE - PYTORCHS_MEANING))
def test_eagerly(name):
    function = IDIOMS[name]
    x = tg.tensor(POINT, requires_grad=True)
    assert_not_silent(lambda: eager_gradient(function, x), function, NUMPYS_OWN_ERROR | NUMPYS_OWN_ERROR_EAGERLY)


@pytest.mark.parametrize(
    "name", ["method_of_a_plain_array", "array_of_elements", "out_argument", "plain_array_in_place"]
)
def test_plain_tensors_pass(name):
    """A tensor that requires no grad may become an array: nothing is lost."""
    x = tg.tensor(POINT)
    np.testing.assert_allclose(float(IDIOMS[name](x)), IDIOMS[name](POINT))


@pytest.mark.parametrize("name", ["python_float", "math_sin", "numpy_float", "asarray", "tolist", "item"])
def test_stop_gradient_is_the_way_out(name):
    """What the messages advise works."""

    def stopped(x):
        return IDIOMS[name](tg.stop_gradient(x)) + np.sum(x)

    np.testing.assert_allclose(tg.grad(stopped)(POINT), np.ones(3) + tg.grad(lambda x: np.sum(0.0 * x))(POINT))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("method_of_a_plain_array", r"np\.dot\(w, x\)"),
        ("array_of_elements", r"np\.stack\(\[x\[0\], x\[1\]\]\)"),
        ("element_into_a_plain_array", r"tapegrad\.tensor\(array\)"),
        ("slice_into_a_plain_array", r"tapegrad\.tensor\(array\)"),
        ("masked_elements_into_a_plain_array", r"tapegrad\.tensor\(array\)"),
        ("out_argument", "out="),
        ("plain_array_in_place", r"y = y \+ x"),
        ("math_sin", r"np\.sin\(x\)"),
        ("python_float", "stop_gradient"),
        ("tolist", "stop_gradient"),
        ("element_by_flat", r"tapegrad\.tensor\(array\)"),
        ("nditer", "Use a NumPy function on the tensor itself"),
        ("packed_bytes", "stop_gradient"),
        ("saved_and_read", r"numpy\.save writes plain values.*float64\[3\].*tapegrad\.stop_gradient\(x\)"),
        ("saved_by_name", r"numpy\.savez writes plain values"),
        ("saved_as_text", r"numpy\.savetxt writes plain values"),
    ],
)
def test_message(name, match):
    with pytest.raises(tg.TracedValueError, match=match):
        tg.grad(IDIOMS[name])(POINT)


@pytest.mark.parametrize("name", ["saved_and_read", "saved_by_name", "saved_as_text"])
def test_values_are_saved(name):
    """What requires no grad may be written, and what requires it is refused outside of transformations, too."""
    assert IDIOMS[name](tg.tensor(POINT)) == np.sum(POINT**2)
    with pytest.raises(tg.TracedValueError, match="writes plain values"):
        IDIOMS[name](tg.tensor(POINT, requires_grad=True))
    assert tg.grad(lambda x: x[0] * IDIOMS[name](tg.stop_gradient(x)))(POINT)[0] == np.sum(POINT**2)


def test_an_error_of_another_place_is_left_alone():
    """Only where NumPy's error comes from the very place that asked for a number is it ours."""

    def loses_its_error(x):
        try:
            float(x)
        except tg.TracedValueError:
            pass
        return x * int("none")

    with pytest.raises(ValueError, match="invalid literal"):
        tg.grad(loses_its_error)(2.0)


# --- constants that change --------------------------------------------------------------------------------------------


SIZES = pytest.mark.parametrize("n", [3, 5000])


@SIZES
def test_constant_changed_before_its_row_runs(n):
    x, c = tg.tensor(np.full(n, 2.0), requires_grad=True), np.full(n, 3.0)
    y = x * c
    c[:] = 100.0
    assert y.detach().numpy()[0] == 6.0
    y.sum().backward()
    assert np.all(x.grad.numpy() == 3.0)


@SIZES
def test_constant_changed_before_the_reverse(n):
    x, c = tg.tensor(np.full(n, 2.0), requires_grad=True), np.full(n, 3.0)
    y = (x * c).sum()
    assert y.item() == 6.0 * n
    c[:] = 100.0
    y.backward()
    assert np.all(x.grad.numpy() == 3.0)


@SIZES
def test_constant_changed_inside_grad(n):
    c = np.full(n, 3.0)

    def f(x):
        y = np.sum(x * c)
        c[:] = 100.0
        z = np.sum(x * c)
        c[:] = 3.0
        return y + z

    np.testing.assert_array_equal(tg.grad(f)(np.ones(n)), np.full(n, 103.0))


@SIZES
def test_view_of_a_constant_changed(n):
    x, c = tg.tensor(np.full(n, 2.0), requires_grad=True), np.full(2 * n, 3.0)
    y = (x * c[::2]).sum()
    c[:] = 100.0
    y.backward()
    assert y.item() == 6.0 * n
    assert np.all(x.grad.numpy() == 3.0)


@SIZES
def test_read_only_view_of_a_constant_changed(n):
    """A read-only view is no promise: its base can be written."""
    c = np.full(n, 3.0)
    frozen = c.view()
    frozen.flags.writeable = False
    x = tg.tensor(np.full(n, 2.0), requires_grad=True)
    y = (x * frozen).sum()
    c[:] = 100.0
    y.backward()
    assert y.item() == 6.0 * n
    assert np.all(x.grad.numpy() == 3.0)


@SIZES
def test_argument_changed_inside_grad(n):
    """The array that was passed is written by the function that closes over it."""
    a = np.full(n, 2.0)

    def f(x):
        y = np.sum(x * x)
        a[:] = 100.0
        return y + np.sum(x)

    value, gradient = tg.value_and_grad(f)(a)
    assert value == 6.0 * n
    np.testing.assert_array_equal(gradient, np.full(n, 5.0))


@SIZES
def test_index_array_changed(n):
    index = np.zeros(n, np.int64)
    x = tg.tensor([1.0, 5.0], requires_grad=True)
    y = x[index].sum()
    index[:] = 1
    y.backward()
    assert y.item() == n
    assert x.grad.tolist() == [n, 0.0]


@SIZES
def test_mask_changed(n):
    mask = np.zeros(n, bool)
    x = tg.tensor(np.ones(n), requires_grad=True)
    y = np.where(mask, x, 2.0 * x).sum()
    mask[:] = True
    y.backward()
    assert y.item() == 2.0 * n
    assert np.all(x.grad.numpy() == 2.0)


@SIZES
def test_assigned_constant_changed(n):
    x, c = tg.tensor(np.ones(n), requires_grad=True), np.full(n, 3.0)
    y = x * 1.0
    y[:] = c
    c[:] = 100.0
    assert y.detach().numpy()[0] == 3.0


@SIZES
def test_seed_changed(n):
    x, seed = tg.tensor(np.ones(n), requires_grad=True), np.full(n, 3.0)
    (x * 1.0).backward(seed)
    seed[:] = 100.0
    assert np.all(x.grad.numpy() == 3.0)
