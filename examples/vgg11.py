"""VGG11 from `tapegrad.nn.functional`: forward and backward on random images, and a drawing of its graph.

The network is that of Simonyan and Zisserman 2014, "Very deep convolutional networks for large-scale image
recognition", column A, with random weights. With PyTorch installed, ``--compare`` runs the same network with the
same weights there, and compares logits, gradients and time.

Run:  python examples/vgg11.py [--batch 8] [--size 224] [--steps 3] [--draw vgg11.svg] [--compare]
"""

import argparse
import time

import numpy as np

import tapegrad as tg
from tapegrad.nn import functional

PLAN = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")
"""Output channels of the convolutions, and where the image is halved."""


def initial_weights(rng, classes=1000, plan=PLAN, hidden=4096):
    """Weights and biases by name, as arrays of float32: He et al. 2015 for convolutions, small for linear maps."""
    weights, channels = {}, 3
    for k, outputs in enumerate(n for n in plan if n != "pool"):
        scale = np.sqrt(2.0 / (9 * outputs))
        weights[f"conv{k}.weight"] = rng.standard_normal((outputs, channels, 3, 3), np.float32) * np.float32(scale)
        weights[f"conv{k}.bias"] = np.zeros(outputs, np.float32)
        channels = outputs
    for k, (n, m) in enumerate([(channels * 49, hidden), (hidden, hidden), (hidden, classes)]):
        weights[f"linear{k}.weight"] = rng.standard_normal((m, n), np.float32) * np.float32(0.01)
        weights[f"linear{k}.bias"] = np.zeros(m, np.float32)
    return weights


def vgg11(x, p, f=functional, dropout=0.0, plan=PLAN):
    """Logits of images (N, 3, H, W); `f` is `tapegrad.nn.functional`, or PyTorch's."""
    convolutions = 0
    for step in plan:
        if step == "pool":
            x = f.max_pool2d(x, 2, 2)
        else:
            x = f.conv2d(x, p[f"conv{convolutions}.weight"], p[f"conv{convolutions}.bias"], padding=1)
            x = f.relu(x, inplace=True)
            convolutions += 1
    x = f.adaptive_avg_pool2d(x, (7, 7)).flatten(1)
    for k in range(2):
        x = f.relu(f.linear(x, p[f"linear{k}.weight"], p[f"linear{k}.bias"]), inplace=True)
        x = f.dropout(x, dropout)
    return f.linear(x, p["linear2.weight"], p["linear2.bias"])


def run(library, f, arrays, images, steps, progress):
    """Logits, gradients and the best time of a forward and backward pass, in tapegrad or in PyTorch."""
    parameters = {name: library.tensor(array).requires_grad_() for name, array in arrays.items()}
    x, best = library.tensor(images), np.inf
    for _ in progress(range(steps)):
        for p in parameters.values():
            p.grad = None
        start = time.perf_counter()
        logits = vgg11(x, parameters, f)
        logits.sum().backward()
        best = min(best, time.perf_counter() - start)
    return logits, parameters, best


def difference(a, b):
    """Largest difference, relative to the largest element."""
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def compare(arrays, images, steps, progress, mine):
    """The same in PyTorch; prints how far the results are apart."""
    import torch

    logits, parameters, best = run(torch, torch.nn.functional, arrays, images, steps, progress)
    print(f"PyTorch:  {best:.2f} s a step, on {torch.get_num_threads()} threads")
    print(f"logits differ by {difference(mine[0].detach().numpy(), logits.detach().numpy()):.1e}")
    worst = max(difference(mine[1][k].grad.numpy(), p.grad.numpy()) for k, p in parameters.items())
    print(f"gradients differ by {worst:.1e} at most")


def main(argv=None):
    parser = argparse.ArgumentParser(description="VGG11 forward and backward, drawn.")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--draw", metavar="FILE", help="where to draw the graph: .svg, .pdf, .png or .dot")
    parser.add_argument("--compare", action="store_true", help="run the same in PyTorch")
    options = parser.parse_args(argv)
    from tqdm import tqdm

    rng = np.random.default_rng(0)
    arrays = initial_weights(rng)
    images = rng.random((options.batch, 3, options.size, options.size), np.float32)
    print(f"VGG11 with {sum(a.size for a in arrays.values()):,} weights; images of shape {images.shape}")
    found = run(tg, functional, arrays, images, options.steps, tqdm)
    print(f"tapegrad: {found[2]:.2f} s a step; logits of shape {found[0].shape}")
    if options.draw:
        small = tg.rand(1, 3, 32, 32, dtype="f4")
        parameters = found[1]
        tg.make_dot(vgg11(small, parameters), params=parameters).save(options.draw)
        print(f"drawn to {options.draw}")
    if options.compare:
        compare(arrays, images, options.steps, tqdm, found)


if __name__ == "__main__":
    main()
