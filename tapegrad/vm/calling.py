"""A call of a compiled function, in compiled code: arguments are recognised, results made, and the program replayed.

As in `recording`, this is what Python code would do (`tapegrad.compiler.program`), by the functions of Python's C
interface and NumPy's. Whatever is not as the entries know it is left to the Python function. Objects are int64
addresses; ``at`` is that of the table that all calls share, ``e`` that of an entry, see `call_fields`.
"""

from __future__ import annotations

from .call_fields import (
    AMOUNT,
    ARRAY_DATA,
    ARRAY_DTYPE,
    ARRAY_FLAGS,
    ARRAY_NDIM,
    ARRAY_SHAPE,
    ARRAY_TYPE,
    CONTENT,
    DICT_NEXT,
    DICT_SIZE,
    DICT_TYPE,
    DONE,
    ENTRIES_AT,
    ENTRY_AT,
    EXPECTED,
    FAILED,
    FREE,
    FROM_ARGUMENTS,
    FROM_LIST,
    FROM_TUPLE,
    GIVEN,
    HITS,
    HOW,
    INPUT_BYTES,
    IS_ARRAY,
    IS_DICT,
    IS_EQUAL,
    IS_LIST,
    IS_NUMBER,
    IS_SAME,
    IS_TARGET,
    IS_TUPLE,
    KEY,
    LEAVE,
    LIST_NEW,
    LIST_SET,
    MAKE,
    MAKE_CALL,
    MAKE_COPY,
    MAKE_DICT,
    MAKE_LIST,
    MAKE_RESULT,
    MAKE_SAME,
    MALLOC,
    N_CELLS,
    N_DICTS,
    N_GLOBALS,
    N_INPUTS,
    N_LISTS,
    N_NAMES,
    N_POSITIONAL,
    N_RECIPE,
    N_RESULTS,
    N_STEPS,
    NAMES,
    NEW_ARRAY,
    NEW_COPY,
    NEW_SCALAR,
    NUMBER,
    OCCURRED,
    PARENT,
    PLAIN_ARRAY,
    PLAN,
    PLAN_AT,
    PROGRAM,
    RAISE_INTERRUPT,
    RECIPE,
    RECIPE_WORDS,
    REPLAY,
    RESULT_BYTES,
    RESULT_DTYPE,
    RESULT_NDIM,
    RESULT_SHAPE,
    RESULT_STAYS,
    RESULT_WORDS,
    RESULTS,
    RETURN,
    ROOM,
    SAME_DTYPE,
    STEP_WORDS,
    STEPS,
    UNLOCKS,
    WATCH,
    WATCHED,
    WHAT,
    WITH,
    WRITEABLE_ARRAY,
)
from .fields import (
    CALL,
    CLEAR_ERROR,
    COMPARE,
    DICT_NEW,
    DICT_SET,
    EQUAL,
    FIND,
    LIST_TYPE,
    RELEASE,
    RETAIN,
    TUPLE_NEW,
    TUPLE_SET,
    TUPLE_SIZE,
    TUPLE_TYPE,
)
from .intrinsics import call_python, call_words, i64
from .jit import jit
from .memory import scratch
from .objects import integer, list_item, list_size, tuple_item, type_of
from .recording import call_general, is_free, own
from .replaying import replay as replay_function

__all__ = ["call"]

replay = jit(replay_function)

SMALL_ROOM, SMALL_ROOM_BYTES = 256, 8 * 256
"""Words for a call that stand on the stack; calls with more of arguments and results ask for memory."""
ANOTHER, RAISED, NOT_HERE = 0, 1, 2
"""No result: another entry may have it; Python's error is set; or the Python function knows better where to look."""


@jit
def holds(thing, pairs, n, at):
    """Whether a dictionary has these keys and values, in their order, and no more."""
    c = i64(at)
    room = scratch(24)
    found = i64(room)
    found[0] = 0
    for k in range(n):
        if call_words(c[DICT_NEXT], thing, room, room + 8, room + 16, 0, 0, 0, 0) & 1 == 0:
            return 0
        if found[1] != i64(pairs)[2 * k] or found[2] != i64(pairs)[2 * k + 1]:
            return 0
    return 1 if call_python(c[DICT_SIZE], thing, 0, 0) == n else 0


@jit
def is_unchanged(watch, at):
    """Whether all that a function captured is what it was."""
    c, w = i64(at), i64(watch)
    here = watch + 8 * WATCHED
    for _ in range(w[N_GLOBALS]):
        g = i64(here)
        if call_python(c[FIND], g[0], g[1], 0) != g[2]:
            return 0
        here += 24
    for _ in range(w[N_CELLS]):
        g = i64(here)
        if i64(g[0] + CONTENT)[0] != g[1]:
            return 0
        here += 16
    for _ in range(w[N_LISTS]):
        thing, n = i64(here)[0], i64(here)[1]
        here += 16
        if list_size(thing, at) != n:
            return 0
        for k in range(n):
            if list_item(thing, k) != i64(here)[k]:
                return 0
        here += 8 * n
    for _ in range(w[N_DICTS]):
        thing, n = i64(here)[0], i64(here)[1]
        if holds(thing, here + 16, n, at) == 0:
            return 0
        here += 16 + 16 * n
    return 1


@jit
def found(step, arguments, things, at):
    """The object that a step looks at; 0 where there is none."""
    c, s = i64(at), i64(step)
    if s[HOW] == FROM_ARGUMENTS:
        return i64(arguments)[s[KEY]]
    parent = i64(things)[s[PARENT]]
    if s[HOW] == FROM_TUPLE:
        return tuple_item(parent, s[KEY])
    if s[HOW] == FROM_LIST:
        return list_item(parent, s[KEY])
    return call_python(c[FIND], parent, s[KEY], 0)


@jit
def is_array(thing, expected, flags, at):
    """Whether this is a plain array of that dtype and shape."""
    c, x, wanted = i64(at), i64(thing), i64(expected)
    if type_of(thing) != c[ARRAY_TYPE]:
        return 0
    dtype = x[ARRAY_DTYPE >> 3]
    if dtype != wanted[0]:  # one that came out of a pickle, say
        if type_of(dtype) != type_of(wanted[0]) or call_python(c[SAME_DTYPE], dtype, wanted[0], 0) & 255 == 0:
            return 0
    if i64(thing + ARRAY_FLAGS)[0] & flags != flags or x[ARRAY_NDIM >> 3] & 0xFFFFFFFF != wanted[1]:
        return 0
    for d in range(wanted[1]):
        if i64(x[ARRAY_SHAPE >> 3])[d] != wanted[2 + d]:
            return 0
    return 1


@jit
def fits(e, arguments, inputs, outputs, things, at):
    """Whether the arguments are those of an entry; notes all objects, and where the values of inputs and targets stand.

    Nothing in here can run Python code, so that what it finds in lists and dictionaries stays until it is retained.
    """
    c, d = i64(at), i64(e)
    for k in range(d[N_STEPS]):
        step = d[STEPS] + 8 * STEP_WORDS * k
        s = i64(step)
        thing, what, expected = found(step, arguments, things, at), s[WHAT], s[EXPECTED]
        if thing == 0:
            return 0
        i64(things)[k] = thing
        if what == IS_ARRAY:
            if is_array(thing, expected, PLAIN_ARRAY, at) == 0:
                return 0
            i64(inputs)[s[NUMBER]] = i64(thing + ARRAY_DATA)[0]
        elif what == IS_TARGET:
            if is_array(thing, expected, WRITEABLE_ARRAY, at) == 0:
                return 0
            i64(outputs)[s[NUMBER]] = i64(thing + ARRAY_DATA)[0]
        elif what == IS_NUMBER:
            if type_of(thing) != expected:
                return 0
            i64(inputs)[s[NUMBER]] = thing + CONTENT
        elif what == IS_SAME:
            if thing != expected:
                return 0
        elif what == IS_EQUAL:
            if thing != expected:
                if type_of(thing) != type_of(expected):
                    return 0
                if call_python(c[COMPARE], thing, expected, EQUAL) & 3 != 1:
                    return 0
        elif what == IS_TUPLE:
            if type_of(thing) != c[TUPLE_TYPE] or call_python(c[TUPLE_SIZE], thing, 0, 0) != expected:
                return 0
        elif what == IS_LIST:
            if type_of(thing) != c[LIST_TYPE] or list_size(thing, at) != expected:
                return 0
        elif what == IS_DICT:
            if type_of(thing) != c[DICT_TYPE] or call_python(c[DICT_SIZE], thing, 0, 0) != expected:
                return 0
    return 1


@jit
def are_apart(e, inputs, outputs):
    """Whether no target shares memory with another one, or with an argument that is read after it is written."""
    d = i64(e)
    n, m = d[N_RESULTS], d[N_INPUTS]
    for k in range(n):
        r = i64(d[RESULTS] + 8 * RESULT_WORDS * k)
        first, size = i64(outputs)[k], r[RESULT_BYTES]
        for j in range(k):
            other = i64(outputs)[j]
            if first < other + i64(d[RESULTS] + 8 * RESULT_WORDS * j)[RESULT_BYTES] and other < first + size:
                return 0
        if r[RESULT_STAYS]:
            continue
        for j in range(m):
            other = i64(inputs)[j]
            if first < other + i64(d[INPUT_BYTES])[j] and other < first + size:
                return 0
    return 1


@jit
def new_results(e, outputs, made, cells, at):
    """Arrays for the results, and cells for numbers; returns whether there was memory."""
    c, d = i64(at), i64(e)
    for k in range(d[N_RESULTS]):
        r = i64(d[RESULTS] + 8 * RESULT_WORDS * k)
        if r[RESULT_NDIM] == 0:
            i64(outputs)[k] = cells + 16 * k
            continue
        own(r[RESULT_DTYPE], at)
        x = call_words(c[NEW_ARRAY], c[ARRAY_TYPE], r[RESULT_DTYPE], r[RESULT_NDIM], r[RESULT_SHAPE], 0, 0, 0, 0)
        if x == 0:
            return 0
        i64(made)[k] = x
        i64(outputs)[k] = i64(x + ARRAY_DATA)[0]
    return 1


@jit
def new_numbers(e, made, cells, at):
    """NumPy's scalars, of the numbers that now stand in their cells; returns whether there was memory."""
    c, d = i64(at), i64(e)
    for k in range(d[N_RESULTS]):
        r = i64(d[RESULTS] + 8 * RESULT_WORDS * k)
        if r[RESULT_NDIM] == 0:
            x = call_python(c[NEW_SCALAR], cells + 16 * k, r[RESULT_DTYPE], 0)
            if x == 0:
                return 0
            i64(made)[k] = x
    return 1


@jit
def new_container(make, n, extra, items, at):
    """A container of `n` objects, whose references it takes over; 0 where there is no memory, or Python raised."""
    c = i64(at)
    y = 0
    if make == MAKE_LIST:
        y = call_python(c[LIST_NEW], n, 0, 0)
        if y != 0:
            for k in range(n):
                call_python(c[LIST_SET], y, k, own(i64(items)[k], at))
    elif make == MAKE_DICT:
        y = call_python(c[DICT_NEW], 0, 0, 0)
        for k in range(n):
            if y != 0 and call_python(c[DICT_SET], y, i64(extra)[k], i64(items)[k]) & 1:
                call_python(c[RELEASE], y, 0, 0)
                y = 0
    else:
        y = call_python(c[TUPLE_NEW], n, 0, 0)
        if y != 0:
            for k in range(n):
                call_python(c[TUPLE_SET], y, k, own(i64(items)[k], at))
            if make == MAKE_CALL:
                parts, y = y, call_python(c[CALL], extra, y, 0)
                call_python(c[RELEASE], parts, 0, 0)
    for k in range(n):
        call_python(c[RELEASE], i64(items)[k], 0, 0)
    return y


@jit
def composed(e, made, stack, at):
    """What the function returns, put together from its results; 0 with Python's error set."""
    c, d = i64(at), i64(e)
    top = stack
    for k in range(d[N_RECIPE]):
        r = i64(d[RECIPE] + 8 * RECIPE_WORDS * k)
        make, n = r[MAKE], r[AMOUNT]
        if make == MAKE_RESULT:
            y = own(i64(made)[n], at)
            n = 0
        elif make == MAKE_SAME:
            y = own(r[WITH], at)
            n = 0
        elif make == MAKE_COPY:
            y = call_python(c[NEW_COPY], r[WITH], 0, 0)
            n = 0
        else:
            y = new_container(make, n, r[WITH], top - 8 * n, at)
        top -= 8 * n
        if y == 0:
            while top > stack:
                top -= 8
                call_python(c[RELEASE], i64(top)[0], 0, 0)
            return 0
        i64(top)[0] = y
        top += 8
    return i64(stack)[0]


@jit
def replayed(e, inputs, outputs, at):
    """Replay; without Python's lock where that takes long enough. Returns how it ended."""
    c, d = i64(at), i64(e)
    if d[UNLOCKS] == 0:
        return replay(d[REPLAY], inputs, outputs, 0)
    thread = call_python(c[LEAVE], 0, 0, 0)
    status = replay(d[REPLAY], inputs, outputs, 0)
    call_python(c[RETURN], thread, 0, 0)
    return status


@jit
def was_interrupted(at):
    """After a failure: whether it was one, such as a keyboard interrupt, that must be raised without trying again."""
    c = i64(at)
    nothing = call_python(c[TUPLE_NEW], 0, 0, 0)
    result = call_python(c[CALL], c[RAISE_INTERRUPT], nothing, 0) if nothing != 0 else 0
    call_python(c[RELEASE], nothing, 0, 0)
    call_python(c[RELEASE], result, 0, 0)
    return 1 if result == 0 else 0


@jit
def answered(e, given, inputs, outputs, made, room, at):
    """The result for arguments that fit, whose values stand at `inputs`, or why there is none."""
    c, d = i64(at), i64(e)
    cells = room
    stack = cells + 16 * d[N_RESULTS]
    if given == 0 and new_results(e, outputs, made, cells, at) == 0:
        return RAISED
    status = replayed(e, inputs, outputs, at)
    if call_python(c[OCCURRED], 0, 0, 0) != 0:  # an inner loop's own, such as a warning that is an error
        call_python(c[CLEAR_ERROR], 0, 0, 0)
        return NOT_HERE
    if status == FAILED and was_interrupted(at):
        return RAISED
    if status != DONE:  # to try paths one by one is fast only while they are short
        return NOT_HERE if d[UNLOCKS] else ANOTHER
    d[HITS] += 1
    if given != 0:
        return own(given, at)
    if new_numbers(e, made, cells, at) == 0:
        return RAISED
    y = composed(e, made, stack, at)
    return RAISED if y == 0 else y


@jit
def attempted(e, arguments, room, at):
    """What an entry makes of the arguments, or why it makes nothing of them."""
    c, d = i64(at), i64(e)
    n, m, steps = d[N_RESULTS], d[N_INPUTS], d[N_STEPS]
    inputs, outputs = room, room + 8 * m
    made, things = outputs + 8 * n, outputs + 16 * n
    if fits(e, arguments, inputs, outputs, things, at) == 0:
        return ANOTHER
    given = 0
    if d[GIVEN] >= 0:
        given = i64(arguments)[d[GIVEN]]
        if are_apart(e, inputs, outputs) == 0:
            return ANOTHER
    for k in range(steps):
        call_python(c[RETAIN], i64(things)[k], 0, 0)
    for k in range(n):
        i64(made)[k] = 0
    y = answered(e, given, inputs, outputs, made, things + 8 * steps, at)
    for k in range(n):
        call_python(c[RELEASE], i64(made)[k], 0, 0)
    for k in range(steps):
        call_python(c[RELEASE], i64(things)[k], 0, 0)
    return y


@jit
def is_candidate(e, count, names, at):
    """Whether an entry is for that many arguments of those names, for the program as it is now, and nothing changed."""
    c, d = i64(at), i64(e)
    if count != d[N_POSITIONAL] or i64(d[PROGRAM] + c[PLAN_AT])[0] != d[PLAN]:
        return 0
    named = 0 if names == 0 else call_python(c[TUPLE_SIZE], names, 0, 0)
    if named != d[N_NAMES]:
        return 0
    for k in range(named):
        if tuple_item(names, k) != i64(d[NAMES])[k]:
            return 0
    return is_unchanged(d[WATCH], at)


@jit
def answer(entries, arguments, count, names, room, at):
    """The result by the first entry that knows these arguments, or why there is none."""
    c = i64(at)
    for k in range(call_python(c[TUPLE_SIZE], entries, 0, 0)):
        e = integer(i64(tuple_item(entries, k) + c[ENTRY_AT])[0], at)
        if is_candidate(e, count, names, at):
            more = 0
            if i64(e)[ROOM] > SMALL_ROOM:
                more = call_python(c[MALLOC], 8 * i64(e)[ROOM], 0, 0)
                if more == 0:
                    return ANOTHER
            result = attempted(e, arguments, more if more != 0 else room, at)
            call_python(c[FREE], more, 0, 0)
            if result != ANOTHER:
                return result
    return ANOTHER


def call(function, arguments, count, names, at):
    """`Compiled.__call__`: a new reference, or 0 with Python's error set."""
    c = i64(at)
    entries = i64(function + c[ENTRIES_AT])[0]
    if entries != 0 and type_of(entries) == c[TUPLE_TYPE] and is_free(at):
        own(entries, at)
        result = answer(entries, arguments, count, names, scratch(SMALL_ROOM_BYTES), at)
        call_python(c[RELEASE], entries, 0, 0)
        if result == RAISED:
            return 0
        if result > NOT_HERE:
            return result
    return call_general(function, arguments, count, names, at)
