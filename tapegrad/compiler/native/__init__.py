"""Recorded rows as machine code: what the interpreter would run row by row, written out and compiled as one.

A program is first replayed by the interpreter. Its rows are then divided into *steps* (`schedule`): in a native step
all rows are written into one function (`code`), in which an array's longest axis becomes the *lanes* of vector
registers and the elements along its other axes become registers; what lies between two rows of a step never reaches
memory. Rows that have no rule here (`rules`) stay instructions of the interpreter, between the steps.
"""

from typing import Any

__all__ = ["native_plan"]


def native_plan(tape: Any, inputs: list[int], outputs: list[int], answers: list[int]) -> Any:
    """Plan a recorded tape with native steps; None where the interpreter is as good. See `build.native_plan`."""
    from .build import native_plan as build  # LLVM is loaded when it is first needed

    return build(tape, inputs, outputs, answers)
