"""The code of the documentation's pages, run as a reader would: from the top, with what it prints compared.

A block of ``python`` runs in the names that the page's earlier blocks left. A block of ``text`` straight after it is
what it prints; an error that it raises and warnings that it gives are the last lines, as Python has them, without the
traceback; ``...`` stands for anything. Files and lines in messages are ``example.py`` and the line of the block. Lines
of ``console`` blocks that begin with ``$`` are commands of ``tapegrad``, the others their output.

Comments above a block, which the site does not show:

- ``<!-- needs: torch, jax -->``: modules (or ``gpu``, ``no_gpu``) without which it is not run;
- ``<!-- not run: REASON -->``.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import linecache
import pathlib
import re
import shlex
import warnings
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[1]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (needs|not run): (.+?) -->\n+\Z")
_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Block:
    """A fenced block.

    Attributes
    ----------
    kind : str
        ``python`` or ``console``.
    text, expected : str
    line : int
        Of the page, where it begins.
    needs : tuple of str
    """

    kind: str
    text: str
    expected: str
    line: int
    needs: tuple[str, ...]


def pages() -> list[pathlib.Path]:
    """All pages that have code to run."""
    own = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(path for path in own if "_build" not in path.parts and blocks_of(path))


def blocks_of(path: pathlib.Path) -> list[Block]:
    """The blocks of a page that are run."""
    text = path.read_text(encoding="utf-8")
    found: list[Block] = []
    before = None
    for match in _FENCE.finditer(text):
        kind, body = match.groups()
        if kind == "text" and before is not None and not text[before.end() : match.start()].strip():
            found[-1].expected = body
        before = None
        comment = _COMMENT.search(text[: match.start()])
        if kind not in ("python", "console") or (comment and comment[1] == "not run"):
            continue
        needs = tuple(comment[2].replace(" ", "").split(",")) if comment else ()
        found.append(Block(kind, body, "", text.count("\n", 0, match.start()) + 1, needs))
        before = match if kind == "python" else None
    return found


def missing(needs) -> str:
    """Why blocks with such needs cannot run here, or nothing."""
    for name in needs:
        if name == "gpu":
            from tapegrad import cuda

            if not cuda.is_available():
                return "there is no NVIDIA GPU here"
        elif name == "no_gpu":
            from tapegrad import cuda

            if cuda.is_available():
                return "there is a GPU here"
        elif importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    return ""


def run(path: pathlib.Path, blocks: list[Block]) -> None:
    """Run blocks of a page in order; AssertionError if one of them prints something else than is shown."""
    names: dict = {"__name__": "__main__"}
    for block in blocks:
        places = [(block.text, block.expected)] if block.kind == "python" else commands(block.text)
        for text, expected in places:
            printed = output_of(text, names) if block.kind == "python" else output_of_command(text)
            if not doctest.OutputChecker().check_output(expected, printed, _OPTIONS):
                raise AssertionError(
                    f"{path.relative_to(ROOT)}:{block.line}: this block\n{text}\nprints\n{printed}\nnot\n{expected}"
                )


def output_of(text: str, names: dict) -> str:
    """What some code prints, with warnings and an error behind it."""
    linecache.cache["example.py"] = (len(text), None, text.splitlines(keepends=True), "example.py")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            exec(compile(text, "example.py", "exec"), names)
        except Exception as error:
            print(error_text(error))
    return printed.getvalue() + "".join(f"{w.category.__name__}: {w.message}\n" for w in warned)


def error_text(error: BaseException) -> str:
    """An error as Python prints it, without the traceback: what it was raised from comes first."""
    text = f"{type(error).__name__}: {error}"
    if error.__cause__ is None:
        return text
    return (
        f"{error_text(error.__cause__)}\nThe above exception was the direct cause of the following exception:\n{text}"
    )


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with its output."""
    return [(m[1], m[2]) for m in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)]


def output_of_command(line: str) -> str:
    """What a command of tapegrad prints."""
    from tapegrad.cli import main

    words = shlex.split(line)
    words = words[3:] if words[:3] == ["python", "-m", "tapegrad"] else words[1:] if words[0] == "tapegrad" else None
    if words is None:
        raise AssertionError(f"only commands of tapegrad are run: {line}")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), contextlib.suppress(SystemExit):
        main(words)
    return printed.getvalue()
