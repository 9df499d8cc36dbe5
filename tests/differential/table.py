"""The table of programs."""

from __future__ import annotations

PROGRAMS: dict = {}
"""By name: the program, and key words of the error that it ends in, or None."""


def program(words=None):
    """Enter a function of the library into the table.

    Parameters
    ----------
    words : str, optional
        Key words of the error's message, if it is to end in one.
    """

    def enter(function):
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        assert name not in PROGRAMS, name
        PROGRAMS[name] = function, words
        return function

    return enter


def leaf(lib, *data):
    """A vector that requires grad."""
    return lib.tensor([float(x) for x in data], requires_grad=True)


def scalar(lib, x):
    """A scalar that requires grad."""
    return lib.tensor(float(x), requires_grad=True)


def name_of(node):
    """Name of a node without its namespace, None for None."""
    return None if node is None else node.name().removeprefix("torch::autograd::")
