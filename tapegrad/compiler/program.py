"""`tg.compile`: a function recorded once per input structure, and replayed in one call of the interpreter."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from ..primitives.core import ops
from ..tape.handle import Tensor
from ..tape.lower import tracing
from ..tape.record import new_tensor
from ..tape.spec import spec_of
from ..tape.state import local
from ..tape.tape import Tape
from ..values import value_of
from ..vm import opcodes as op
from .errors import ConcretisationError
from .plan import plan_program

__all__ = ["Compiled", "compile"]


def compile(fun: Callable) -> Compiled:
    """Record a function once for each structure of its arguments, and replay the tape from then on.

    Parameters
    ----------
    fun : callable
        Plain NumPy code, or a transformation of it such as ``tapegrad.value_and_grad(f)``. It is called when a new
        structure is met: containers, shapes, dtypes, and the values of arguments that are not arrays or floats (ints,
        strings, None). Side effects happen then only, and what it captures is captured by value.

    Returns
    -------
    Compiled
        Called as `fun` is.

    Notes
    -----
    A function that asks for the truth or the number of a traced value (``if x > 0``) cannot be recorded yet: it is
    called as it is each time, after one warning.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> step = tg.compile(tg.value_and_grad(lambda x: np.sum(x**2)))
    >>> value, gradient = step(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    """
    return Compiled(fun)


class Compiled:
    """A function with its recorded tapes, one for each structure of arguments it has met."""

    def __init__(self, fun: Callable):
        functools.update_wrapper(self, fun, updated=())
        self.fun = fun
        self.programs: dict = {}
        self._lock = threading.RLock()
        self._dynamic = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result: replayed, or for a new structure of arguments recorded first."""
        state = local.state
        if self._dynamic or state.depth or state.tape.tracing:
            return self.fun(*args, **kwargs)
        call: Any = (args, kwargs)
        flat, treedef = optree.tree_flatten(call)
        parts: list = [treedef]
        arrays: list[np.ndarray] = []
        for k, x in enumerate(flat):
            kind = type(x)
            if kind is np.ndarray:
                if not x.flags.c_contiguous or not x.flags.aligned or not x.dtype.isnative:
                    x = flat[k] = np.array(x, x.dtype.newbyteorder("="), order="C")
                parts.append((x.shape, x.dtype))
                arrays.append(x)
            elif kind is float or isinstance(x, (np.generic, np.ndarray)):
                array = np.asarray(x)
                parts.append((array.shape, array.dtype, kind))
                arrays.append(array)
            elif isinstance(x, Tensor):
                return self.fun(*args, **kwargs)
            else:
                parts.append((kind, x))
        key = tuple(parts)
        program = self.programs.get(key)
        if program is None:
            program = self._record(key, flat, treedef)
            if program is None:
                return self.fun(*args, **kwargs)
        return program.run(arrays)

    def _record(self, key: tuple, flat: list, treedef: optree.PyTreeSpec) -> Program | None:
        with self._lock:
            if key in self.programs:
                return self.programs[key]
            try:
                program = Program(self.fun, flat, treedef)
            except ConcretisationError as error:
                self._dynamic = True
                warnings.warn(
                    f"{getattr(self.fun, '__name__', 'the function')} asks for a value while it is recorded ({error}); "
                    f"it will be run as it is, not compiled",
                    RuntimeWarning,
                    stacklevel=3,
                )
                return None
            self.programs[key] = program
            return program


class Program:
    """One recorded tape, linked to memory of its own."""

    def __init__(self, fun: Callable, flat: list, treedef: optree.PyTreeSpec):
        self.lock = threading.Lock()
        with tracing() as tape:
            local.state.grad_enabled = True
            inputs = []
            traced = []
            for x in flat:
                if isinstance(x, (np.ndarray, np.generic, float)):
                    array = np.asarray(x)
                    spec = spec_of(array.shape, array.dtype)
                    t = new_tensor(tape, tape.bring(spec, None, 0), spec)
                    t._foreign = True
                    inputs.append(t._slot)
                    traced.append(t)
                else:
                    traced.append(x)
            args, kwargs = optree.tree_unflatten(treedef, traced)
            result = fun(*args, **kwargs)
            flat_result, self.treedef = optree.tree_flatten(result)
            outputs = self._collect(flat_result, tape)
        self.plan = plan_program(tape, inputs, outputs)

    def _collect(self, flat_result: list, tape: Tape) -> list[int]:
        """Slots of the outputs; notes, per leaf of the result, its output number or its constant value."""
        self.results: list = []
        outputs: list = []
        for x in flat_result:
            if isinstance(x, Tensor):
                if x._tape is not tape:
                    self.results.append((None, value_of(x).copy()))
                    continue
                if tape.signature(tape.root_of(x._slot)).kind == op.IMPORT:
                    x = ops.copy(x)  # an argument itself: the caller gets an array of its own
                self.results.append((len(outputs), x._spec))
                outputs.append(x._slot)
            else:
                self.results.append((None, x))
        return outputs

    def run(self, arrays: list[np.ndarray]) -> Any:
        """Replay on new arrays."""
        with self.lock:
            found = self.plan.replay(arrays)
        flat = []
        for k, x in self.results:
            flat.append(x.copy() if k is None and isinstance(x, np.ndarray) else x if k is None else found[k])
        return optree.tree_unflatten(self.treedef, flat)
