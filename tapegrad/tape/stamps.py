"""Who owns a slot's memory, and which rows wrote to it: noted as rows are recorded, entered when somebody asks."""

from __future__ import annotations

from collections import Counter

import numpy as np

__all__ = ["Stamps"]


class Stamps:
    """What a tape knows of memory that several of its slots share.

    Attributes
    ----------
    roots : dict of int
        The slot that owns the memory, by the slots of views and writes.
    last : dict of int
        Last row that wrote to each buffer, by the buffer's first slot.
    counts : dict of int
        How often each buffer was written, by its first slot.
    sites : dict
        Where in the user's code each writing row comes from, see `tape.site`.
    """

    __slots__ = ("_entered", "counts", "last", "roots", "sites")

    def __init__(self):
        self._entered = 0
        self.roots: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.counts: dict[int, int] = {}
        self.sites: dict[int, tuple] = {}

    def enter(self, noted: list) -> None:
        """Enter what was noted, and empty the list.

        Parameters
        ----------
        noted : list
            Three items for each note: a slot, another one that has the same memory, and where in the user's code the
            first one's row writes to it, or None if that is a view. Without a slot, the last write counts twice.

        Notes
        -----
        Another thread, or an interrupt, finds each note entered or not: no function is called in the loop.
        """
        roots, last, counts, sites = self.roots, self.last, self.counts, self.sites
        while True:
            k = self._entered
            try:
                slot, shared, site = noted[k], noted[k + 1], noted[k + 2]
            except IndexError:
                break
            self._entered = k + 3
            root = roots[shared] if shared in roots else shared
            if slot is not None:
                roots[slot] = root
                if site is None:
                    continue
                last[root], sites[slot] = slot, site
            counts[root] = counts[root] + 1 if root in counts else 1
        del noted[:k]
        self._entered = 0

    def counts_with(self, noted: list, root: np.ndarray) -> dict[int, int]:
        """What `counts` will be when all that was noted is entered, given the owner of each slot's memory.

        Long loops of writes end tapes; a sweep that goes on through them asks for no more than this.
        """
        noted = noted[self._entered :]
        notes = zip(noted[::3], noted[1::3], noted[2::3], strict=True)
        written = [shared for slot, shared, site in notes if site is not None or slot is None]
        counts = Counter(self.counts)
        counts.update(root[written].tolist())
        return counts
