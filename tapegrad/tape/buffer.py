"""Buffers: what tensors that share memory know in common."""

from __future__ import annotations

__all__ = ["Buffer"]


class Buffer:
    """Version stamp of some memory, and where it was last written.

    Made when a tensor is first viewed or written in place; without one, the version is 0.

    Attributes
    ----------
    version : int
        Number of in-place writes, as PyTorch's ``_version``.
    site : tuple or None
        File name and line of the last write.
    viewed : bool
        Some tensor is, or was, a view of this memory.
    escaped : bool
        A NumPy array outside shares this memory.
    """

    __slots__ = ("escaped", "site", "version", "viewed")

    def __init__(self):
        self.version = 0
        self.site = None
        self.viewed = self.escaped = False
