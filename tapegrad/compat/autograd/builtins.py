"""autograd's stand-ins for Python's containers: Python's own take part in tapegrad as they are."""

from __future__ import annotations

from builtins import dict, isinstance, list, tuple, type  # noqa: UP029

__all__ = ["dict", "isinstance", "list", "tuple", "type"]
