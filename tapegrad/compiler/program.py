"""`tg.compile`: a function recorded once per input structure and path, and replayed in one call of the interpreter."""

from __future__ import annotations

import functools
import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import optree

from ..descriptors import place_of
from ..tape.exactness import is_numpy_loops_enabled
from ..tape.faults import IndexFault
from ..tape.handle import Tensor
from ..tape.state import local
from .arguments import arguments_of
from .bound import method_of
from .captured import Captured, Draws
from .entrance import arrays_are_known, open_for
from .entries import Entry, UnusualError, Watch
from .errors import ConcretisationError
from .leaving import Leaving
from .looking import newness
from .outputs import fill, takes_out
from .paths import Paths, first_difference
from .recorded import Program
from .saving import _Absent

__all__ = ["Compiled", "compile"]


MOST_SIGNATURES = 256
"""Structures of arguments that a compiled function remembers."""
MOST_ENTRIES = 32
"""Forms of calls that machine code recognises, one after the other."""


_OUT_IN_TRACE = (
    "results go into arrays only where nothing is being differentiated or recorded: {} was called with out= inside of "
    "another transformation or with tensors; leave it out there"
)

OPEN_AFTER = 3
"""Replays of a program after which calls begin in machine code."""


def compile(fun: Callable, *, max_paths: int = 64, lines: bool = False, native: bool = True) -> Compiled:
    """Record a function once for each structure of its arguments, and replay the tape from then on.

    Parameters
    ----------
    fun : callable
        Plain NumPy code, or a transformation of it such as ``tapegrad.value_and_grad(f)``. It is called when a new
        structure is met: containers, shapes, dtypes, and the values of arguments that are not arrays or floats (ints,
        strings, None); and when its control flow takes a path that was not recorded. Side effects happen then only.
    max_paths : int, default 64
        Paths that are kept for each structure; the one that was not used for longest makes room for a new one.
    lines : bool, default False
        Note where in your code each row comes from, for ``print(step)``: recording takes longer, replays do not.
    native : bool, default True
        Whether programs that are replayed several times get machine code of their own, which LLVM makes in the
        background. It takes over when it is ready, unless its first replays take longer than the interpreter's did;
        `Compiled.optimize` makes it at once, and for good. It may round differently: sums are added up in another
        order.

    Returns
    -------
    Compiled
        Called as `fun` is.

    Raises
    ------
    RuntimeError
        When called, if random numbers are drawn while `fun` is recorded: every replay would use the same.

    Notes
    -----
    What a function asks of traced values -- ``if x > 0``, ``while``, ``int(n)``, ``float(x)``, ``x.item()``, masks and
    lists of indices made from values -- is a *guard*: it is asked again in each replay, and where the answer is another
    one, another path is replayed, or recorded. `Compiled.paths` lists them, `Compiled.explain` says why something was
    recorded. A function that takes another path nearly each time (a loop until ``float(error)`` is printed, say) is
    run as it is, after one warning.

    What a function captures is captured by value. That a global name, a closure's variable or an element of a
    captured list or dictionary was bound anew, or an attribute that the code mentions, is noticed, and what it had been
    recorded with is dropped. What is changed *inside* of an array is not noticed: pass it as an argument.

    Results go into arrays of yours by ``out``, in containers as the function returns them; 0-dimensional arrays for
    numbers. They may be the arguments: what is read of them is read before. Nothing is allocated then, once the form of
    call is known.

    Any number of threads may call the same compiled function at the same time.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> step = tg.compile(tg.value_and_grad(lambda x: np.sum(x**2) if x[0] > 0 else -np.sum(x)))
    >>> value, gradient = step(np.array([1.0, 2.0]))
    >>> float(value), gradient
    (5.0, array([2., 4.]))
    >>> step(np.array([-1.0, 2.0]))[1]
    array([-1., -1.])
    >>> len(step.paths())
    2
    >>> value, gradient = np.zeros(()), np.zeros(2)
    >>> _ = step(np.array([3.0, 4.0]), out=(value, gradient))
    >>> float(value), gradient
    (25.0, array([6., 8.]))
    """
    if max_paths < 1:
        raise ValueError(f"compile keeps at least one path: max_paths must be positive, not {max_paths}")
    return Compiled(fun, max_paths, lines, native)


class Compiled(Leaving):
    """A function with its recorded tapes, for each structure of arguments and path that it has met."""

    __slots__ = ("__dict__", "__weakref__", "_entries")  # where machine code finds it

    def __init__(self, fun: Callable, max_paths: int = 64, lines: bool = False, native: bool = True):
        functools.update_wrapper(self, fun, updated=())
        self.fun = fun
        self.max_paths, self.lines = max_paths, lines
        self.native = native and os.environ.get("TAPEGRAD_NATIVE", "1") != "0" and not is_numpy_loops_enabled()
        self.programs: dict[tuple, Paths] = {}
        self._captured: Captured | None = None
        self._watch: Watch | None = None
        self._reasons: deque[str] = deque(maxlen=100)
        self._lock = threading.RLock()
        self._dynamic = False
        self._entries: tuple[Entry, ...] = ()
        self._has_out = takes_out(fun)
        self._batched: dict[tuple, Compiled] = {}
        _alive.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result: replayed, or for a new structure or path recorded first.

        Parameters
        ----------
        *args, **kwargs
            As of the function.
        out : optional
            Arrays that the results go to, in containers of the result's structure; 0-dimensional arrays for
            numbers. They may be the arguments' own. Not if the function has a parameter of that name.

        Returns
        -------
        Any
            What the function returns, with arrays and NumPy's scalars in the place of tensors; `out` if that is given.
        """
        state = local.state
        recording = state.depth or state.tape.tracing
        if "out" not in kwargs or self._has_out:
            return self.fun(*args, **kwargs) if self._dynamic or recording else self._call(args, kwargs)
        name = getattr(self, "__name__", "the function")
        if recording:
            raise TypeError(_OUT_IN_TRACE.format(name))
        rest = {key: x for key, x in kwargs.items() if key != "out"}
        return fill(kwargs["out"], self.fun(*args, **rest) if self._dynamic else self._call(args, rest, kwargs), name)

    def _call(self, args: tuple, kwargs: dict, given: dict | None = None) -> Any:
        """The long way; `given` is all keywords, in their order, if ``out`` is one of them."""
        taken = arguments_of(args, kwargs)
        if taken is None:
            return self.fun(*args, **kwargs)
        flat, treedef, arrays, key, device = taken
        self.notice_changes()
        if not all([e.plan is e.program.plan for e in self._entries]):
            with self._lock:  # the memory of former plans goes before that of their successors is used
                self._entries = tuple([e for e in self._entries if e.plan is e.program.plan])
        paths = self.programs.get(key)
        if paths is None:
            paths = self._meet(key)
        program = paths.latest
        reason = None if len(paths) else newness(key, self.programs)
        last, failed = -1, []
        while not paths.given_up:
            recorded = program is None
            if program is None:
                program = self._record(paths, flat, treedef, reason, device)
                if program is None:
                    break
            try:
                found = program.run(arrays)
            except Exception as error:
                if isinstance(error, IndexFault) and not isinstance(self.fun, _Absent):
                    break  # run as it is, the function fails at the line with the index
                if isinstance(self.fun, _Absent):  # the arguments may be those of another path
                    failure = error
                    failed.append(program)
                    program, last = next((p for p in paths if p not in failed), None), -1
                    if program is None:
                        self.fun.fail(error)
                    continue
                if recorded or not program.guards:
                    raise
                program, reason = None, f"the recorded path failed ({type(error).__name__}: {error})"
                continue
            miss = first_difference(program, found) if program.guards else None
            if miss is None:
                if not recorded:
                    paths.use(program)
                if program.replayed >= OPEN_AFTER and device is None and not program.is_on_trial:
                    self._open(program, key, args, kwargs if given is None else given, given is not None)
                return program.result(found)
            k, outcome = miss
            if recorded or k <= last:
                break  # the same question had two answers: rounding in another order, or a function that changes
            guard, last = program.guards[k], k
            reason = f"{guard} was {guard.shown(outcome)}, and {guard.shown(program.outcomes[k])} in the path tried"
            program = paths.instead(program, k, outcome)
            if program in failed and isinstance(self.fun, _Absent):
                self.fun.fail(failure)
        return self.fun(*args, **kwargs)

    def _open(self, program: Program, key: tuple, args: tuple, kwargs: dict, given: bool) -> None:
        """From now on calls like this one are answered in machine code, as far as it can."""
        if not arrays_are_known():
            return
        with self._lock:
            if program not in self.programs.get(key, ()):  # dropped by another thread
                return
            if self._watch is None:
                self._watch = Watch(self._captured or Captured(self.fun))  # a loaded function has captured nothing
            try:
                entry = program.entry(self._watch, args, kwargs, key[0], given)
            except UnusualError:
                return
            others = [e for e in self._entries if e is not entry and e.plan is e.program.plan]
            self._entries = (entry, *others[: MOST_ENTRIES - 1])
            _open_the_entrance()

    def notice_changes(self) -> bool:
        """Drop all that was recorded if something captured has changed since; returns whether it has."""
        change = self._captured.change() if self._captured is not None else None
        if not change:
            return False
        with self._lock:
            self._captured = self._watch = None
            self._entries = ()
            self.programs.clear()
            self._reasons.append(f"dropped all that was recorded: {change}")
        return True

    def _meet(self, key: tuple) -> Paths:
        """Make room for a new structure of arguments."""
        with self._lock:
            while len(self.programs) >= MOST_SIGNATURES:
                del self.programs[next(iter(self.programs))]
            return self.programs.setdefault(key, Paths(self.max_paths))

    def _record(
        self, paths: Paths, flat: list, treedef: optree.PyTreeSpec, reason: str | None, device: Any = None
    ) -> Program | None:
        with self._lock:
            if paths.misses > 2 * paths.limit and paths.hits < paths.misses:
                self._give_up(paths, f"takes another path nearly each time (last: {reason})")
                return None
            if isinstance(self.fun, _Absent):
                raise self.fun.refuse(reason)
            name = getattr(self.fun, "__name__", "the function")
            reached = Captured(self.fun).generators
            draws = Draws([*reached, *(x for x in flat if isinstance(x, np.random.Generator))])
            try:
                program = Program(self.fun, flat, treedef, self.lines, device)
                program.is_wanted_native = self.native and device is None
            except ConcretisationError as error:
                self._dynamic = True
                self._give_up(paths, f"asks for a value while it is recorded ({error})")
                return None
            draws.check(name)
            self._captured, self._watch = Captured(self.fun), None  # as the recording left it
            self._entries = ()
            paths.misses += 1
            paths.add(program)
            self._reasons.append(f"recorded {program.summary()}: {reason}")
            return program

    def _give_up(self, paths: Paths, why: str) -> None:
        paths.given_up = True
        name = getattr(self.fun, "__name__", "the function")
        self._reasons.append(f"given up: {name} {why}")
        warnings.warn(f"{name} {why}; it will be run as it is, not compiled", RuntimeWarning, stacklevel=4)

    def __get__(self, instance: Any, owner: type | None = None) -> Compiled:
        return self if instance is None else method_of(self, instance)

    def __copy__(self) -> Compiled:
        return self

    def __deepcopy__(self, memo: dict) -> Compiled:
        return self

    def optimize(self) -> Compiled:
        """Make the machine code of all recorded paths now, instead of in the background.

        Returns
        -------
        Compiled
            The function itself.

        Examples
        --------
        >>> import numpy as np
        >>> import tapegrad as tg
        >>> step = tg.compile(tg.grad(lambda x: np.sum(np.sin(x) ** 2)))
        >>> _ = step(np.arange(3.0))  # recorded
        >>> step.optimize()(np.arange(3.0)).round(3)
        array([ 0.   ,  0.909, -0.757])
        """
        for program in self.paths():
            program.make_native()
        for together in list(self._batched.values()):
            together.optimize()
        return self

    def map(self, *args: Any, in_dims: Any = 0, chunk_size: int | None = None, threads: int = 1, **kwargs: Any) -> Any:
        """The function for each example of a batch, compiled once for chunks of many examples.

        Parameters
        ----------
        *args
            As in a call, with one more axis for the examples; arrays, or containers of such.
        in_dims : int, None or a container, default 0
            That axis, as in `tapegrad.vmap`; None for an argument that is the same for all examples.
        chunk_size : int, optional
            Examples of one replay; by default, about as many as fill 2 MiB of the largest argument.
        threads : int, default 1
            How many chunks are computed at the same time.
        out : optional
            Arrays that the results go to, of any strides, in containers of the result's structure and with the batch
            first; they may be the arguments' own. Not if the function has a parameter of that name.
        **kwargs
            The same for all examples.

        Returns
        -------
        Any
            What the function returns, stacked along a first axis; `out` if that is given.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `tapegrad.vmap`: what the function asks of values must be the same for all examples. If `out` does not
            fit, nothing has been written.

        Notes
        -----
        Where a function is mapped again and again over many examples, new results can cost more than the work itself,
        as the system clears each page of new memory; `out` saves that.

        Examples
        --------
        >>> import numpy as np
        >>> import tapegrad as tg
        >>> step = tg.compile(tg.value_and_grad(lambda x, y: np.sin(x) * y, argnums=(0, 1)))
        >>> value, (by_x, by_y) = step.map(np.linspace(0.0, 1.0, 5), np.ones(5))
        >>> by_y.shape
        (5,)
        >>> out = np.zeros(3), (np.zeros(3), np.zeros(3))
        >>> _ = step.map(np.zeros(3), np.arange(3.0), out=out)
        >>> out[1][0]
        array([0., 1., 2.])
        """
        from ..batching import arranged, vmap
        from .mapping import Batch, apart, map_chunks

        if threads < 1 or (chunk_size is not None and chunk_size < 1):
            raise ValueError(f"map: chunk_size and threads must be positive, not {chunk_size} and {threads}")
        out = None if self._has_out else kwargs.pop("out", None)
        given: Any = args, kwargs
        state = local.state
        name = getattr(self, "__name__", "the function")
        if state.depth or state.tape.tracing or any(isinstance(x, Tensor) for x in optree.tree_leaves(given)):
            if out is not None:
                raise TypeError(_OUT_IN_TRACE.format(name))
            return vmap(self.fun, in_dims)(*args, **kwargs)
        if out is not None:
            args, kwargs = apart(given, out)
        flat, mapped, treedef = arranged(self.fun, in_dims, args)
        key = tuple(mapped), treedef
        with self._lock:
            together = self._batched.get(key)
            if together is None:
                dims = optree.tree_unflatten(treedef, [0 if m else None for m in mapped])
                over = vmap(self.fun, dims)
                together = self._batched[key] = Compiled(over, self.max_paths, self.lines, self.native)

        def call(leaves: list, **out: Any) -> Any:
            return together(*optree.tree_unflatten(treedef, leaves), **kwargs, **out)

        batch = Batch(flat, mapped, chunk_size)
        first: Any = optree.tree_unflatten(treedef, batch.part(0))
        known = together._results_of(first, kwargs)
        return map_chunks(call, batch, threads, out, known, name)

    def _results_of(self, args: tuple, kwargs: dict) -> tuple[Any, list] | None:
        """The structure of a call's result and its leaves, or what they are like; None where a call has to show it."""
        taken = arguments_of(args, kwargs)
        paths = None if taken is None else self.programs.get(taken.key)
        if not paths or len(paths) > 1 or self._captured is None or self._captured.change():
            return None
        program: Any = paths.latest
        return program.treedef, [x for _, x in program.results]


_alive: weakref.WeakSet[Compiled] = weakref.WeakSet()


def _in_child() -> None:
    """After a fork: no other thread has come along, so that nobody holds a lock."""
    for step in list(_alive):
        step._lock = threading.RLock()
        for paths in step.programs.values():
            paths.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


@functools.cache
def _open_the_entrance() -> None:
    """Let calls of compiled functions begin in machine code."""
    entry, program = object.__new__(Entry), object.__new__(Program)
    places = {"ENTRIES_AT": place_of(Compiled(_open_the_entrance), "_entries"), "ENTRY_AT": place_of(entry, "at")}
    open_for(Compiled, places | {"PLAN_AT": place_of(program, "plan")})
