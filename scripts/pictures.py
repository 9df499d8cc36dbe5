"""Draw the pictures in docs/pictures: run it after a change to what `make_dot` or `draw` draws."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

import tapegrad as tg
from tapegrad.nn import functional

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"


def tutorial() -> Any:
    """PyTorch's autograd tutorial: one linear layer and its loss."""
    x, y = tg.ones(5), tg.zeros(3)
    w, b = tg.randn(5, 3, requires_grad=True, rng=0), tg.randn(3, requires_grad=True, rng=1)
    z = x @ w + b
    loss = functional.binary_cross_entropy_with_logits(z, y)
    return tg.make_dot(loss, params={"w": w, "b": b}, show_saved=True)


def squares() -> Any:
    """The tutorial's second graph: a sum of powers, with a result written in place."""
    a, b = tg.tensor([2.0, 3.0], requires_grad=True), tg.tensor([6.0, 4.0], requires_grad=True)
    q = 3 * a**3 - b**2
    q *= 0.5
    return tg.make_dot(q, params={"a": a, "b": b})


def mlp() -> Any:
    """A network of two layers."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (4, 8), "b1": (8,), "w2": (8, 3), "b2": (3,)}
    p = {name: tg.tensor(rng.standard_normal(shape), requires_grad=True) for name, shape in shapes.items()}
    h = np.tanh(tg.tensor(rng.standard_normal((16, 4))) @ p["w1"] + p["b1"])
    loss = functional.cross_entropy(h @ p["w2"] + p["b2"], tg.tensor(rng.integers(0, 3, 16)))
    return tg.make_dot(loss, params=p)


def vgg11() -> Any:
    """VGG11 of the examples."""
    spec: Any = importlib.util.spec_from_file_location("vgg11", ROOT / "examples" / "vgg11.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    weights = module.initial_weights(np.random.default_rng(0))
    p = {name: tg.tensor(array, requires_grad=True) for name, array in weights.items()}
    return tg.make_dot(module.vgg11(tg.rand(1, 3, 224, 224, dtype=np.float32, rng=0), p), params=p)


PICTURES = {"tutorial": tutorial, "squares": squares, "mlp": mlp, "vgg11": vgg11}


def of_pages() -> Iterator[pathlib.Path]:
    """What the code of the documentation's pages draws, run in a folder of its own."""
    sys.path.append(str(ROOT / "tests"))
    import pages

    for path in pages.pages():
        blocks = [block for block in pages.blocks_of(path) if not pages.missing(block.needs)]
        if any(".svg" in block.text for block in blocks):
            with tempfile.TemporaryDirectory() as folder:
                before = os.getcwd()
                os.chdir(folder)
                try:
                    pages.run(path, blocks)
                finally:
                    os.chdir(before)
                for drawn in pathlib.Path(folder).glob("*.svg"):
                    shutil.copy(drawn, FOLDER)
                    yield FOLDER / drawn.name


def main() -> None:
    """Draw all of them."""
    for name, draw in PICTURES.items():
        draw().save(FOLDER / f"{name}.svg")
        print(FOLDER / f"{name}.svg")
    for path in of_pages():
        print(path)


if __name__ == "__main__":
    main()
