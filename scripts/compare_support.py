#!/usr/bin/env python
"""Of which functions do tapegrad, HIPS autograd, advect and JAX find the gradient? A table.

Each differentiable function of NumPy, `numpy.linalg`, `numpy.fft` and each such ufunc of `scipy.special` is tried at
one point, and the gradient compared with central differences of NumPy's own function. Every tool runs in a process
of its own; a tool that needs another Python gets one by ``--python advect=/path/to/python``. With ``--write``, the page
docs/comparison/gradients.md is made.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.metadata
import json
import pathlib
import pickle
import subprocess
import sys
import tempfile
import warnings

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
TOOLS = {"tapegrad": "tapegrad", "advect": "advect", "HIPS autograd": "autograd", "JAX": "jax"}
NAMESPACES = ("numpy", "numpy.linalg", "numpy.fft", "scipy.special")
RNG = np.random.default_rng(7)
V, S = np.sort(RNG.uniform(0.2, 0.9, 3)), RNG.uniform(0.1, 2.0, (3, 3)) + 3.0 * np.eye(3)
K = np.array([0, 2, 1])
B = np.array([[True, False, True], [False, False, True], [True, True, False]])
OWN = {
    "apply_along_axis": (np.sum, 0, S), "apply_over_axes": (np.sum, S, 0), "astype": (S, float), "bincount": (K, V),
    "dsplit": (np.stack([S, S], 2), 3), "einsum": ("ij,jk", S, S), "interp": (V, V + 0.05, V**2),
    "piecewise": (S, [S > 1.0], [np.sin, np.exp]), "put_along_axis": None, "eigh": (S + S.T,), "eigvalsh": (S + S.T,),
    "cholesky": (S @ S.T,), "trapezoid": (V, V**2), "extract": (B, S), "compress": (B[0], S), "where": (B, S, S**2),
    "select": ([B], [S], 0.5), "choose": (K, [V, V**2, V**3]), "ldexp": (V, 2), "average": (V, 0),
    "histogram": (V, 2, None, None, V), "insert": (V, 1, V[:1]), "quantile": (V, 0.3), "nanquantile": (V, 0.3),
    "arccosh": (V + 1.0,), "acosh": (V + 1.0,), "arctanh": (V,), "polyfit": (V, V**2, 1),
    "roots": (np.array([1.0, -3.5, 3.0]),),
    "tensorinv": (S, 1), "full_like": (S, V), "linspace": (V, 2.0), "unwrap": (4.0 * np.arange(3.0) + V,),
    "split": (S, 3), "array_split": (S, 2), "hsplit": (S, 3), "vsplit": (S, 3), "cross": (V, V**2), "delete": (V, 1),
}  # fmt: skip
CANDIDATES = (
    (S,), (V,), (S, S + 1.0), (V, V**2), (S, V), (S, 1), (V, 2), (K, V), (S, 0, 1), (S, (3, 3)), ([S, S],), ([V, V],),
    (S, B), (S, K, 0), (S, S, S), (V, V, V), (S, K[:, None], 1),
)  # fmt: skip
"""Arguments that are tried in turn; the gradient is by the first array of floats."""
POINTS = (
    (0.4,), (1.7,), (2.0, 0.4), (0.4, 0.7), (2.0, 3.5), (2.0, 5.0, 0.4), (1.5, 2.5, 0.4), (2.0, 3.0, 4.0),
    (1.0, 2.0, 0.3), (1.5, 0.5, 2.5, 0.3), (2.0, 2.0, 0.3, 0.5), (2, 1, 0.5, 1.3),
)  # fmt: skip
"""Operands of special functions; the gradient is by the last one."""
SYMMETRIC = {"numpy.linalg.cholesky", "numpy.linalg.eigh", "numpy.linalg.eigvalsh"}
"""They read one half of a matrix, and tools differ in which half has the gradient: they are given symmetric ones."""
WRITING = {"copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask", "save", "savez"}


# --- probes ------------------------------------------------------------------------------------------------------


def place_of_x(arguments):
    """Where the first array of floats is: an index, or an index and one in the list there."""
    for i, a in enumerate(arguments):
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            return i, None
        if isinstance(a, list):
            for j, b in enumerate(a):
                if isinstance(b, np.ndarray) and b.dtype.kind == "f":
                    return i, j
    return None


def filled(arguments, place, x):
    """The arguments with `x` in its place."""
    i, j = place
    made = [list(a) if isinstance(a, list) else a for a in arguments]
    if j is None:
        made[i] = x
    else:
        made[i][j] = x
    return made


def leaves(y):
    """Arrays in a result; HIPS autograd's tuples are boxes of its own."""
    single = hasattr(y, "dtype") or not hasattr(y, "__getitem__")
    return [y] if single else [leaf for part in y for leaf in leaves(part)]


def total(y, xp):
    """A number that depends on all elements of a result."""
    s = 0.0
    for k, leaf in enumerate(leaves(y)):
        if not hasattr(leaf, "dtype") or np.dtype(leaf.dtype).kind not in "fc":
            continue
        leaf = xp.reshape(leaf, (-1,))
        w = np.cos(np.arange(leaf.shape[0]) + k) + 1.5
        s = s + xp.sum(xp.real(leaf) * w)
        if np.dtype(leaf.dtype).kind == "c":
            s = s + xp.sum(xp.imag(leaf) * w[::-1])
    return s


def probe(name, function):
    """Arguments, the place of `x` and the gradient by differences; None where none of the candidates fits."""
    special = name.startswith("scipy")
    own = OWN.get(name.rpartition(".")[2], False)
    tried = [own] if own is not False else POINTS if special else CANDIDATES
    for arguments in tried:
        if arguments is None or (special and len(arguments) != function.nin):
            continue
        if special:
            k = 0 if name.endswith("besselpoly") else len(arguments) - 1
            arguments = (*arguments[:k], arguments[k] + np.array([0.0, 0.02, 0.05]), *arguments[k + 1 :])
        arguments, place = copy.deepcopy(arguments), place_of_x(arguments)  # some functions take them as out=
        if place is None:
            continue
        i, j = place
        x = arguments[i] if j is None else arguments[i][j]
        gradient = np.zeros_like(x)
        try:
            for k in np.ndindex(x.shape):
                d = np.zeros_like(x)
                d[k] = 1e-6
                moved = (filled(copy.deepcopy(arguments), place, x + s * d) for s in (1.0, -1.0))
                up, down = (total(function(*a), np) for a in moved)
                gradient[k] = (up - down) / 2e-6
        except Exception:
            continue
        if np.all(np.isfinite(gradient)) and np.any(np.abs(gradient) > 1e-8):
            return arguments, place, gradient
    return None


def find(name):
    """A function by its name."""
    module, _, short = name.rpartition(".")
    return prepared(name, getattr(importlib.import_module(module), short))


def prepared(name, function):
    """The function that is tried."""
    return (lambda x: function((x + x.T) / 2)) if name in SYMMETRIC else function


def probes():
    """All probes by name."""
    from tapegrad.catalogue import entries

    found = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for e in entries():
            if e.state == "supported" and e.name.rpartition(".")[2] not in WRITING:
                made = probe(e.name, find(e.name))
                if made is not None:
                    found[e.name] = made
    return found


# --- tools -------------------------------------------------------------------------------------------------------


def tool(name):
    """``(gradient transformation, NumPy's namespace, how to find a function in the tool)``."""
    if name == "advect":
        return importlib.import_module(name).grad, np, lambda n: find_in(n, "numpy", "advect.scipy.special")
    if name == "tapegrad":
        return importlib.import_module(name).grad, np, find
    if name == "autograd":
        import autograd
        import autograd.numpy as xp

        return autograd.grad, xp, lambda n: find_in(n, "autograd.numpy", "autograd.scipy.special")
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax.grad, jax.numpy, lambda n: find_in(n, "jax.numpy", "jax.scipy.special")


def find_in(name, numpys, scipys):
    module, _, short = name.rpartition(".")
    space = importlib.import_module(scipys if module.startswith("scipy") else module.replace("numpy", numpys, 1))
    return prepared(name, getattr(space, short))


def outcome(name, made, gradient_of, xp, lookup):
    """``right``, ``wrong`` (with no word said) or ``missing``."""
    arguments, place, wanted = made
    i, j = place
    x = arguments[i] if j is None else arguments[i][j]
    try:
        function = lookup(name)
        arguments = [translated(a, xp) for a in copy.deepcopy(arguments)]
        found = gradient_of(lambda x: total(function(*filled(arguments, place, x)), xp))(x)
        good = np.allclose(np.asarray(found), wanted, rtol=1e-4, atol=1e-6)
    except Exception:
        return "missing"
    return "right" if good else "wrong"


def translated(a, xp):
    """NumPy's functions among the arguments as the tool's."""
    if isinstance(a, list):
        return [translated(b, xp) for b in a]
    return getattr(xp, a.__name__) if callable(a) and not isinstance(a, type) else a


def work(name, path):
    """What a process for one tool does."""
    warnings.simplefilter("ignore")
    with open(path, "rb") as file:
        made = pickle.load(file)
    parts = tool(name)
    with np.errstate(all="ignore"):
        found = {n: outcome(n, p, *parts) for n, p in made.items()}
    version = importlib.import_module(name).__version__ if name == "tapegrad" else importlib.metadata.version(name)
    print(json.dumps([version, found]))


# --- the page ------------------------------------------------------------------------------------------------------


HEAD = """# Which gradients other tools find

Made by `python scripts/compare_support.py --write` with NumPy {numpy} and
{versions}.
Each differentiable function is tried at one point, against central differences: how many gradients are right, and how
many are wrong without a word. tapegrad is given NumPy's and SciPy's own functions, advect NumPy's and those of
`advect.scipy.special`, HIPS autograd and JAX those of the same name in their own namespaces.

"""


def run(interpreters):
    """Versions and outcomes by tool; tools that are not installed are left out."""
    made = probes()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "probes"
        path.write_bytes(pickle.dumps(made))
        for title, name in TOOLS.items():
            python = interpreters.get(name, sys.executable)
            done = subprocess.run(
                [python, __file__, "--tool", name, str(path)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"{title} is left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            results[title] = json.loads(done.stdout.splitlines()[-1])
    return results


def page(results):
    """The page."""
    titles = list(results)
    names = list(next(iter(results.values()))[1])
    versions = ", ".join(f"{t} {results[t][0]}" for t in titles)
    text = HEAD.format(versions=versions, numpy=np.__version__)
    text += "| namespace | functions | " + " | ".join(titles) + " |\n| --- | ---: |" + " ---: |" * len(titles) + "\n"
    for space in NAMESPACES:
        own = [n for n in names if n.rpartition(".")[0] == space]
        cells = []
        for t in titles:
            outcomes = [results[t][1][n] for n in own]
            wrong = outcomes.count("wrong")
            cells.append(f"{outcomes.count('right')}" + (f" ({wrong} wrong)" if wrong else ""))
        text += f"| {space} | {len(own)} | " + " | ".join(cells) + " |\n"
    for space in NAMESPACES:
        own = [n for n in names if n.rpartition(".")[0] == space]
        text += f"\n## {space}\n\n| function | " + " | ".join(titles) + " |\n| --- |" + " --- |" * len(titles) + "\n"
        for n in own:
            signs = [{"right": "yes", "wrong": "**wrong**", "missing": "–"}[results[t][1][n]] for t in titles]
            text += f"| `{n.rpartition('.')[2]}` | " + " | ".join(signs) + " |\n"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", default=[], metavar="TOOL=PATH", help="the Python that has a tool")
    parser.add_argument("--write", action="store_true", help="write docs/comparison/gradients.md")
    parser.add_argument("--tool", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tool:
        work(*arguments.tool)
        return
    text = page(run(dict(p.split("=", 1) for p in arguments.python)))
    if arguments.write:
        (ROOT / "docs" / "comparison" / "gradients.md").write_text(text, encoding="utf-8")
    print(text.partition("\n## ")[0])


if __name__ == "__main__":
    main()
