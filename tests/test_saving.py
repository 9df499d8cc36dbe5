"""Saved functions: they compute what they computed, and files that are damaged or lie are refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from records import sample_cases, value_cases

import tapegrad as tg
from tapegrad.compiler.encoding import SaveError, decode, decode_tree, encode, encode_tree
from tapegrad.compiler.saving import _HEAD, LoadError, dump_bytes, load_bytes
from tapegrad.primitives.core import RECORDS

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
import fuzz_saved

X = np.array([0.3, -1.2, 2.0])


def branches(x, *, scale):
    w = np.array([1.0, 2.0, 3.0])
    y = np.sort(x)[::-1] * w + x[np.array([2, 0, 1])]
    return (np.sum(y * y) if x[0] > 0 else np.sum(np.sin(x[:2]))) * scale


def same(a, b):
    for x, y in zip(np.atleast_1d(*a), np.atleast_1d(*b), strict=True):
        np.testing.assert_array_equal(x, y)


def saved_case(record):
    return next(iter([*sample_cases(record), *value_cases(record)]), None)


def quietly(function, *arguments):
    """Some of SciPy's loops warn by themselves: of what they are given, or that they will go one day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_every_record(name):
    case = saved_case(RECORDS[name])
    if case is None:
        pytest.skip("has no cases of its own")
    step = tg.compile(lambda *operands: case.on(operands))
    expected = quietly(step, *case.operands)
    if not step.paths():
        pytest.skip("looks at values, so it is run as it is")
    if name in ("external", "isnat"):  # a function of the user's; times
        with pytest.raises(SaveError, match="cannot be saved"):
            dump_bytes(step)
        return
    found = quietly(load_bytes(dump_bytes(step)), *case.operands)
    np.testing.assert_array_equal(found, expected)


def test_paths_keywords_and_structures(tmp_path):
    step = tg.compile(tg.value_and_grad(branches))
    inputs = [X, -X, X[::-1].copy()]
    expected = [step(x, scale=2) for x in inputs]
    step.save(tmp_path / "step.tape")
    again = tg.load(tmp_path / "step.tape")
    assert len(again.paths()) == len(step.paths()) == 2
    for x, e in zip(inputs, expected, strict=True):
        found = again(x, scale=2)  # by machine code, maybe, which sums in another order
        np.testing.assert_allclose(found[0], e[0], rtol=1e-15)
        np.testing.assert_allclose(found[1], e[1], rtol=1e-15)
    assert repr(again.paths()[0].guards) == repr(step.paths()[0].guards)
    with pytest.raises(LookupError, match=r"branches was loaded from .*step\.tape, without its Python code"):
        again(X, scale=3)
    with pytest.raises(LookupError, match="called by a transformation"):
        tg.grad(lambda x: again(x, scale=2)[0])(X)


def test_new_paths_of_a_loaded_function_are_refused():
    step = tg.compile(tg.value_and_grad(branches))
    step(X, scale=1)
    again = load_bytes(dump_bytes(step))
    with pytest.raises(LookupError, match=r"bool\(\) at .*test_saving.py:\d+ was False"):
        again(-X, scale=1)
    assert again(X, scale=1)[0] == step(X, scale=1)[0]


def test_a_path_that_fails_leaves_the_others():
    def f(a):
        return np.sum(np.linalg.inv(a)) if abs(np.linalg.det(a)) > 1e-6 else np.sum(a)

    step = tg.compile(f)
    inputs = [np.ones((3, 3)), np.eye(3), np.zeros((3, 3))]
    expected = [step(a) for a in inputs]
    again = load_bytes(dump_bytes(step))
    assert [again(a) for a in inputs] == expected == [9.0, 3.0, 0.0]


def test_a_path_that_fails_is_not_tried_again():
    def f(a):
        return np.sum(np.linalg.inv(a)) if a[0, 0] > 0 else np.sum(a)

    step = tg.compile(f)
    step(np.eye(3))
    step(-np.eye(3))
    again = load_bytes(dump_bytes(step))
    for _ in range(2):
        with pytest.raises(np.linalg.LinAlgError, match="Singular"):
            again(np.ones((3, 3)))  # the one path fails, and the other one leads to it
    alone = tg.compile(np.linalg.inv)
    alone(np.eye(3))
    with pytest.raises(np.linalg.LinAlgError, match="Singular") as info:
        load_bytes(dump_bytes(alone))(np.zeros((3, 3)))
    assert info.value.__cause__ is None  # not itself: who follows causes would never end


def test_results_that_are_constants_and_containers():
    def f(x, n):
        return {"y": x * n, "n": n, 3: [None, (x, "text", 2.5, np.arange(3))]}

    step = tg.compile(f)
    expected = step(X, 4)
    found = load_bytes(dump_bytes(step))(X, 4)
    assert list(found) == list(expected) and found["n"] == 4
    np.testing.assert_array_equal(found["y"], X * 4)
    assert found[3][0] is None and found[3][1][1:3] == ("text", 2.5)
    np.testing.assert_array_equal(found[3][1][3], np.arange(3))


def test_writes_and_captured_layouts():
    columns = np.arange(12.0).reshape(3, 4).T[::-1]

    def f(x):
        y = columns @ x
        y += np.broadcast_to(x[0], (4,))
        y[1:3] *= 2.0
        return np.sum(y * y)

    step = tg.compile(tg.value_and_grad(f))
    expected = step(X)
    found = load_bytes(dump_bytes(step))(X)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


def test_pickling():
    step = tg.compile(tg.value_and_grad(branches))
    expected = step(X, scale=1)
    again = pickle.loads(pickle.dumps(step))
    assert again(X, scale=1)[0] == expected[0]
    third = pickle.loads(pickle.dumps(again))
    assert third(X, scale=1)[0] == expected[0]


def test_another_process_runs_it(tmp_path):
    step = tg.compile(tg.value_and_grad(branches))
    value, gradient = step(X, scale=1)
    step.save(tmp_path / "step.tape")
    code = (
        "import numpy as np, tapegrad as tg\n"
        f"value, gradient = tg.load({str(tmp_path / 'step.tape')!r})(np.array({X.tolist()}), scale=1)\n"
        "print(value.hex(), gradient.tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [float(value).hex(), gradient.tobytes().hex()]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    step = tg.compile(lambda x: x * 2.0)
    step(X)
    path = tmp_path / "step.tape"
    step.save(path)
    before = path.read_bytes()
    step(1.0)

    def fail(*args):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk is full"):
        step.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


class Pair(tuple):
    """A container that a file does not know."""


UNSAVED = {
    "nothing": (lambda x: x, None, "nothing to save"),
    "container": (lambda x: {(1, 2): x}, (X,), "container of type builtins.dict"),
    "result": (lambda x: (x, slice), (X,), "value of type builtins.type"),
    "argument": (lambda x, y: x, (X, b"bytes"), "argument of type bytes"),
}


@pytest.mark.parametrize("key", UNSAVED)
def test_what_has_no_place_in_a_file(key):
    f, arguments, message = UNSAVED[key]
    step = tg.compile(f)
    if arguments:
        step(*arguments)
    with pytest.raises(SaveError, match=message):
        dump_bytes(step)


def test_values_and_structures():
    values = [
        None,
        True,
        3,
        "s",
        2.5,
        float("inf"),
        -0.0,
        1 + 2j,
        (1, (2,)),
        [1],
        slice(None, 2, -1),
        ...,
        np.dtype("f4"),
    ]
    for x in values:
        assert repr(decode(json.loads(json.dumps(encode(x))))) == repr(x)
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    np.testing.assert_array_equal(decode(json.loads(json.dumps(encode(array)))), array)
    import optree

    _, treedef = optree.tree_flatten(({"b": 1, "a": (2, [3, None])}, []))
    assert decode_tree(json.loads(json.dumps(encode_tree(treedef)))) == treedef


# --- files that are damaged, or lie ----------------------------------------------------------------------------


def sealed(header, blob, version=1):
    """A file with a right checksum, whatever stands in it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _HEAD.pack(b"TAPEGRAD", version, 0, len(text), len(blob), hashlib.sha256(text + blob).digest()) + text + blob


def opened(data):
    size = _HEAD.unpack_from(data)[3]
    return json.loads(data[_HEAD.size : _HEAD.size + size]), data[_HEAD.size + size :]


@pytest.fixture(scope="module")
def good():
    step = tg.compile(tg.value_and_grad(branches))
    step(X, scale=1)
    return dump_bytes(step)


def test_damaged_files(good, tmp_path):
    path = tmp_path / "damaged.tape"
    path.write_bytes(good[:-1])
    with pytest.raises(LoadError, match=r"damaged\.tape cannot be loaded: it is \d+ bytes long, and should be \d+"):
        tg.load(path)
    with pytest.raises(LoadError, match="checksum is wrong"):
        load_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(LoadError, match="not a saved function"):
        load_bytes(b"PK\3\4")
    header, blob = opened(good)
    with pytest.raises(LoadError, match="it has format 7, and this tapegrad reads format 1"):
        load_bytes(sealed(header, blob, 7))
    with pytest.raises(LoadError, match="inconsistent"):
        load_bytes(sealed(b"[" * 100_000, blob))


def signature_named(program, name):
    return next(s for s in program["signatures"] if s["primitive"] == name)


def view_beyond(program):
    view = signature_named(program, "view")
    view["attrs"]["strides"] = {"tuple": [8000]}
    dtype, shape, _ = program["types"][view["result"]]
    view["result"] = len(program["types"])  # a type of its own: others may have the old one
    program["types"].append([dtype, shape, [8000]])


def keys_without_arrays(program):
    signature_named(program, "scatter_add")["attrs"]["key"] = {"tuple": [2]}


LIES = {
    "a view beyond its array": (view_beyond, "beyond|expected"),
    "a primitive that is none": (
        lambda p: signature_named(p, "sum").update(primitive="system"),
        "no primitive 'system'",
    ),
    "another primitive": (lambda p: signature_named(p, "sum").update(primitive="matmul"), "inconsistent"),
    "a primitive of more operands": (
        lambda p: signature_named(p, "multiply").update(primitive="where"),
        "inconsistent",
    ),
    "a key without its array": (keys_without_arrays, "a key with 0 arrays of indices comes with 1"),
    "an axis that is none": (
        lambda p: signature_named(p, "sum")["attrs"].update(axis={"tuple": [7]}),
        "the result of sum",
    ),
    "a result of another type": (lambda p: p["types"][0].__setitem__(1, [1000]), "is|result|constant"),
    "a type too large": (lambda p: p["types"][0].__setitem__(1, [1 << 50]), "more than the"),
    "an object": (lambda p: p["types"][0].__setitem__(0, "O"), "dtype"),
    "an output that is none": (lambda p: p["outputs"].__setitem__(0, 10_000), "no number below"),
    "an answer of another size": (lambda p: p["guards"][0].__setitem__(4, "00" * 9), "not of its guard's type"),
    "a constant elsewhere": (lambda p: p["constants"][0].__setitem__(1, 1 << 40), "beyond the end of the file"),
    "no inputs": (lambda p: p.update(inputs=[]), "do not agree"),
}


@pytest.mark.parametrize("lie", LIES)
def test_files_that_lie(good, lie):
    header, blob = opened(good)
    change, message = LIES[lie]
    change(header["signatures"][0]["paths"][0])
    with pytest.raises(LoadError, match=message):
        load_bytes(sealed(header, blob))


def across(program):
    signature_named(program, "place")["attrs"]["strides"] = {"tuple": [2]}


def no_strides(program):
    signature_named(program, "place")["attrs"]["strides"] = None


def other_rule(program):
    signature_named(program, "where")["primitive"] = "share"


def wide_padding(program):
    signature_named(program, "conv2d_image")["attrs"]["padding"] = {"tuple": [1, 1 << 24]}


@pytest.mark.parametrize(
    ("function", "lie", "message"),
    [
        (lambda x: np.sum(np.sin(x[:2])), across, "elements that lie across those of the array"),
        (lambda x: np.sum(np.sin(x[:2])), no_strides, "a window of 1 axes has strides None and offset 0"),
        (lambda x: np.sum(np.where(x > 0, x * x, -x)), other_rule, "share takes three operands of one dtype"),
        (fuzz_saved.images, wide_padding, r"a convolution of \(1, 1, 6, 6\) with \(2, 1, 3, 3\) has shape"),
    ],
)
def test_attributes_that_lie(function, lie, message):
    step = tg.compile(tg.value_and_grad(function))
    step(X)
    header, blob = opened(dump_bytes(step))
    lie(header["signatures"][0]["paths"][0])
    with pytest.raises(LoadError, match=message):
        load_bytes(sealed(header, blob))
