"""Sums, maps, Jacobians and fits on a cluster of processes: the same as here, whatever happens to a worker."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tapegrad as tg

dask = pytest.importorskip("dask", reason="needs Dask: pip install 'tapegrad[dask]'")
distributed = pytest.importorskip("distributed", reason="needs Dask's distributed: pip install 'tapegrad[dask]'")
td = pytest.importorskip("tapegrad.dask")

import dask.array as da  # noqa: E402
import dask.bag as db  # noqa: E402

RNG = np.random.default_rng(8)
X = RNG.standard_normal((1003, 4))
Y = np.sign(RNG.standard_normal(1003))
W = RNG.standard_normal(4)


def loss(w, x, y):
    return np.sum(np.logaddexp(0.0, -y * (x @ w)))


VALUE, GRADIENT = tg.value_and_grad(loss)(W, X, Y)


def assert_whole(found):
    """The same value and gradient as on one machine, to rounding."""
    value, gradient = found
    np.testing.assert_allclose(value, VALUE, rtol=1e-12)
    np.testing.assert_allclose(gradient, GRADIENT, rtol=1e-10)


def _cluster():
    """Four processes that talk over sockets."""
    return distributed.LocalCluster(
        n_workers=4, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit="1GB"
    )


@pytest.fixture(scope="module")
def client():
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        dask.config.set({"distributed.worker.daemon": True, "distributed.scheduler.allowed-failures": 100}),
        _cluster() as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(4, timeout=60)
        yield client


# --- sums ------------------------------------------------------------------------------------------------------


def test_four_workers(client):
    f = td.value_and_grad(loss, client=client)
    x, y = td.shard(X, 9), td.shard(Y, 9)
    assert_whole(f(W, x, y))
    again = f(W + 1.0, x.persist(), y.persist())
    np.testing.assert_allclose(again[1], tg.grad(loss)(W + 1.0, X, Y), rtol=1e-10)
    assert len(f.step.paths()) == 2  # 112 rows, and 111
    holders = client.who_has(f._sent[1])  # the tape went to each worker that had a partition, and stays there
    assert 1 <= len(next(iter(holders.values()))) <= 4


@pytest.mark.parametrize("where", ["threads", "workers"])
def test_what_is_captured_may_change_between_calls(request, where):
    client = request.getfixturevalue("client") if where == "workers" else None
    factor = 1.0

    def scaled(w, x):
        return np.sum(x @ w) * factor

    f, x = td.value_and_grad(scaled, client=client), td.shard(X, 3)
    slope = tg.compile(tg.grad(lambda v: np.sum(v**2) * factor))
    rows = td.jacobian(lambda v: v**2 * factor, client=client)
    for factor in (1.0, 3.0):
        np.testing.assert_allclose(f(W, x)[1], factor * X.sum(axis=0), rtol=1e-10)
        np.testing.assert_allclose(td.map(slope, [W], client=client)[0], 2.0 * factor * W)
        np.testing.assert_allclose(rows(W), np.diag(2.0 * factor * W))


def test_the_same_bits_on_request(client):
    f = td.value_and_grad(loss, client=client, deterministic=True, split_every=3)
    x, y = td.shard(X, 20).persist(), td.shard(Y, 20).persist()
    (first, gradient), *others = [f(W, x, y) for _ in range(4)]
    assert_whole((first, gradient))
    here = td.value_and_grad(loss, deterministic=True, split_every=3)(W, td.shard(X, 20), td.shard(Y, 20))
    for value, other in [*others, here]:
        assert value == first and np.array_equal(gradient, other)


def test_means_are_weighted_by_rows(client):
    def mean_loss(w, x, y):
        return np.mean((x @ w - y) ** 2)

    x, y = da.from_array(X, chunks=((3, 900, 100), (4,))), da.from_array(Y, chunks=((3, 900, 100),))
    value, gradient = td.value_and_grad(mean_loss, client=client, reduction="mean")(W, x, y)
    expected = tg.value_and_grad(mean_loss)(W, X, Y)
    np.testing.assert_allclose(value, expected[0], rtol=1e-12)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-10)


def test_bags_delayed_values_and_futures(client):
    parts = [(X[a : a + 300], Y[a : a + 300]) for a in range(0, 1003, 300)]

    def of_pair(w, pair):
        return loss(w, *pair)

    f = td.value_and_grad(of_pair, client=client)
    assert_whole(f(W, [dask.delayed(part) for part in parts]))
    assert_whole(f(W, client.scatter(parts)))
    bag = db.from_sequence(np.column_stack([X, Y]).tolist(), npartitions=3)
    assert_whole(td.value_and_grad(lambda w, rows: loss(w, rows[:, :4], rows[:, 4]), client=client)(W, bag))


def test_paths_that_depend_on_values_are_recorded_when_they_are_met(client):
    def branching(w, x):
        return np.sum(x @ w) if x[0, 0] > 0 else np.sum((x @ w) ** 2)

    f = td.value_and_grad(branching, client=client)
    value, gradient = f(W, td.shard(X[:1000], 10))
    parts = [tg.value_and_grad(branching)(W, X[k : k + 100]) for k in range(0, 1000, 100)]
    np.testing.assert_allclose(value, sum(v for v, _ in parts))
    np.testing.assert_allclose(gradient, sum(g for _, g in parts))
    assert len(f.step.paths()) == 2


def test_containers_and_loaded_functions(client, tmp_path):
    def f(p, x):
        return {"moments": (np.sum(x, axis=0), p["scale"] * np.sum(x**2)), "rows": len(x)}

    found = td.total(f, client=client)({"scale": 2.0}, td.shard(X, 4))
    np.testing.assert_allclose(found["moments"][0], X.sum(0))
    np.testing.assert_allclose(found["moments"][1], 2.0 * np.sum(X**2))
    assert found["rows"] == 1003
    step = tg.compile(tg.value_and_grad(loss))
    for part in (X[:251], X[:250]):
        step(W, part, Y[: len(part)])
    step.save(tmp_path / "loss.tape")
    total = td.total(tg.load(tmp_path / "loss.tape"), client=client)
    assert_whole(total(W, td.shard(X, 4), td.shard(Y, 4)))


def test_in_threads_without_a_client():
    assert_whole(td.value_and_grad(loss)(W, td.shard(X, 7), td.shard(Y, 7)))


def test_the_current_client(client):
    with client.as_current():
        f = td.total(lambda x: np.sum(x))
        np.testing.assert_allclose(f(td.shard(X, 4)), X.sum())
    assert f._sent[0][1] is client


def test_progress(client, capsys):
    td.value_and_grad(loss, client=client, progress=True)(W, td.shard(X, 4), td.shard(Y, 4))
    shown = capsys.readouterr().err
    assert f"[{'#' * 30}] 4/4 in " in shown and shown.endswith("\n")


# --- what goes wrong ---------------------------------------------------------------------------------------------


def slowly(block):
    time.sleep(0.05)
    return block


def kill_one(client, number):
    pids = sorted(client.run(os.getpid).values())
    os.kill(pids[number % len(pids)], signal.SIGKILL)


@pytest.mark.parametrize("number", range(2))
def test_a_worker_that_is_killed_changes_nothing(client, number):
    x, y = td.shard(X, 40).map_blocks(slowly), td.shard(Y, 40)
    killer = threading.Timer(0.3, kill_one, (client, number))
    killer.start()
    try:
        assert_whole(td.value_and_grad(loss, client=client)(W, x, y))
    finally:
        killer.join()
        client.wait_for_workers(4, timeout=60)


def test_a_straggler_is_overtaken(client):
    def lag(seconds):
        from tapegrad.dask import evaluating

        def evaluate(*args):
            time.sleep(seconds)
            return quick(*args)

        quick, evaluating.evaluate = evaluating.evaluate, evaluate

    slow = next(iter(client.nthreads()))
    client.run(lag, 300.0, workers=[slow])
    try:
        x, y = td.shard(X, 12).persist(), td.shard(Y, 12).persist()
        began = time.monotonic()
        assert_whole(td.value_and_grad(loss, client=client, straggler=2.0)(W, x, y))
        assert time.monotonic() - began < 250.0
    finally:
        os.kill(client.run(os.getpid, workers=[slow])[slow], signal.SIGKILL)
        time.sleep(0.5)
        client.wait_for_workers(4, timeout=60)


def failing(block, block_info=None):
    if block_info[None]["chunk-location"][0] == 2:
        raise OSError("the disk is gone")
    return block


def spoilt(block, block_info=None):
    return block * (np.nan if block_info[None]["chunk-location"][0] == 2 else 1.0)


def test_a_bad_partition_is_named(client):
    f = td.value_and_grad(loss, client=client, check_finite=True)
    x, y = td.shard(X[:1000], 4), td.shard(Y[:1000], 4)
    message = r"partition 2 \(rows 500 to 749\) failed: OSError: the disk is gone"
    with pytest.raises(td.PartitionError, match=message) as info:
        f(W, x.map_blocks(failing, dtype=float, meta=np.zeros((0, 0))), y)
    assert info.value.index == 2 and isinstance(info.value.__cause__, OSError)
    message = r"partition 2 \(rows 500 to 749\) failed on tcp://\S+: FloatingPointError: result\[0\] is not finite"
    with pytest.raises(td.PartitionError, match=message):
        f(W, x.map_blocks(spoilt, dtype=float, meta=np.zeros((0, 0))), y)
    assert_whole_of_thousand(f(W, x, y))


def assert_whole_of_thousand(found):
    np.testing.assert_allclose(found[1], tg.grad(loss)(W, X[:1000], Y[:1000]), rtol=1e-10)


def sometimes(block, folder=None):
    """Fails once in all, and leaves a mark that it did."""
    mark = os.path.join(folder, "failed")
    if not os.path.exists(mark):
        open(mark, "w").close()
        raise OSError("for once")
    return block


def test_partitions_are_tried_again_on_request(client, tmp_path):
    parts = [dask.delayed(X[k : k + 250]) for k in range(0, 1000, 250)]
    parts[2] = dask.delayed(sometimes, pure=False)(parts[2], str(tmp_path))
    f = td.total(lambda x: np.sum(x), client=client, retries=2)
    np.testing.assert_allclose(f(parts), X[:1000].sum())


def test_other_versions_are_refused(client):
    f = td.value_and_grad(loss, client=client)
    client.run(lambda: setattr(sys.modules["tapegrad"], "__version__", "9.9"))
    try:
        with pytest.raises(td.VersionMismatchError, match=r"the client has 0\.\d+\.\d+, this worker 9\.9; install one"):
            f(W, td.shard(X, 4), td.shard(Y, 4))
    finally:
        client.run(lambda version: setattr(sys.modules["tapegrad"], "__version__", version), tg.__version__)
    assert_whole(f(W, td.shard(X, 4), td.shard(Y, 4)))


REFUSED = {
    "nothing partitioned": (lambda: td.total(np.sum)(X), TypeError, "none of its 1 arguments has any"),
    "other chunks": (
        lambda: td.value_and_grad(loss)(W, td.shard(X, 4), td.shard(Y, 5)),
        ValueError,
        "argument 1 has 4 of 251, 251, 251, 250 rows; argument 2 has 5",
    ),
    "columns": (
        lambda: td.total(np.sum)(da.from_array(X, chunks=(100, 2))),
        ValueError,
        r"along its first axis only, and has \(11, 2\) blocks",
    ),
    "one delayed value": (lambda: td.total(np.sum)(dask.delayed(X)), TypeError, "pass a list of them"),
    "no function": (lambda: td.total(3), TypeError, "3 is none"),
    "reduction": (lambda: td.total(np.sum, reduction="max"), ValueError, "'sum' or 'mean', not 'max'"),
    "width": (lambda: td.total(np.sum, split_every=1), ValueError, "2 at least, not 1"),
    "batch": (lambda: td.map(np.sum, [X], batch=0), ValueError, "positive int, not 0"),
    "parts": (lambda: td.shard(X, 0), ValueError, "0 parts of shape"),
    "client": (lambda: td.total(np.sum, client=3)(td.shard(X, 2)), TypeError, "a distributed.Client, not int"),
    "mode": (lambda: td.jacobian(np.cumsum, mode="columns"), ValueError, "not 'columns'"),
    "starts": (lambda: td.multistart(np.sum, [[1.0], [1.0, 2.0]]), ValueError, "vectors of one length"),
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_is_refused(key):
    call, kind, message = REFUSED[key]
    with pytest.raises(kind, match=message):
        call()


def test_results_that_cannot_be_summed(client):
    with pytest.raises(td.PartitionError, match=r"results are summed over partitions, and result.* is a str"):
        td.total(lambda x: (np.sum(x), "text"), client=client)(td.shard(X, 2))
    with pytest.raises(ValueError, match="must have the same structure and shapes"):
        td.total(lambda x: x * 2.0, client=client)(td.shard(X, 2))


def test_a_message_of_an_error_travels():
    error = td.PartitionError("partition 3 failed", 3)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "partition 3 failed" and again.index == 3


def test_without_dask(tmp_path):
    (tmp_path / "dask.py").write_text("raise ImportError('no dask')")
    code = "import tapegrad as tg\ntry:\n    tg.dask\nexcept ImportError as error:\n    print(error)"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert 'pip install "tapegrad[dask]"' in done.stdout, done.stderr


# --- maps, Jacobians, fits ----------------------------------------------------------------------------------------


def test_map_over_parameter_sets(client):
    def f(p, x):
        return p["a"] * np.sum(np.sin(x * p["b"]))

    items = [{"a": float(k), "b": RNG.standard_normal(4 if k % 3 else 1)} for k in range(30)]
    found = td.map(tg.grad(f), items, X, client=client, batch=4)
    for item, gradient in zip(items, found, strict=True):
        expected = tg.grad(f)(item, X)
        np.testing.assert_allclose(gradient["a"], expected["a"], rtol=1e-12)
        np.testing.assert_allclose(gradient["b"], expected["b"], rtol=1e-10)
    assert td.map(f, [], X, client=client) == []


def test_an_item_that_fails_is_named(client):
    def inverse(x):
        return np.linalg.inv(x)

    items = [np.eye(2), np.eye(2), np.zeros((2, 2))]
    with pytest.raises(td.PartitionError, match=r"item 2 failed on tcp://\S+: LinAlgError: Singular"):
        td.map(inverse, items, client=client, batch=1)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobians(client, mode):
    def f(scale, x):
        return np.outer(np.sin(x[:3]), x * scale)

    x = RNG.standard_normal((5,))
    found = td.jacobian(f, 1, mode=mode, client=client)(2.0, x)
    np.testing.assert_allclose(found, tg.jacobian(f, 1)(2.0, x), rtol=1e-12, atol=1e-14)


def test_fits_from_many_starts(client):
    pytest.importorskip("scipy", reason="needs SciPy")

    def valley(x, shift):
        if x[0] > 100.0:
            raise OverflowError("far out")
        return np.sum((x**2 - 4.0) ** 2 + x) + shift

    starts = [[3.0, 3.0], [-3.0, 3.0], [-3.0, -3.0], [1e3, 0.0]]
    results = td.multistart(valley, starts, 1.0, client=client)
    assert results[0].start == 2 and results[0].success
    np.testing.assert_allclose(results[0].x, [-2.0306, -2.0306], atol=1e-3)
    assert results[-1].start == 3 and not results[-1].success and results[-1].fun == np.inf
