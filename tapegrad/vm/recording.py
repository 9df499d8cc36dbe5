"""Appending a row in compiled code, by the functions of Python's C interface.

These do what the operators of `tapegrad.operators` do for operands that were met before, with the same lists and
dictionaries. Whatever needs thought, they leave to the Python function. Python's lock is held all the time, and
nothing here raises: where an allocation fails, the Python function tries again, and raises.

Objects are int64 addresses. ``at`` is the address of a table of words, see `fields`.
"""

from __future__ import annotations

from .fields import (
    ALLOCATE,
    APPEND,
    AS_INT,
    BUFFER_NAME,
    BUFFER_TYPE,
    CALL,
    CALL_WITH,
    CLEAR_ERROR,
    COMPARE,
    COUNTS_AT,
    DICT_ITEM,
    DICT_NEW,
    DICT_SET,
    EQUAL,
    FALLBACK,
    FALSE,
    FAST_AT,
    FILENAME,
    FLOAT32_TYPE,
    FLOAT64_TYPE,
    FLOAT_TYPE,
    FRAME,
    FRAME_CODE,
    FRAME_POSITION,
    GET,
    HEADER,
    INDEX,
    INSIDE,
    INT,
    INT_TYPE,
    LIMIT_AT,
    LIST_ITEM,
    LIST_SIZE,
    LIST_TYPE,
    MAPPED_ITEM,
    METHOD,
    NONE,
    NOT_IMPLEMENTED,
    NOTHING,
    NUMBERS_AT,
    OPERANDS,
    OPERATORS,
    QUIET_AT,
    RARE_AT,
    RELEASE,
    RETAIN,
    ROOTS_AT,
    ROWS_AT,
    SITE_AT,
    SITES_AT,
    SLOT_AT,
    SPEC_AT,
    SWAPPED,
    TAPE_AT,
    TAPE_TYPE,
    TENSOR_TYPE,
    THIS_THREAD,
    THREAD_AT,
    TUPLE_ITEM,
    TUPLE_NEW,
    TUPLE_SET,
    TUPLE_SIZE,
    VERSION_AT,
    WRITES_AT,
)
from .intrinsics import call_python, i64
from .jit import jit
from .opcodes import SLOT_BITS

__all__ = ["array_ufunc", "assign", "binary", "unary", "write_binary", "write_unary"]


@jit
def type_of(thing):
    """The type of an object."""
    return i64(thing + HEADER)[0]


@jit
def own(thing, at):
    """The same object, with one reference more."""
    call_python(i64(at)[RETAIN], thing, 0, 0)
    return thing


@jit
def table_of(tape, at):
    """The operator's table of rows met before; 0 where this thread may not record there without thought."""
    c = i64(at)
    if type_of(tape) != c[TAPE_TYPE]:
        return 0
    thread = call_python(c[AS_INT], i64(tape + c[THREAD_AT])[0], 0, 0)
    if thread != call_python(c[THIS_THREAD], 0, 0, 0):
        return 0
    fast = i64(tape + c[FAST_AT])[0]
    if type_of(fast) != c[LIST_TYPE]:
        return 0
    return call_python(c[LIST_ITEM], fast, c[INDEX], 0)


@jit
def slot_of(tensor, at):
    """A tensor's slot."""
    c = i64(at)
    return call_python(c[AS_INT], i64(tensor + c[SLOT_AT])[0], 0, 0)


@jit
def slot_of_number(tape, char, number, at):
    """The slot of a number as a constant of the dtype of that character; -1, with Python's error set, if it is none."""
    c = i64(at)
    numbers = call_python(c[MAPPED_ITEM], i64(tape + c[NUMBERS_AT])[0], char, 0)
    if numbers == 0:
        return -1
    found = call_python(c[MAPPED_ITEM], numbers, number, 0)
    call_python(c[RELEASE], numbers, 0, 0)
    if found == 0:
        return -1
    slot = call_python(c[AS_INT], found, 0, 0)
    call_python(c[RELEASE], found, 0, 0)
    return slot


@jit
def append(y, tape, entry, operands, at):
    """Append the row of a table's entry, and fill in its handle, the new tensor `y`; returns whether that was done."""
    c = i64(at)
    rows = i64(tape + c[ROWS_AT])[0]
    slot = call_python(c[LIST_SIZE], rows, 0, 0)
    if slot >= call_python(c[AS_INT], i64(tape + c[LIMIT_AT])[0], 0, 0):
        return 0
    code = call_python(c[AS_INT], call_python(c[TUPLE_ITEM], entry, 0, 0), 0, 0)
    word = call_python(c[INT], code + operands, 0, 0)
    place = call_python(c[INT], slot, 0, 0)
    done = word != 0 and place != 0 and call_python(c[APPEND], rows, word, 0) & 1 == 0
    call_python(c[RELEASE], word, 0, 0)
    if not done:
        call_python(c[RELEASE], place, 0, 0)
        return 0
    i64(y + c[SLOT_AT])[0] = place
    i64(y + c[SPEC_AT])[0] = own(call_python(c[TUPLE_ITEM], entry, 1, 0), at)
    i64(y + c[TAPE_AT])[0] = own(tape, at)
    i64(y + c[RARE_AT])[0] = own(c[NOTHING], at)
    return 1


@jit
def call(x, other, at):
    """What the operator's Python function returns, or 0 where it raises."""
    c = i64(at)
    n = 1 if other == 0 else 2
    arguments = call_python(c[TUPLE_NEW], n, 0, 0)
    if arguments == 0:
        return 0
    call_python(c[TUPLE_SET], arguments, 0, own(x, at))
    if n == 2:
        call_python(c[TUPLE_SET], arguments, 1, own(other, at))
    result = call_python(c[CALL], c[FALLBACK], arguments, 0)
    call_python(c[RELEASE], arguments, 0, 0)
    return result


@jit
def call_general(x, arguments, count, names, at):
    """What the Python function returns for positional arguments, and those whose names come last; 0 if it raises."""
    c = i64(at)
    named = 0 if names == 0 else call_python(c[TUPLE_SIZE], names, 0, 0)
    positional = call_python(c[TUPLE_NEW], count + 1, 0, 0)
    if positional == 0:
        return 0
    call_python(c[TUPLE_SET], positional, 0, own(x, at))
    for k in range(count):
        call_python(c[TUPLE_SET], positional, k + 1, own(i64(arguments)[k], at))
    keywords = 0
    result = 0
    if named:
        keywords = call_python(c[DICT_NEW], 0, 0, 0)
    if keywords or not named:
        for k in range(named):
            call_python(c[DICT_SET], keywords, call_python(c[TUPLE_ITEM], names, k, 0), i64(arguments)[count + k])
        result = call_python(c[CALL_WITH], c[FALLBACK], positional, keywords)
    call_python(c[RELEASE], keywords, 0, 0)
    call_python(c[RELEASE], positional, 0, 0)
    return result


@jit
def give_up(y, x, other, at):
    """Take the long way."""
    c = i64(at)
    call_python(c[RELEASE], y, 0, 0)
    call_python(c[CLEAR_ERROR], 0, 0, 0)
    return call(x, other, at)


def _binary(x, other, at):
    """An operator of a tensor and another operand; a new reference, or 0 with Python's error set."""
    c = i64(at)
    kind = type_of(other)
    number = kind == c[FLOAT_TYPE] or kind == c[INT_TYPE] or kind == c[FLOAT32_TYPE] or kind == c[FLOAT64_TYPE]
    if type_of(x) != c[TENSOR_TYPE] or not (number or kind == c[TENSOR_TYPE]):
        return call(x, other, at)
    # First of all: this may collect garbage, and so run Python code that records.
    y = call_python(c[ALLOCATE], c[TENSOR_TYPE], 0, 0)
    if y == 0:
        return give_up(y, x, other, at)
    tape = i64(x + c[TAPE_AT])[0]
    key = kind
    if kind == c[TENSOR_TYPE]:
        if i64(other + c[TAPE_AT])[0] != tape:
            return give_up(y, x, other, at)
        key = i64(other + c[SPEC_AT])[0]
    table = table_of(tape, at)
    if table == 0:
        return give_up(y, x, other, at)
    entry = call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    if entry == 0:
        return give_up(y, x, other, at)
    entry = call_python(c[DICT_ITEM], entry, key, 0)
    if entry == 0:
        return give_up(y, x, other, at)
    i = slot_of(x, at)
    if number:
        j = slot_of_number(tape, call_python(c[TUPLE_ITEM], entry, 2, 0), other, at)
        if j < 0:
            call_python(c[RELEASE], y, 0, 0)
            return 0
        if c[SWAPPED]:
            i, j = j, i
    else:
        j = slot_of(other, at)
    if append(y, tape, entry, (i << SLOT_BITS) + j, at):
        return y
    return give_up(y, x, other, at)


def _unary(x, nothing, at):
    """A function of one tensor; a new reference, or 0 with Python's error set."""
    c = i64(at)
    if type_of(x) != c[TENSOR_TYPE]:
        return call(x, 0, at)
    y = call_python(c[ALLOCATE], c[TENSOR_TYPE], 0, 0)
    if y == 0:
        return give_up(y, x, 0, at)
    tape = i64(x + c[TAPE_AT])[0]
    table = table_of(tape, at)
    if table == 0:
        return give_up(y, x, 0, at)
    entry = call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    if entry == 0:
        return give_up(y, x, 0, at)
    if append(y, tape, entry, slot_of(x, at) << SLOT_BITS, at):
        return y
    return give_up(y, x, 0, at)


unary, binary = jit(_unary), jit(_binary)


def array_ufunc(x, arguments, count, names, at):
    """`Tensor.__array_ufunc__` of a ufunc, ``"__call__"``, and one or two operands of which the first is a tensor."""
    c = i64(at)
    if names == 0 and 3 <= count <= 4 and call_python(c[COMPARE], i64(arguments)[1], c[METHOD], EQUAL) & 3 == 1:
        first = i64(arguments)[2]
        found = call_python(c[DICT_ITEM], c[OPERATORS], i64(arguments)[0], 0)
        if found != 0 and type_of(first) == c[TENSOR_TYPE]:
            table = call_python(c[AS_INT], found, 0, 0)
            result = 0
            if i64(table)[OPERANDS] != count - 2:
                return call_general(x, arguments, count, names, at)
            if count == 3:
                result = unary(first, 0, table)
            else:
                result = binary(first, i64(arguments)[3], table)
            if result != c[NOT_IMPLEMENTED]:
                return result
            call_python(c[RELEASE], result, 0, 0)
    return call_general(x, arguments, count, names, at)


# --- in place --------------------------------------------------------------------------------------------------


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
