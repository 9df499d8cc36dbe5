"""The VGG11 of examples/vgg11.py against the same network in PyTorch, and the example as a program."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.nn import functional

EXAMPLE = Path(__file__).parents[1] / "examples" / "vgg11.py"


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(EXAMPLE))


def results(example, library, f, arrays, images):
    parameters = {name: library.tensor(a).requires_grad_() for name, a in arrays.items()}
    x = library.tensor(images).requires_grad_()
    logits = example["vgg11"](x, parameters, f)
    labels = library.tensor(np.arange(len(images)) % 10)
    f.cross_entropy(logits, labels).backward()
    gradients = {name: np.array(p.grad.numpy()) for name, p in parameters.items()}
    return np.array(logits.detach().numpy()), {**gradients, "images": np.array(x.grad.numpy())}


def test_logits_and_gradients_are_those_of_pytorch(example):
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    rng = np.random.default_rng(1)
    arrays = example["initial_weights"](rng, classes=10, hidden=64)
    images = rng.random((2, 3, 64, 64), np.float32)
    double = {name: a.astype(float) for name, a in arrays.items()}
    expected, slopes = results(example, torch, torch.nn.functional, double, images.astype(float))
    # In single precision PyTorch itself is 1 % off here: a rounding decides which of two places is the greater one.
    for weights, x, tolerance in ((double, images.astype(float), 1e-11), (arrays, images, 1e-5)):
        logits, gradients = results(example, tg, functional, weights, x)
        assert logits.dtype == x.dtype
        np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance * np.abs(expected).max())
        for name, slope in slopes.items():
            scale = np.abs(slope).max()
            assert scale > 0, name
            np.testing.assert_allclose(gradients[name], slope, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.slow
def test_example_runs(example, tmp_path, capsys):
    pytest.importorskip("tqdm")
    example["main"](["--batch", "1", "--size", "32", "--steps", "1", "--draw", str(tmp_path / "vgg11.dot")])
    printed = capsys.readouterr().out
    assert "132,863,336 weights" in printed and "logits of shape (1, 1000)" in printed
    assert "conv7.weight" in (tmp_path / "vgg11.dot").read_text()
