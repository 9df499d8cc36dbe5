"""What the examples have in common: comparing gradients, and saving pictures."""

import pathlib
import types

import numpy as np
import optree

import tapegrad as tg

PICTURES = pathlib.Path(__file__).parents[1] / "docs" / "pictures"
INK, BLUE, RED, GREEN, GOLD = "#222222", "#2b6cb0", "#c53030", "#2f855a", "#d69e2e"


def slope_error(function, x, seed=0):
    """Relative difference between gradient and finite differences, along a random direction.

    Parameters
    ----------
    function : callable
        Scalar, of an array or a container of such.
    x
        Where.
    """
    rng = np.random.default_rng(seed)
    direction = optree.tree_map(lambda v: rng.normal(size=np.shape(v)), x)
    products = optree.tree_map(lambda g, d: np.sum(g * d), tg.grad(function)(x), direction)
    slope = sum(optree.tree_leaves(products))

    def at(t):
        return float(function(optree.tree_map(lambda v, d: v + t * d, x, direction)))

    h = 1e-3
    expected = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
    return abs(slope - expected) / abs(expected)


def with_modules(function, **modules):
    """The same code, with other modules under the names that it uses, for all functions of its file."""
    own = function.__globals__
    names = {**own, **modules}
    for name, value in own.items():
        if isinstance(value, types.FunctionType) and value.__globals__ is own:
            names[name] = types.FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
    return names[function.__name__]


def jax_error(function, *args, **modules):
    """Largest difference to JAX's gradient of the same code, relative to the gradient; None where JAX is missing."""
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    theirs = jax.grad(with_modules(function, np=jax.numpy, **modules))(*args)
    ours = tg.grad(function)(*args)
    pairs = list(zip(optree.tree_leaves(ours), optree.tree_leaves(theirs), strict=True))
    size = max(float(np.max(np.abs(a))) for a, _ in pairs)
    return max(float(np.max(np.abs(a - np.asarray(b)))) for a, b in pairs) / size


def report(differences, jax=None, tolerance=1e-6):
    """Print what the gradient was compared with, and assert that it agrees."""
    print(f"  gradient against finite differences: {differences:.1e}")
    assert differences < tolerance
    if jax is not None:
        print(f"  gradient against JAX: {jax:.1e}")
        assert jax < tolerance


def pyplot():
    """matplotlib.pyplot, in the style of the pictures.

    Raises
    ------
    SystemExit
        If Matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError:
        raise SystemExit(
            "the picture needs Matplotlib: pip install 'tapegrad[examples]', or call main(picture=False)"
        ) from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "figure.dpi": 110, "savefig.bbox": "tight", "font.size": 9, "axes.spines.top": False,
            "axes.spines.right": False, "axes.titlesize": 10, "legend.frameon": False, "svg.hashsalt": "tapegrad",
        }
    )  # fmt: skip
    return plt


def save(figure, name):
    """Save a picture for the documentation."""
    path = PICTURES / name
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    print(f"  picture: {path.relative_to(PICTURES.parents[1])}")
