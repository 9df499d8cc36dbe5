"""How many records have kernels, by family: ``python -m tapegrad.cuda.coverage``; ``--records`` lists all of them."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

import numpy as np

from ..primitives import scipy_loader
from ..primitives.core import RECORDS, Elementwise
from ..primitives.packed import Packed
from .table import entry

__all__ = ["ON_DEVICE", "coverage", "rows"]

ON_DEVICE = ("fused", "kernel", "composed", "view")
"""States of records that the device computes itself."""
_MODULES = {
    "reduction": "reduction extrema counting statistics norms scan",
    "shape": "shape alias combining assembling",
    "index": "indexing picking scattering selection sorting",
    "matmul": "matmul einsum affine convolution",
    "elementwise": "activations complex arithmetic comparison inplace bessel",
    "elementwise of scipy.special": "scipy_parameters",
}


def _module(record: Any) -> str:
    """Where a record is written down."""
    for part in ("partials", "pullback", "compute", "infer"):
        function = record.__dict__.get(part)
        if function is not None:
            return getattr(function, "__module__", "").rpartition(".")[2]
    return ""


def _family(record: Any) -> str:
    if isinstance(record, (Elementwise, Packed)) and record.function is not None:
        of_numpy = getattr(np, getattr(record.function, "__name__", ""), None) is not None
        return "elementwise" if of_numpy else "elementwise of scipy.special"
    return next((name for name, modules in _MODULES.items() if _module(record) in modules.split()), "other")


def load_scipy() -> None:
    """Have SciPy's records in the table, where it is installed."""
    with contextlib.suppress(ImportError):
        scipy_loader.load()


def coverage() -> dict[str, tuple[list[str], list[str]]]:
    """Records that the device computes itself, and the others, by family."""
    load_scipy()
    found: dict[str, tuple[list[str], list[str]]] = {}
    for name, record in sorted(RECORDS.items()):
        own, others = found.setdefault(_family(record), ([], []))
        (own if entry(record)[0] in ON_DEVICE else others).append(name)
    return found


def rows() -> list[str]:
    """How each record runs on a device, and the reason where it does not run there."""
    load_scipy()
    found = [(name, *entry(record)) for name, record in sorted(RECORDS.items())]
    return [f"{name}: {state}" + (f" ({reason})" if reason else "") for name, state, reason in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", action="store_true", help="a line for each record, with the reason for none")
    if parser.parse_args().records:
        print(*rows(), sep="\n")
    found = coverage()
    asked = [found[name] for name in _MODULES if name in found]
    for family, (own, others) in sorted(found.items()):
        print(f"{family}: {len(own)} of {len(own) + len(others)}" + (f"; not {', '.join(others)}" if others else ""))
    here, all_ = sum(len(own) for own, _ in asked), sum(len(own) + len(others) for own, others in asked)
    print(f"{', '.join(_MODULES)}: {here} of {all_} ({100 * here / all_:.1f} %)")
    print(f"all records: {sum(len(own) for own, _ in found.values())} of {len(RECORDS)}")


if __name__ == "__main__":
    main()
