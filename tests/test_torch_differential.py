"""Many small programs, each written once, whose outcome must be PyTorch's: values, gradients, errors and their words.

A program takes the library as its argument, and returns what is to be compared. `words` are key words of the message of
the error that it ends in, in both libraries; a program without them must end well in both. PyTorch's outcomes are
recorded beside the programs, for machines without it.
"""

from __future__ import annotations

import differential
import numpy as np
import pytest
from differential import outcomes

import tapegrad as tg
from tapegrad.tape.current import rotate
from tapegrad.tape.state import local


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"], autouse=True)
def deferral(request):
    rotate(local.state)
    before = tg.set_deferral(request.param)
    yield request.param
    tg.set_deferral(before)


@pytest.fixture(scope="module")
def torch():
    """PyTorch, or None."""
    try:
        import torch
    except ImportError:
        yield None
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def recorded():
    return outcomes.recorded()


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
def test_outcome_is_pytorchs(name, torch, recorded):
    """PyTorch's own outcome where it is installed, else the recorded one."""
    run, words = differential.PROGRAMS[name]
    theirs = recorded[name]
    if torch is not None:
        theirs = outcomes.outcome(torch, run)
        torch.set_grad_enabled(True)
        assert theirs[0] == recorded[name][0], "run tests/differential/outcomes.py"
        if words is None:
            assert_same(recorded[name][1], theirs[1], "recorded")
    ours = outcomes.outcome(tg, run, theirs[0])
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


def test_there_are_enough_programs(recorded):
    assert len(differential.PROGRAMS) >= 700
    assert recorded.keys() == set(differential.PROGRAMS), "run tests/differential/outcomes.py"
