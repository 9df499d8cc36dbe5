"""A bounds-checked interpreter: every value of a compiled program stands alone, beside pages that nobody may touch.

What reads or writes beyond a value -- an instruction, a loop of NumPy's, machine code of the program's own -- is a
fault of the processor's there, and ends the process; `faulthandler` says where. Running costs nothing more.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os

import numpy as np

from tapegrad.compiler.bounds import span
from tapegrad.compiler.layout import lowered
from tapegrad.compiler.plan import Plan
from tapegrad.tape.memory import address_of, array_at
from tapegrad.tape.spec import spec_of
from tapegrad.vm import opcodes as op

__all__ = ["fenced", "fenced_copy"]

PAGE = mmap.PAGESIZE
FORBIDDEN = 0  # PROT_NONE
_protect = ctypes.CDLL(None, use_errno=True).mprotect
_protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def fenced_block(sizes, at_end):
    """Memory for pieces of so many bytes, and their offsets: each ends, or begins, at a page that is forbidden."""
    offsets, fences, top = [], [0], PAGE
    for size in sizes:
        room = -(-max(size, 1) // PAGE) * PAGE
        offsets.append(top + (room - size if at_end else 0))
        top += room
        fences.append(top)
        top += PAGE
    memory = np.frombuffer(mmap.mmap(-1, top), np.uint8)
    for at in fences:
        if _protect(address_of(memory) + at, PAGE, FORBIDDEN):
            raise OSError(ctypes.get_errno(), f"mprotect: {os.strerror(ctypes.get_errno())}")
    return memory, offsets


def fenced_copy(array, at_end=True):
    """The same array, in the same layout, in fenced memory."""
    spec = spec_of(array.shape, array.dtype, array.strides)
    first, last = span(spec)
    memory, (at,) = fenced_block([last - first], at_end)
    at += address_of(memory)
    if first < last:
        source = array_at(address_of(array) + first, spec_of((last - first,), np.dtype(np.uint8)), array)
        ctypes.memmove(at, address_of(source), last - first)
    return array_at(at - first, spec, memory)


class _Layout:
    """What stands in the place of two steps of `Plan`."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.arrange, self.link = Plan._arrange, Plan._link

    def install(self):
        def arrange(plan):
            self.arrange(plan)
            self.spread(plan)

        def link(plan):
            self.link(plan)
            scratch = plan.space.scratch = fenced_copy(plan.space.scratch, self.at_end)
            plan.space.state[op.AT_SCRATCH] = address_of(scratch)

        Plan._arrange, Plan._link = arrange, link

    def remove(self):
        Plan._arrange, Plan._link = self.arrange, self.link

    def spread(self, plan):
        """Give all that a plan holds, values, temporaries, memory of native steps, constants, a place of its own."""
        values = np.flatnonzero(plan.offsets >= 0).tolist()
        sizes = [plan.steps[k].scratch if k in plan.steps else plan.row(k).out.nbytes for k in values]
        for slot, row in plan.signatures.items():
            if row.kind in (op.KERNEL, op.WRITE) and not plan.is_member[slot]:
                sizes += lowered(row).temps
        plan.memory, offsets = fenced_block([max(n, 8) for n in sizes], self.at_end)
        plan.offsets[values], plan.temps = offsets[: len(values)], np.array(offsets[len(values) :], np.int64)
        for slot, array in plan.constants.items():
            if array is not None:
                plan.constants[slot] = self.constant(array, plan.signatures[slot].out)

    def constant(self, array, spec):
        """A constant as its row sees it, whatever its array was."""
        return fenced_copy(array_at(address_of(array), spec, array), self.at_end)


@contextlib.contextmanager
def fenced(at_end=True):
    """Fences behind the values, or before them, of all programs that are planned meanwhile."""
    layout = _Layout(at_end)
    layout.install()
    try:
        yield
    finally:
        layout.remove()
