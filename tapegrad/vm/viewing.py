"""Views in compiled code: what ``x[key]``, and methods given integers, do where key and integers were met before.

As `recording`, of which it is a part: objects are int64 addresses, ``at`` is the address of a table of words.
"""

from __future__ import annotations

from .fields import (
    ALLOCATE,
    APPEND,
    BASE_AT,
    BASE_NAME,
    BUFFER_FACTS,
    BUFFER_NAME,
    BUFFER_OF,
    BUFFER_TYPE,
    CALL,
    CLEAR_ERROR,
    COPIES_AT,
    DICT_ITEM,
    ELLIPSIS,
    FALSE,
    GET,
    HISTORY_AT,
    INT,
    INT_TYPE,
    ITEMS,
    LEAF_NAME,
    LIMIT_AT,
    LIST_CUT,
    LOOSE_AT,
    MADE_BY_NAME,
    NONE,
    NOTHING,
    OFFSET_AT,
    OWN_BUFFER_AT,
    QUIET_AT,
    RARE_AT,
    RELEASE,
    ROWS_AT,
    SEEN_AT,
    SETTLED_AT,
    SLICE_START,
    SLICE_TYPE,
    SLOT_AT,
    SPEC_AT,
    TAPE_AT,
    TAPE_TYPE,
    TENSOR_TYPE,
    TUPLE_NEW,
    TUPLE_SET,
    TUPLE_SIZE,
    TUPLE_TYPE,
    VIEW_FACTS,
    VIEWED_AT,
    VIEWS_AT,
    WEAK,
    WEAK_OBJECT,
)
from .intrinsics import call_python, call_words, i64
from .jit import jit
from .objects import integer, list_size, tuple_item, type_of
from .opcodes import SLOT_BITS
from .recording import append_word, call, call_general, is_free, note, own, put, slot_of, table_of

__all__ = ["base_of", "buffer_of", "by_numbers", "forget_gone", "form_of", "offset_of", "select"]


@jit
def slice_form(key, marked, at):
    """The three parts of a slice as a new tuple, if they are integers or None; else 0. One that is marked has four."""
    c = i64(at)
    for k in range(3):
        part = i64(key + SLICE_START)[k]
        if part != c[NONE] and type_of(part) != c[INT_TYPE]:
            return 0
    form = call_python(c[TUPLE_NEW], 3 + marked, 0, 0)
    if form != 0:
        for k in range(3):
            i64(form + ITEMS)[k] = own(i64(key + SLICE_START)[k], at)
        if marked:
            i64(form + ITEMS)[3] = own(c[SLICE_TYPE], at)
    return form


@jit
def part_form(key, at):
    """The form of a part of a key, as a new reference; 0 where it has none."""
    c = i64(at)
    kind = type_of(key)
    if kind == c[INT_TYPE] or key == c[NONE] or key == c[ELLIPSIS]:
        return own(key, at)
    return slice_form(key, 0, at) if kind == c[SLICE_TYPE] else 0


@jit
def form_of(key, at):
    """The form of a key under which the tables know it, see `tape.viewing.brief`, as a new reference; 0 for others."""
    c = i64(at)
    kind = type_of(key)
    if kind == c[INT_TYPE]:
        return own(key, at)
    if kind == c[SLICE_TYPE]:
        return slice_form(key, 1, at)
    several = kind == c[TUPLE_TYPE]
    n = call_python(c[TUPLE_SIZE], key, 0, 0) if several else 1
    form = call_python(c[TUPLE_NEW], n, 0, 0)
    if form == 0:
        return 0
    for k in range(n):
        part = part_form(tuple_item(key, k) if several else key, at)
        if part == 0:
            call_python(c[RELEASE], form, 0, 0)
            return 0
        i64(form + ITEMS)[k] = part
    return form


@jit
def field_is(thing, name, expected, at):
    """Whether a field of an object is a certain one, which somebody else holds."""
    c = i64(at)
    found = call_python(c[GET], thing, name, 0)
    call_python(c[RELEASE], found, 0, 0)
    return found == expected


@jit
def is_no_leaf(x, at):
    """Whether a tensor is a result, or a constant."""
    c = i64(at)
    return field_is(i64(x + c[RARE_AT])[0], c[LEAF_NAME], c[FALSE], at)


@jit
def offset_of(x, at):
    """Bytes from the base's first element to the first one of a tensor that is a view or none."""
    c = i64(at)
    rare = i64(x + c[RARE_AT])[0]
    return integer(i64(rare + c[OFFSET_AT])[0], at) if type_of(rare) == c[VIEW_FACTS] else 0


@jit
def base_of(x, at):
    """The tensor of which a view of `x` is a view, if nothing about `x` needs thought; else 0."""
    c = i64(at)
    rare = i64(x + c[RARE_AT])[0]
    if type_of(rare) == c[BUFFER_FACTS]:
        return x
    if type_of(rare) != c[VIEW_FACTS]:
        plain = field_is(rare, c[BASE_NAME], c[NONE], at) and field_is(rare, c[MADE_BY_NAME], c[NONE], at)
        return x if plain else 0
    seen, buffer = i64(rare + c[SEEN_AT])[0], i64(rare + c[VIEWED_AT])[0]
    history = i64(buffer + c[HISTORY_AT])[0]
    if integer(seen, at) != integer(history, at):
        return 0
    return i64(rare + c[BASE_AT])[0]


@jit
def buffer_of(x, at):
    """The buffer of a tensor that has one, as a new reference; 0 where it has none."""
    c = i64(at)
    rare = i64(x + c[RARE_AT])[0]
    if type_of(rare) == c[BUFFER_FACTS]:
        return own(i64(rare + c[OWN_BUFFER_AT])[0], at)
    if type_of(rare) == c[VIEW_FACTS]:
        return own(i64(rare + c[VIEWED_AT])[0], at)
    buffer = call_python(c[GET], rare, c[BUFFER_NAME], 0)
    if buffer != 0 and type_of(buffer) == c[BUFFER_TYPE]:
        return buffer
    call_python(c[RELEASE], buffer, 0, 0)
    return 0


@jit
def forget_gone(views, at):
    """Drop weak references to views that are gone from a list; returns whether that was done."""
    c = i64(at)
    n, kept = list_size(views, at), 0
    items = i64(i64(views + ITEMS)[0])
    for k in range(n):
        if call_python(c[WEAK_OBJECT], items[k], 0, 0) != c[NONE]:
            items[kept], items[k] = items[k], items[kept]
            kept += 1
    return call_words(c[LIST_CUT], views, kept, n, 0, 0, 0, 0, 0) & 1 == 0


@jit
def add_view(buffer, base, reference, at):
    """What `Buffer.add_view` does, given a weak reference to the view; returns whether that was done."""
    c = i64(at)
    if i64(buffer + c[LOOSE_AT])[0] == c[FALSE]:
        views = i64(buffer + c[VIEWS_AT])[0]
        n = list_size(views, at)
        if n > 15 and n & (n - 1) == 0 and not forget_gone(views, at):
            return 0
        owner = type_of(i64(base + c[RARE_AT])[0]) == c[BUFFER_FACTS] or i64(buffer + c[SETTLED_AT])[0] != c[NONE]
        if not (owner or is_no_leaf(base, at)):
            return 0
        if call_python(c[APPEND], views, reference, 0) & 1:
            return 0
    put(buffer, c[QUIET_AT], own(c[NONE], at), at)
    return 1


@jit
def view_rows(x, form, y, facts, reference, at):
    """Append the row of a view met before and fill in its handle; returns whether that was done."""
    c = i64(at)
    tape = i64(x + c[TAPE_AT])[0]
    table = table_of(tape, at)
    if table == 0:
        return 0
    entry = call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    if entry != 0:
        entry = call_python(c[DICT_ITEM], entry, form, 0)
    if entry == 0:
        return 0
    base = base_of(x, at)
    buffer = buffer_of(x, at)
    call_python(c[RELEASE], buffer, 0, 0)  # the tensor holds it
    if base == 0 or base == c[NONE] or buffer == 0 or i64(buffer + c[COPIES_AT])[0] != c[FALSE]:
        return 0
    if tuple_item(entry, 3) != c[FALSE] and is_free(at) == 0 and is_no_leaf(base, at):
        return 0  # a single element of an array that a function under transformation may write to is no view
    rows = i64(tape + c[ROWS_AT])[0]
    row = list_size(rows, at)
    if row >= integer(i64(tape + c[LIMIT_AT])[0], at):
        return 0
    offset = tuple_item(entry, 2)
    place = call_python(c[INT], row, 0, 0)
    shift = call_python(c[INT], offset_of(x, at) + integer(offset, at), 0, 0)
    code = integer(tuple_item(entry, 0), at)
    done = (
        place != 0
        and shift != 0
        and add_view(buffer, base, reference, at)
        and note(tape, place, i64(x + c[SLOT_AT])[0], c[NONE], at)
        and append_word(rows, code + (slot_of(x, at) << SLOT_BITS), at)
        and call_python(c[APPEND], rows, offset, 0) & 1 == 0
    )
    if not done:
        call_python(c[RELEASE], place, 0, 0)
        call_python(c[RELEASE], shift, 0, 0)
        return 0
    i64(facts + c[BASE_AT])[0] = own(base, at)
    i64(facts + c[VIEWED_AT])[0] = own(buffer, at)
    i64(facts + c[SEEN_AT])[0] = own(i64(buffer + c[HISTORY_AT])[0], at)
    i64(facts + c[OFFSET_AT])[0] = shift
    i64(y + c[SLOT_AT])[0] = place
    i64(y + c[SPEC_AT])[0] = own(tuple_item(entry, 1), at)
    i64(y + c[TAPE_AT])[0] = own(tape, at)
    i64(y + c[RARE_AT])[0] = own(facts, at)
    return 1


@jit
def with_buffer(x, at):
    """Have a tensor on a tape get a buffer; whether there was no error."""
    c = i64(at)
    if i64(x + c[RARE_AT])[0] != c[NOTHING] or type_of(i64(x + c[TAPE_AT])[0]) != c[TAPE_TYPE]:
        return 1
    arguments = call_python(c[TUPLE_NEW], 1, 0, 0)
    if arguments == 0:
        return 0
    call_python(c[TUPLE_SET], arguments, 0, own(x, at))
    buffer = call_python(c[CALL], c[BUFFER_OF], arguments, 0)
    call_python(c[RELEASE], arguments, 0, 0)
    call_python(c[RELEASE], buffer, 0, 0)
    return 1 if buffer != 0 else 0


@jit
def viewed(x, form, at):
    """A view met before by its form, a new reference; 0 where that needs thought."""
    c = i64(at)
    if form == 0 or not with_buffer(x, at):
        return 0
    # Before anything is looked up: this may collect garbage, and so run Python code that records.
    y = call_python(c[ALLOCATE], c[TENSOR_TYPE], 0, 0)
    facts = call_python(c[ALLOCATE], c[VIEW_FACTS], 0, 0)
    reference = 0 if y == 0 else call_python(c[WEAK], y, 0, 0)
    done = facts != 0 and reference != 0 and view_rows(x, form, y, facts, reference, at)
    call_python(c[RELEASE], reference, 0, 0)
    call_python(c[RELEASE], facts, 0, 0)
    if done:
        return y
    call_python(c[RELEASE], y, 0, 0)
    return 0


def select(x, key, at):
    """``x[key]``; a new reference, or 0 with Python's error set."""
    c = i64(at)
    form = form_of(key, at) if type_of(x) == c[TENSOR_TYPE] else 0
    y = viewed(x, form, at)
    call_python(c[RELEASE], form, 0, 0)
    if y != 0:
        return y
    call_python(c[CLEAR_ERROR], 0, 0, 0)
    return call(x, key, at)


@jit
def numbers_form(arguments, count, at):
    """A tuple of arguments that are all integers, as a new reference; 0 where one is not."""
    c = i64(at)
    for k in range(count):
        if type_of(i64(arguments)[k]) != c[INT_TYPE]:
            return 0
    form = call_python(c[TUPLE_NEW], count, 0, 0)
    if form != 0:
        for k in range(count):
            i64(form + ITEMS)[k] = own(i64(arguments)[k], at)
    return form


def by_numbers(x, arguments, count, names, at):
    """A view by a method whose arguments are integers; as `select`."""
    c = i64(at)
    form = numbers_form(arguments, count, at) if names == 0 and type_of(x) == c[TENSOR_TYPE] else 0
    y = viewed(x, form, at)
    call_python(c[RELEASE], form, 0, 0)
    if y != 0:
        return y
    call_python(c[CLEAR_ERROR], 0, 0, 0)
    return call_general(x, arguments, count, names, at)
