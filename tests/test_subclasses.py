"""Matrices and masked arrays are refused wherever they could meet a tensor: their operators mean something else."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

X = np.array([[1.0, 2.0], [3.0, 4.0]])
MASKED = np.ma.masked_array(X, [[0, 1], [0, 0]])
MEETINGS = {
    "first": lambda a, x: a * x,
    "second": lambda a, x: x * a,
    "product": lambda a, x: a @ x,
    "product, second": lambda a, x: x @ a,
    "ufunc": lambda a, x: np.add(a, x),
    "ufunc, second": lambda a, x: np.arctan2(x, a),
    "function": lambda a, x: np.where(x > 0.0, a, x),
    "list": lambda a, x: np.concatenate([x, a]),
    "dot": lambda a, x: np.dot(a, x),
    "row": lambda a, x: a[0] + x[0],
}


@pytest.fixture
def matrix():
    with pytest.warns(PendingDeprecationWarning):
        return np.asmatrix(X)


@pytest.mark.parametrize("meet", MEETINGS.values(), ids=MEETINGS)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_matrix_is_no_constant(meet, matrix):
    with pytest.raises(TypeError, match=r"numpy.matrix, whose \* is the matrix product.*Use np.asarray"):
        tg.grad(lambda x: np.sum(meet(matrix, x)))(X)


@pytest.mark.parametrize("meet", MEETINGS.values(), ids=MEETINGS)
def test_masked_array_is_no_constant(meet):
    with pytest.raises(TypeError, match=r"which have no masks.*Use m.filled|gradient would be lost|lose its gradient"):
        tg.grad(lambda x: np.sum(meet(MASKED, x)))(X)


@pytest.mark.parametrize(
    "masked_function", [np.ma.log, np.ma.sum, np.ma.masked_invalid, np.ma.array, lambda x: np.ma.masked_where(X > 1, x)]
)
def test_masked_functions_do_not_take_the_values_of_a_tensor(masked_function):
    """`numpy.ma` looks into its operands' attributes before it asks for an array."""
    with pytest.raises(TypeError, match=r"lose its gradient|gradient would be lost"):
        tg.grad(lambda x: np.sum(x + np.asarray(masked_function(x))))(X)
    assert not {"_data", "_mask", "_fill_value", "_baseclass", "_optinfo"} & {*dir(tg.tensor([[1.0]]))}


@pytest.mark.parametrize(
    "call",
    [
        lambda a: tg.grad(lambda x: np.sum(x * x))(a),
        lambda a: tg.jvp(np.sin, (a,), (X,)),
        lambda a: tg.vmap(lambda x: x * x)(a),
        lambda a: tg.compile(lambda x: x * x)(a),
    ],
    ids=["grad", "jvp", "vmap", "compile"],
)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_neither_is_an_argument(call, matrix):
    with pytest.raises(TypeError, match=r"numpy.matrix"):
        call(matrix)
    with pytest.raises(TypeError, match=r"numpy.ma.MaskedArray"):
        call(MASKED)


def test_a_tensor_is_made_of_a_matrix_on_purpose_but_no_mask_is_dropped(matrix):
    np.testing.assert_array_equal(tg.tensor(matrix).numpy(), X)
    with pytest.raises(TypeError, match=r"have no masks; this one has shape \(2, 2\)"):
        tg.tensor(MASKED)


def test_other_subclasses_are_arrays():
    class Named(np.ndarray):
        pass

    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(X.view(Named) * x))(X), X)
