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
    CALL,
    CALL_WITH,
    CLEAR_ERROR,
    COMPARE,
    DICT_ITEM,
    DICT_NEW,
    DICT_SET,
    EQUAL,
    FALLBACK,
    FALSE,
    FAST_AT,
    FLOAT32_TYPE,
    FLOAT64_TYPE,
    FLOAT_TYPE,
    GET,
    INDEX,
    INT,
    INT_TYPE,
    LIMIT_AT,
    LIST_CUT,
    LIST_TYPE,
    LOCAL,
    MAPPED_ITEM,
    METHOD,
    NOT_IMPLEMENTED,
    NOTED_AT,
    NOTHING,
    NUMBERS_AT,
    OPERANDS,
    OPERATORS,
    RARE_AT,
    RELEASE,
    RETAIN,
    ROWS_AT,
    SLOT_AT,
    SPEC_AT,
    STATE_NAME,
    STATE_TAPE_AT,
    SWAPPED,
    TAPE_AT,
    TAPE_TYPE,
    TENSOR_TYPE,
    THIS_THREAD,
    THREAD_AT,
    TRACING_AT,
    TUPLE_NEW,
    TUPLE_SET,
    TUPLE_SIZE,
    WITHIN_AT,
    ZERO,
    ZERO_TEXT,
)
from .intrinsics import call_python, call_words, i64
from .jit import jit
from .objects import integer, list_item, list_size, tuple_item, type_of
from .opcodes import SLOT_BITS

__all__ = [
    "append_word",
    "array_ufunc",
    "binary",
    "call",
    "call_general",
    "is_free",
    "note",
    "own",
    "put",
    "slot_of",
    "slot_of_number",
    "table_of",
    "unary",
]


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
    thread = integer(i64(tape + c[THREAD_AT])[0], at)
    if thread != call_python(c[THIS_THREAD], 0, 0, 0):
        return 0
    fast = i64(tape + c[FAST_AT])[0]
    if type_of(fast) != c[LIST_TYPE]:
        return 0
    return list_item(fast, c[INDEX])


@jit
def slot_of(tensor, at):
    """A tensor's slot."""
    c = i64(at)
    return integer(i64(tensor + c[SLOT_AT])[0], at)


@jit
def mapped(mapping, key, at):
    """What a dictionary has for a key, which it holds; one that is missing, the dictionary makes. 0 for an error."""
    c = i64(at)
    found = call_python(c[DICT_ITEM], mapping, key, 0)
    if found == 0:
        found = call_python(c[MAPPED_ITEM], mapping, key, 0)
        call_python(c[RELEASE], found, 0, 0)
    return found


@jit
def slot_of_number(tape, char, number, at):
    """The slot of a number as a constant of the dtype of that character; -1, with Python's error set, if it is none."""
    c = i64(at)
    numbers = mapped(i64(tape + c[NUMBERS_AT])[0], char, at)
    if numbers == 0:
        return -1
    key = c[ZERO_TEXT] if number == c[ZERO] else number  # see `tape.numbers`: zeros are kept by what they print
    found = mapped(numbers, key, at)
    return integer(found, at) if found != 0 else -1


@jit
def is_free(at):
    """Whether no function is being transformed or compiled in this thread."""
    c = i64(at)
    state = call_python(c[GET], c[LOCAL], c[STATE_NAME], 0)
    if state == 0:
        call_python(c[CLEAR_ERROR], 0, 0, 0)
        return 0
    tape = i64(state + c[STATE_TAPE_AT])[0]
    free = i64(state + c[WITHIN_AT])[0] == c[ZERO] and i64(tape + c[TRACING_AT])[0] == c[FALSE]
    call_python(c[RELEASE], state, 0, 0)
    return 1 if free else 0


@jit
def put(thing, offset, value, at):
    """Let a slot of an object refer to another one, whose reference is taken over."""
    before = i64(thing + offset)[0]
    i64(thing + offset)[0] = value
    call_python(i64(at)[RELEASE], before, 0, 0)


@jit
def append_word(rows, word, at):
    """Append an integer to the rows; returns whether that was done."""
    c = i64(at)
    item = call_python(c[INT], word, 0, 0)
    done = item != 0 and call_python(c[APPEND], rows, item, 0) & 1 == 0
    call_python(c[RELEASE], item, 0, 0)
    return done


@jit
def note(tape, slot, shared, site, at):
    """Note that a slot has another one's memory, and where it was written, or None; see `tapegrad.tape.stamps`."""
    c = i64(at)
    noted = i64(tape + c[NOTED_AT])[0]
    n = list_size(noted, at)
    failed = (
        call_python(c[APPEND], noted, slot, 0)
        | call_python(c[APPEND], noted, shared, 0)
        | call_python(c[APPEND], noted, site, 0)
    ) & 1
    if failed:
        call_words(c[LIST_CUT], noted, n, n + 3, 0, 0, 0, 0, 0)
    return failed == 0


@jit
def append(y, tape, entry, operands, at):
    """Append the row of a table's entry, and fill in its handle, the new tensor `y`; returns whether that was done."""
    c = i64(at)
    rows = i64(tape + c[ROWS_AT])[0]
    slot = list_size(rows, at)
    if slot >= integer(i64(tape + c[LIMIT_AT])[0], at):
        return 0
    code = integer(tuple_item(entry, 0), at)
    word = call_python(c[INT], code + operands, 0, 0)
    place = call_python(c[INT], slot, 0, 0)
    done = word != 0 and place != 0 and call_python(c[APPEND], rows, word, 0) & 1 == 0
    call_python(c[RELEASE], word, 0, 0)
    if not done:
        call_python(c[RELEASE], place, 0, 0)
        return 0
    i64(y + c[SLOT_AT])[0] = place
    i64(y + c[SPEC_AT])[0] = own(tuple_item(entry, 1), at)
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
            call_python(c[DICT_SET], keywords, tuple_item(names, k), i64(arguments)[count + k])
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


@jit
def entry_of(x, key, tape, at):
    """What the operator's table has for a tensor and the spec or type of the other operand; 0 where it has nothing."""
    c = i64(at)
    table = table_of(tape, at)
    if table == 0:
        return 0
    entry = call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    return 0 if entry == 0 else call_python(c[DICT_ITEM], entry, key, 0)


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
    entry = entry_of(x, key, tape, at)
    j = 0
    if number and entry != 0:
        j = slot_of_number(tape, tuple_item(entry, 2), other, at)
        if j < 0:
            call_python(c[RELEASE], y, 0, 0)
            return 0
        # A number not met before is brought by Python code, which may have changed anything.
        entry = entry_of(x, key, tape, at) if i64(x + c[TAPE_AT])[0] == tape else 0
    if entry == 0:
        return give_up(y, x, other, at)
    i = slot_of(x, at)
    if kind == c[TENSOR_TYPE]:
        j = slot_of(other, at)
    elif c[SWAPPED]:
        i, j = j, i
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
            table = integer(found, at)
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
