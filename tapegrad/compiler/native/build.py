"""A program's second plan, in which stretches of rows are machine code."""

from __future__ import annotations

from typing import Any

from ...vm.machine import Machine
from ...vm.native import vector_bytes
from ...vm.threads import threads
from .background import at_llvm
from .code import write_module
from .graph import Graph
from .layout import lay_out
from .renaming import without_writes
from .schedule import make_schedule
from .step import Step, gather_steps

__all__ = ["native_plan"]


def native_plan(tape: Any, inputs: list[int], outputs: list[int], answers: list[int]) -> Any:
    """Plan a recorded tape with native steps.

    Parameters
    ----------
    tape : Tape
        Recorded, not run.
    inputs, outputs : list of int
        Slots.
    answers : list of int
        Those of the outputs that guards look at.

    Returns
    -------
    Plan or None
        None where the interpreter is as good, or writes in place cannot be done without.
    """
    from ..plan import Plan

    graph = Graph(tape, inputs, outputs, answers)
    if not graph.is_pure():
        renamed = without_writes(tape, inputs, outputs)
        if renamed is None:
            return None
        tape, outputs = renamed
        graph = Graph(tape, inputs, outputs, outputs[len(outputs) - len(answers) :])
    schedule = make_schedule(graph, outputs)
    if schedule is None:
        return None
    steps = [step for step in schedule.order if isinstance(step, Step)]
    pool = threads()
    lay_out(steps, vector_bytes(), 1 if pool is None else pool.count)
    gathered, native = gather_steps(graph, schedule.order)
    plan = Plan(tape, gathered, inputs, outputs, native)
    assembly = write_module(graph, steps, gathered.places.data, plan.scratch, 0 if pool is None else pool.share)
    with at_llvm():
        machine = Machine(assembly, [f"step_{k}" for k in range(len(steps))])
    plan.attach(machine)
    return plan
