"""An entry: how a call is recognised that one recorded program can answer, and how its result is put together.

It is a table of steps for machine code, see `tapegrad.vm.calling`. Arguments may be arrays, numbers, values that are
part of the recording, and tuples, lists and dictionaries of them; what else there is takes the way through Python.
"""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from ..tape.memory import address_of
from ..vm import call_fields as f
from .captured import Captured

if TYPE_CHECKING:
    from .recorded import Program

__all__ = ["Entry", "UnusualError", "Watch", "is_traced", "marked"]

_COMPARED = (int, str, bytes)
"""Types whose equal values are the same argument; other values must be the same object."""


class UnusualError(Exception):
    """A call that machine code cannot recognise or answer."""


def is_traced(x: Any) -> bool:
    """Whether a leaf of a function's arguments is an input of its program, and no part of the recording."""
    return isinstance(x, (np.ndarray, np.generic, float))


class _Mark(int):
    """Stands for a leaf of a tree."""


def marked(treedef: optree.PyTreeSpec) -> Any:
    """A tree of that structure, with the numbers of its leaves in their places."""
    return optree.tree_unflatten(treedef, map(_Mark, range(treedef.num_leaves)))


class Watch:
    """What a function captured, as a table; it keeps alive what it mentions, so that an address means one object.

    Parameters
    ----------
    captured : Captured
    """

    def __init__(self, captured: Captured):
        names: list = [(space, name, value) for space, name, value, _ in captured.names]
        cells: list = [(cell, value) for cell, _, value, _ in captured.cells]
        lists = [(held, contents) for held, contents, _, _ in captured.held if type(held) is list]
        dicts = [(held, contents) for held, contents, _, _ in captured.held if type(held) is dict]
        words = [len(names), len(cells), len(lists), len(dicts)]
        words += [id(thing) for group in (names, cells) for watched in group for thing in watched]
        for held, contents in lists:
            words += [id(held), len(contents), *map(id, contents)]
        for table, contents in dicts:
            n = len(contents) // 2
            pairs = zip(contents[:n], contents[n:], strict=True)
            words += [id(table), n, *[id(thing) for pair in pairs for thing in pair]]
        self.words = np.array(words, np.int64)
        self.kept = names, cells, lists, dicts


class Entry:
    """Calls of one form, answered by one program as its plan is now.

    Parameters
    ----------
    program : Program
    watch : Watch
    args, kwargs
        A call that the program has answered; results go to ``kwargs["out"]`` if `given`.
    treedef : optree.PyTreeSpec
        Of ``(args, kwargs)`` without ``out``.
    given : bool

    Attributes
    ----------
    at : int
        Address of the table.

    Raises
    ------
    UnusualError
        If this is no call for machine code.
    """

    __slots__ = ("at", "inputs", "kept", "numbers", "plan", "program", "steps", "watch", "words")

    def __init__(self, program: Program, watch: Watch, args: tuple, kwargs: dict, treedef: Any, given: bool):
        replays = program.linked
        self.program, self.plan, self.watch = program, replays.plan, watch
        self.kept: list[Any] = [replays]
        self.steps: list[list[int]] = []
        call: Any = args, {key: x for key, x in kwargs.items() if not (given and key == "out")}
        leaves = optree.tree_leaves(call)
        self.numbers = {k: n for n, k in enumerate([k for k, x in enumerate(leaves) if is_traced(x)])}
        self.inputs = [0] * len(self.numbers)
        marked_args, marked_kwargs = marked(treedef)
        for k, (x, mark) in enumerate(zip(args, marked_args, strict=True)):
            self._step(f.FROM_ARGUMENTS, 0, k, x, mark)
        out_at = -1
        for k, (name, x) in enumerate(kwargs.items(), len(args)):
            if given and name == "out":
                out_at = k
                self._step(f.FROM_ARGUMENTS, 0, k, x, marked(program.treedef), program)
            else:
                self._step(f.FROM_ARGUMENTS, 0, k, x, marked_kwargs[name])
        recipe = self._recipe(program)
        results = [self._result(k, replays) for k in range(program.count)]
        self.words = words = np.zeros(f.ENTRY_COUNT, np.int64)
        words[f.PROGRAM], words[f.PLAN], words[f.REPLAY] = id(program), id(self.plan), replays.at
        words[f.UNLOCKS], words[f.GIVEN], words[f.WATCH] = replays.unlocks, out_at, address_of(watch.words)
        words[f.N_POSITIONAL], words[f.N_NAMES] = len(args), len(kwargs)
        words[f.NAMES] = self._keep(list(map(self._word, kwargs)))
        words[f.N_STEPS], words[f.STEPS] = len(self.steps), self._keep(self.steps)
        words[f.N_INPUTS], words[f.INPUT_BYTES] = len(self.inputs), self._keep(self.inputs)
        words[f.N_RESULTS], words[f.RESULTS] = len(results), self._keep(results)
        words[f.N_RECIPE], words[f.RECIPE] = len(recipe), self._keep(recipe)
        words[f.ROOM] = len(self.inputs) + 4 * len(results) + len(self.steps) + len(recipe)
        self.at = address_of(words)

    @property
    def hits(self) -> int:
        """Calls that were answered here."""
        return int(self.words[f.HITS])

    def _word(self, thing: Any) -> int:
        """The address of an object that is kept alive."""
        self.kept.append(thing)
        return id(thing)

    def _keep(self, items: list) -> int:
        array = np.array(items, np.int64)
        self.kept.append(array)
        return address_of(array)

    def _step(self, how: int, parent: int, key: int, x: Any, mark: Any, target: Program | None = None) -> None:
        """Look at an object, and then at what it holds."""
        here, kind = len(self.steps), type(x)
        self.steps.append([how, parent, key])
        if type(mark) is _Mark:
            self.steps[here] += self._leaf(x, mark) if target is None else self._target(x, target.results[mark])
        elif type(mark) is not kind or (mark is not None and len(mark) != len(x)):
            raise UnusualError
        elif kind is tuple or kind is list:
            self.steps[here] += [f.IS_TUPLE if kind is tuple else f.IS_LIST, len(x), 0]
            for k, (item, its_mark) in enumerate(zip(x, mark, strict=True)):
                self._step(f.FROM_TUPLE if kind is tuple else f.FROM_LIST, here, k, item, its_mark, target)
        elif kind is dict and all(type(name) is str and name in mark for name in x):
            self.steps[here] += [f.IS_DICT, len(x), 0]
            for name, item in x.items():
                self._step(f.FROM_DICT, here, self._word(name), item, mark[name], target)
        elif x is None:
            self.steps[here] += [f.IS_SAME, id(None), 0]
        else:
            raise UnusualError

    def _leaf(self, x: Any, mark: int) -> list[int]:
        kind, number = type(x), self.numbers.get(mark, 0)
        if kind is np.ndarray:
            if not (x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative):
                raise UnusualError
            self.inputs[number] = x.nbytes
            return [f.IS_ARRAY, self._keep([self._word(x.dtype), x.ndim, *x.shape]), number]
        if isinstance(x, np.ndarray):
            raise UnusualError
        if is_traced(x):
            array = np.asarray(x)
            if array.dtype.itemsize > 16 or ctypes.string_at(id(x) + f.CONTENT, array.nbytes) != array.tobytes():
                raise UnusualError
            self.inputs[number] = array.nbytes
            return [f.IS_NUMBER, self._word(kind), number]
        return [f.IS_EQUAL if kind in _COMPARED else f.IS_SAME, self._word(x), 0]

    def _target(self, x: Any, result: tuple) -> list[int]:
        k, spec = result
        plain = type(x) is np.ndarray and x.flags.carray
        if k is None or not plain or x.dtype != spec.dtype or x.shape != spec.shape:
            raise UnusualError
        return [f.IS_TARGET, self._keep([self._word(x.dtype), x.ndim, *x.shape]), k]

    def _result(self, k: int, replays: Any) -> list[int]:
        spec, bound, _ = replays.plan.bound_outputs[k]
        if spec.ndim == 0 and spec.dtype.itemsize > 16:
            raise UnusualError
        return [self._word(spec.dtype), spec.ndim, self._keep([*spec.shape]), spec.nbytes, bound is None]

    def _recipe(self, program: Program) -> list[list[int]]:
        """How to put a result together: leaves and containers, each behind what it holds."""
        steps: list[list[int]] = []
        try:
            self._make(marked(program.treedef), program.results, steps)
        except UnusualError:  # another container: Python makes it
            steps = []
            for result in program.results:
                steps.append(self._leaf_of(result))
            make = functools.partial(_unflattened, program.treedef)
            steps.append([f.MAKE_CALL, len(steps), self._word(make)])
        return steps

    def _make(self, mark: Any, results: list, steps: list[list[int]]) -> None:
        kind = type(mark)
        if kind is _Mark:
            steps.append(self._leaf_of(results[mark]))
        elif kind is dict:
            for item in mark.values():
                self._make(item, results, steps)
            steps.append([f.MAKE_DICT, len(mark), self._keep(list(map(self._word, mark)))])
        elif kind is tuple or kind is list:
            for item in mark:
                self._make(item, results, steps)
            steps.append([f.MAKE_TUPLE if kind is tuple else f.MAKE_LIST, len(mark), 0])
        elif mark is None:
            steps.append([f.MAKE_SAME, 0, id(None)])
        else:
            raise UnusualError

    def _leaf_of(self, result: tuple) -> list[int]:
        k, value = result
        if k is not None:
            return [f.MAKE_RESULT, k, 0]
        return [f.MAKE_COPY if isinstance(value, np.ndarray) else f.MAKE_SAME, 0, self._word(value)]


def _unflattened(treedef: optree.PyTreeSpec, *leaves: Any) -> Any:
    return optree.tree_unflatten(treedef, leaves)
