"""Copies by way of pinned memory, on a stand-in that makes them as late as a device may; streams and events."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cuda.driver import StandIn
from tapegrad.cuda.staging import PIECES, _Piece
from tapegrad.values import value_of

SIZES = [1, 255, 256, 257, 256 * PIECES, 256 * PIECES + 1, 256 * (3 * PIECES + 1) + 5]


def there_and_back(driver, data):
    buffer = driver.allocate(data.nbytes + 3)
    driver.upload(buffer, data)
    expected = data.copy()
    data[:] = 0  # what was uploaded may be written at once
    return driver.download(buffer, 0, data.nbytes), expected


@pytest.mark.parametrize("size", SIZES)
def test_copies(size):
    driver = StandIn()
    found, expected = there_and_back(driver, np.random.default_rng(size).integers(0, 256, size, np.uint8))
    np.testing.assert_array_equal(found, expected)
    assert len(driver.staging.pieces) <= PIECES
    assert not driver.copies


def test_a_part_of_a_buffer():
    driver = StandIn()
    data = np.arange(2000, dtype=np.int64)
    buffer = driver.allocate(data.nbytes)
    driver.upload(buffer, data)
    np.testing.assert_array_equal(driver.download(buffer, 800, 12000).view(np.int64), data[100:1600])
    assert driver.download(buffer, 8, 0).size == 0


def test_uploads_do_not_wait():
    """What fits into the pinned pieces is on its way when the upload returns."""
    driver = StandIn()
    buffer = driver.allocate(driver.piece * PIECES)
    driver.upload(buffer, np.ones(driver.piece * PIECES, np.uint8))
    assert len(driver.copies) == PIECES and buffer[0] == 0xCB
    driver.synchronize()
    assert not driver.copies and (buffer == 1).all()


@pytest.mark.parametrize("fault", ["free", "sent"])
def test_pieces_that_are_used_too_early_are_found(fault, monkeypatch):
    """Planted faults: without the wait, or the event that it is for, a piece is written while it is on its way."""
    missing = {"free": lambda self: self.memory, "sent": lambda self, stream: None}
    monkeypatch.setattr(_Piece, fault, missing[fault])
    found, expected = there_and_back(StandIn(), np.random.default_rng(0).integers(0, 256, SIZES[-1], np.uint8))
    assert (found != expected).any()


def test_kernels_come_after_uploads(device):
    values = np.arange(500.0)
    x = tg.tensor(values, device="cuda")
    values[:] = 0.0
    np.testing.assert_array_equal(value_of(x * 2.0), 2.0 * np.arange(500.0))


def test_threads_share_the_pieces(device):
    failed = []

    def work(seed):
        values = np.random.default_rng(seed).standard_normal(300)
        for _ in range(5):
            if not np.array_equal(value_of(tg.tensor(values, device="cuda")), values):
                failed.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# --- events ----------------------------------------------------------------------------------------------------------


def test_events():
    first, last = tg.cuda.Event(enable_timing=True), tg.cuda.Event(enable_timing=True)
    x = tg.tensor(np.ones(100), device="cuda")
    first.record()
    y = x * 2.0
    last.record()  # what is pending comes before it
    last.synchronize()
    assert first.query() and last.query()
    assert first.elapsed_time(last) > 0
    np.testing.assert_array_equal(value_of(y), np.full(100, 2.0))


def test_events_wait_for_copies(device):
    """Memory that a library reads after the event has arrived."""
    x = tg.tensor(np.arange(10.0), device="cuda")
    event = tg.cuda.Event()
    event.record()
    assert not event.query()
    event.synchronize()
    assert event.query()
    assert device.array_of(x).block.buffer.view(np.float64)[9] == 9.0


def test_streams_wait_for_each_other():
    one, other = tg.cuda.Stream(), tg.cuda.Stream()
    x = tg.tensor(np.ones(10), device="cuda")
    with tg.cuda.stream(one):
        y = x + 1.0
        event = one.record_event()
    other.wait_event(event)
    other.wait_stream(one)
    with tg.cuda.stream(other):
        z = y * 3.0
    np.testing.assert_array_equal(value_of(z), np.full(10, 6.0))
    assert one.record_event(event) is event


def test_time_between_events_that_take_none():
    with pytest.raises(RuntimeError, match="enable_timing=True"):
        tg.cuda.Event().elapsed_time(tg.cuda.Event(enable_timing=True))


@pytest.mark.parametrize("make", [tg.cuda.Stream, lambda place: tg.cuda.Event(device=place)])
def test_the_host_has_no_queues(make):
    with pytest.raises(ValueError, match="Expected a cuda device, but got: cpu"):
        make("cpu")
