"""How kernels are put together."""

from __future__ import annotations

import os
import subprocess
import sys

from tapegrad.cuda import scalars, toolchain


def test_functions_are_shared_by_all_that_call_them():
    """A function that was made for one kernel is complete for the next, whatever the attributes in it are called."""
    made: dict = {}
    for function in (scalars.floor_divide, scalars.fmod, scalars.remainder):
        copy = toolchain.build(function, lambda f: f, {}, made)
        called = copy.__globals__["truncated"]
        assert called is made[scalars.truncated]
        assert called(7.5, 2.0) == 1.5
    assert None not in made.values()


def test_work_on_the_host_imports_no_package_for_cuda():
    """Not even the list of what runs on a GPU does."""
    code = (
        "import sys, numpy as np, tapegrad as tg\n"
        "x = tg.tensor(np.ones((3, 3)), requires_grad=True); (np.sin(x) @ x).sum().backward()\n"
        "tg.compile(lambda x: np.sum(np.sin(x) * x))(np.ones(3)); tg.grad(np.linalg.det)(np.eye(2)); tg.support()\n"
        "names = ('numba.cuda', 'numba_cuda', 'cuda.', 'cupy', 'nvmath')\n"
        "print([m for m in sys.modules if m.startswith(names)])"
    )
    host = {k: v for k, v in os.environ.items() if k != "NUMBA_ENABLE_CUDASIM"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=host)
    assert found.stdout.strip() == "[]"
