"""Buffers: what tensors that share memory know in common."""

from __future__ import annotations

import weakref

__all__ = ["Buffer", "buffer_of"]


class Buffer:
    """Version stamp of some memory, and where it was last written.

    Made when a tensor is first viewed or written in place; without one, the version is 0.

    Attributes
    ----------
    version : int
        Number of in-place writes, as PyTorch's ``_version``.
    history : int
        Number of writes that changed what the memory is computed from; after one, views are recorded anew. Writes
        under no_grad and through `detach` leave it.
    site : tuple or None
        Where in the user's code the last write stands, see `tape.site`.
    quiet : Tape or None
        The tape on which this memory may be written without further thought.
    settled : Tape or None
        The tape on which it may be, but for views that live.
    views : list
        Weak references to tensors that are, or were, views of this memory.
    end : int
        Rows of the tape after the last write.
    loose : bool
        Some views were not counted: those of leaves, which are many and matter to no write that is recorded.
    escaped : bool
        A NumPy array outside shares this memory.
    retained : bool
        Some view of this memory retains, or retained, its gradient.
    copies_reads : bool
        What a rule will read of this memory is copied when it is recorded, so that later writes do no harm.
    source : Buffer or None
        Of ``x.data``, which has a version of its own: that of x, through which the same memory is written.
    saved : bool
        A call of a user's `Function` saved a tensor that has this memory, for its backward.
    places : list
        ``(weak reference to a tape, slot)`` of the rows that computed what stands here: rows beside them may have
        saved it, and must learn of writes through other tapes.
    """

    __slots__ = (
        "copies_reads", "end", "escaped", "history", "loose", "places", "quiet", "retained", "saved", "settled",
        "site", "source", "version", "views",
    )  # fmt: skip

    def __init__(self):
        self.version = self.history = 0
        self.site = self.quiet = self.settled = self.source = None
        self.loose = self.escaped = self.retained = self.copies_reads = self.saved = False
        self.places = []
        self.views = []
        self.end = -1

    def add_view(self, view, base):
        """Note a view of this memory, the whole of which is `base`."""
        self.quiet = None
        if base._rare._leaf:
            self.loose = True
            return
        views = self.views
        if len(views) > 15 and len(views) & (len(views) - 1) == 0:  # a power of two
            views[:] = [reference for reference in views if reference() is not None]
        views.append(weakref.ref(view))

    def views_beside(self, tensor=None):
        """The views that live, and are not that tensor."""
        living = [reference for reference in self.views if reference() is not None]
        self.views = living
        return [view for view in (reference() for reference in living) if view is not None and view is not tensor]

    def is_viewed(self, but=None):
        """Whether there is a view of this memory, other than that tensor."""
        return self.loose or (bool(self.views) and bool(self.views_beside(but)))

    def resumes(self, tape, target):
        """Whether a tensor may be written on the tape without further thought, since views have gone."""
        if self.settled is not tape or self.is_viewed(target):
            return False
        if not self.views:
            self.quiet = tape
        return True

    def settle(self, tape):
        """Note that this memory may be written on the tape without further thought, but for views that live."""
        if self.retained:
            return
        self.settled = tape
        self.quiet = None if self.is_viewed() else tape

    def retain(self):
        """Note that somebody waits for the gradient of a view as it is now: writes come from another one, made anew."""
        self.retained = True
        self.unsettle()

    def unsettle(self):
        """Note that each write needs thought."""
        self.quiet = self.settled = None

    def stands(self, tape, slot):
        """Note that a tape knows this memory under a slot."""
        places = self.places
        while places and places[-1][0]() is None:
            places.pop()
        if len(places) > 8:
            places[:] = [place for place in places if place[0]() is not None]
        places.append((weakref.ref(tape), slot))
        self.quiet = self.settled = None

    def place_on(self, tape):
        """The slot under which a tape knows this memory, or None."""
        for reference, slot in reversed(self.places):
            if reference() is tape:
                return slot
        return None

    def living_places(self):
        """Tapes that know this memory, and the slots under which they do."""
        found = [(reference(), slot) for reference, slot in self.places]
        return [(tape, slot) for tape, slot in found if tape is not None]

    def flush(self):
        """Run what may write to this memory yet."""
        for reference, _ in self.places:
            tape = reference()
            if tape is not None and tape.may_run:
                tape.flush()
        if self.source is not None:
            self.source.flush()

    def is_alone(self, tape, but=None):
        """Whether nobody but tensors on that tape can see this memory, each of them as a whole but for one view.

        Other tapes that were told of a write need not be told of another.
        """
        return not self.is_viewed(but) and self.is_here(tape)

    def is_here(self, tape):
        """The same, of the memory and all views of it."""
        if self.escaped:
            return False
        for reference, slot in self.places:
            other = reference()
            if other is not tape and other is not None and slot not in other.foreign_writes:
                return False
        return True

    def tell(self, tape):
        """Tell the other tapes that know this memory of a write that is recorded on this one."""
        for reference, slot in self.places:
            other = reference()
            if other is not None and other is not tape:
                other.foreign_writes[slot] = self


def buffer_of(tensor):
    """The tensor's buffer, made when it is first needed."""
    buffer = tensor._buffer
    if buffer is None:
        buffer = tensor._buffer = Buffer()
        tape, slot = tensor._home or (tensor._tape, tensor._slot)
        if tape is not None and not tensor._leaf:
            buffer.stands(tape, tape.root_of(slot))
    return buffer
