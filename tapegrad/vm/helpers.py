"""When other threads are there to share long elementwise loops, and which loops those are."""

from __future__ import annotations

import ctypes

__all__ = ["ask", "elementwise", "helping", "wake"]

elementwise: set[int] = set()
"""Addresses of loops of which each element is computed by itself, without Python: NumPy's own, and tapegrad's."""

helping: tuple[int, ...] = (0, 0, 0, 0, 0)
"""What a frame's fields from `SHARE` on hold; zeros until something large is met."""


_met = False


def wake() -> None:
    """Have the threads of `tapegrad.set_num_threads` share what is large from now on."""
    global _met
    _met = True
    ask()


def ask() -> None:
    """Look for the threads, if something large was met, and there are to be any."""
    global helping
    from .threads import share_word, threads

    if helping[0] or not _met or threads() is None:
        return
    from .native import addresses
    from .pools import pools

    library = ctypes.CDLL(None)
    allocate, release = [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (library.malloc, library.free)]
    helping = share_word(), *addresses(("sharing.tiles", "sharing.parts")), allocate, release
    pools.addresses = tuple(list(pools.addresses))  # another one, so that workspaces are filled in anew
