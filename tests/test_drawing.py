"""Drawings of graphs: what stands in them, that long ones are summarised, and what happens without Graphviz."""

from __future__ import annotations

import collections
import html
import pathlib
import re
import runpy
import shutil
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.inspect import drawing

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="the program dot is not installed")


@pytest.fixture
def tutorial():
    x = tg.ones((2, 2))
    w = {name: tg.tensor(value, requires_grad=True) for name, value in (("w1", 2.0), ("w2", 3.0), ("w3", 4.0))}
    l1 = x * w["w1"]
    loss = ((l1 + w["w2"]) * (l1 * w["w3"])).mean()
    return loss, w


def boxes(source):
    """Label and colour by name."""
    found = re.findall(r'(\w+) \[label="(.*?)" fillcolor=(\w+)\]', source)
    return {name: (label.replace("\\n", "\n"), colour) for name, label, colour in found}


def arrows(source):
    """Pairs of labels, first lines only."""
    labels = {name: label.split("\n")[0] for name, (label, _) in boxes(source).items()}
    pairs = re.findall(r"\t(\w+) -> (\w+)(?! \[dir=none)", source)
    return sorted((labels[a], labels[b]) for a, b in pairs)


def test_operations_leaves_and_result(tutorial):
    loss, w = tutorial
    source = tg.make_dot(loss, params=w).source
    colours = sorted((label.split("\n")[0], colour) for label, colour in boxes(source).values())
    assert [c for c in colours if c[1] == "lightblue"] == [(n, "lightblue") for n in ("w1", "w2", "w3")]
    assert [c for c in colours if c[1] == "darkolivegreen1"] == [("()", "darkolivegreen1")]
    assert sum(label == "MulBackward0" for label, _ in colours) == 3
    assert ("AddBackward0", "MulBackward0") in arrows(source) and ("MeanBackward0", "()") in arrows(source)
    assert arrows(source).count(("AccumulateGrad", "MulBackward0")) == 2


def test_as_many_nodes_and_edges_as_pytorch_walks(tutorial):
    """The same graph as `next_functions` gives in PyTorch."""
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    a, b = (torch.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    y = ((torch.ones(2, 2) * a + b).tanh() * a).sum()
    seen, stack, edges = set(), [y.grad_fn], 0
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for source, _ in node.next_functions:
            if source is not None:
                edges += 1
                stack.append(source)
    a, b = (tg.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    source = tg.make_dot(((tg.ones(2, 2) * a + b).tanh() * a).sum()).source
    inner = [label for label, colour in boxes(source).values() if colour == "lightgrey"]
    assert len(inner) == len(seen)
    assert len(arrows(source)) == edges + 2 + 1  # and one from each leaf, and one to the result


def test_attributes_and_saved_values(tutorial):
    loss, w = tutorial
    source = tg.make_dot(loss, params=w, show_attrs=True, show_saved=True).source
    mean = next(label for label, _ in boxes(source).values() if label.startswith("MeanBackward0"))
    assert "axis    : (0, 1)" in mean and "keepdims: False" in mean
    saved = [label for label, colour in boxes(source).values() if colour == "orange"]
    assert sorted(s.split("\n")[0] for s in saved) == ["other", "other", "self", "self", "self"]
    assert all(s.endswith("version 0") for s in saved)
    cut = tg.make_dot(loss, show_attrs=True, max_attr_chars=5).source
    assert "axis    : (0..." in next(label for label, _ in boxes(cut).values() if label.startswith("Mean"))
    assert "saves" not in repr(tg.make_dot(loss)) and "orange" not in tg.make_dot(loss).source


def test_versions_are_marked():
    w = tg.tensor(2.0, requires_grad=True)
    b = w * np.ones(4)
    c = b * b
    b[1:3] = w
    b.mul_(2)
    source = tg.make_dot((b * c).sum(), show_saved=True).source
    labels = dict(boxes(source).values())
    assert labels["MulBackward0\nwritten in place, version 2"] == "lightyellow"
    assert labels["CopySlices\nversion 1"] == "lightgrey"
    assert labels["self\n(4)\nversion 0, overwritten since"] == "tomato"
    assert labels["self\n(4)\nversion 2"] == "orange"
    with tg.no_grad():
        w.add_(1.0)
    assert any(label == "w\n()\nversion 1" for label, _ in boxes(tg.make_dot(w * 3, {"w": w}).source).values())


def test_freed_rows_are_marked(tutorial):
    loss, _ = tutorial
    assert "freed" not in tg.make_dot(loss).source
    loss.backward()
    assert any(label == "MulBackward0\nfreed" for label, _ in boxes(tg.make_dot(loss).source).values())


def test_text(tutorial):
    loss, w = tutorial
    assert str(tg.make_dot(loss, params=w)) == "\n".join(
        [
            "MeanBackward0 ()",
            "MulBackward0 (2, 2)",
            "|- AddBackward0 (2, 2)",
            "|  |- w2 = leaf ()",
            "|  5: MulBackward0 (2, 2)",
            "|  |- w1 = leaf ()",
            "MulBackward0 (2, 2)",
            "|- w3 = leaf ()",
            "^ 5: MulBackward0",
        ]
    )


def test_several_tensors_and_a_leaf_alone():
    a = tg.ones(3, requires_grad=True)
    b = a * 2
    source = tg.make_dot([b, b.exp(), a], params={"a": a}).source
    assert sum(colour == "darkolivegreen1" for _, colour in boxes(source).values()) == 3
    assert ("AccumulateGrad", "(3)") in arrows(source)


def test_leaves_that_are_equal_are_two():
    a, b = tg.tensor([2.0, 3.0], requires_grad=True), tg.tensor([2.0, 3.0], requires_grad=True)
    assert arrows(tg.make_dot(a * b).source).count(("AccumulateGrad", "MulBackward0")) == 2
    a, b = tg.tensor(2.0, requires_grad=True), tg.tensor(2.0, requires_grad=True)
    assert arrows(tg.make_dot(a * b).source).count(("AccumulateGrad", "MulBackward0")) == 2


def test_tapes_and_custom_functions_are_crossed():
    class Twice(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    a = tg.ones(3, requires_grad=True)
    y = Twice.apply(a.exp()).sin()
    found = arrows(tg.make_dot(y, {"a": a}).source)
    assert ("ExpBackward0", "TwiceBackward") in found and ("TwiceBackward", "SinBackward0") in found
    assert len(found) == 5


def long_history(rows):
    w = [tg.tensor(0.1, requires_grad=True) for _ in range(40)]
    y = w[0]
    for k in range(rows // 2):
        y = y.tanh() + w[k % 40]
    return y


def test_long_histories_are_summarised():
    picture = tg.make_dot(long_history(100_000), show_saved=True)
    labels = [label for label, _ in boxes(picture.source).values()]
    blocks = [label for label in labels if label.startswith("rows ")]
    assert len(labels) < 120 and len(blocks) <= 40
    assert sum(int(n.replace(",", "")) for b in blocks for n in re.findall(r"([\d,]+) \w+Backward0", b)) == 100_000
    assert "16 more leaves" in labels
    assert len(str(picture).splitlines()) <= 201


def test_deep_graphs_need_no_recursion():
    source = tg.make_dot(long_history(900)).source
    assert sum(label == "TanhBackward0" for label, _ in boxes(source).values()) == 450


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: tg.make_dot(tg.ones(2)), ValueError, "does not require grad"),
        (lambda: tg.make_dot(np.ones(2)), TypeError, "draws tensors, not float64"),
        (lambda: tg.make_dot(tg.ones(2, requires_grad=True) * 2, {"a": 3.0}), TypeError, r"params\['a'\] is float"),
    ],
)
def test_refusals(call, error, match):
    with pytest.raises(error, match=match):
        call()


@needs_dot
def test_pictures(tutorial, tmp_path):
    pytest.importorskip("graphviz")
    picture = tg.make_dot(tutorial[0], params=tutorial[1])
    assert "<svg" in picture._repr_svg_() and "MeanBackward0" in picture._repr_svg_()
    assert picture.render(tmp_path / "graph", format="svg") == str(tmp_path / "graph.svg")
    assert (tmp_path / "graph").read_text() == picture.source and "<svg" in (tmp_path / "graph.svg").read_text()
    assert picture.render(tmp_path / "other", format="png", cleanup=True) and not (tmp_path / "other").exists()
    assert (tmp_path / "other.png").read_bytes()[:4] == b"\x89PNG"
    picture.save(tmp_path / "saved.svg")
    assert "<svg" in (tmp_path / "saved.svg").read_text()


def test_text_files(tutorial, tmp_path):
    picture = tg.make_dot(tutorial[0])
    for name in ("graph", "graph.dot", "graph.gv"):
        assert (tmp_path / name).exists() is False and picture.save(tmp_path / name)
        assert (tmp_path / name).read_text() == picture.source
    picture.save(tmp_path / "graph.txt")
    assert (tmp_path / "graph.txt").read_text() == str(picture) + "\n"


def test_without_the_program(tutorial, tmp_path, monkeypatch):
    pytest.importorskip("graphviz")
    monkeypatch.setenv("PATH", str(tmp_path))
    picture = tg.make_dot(tutorial[0])
    with pytest.raises(RuntimeError, match="program 'dot' was not found"):
        picture.render(tmp_path / "graph")
    assert (tmp_path / "graph").read_text() == picture.source
    assert picture._repr_svg_() is None


def test_without_the_package(tutorial, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    picture = tg.make_dot(tutorial[0])
    with pytest.raises(ImportError, match=r"pip install 'tapegrad\[viz\]'"):
        picture.pipe("png")
    assert picture._repr_svg_() is None


def test_the_limit_is_where_it_is_said_to_be(monkeypatch, tutorial):
    monkeypatch.setattr(drawing, "LIMIT", 3)
    assert "rows 0 to 0" in tg.make_dot(tutorial[0]).source


@pytest.mark.parametrize("name", ["tutorial", "squares", "mlp", pytest.param("vgg11", marks=pytest.mark.slow)])
def test_pictures_in_the_documents_show_what_is_drawn_now(name):
    folder = pathlib.Path(__file__).parents[1]
    text = (folder / "docs" / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    shown = collections.Counter(html.unescape(t) for t in re.findall(r"<text[^>]*>([^<]*)</text>", text))
    source = runpy.run_path(str(folder / "scripts" / "pictures.py"))[name]().source
    drawn = collections.Counter(line for label, _ in boxes(source).values() for line in label.split("\n"))
    assert shown == drawn, "run scripts/pictures.py"
