"""Drawings of the graph behind a tensor: `make_dot`, as torchviz has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..tape.handle import Tensor
from .dot import dot_of
from .history import history_of
from .summary import summarised
from .text import text_of

__all__ = ["Drawing", "make_dot"]

LIMIT = 1000
"""Rows beyond which a history is summarised."""


class Drawing:
    """A graph to look at: in a notebook, as a file, or as text.

    Attributes
    ----------
    source : str
        In Graphviz's DOT language.
    text : str
        For terminals; also what ``print`` shows.
    """

    def __init__(self, source: str, text: str):
        self.source, self.text = source, text

    def pipe(self, format: str = "svg") -> bytes:
        """The picture, as bytes.

        Parameters
        ----------
        format : str
            One that Graphviz knows: 'svg', 'png', 'pdf' ...

        Raises
        ------
        ImportError
            If the package `graphviz` is not installed.
        RuntimeError
            If Graphviz itself, the program ``dot``, is not.
        """
        try:
            import graphviz
        except ImportError as error:
            raise ImportError(
                "pictures need the package graphviz: pip install 'tapegrad[viz]'. Without it, .source is the graph in "
                "DOT, and print(...) shows it as text"
            ) from error
        try:
            return graphviz.Source(self.source).pipe(format=format)
        except graphviz.ExecutableNotFound as error:
            raise RuntimeError(
                "pictures need Graphviz, whose program 'dot' was not found: install it (apt install graphviz, brew "
                "install graphviz, https://graphviz.org/download). Without it, .source is the graph in DOT, and "
                "print(...) shows it as text"
            ) from error

    def save(self, filename: str | Path) -> str:
        """Write the graph to a file: DOT text for '.dot', '.gv' and no suffix, else the picture that the suffix says.

        Returns
        -------
        str
            The file's name.
        """
        path = Path(filename)
        suffix = path.suffix.lstrip(".")
        if suffix in ("", "dot", "gv"):
            path.write_text(self.source)
        elif suffix == "txt":
            path.write_text(self.text + "\n")
        else:
            path.write_bytes(self.pipe(suffix))
        return str(path)

    def render(self, filename: str | Path = "graph", format: str = "pdf", cleanup: bool = False) -> str:
        """Write the DOT text to a file, and beside it the picture.

        Parameters
        ----------
        filename : str or Path
        format : str
        cleanup : bool
            Whether to delete the DOT text afterwards.

        Returns
        -------
        str
            The picture's name: `filename` and the format.

        Raises
        ------
        ImportError, RuntimeError
            As `pipe` does; the DOT text has been written then.
        """
        path = Path(filename)
        path.write_text(self.source)
        try:
            picture = self.pipe(format)
        except (ImportError, RuntimeError) as error:
            error.add_note(f"The DOT text was written to {path}.") if hasattr(error, "add_note") else None
            raise
        target = path.with_name(f"{path.name}.{format}")
        target.write_bytes(picture)
        if cleanup:
            path.unlink()
        return str(target)

    def _repr_svg_(self) -> str | None:
        try:
            return self.pipe("svg").decode()
        except (ImportError, RuntimeError):
            return None  # notebooks show the text then

    def __repr__(self) -> str:
        return self.text


def make_dot(
    var: Tensor | Sequence[Tensor],
    params: Mapping[str, Tensor] | None = None,
    show_attrs: bool = False,
    show_saved: bool = False,
    max_attr_chars: int = 50,
) -> Drawing:
    """Draw the graph that a tensor's gradient would go through.

    Parameters
    ----------
    var : Tensor or sequence of Tensor
        Where the graph ends.
    params : mapping of str to Tensor, optional
        Names for leaves.
    show_attrs : bool
        Write each operation's attributes into its box.
    show_saved : bool
        Draw the values that the reverse will read, each with its version, red where it was overwritten.
    max_attr_chars : int
        What is longer of an attribute is cut.

    Returns
    -------
    Drawing
        With ``render``, ``save``, ``source``; notebooks show it as a picture, ``print`` as text.

    Raises
    ------
    TypeError
        If `var` or a value of `params` is no tensor.
    ValueError
        If no tensor of `var` requires grad: there is no graph.

    Notes
    -----
    Leaves are blue, operations grey (yellow where they wrote in place), saved values orange, results green. What
    has been written in place says which version it is. More than 1,000 operations are summarised: boxes stand for
    operations that were recorded one after another.

    Examples
    --------
    >>> import tapegrad as tg
    >>> a = tg.ones(3, requires_grad=True)
    >>> tg.make_dot((a * a).sum(), params={"a": a})
    SumBackward0 ()
    MulBackward0 (3)
    |- a = leaf (3)
    """
    tensors = [var] if isinstance(var, Tensor) else list(var)
    for t in tensors:
        if not isinstance(t, Tensor):
            raise TypeError(f"make_dot draws tensors, not {type(t).__name__}")
    names = _names(params)
    tensors = [t for t in tensors if t.requires_grad]
    if not tensors:
        raise ValueError("make_dot: this tensor does not require grad, so there is no graph to draw")
    history = history_of(tensors, names, details=False)
    edges: dict[Any, str] = {}
    if len(history.rows) > LIMIT:
        history, edges = summarised(history)
    else:
        history = history_of(tensors, names, details=True)
    if not show_saved:
        for row in history.rows.values():
            row.saved = []
    return Drawing(dot_of(history, edges, show_attrs, show_saved, max_attr_chars), text_of(history))


def _names(params: Mapping[str, Tensor] | None) -> dict[int, str]:
    names = {}
    for name, t in (params or {}).items():
        if not isinstance(t, Tensor):
            raise TypeError(f"make_dot: params[{name!r}] is {type(t).__name__}, not a tensor")
        names[id(t)] = name
    return names
