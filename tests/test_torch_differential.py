"""Many small programs, each written once, whose outcome must be PyTorch's: values, gradients, errors and their words.

A program takes the library as its argument, and returns what is to be compared. `words` are key words of the message of
the error that it ends in, in both libraries; a program without them must end well in both.
"""

from __future__ import annotations

import warnings

import differential
import numpy as np
import pytest

import tapegrad as tg
from tapegrad.tape.record import rotate
from tapegrad.tape.state import local


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"], autouse=True)
def deferral(request):
    rotate(local.state)
    before = tg.set_deferral(request.param)
    yield request.param
    tg.set_deferral(before)


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)
    torch.set_grad_enabled(True)


def outcome(lib, run):
    """What a program comes to: its plain result, or its error's type and message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "value", plain(run(lib))
        except Exception as error:
            return type(error).__name__, str(error)


def plain(x):
    """Tensors as arrays with their flags, containers of them likewise."""
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, (tuple, list)):
        return [plain(y) for y in x]
    if isinstance(x, dict):
        return {k: plain(y) for k, y in x.items()}
    if isinstance(x, (np.ndarray, np.generic)):
        return {"array": np.asarray(x)}
    if hasattr(x, "requires_grad"):
        return {"array": np.array(x.detach().numpy()), "requires_grad": bool(x.requires_grad), "leaf": bool(x.is_leaf)}
    raise TypeError(f"a program returned {type(x).__name__}, which cannot be compared")


def assert_same(ours, theirs, at="result"):
    """Nested results agree."""
    assert type(ours) is type(theirs), f"{at}: {ours!r} against {theirs!r}"
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), at
        for k in theirs:
            assert_same(ours[k], theirs[k], f"{at}[{k!r}]")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), f"{at}: {ours!r} against {theirs!r}"
        for k, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same(*pair, f"{at}[{k}]")
    elif isinstance(theirs, np.ndarray):
        assert ours.shape == theirs.shape, f"{at}: {ours!r} against {theirs!r}"
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10, err_msg=at)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-7, nan_ok=True), at
    else:
        assert ours == theirs, f"{at}: {ours!r} against {theirs!r}"


@pytest.mark.parametrize("name", differential.PROGRAMS)
def test_outcome_is_pytorchs(name, torch):
    run, words = differential.PROGRAMS[name]
    theirs, ours = outcome(torch, run), outcome(tg, run)
    if words is None:
        assert theirs[0] == "value", f"PyTorch: {theirs}"
    else:
        assert theirs[0] != "value", f"PyTorch raises nothing: {theirs[1]}"
        assert words in theirs[1], f"PyTorch: {theirs}"
    assert ours[0] == theirs[0], f"{ours} against {theirs}"
    if words is None:
        assert_same(ours[1], theirs[1])
    else:
        assert words in ours[1], f"{ours} against {theirs}"


def test_there_are_enough_programs():
    assert len(differential.PROGRAMS) >= 200
