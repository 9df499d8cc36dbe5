"""Forward mode: tangents, row by row from inputs to outputs, recorded on the tape."""

from __future__ import annotations

import contextlib

import numpy as np

from ..primitives.core import ops
from ..tape.importing import import_array
from ..tape.state import grad_mode, local
from ..tape.tape import Tape
from ..vm import opcodes as op
from .recorded import Graph, check_saved, home_of, leading_cotangents, place_of, placed_with, recorded_sweep, source_of
from .repeated import is_repeatable, repeated_sweep
from .tangents import direct_tangent

__all__ = ["pushforward"]


def pushforward(outputs, inputs, tangents):
    """Tangents of `outputs`, row by row from `inputs`, recorded on the tape."""
    state = local.state
    if outputs and inputs and is_repeatable(state.tape, outputs, inputs):

        def by_rules(dots):
            return _pushed(outputs, inputs, dots)

        return repeated_sweep(state.tape, "forward", state.grad_enabled, outputs, inputs, tangents, by_rules)
    return _pushed(outputs, inputs, tangents)


def _pushed(outputs, inputs, tangents):
    """The same, where each row's tangent is worked out."""
    graph = Graph(inputs)
    roots = [id(t) if t._leaf else home_of(t) for t in outputs]
    graph.mark(roots)
    dots = {id(t) if t._leaf else home_of(t): d for t, d in zip(inputs, tangents, strict=True)}
    keys = sorted((k for k, leads in graph.leads.items() if leads and isinstance(k, tuple)), key=place_of)
    for key in keys:
        if key in dots:
            continue
        sources = graph.sources(key)
        moving = [dots.get(s) for s in sources]
        if all(d is None for d in moving):
            continue
        if isinstance(key[0], Tape):
            dots[key] = _row_tangent(graph, key, moving)
        else:
            dots.update(((key[0], k), d) for k, d in enumerate(key[0].tangents(moving)) if d is not None)
    return [dots.get(r) for r in roots]


def _row_tangent(graph, key, moving):
    """A row's tangent: by `direct_tangent`, or its pullback, transposed.

    The pullback is linear in the cotangent; its own transpose, applied to the operands' tangents, is the
    pushforward (Christianson 1992; Townsend 2017, "A new trick for calculating Jacobian vector products").
    """
    tape, slot = key
    row = tape.signature(slot)
    if row.kind == op.IMPORT or source_of(tape, slot) is not None:
        return moving[0]
    spec = row.out
    if slot not in tape.notes and tape.device is None and row.kind not in (op.WRITE, op.PATCHED):
        check_saved(tape, slot, row)
        xs = [graph.handle(tape, k) for k in tape.operands(slot)]
        offset = tape.rows[slot + 1] if row.kind in op.WITH_OFFSET else 0
        y_dot = direct_tangent(row, graph.handle(tape, slot), xs, moving, offset)
        if y_dot is not None:
            return y_dot
    y_bar = ops.track(_zeros(spec))
    with _leading(graph, tape, tape.operands(slot), moving), grad_mode(True):
        bars = leading_cotangents(graph, key, y_bar)
    pairs = [(b, d) for b, d in zip(bars, moving, strict=True) if b is not None and d is not None]
    pairs = [(b, d) for b, d in pairs if b._spec.requires_grad]  # others are zero, whatever y_bar is
    if not pairs:
        return _zeros(spec)
    (y_dot,) = recorded_sweep([b for b, _ in pairs], [d for _, d in pairs], [y_bar], True)
    return _zeros(spec) if y_dot is None else y_dot


@contextlib.contextmanager
def _leading(graph, tape, operands, moving):
    before = {k: graph.leads.get((tape, k), False) for k in operands}
    for k, d in zip(operands, moving, strict=True):
        graph.leads[tape, k] = graph.leads.get((tape, k), False) or d is not None
    try:
        yield
    finally:
        for k, value in before.items():
            graph.leads[tape, k] = value


def _zeros(spec):
    return placed_with(import_array(np.zeros(spec.shape, spec.dtype)), spec)
