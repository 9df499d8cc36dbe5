"""Where tests of the CUDA side run: on a stand-in, with a CUDA toolkit and no GPU, or on hardware."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import sys

import pytest

import tapegrad as tg
from tapegrad.cuda import toolchain

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))  # for tests in folders: they use records.py, too
ARCHITECTURES = os.environ.get("TAPEGRAD_CUDA_ARCHITECTURES", "")


def no_stand_in() -> str:
    """Why tests of the device's side do not run in this process, or nothing."""
    if toolchain.SIMULATED:
        return ""
    return "needs NUMBA_ENABLE_CUDASIM=1 in a process of its own, as Numba reads it when it starts: see scripts/test"


def no_toolkit() -> str:
    """Why no kernels can be compiled in this process, or nothing."""
    if toolchain.SIMULATED:
        return "Numba simulates in this process, and compiles nothing"
    if not ARCHITECTURES:
        return "TAPEGRAD_CUDA_ARCHITECTURES is not set: scripts/test sets it, in an environment with a CUDA toolkit"
    if importlib.util.find_spec("numba_cuda") is None:
        return "needs a CUDA toolkit: pip install 'tapegrad[cuda12]'"
    return ""


def no_hardware() -> str:
    """Why tests on a GPU do not run in this process, or nothing."""
    if not toolchain.SIMULATED and tg.cuda.is_available():
        return ""
    return "needs an NVIDIA GPU, its driver and tapegrad[cuda12] or tapegrad[cuda13]: there is none here"


REASONS = {"cuda": no_stand_in, "cuda_compiled": no_toolkit, "gpu": no_hardware}
OF_THE_HOST = {"test_scalars.py", "test_toolchain.py"}


def pytest_collection_modifyitems(items):
    for item in items:
        folder = item.path.parent.name
        if item.path.parent.parent != HERE or folder not in REASONS or item.path.name in OF_THE_HOST:
            continue
        reason = REASONS[folder]()
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def device():
    """The simulated GPU."""
    return tg.cuda.device_of("cuda")


@pytest.fixture(autouse=toolchain.SIMULATED)
def on_tapes_of_its_own():
    """What one test leaves on the device's tape cannot fail in another; kernels are the specialised ones.

    The interpreter of programs has tests of its own: it takes the stand-in many times longer.
    """
    found = tg.cuda.device_of("cuda")
    found.interprets = False
    yield
    found.leave(found.tape_of(None))


@pytest.fixture(scope="session")
def architectures():
    """For which kernels are compiled, by name."""
    return ARCHITECTURES


COUNTS = pytest.StashKey[str]()
"""What came of all kernels together, for the last lines of a run."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """Where lowered kernels are: in TAPEGRAD_CUDA_LOWERED, those that a suite with another toolkit makes meanwhile."""
    return os.environ.get("TAPEGRAD_CUDA_LOWERED") or str(tmp_path_factory.mktemp("lowered"))


@pytest.fixture(scope="session")
def compiled(request, shared):
    """What came of each kernel, by its place in the inventory."""
    from tapegrad.cuda.compiling import compile_all, counts

    found = compile_all(ARCHITECTURES, shared)
    request.config.stash[COUNTS] = counts(found)
    report = os.environ.get("TAPEGRAD_CUDA_REPORT")
    if report:
        pathlib.Path(report).write_text("".join(json.dumps(line) + "\n" for line in found), encoding="utf-8")
    return {line["index"]: line for line in found}


def pytest_terminal_summary(terminalreporter, config):
    counted = config.stash.get(COUNTS, "")
    if counted:
        terminalreporter.write_line(counted)
