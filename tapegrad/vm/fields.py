"""What stands where in the tables that compiled recording reads: see `recording` and `tapegrad.descriptors`."""

from __future__ import annotations

FUNCTIONS = {
    "ALLOCATE": "PyType_GenericAlloc", "APPEND": "PyList_Append", "AS_INT": "PyLong_AsUnsignedLongLongMask",
    "CALL": "PyObject_CallObject", "CALL_WITH": "PyObject_Call", "CLEAR_ERROR": "PyErr_Clear",
    "COMPARE": "PyObject_RichCompareBool",
    "DICT_ITEM": "PyDict_GetItemWithError", "DICT_NEW": "PyDict_New", "DICT_SET": "PyDict_SetItem",
    "FIND": "PyDict_GetItem",
    "FRAME": "PyEval_GetFrame", "FRAME_CODE": "PyFrame_GetCode", "FRAME_POSITION": "PyFrame_GetLasti",
    "GET": "PyObject_GetAttr", "INT": "PyLong_FromLongLong",
    "LIST_CUT": "PyList_SetSlice", "MAPPED_ITEM": "PyObject_GetItem", "RELEASE": "Py_DecRef", "RETAIN": "Py_IncRef",
    "THIS_THREAD": "PyThread_get_thread_ident", "TUPLE_NEW": "PyTuple_New",
    "TUPLE_SET": "PyTuple_SetItem", "TUPLE_SIZE": "PyTuple_Size", "WEAK": "PyWeakref_NewRef",
    "WEAK_OBJECT": "PyWeakref_GetObject",
}  # fmt: skip
"""Functions of Python's C interface, by the names under which their addresses are kept."""

EQUAL = 2
"""Py_EQ."""
HEADER = 8
"""Bytes from an object's start to its type."""
SIZE = HEADER + 8
"""Bytes from a tuple's, a list's or an integer's start to how many items or digits it has."""
ITEMS = SIZE + 8
"""Bytes from a tuple's start to its items, from a list's to where they stand, from an integer's to its digits."""
SLICE_START = 16
"""Bytes from a slice's start to its three parts."""
CODE_BITS = 44
"""Shift of a position in code where it is put together with the code's address, see `tape.site`."""

(
    ALLOCATE, APPEND, AS_INT, CALL, CALL_WITH, CLEAR_ERROR, COMPARE, DICT_ITEM, DICT_NEW, DICT_SET,
    FIND, FRAME, FRAME_CODE, FRAME_POSITION, GET, INT, LIST_CUT, MAPPED_ITEM, RELEASE, RETAIN,
    THIS_THREAD, TUPLE_NEW, TUPLE_SET, TUPLE_SIZE, WEAK, WEAK_OBJECT,
    FLOAT_TYPE, INT_TYPE, FLOAT32_TYPE, FLOAT64_TYPE, LIST_TYPE, TUPLE_TYPE, SLICE_TYPE,
    TAPE_TYPE, TENSOR_TYPE, BUFFER_TYPE, BUFFER_FACTS, VIEW_FACTS,
    NOTHING, NOT_IMPLEMENTED, NONE, FALSE, ZERO, ZERO_TEXT, ELLIPSIS, METHOD, OPERATORS, SITES, BUFFER_OF, LOCAL,
    BASE_NAME, BUFFER_NAME, LEAF_NAME, MADE_BY_NAME, STATE_NAME,
    SLOT_AT, SPEC_AT, TAPE_AT, RARE_AT,
    OWN_BUFFER_AT, BASE_AT, VIEWED_AT, OFFSET_AT, SEEN_AT,
    FAST_AT, LIMIT_AT, NUMBERS_AT, ROWS_AT, SPARING_AT, THREAD_AT, TRACING_AT,
    NOTED_AT,
    COPIES_AT, END_AT, HISTORY_AT, LOOSE_AT, QUIET_AT, SETTLED_AT, SITE_AT, VERSION_AT, VIEWS_AT,
    SHAPE_AT, WITHIN_AT, STATE_TAPE_AT,
    APART, FALLBACK, INDEX, INTEGERS, KEYS, OPERANDS, SWAPPED,
    COUNT,
) = range(92)  # fmt: skip
"""Places in the table: functions, objects, bytes from an object's start to its fields, what makes the operator."""
