"""Writing in place in compiled code: what `tapegrad.updates` and `tapegrad.assignment` do for writes met before.

As `recording`, of which it is the other half: objects are int64 addresses, ``at`` is the address of a table of words.
"""

from __future__ import annotations

from .fields import (
    APPEND,
    AS_INT,
    BUFFER_NAME,
    BUFFER_TYPE,
    CLEAR_ERROR,
    COUNTS_AT,
    DICT_ITEM,
    DICT_SET,
    FALSE,
    FILENAME,
    FRAME,
    FRAME_CODE,
    FRAME_POSITION,
    GET,
    INSIDE,
    INT,
    INT_TYPE,
    LIMIT_AT,
    LIST_SIZE,
    NONE,
    QUIET_AT,
    RARE_AT,
    RELEASE,
    ROOTS_AT,
    ROWS_AT,
    SITE_AT,
    SITES_AT,
    SLOT_AT,
    SPEC_AT,
    TAPE_AT,
    TAPE_TYPE,
    TENSOR_TYPE,
    TUPLE_ITEM,
    TUPLE_NEW,
    TUPLE_SET,
    VERSION_AT,
    WRITES_AT,
)
from .intrinsics import call_python, i64
from .jit import jit
from .opcodes import SLOT_BITS
from .recording import call, call_general, own, slot_of, slot_of_number, table_of, type_of

__all__ = ["assign", "write_binary", "write_unary"]


@jit
def put(thing, offset, value, at):
    """Let a slot of an object refer to another one, whose reference is taken over."""
    before = i64(thing + offset)[0]
    i64(thing + offset)[0] = value
    call_python(i64(at)[RELEASE], before, 0, 0)


@jit
def site_of(at):
    """Where in the user's code this is called, as a new tuple; 0 where that is not plain to see."""
    c = i64(at)
    frame = call_python(c[FRAME], 0, 0, 0)
    if frame == 0:
        return 0
    code = call_python(c[FRAME_CODE], frame, 0, 0)
    name = call_python(c[GET], code, c[FILENAME], 0)
    within = 0 if name == 0 else call_python(c[DICT_ITEM], c[INSIDE], name, 0)
    call_python(c[RELEASE], name, 0, 0)
    position, site = 0, 0
    if within == c[FALSE]:
        position = call_python(c[INT], call_python(c[FRAME_POSITION], frame, 0, 0) & 0xFFFFFFFF, 0, 0)
        site = call_python(c[TUPLE_NEW], 2, 0, 0)
    if position == 0 or site == 0:
        call_python(c[RELEASE], code, 0, 0)
        call_python(c[RELEASE], position, 0, 0)
        call_python(c[RELEASE], site, 0, 0)
        return 0
    call_python(c[TUPLE_SET], site, 0, code)
    call_python(c[TUPLE_SET], site, 1, position)
    return site


@jit
def quiet_buffer(x, tape, at):
    """The buffer of a tensor, as a new reference, if it may be written on the tape without thought; else 0."""
    c = i64(at)
    buffer = call_python(c[GET], i64(x + c[RARE_AT])[0], c[BUFFER_NAME], 0)
    if buffer != 0 and type_of(buffer) == c[BUFFER_TYPE] and i64(buffer + c[QUIET_AT])[0] == tape:
        return buffer
    call_python(c[RELEASE], buffer, 0, 0)
    return 0


@jit
def append_word(rows, word, at):
    """Append an integer to the rows; returns whether that was done."""
    c = i64(at)
    item = call_python(c[INT], word, 0, 0)
    done = item != 0 and call_python(c[APPEND], rows, item, 0) & 1 == 0
    call_python(c[RELEASE], item, 0, 0)
    return done


@jit
def note_write(tape, place, row, buffer, site, at):
    """What `Tape.note_write` does, for a row and the slot that it writes to, as Python's integers."""
    c = i64(at)
    roots, counts = i64(tape + c[ROOTS_AT])[0], i64(tape + c[COUNTS_AT])[0]
    root = call_python(c[DICT_ITEM], roots, place, 0)
    root = own(place if root == 0 else root, at)
    count = call_python(c[DICT_ITEM], counts, root, 0)
    count = call_python(c[INT], 1 if count == 0 else call_python(c[AS_INT], count, 0, 0) + 1, 0, 0)
    version = call_python(c[INT], call_python(c[AS_INT], i64(buffer + c[VERSION_AT])[0], 0, 0) + 1, 0, 0)
    failed = count == 0 or version == 0
    if not failed:
        failed = (
            call_python(c[DICT_SET], roots, row, root) & 1
            | call_python(c[DICT_SET], i64(tape + c[WRITES_AT])[0], root, row) & 1
            | call_python(c[DICT_SET], counts, root, count) & 1
            | call_python(c[DICT_SET], i64(tape + c[SITES_AT])[0], row, site) & 1
        ) != 0
        put(buffer, c[SITE_AT], own(site, at), at)
        put(buffer, c[VERSION_AT], own(version, at), at)
    call_python(c[RELEASE], count, 0, 0)
    call_python(c[RELEASE], version, 0, 0)
    call_python(c[RELEASE], root, 0, 0)
    return not failed


@jit
def write_rows(x, other, tape, buffer, site, at):
    """Append the rows of a write met before: 1 where that was done, 0 where it takes the long way, -1 for an error."""
    c = i64(at)
    table = table_of(tape, at)
    if table == 0:
        return 0
    entry = call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    j = 0
    if other != 0 and entry != 0:
        kind = type_of(other)
        if kind == c[TENSOR_TYPE]:
            if i64(other + c[TAPE_AT])[0] != tape or other == x:
                return 0
            entry = call_python(c[DICT_ITEM], entry, i64(other + c[SPEC_AT])[0], 0)
            j = slot_of(other, at)
        else:
            entry = call_python(c[DICT_ITEM], entry, kind, 0)
            if entry != 0:
                j = slot_of_number(tape, call_python(c[TUPLE_ITEM], entry, 3, 0), other, at)
                if j < 0:
                    return -1
    if entry == 0:
        return 0
    rows = i64(tape + c[ROWS_AT])[0]
    first = call_python(c[LIST_SIZE], rows, 0, 0)
    if first >= call_python(c[AS_INT], i64(tape + c[LIMIT_AT])[0], 0, 0):
        return 0
    place = own(i64(x + c[SLOT_AT])[0], at)
    i = call_python(c[AS_INT], place, 0, 0)
    head = call_python(c[AS_INT], call_python(c[TUPLE_ITEM], entry, 0, 0), 0, 0)
    out = call_python(c[TUPLE_ITEM], entry, 1, 0)
    copied = call_python(c[AS_INT], call_python(c[TUPLE_ITEM], entry, 2, 0), 0, 0)
    source, at_row, done = i, first, True
    if copied:
        done = append_word(rows, copied + (i << SLOT_BITS), at)
        source, at_row = first, first + 1
    done = done and append_word(rows, head + (i << SLOT_BITS) + source, at)
    if other != 0:
        done = done and append_word(rows, j << SLOT_BITS, at)
    row = call_python(c[INT], at_row, 0, 0)
    done = done and row != 0 and note_write(tape, place, row, buffer, site, at)
    if done and out != c[NONE]:
        put(x, c[SLOT_AT], own(row, at), at)
        put(x, c[SPEC_AT], own(out, at), at)
    call_python(c[RELEASE], row, 0, 0)
    call_python(c[RELEASE], place, 0, 0)
    return 1 if done else -1


@jit
def assign_rows(x, key, value, tape, buffer, site, at):
    """Append the rows of an assignment to ``x[key]`` met before; as `write_rows`."""
    c = i64(at)
    table = table_of(tape, at)
    entry = 0
    if table != 0:
        entry = call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    if entry != 0:
        entry = call_python(c[DICT_ITEM], entry, key, 0)
    if entry != 0:
        entry = call_python(c[DICT_ITEM], entry, i64(value + c[SPEC_AT])[0], 0)
    rows = i64(tape + c[ROWS_AT])[0]
    region = call_python(c[LIST_SIZE], rows, 0, 0)
    if entry == 0 or region >= call_python(c[AS_INT], i64(tape + c[LIMIT_AT])[0], 0, 0):
        return 0
    i, j = slot_of(x, at) << SLOT_BITS, slot_of(value, at)
    seen = call_python(c[AS_INT], call_python(c[TUPLE_ITEM], entry, 0, 0), 0, 0)
    offset = call_python(c[TUPLE_ITEM], entry, 1, 0)
    head = call_python(c[AS_INT], call_python(c[TUPLE_ITEM], entry, 2, 0), 0, 0)
    after = call_python(c[AS_INT], call_python(c[TUPLE_ITEM], entry, 3, 0), 0, 0)
    place = call_python(c[INT], region, 0, 0)
    row = call_python(c[INT], region + 2, 0, 0)
    done = place != 0 and row != 0 and append_word(rows, seen + i, at)
    done = done and call_python(c[APPEND], rows, offset, 0) & 1 == 0
    done = done and append_word(rows, head + (region << SLOT_BITS) + j, at)
    roots = i64(tape + c[ROOTS_AT])[0]
    before = i64(x + c[SLOT_AT])[0]
    root = call_python(c[DICT_ITEM], roots, before, 0)
    root = own(before if root == 0 else root, at)
    done = done and call_python(c[DICT_SET], roots, place, root) & 1 == 0
    done = done and note_write(tape, place, row, buffer, site, at)
    if done and after:
        last = call_python(c[INT], region + 3, 0, 0)
        done = last != 0 and append_word(rows, after + i + region + 2, at)
        done = done and call_python(c[APPEND], rows, call_python(c[TUPLE_ITEM], entry, 4, 0), 0) & 1 == 0
        done = done and call_python(c[DICT_SET], roots, last, root) & 1 == 0
        if done:
            put(x, c[SLOT_AT], own(last, at), at)
            put(x, c[SPEC_AT], own(call_python(c[TUPLE_ITEM], entry, 5, 0), at), at)
        call_python(c[RELEASE], last, 0, 0)
    call_python(c[RELEASE], root, 0, 0)
    call_python(c[RELEASE], place, 0, 0)
    call_python(c[RELEASE], row, 0, 0)
    return 1 if done else -1


@jit
def write(x, other, at):
    """Write where nothing needs thought; as `write_rows`."""
    c = i64(at)
    tape = i64(x + c[TAPE_AT])[0]
    if type_of(x) != c[TENSOR_TYPE] or type_of(tape) != c[TAPE_TYPE]:
        return 0
    buffer = quiet_buffer(x, tape, at)
    site = 0 if buffer == 0 else site_of(at)
    outcome = 0
    if site != 0 and i64(x + c[TAPE_AT])[0] == tape:
        outcome = write_rows(x, other, tape, buffer, site, at)
    call_python(c[RELEASE], site, 0, 0)
    call_python(c[RELEASE], buffer, 0, 0)
    return outcome


def write_unary(x, nothing, at):
    """A function of a tensor, written in place; the tensor as a new reference, or 0 with Python's error set."""
    outcome = write(x, 0, at)
    if outcome == 0:
        call_python(i64(at)[CLEAR_ERROR], 0, 0, 0)
        return call(x, 0, at)
    return own(x, at) if outcome > 0 else 0


def write_binary(x, arguments, count, names, at):
    """A function of a tensor and one more operand, written in place; as `write_unary`."""
    outcome = 0
    if count == 1 and names == 0:
        outcome = write(x, i64(arguments)[0], at)
    if outcome == 0:
        call_python(i64(at)[CLEAR_ERROR], 0, 0, 0)
        return call_general(x, arguments, count, names, at)
    return own(x, at) if outcome > 0 else 0


def assign(x, arguments, count, names, at):
    """``x[key] = value`` for an integer and a tensor; None as a new reference, or 0 with Python's error set."""
    c = i64(at)
    outcome = 0
    tape = i64(x + c[TAPE_AT])[0]
    if count == 2 and names == 0 and type_of(x) == c[TENSOR_TYPE] and type_of(tape) == c[TAPE_TYPE]:
        key, value = i64(arguments)[0], i64(arguments)[1]
        if type_of(key) == c[INT_TYPE] and type_of(value) == c[TENSOR_TYPE]:
            buffer = quiet_buffer(x, tape, at)
            site = 0 if buffer == 0 else site_of(at)
            if site != 0 and i64(x + c[TAPE_AT])[0] == tape and i64(value + c[TAPE_AT])[0] == tape:
                outcome = assign_rows(x, key, value, tape, buffer, site, at)
            call_python(c[RELEASE], site, 0, 0)
            call_python(c[RELEASE], buffer, 0, 0)
    if outcome == 0:
        call_python(c[CLEAR_ERROR], 0, 0, 0)
        return call_general(x, arguments, count, names, at)
    return own(c[NONE], at) if outcome > 0 else 0
