"""What a program comes to, in a form that can be compared and kept: for machines without PyTorch.

``python tests/differential/outcomes.py`` runs all programs in PyTorch and writes ``outcomes.json``.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("outcomes.json")


def outcome(lib, run, kind=None):
    """What a program comes to: its plain result, or its error's type and message.

    The type is given as `kind`, the name of a class, if the error belongs to that class.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ["value", plain(run(lib))]
        except Exception as error:
            names = [c.__name__ for c in type(error).__mro__]
            return [kind if kind in names else names[0], str(error)]


def plain(x):
    """Tensors as arrays with their flags, containers of them likewise."""
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, (tuple, list)):
        return [plain(y) for y in x]
    if isinstance(x, dict):
        return {k: plain(y) for k, y in x.items()}
    if isinstance(x, (np.ndarray, np.generic)):
        return {"array": np.asarray(x)}
    if hasattr(x, "requires_grad"):
        array = np.array(x.detach().numpy())
        flags = {"requires_grad": bool(x.requires_grad), "leaf": bool(x.is_leaf)}
        return {"array": array, "dtype": array.dtype.name} | flags
    raise TypeError(f"a program returned {type(x).__name__}, which cannot be compared")


def packed(x):
    """A plain outcome as JSON knows it."""
    if isinstance(x, np.ndarray):
        if x.dtype.kind == "c":
            return {"shape": list(x.shape), "values": x.real.ravel().tolist(), "imag": x.imag.ravel().tolist()}
        return {"shape": list(x.shape), "values": x.ravel().tolist()}
    if isinstance(x, list):
        return [packed(y) for y in x]
    return {k: packed(y) for k, y in x.items()} if isinstance(x, dict) else x


def unpacked(x):
    """The outcome that was packed."""
    if isinstance(x, dict):
        if "values" in x:
            return (np.array(x["values"]) + (1j * np.array(x["imag"]) if "imag" in x else 0)).reshape(x["shape"])
        return {k: unpacked(y) for k, y in x.items()}
    return [unpacked(y) for y in x] if isinstance(x, list) else x


def recorded():
    """PyTorch's outcomes as they were written."""
    return unpacked(json.loads(FILE.read_text()))


def main():
    sys.path.insert(0, str(Path(__file__).parent.parent))
    import torch

    from differential import PROGRAMS

    torch.set_default_dtype(torch.float64)
    found = {}
    for name, (run, _) in sorted(PROGRAMS.items()):
        found[name] = packed(outcome(torch, run))
        torch.set_grad_enabled(True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(result)}" for name, result in found.items())
    FILE.write_text("{\n" + lines + "\n}\n")
    print(f"{len(found)} outcomes of PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
