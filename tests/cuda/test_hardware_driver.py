"""The driver for hardware, over a stand-in for `numba.cuda` that has the few names that it uses.

Copies in a queue of work are made as late as they may be, and those without one are refused, since they would wait.
"""

from __future__ import annotations

import contextlib
import types

import numpy as np
import pytest

from tapegrad.cuda import driver, toolchain
from tapegrad.cuda.memory import OutOfMemoryError, Pool
from tapegrad.cuda.staging import PIECES

MEMORY = 1 << 24


class Stream:
    """A queue of work; the work that waits in it."""

    def __init__(self, handle):
        self.handle, self.waiting = types.SimpleNamespace(value=handle), []

    def synchronize(self):
        while self.waiting:
            self.waiting.pop(0)()


class Event:
    """Knows what it waits for."""

    def __init__(self):
        self.stream, self.work = None, []

    def record(self, stream):
        assert isinstance(stream, Stream)
        self.stream, self.work = stream, list(stream.waiting)

    def synchronize(self):
        while any(work in self.stream.waiting for work in self.work) if self.stream else False:
            self.stream.waiting.pop(0)()

    def query(self):
        return not self.stream or not any(work in self.stream.waiting for work in self.work)

    def wait(self, stream):
        assert isinstance(stream, Stream)
        stream.waiting.append(self.synchronize)

    def elapsed_time(self, end):
        return 0.5


class DeviceArray:
    """Flat memory of the device, which the host does not see."""

    def __init__(self, device, held):
        self.device, self.held = device, held
        self.size, self.nbytes = held.size, held.nbytes

    def __getitem__(self, part):
        return DeviceArray(self.device, self.held[part])

    def view(self, dtype):
        return DeviceArray(self.device, self.held.view(dtype))

    @property
    def __cuda_array_interface__(self):
        return {"data": (self.held.__array_interface__["data"][0], False)}

    def copy_to_device(self, source, stream=0):
        assert self.held.nbytes == source.nbytes and source is not None
        self.queued(lambda: np.copyto(self.held, source), source, stream)

    def copy_to_host(self, target=None, stream=0):
        assert self.held.nbytes == target.nbytes
        self.queued(lambda: np.copyto(target, self.held), target, stream)

    def queued(self, copy, array, stream):
        assert isinstance(stream, Stream), "a copy without a queue waits"
        assert any(np.may_share_memory(array, pinned) for pinned in self.device.pinned), "memory is not pinned"
        stream.waiting.append(copy)


class Cuda:
    """What is used of `numba.cuda`."""

    def __init__(self, cooperative=1):
        self.free, self.pinned, self.main, self.others = MEMORY, [], Stream(0), [Stream(5), Stream(9)]
        self.properties = types.SimpleNamespace(
            name=b"a card", compute_capability=(8, 0), MULTIPROCESSOR_COUNT=3, COOPERATIVE_LAUNCH=cooperative
        )
        self.gpus = [contextlib.nullcontext()]

    def get_current_device(self):
        return self.properties

    def is_available(self):
        return True

    def device_array(self, nbytes, dtype):
        if nbytes > self.free:
            raise RuntimeError("[CUresult.CUDA_ERROR_OUT_OF_MEMORY] Call to cuMemAlloc results in an error")
        self.free -= nbytes
        return DeviceArray(self, np.zeros(nbytes, dtype))

    def pinned_array(self, nbytes, dtype):
        self.pinned.append(np.full(nbytes, 0xCB, dtype))
        return self.pinned[-1]

    def default_stream(self):
        return self.main

    def stream(self):
        return Stream(7)

    def external_stream(self, handle):
        return next(stream for stream in self.others if stream.handle.value == handle)

    def event(self):
        return Event()

    def synchronize(self):
        self.main.synchronize()

    def current_context(self):
        return types.SimpleNamespace(get_memory_info=lambda: (self.free, MEMORY))

    def from_cuda_array_interface(self, described, owner=None):
        assert described["typestr"] == "|u1" and described["version"] == 3
        return described["data"][0], described["shape"], owner


@pytest.fixture
def cuda(monkeypatch):
    made = Cuda()
    monkeypatch.setattr(toolchain, "compiler", lambda: made)
    monkeypatch.setattr(toolchain, "device_runtime", lambda: "/libcudadevrt.a")
    return made


@pytest.fixture
def card(cuda):
    return driver.Hardware(0)


def test_what_it_says_of_itself(card, cuda):
    assert (card.name, card.compute_capability, card.max_blocks) == ("a card", (8, 0), 48)
    assert card.memory_info() == (MEMORY, MEMORY)
    assert card.address(card.allocate(512)) > 0
    assert card.foreign(64, 8, "owner") == (64, (8,), "owner")


@pytest.mark.parametrize(("cooperative", "library", "together"), [(1, "/lib.a", 3), (0, "/lib.a", 1), (1, "", 1)])
def test_blocks_that_can_wait_for_each_other(cooperative, library, together, monkeypatch):
    monkeypatch.setattr(toolchain, "compiler", lambda: Cuda(cooperative))
    monkeypatch.setattr(toolchain, "device_runtime", lambda: library)
    assert driver.Hardware(0).together == together


@pytest.mark.parametrize("own", [False, True], ids=["default queue", "queue"])
@pytest.mark.parametrize("size", [1, 1000, 5000])
def test_copies(size, own, card):
    card.piece = 256
    stream = card.stream() if own else None
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    expected = data.copy()
    buffer = card.allocate(size + 8)
    card.upload(buffer, data, stream)
    data[:] = 0
    np.testing.assert_array_equal(card.download(buffer, 0, size, stream), expected)
    np.testing.assert_array_equal(card.download(buffer, size // 2, 1, stream), expected[size // 2 : size // 2 + 1])
    assert len(card.cuda.pinned) <= PIECES


def test_launches_are_in_their_queue(card):
    launched = []

    class Kernel:
        def __getitem__(self, configuration):
            return lambda *args: launched.append((configuration, args))

    stream = card.stream()
    card.launch(Kernel(), (2, 1, 1), (32, 1, 1), (1, 2))
    card.launch(Kernel(), (2, 1, 1), (32, 1, 1), (1, 2), stream)
    assert launched == [(((2, 1, 1), (32, 1, 1), 0), (1, 2)), (((2, 1, 1), (32, 1, 1), stream), (1, 2))]
    assert card.handle(stream) == 7 and card.handle(None) == 0
    assert card.launches == 2


def test_events(card):
    first, last = card.event(), card.event()
    buffer = card.allocate(8)
    card.record(first)
    card.upload(buffer, np.ones(8, np.uint8))
    card.record(last)
    assert card.reached(first) and not card.reached(last)
    card.wait_in(card.stream(), last)
    card.wait(last)
    assert card.reached(last) and card.milliseconds(first, last) == 0.5
    card.synchronize()
    card.synchronize(card.stream())


def test_queues_of_other_libraries(card, cuda):
    done = []
    for stream in cuda.others:
        stream.waiting.append(lambda stream=stream: done.append(stream.handle.value))
    card.join(9)
    assert done == [9]


def test_memory_that_runs_out(card, cuda):
    pool = Pool(card)
    kept = pool.take(MEMORY // 2)
    idle = pool.take(1024)
    del idle
    with pytest.raises(OutOfMemoryError, match=r"CUDA out of memory\. Tried to allocate 16 MiB"):
        pool.take(MEMORY)
    assert not pool.idle and pool.used == kept.nbytes

    def fails(nbytes, dtype):
        raise RuntimeError("something else")

    cuda.device_array = fails
    with pytest.raises(RuntimeError, match="something else"):
        pool.take(1)


def test_drivers(cuda, monkeypatch):
    monkeypatch.setattr(toolchain, "SIMULATED", False)
    assert [d.name for d in driver.drivers.__wrapped__()] == ["a card"]
    cuda.is_available = lambda: False
    assert driver.drivers.__wrapped__() == ()
