"""Guards: what a function under recording asks of values decides its path, and is asked again at each replay.

While a function is recorded, its tape can be run on the arguments at hand. A question (`if x > 0`, `range(int(n))`,
``y[mask]``) is answered from there, and noted: at which row, where in the user's code, and what came out. A recorded
path is right for other arguments as long as all its questions have the same answers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..primitives.core import ops
from ..primitives.shape import reshape_to
from ..tape.current import new_tensor
from ..tape.memory import address_of
from ..tape.site import describe, user_site
from ..tape.spec import Spec
from ..vm import opcodes as op
from .errors import ConcretisationError

__all__ = ["Guard", "Questions"]

TOGETHER = 64
"""Answers that are put into one output; a replay looks at outputs, so fewer are faster."""


class Guard:
    """A question that was asked while a function was recorded.

    Attributes
    ----------
    kind : str
        ``"bool"``, ``"int"``, or ``"value"``.
    where : str
        ``file:line`` in the user's code.
    dtype, shape
        Of the answer.
    """

    __slots__ = ("_site", "dtype", "kind", "shape", "slot")

    def __init__(self, kind: str, site: Any, spec: Spec, slot: int = -1):
        self.kind, self._site, self.slot = kind, site, slot
        self.dtype, self.shape = spec.dtype, spec.shape

    @property
    def where(self) -> str:
        """``file:line`` of the question."""
        return self._site if isinstance(self._site, str) else describe(self._site)

    @property
    def size(self) -> int:
        """Elements of the answer."""
        return math.prod(self.shape)

    def shown(self, outcome: bytes) -> str:
        """An answer as a message has it."""
        array = np.frombuffer(outcome, self.dtype)
        return repr(array[0].item()) if self.shape == () else f"{self.dtype.name}{list(self.shape)} {array!s:.40}"

    def __repr__(self) -> str:
        return f"{self.kind}() at {self.where}"


class Questions:
    """Answers questions while a tape is recorded, by running it on the arguments at hand.

    Parameters
    ----------
    tape : Tape
    inputs : list of int
        Slots of the arguments.
    arrays : list of numpy.ndarray
        The arguments; copied when the first question comes.
    lines : bool
        Note for each row where in the user's code it comes from; the reverse's rows come from where the row of the
        forward does.

    Attributes
    ----------
    lines, pullbacks : dict or None
        What was noted: a row's place in the code, and for a row of a reverse the row whose pullback it is part of.
    """

    def __init__(self, tape, inputs, arrays, lines=False):
        self.lines: dict[int, Any] | None = {} if lines else None
        self.pullbacks: dict[int, int] | None = {} if lines else None
        self._source: Any = None
        self._behalf: int | None = None
        self.tape, self.inputs, self.arrays = tape, inputs, arrays
        self.guards: list[Guard] = []
        self.outcomes: list[bytes] = []
        self._bound = False

    def note(self, slot: int) -> None:
        """Note where a row comes from."""
        if self.lines is not None and self.pullbacks is not None:
            self.lines[slot] = self._source or user_site()
            if self._behalf is not None:
                self.pullbacks[slot] = self._behalf

    def follow(self, slot: int | None) -> None:
        """From now on rows are recorded on behalf of a row of the forward; None: no longer."""
        if self.lines is not None:
            self._behalf = slot
            self._source = None if slot is None else self.lines.get(slot)

    def truth(self, tensor) -> bool:
        """``bool(tensor)``, of one element."""
        x = ops.copy(tensor) if tensor._spec.dtype.kind == "b" else ops.not_equal(tensor, 0)
        return bool(self._ask("bool", x).reshape(())[()])

    def number(self, tensor, kind) -> Any:
        """``int(tensor)``, ``float(tensor)`` or ``complex(tensor)``, of one element."""
        x = tensor
        if kind is int and x._spec.dtype.kind == "f":
            x = ops.trunc(x)
        return kind(self._ask("int" if kind is int else "value", ops.copy(x)).item())

    def value(self, tensor) -> np.ndarray:
        """All of a tensor of integers or bools, or of one element."""
        if tensor._spec.dtype.kind in "fc" and tensor._spec.size != 1:
            raise ConcretisationError(
                f"the values of {tensor._spec.dtype.name}{list(tensor._spec.shape)} were asked for while a function is "
                f"being compiled: they will be others in the next call, so that the tape cannot depend on them"
            )
        found = self._ask("value", ops.copy(tensor)).copy()
        found.flags.writeable = False
        return found

    def _ask(self, kind, answer):
        if answer._tape is not self.tape:  # nothing traced was part of it
            raise ConcretisationError("a value of another recording was asked for while a function is being compiled")
        if not self._bound:
            self._bind()
        with self.tape.lock:
            self.tape._run()
        found = self.tape.view(answer._slot, answer._spec)
        self.guards.append(Guard(kind, user_site(), answer._spec, answer._slot))
        self.outcomes.append(found.tobytes())
        return found

    def _bind(self):
        """Give the arguments' rows their values."""
        tape = self.tape
        for slot, array in zip(self.inputs, self.arrays, strict=True):
            index = tape.rows[slot] & ((1 << op.SIGNATURE_SHIFT) - 1)
            own = np.array(array, order="C")
            tape.imports[index] = (slot, own, *tape.imports[index][2:])
            tape.import_addr[index] = address_of(own)
        self._bound = True

    def outputs(self) -> list[list[int]]:
        """Which guards' answers stand together in an output; one dtype each, in the order of `slots`."""
        chunks: dict[Any, list[list[int]]] = {}
        for k, guard in enumerate(self.guards):
            of_kind = chunks.setdefault(guard.dtype, [[]])
            if len(of_kind[-1]) == TOGETHER:
                of_kind.append([])
            of_kind[-1].append(k)
        return [chunk for of_kind in chunks.values() for chunk in of_kind]

    def slots(self, chunks: list[list[int]]) -> list[int]:
        """Rows that put the answers of each chunk together."""
        found = []
        for chunk in chunks:
            parts = []
            for k in chunk:
                guard = self.guards[k]
                spec = self.tape.signature(guard.slot).out
                parts.append(reshape_to(new_tensor(self.tape, guard.slot, spec), (spec.size,)))
            found.append((ops.concatenate(*parts, axis=0) if len(parts) > 1 else parts[0])._slot)
        return found

    def release(self):
        """Let go of the arguments and of the memory that answers were computed in."""
        if self._bound:
            for index, entry in enumerate(self.tape.imports):
                if entry[0] in self.inputs:
                    self.tape.imports[index] = (entry[0], None, *entry[2:])
                    self.tape.import_addr[index] = 0
            self.tape.chunks.clear()
            self.tape.memory = self.tape.memory_end = 0
        self.arrays = []
