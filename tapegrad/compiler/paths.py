"""The recorded paths of one signature: a tree of questions, whose leaves are programs; those used last are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .recorded import Program

__all__ = ["Paths", "first_difference"]


class Node:
    """A question, and what follows, by its answer: another question or a program."""

    __slots__ = ("branches",)

    def __init__(self) -> None:
        self.branches: dict[bytes, Node | Program] = {}

    def latest(self) -> Program:
        """A program under this question: the one that was added last."""
        found: Any = self
        while isinstance(found, Node):
            found = next(reversed(found.branches.values()))
        return found


class Paths:
    """Programs of one signature, at most `limit` of them.

    Attributes
    ----------
    hits, misses : int
        Calls that a recorded path was right for, and paths that had to be recorded.
    given_up : bool
        Too many different paths: the function is run as it is.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._hits = self.misses = 0
        self.given_up = False
        self.lock = threading.RLock()
        self._root: Node | Program | None = None
        self._used: OrderedDict[Program, list[Node]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def __contains__(self, program: Program) -> bool:
        return program in self._used

    def __iter__(self) -> Iterator[Program]:
        """Programs, the one used last first."""
        self.count_hits()
        return reversed(list(self._used))

    @property
    def latest(self) -> Program | None:
        """The program that was used last."""
        return next(reversed(self._used)) if self._used else None

    def add(self, program: Program) -> None:
        """Add a path; the one that was not used for longest makes room for it."""
        with self.lock:
            trail: list[Node] = []
            if not program.outcomes:
                self._forget(self._root)
                self._root = program
            else:
                if not isinstance(self._root, Node):
                    self._forget(self._root)
                    self._root = Node()
                node = self._root
                for outcome in program.outcomes[:-1]:
                    trail.append(node)
                    below = node.branches.pop(outcome, None)
                    if not isinstance(below, Node):
                        self._forget(below)
                        below = Node()
                    node.branches[outcome] = below  # what was added last stands last
                    node = below
                trail.append(node)
                self._forget(node.branches.pop(program.outcomes[-1], None))
                node.branches[program.outcomes[-1]] = program
            self.count_hits()
            self._used[program] = trail
            while len(self._used) > self.limit:
                self._drop(next(iter(self._used)))

    def _forget(self, at: Node | Program | None) -> None:
        """Forget all programs under a place in the tree: others gave the same answers to other questions."""
        if isinstance(at, Node):
            for branch in at.branches.values():
                self._forget(branch)
        elif at is not None:
            self._used.pop(at, None)

    def _drop(self, program: Program) -> None:
        trail = self._used.pop(program)
        for node, outcome in reversed(list(zip(trail, program.outcomes, strict=True))):
            del node.branches[outcome]
            if node.branches:
                return
        self._root = None

    @property
    def hits(self) -> int:
        """Calls that a recorded path was right for."""
        self.count_hits()
        return self._hits

    def count_hits(self) -> None:
        """Note which programs machine code has used since this was asked last."""
        with self.lock:
            for program in list(self._used):
                new = program.new_hits()
                if new:
                    self._hits += new
                    self._used.move_to_end(program)

    def use(self, program: Program) -> None:
        """Note that a program was right."""
        self._hits += 1
        if next(reversed(self._used), None) is not program:
            with self.lock:
                if program in self._used:
                    self._used.move_to_end(program)

    def instead(self, program: Program, k: int, outcome: bytes) -> Program | None:
        """A path that agrees with a program up to its question `k`, where the answer is another one."""
        with self.lock:
            trail = self._used.get(program)
            if trail is None:
                return None
            found = trail[k].branches.get(outcome)
            return found.latest() if isinstance(found, Node) else found


def first_difference(program: Program, found: list) -> tuple[int, bytes] | None:
    """The first question whose answer is another one than recorded, and that answer."""
    first: tuple[int, bytes] | None = None
    for chunk, expected, answer in zip(program.chunks, program.expected, found[program.count :], strict=True):
        if answer.tobytes() == expected:
            continue
        flat, at = answer.reshape(-1), 0
        for k in chunk:
            size = program.guards[k].size
            outcome = flat[at : at + size].tobytes()
            at += size
            if outcome != program.outcomes[k]:
                if first is None or k < first[0]:
                    first = k, outcome
                break
    return first
