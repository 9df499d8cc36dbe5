"""`tg.compile`: a function recorded once per input structure and path, and replayed in one call of the interpreter."""

from __future__ import annotations

import functools
import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from ..descriptors import place_of
from ..tape.faults import IndexFault
from ..tape.handle import Tensor
from ..tape.state import local
from .arguments import arguments_of
from .captured import Captured, Draws
from .entrance import arrays_are_known, open_for
from .entries import Entry, UnusualError, Watch
from .errors import ConcretisationError
from .outputs import fill, takes_out
from .outside import fixed, general_address, low_level_callable
from .paths import Paths, first_difference
from .recorded import Program
from .saving import _Absent, dump_bytes, load_bytes, save

if TYPE_CHECKING:
    from ..inspect.programs import Profile
    from ..inspect.sketching import Sketch

__all__ = ["Compiled", "compile"]


MOST_SIGNATURES = 256
"""Structures of arguments that a compiled function remembers."""
MOST_ENTRIES = 32
"""Forms of calls that machine code recognises, one after the other."""


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
        background. It takes over when it is ready (`Compiled.optimize` makes it at once), and may round differently:
        sums are added up in another order.

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
    captured list or dictionary was bound anew is noticed, and what it had been recorded with is dropped. What is
    changed *inside* of an object -- elements of an array, attributes -- is not noticed: pass it as an argument.

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


class Compiled:
    """A function with its recorded tapes, for each structure of arguments and path that it has met."""

    __slots__ = ("__dict__", "__weakref__", "_entries")  # where machine code finds it

    def __init__(self, fun: Callable, max_paths: int = 64, lines: bool = False, native: bool = True):
        functools.update_wrapper(self, fun, updated=())
        self.fun = fun
        self.max_paths, self.lines = max_paths, lines
        self.native = native and os.environ.get("TAPEGRAD_NATIVE", "1") != "0"
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
            raise TypeError(
                f"results go into arrays only where nothing is being differentiated or recorded: {name} was called "
                f"with out= inside of another transformation; leave it out there"
            )
        rest = {key: x for key, x in kwargs.items() if key != "out"}
        return fill(kwargs["out"], self.fun(*args, **rest) if self._dynamic else self._call(args, rest, kwargs), name)

    def _call(self, args: tuple, kwargs: dict, given: dict | None = None) -> Any:
        """The long way; `given` is all keywords, in their order, if ``out`` is one of them."""
        taken = arguments_of(args, kwargs)
        if taken is None:
            return self.fun(*args, **kwargs)
        flat, treedef, arrays, key, device = taken
        change = self._captured.change() if self._captured is not None else None
        if change:
            self._start_anew(change)
        paths = self.programs.get(key)
        if paths is None:
            paths = self._meet(key)
        program = paths.latest
        reason = None if len(paths) else self._newness(key)
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
                if program.replayed >= OPEN_AFTER and device is None:
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

    def _start_anew(self, change: str) -> None:
        with self._lock:
            self._captured = self._watch = None
            self._entries = ()
            self.programs.clear()
            self._reasons.append(f"dropped all that was recorded: {change}")

    def _meet(self, key: tuple) -> Paths:
        """Make room for a new structure of arguments."""
        with self._lock:
            while len(self.programs) >= MOST_SIGNATURES:
                del self.programs[next(iter(self.programs))]
            return self.programs.setdefault(key, Paths(self.max_paths))

    def _newness(self, key: tuple) -> str:
        """Why a structure of arguments has not been met: what is different from another one."""
        others = [k for k in self.programs if k != key]
        if not others:
            return "the first call"
        other = others[-1]
        if other[0] != key[0]:
            return f"arguments in another structure: {key[0]}"
        paths = optree.treespec_paths(key[0])
        changed = [(p, a, b) for p, a, b in zip(paths, other[1:], key[1:], strict=True) if a != b]
        return "; ".join(f"{_argument(p)} was {_described(b)}, and {_described(a)} before" for p, a, b in changed[:3])

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

    def save(self, path: str | os.PathLike) -> None:
        """Write the recorded paths to a file that `tapegrad.load` reads: rows, constants and guards, no Python code.

        Parameters
        ----------
        path : str or path-like
            Written at once: it holds what it held before, or all of the new.

        Raises
        ------
        SaveError
            If nothing has been recorded, or something has no place in a file: a primitive of one's own, containers
            other than tuples, lists and dictionaries. A `TypeError`.
        """
        save(self, path)

    def __reduce__(self) -> tuple:
        return load_bytes, (dump_bytes(self), f"a pickle of {getattr(self, '__name__', 'a function')}")

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
        **kwargs
            The same for all examples.

        Returns
        -------
        Any
            What the function returns, stacked along a first axis.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            As `tapegrad.vmap`: what the function asks of values must be the same for all examples.

        Examples
        --------
        >>> import numpy as np
        >>> import tapegrad as tg
        >>> step = tg.compile(tg.value_and_grad(lambda x, y: np.sin(x) * y, argnums=(0, 1)))
        >>> value, (by_x, by_y) = step.map(np.linspace(0.0, 1.0, 5), np.ones(5))
        >>> by_y.shape
        (5,)
        """
        from ..batching import arranged, vmap
        from .mapping import map_chunks

        given: Any = args, kwargs
        state = local.state
        if state.depth or state.tape.tracing or any(isinstance(x, Tensor) for x in optree.tree_leaves(given)):
            return vmap(self.fun, in_dims)(*args, **kwargs)
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

        return map_chunks(call, flat, mapped, chunk_size, threads)

    def as_njit(self, *examples: Any) -> Any:
        """The path that some arguments take, as a function that Numba's nopython code can call.

        Parameters
        ----------
        *examples
            Arrays and numbers like those to come; without any, the one structure that was recorded is meant. What is
            part of the recording (ints, strings) is no argument of the function that is returned.

        Returns
        -------
        numba.core.registry.CPUDispatcher
            Takes C-contiguous arrays of the recorded shapes and dtypes, and numbers; returns what the function returns,
            with tuples for lists.

        Raises
        ------
        TypeError
            If arguments stand in containers, or results in others than tuples and lists.

        Notes
        -----
        The path is fixed. Where the arguments would take another one, a `RuntimeError` is raised; where an array has
        another shape, a `ValueError`. It may be called from several threads, in ``prange`` as well.

        Examples
        --------
        >>> import numba
        >>> import numpy as np
        >>> import tapegrad as tg
        >>> slope = tg.compile(tg.grad(lambda x: np.sum(np.sin(x)))).as_njit(np.ones(3))
        >>> @numba.njit
        ... def descend(x, steps):
        ...     for _ in range(steps):
        ...         x = x - 0.1 * slope(x)
        ...     return x
        >>> descend(np.zeros(3), 10).round(3)
        array([-0.88, -0.88, -0.88])
        """
        from .nopython import function_of

        program, specs = fixed(self, examples)
        return function_of(program, specs, getattr(self, "__name__", "function"))

    @property
    def address(self) -> int:
        """Address of the one structure that was recorded, the path used last, as a C function.

        It is ``int64_t f(const void *const *inputs, void *const *outputs)``: reads the arguments' elements, in C order
        and of the recorded shapes and dtypes, and writes the results' to memory of the caller's. It returns 0; 1 where
        the arguments take another path than was recorded, 2 where a row that Python runs failed, 3 where there is no
        memory, and 4 where an index was out of bounds. Any number of threads may call it, with or without Python's
        lock, as long as the process lives.
        """
        return general_address(fixed(self, ())[0])

    def low_level_callable(self, *examples: Any) -> Any:
        """The path that some arguments take, for SciPy's routines that call C functions.

        Parameters
        ----------
        *examples
            One float64 array of one dimension, or float64 numbers, like those to come; without any, the one structure
            that was recorded is meant.

        Returns
        -------
        scipy.LowLevelCallable
            Of the signature ``double (int, double *)``: elements of the array, or the numbers. NaN where the arguments
            take another path than was recorded, or their number is another one.

        Raises
        ------
        TypeError
            If arguments are others, or the result is not one float64 number.

        Examples
        --------
        >>> import numpy as np
        >>> import scipy.integrate
        >>> import tapegrad as tg
        >>> slope = tg.compile(tg.grad(lambda x, a: np.sin(a * x))).low_level_callable(0.5, 2.0)
        >>> value, _ = scipy.integrate.quad(slope, 0.0, 1.0, args=(2.0,))
        >>> bool(np.isclose(value, np.sin(2.0)))
        True
        """
        program, specs = fixed(self, examples)
        return low_level_callable(program, specs, getattr(self, "__name__", "the function"))

    def paths(self) -> list[Program]:
        """The recorded paths of all structures of arguments, each with its guards; those used last come first."""
        return [program for paths in list(self.programs.values()) for program in paths]

    def profile(self, *args: Any, repeats: int = 10, **kwargs: Any) -> Profile:
        """Time and bytes of each row, for arguments like those of a call.

        Parameters
        ----------
        *args, **kwargs
            As in a call.
        repeats : int, default 10
            Replays, of which each row's fastest time is kept.

        Returns
        -------
        Profile
            Print it for a table by row and by line of your code.

        Notes
        -----
        The function is recorded anew, with the lines that rows come from, and each row is run by itself, which costs
        some 0.5 microseconds: compare small rows with one another.
        """
        from ..inspect.programs import Profile

        call: Any = (args, kwargs)
        flat, treedef = optree.tree_flatten(call)
        arrays = [np.array(x, order="C") for x in flat if isinstance(x, (np.ndarray, np.generic, float))]
        with self._lock:
            return Profile(Program(self.fun, flat, treedef, lines=True), arrays, repeats, self.native)

    def report(self, path: str | os.PathLike, *args: Any, repeats: int = 10, **kwargs: Any) -> str:
        """Write an HTML page: time of forward and reverse, memory, a roofline, rows with your lines, guards and paths.

        Parameters
        ----------
        path : str or path-like
            One file, which loads nothing from elsewhere.
        *args, **kwargs
            As in a call.
        repeats : int, default 10
            Replays, of which each row's fastest time is kept.

        Returns
        -------
        str
            The file's name.

        Notes
        -----
        As `profile`, which it is made from, this records the function anew and runs each row by itself.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> import tapegrad as tg
        >>> step = tg.compile(tg.value_and_grad(lambda x: np.sum(np.sin(x))))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = step.report(os.path.join(folder, "out.html"), np.ones(1000))
        ...     os.path.getsize(page) > 10_000
        True
        """
        from ..inspect.report import write_report

        return write_report(self, path, self.profile(*args, repeats=repeats, **kwargs))

    def draw(self, *args: Any, filename: str | os.PathLike | None = None) -> Sketch:
        """Draw the path that was used last, or the one that some arguments take: see `tapegrad.draw`."""
        from ..inspect.sketching import draw

        return draw(self, *args, filename=None if filename is None else os.fspath(filename))

    def _repr_html_(self) -> str:
        from ..inspect.notebook import compiled_html

        return compiled_html(self)

    def __str__(self) -> str:
        from ..inspect.programs import list_program

        name = getattr(self, "__name__", "function")
        shown = [f"compiled {name}: {len(self.paths())} recorded paths", *map(list_program, self.paths())]
        return "\n\n".join(shown)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self, '__name__', 'function')}: {len(self.paths())} recorded paths>"

    def explain(self) -> str:
        """Why something was recorded: a line for each recording, the latest last."""
        return "\n".join(self._reasons) or "nothing has been recorded yet"


def _argument(path: tuple) -> str:
    """The place of a leaf among the arguments."""
    (which, first, *rest) = path
    name = f"argument {first}" if which == 0 else f"argument {first!r}"
    return name + "".join(f"[{k!r}]" for k in rest)


def _described(part: tuple) -> str:
    """A leaf's part of a signature, in words."""
    if isinstance(part[0], tuple):
        kind = part[2] if len(part) > 2 else np.ndarray
        if kind is float:
            return "a Python float"
        if isinstance(kind, type) and issubclass(kind, np.generic):
            return f"a number of NumPy's, {part[1].name}"
        place = "" if isinstance(kind, type) else f" on {kind}"
        return f"{part[1].name}{list(part[0])}{place}"
    return f"{part[1]!r:.40}"


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
