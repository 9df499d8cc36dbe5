"""What compiled functions capture: attributes of objects, what other functions reach, methods of classes."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import types
import weakref

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.compiler.program import Compiled

rate = 1.0
settings = types.SimpleNamespace(rate=1.0)


class Base:
    def weighted(self, w):
        return w * self.weight

    @property
    def half(self):
        return self.scale / 2.0


class Model(Base):
    def __init__(self, scale=2.0):
        self.x = np.arange(6.0).reshape(3, 2)
        self.scale, self.weight = scale, 1.0
        self.config = types.SimpleNamespace(rate=1.0)
        self.powers = [1.0, 2.0]

    def loss(self, w):
        return np.sum(np.tanh(self.x @ self.weighted(w))) * self.half * self.config.rate + self.powers[0]

    @tg.compile
    def energy(self, w):
        return np.sum((self.x @ w) ** 2) * self.scale

    @tg.compile
    def descend(self, w):
        return w - rate * tg.grad(self.energy)(w)


CHANGES = {
    "an attribute": lambda m: setattr(m, "weight", 0.5),
    "an array": lambda m: setattr(m, "x", m.x + 1.0),
    "one of a property": lambda m: setattr(m, "scale", 3.0),
    "an object's attribute": lambda m: setattr(m.config, "rate", 7.0),
    "the object": lambda m: setattr(m, "config", types.SimpleNamespace(rate=-1.0)),
    "an element of a list": lambda m: m.powers.__setitem__(0, 5.0),
    "nothing that matters": lambda m: setattr(m, "other", 5.0),
}


@pytest.mark.parametrize("calls", [1, 5])  # recorded; answered in machine code
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_attributes_of_the_object_of_a_method_are_noticed(change, calls):
    model, w = Model(), np.array([0.1, -0.2])
    step, plain = tg.compile(tg.value_and_grad(model.loss)), tg.value_and_grad(model.loss)
    for _ in range(2):
        for _ in range(calls):
            found, expected = step(w), plain(w)
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-14)
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-14)
        change(model)
    assert ("dropped" in str(step.explain())) == (change is not CHANGES["nothing that matters"])


def test_a_changed_attribute_is_told():
    double = tg.compile(lambda x: x * settings.rate)
    try:
        assert [double(2.0) for _ in range(4)] == [2.0] * 4
        settings.rate = 3.0
        assert [double(2.0) for _ in range(4)] == [6.0] * 4
    finally:
        settings.rate = 1.0
    assert "the attribute 'rate' of a SimpleNamespace, which the function at" in str(double.explain())


def test_what_primitives_do_is_not_captured():
    factor, calls = [2.0], []

    @tg.primitive
    def scaled(x):
        calls.append(x)
        return x * factor[0]

    step = tg.compile(lambda x: scaled(x) + 1.0)
    assert step(1.0) == 3.0
    factor[0] = 3.0
    assert [step(1.0) for _ in range(4)] == [4.0] * 4
    assert len(str(step.explain()).splitlines()) == 1


def test_what_compiled_custom_and_partial_functions_reach_is_noticed():
    factor = 2.0

    def scaled(x, offset):
        return x * factor + offset

    @tg.custom_jvp
    def unscaled(x):
        return x / factor

    unscaled.defjvp(lambda primals, tangents: (unscaled(*primals), tangents[0] / factor))
    inner = tg.compile(functools.partial(scaled, offset=1.0))
    outer, back = tg.compile(lambda x: inner(x) * 10.0), tg.compile(tg.grad(unscaled))
    assert (outer(1.0), back(1.0)) == (30.0, 0.5)
    factor = 4.0
    assert (outer(1.0), back(1.0)) == (50.0, 0.25)


def test_compiled_methods_are_each_objects_own():
    a, b, w = Model(1.0), Model(2.0), np.ones(2)
    for _ in range(5):
        assert b.energy(w) == 2.0 * a.energy(w) == 2.0 * np.sum((a.x @ w) ** 2)
    assert a.energy is a.energy is not b.energy and isinstance(Model.energy, Compiled)
    before = a.descend(w)
    a.scale = 0.0
    assert a.energy(w) == 0.0
    np.testing.assert_array_equal(a.descend(w), w)
    assert not np.array_equal(before, w)
    np.testing.assert_allclose(tg.grad(b.energy)(w), 4.0 * b.x.T @ (b.x @ w))


def test_copies_have_compiled_methods_of_their_own():
    model, w = Model(), np.ones(2)
    expected = model.energy(w)
    copies = [copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for k, other in enumerate(copies):
        other.scale = float(k)
    for _ in range(4):
        assert [other.energy(w) for other in copies] == [0.5 * k * expected for k in range(3)]
        assert model.energy(w) == expected
    assert len(str(model.energy.explain()).splitlines()) == 1


def test_compiled_methods_do_not_keep_their_object():
    model = Model()
    model.energy(np.ones(2))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_compiled_method_needs_a_place():
    class Tight:
        __slots__ = ()

        @tg.compile
        def twice(self, x):
            return x * 2.0

    with pytest.raises(TypeError, match="Tight have no __dict__: leave __slots__ out, or compile the bound method"):
        Tight().twice(1.0)
    assert tg.compile(types.MethodType(Tight.twice.fun, Tight()))(2.0) == 4.0
