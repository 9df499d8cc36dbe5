"""Where a write stands in the user's code, and whether it may be done by look-up, in compiled code.

As in `recording`, objects are int64 addresses, and ``at`` is the address of a table of words.
"""

from __future__ import annotations

from .fields import (
    BUFFER_FACTS,
    CODE_BITS,
    DICT_ITEM,
    FALSE,
    FRAME,
    FRAME_CODE,
    FRAME_POSITION,
    INT,
    LOOSE_AT,
    NONE,
    OWN_BUFFER_AT,
    RARE_AT,
    RELEASE,
    SITE_AT,
    SITES,
    TUPLE_TYPE,
    VIEW_FACTS,
    VIEWED_AT,
    VIEWS_AT,
    WEAK_OBJECT,
)
from .intrinsics import call_python, i64
from .jit import jit
from .objects import integer, list_item, list_size, tuple_item, type_of
from .recording import own
from .viewing import forget_gone

__all__ = ["is_unseen", "last_site", "site_of"]

MOST_GONE = 8
"""A buffer's views are looked at one by one at each write; so many may be gone before that is noted."""


@jit
def is_site(site, within, position, at):
    """Whether an object is the place at a position within a code object, see `tapegrad.tape.site`."""
    if site == 0 or type_of(site) != i64(at)[TUPLE_TYPE] or tuple_item(site, 0) != within:
        return False
    return integer(tuple_item(site, 1), at) == position


@jit
def last_site(x, at):
    """Where the memory of a tensor was last written, which the tensor holds; 0 if that needs thought."""
    c = i64(at)
    rare = i64(x + c[RARE_AT])[0]
    if type_of(rare) == c[VIEW_FACTS]:
        return i64(i64(rare + c[VIEWED_AT])[0] + c[SITE_AT])[0]
    return i64(i64(rare + c[OWN_BUFFER_AT])[0] + c[SITE_AT])[0] if type_of(rare) == c[BUFFER_FACTS] else 0


@jit
def site_of(x, at):
    """Where in the user's code a tensor is written, as a new reference; 0 if nothing was written there before."""
    c = i64(at)
    frame = call_python(c[FRAME], 0, 0, 0)
    if frame == 0:
        return 0
    code = call_python(c[FRAME_CODE], frame, 0, 0)
    position = call_python(c[FRAME_POSITION], frame, 0, 0) & 0xFFFFFFFF
    call_python(c[RELEASE], code, 0, 0)  # the frame holds it
    site = last_site(x, at)
    if not is_site(site, code, position, at):
        key = call_python(c[INT], code + (position << CODE_BITS), 0, 0)
        site = 0 if key == 0 else call_python(c[DICT_ITEM], c[SITES], key, 0)
        call_python(c[RELEASE], key, 0, 0)
        if not is_site(site, code, position, at):
            return 0
    return own(site, at)


@jit
def is_unseen(buffer, but, at):
    """Whether no view of a buffer lives other than that tensor."""
    c = i64(at)
    if i64(buffer + c[LOOSE_AT])[0] != c[FALSE]:
        return 0
    views = i64(buffer + c[VIEWS_AT])[0]
    n = list_size(views, at)
    for k in range(n):
        view = call_python(c[WEAK_OBJECT], list_item(views, k), 0, 0)
        if view != but and view != c[NONE]:
            return 0
    return 1 if n <= MOST_GONE else forget_gone(views, at)
