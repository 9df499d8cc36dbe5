"""The device's side on the stand-in: in a process of its own, since Numba reads its variable when it starts."""

from __future__ import annotations

import pathlib
import sys

import pytest

from tapegrad.cuda import toolchain

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

HERE = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items):
    if toolchain.SIMULATED:
        return
    reason = "needs NUMBA_ENABLE_CUDASIM=1 in a process of its own, which scripts/test starts"
    for item in items:
        if HERE in item.path.parents and item.path.name != "test_scalars.py":
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def device():
    from tapegrad.cuda import device_of

    return device_of("cuda")


@pytest.fixture(autouse=True)
def fresh():
    """Every test begins on tapes of its own: what one leaves behind cannot fail in another."""
    yield
    if toolchain.SIMULATED:
        from tapegrad.cuda import device_of

        found = device_of("cuda")
        found.leave(found.tape_of(None))
