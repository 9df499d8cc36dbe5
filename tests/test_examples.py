"""The example programs, at small sizes: each checks its own gradient, draws its picture, and gets somewhere."""

from __future__ import annotations

import builtins
import importlib
import pathlib
import sys

import pytest

pytest.importorskip("scipy")
EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"

PROGRAMS = {
    "logistic_regression": ({"count": 40}, lambda accuracy: accuracy > 0.95),
    "gaussian_process": ({"count": 30}, lambda noise: 0.05 < noise < 0.3),
    "kalman_filter": ({"count": 30}, lambda error: 0.1 < error < 0.6),
    "neural_ode": ({"steps": 3, "hidden": 4}, lambda loss: loss < 0.92),
    "gaussian_mixture": ({"count": 30}, lambda likelihood: likelihood > -3.3),
    "variational_inference": ({"count": 20, "samples": 3}, lambda slope: abs(slope - 1.5) < 0.3),
    "wave_optics": ({"size": 24, "steps": 5}, lambda loss: loss < 0.1),
}


@pytest.fixture
def example(monkeypatch, tmp_path):
    """Imports an example, whose pictures go to a folder of the test."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sys.modules.pop("shared", None)
    shared = importlib.import_module("shared")
    monkeypatch.setattr(shared, "PICTURES", tmp_path / "docs" / "pictures")
    shared.PICTURES.mkdir(parents=True)

    def load(name):
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    yield load
    for name in (*PROGRAMS, "shared"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", PROGRAMS)
def test_runs(name, example, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    options, good = PROGRAMS[name]
    assert good(example(name).main(**options))
    printed = capsys.readouterr().out
    assert printed.count("gradient against finite differences") == (2 if name == "gaussian_mixture" else 1)
    (picture,) = (tmp_path / "docs" / "pictures").iterdir()
    assert picture.stem == name and picture.stat().st_size > 5_000


def test_listed_and_drawn():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert path.name == "shared.py" or f"({path.name})" in listed
    for name in PROGRAMS:
        assert f"../docs/pictures/{name}.png" in listed
        assert (EXAMPLES.parent / "docs" / "pictures" / f"{name}.png").exists()


def test_without_matplotlib_the_remedy_is_named(example, monkeypatch):
    ask = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return ask(name, *args, **kwargs)

    shared = example("shared")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SystemExit, match=r"pip install 'tapegrad\[examples\]'"):
        shared.pyplot()


def test_a_wrong_gradient_is_found(example):
    shared = example("shared")
    with pytest.raises(AssertionError):
        shared.report(1e-3)
    with pytest.raises(AssertionError):
        shared.report(1e-9, jax=1e-3)
