"""``tapegrad info``: what this installation consists of, and what it chose on this machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from typing import Any

import numpy as np

from ..inspect.units import human_bytes
from .text import columns

__all__ = ["add_arguments", "collect", "show"]

PACKAGES = ("numpy", "numba", "llvmlite", "optree", "scipy", "numba-cuda")
FEATURES = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx512dq", "avx512vl", "neon", "sve")
VARIABLES = (
    "TAPEGRAD_CACHE_DIR",
    "TAPEGRAD_DEFERRAL",
    "TAPEGRAD_NATIVE",
    "TAPEGRAD_NUMPY_LOOPS",
    "NUMBA_CACHE_DIR",
    "NUMBA_CPU_NAME",
    "NUMBA_ENABLE_CUDASIM",
    "OMP_NUM_THREADS",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`info` takes nothing of its own."""


def collect(arguments: argparse.Namespace | None = None) -> dict[str, Any]:
    """Versions, processor, kernels, recording, cache, CUDA, and the environment variables that are set."""
    from ..descriptors import is_supported
    from ..tape.exactness import is_numpy_loops_enabled
    from ..tape.state import is_deferral_enabled
    from ..vm import cache, native

    features = native.features()
    state = cache.state()  # before looking at kernels, some of which are compiled for it
    return {
        "versions": {"tapegrad": _version(), "python": platform.python_version()}
        | {p: _installed(p) for p in PACKAGES},
        "platform": platform.platform(),
        "processor": {
            "name": native.processor()[0],
            "cores": os.cpu_count(),
            "features": [name for name in FEATURES if f"+{name}" in features],
            "vector bits": 8 * native.vector_bytes(),
        },
        "kernels": kernels(),
        "recording": "machine code" if is_supported() else "Python",
        "deferral": is_deferral_enabled(),
        "ufuncs": "NumPy's and SciPy's own" if is_numpy_loops_enabled() else "loops by address",
        "cache": state,
        "cuda": _cuda(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def kernels() -> dict[str, dict[str, str]]:
    """Where each elementary function's loop comes from, by function and dtype: NumPy, libmvec or tapegrad."""
    from ..vm import simd

    found: dict[str, dict[str, str]] = {}
    for name in (*simd.UNARY, *simd.BINARY):
        arity = 2 if name in simd.BINARY else 1
        for char in "df":
            loop = simd.simd_loop(name, f"{char * arity}->{char}")
            ours = "tapegrad" if (name, char) in simd.WRITTEN_OUT else "libmvec"
            own = "SciPy" if name == "erf" else "NumPy"
            found.setdefault(name, {})[np.dtype(char).name] = own if loop is None else ours
    return found


def show(found: dict[str, Any]) -> str:
    """The same as text."""
    processor, cache, cuda = found["processor"], found["cache"], found["cuda"]
    groups: dict[str, list[str]] = {}
    for name, by_dtype in found["kernels"].items():
        for dtype, source in by_dtype.items():
            groups.setdefault(f"{source}, {dtype}", []).append(name)
    rows = [
        *[[name, version or "not installed"] for name, version in found["versions"].items()],
        ["platform", found["platform"]],
        ["processor", f"{processor['name']}, {processor['cores']} cores, vectors of {processor['vector bits']} bits"],
        ["features", " ".join(processor["features"]) or "none that matter here"],
        ["recording", found["recording"]],
        ["deferral", "on" if found["deferral"] else "off"],
        ["ufuncs", found["ufuncs"]],
        ["cache", _cache_text(cache)],
        ["cuda", cuda["device"] or f"none: {cuda['reason']}"],
        *[[name, value] for name, value in found["environment"].items()],
    ]
    loops = columns([[f"{where}:", " ".join(names)] for where, names in sorted(groups.items())])
    return f"{columns(rows, indent='')}\n\nloops of elementary functions\n{loops}"


def _cache_text(cache: dict[str, Any]) -> str:
    if cache["folder"] is None:
        return "no folder can be written: each process compiles anew (set TAPEGRAD_CACHE_DIR)"
    if not cache["files"]:
        return f"{cache['folder']}, empty: tapegrad warmup fills it"
    return f"{cache['folder']}, {cache['files']} files, {human_bytes(cache['bytes'])}"


def _version() -> str:
    from .. import __version__

    return __version__


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cuda() -> dict[str, Any]:
    from .. import cuda

    if cuda.is_available():
        return {"device": cuda.get_device_name(), "simulated": cuda.is_simulated(), "reason": None}
    package = _installed("numba-cuda") or "numba.cuda" in sys.modules
    reason = "no NVIDIA GPU or driver was found" if package else "the package numba-cuda is not installed"
    return {"device": None, "simulated": False, "reason": reason}
