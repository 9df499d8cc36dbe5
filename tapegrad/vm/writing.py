"""Writing in place in compiled code: what `tapegrad.updates` and `tapegrad.assignment` do for writes met before.

As `recording`, of which it is the other half: objects are int64 addresses, ``at`` is the address of a table of words.
"""

from __future__ import annotations

from .fields import (
    APART,
    APPEND,
    BASE_AT,
    CLEAR_ERROR,
    DICT_ITEM,
    END_AT,
    FALSE,
    FAST_AT,
    FLOAT32_TYPE,
    FLOAT64_TYPE,
    FLOAT_TYPE,
    INT,
    INT_TYPE,
    KEYS,
    LIMIT_AT,
    NONE,
    NOTHING,
    OFFSET_AT,
    QUIET_AT,
    RARE_AT,
    RELEASE,
    ROWS_AT,
    SETTLED_AT,
    SHAPE_AT,
    SITE_AT,
    SIZE,
    SLOT_AT,
    SPARING_AT,
    SPEC_AT,
    TAPE_AT,
    TAPE_TYPE,
    TENSOR_TYPE,
    VERSION_AT,
    VIEW_FACTS,
    VIEWED_AT,
    ZERO,
)
from .intrinsics import call_python, i64
from .jit import jit
from .objects import integer, list_item, list_size, tuple_item, type_of
from .opcodes import SLOT_BITS
from .recording import append_word, binary, call, call_general, note, own, put, slot_of, slot_of_number, table_of
from .sites import is_unseen, site_of
from .viewing import base_of, buffer_of, form_of, offset_of

__all__ = ["assign", "write_binary", "write_copy", "write_unary", "write_zero"]


@jit
def ready_buffer(x, tape, at):
    """The buffer of a tensor, as a new reference, if it may be written on the tape without thought; else 0."""
    c = i64(at)
    rare = i64(x + c[RARE_AT])[0]
    buffer = buffer_of(x, at)
    if buffer == 0 or i64(buffer + c[QUIET_AT])[0] == tape:
        return buffer
    base = base_of(x, at) if type_of(rare) == c[VIEW_FACTS] else x
    ready = base != 0 and base != c[NONE] and i64(buffer + c[SETTLED_AT])[0] == tape
    if ready and i64(base + c[TAPE_AT])[0] == tape and is_unseen(buffer, x, at):
        if base == x:
            put(buffer, c[QUIET_AT], own(tape, at), at)
        return buffer
    call_python(c[RELEASE], buffer, 0, 0)
    return 0


@jit
def is_sparing(tape, at):
    """Whether writes on a tape of the host's leave what a derivative reads as it is."""
    c = i64(at)
    return 1 if type_of(tape) == c[TAPE_TYPE] and i64(tape + c[SPARING_AT])[0] != c[FALSE] else 0


@jit
def is_eager(tape, at):
    """Whether writes on a tape may overwrite what a derivative reads, as PyTorch's do: then the sweep is refused."""
    c = i64(at)
    return 1 if type_of(tape) == c[TAPE_TYPE] and i64(tape + c[SPARING_AT])[0] == c[FALSE] else 0


@jit
def note_write(tape, place, row, buffer, site, at):
    """What `Tape.note_write` does, for a row and the slot that it writes to, as Python's integers."""
    c = i64(at)
    version = call_python(c[INT], integer(i64(buffer + c[VERSION_AT])[0], at) + 1, 0, 0)
    if version == 0 or not note(tape, row, place, site, at):
        call_python(c[RELEASE], version, 0, 0)
        return 0
    put(buffer, c[SITE_AT], own(site, at), at)
    put(buffer, c[VERSION_AT], version, at)
    return 1


@jit
def entry_for(entry, value, tape, x, at):
    """What a table has for a value, a tensor on the tape or a number; 0 where it has nothing."""
    c = i64(at)
    kind = type_of(value)
    if entry == 0 or kind != c[TENSOR_TYPE]:
        return 0 if entry == 0 else call_python(c[DICT_ITEM], entry, kind, 0)
    if i64(value + c[TAPE_AT])[0] != tape or value == x:
        return 0
    return call_python(c[DICT_ITEM], entry, i64(value + c[SPEC_AT])[0], 0)


@jit
def is_number(value, at):
    """Whether a value is of a type whose values are brought as constants."""
    c = i64(at)
    kind = type_of(value)
    return kind == c[FLOAT_TYPE] or kind == c[INT_TYPE] or kind == c[FLOAT32_TYPE] or kind == c[FLOAT64_TYPE]


@jit
def brought(x, form, value, char_at, tape, at):
    """The slot of a number that is to be written to a tensor or to ``x[form]``; -1 for an error, -2 if it is not known.

    The table's entry has its dtype at `char_at`. A number not met before is brought by Python code, which may change
    anything: so this comes before all look-ups.
    """
    c = i64(at)
    table = table_of(tape, at)
    entry = 0 if table == 0 else call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    if entry != 0 and form != 0:
        entry = call_python(c[DICT_ITEM], entry, form, 0)
    if entry != 0:
        entry = call_python(c[DICT_ITEM], entry, type_of(value), 0)
    if entry == 0:
        return -2
    return slot_of_number(tape, tuple_item(entry, char_at), value, at)


@jit
def patch_rows(x, base, patch, row, inner, tape, at):
    """Append what `prompt.written` does for a view that was written by a row; returns whether that was done.

    What was written begins `inner` bytes, a Python integer, from the view's first element.
    """
    c = i64(at)
    rows = i64(tape + c[ROWS_AT])[0]
    offset = i64(i64(x + c[RARE_AT])[0] + c[OFFSET_AT])[0]
    start = integer(offset, at) + integer(inner, at)
    last = list_size(rows, at)
    code = integer(tuple_item(patch, 0), at)
    again = integer(tuple_item(patch, 2), at)
    whole, part = call_python(c[INT], last, 0, 0), call_python(c[INT], last + 2, 0, 0)
    done = (
        whole != 0
        and part != 0
        and append_word(rows, code + (slot_of(base, at) << SLOT_BITS) + integer(row, at), at)
        and append_word(rows, start, at)
        and append_word(rows, again + (last << SLOT_BITS), at)
        and call_python(c[APPEND], rows, offset, 0) & 1 == 0
        and note(tape, whole, row, c[NONE], at)
        and note(tape, part, row, c[NONE], at)
    )
    if not done:
        call_python(c[RELEASE], whole, 0, 0)
        call_python(c[RELEASE], part, 0, 0)
        return 0
    put(base, c[SLOT_AT], whole, at)
    put(base, c[SPEC_AT], own(tuple_item(patch, 1), at), at)
    put(x, c[SLOT_AT], part, at)
    put(x, c[SPEC_AT], own(tuple_item(patch, 3), at), at)
    return 1


@jit
def note_end(buffer, rows, at):
    """Note how many rows the tape has after a write."""
    c = i64(at)
    end = call_python(c[INT], list_size(rows, at), 0, 0)
    if end != 0:
        put(buffer, c[END_AT], end, at)
    return end != 0


@jit
def write_rows(x, mask, other, number, copies, tape, buffer, site, at):
    """Append the rows of a write met before: 1 where that was done, 0 where it takes the long way, -1 for an error.

    What is written is a function of the tensor, and of another operand if there is one; or (`copies`) that operand,
    which may be a `number` at that slot; or, where there is a mask, that operand where it is true.
    """
    c = i64(at)
    table = table_of(tape, at)
    if table == 0:
        return 0
    entry = call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    if mask != 0:
        entry = entry_for(entry, mask, tape, x, at)
    if other != 0:
        entry = entry_for(entry, other, tape, x, at)
    if entry == 0:
        return 0
    out = tuple_item(entry, 1)
    base, patch = 0, 0
    if type_of(i64(x + c[RARE_AT])[0]) == c[VIEW_FACTS]:
        base = base_of(x, at)
        if out != c[NONE]:
            patches = tuple_item(entry, 4)
            patch = call_python(c[DICT_ITEM], patches, i64(base + c[SPEC_AT])[0], 0)
            if patch == 0 or patch == c[NONE]:
                return 0
        if other == base:
            return 0
    rows = i64(tape + c[ROWS_AT])[0]
    if list_size(rows, at) >= integer(i64(tape + c[LIMIT_AT])[0], at):
        return 0
    j = slot_of(other, at) if other != 0 and number < 0 else number
    place = own(i64(x + c[SLOT_AT])[0], at)
    i = integer(place, at)
    head = integer(tuple_item(entry, 0), at)
    extra = integer(tuple_item(entry, 2), at)
    source, last, done = j if copies else slot_of(mask, at) if mask != 0 else i, i if mask != 0 else 0, True
    if extra:  # a copy of the tensor, for the reverse; or the operand, broadcast
        first = list_size(rows, at)
        done = append_word(rows, extra + (source << SLOT_BITS), at)
        if copies:
            done = done and append_word(rows, 0, at)
        source = first
    row = call_python(c[INT], list_size(rows, at), 0, 0)
    done = done and row != 0 and append_word(rows, head + (i << SLOT_BITS) + source, at)
    if other != 0 and not copies:
        done = done and append_word(rows, (j << SLOT_BITS) + last, at)
    done = done and note_write(tape, place, row, buffer, site, at)
    if done and patch != 0:
        done = patch_rows(x, base, patch, row, c[ZERO], tape, at)
    elif done and out != c[NONE]:
        put(x, c[SLOT_AT], own(row, at), at)
        put(x, c[SPEC_AT], own(out, at), at)
    done = done and note_end(buffer, rows, at)
    call_python(c[RELEASE], row, 0, 0)
    call_python(c[RELEASE], place, 0, 0)
    return 1 if done else -1


@jit
def count_again(x, form, value, tape, at):
    """Whether a value is the view that it is to be assigned to, and was just written: that counts as a second write.

    See `assignment._stands_there`.
    """
    c = i64(at)
    rare = i64(value + c[RARE_AT])[0]
    if type_of(value) != c[TENSOR_TYPE] or type_of(rare) != c[VIEW_FACTS] or i64(rare + c[BASE_AT])[0] != x:
        return 0
    buffer = i64(rare + c[VIEWED_AT])[0]
    size = list_size(i64(tape + c[ROWS_AT])[0], at)
    if i64(buffer + c[SETTLED_AT])[0] != tape or integer(i64(buffer + c[END_AT])[0], at) != size:
        return 0
    if table_of(tape, at) == 0:
        return 0
    known = list_item(i64(tape + c[FAST_AT])[0], c[KEYS])
    known = call_python(c[DICT_ITEM], known, i64(x + c[SPEC_AT])[0], 0)
    known = 0 if known == 0 else call_python(c[DICT_ITEM], known, form, 0)
    if known == 0 or tuple_item(known, 1) != i64(value + c[SPEC_AT])[0]:
        return 0
    if integer(tuple_item(known, 2), at) != offset_of(value, at):
        return 0
    version = call_python(c[INT], integer(i64(buffer + c[VERSION_AT])[0], at) + 1, 0, 0)
    if version == 0 or not note(tape, c[NONE], i64(value + c[SLOT_AT])[0], c[NONE], at):
        call_python(c[RELEASE], version, 0, 0)
        return 0
    put(buffer, c[VERSION_AT], version, at)
    return 1


@jit
def become_whole(x, entry, row, tape, at):
    """Append the row for a tensor, a part of which a row wrote; returns whether that was done."""
    c = i64(at)
    rows = i64(tape + c[ROWS_AT])[0]
    word = integer(tuple_item(entry, 3), at) + (slot_of(x, at) << SLOT_BITS)
    last = call_python(c[INT], list_size(rows, at), 0, 0)
    done = (
        last != 0
        and append_word(rows, word + integer(row, at), at)
        and call_python(c[APPEND], rows, tuple_item(entry, 4), 0) & 1 == 0
        and note(tape, last, row, c[NONE], at)
    )
    if not done:
        call_python(c[RELEASE], last, 0, 0)
        return 0
    put(x, c[SLOT_AT], last, at)
    put(x, c[SPEC_AT], own(tuple_item(entry, 5), at), at)
    return 1


@jit
def assign_rows(x, form, value, number, tape, buffer, site, at):
    """Append the rows of an assignment to ``x[key]`` met before; as `write_rows`."""
    c = i64(at)
    table = table_of(tape, at)
    entry = 0
    if table != 0:
        entry = call_python(c[DICT_ITEM], table, i64(x + c[SPEC_AT])[0], 0)
    if entry != 0:
        entry = call_python(c[DICT_ITEM], entry, form, 0)
    entry = entry_for(entry, value, tape, x, at)
    rows = i64(tape + c[ROWS_AT])[0]
    if entry == 0:
        return 0
    if list_size(rows, at) >= integer(i64(tape + c[LIMIT_AT])[0], at):
        return 0
    after = integer(tuple_item(entry, 3), at)
    patch = 0
    if type_of(i64(x + c[RARE_AT])[0]) == c[VIEW_FACTS]:
        base = base_of(x, at)
        if after:
            patch = call_python(c[DICT_ITEM], tuple_item(entry, 8), i64(base + c[SPEC_AT])[0], 0)
        if value == base or (after and patch == 0):
            return 0
    j = slot_of(value, at) if number < 0 else number
    region = list_size(rows, at)
    seen = integer(tuple_item(entry, 0), at)
    offset = tuple_item(entry, 1)
    head = integer(tuple_item(entry, 2), at)
    spread = integer(tuple_item(entry, 6), at)
    place = call_python(c[INT], region, 0, 0)
    done = place != 0 and append_word(rows, seen + (slot_of(x, at) << SLOT_BITS), at)
    done = done and call_python(c[APPEND], rows, offset, 0) & 1 == 0
    written = region + 2
    if spread:
        done = done and append_word(rows, spread + (j << SLOT_BITS), at) and append_word(rows, 0, at)
        j, written = region + 2, region + 4
    row = call_python(c[INT], written, 0, 0)
    done = done and row != 0 and append_word(rows, head + (region << SLOT_BITS) + j, at)
    done = done and note(tape, place, i64(x + c[SLOT_AT])[0], c[NONE], at)
    done = done and note_write(tape, place, row, buffer, site, at)
    if done and patch != 0:
        done = patch_rows(x, base, patch, row, offset, tape, at)
    elif done and after:
        done = become_whole(x, entry, row, tape, at)
    call_python(c[RELEASE], place, 0, 0)
    call_python(c[RELEASE], row, 0, 0)
    return 1 if done else -1


@jit
def write(x, mask, other, copies, at):
    """Write where nothing needs thought; as `write_rows`."""
    c = i64(at)
    tape = i64(x + c[TAPE_AT])[0]
    if type_of(x) != c[TENSOR_TYPE] or is_eager(tape, at) == 0:
        return 0
    number = -2
    if other != 0 and is_number(other, at):
        number = brought(x, 0 if mask == 0 else i64(mask + c[SPEC_AT])[0], other, 3, tape, at)
        if number < 0:
            return 0 if number == -2 else -1
    site = site_of(x, at)
    buffer = 0 if site == 0 or i64(x + c[TAPE_AT])[0] != tape else ready_buffer(x, tape, at)
    outcome = 0
    if buffer != 0:
        outcome = write_rows(x, mask, other, number, copies, tape, buffer, site, at)
    call_python(c[RELEASE], site, 0, 0)
    call_python(c[RELEASE], buffer, 0, 0)
    return outcome


def write_unary(x, nothing, at):
    """A function of a tensor, written in place; the tensor as a new reference, or 0 with Python's error set."""
    outcome = write(x, 0, 0, 0, at)
    if outcome == 0:
        call_python(i64(at)[CLEAR_ERROR], 0, 0, 0)
        return call(x, 0, at)
    return own(x, at) if outcome > 0 else 0


@jit
def write_other(x, arguments, count, names, copies, at):
    """A write of one operand, or by one; as `write_unary`."""
    outcome = 0
    if count == 1 and names == 0:
        outcome = write(x, 0, i64(arguments)[0], copies, at)
    if outcome == 0:
        call_python(i64(at)[CLEAR_ERROR], 0, 0, 0)
        return call_general(x, arguments, count, names, at)
    return own(x, at) if outcome > 0 else 0


@jit
def become(x, other, at):
    """Let a tensor whose memory nobody else knows be what the operator makes of it and another operand, in new memory.

    So a function under transformation spares what a derivative reads, see `tapegrad.sparing`. As `write_unary`, but
    -1 where it takes the long way; a number, to which nothing can be written, is another tensor afterwards.
    """
    c = i64(at)
    y = binary(x, other, c[APART])
    if y == 0:
        return 0
    shape = i64(i64(x + c[SPEC_AT])[0] + c[SHAPE_AT])[0]
    if i64(shape + SIZE)[0] == 0:
        return y
    outcome = -1
    if type_of(y) == c[TENSOR_TYPE] and i64(y + c[TAPE_AT])[0] == i64(x + c[TAPE_AT])[0]:
        plain = i64(y + c[RARE_AT])[0] == c[NOTHING] and i64(x + c[RARE_AT])[0] == c[NOTHING]
        if plain and i64(y + c[SPEC_AT])[0] == i64(x + c[SPEC_AT])[0]:
            put(x, c[SLOT_AT], own(i64(y + c[SLOT_AT])[0], at), at)
            outcome = own(x, at)
    call_python(c[RELEASE], y, 0, 0)
    return outcome


def write_binary(x, arguments, count, names, at):
    """A function of a tensor and one more operand, written in place; as `write_unary`."""
    c = i64(at)
    if count == 1 and names == 0 and c[APART] and type_of(x) == c[TENSOR_TYPE]:
        if i64(x + c[RARE_AT])[0] == c[NOTHING] and is_sparing(i64(x + c[TAPE_AT])[0], at):
            result = become(x, i64(arguments)[0], at)
            if result != -1:
                return result
    return write_other(x, arguments, count, names, 0, at)


def write_copy(x, arguments, count, names, at):
    """A tensor or number, copied to where a tensor stands; as `write_unary`."""
    return write_other(x, arguments, count, names, 1, at)


def write_zero(x, nothing, at):
    """Zero, copied to where a tensor stands; as `write_unary`."""
    outcome = write(x, 0, i64(at)[ZERO], 1, at)
    if outcome == 0:
        call_python(i64(at)[CLEAR_ERROR], 0, 0, 0)
        return call(x, 0, at)
    return own(x, at) if outcome > 0 else 0


@jit
def assigned(x, key, value, tape, at):
    """An assignment where nothing needs thought; as `write_rows`."""
    c = i64(at)
    if type_of(key) == c[TENSOR_TYPE]:
        return write(x, key, value, 0, at)
    form = form_of(key, at) if is_eager(tape, at) else 0
    if form == 0:
        return 0
    outcome = count_again(x, form, value, tape, at)
    if outcome == 0:
        number = brought(x, form, value, 7, tape, at) if is_number(value, at) else -2
        if number == -1:
            outcome = -1
        else:
            site = site_of(x, at)
            buffer = 0 if site == 0 or i64(x + c[TAPE_AT])[0] != tape else ready_buffer(x, tape, at)
            if buffer != 0 and (number >= 0 or type_of(value) == c[TENSOR_TYPE]):
                outcome = assign_rows(x, form, value, number, tape, buffer, site, at)
            call_python(c[RELEASE], site, 0, 0)
            call_python(c[RELEASE], buffer, 0, 0)
    call_python(c[RELEASE], form, 0, 0)
    return outcome


def assign(x, arguments, count, names, at):
    """``x[key] = value``; None as a new reference, or 0 with Python's error set."""
    c = i64(at)
    outcome = 0
    tape = i64(x + c[TAPE_AT])[0]
    if count == 2 and names == 0 and type_of(x) == c[TENSOR_TYPE] and type_of(tape) == c[TAPE_TYPE]:
        outcome = assigned(x, i64(arguments)[0], i64(arguments)[1], tape, at)
    if outcome == 0:
        call_python(c[CLEAR_ERROR], 0, 0, 0)
        return call_general(x, arguments, count, names, at)
    return own(c[NONE], at) if outcome > 0 else 0
