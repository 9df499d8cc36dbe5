"""Queues of work and points in them, under the names of `torch.cuda`: streams and events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .device import Device, device_of

__all__ = ["Event", "Stream", "chosen", "stream"]


def chosen(device: Any) -> Device:
    """The device of a name; the first one for None.

    Raises
    ------
    ValueError
        If it is the host's.
    """
    found = device_of("cuda" if device is None else device)
    if found is None:
        raise ValueError(f"Expected a cuda device, but got: {device}")
    return found


class Stream:
    """A queue of work on a device; see `stream`."""

    def __init__(self, device: Any = None):
        self.device = chosen(device)
        self.queue = self.device.driver.stream()

    def synchronize(self) -> None:
        """Wait until its work is done."""
        self.device.tape_of(None).flush()
        self.device.driver.synchronize(self.queue)

    def record_event(self, event: Event | None = None) -> Event:
        """An event (a new one by default) behind all work that the queue has now."""
        event = Event(device=self.device) if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let work that the queue is given from now on wait for an event."""
        event.wait(self)

    def wait_stream(self, other: Stream) -> None:
        """Let work that the queue is given from now on wait for what another one has now."""
        self.wait_event(other.record_event())


class Event:
    """A point in a queue of work, which can be waited for.

    Parameters
    ----------
    enable_timing : bool
        Whether it takes the time, too, for `elapsed_time`.
    device : optional
    """

    def __init__(self, enable_timing: bool = False, device: Any = None):
        self.device, self.timed = chosen(device), enable_timing
        self.point = self.device.driver.event()

    def record(self, stream: Stream | None = None) -> None:
        """Set it behind all work that a queue (by default, the one in use) has now, what is pending included."""
        self.device.tape_of(None).flush()
        self.device.driver.record(self.point, self._queue(stream))

    def wait(self, stream: Stream | None = None) -> None:
        """Let work that a queue (by default, the one in use) is given from now on wait for this."""
        self.device.tape_of(None).flush()  # what is pending was asked for before
        self.device.driver.wait_in(self._queue(stream), self.point)

    def _queue(self, stream: Stream | None) -> Any:
        return self.device.stream if stream is None else stream.queue

    def query(self) -> bool:
        """Whether all work before it is done."""
        return self.device.driver.reached(self.point)

    def synchronize(self) -> None:
        """Wait until all work before it is done."""
        self.device.driver.wait(self.point)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another one.

        Raises
        ------
        RuntimeError
            If either was made without ``enable_timing=True``.
        """
        if not (self.timed and end_event.timed):
            raise RuntimeError(
                "Both events must be created with argument 'enable_timing=True' for the time between them to be known"
            )
        end_event.synchronize()
        return self.device.driver.milliseconds(self.point, end_event.point)


@contextlib.contextmanager
def stream(queue: Stream) -> Iterator[None]:
    """Put this thread's work into a queue within a block; what is pending before and after goes where it belongs.

    The block ends when its work is done: memory that it has let go of may be used by others then.
    """
    device = queue.device
    device.tape_of(None).flush()
    device.driver.synchronize(None)
    with device.using(queue.queue):
        yield
        queue.synchronize()
