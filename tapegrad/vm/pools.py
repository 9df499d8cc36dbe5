"""The tables that signatures fill and sweeps read: they grow, and never move what compiled code is reading.

When a pool is full a larger array takes its place; a sweep under way keeps the old one alive and valid.
"""

from __future__ import annotations

import threading

import numpy as np

from .opcodes import FIELDS, FORWARD, REVERSE

__all__ = ["Pools", "pools"]


class Pools:
    """Signature table, template words, plans and constants.

    Attributes
    ----------
    table : numpy.ndarray of int64, shape (signatures, FIELDS)
    templates : numpy.ndarray of int32
    plans : numpy.ndarray of int64
    consts : numpy.ndarray of int64
        Addresses of the constants that templates read.
    """

    def __init__(self):
        self.lock = threading.RLock()
        self.table = np.zeros((256, FIELDS), np.int64)
        self.templates = np.zeros(4096, np.int32)
        self.plans = np.zeros(8192, np.int64)
        self.consts = np.zeros(64, np.int64)
        self.n_signatures = self.n_templates = self.n_plans = self.n_consts = 0
        self.addresses: tuple[int, ...] = ()
        self._keep: dict[tuple, int] = {}
        self._owners: list[np.ndarray] = []
        self._locate()

    def _locate(self):
        """Note where the arrays stand, in the order of AT_TABLE, AT_TEMPLATES, AT_PLANS, AT_CONSTS.

        Arrays that were outgrown stay alive: a sweep in another thread may be reading them.
        """
        arrays = [self.table, self.templates, self.plans, self.consts]
        self._owners += arrays
        self.addresses = tuple([a.ctypes.data for a in arrays])

    def add_signature(self, k: int) -> None:
        """A new row of the table, with no templates yet."""
        if k == len(self.table):
            self.table = np.concatenate([self.table, np.zeros_like(self.table)])
            self._locate()
        self.table[k] = 0
        self.table[k, FORWARD] = self.table[k, REVERSE] = -1
        self.n_signatures = k + 1

    def add_template(self, words) -> int:
        """Index of a stretch of template words."""
        at, self.n_templates = self._append("templates", self.n_templates, words)
        return at

    def add_plan(self, fields) -> int:
        """Index of a kernel description; equal ones are stored once."""
        key = tuple(fields)
        at = self._keep.get(key)
        if at is None:
            at, self.n_plans = self._append("plans", self.n_plans, fields)
            self._keep[key] = at
        return at

    def add_const(self, array: np.ndarray) -> int:
        """Operand code (negative) of a constant that lives as long as the process."""
        key = ("const", array.dtype.char, array.shape, array.tobytes())
        code = self._keep.get(key)
        if code is None:
            owner = np.array(array, order="C")
            owner.flags.writeable = False
            self._owners.append(owner)
            at, self.n_consts = self._append("consts", self.n_consts, [owner.ctypes.data])
            code = self._keep[key] = ~at
        return code

    def const_at(self, code: int, offset: int) -> int:
        """Operand code of the memory `offset` bytes into a constant."""
        if offset == 0:
            return code
        at, self.n_consts = self._append("consts", self.n_consts, [int(self.consts[~code]) + offset])
        return ~at

    def _append(self, name, n, items):
        """Write items behind the first `n`; returns where they stand and the new length."""
        array, need = getattr(self, name), n + len(items)
        if need > len(array):
            grown = np.zeros(max(2 * len(array), need), array.dtype)
            grown[:n] = array[:n]
            setattr(self, name, grown)
            array = grown
            self._locate()
        array[n:need] = items
        return n, need


pools = Pools()
