"""A look into a compiled function: its paths, why there are several, and what they take."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from .paths import Paths
from .recorded import Program

if TYPE_CHECKING:
    from ..inspect.programs import Profile
    from ..inspect.sketching import Sketch

__all__ = ["Looking", "newness"]


class Looking:
    """What a compiled function has for those who look inside."""

    __slots__ = ()

    fun: Callable
    programs: dict[tuple, Paths]
    max_paths: int
    native: bool
    __call__: Callable[..., Any]
    _reasons: deque[str]
    _lock: Any

    def paths(self) -> list[Program]:
        """The recorded paths of all structures of arguments, each with its guards; those used last come first."""
        return [program for paths in list(self.programs.values()) for program in paths]

    def profile(self, *args: Any, repeats: int = 10, **kwargs: Any) -> Profile:
        """Time and bytes of each row, for arguments like those of a call.

        Parameters
        ----------
        *args, **kwargs
            As in a call.
        repeats : int, default 10
            Replays, of which each row's fastest time is kept.

        Returns
        -------
        Profile
            Print it for a table by row and by line of your code.

        Notes
        -----
        The function is recorded anew, with the lines that rows come from, and each row is run by itself, which costs
        some 0.5 microseconds: compare small rows with one another.
        """
        from ..inspect.programs import Profile

        call: Any = (args, kwargs)
        flat, treedef = optree.tree_flatten(call)
        arrays = [np.array(x, order="C") for x in flat if isinstance(x, (np.ndarray, np.generic, float))]
        with self._lock:
            return Profile(Program(self.fun, flat, treedef, lines=True), arrays, repeats, self.native)

    def report(self, path: str | os.PathLike, *args: Any, repeats: int = 10, **kwargs: Any) -> str:
        """Write an HTML page: time of forward and reverse, memory, a roofline, rows with your lines, guards and paths.

        Parameters
        ----------
        path : str or path-like
            One file, which loads nothing from elsewhere.
        *args, **kwargs
            As in a call.
        repeats : int, default 10
            Replays, of which each row's fastest time is kept.

        Returns
        -------
        str
            The file's name.

        Notes
        -----
        As `profile`, which it is made from, this records the function anew and runs each row by itself.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> import tapegrad as tg
        >>> step = tg.compile(tg.value_and_grad(lambda x: np.sum(np.sin(x))))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = step.report(os.path.join(folder, "out.html"), np.ones(1000))
        ...     os.path.getsize(page) > 10_000
        True
        """
        from ..inspect.report import write_report

        return write_report(self, path, self.profile(*args, repeats=repeats, **kwargs))

    def draw(self, *args: Any, filename: str | os.PathLike | None = None) -> Sketch:
        """Draw the path that was used last, or the one that some arguments take: see `tapegrad.draw`."""
        from ..inspect.sketching import draw

        me: Any = self
        return draw(me, *args, filename=None if filename is None else os.fspath(filename))

    def _repr_html_(self) -> str:
        from ..inspect.notebook import compiled_html

        return compiled_html(self)

    def __str__(self) -> str:
        from ..inspect.programs import list_program

        name = getattr(self, "__name__", "function")
        shown = [f"compiled {name}: {len(self.paths())} recorded paths", *map(list_program, self.paths())]
        return "\n\n".join(shown)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self, '__name__', 'function')}: {len(self.paths())} recorded paths>"

    def explain(self) -> str:
        """Why something was recorded: a line for each recording, the latest last."""
        return "\n".join(self._reasons) or "nothing has been recorded yet"


def newness(key: tuple, known: dict[tuple, Paths]) -> str:
    """Why a structure of arguments has not been met: what is different from another one."""
    others = [k for k in known if k != key]
    if not others:
        return "the first call"
    other = others[-1]
    if other[0] != key[0]:
        return f"arguments in another structure: {key[0]}"
    paths = optree.treespec_paths(key[0])
    changed = [(p, a, b) for p, a, b in zip(paths, other[1:], key[1:], strict=True) if a != b]
    return "; ".join(f"{_argument(p)} was {_described(b)}, and {_described(a)} before" for p, a, b in changed[:3])


def _argument(path: tuple) -> str:
    """The place of a leaf among the arguments."""
    (which, first, *rest) = path
    name = f"argument {first}" if which == 0 else f"argument {first!r}"
    return name + "".join(f"[{k!r}]" for k in rest)


def _described(part: tuple) -> str:
    """A leaf's part of a signature, in words."""
    if isinstance(part[0], tuple):
        kind = part[2] if len(part) > 2 else np.ndarray
        if kind is float:
            return "a Python float"
        if isinstance(kind, type) and issubclass(kind, np.generic):
            return f"a number of NumPy's, {part[1].name}"
        place = "" if isinstance(kind, type) else f" on {kind}"
        return f"{part[1].name}{list(part[0])}{place}"
    return f"{part[1]!r:.40}"
