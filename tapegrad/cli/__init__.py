"""The command ``tapegrad``: one module a subcommand, each with `add_arguments`, `collect` and `show`.

`collect` finds out or does what was asked for and returns plain data, which ``--json`` prints; `show` makes text of it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence

from .text import printable

__all__ = ["CommandError", "main"]

COMMANDS = {
    "info": "versions, processor, which kernels are chosen, state of the cache, CUDA",
    "warmup": "compile everything that is compiled once a machine, and cache it",
    "inspect": "look into a saved compiled function; nothing in it is run",
    "bench": "a short table against NumPy by hand on this machine",
    "demo": "a first look: a fit, its tape, and the same compiled",
}


class CommandError(Exception):
    """What the user can mend: printed without a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words of the command line behind the program's name; those of this process by default.

    Returns
    -------
    int
        The exit status: 0, 1 after an error that has been printed, 130 after Ctrl-C. Wrong usage exits with 2, as
        argparse does.
    """
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help(sys.stderr)
        return 2
    command = importlib.import_module(f".{parsed.command}", __name__)
    try:
        found = command.collect(parsed)
        text = json.dumps(found, indent=2) if parsed.json else command.show(found)
        print(printable(text, sys.stdout), flush=True)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        _discard_output()
    except KeyboardInterrupt:
        return _failed(parsed, "interrupted", 128 + signal.SIGINT)
    except CommandError as error:
        return _failed(parsed, str(error))
    except OSError as error:
        _discard_output()
        return _failed(parsed, f"the output cannot be written: {error.strerror or error}")
    return 0


def _failed(parsed: argparse.Namespace, message: str, status: int = 1) -> int:
    """Print an error, without a traceback."""
    text = json.dumps({"error": message}) if parsed.json else f"tapegrad {parsed.command}: {message}"
    print(printable(text, sys.stderr), file=sys.stderr)
    return status


def _discard_output() -> None:
    """What waits to be written goes nowhere: Python would try it again at the end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    from .. import __version__

    parser = argparse.ArgumentParser(
        prog="tapegrad",
        description="Gradients of unchanged NumPy code: look at an installation, warm it up, measure it.",
        epilog="tapegrad COMMAND --help tells what a command takes.",
    )
    parser.add_argument("--version", action="version", version=f"tapegrad {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in COMMANDS.items():
        own = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        own.add_argument("--json", action="store_true", help="print JSON instead of text")
        importlib.import_module(f".{name}", __name__).add_arguments(own)
    return parser
