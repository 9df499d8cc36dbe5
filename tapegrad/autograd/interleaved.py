"""The reverse over a tape between whose rows calls of `Function`s lie: recorded row by row, and run at the end.

A call's backward is the user's Python. To run the rows before it would take longer than to record their reverse, too,
as long as they are few (see `call.BETWEEN_CALLS`): so all cotangents are rows on the same tape, which run when the
first gradient is asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..tape.chains import let_go
from ..tape.current import new_tensor, rotate
from ..tape.handle import Tensor
from ..tape.signature import CAREFUL, by_index
from ..tape.state import grad_mode, local
from ..tape.tape import MAX_ROWS, Tape
from ..values import value_of
from ..vm import opcodes as op
from .call import end_tape
from .hooks import tensor_over, watchers
from .recorded import recorded_sweep, row_cotangents
from .rules import Rules

__all__ = ["InterleavedSweep"]


class InterleavedSweep:
    """A tape's part of a sweep that is not recorded for the user; has what `engine._TapeSweep` has.

    Attributes
    ----------
    found : dict
        Homes of imports and of the calls' arguments that were reached, and their cotangents; leaves by `id`.
    visited : set of int
        Rows whose rules were asked.
    calls : list of Call
        Those that were asked.
    """

    def __init__(self, tape: Tape, seeds: dict):
        self.tape, self.seeds = tape, seeds
        self.visits = False
        self.found: dict = {}
        self.visited: set[int] = set()
        self.calls: list = []
        self.asked: dict = {}
        self.kept: list = []

    def run(self, targets: dict, relevant: dict | None) -> None:
        """Record the reverse."""
        tape = self.tape
        for slot, buffer in tape.outdated():
            tape.foreign_writes.setdefault(tape.root_of(slot), buffer)
        noted = tape.notes or tape.retaining or tape.freed or tape.foreign_writes or watchers
        plain = relevant is None and not (targets or noted)
        bars = {k: tensor_over(np.array(array)) for k, array in self.seeds.items()}
        if plain and self._continues():
            tape.limit = MAX_ROWS  # few rows are to come, and then it ends
            with grad_mode(False):
                self._walk(bars)
        else:
            self._ask(bars, targets, relevant)

    def _continues(self) -> bool:
        """Whether the reverse can be appended to the tape by look-up."""
        tape, state = self.tape, local.state
        return state.tape is tape and tape.sealed is None and tape.fast is not CAREFUL

    # --- where nobody looks on ------------------------------------------------------------------------

    def _walk(self, bars: dict) -> None:
        """Visit the rows that are reached, and the calls between them, from the last to the first."""
        tape, rules, visited, sources = self.tape, Rules(self.tape, row_cotangents), self.visited, self.tape.sources
        given: dict = {}
        wanted_by: dict = {}
        heap = [-2 * slot for slot in bars]  # calls have odd places
        heapq.heapify(heap)
        continues = True

        def reach(slot: int, bar: Tensor) -> None:
            if slot in bars:
                bars[slot] = bars[slot] + bar
            else:
                bars[slot] = bar
                heapq.heappush(heap, -2 * slot)

        while heap:
            place = -heapq.heappop(heap)
            slot = place >> 1
            if place & 1:
                call, results = given.pop(place)
                self._through_call(call, results, reach)
                continues = self._continues()
                continue
            bar = bars.pop(slot)
            if slot in sources:
                call, k = sources[slot]
                if len(call.outs) == 1:
                    self._through_call(call, {0: bar}, reach)
                    continues = self._continues()
                    continue
                place = int(2 * call.position)
                if place not in given:
                    given[place] = call, {}
                    heapq.heappush(heap, -place)
                given[place][1][k] = bar
                continue
            row = by_index[tape.rows[slot] >> op.SIGNATURE_SHIFT]
            if row.kind == op.IMPORT:
                self._arrive(tape.imported(slot)[2], bar)
                continue
            operands = tape.operands(slot)
            wanted = wanted_by.get(row)
            if wanted is None:
                wanted = wanted_by[row] = tuple([spec.requires_grad for spec in row.specs])
            visited.add(slot)
            if continues:
                x_bars = rules.cotangents(slot, row, operands, wanted, bar)
            else:  # a backward has swept, or recorded more than fits
                x_bars = row_cotangents(tape, slot, bar, wanted)
            for k, x_bar in zip(operands, x_bars, strict=True):
                if x_bar is not None:
                    reach(k, x_bar)

    def _through_call(self, call: Any, given: dict, reach: Any) -> None:
        self.calls.append(call)
        homes = call.homes
        for home, bar in zip(homes, call.cotangents(given, homes, False), strict=True):
            if bar is None:
                continue
            if home.__class__ is int:
                reach(home, bar)
            else:
                self._arrive(home, bar)

    def _arrive(self, home: Any, bar: Tensor) -> None:
        if home is None:
            return
        key = home if home.__class__ is tuple else id(home)
        self.found[key] = home, (self.found[key][1] + bar if key in self.found else bar)

    # --- where somebody does --------------------------------------------------------------------------

    def _ask(self, bars: dict, targets: dict, relevant: dict | None) -> None:
        """Have `recorded_sweep` do it, with the hooks of rows, for the inputs that are wanted."""
        tape = self.tape
        outputs = [new_tensor(tape, slot, tape.signature(slot).out) for slot in bars]
        inner = [
            (new_tensor(tape, slot, tape.signature(slot).out), ts) for (t, slot), ts in targets.items() if t is tape
        ]
        homes = self._homes(relevant)
        ends = [h if isinstance(h, Tensor) else _at(*h) for h in homes]
        inputs = [*[t for t, _ in inner], *ends]
        found = recorded_sweep(
            outputs, list(bars.values()), inputs, False, self.kept, [t for t in ends if not t._leaf], self.visits, self
        )
        self.asked = {id(t): bar for (_, ts), bar in zip(inner, found, strict=False) if bar is not None for t in ts}
        for home, bar in zip(homes, found[len(inner) :], strict=True):
            if bar is not None:
                self._arrive(home, bar)

    def _homes(self, relevant: dict | None) -> list:
        """Where cotangents leave the tape, each place once."""
        tape = self.tape
        homes = [home for *_, home, _, _ in tape.imports]
        for call in {call: None for call, _ in tape.sources.values()}:
            homes += [home for home in call.homes if home.__class__ is not int]
        places = {home if isinstance(home, tuple) else id(home): home for home in homes if home is not None}
        if relevant is None:
            return list(places.values())
        return [
            h
            for h in places.values()
            if ((h[0] not in relevant or relevant[h[0]][h[1]]) if isinstance(h, tuple) else id(h) in relevant["leaves"])
        ]

    # --- results --------------------------------------------------------------------------------------

    def reached(self) -> Iterator[tuple[Any, np.ndarray]]:
        """(home, gradient) of each place where a cotangent left the tape."""
        for home, bar in self.found.values():
            yield home, np.array(value_of(bar))

    def collected(self, targets: dict) -> dict:
        """Gradients of the tensors on this tape that were asked for."""
        return {key: np.array(value_of(bar)) for key, bar in self.asked.items()}

    def retained(self) -> Iterator[tuple[Tensor, np.ndarray]]:
        """(tensor, gradient) of each tensor on this tape that retains its gradient and was reached."""
        for tensor, bar in self.kept:
            yield tensor, np.array(value_of(bar))

    def free(self) -> None:
        """Give up what the visited rows saved, and the calls."""
        tape = self.tape
        with tape.lock:
            flags = np.zeros(max(len(tape.freed or ()), max(self.visited, default=-1) + 1), np.uint8)
            flags[list(self.visited)] = 1
            if tape.freed is not None:
                flags[: len(tape.freed)] |= np.frombuffer(tape.freed, np.uint8)
            tape.freed = flags.tobytes()
            for *_, home, _, _ in tape.imports:  # a leaf would keep the tape alive, and the tape the leaf
                if isinstance(home, Tensor) and home._tape is tape:
                    home._tape = None
        for call in self.calls:
            call.forget()
        self._end()
        let_go(tape)

    def release(self) -> None:
        """End the tape: it has the reverse's rows."""
        self._end()

    def _end(self) -> None:
        if local.state.tape is self.tape:
            rotate(local.state)
        else:
            end_tape()


def _at(owner: Any, slot: int) -> Tensor:
    """A tensor that only knows where its gradient goes."""
    if isinstance(owner, Tape):
        return new_tensor(owner, slot, owner.signature(slot).out)
    made = new_tensor(None, 0, owner.outs[slot].replace(requires_grad=True))
    made._home = owner, slot
    return made
