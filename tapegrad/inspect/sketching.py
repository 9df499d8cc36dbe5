"""`tapegrad.draw`: a picture of anything that has a graph, made without a program outside of Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..tape.handle import Tensor
from .dot import dot_of
from .drawing import LIMIT, Drawing, _names
from .graph import graph_of_history, history_of_program
from .history import History, history_of
from .programs import ProgramRow, rows_of
from .sketch import svg_of
from .summary import summarised
from .text import text_of

__all__ = ["Sketch", "draw"]

MOST_BOXES = 150
"""Rows beyond which a drawing is summarised: more boxes can be drawn, and not be read."""


class Sketch(Drawing):
    """A `Drawing` that needs no Graphviz to be a picture: notebooks show it, and ``save("graph.svg")`` writes it.

    Attributes
    ----------
    svg : str
        The picture, in light colours or dark as the reader's screen is.
    source : str
        In Graphviz's DOT language, for other layouts and formats.
    text : str
        For terminals.
    """

    def __init__(self, svg: str, source: str, text: str):
        super().__init__(source, text)
        self.svg = svg

    def pipe(self, format: str = "svg") -> bytes:
        """The picture, as bytes; formats other than 'svg' are made by Graphviz, as those of `make_dot`."""
        return self.svg.encode() if format == "svg" else super().pipe(format)

    def _repr_svg_(self) -> str:
        return self.svg


def draw(
    what: Tensor | Sequence[Tensor] | Callable,
    *args: Any,
    params: Mapping[str, Tensor] | None = None,
    show_saved: bool = False,
    filename: str | Path | None = None,
) -> Sketch:
    """Draw a graph: the one behind a tensor, of a compiled function, or of a function at some arguments.

    Parameters
    ----------
    what : Tensor, sequence of Tensor, Compiled, or callable
        Of tensors, what their gradient would go through. Of a compiled function, the path that was used last, or the
        one that these arguments take. Of another function, the rows that it records.
    *args
        Arguments of a function; for a compiled one they may be left out.
    params : mapping of str to Tensor, optional
        Names for the leaves of a tensor's graph.
    show_saved : bool, default False
        Draw the values that the reverse of a tensor's graph will read, red where they were overwritten.
    filename : str or path-like, optional
        Also write the picture there; the suffix says the format. All but ``.svg`` need Graphviz.

    Returns
    -------
    Sketch
        Notebooks show it as a picture, ``print`` as text.

    Raises
    ------
    TypeError
        If `what` has no graph, or there are arguments for tensors.
    ValueError
        If no tensor requires grad, or a compiled function has recorded nothing and no arguments are given.

    See Also
    --------
    make_dot : as torchviz draws, by Graphviz.

    Notes
    -----
    Leaves and arguments are blue, operations grey, those that wrote in place yellow, rows of a reverse violet, saved
    values orange, results green. More than 150 rows are summarised.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.draw(lambda x: np.sum(np.sin(x) * x), np.ones(3))
    sum ()
    multiply (3)
    |- 3: x = leaf (3)
    sin (3)
    |- ^ 3: x
    >>> a = tg.ones(3, requires_grad=True)
    >>> tg.draw((a * a).sum(), params={"a": a}).svg[:4]
    '<svg'
    """
    from ..compiler.program import Compiled

    if isinstance(what, Compiled):
        history, title = _of_compiled(what, args)
    elif callable(what) and not isinstance(what, Tensor):
        history, title = _of_function(what, args)
    else:
        history, title = _of_tensors(what, args, params)
    edges: dict[Any, str] = {}
    if len(history.rows) > MOST_BOXES:
        history, edges = summarised(history)
    graph = graph_of_history(history, edges, show_saved)
    if not show_saved:
        for row in history.rows.values():
            row.saved = []
    found = Sketch(svg_of(graph, title), dot_of(history, edges, False, show_saved, 50), text_of(history))
    if filename is not None:
        found.save(filename)
    return found


def _of_tensors(what: Any, args: tuple, params: Mapping[str, Tensor] | None) -> tuple[History, str]:
    tensors = [what] if isinstance(what, Tensor) else list(what) if isinstance(what, Sequence) else [what]
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"draw draws tensors and functions, not {type(t).__name__}")
    if args:
        raise TypeError("draw: arguments are for functions; a tensor's graph has been recorded already")
    tensors = [t for t in tensors if t.requires_grad]
    if not tensors:
        raise ValueError("draw: this tensor does not require grad, so there is no graph to draw")
    names = _names(params)
    history = history_of(tensors, names, details=False)
    if len(history.rows) <= LIMIT:
        history = history_of(tensors, names, details=True)
    return history, f"graph of {len(history.rows)} rows and leaves"


def _of_compiled(step: Any, args: tuple) -> tuple[History, str]:
    name = getattr(step, "__name__", "function")
    if args:
        return _of_function(step.fun, args)
    recorded = step.paths()
    if not recorded:
        raise ValueError(f"draw: {name} has recorded nothing yet; call it, or give arguments: draw({name}, x)")
    program = recorded[0]
    rows = rows_of(program)
    key = next(key for key, paths in step.programs.items() if program in paths)
    given = [part[0].__class__ is tuple for part in key[1:]]
    names = input_names(step.fun, key[0], given, rows)
    return history_of_program(rows, names), f"compiled {name}: a path of {len(rows)} rows"


def _of_function(fun: Callable, args: tuple) -> tuple[History, str]:
    import optree

    from ..compiler.recorded import Program

    call: Any = (args, {})
    flat, treedef = optree.tree_flatten(call)
    rows = rows_of(Program(fun, flat, treedef, lines=True))
    given = [isinstance(x, (np.ndarray, np.generic, float)) for x in flat]
    names = input_names(fun, treedef, given, rows)
    return history_of_program(rows, names), f"{getattr(fun, '__name__', 'function')}: {len(rows)} rows"


def input_names(fun: Callable, treedef: Any, given: list[bool], rows: list[ProgramRow]) -> dict[int, str]:
    """What a function calls its arguments, by slot; those of its leaves that are arrays are its inputs, in order."""
    import optree

    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):  # not every callable tells
        return {}
    paths = [path for path, is_input in zip(optree.treespec_paths(treedef), given, strict=True) if is_input]
    slots = [row.slot for row in rows if row.name == "argument"]
    return dict(zip(slots, [_written(path, parameters) for path in paths], strict=True))


def _written(path: tuple, parameters: list[inspect.Parameter]) -> str:
    """A leaf of ``(args, kwargs)`` as the function's body would write it."""
    which, first, *rest = path
    name = str(first)
    if which == 0:
        starred = next((k for k, p in enumerate(parameters) if p.kind is p.VAR_POSITIONAL), None)
        if starred is not None and first >= starred:
            name = f"{parameters[starred].name}[{first - starred}]"
        elif first < len(parameters):
            name = parameters[first].name
    return name + "".join(f"[{k!r}]" for k in rest)
