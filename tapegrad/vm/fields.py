"""What stands where in the tables that compiled recording reads: see `recording` and `tapegrad.descriptors`."""

from __future__ import annotations

FUNCTIONS = {
    "ALLOCATE": "PyType_GenericAlloc", "APPEND": "PyList_Append", "AS_INT": "PyLong_AsUnsignedLongLongMask",
    "CALL": "PyObject_CallObject", "CALL_WITH": "PyObject_Call", "CLEAR_ERROR": "PyErr_Clear",
    "COMPARE": "PyObject_RichCompareBool",
    "DICT_ITEM": "PyDict_GetItem", "DICT_NEW": "PyDict_New", "DICT_SET": "PyDict_SetItem",
    "FRAME": "PyEval_GetFrame", "FRAME_CODE": "PyFrame_GetCode", "FRAME_POSITION": "PyFrame_GetLasti",
    "GET": "PyObject_GetAttr", "INT": "PyLong_FromLongLong", "LIST_ITEM": "PyList_GetItem", "LIST_SIZE": "PyList_Size",
    "MAPPED_ITEM": "PyObject_GetItem", "RELEASE": "Py_DecRef", "RETAIN": "Py_IncRef",
    "THIS_THREAD": "PyThread_get_thread_ident", "TUPLE_ITEM": "PyTuple_GetItem", "TUPLE_NEW": "PyTuple_New",
    "TUPLE_SET": "PyTuple_SetItem", "TUPLE_SIZE": "PyTuple_Size",
}  # fmt: skip
"""Functions of Python's C interface, by the names under which their addresses are kept."""

EQUAL = 2
"""Py_EQ."""
HEADER = 8
"""Bytes from an object's start to its type."""

(
    ALLOCATE, APPEND, AS_INT, CALL, CALL_WITH, CLEAR_ERROR, COMPARE, DICT_ITEM, DICT_NEW, DICT_SET,
    FRAME, FRAME_CODE, FRAME_POSITION, GET, INT, LIST_ITEM, LIST_SIZE, MAPPED_ITEM, RELEASE, RETAIN,
    THIS_THREAD, TUPLE_ITEM, TUPLE_NEW, TUPLE_SET, TUPLE_SIZE,
    FLOAT_TYPE, INT_TYPE, FLOAT32_TYPE, FLOAT64_TYPE, LIST_TYPE, TAPE_TYPE, TENSOR_TYPE, BUFFER_TYPE,
    NOTHING, NOT_IMPLEMENTED, NONE, FALSE, METHOD, BUFFER_NAME, FILENAME, INSIDE, OPERATORS,
    SLOT_AT, SPEC_AT, TAPE_AT, RARE_AT,
    FAST_AT, LIMIT_AT, NUMBERS_AT, ROWS_AT, THREAD_AT, ROOTS_AT, WRITES_AT, COUNTS_AT, SITES_AT,
    QUIET_AT, SITE_AT, VERSION_AT,
    FALLBACK, INDEX, OPERANDS, SWAPPED,
    COUNT,
) = range(63)  # fmt: skip
"""Places in the table: functions, objects, bytes from an object's start to its fields, what makes the operator."""
