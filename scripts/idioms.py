"""Print what becomes of idioms of NumPy code inside `tapegrad.grad`, or write docs/reference/idioms.md."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import pathlib
import re
import textwrap
import traceback
import warnings

import tapegrad as tg

ROOT = pathlib.Path(__file__).parents[1]
HEAD = """# Idioms of NumPy code

Made by `python scripts/idioms.py --write` from `tests/idioms.py`; the tests check that each of these {count} idioms
gives the gradient that central differences give, or an error that says what to write instead. `x` is an array of three
numbers that is being differentiated, `W` a plain one.

Inside a transformation (`grad`, `vjp`, `compile` ...) code means what it means in NumPy: an element `x[0]` is a number,
which later writes to the array do not reach, and `s += x[0]` makes a new one. Outside, tensors mean what PyTorch's do:
`x[0]` is a view, and `+=` writes to it.
"""


def load_idioms():
    """The module tests/idioms.py."""
    spec = importlib.util.spec_from_file_location("idioms", ROOT / "tests" / "idioms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own(error) -> bool:
    """Whether an error was raised by tapegrad, be it at the user's line."""
    if isinstance(error, tg.TracedValueError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return pathlib.Path(tg.__file__).parent in pathlib.Path(frames[-1].filename).parents


def outcome(function, point) -> str:
    """What `tapegrad.grad` says to a function: nothing if it has a gradient, else the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", category=UserWarning, message="you are shuffling")
            tg.grad(function)(point.copy())
    except Exception as error:
        while not own(error) and (error.__cause__ or error.__context__):
            error = error.__cause__ or error.__context__
        if not own(error):
            return "An error of NumPy, Python or Numba, before they ask the tensor anything."
        text = re.sub(r"(float64)\[\d*\]", r"\1[...]", " ".join(str(error).split()))
        return f"{type(error).__name__}: {text}"
    return ""


def page() -> str:
    """The page."""
    idioms = load_idioms()
    text = HEAD.format(count=len(idioms.IDIOMS))
    messages: dict[str, int] = {}
    for title, names in idioms.SECTIONS.items():
        text += f"\n## {title}\n\n```python\n"
        blocks = []
        for name in names:
            function = idioms.IDIOMS[name]
            said = outcome(function, idioms.POINT)
            number = messages.setdefault(said, len(messages) + 1) if said else 0
            body = (
                inspect.getsource(function)
                .partition("(x):\n")[2]
                .replace("  # noqa: UP031 -- the idiom under test", "")
            )
            state = f"refused, see {number}" if said else "right gradient"
            blocks.append(f"# {name.replace('_', ' ')}: {state}\n{textwrap.dedent(body)}")
        text += "\n".join(blocks) + "```\n"
    text += "\n## What the errors say\n\n"
    return text + "".join(f"{number}. {said}\n" for said, number in messages.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/reference/idioms.md")
    if parser.parse_args().write:
        (ROOT / "docs" / "reference" / "idioms.md").write_text(page(), encoding="utf-8")
    else:
        print(page())


if __name__ == "__main__":
    main()
