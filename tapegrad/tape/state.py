"""What belongs to a thread: the tape under recording and the gradient mode."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .signature import CAREFUL, FAST

if TYPE_CHECKING:
    from .tape import Tape

__all__ = ["State", "as_in_grad", "grad_mode", "is_deferral_enabled", "local", "set_deferral"]


class State:
    """One thread's recording state.

    Attributes
    ----------
    tape : Tape
        Where rows go.
    grad_enabled : bool
    grad_asked : bool
        What the user switched it to last; in inference mode that changes nothing.
    deferred : bool
        Record everything, run nothing: while a rule is lowered or a function compiled.
    depth : int
        Nesting of functional transformations; inside one, a traced value refuses to become a float.
    devices : list
        On which this thread has recorded, each on a tape of its own.
    forward : Forward
        The forward of a rule of the user's own that runs, see `tapegrad.autograd.reading`.
    in_rule : bool
        A rule of the user's own is being recorded, and may be differentiated in turn, whatever `depth` is inside.
    inference : bool
        In inference mode: what is recorded can take no part in autograd later.
    observers : list
        Who looks at each row as it is recorded.
    packing : bool
        One of them keeps the values that the reverse will read, so that the tape need not.
    refusal : tuple or None
        What was said last to code that wanted a plain number or array, within a transformation; and where it was.
    spares : bool
        A function of the user's is recorded for its derivative, be it outside of any transformation, see `as_in_grad`.
    paused : tuple or None
        While garbage is collected: the tape on which a row may be half recorded, and what else was then, see `pause`.
    within : int
        Transformations under way, also those around a rule of the user's own that runs: there an element of an array
        is a number, as in NumPy.
    """

    __slots__ = (
        "careful",
        "deferred",
        "depth",
        "devices",
        "forward",
        "grad_asked",
        "grad_enabled",
        "in_rule",
        "inference",
        "observers",
        "packing",
        "paused",
        "refusal",
        "spares",
        "tape",
        "within",
    )

    def __init__(self) -> None:
        from .tape import Tape

        self.tape = Tape()
        self.grad_enabled = self.grad_asked = True
        self.careful = False
        self.deferred = False
        self.depth = self.within = 0
        self.forward: Any = None
        self.in_rule = self.inference = self.packing = self.spares = False
        self.observers: list = []
        self.devices: list = []
        self.paused: tuple | None = None
        self.refusal: tuple | None = None
        self.refresh()

    def refresh(self) -> None:
        """Choose the tape's fast tables for the mode: none at all while views may be out of date."""
        self.tape.inference = self.inference
        self.tape.sparing = self.is_sparing()
        questions = self.tape.questions
        noted = questions is not None and questions.lines is not None
        slow = self.careful or self.observers or self.tape.escaped or noted or not _deferral or self.paused is not None
        self.tape.fast = CAREFUL if slow else FAST[self.grad_enabled]

    def switch(self, grad_enabled: bool) -> None:
        """Set the gradient mode; who interrupts this leaves the long way, which is right in either mode."""
        self.tape.fast = CAREFUL
        self.grad_enabled = grad_enabled
        self.refresh()

    def is_differentiated(self) -> bool:
        """Whether a transformation is under way, be it around a rule that may be differentiated in turn."""
        return bool(self.depth or self.tape.tracing or (self.in_rule and self.within))

    def is_sparing(self) -> bool:
        """Whether writes spare what derivatives read, see `tapegrad.sparing`."""
        return self.spares or self.is_differentiated()

    def pause(self) -> None:
        """Let nothing be recorded on the tape until `resume`.

        Python collects garbage between any two steps of the code that records a row, and runs finalizers then: what
        these record must not come between.
        """
        tape = self.tape
        self.paused = tape, tape.limit, self.deferred, self.depth, self.within
        tape.limit, tape.fast = PAUSED, CAREFUL

    def step_aside(self) -> Tape:
        """A tape for what finalizers record."""
        from .tape import Tape

        self.tape, self.deferred, self.depth, self.within = Tape(), False, 0, 0
        self.refresh()
        return self.tape

    def resume(self) -> None:
        """Go on where `pause` was called; what finalizers recorded is on a tape that has ended."""
        if self.paused is None:
            return
        tape, limit, deferred, depth, within = self.paused
        self.paused = None
        if self.tape is not tape:
            self.tape.seal()
            self.tape, self.deferred, self.depth, self.within = tape, deferred, depth, within
        if tape.limit == PAUSED:
            tape.limit = limit
        if tape.sealed is None:
            self.refresh()

    def observe(self, observer: Callable) -> None:
        """Call ``observer(tape, signature, slot, operands, result)`` after each row from now on."""
        self.observers = [*self.observers, observer]
        self.refresh()

    def unobserve(self, observer: Callable) -> None:
        """Take an observer away, once."""
        rest = list(self.observers)
        rest.remove(observer)
        self.observers = rest
        self.refresh()


class _Local(threading.local):
    def __init__(self) -> None:
        self.state = State()


PAUSED = -1
"""Limit of a tape on which nothing may be recorded for the moment."""
_deferral = os.environ.get("TAPEGRAD_DEFERRAL", "1") != "0"
local = _Local()


def _around_collection(phase: str, info: dict) -> None:
    """What Python calls before and after it collects garbage, in the thread that does so."""
    state = getattr(local, "state", None)
    if state is None:  # a thread's state is being made
        return
    if phase == "start":
        state.pause()
    else:
        state.resume()


gc.callbacks.append(_around_collection)


@contextlib.contextmanager
def grad_mode(enabled: bool) -> Iterator[None]:
    """Record gradients or not, within a block."""
    state = local.state
    before = state.grad_enabled
    try:
        state.switch(enabled)
        yield
    finally:  # an interrupt may come with the first call: the mode is as it was by then
        state.tape.fast = CAREFUL
        state.grad_enabled = before
        state.refresh()


@contextlib.contextmanager
def as_in_grad() -> Iterator[None]:
    """Record gradients of a user's function, within a block, whose writes spare what they read, as under `grad`."""
    state = local.state
    before, state.spares = state.spares, True
    try:
        with grad_mode(True):
            yield
    finally:
        state.spares = before
        state.refresh()


def set_deferral(enabled: bool) -> bool:
    """Switch deferral on or off for the whole process; off, every operation runs when it is called.

    Parameters
    ----------
    enabled : bool

    Returns
    -------
    bool
        The setting before.

    Notes
    -----
    Values are the same either way: this is a switch for debugging. The environment variable
    ``TAPEGRAD_DEFERRAL=0`` does the same from outside. Other threads notice at their next new tape.
    """
    global _deferral
    before, _deferral = _deferral, bool(enabled)
    local.state.refresh()
    return before


def is_deferral_enabled() -> bool:
    """Whether small operations are recorded first and run when a value is asked for."""
    return _deferral
