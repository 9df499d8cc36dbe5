"""What stands where in the tables of compiled calls, in words: see `replaying`, `calling` and who fills them.

Three tables, each read by the one before: of the way in, the same for all compiled functions
(`tapegrad.compiler.entrance`); of an entry, which recognises arguments and makes results (`tapegrad.compiler.entries`);
and of a plan, which replays (`tapegrad.compiler.replays`).
"""

from __future__ import annotations

from . import fields

# --- the way in: behind what it has in common with operators in machine code --------------------------------------
FUNCTIONS = {
    "DICT_NEXT": "PyDict_Next", "DICT_SIZE": "PyDict_Size", "LIST_NEW": "PyList_New", "LIST_SET": "PyList_SetItem",
    "MALLOC": "PyMem_RawMalloc", "FREE": "PyMem_RawFree",
    "LEAVE": "PyEval_SaveThread", "RETURN": "PyEval_RestoreThread", "OCCURRED": "PyErr_Occurred",
}  # fmt: skip
"""Functions of Python's C interface, by the names under which their addresses are kept."""

ARRAY_FUNCTIONS = {"NEW_SCALAR": 60, "NEW_COPY": 85, "NEW_ARRAY": 94, "SAME_DTYPE": 182}
"""Functions of NumPy's C interface, by their places in its table: PyArray_Scalar, _NewCopy ... [1]_.

.. [1] numpy/__multiarray_api.h, as installed with NumPy; the places are the same in all versions.
"""

(
    DICT_NEXT, DICT_SIZE, LIST_NEW, LIST_SET, MALLOC, FREE, LEAVE, RETURN, OCCURRED,
    NEW_SCALAR, NEW_COPY, NEW_ARRAY, SAME_DTYPE,
    ARRAY_TYPE, DICT_TYPE, RAISE_INTERRUPT,
    ENTRIES_AT, ENTRY_AT, PLAN_AT,
    CALL_COUNT,
) = range(fields.COUNT, fields.COUNT + 20)  # fmt: skip

# bytes from an object's start to its fields, in NumPy's and Python's public C structs
ARRAY_DATA, ARRAY_NDIM, ARRAY_SHAPE, ARRAY_DTYPE, ARRAY_FLAGS = 16, 24, 32, 56, 64
CONTENT = 16
"""Of a float, a NumPy scalar, or a closure's cell."""
PLAIN_ARRAY, WRITEABLE_ARRAY = 0x101, 0x501
"""NumPy's flags of arrays that are aligned and C-contiguous, and of those that may be written, too."""

# --- an entry ----------------------------------------------------------------------------------------------------
(
    PROGRAM, PLAN, REPLAY, UNLOCKS, HITS,
    N_POSITIONAL, N_NAMES, NAMES,
    N_STEPS, STEPS, N_INPUTS, INPUT_BYTES, N_RESULTS, RESULTS, N_RECIPE, RECIPE, GIVEN, ROOM,
    WATCH, ENTRY_COUNT,
) = range(20)  # fmt: skip

STEP_WORDS = 6
HOW, PARENT, KEY, WHAT, EXPECTED, NUMBER = range(STEP_WORDS)
FROM_ARGUMENTS, FROM_TUPLE, FROM_LIST, FROM_DICT = range(4)
IS_ARRAY, IS_TARGET, IS_NUMBER, IS_SAME, IS_EQUAL, IS_TUPLE, IS_LIST, IS_DICT = range(8)

RESULT_WORDS = 5
RESULT_DTYPE, RESULT_NDIM, RESULT_SHAPE, RESULT_BYTES, RESULT_STAYS = range(RESULT_WORDS)

RECIPE_WORDS = 3
MAKE, AMOUNT, WITH = range(RECIPE_WORDS)
MAKE_RESULT, MAKE_SAME, MAKE_COPY, MAKE_TUPLE, MAKE_LIST, MAKE_DICT, MAKE_CALL = range(7)

# what is watched for changes: counts, then (dictionary, name, value), (cell, value), (list, n, items ...),
# (dictionary, n, keys and values ...)
N_GLOBALS, N_CELLS, N_LISTS, N_DICTS, WATCHED = range(5)

# --- a plan -----------------------------------------------------------------------------------------------------------
(
    RUN, ALLOCATE_ZERO, RELEASE_BLOCK, CALL_OUT, LENGTH,
    STATE, FRAME_BYTES, SCRATCH_BYTES, ADDRESSES, N_ADDRESSES, TABLE, MEMORY, MEMORY_BYTES,
    N_MOVED_INPUTS, MOVED_INPUTS, N_OUTPUTS, OUTPUTS, N_ANSWERS, ANSWERS, FAULTS,
    HOLD, CHECK_SIGNALS, FETCH, LET_GO, RAISED,
    POOL,
) = range(26)  # fmt: skip
POOLED = 64
"""Instances that are kept for the next replay."""

OUTPUT_WORDS = 7
KIND, MOVES, N_MOVES, NBYTES, ITEMSIZE, NDIM, DIMS = range(OUTPUT_WORDS)
MOVED, COPIED = range(2)
ANSWER_WORDS = 5
ANSWER_MOVES, ANSWER_N_MOVES, ANSWER_SLOT, ANSWER_BYTES, ANSWER_EXPECTED = range(ANSWER_WORDS)

# --- how a replay ended ---------------------------------------------------------------------------------------------
DONE, ANOTHER_PATH, FAILED, NO_MEMORY, OUT_OF_RANGE = range(5)
