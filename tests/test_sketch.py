"""`tapegrad.draw`: drawings that need no Graphviz, and where their boxes stand."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.inspect.layers import GAP_ACROSS, arrange
from tapegrad.inspect.sketching import Sketch

SVG = "{http://www.w3.org/2000/svg}"


def loss(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


W, X = np.ones(3), np.ones((4, 3))


def boxes(sketch):
    """Kind and text of each box."""
    group = ET.fromstring(sketch.svg).find(f"{SVG}g")
    found, own = [], None
    for element in group:
        if element.tag == f"{SVG}rect":
            own = (element.get("class").removeprefix("tg-"), [])
            found.append(own)
        elif element.tag == f"{SVG}text" and own is not None:
            own[1].append(element.text)
    return [(kind, " ".join(text)) for kind, text in found]


@pytest.mark.parametrize("seed", range(20))
def test_boxes_do_not_overlap_and_edges_lead_down(seed):
    rng = random.Random(seed)
    count = rng.randint(1, 40)
    sizes = {k: (rng.uniform(20, 150), rng.uniform(10, 60)) for k in range(count)}
    edges = [(a, b) for b in range(count) for a in range(b) if rng.random() < 0.15]
    layout = arrange(sizes, edges)
    places = [(x - sizes[k][0] / 2, y - sizes[k][1] / 2, *sizes[k]) for k, (x, y) in layout.centres.items()]
    for k, (x, y, w, h) in enumerate(places):
        assert x >= -1e-9 and y >= -1e-9 and x + w <= layout.width + 1e-9 and y + h <= layout.height + 1e-9
        for a, b, c, d in places[k + 1 :]:
            apart = x + w + GAP_ACROSS <= a + 1e-6 or a + c + GAP_ACROSS <= x + 1e-6 or y + h < b or b + d < y
            assert apart
    for a, b in edges:
        assert layout.centres[a][1] < layout.centres[b][1]
        ends = layout.lines[a, b]
        assert (ends[0], ends[-1]) == (layout.centres[a], layout.centres[b])


def test_nothing_and_one():
    assert arrange({}, []).width == 0
    assert arrange({"a": (10.0, 5.0)}, [("a", "a")]).centres == {"a": (5.0, 2.5)}


def test_a_chain_stands_straight():
    layout = arrange({k: (30.0 + 20 * (k % 2), 10.0) for k in range(8)}, [(k, k + 1) for k in range(7)])
    places = [x for x, _ in layout.centres.values()]
    assert max(places) - min(places) < 1.0


def test_the_graph_of_a_tensor():
    w = tg.tensor(W, requires_grad=True)
    found = boxes(tg.draw(loss(w, X), params={"w": w}))
    assert ("leaf", "w 3") in found and ("result", "result") in found
    assert [text for kind, text in found if kind == "operation"].count("TanhBackward0 4") == 1


def test_saved_values_and_those_overwritten():
    w = tg.tensor(W, requires_grad=True)
    y = np.exp(w)
    z = y.sum()
    assert ("saved", "saves result version 0") in boxes(tg.draw(z, show_saved=True))
    y.mul_(2.0)
    kinds = {kind for kind, _ in boxes(tg.draw([z, y], show_saved=True))}
    assert "stale" in kinds and "write" in kinds


def test_a_function_and_a_compiled_one():
    arguments = {"leaf"}
    for sketch in (tg.draw(loss, W, X), tg.draw(tg.compile(loss), W, X)):
        kinds = [kind for kind, _ in boxes(sketch)]
        assert set(kinds) == {*arguments, "operation", "result"}
    step = tg.compile(tg.value_and_grad(loss))
    with pytest.raises(ValueError, match=r"loss has recorded nothing yet; call it, or give arguments: draw\(loss, x\)"):
        step.draw()
    step(W, X)
    assert "reverse" not in {kind for kind, _ in boxes(step.draw())}, "noted only with lines"
    assert "reverse" in {kind for kind, _ in boxes(step.draw(W, X))}


def test_arguments_have_their_names():
    texts = [text for kind, text in boxes(tg.draw(tg.value_and_grad(loss), W, X)) if kind == "leaf"]
    assert sorted(texts) == ["w 3", "x 4 × 3"]
    nested = boxes(tg.draw(lambda p, *rest: p["a"] * rest[0], {"a": W}, W))
    assert sorted(text for kind, text in nested if kind == "leaf") == ["p['a'] 3", "rest[0] 3"]


def test_long_ones_are_summarised():
    def chain(x):
        for _ in range(400):
            x = np.sin(x)
        return x

    found = boxes(tg.draw(chain, W))
    assert len(found) < 60 and any("rows 0 to" in text for _, text in found)


def test_files_and_notebooks(tmp_path):
    sketch = tg.draw(loss, W, X, filename=tmp_path / "graph.svg")
    assert isinstance(sketch, Sketch) and sketch._repr_svg_() == (tmp_path / "graph.svg").read_text()
    assert sketch.save(tmp_path / "graph.dot") and "digraph" in (tmp_path / "graph.dot").read_text()
    assert "tanh (4)" in str(sketch)


def test_what_has_no_graph_is_refused():
    with pytest.raises(TypeError, match="draw draws tensors and functions, not int"):
        tg.draw(3)
    with pytest.raises(ValueError, match="does not require grad"):
        tg.draw(tg.ones(3))
    with pytest.raises(TypeError, match="arguments are for functions"):
        tg.draw(tg.ones(3, requires_grad=True) * 2.0, W)


def test_texts_are_escaped():
    w = tg.tensor(W, requires_grad=True)
    sketch = tg.draw(np.sum(w * w), params={"<b>&": w})
    assert ("leaf", "<b>& 3") in boxes(sketch)


def test_notebooks_show_tensors_compiled_functions_and_profiles():
    x = tg.tensor(W, requires_grad=True)
    y = x * 2.0
    y.add_(1.0)
    assert "float64[3], a leaf that requires grad" in x._repr_html_()
    assert "from AddBackward0, version 1" in y._repr_html_() and "tensor([3., 3., 3.]" in y._repr_html_()
    step = tg.compile(tg.value_and_grad(loss))
    assert "0 recorded paths" in step._repr_html_()
    step(W, X)
    assert "<code>float64[3], float64[4, 3]</code>" in step._repr_html_()
    assert "a replay" in step.profile(W, X, repeats=1)._repr_html_()
    seen = []
    tg.grad(lambda x: seen.append(x._repr_html_()) or np.sum(x))(W)
    assert seen[0] is None or "tensor" in seen[0]
