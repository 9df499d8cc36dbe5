"""Finalizers that record: Python may collect garbage, and run them, between any two steps of our own code."""

from __future__ import annotations

import gc
import os
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import operators
from tapegrad.tape.current import rotate
from tapegrad.tape.handle import Tensor
from tapegrad.tape.site import inside
from tapegrad.tape.state import local


class Recording:
    """Garbage that, when it is collected, records with a tensor on the tape under recording."""

    def __init__(self, x, found):
        self.x, self.found, self.itself = x, found, self

    def __del__(self):
        with tg.no_grad():
            self.found.append(self.x * 5.0)
        self.found.append((self.x * 3.0 + 1.0)[0])


STEPS = int(os.environ.get("TAPEGRAD_STEPS", "12"))
"""How many of the steps are tried."""
PROGRAMS = {
    "operators": lambda x: ((x * x + 2.0) * x - 1.5).sum(),
    "views": lambda x: (x[0] * x[1:] + x[1]).sum(),
    "writes": lambda x: _written(x).sum(),
    "constants": lambda x: (x + np.arange(3.0) * 2 + 0.125).sum(),
}


def _written(x):
    y = x * 2.0
    y.mul_(x)
    y[1] = x[0]
    y[1:] += 3.0
    y.neg_()
    return y


@pytest.fixture(params=["python", "machine code"])
def operators_are(request, monkeypatch):
    """Operators in Python or in machine code, which runs Python code in places."""
    if request.param == "python":
        for function in list(operators.waiting):
            monkeypatch.delitem(operators.waiting, function)
        for function in operators.described:
            method = vars(Tensor).get(function.__name__)
            if type(method) is type(list.append):
                monkeypatch.setattr(Tensor, function.__name__, function)


def _collecting_at(step, function, x, found):
    """Call a function; at one of the steps that the package takes meanwhile, collect garbage. Returns their number."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        if not inside[frame.f_code.co_filename]:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == step:
                sys.settrace(None)
                gc.collect(0)
        return trace

    Recording(x, found)
    before = sys.gettrace()
    gc.disable()
    sys.settrace(trace)
    try:
        y = function(x)
    finally:
        sys.settrace(before)
        gc.enable()
        gc.collect()
    return y, count


@pytest.mark.parametrize("name", PROGRAMS)
def test_at_any_step(name, operators_are):
    data = np.array([1.0, 2.0, 3.0])

    def run(step):
        rotate(local.state)
        leaf = tg.tensor(data, requires_grad=True)
        x, found = leaf * 1.0, []
        y, count = _collecting_at(step, PROGRAMS[name], x, found)
        y.backward()
        tape = local.state.tape
        assert tape.sealed is None and tape.limit > 0 and local.state.paused is None
        assert len(found) == 2
        np.testing.assert_array_equal(found[0].numpy(), data * 5)
        assert found[1].item() == 4 and found[1].requires_grad
        return y.item(), leaf.grad.numpy(), count

    for _ in range(2):  # the first time, and when the rows are known
        value, gradient, count = run(0)
    for step in range(1, count + 1, max(1, count // STEPS)):
        at_step = run(step)
        assert at_step[0] == value, step
        np.testing.assert_array_equal(at_step[1], gradient, err_msg=str(step))
