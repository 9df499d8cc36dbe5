"""What a recorded tape need not do: rows that nothing depends on."""

from __future__ import annotations

import numpy as np

from ..tape.rows import Rows

__all__ = ["live_rows"]


def live_rows(tape, inputs, outputs):
    """Rows that the outputs depend on, in order; and in-place writes to memory that is read afterwards.

    Parameters
    ----------
    tape : Tape
    inputs, outputs : list of int
        Slots; inputs are kept in any case.

    Returns
    -------
    list of int
    """
    return np.flatnonzero(Rows(tape.rows).live(inputs, outputs)).tolist()
