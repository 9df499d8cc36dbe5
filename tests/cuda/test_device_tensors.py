"""Tensors on a device: moving, mixing, writing, versions, hooks, transformations, memory."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.cuda import MixedDevicesError, OutOfMemoryError, device_of, table
from tapegrad.values import value_of

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def leaf(values=X, device="cuda"):
    return tg.tensor(values, device=device, requires_grad=True)


def both(program, *arrays):
    """Values and gradients of a program on leaves of the device and of the host."""
    found = []
    for place in ("cuda", "cpu"):
        leaves = [leaf(a, place) for a in arrays]
        y = program(*leaves)
        y.backward(np.ones(y.shape))
        found.append([value_of(y), *[value_of(x.grad) for x in leaves]])
    return found


# --- places ----------------------------------------------------------------------------------------------------------


def test_attributes(device):
    x = leaf()
    assert x.device is device and str(x.device) == "cuda:0" and x.is_cuda
    assert x.cpu().device == "cpu" and not x.cpu().is_cuda
    assert x.to("cuda") is x and x.cuda() is x and x.to(device) is x
    assert tg.tensor(X).to("cuda:0").device is device
    assert tg.tensor(x.detach()).device is device
    assert "device='cuda:0'" in repr(x)
    assert x.data_ptr() == device.address_of(x)


def test_to_keeps_the_history():
    x = leaf(device="cpu")
    y = (x.to("cuda") * 2.0).sin().cpu() * 3.0
    y.sum().backward()
    assert x.grad.device == "cpu"
    np.testing.assert_allclose(value_of(x.grad), 6.0 * np.cos(2.0 * X), rtol=1e-14)


def test_to_another_dtype_and_place():
    y = tg.tensor(X).to("cuda", dtype=np.float32)
    assert y.device.name == "cuda:0" and y.dtype == np.float32
    z = tg.tensor([1]).to(y)
    assert z.device is y.device and z.dtype == np.float32


@pytest.mark.parametrize("name", ["cuda:7", "tpu", "cuda:x"])
def test_no_such_device(name):
    with pytest.raises(RuntimeError, match=r"invalid device ordinal|Expected one of cpu, cuda"):
        tg.tensor(X, device=name)


def test_values_reach_the_host():
    x = tg.tensor([2.5], device="cuda")
    assert x.item() == 2.5 and float(x) == 2.5 and x.tolist() == [2.5] and bool(x > 2.0) and f"{x:.1f}" == "2.5"
    assert int(tg.tensor(3, device="cuda")) == 3 and [10, 20, 30][tg.tensor(1, device="cuda")] == 20


@pytest.mark.parametrize("convert", [lambda x: x.numpy(), np.asarray, lambda x: np.array(x)])
def test_no_numpy_array_of_device_memory(convert):
    with pytest.raises(TypeError, match=r"can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu\(\)"):
        convert(tg.tensor(X, device="cuda"))


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, h: x + h,
        lambda x, h: h + x,
        lambda x, h: h * 2.0 @ x.T,
        lambda x, h: np.concatenate([x, h]),
        lambda x, h: x.add_(h),
        lambda x, h: h.add_(x),
        lambda x, h: np.where(h > 0, x, 0.0),
    ],
)
def test_mixed_devices_are_refused(mix):
    x, h = tg.tensor(X, device="cuda"), tg.tensor(X)
    with pytest.raises(MixedDevicesError, match=r"Expected all tensors to be on the same device.*cuda:0 and cpu"):
        mix(x, h)
    np.testing.assert_array_equal(value_of(x), X)
    np.testing.assert_array_equal(value_of(h), X)


def test_constants_come_along():
    x = leaf()
    half = tg.tensor(0.5, requires_grad=True)  # numbers may stand on the host, as in PyTorch
    y = (x * np.array([1.0, 2.0, 3.0]) + 2.0 - np.float64(1.0)) * half
    y.sum().backward()
    np.testing.assert_allclose(value_of(x.grad), 0.5 * np.broadcast_to([1.0, 2.0, 3.0], (2, 3)))
    assert half.grad.device == "cpu"
    np.testing.assert_allclose(half.grad.item(), np.sum(X * [1.0, 2.0, 3.0] + 1.0))


def test_a_host_array_is_read_when_it_is_used():
    h = np.ones(3)
    y = tg.tensor([1.0, 2.0, 3.0], device="cuda") * h
    h[:] = 7.0
    np.testing.assert_array_equal(value_of(y), [1.0, 2.0, 3.0])


# --- programs against the host ---------------------------------------------------------------------------------------

W = np.sin(np.arange(12.0)).reshape(3, 4)
PROGRAMS = {
    "chain": (lambda x: np.sum(np.tanh(np.sin(x) * x + np.exp(-x * x)) / (1.0 + x**2)), X),
    "broadcast": (lambda x, b: np.mean((x + b) ** 2), X, np.array([1.0, 2.0, 3.0])),
    "views": (lambda x: np.sum(x[0] * x[1, ::-1]) + np.sum(x.T[1:] ** 2), X),
    "layer": (lambda x, w: np.sum(np.maximum(x @ w, 0.0) ** 2), X, W),
    "softmax": (lambda x: np.sum(tg.nn.functional.log_softmax(x, 1)[[0, 1], [2, 0]]), X),
    "statistics": (lambda x: np.var(x, axis=0).sum() + np.std(x) + np.median(x), X),
    "joins": (lambda x: np.sum(np.concatenate([x, x * 2.0]) * np.stack([x, x]).reshape(4, 3)), X),
    "norm": (lambda x: np.linalg.norm(x) + np.linalg.norm(x, axis=1).sum(), X),
    "solve": (lambda a, b: np.sum(np.linalg.solve(a, b)), X[:, :2] + 3.0 * np.eye(2), X),
    "scans": (lambda x: np.sum(np.cumsum(x, 1) * np.cumprod(x, 0)), X),
    "sorting": (lambda x: np.sum(np.sort(x, 1) * [1.0, 2.0, 3.0]), X),
    "einsum": (lambda x, w: np.einsum("ij,jk->", x, w), X, W),
    "loop": (lambda x: sum(x[i, j] ** (i + j + 1) for i in range(2) for j in range(3)), X),
    "complex": (lambda x: np.sum(np.abs(np.exp(1j * x) * (x + 2j)) ** 2), X),
    "pad": (lambda x: np.sum(np.pad(x, 1) ** 2), X),
    "interpolation": (lambda x: np.sum(np.diff(x, axis=1) ** 2) + np.trapezoid(x[0]), X),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    program, *arrays = PROGRAMS[name]
    mine, host = both(program, *arrays)
    for a, b in zip(mine, host, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_functional_transformations():
    x = tg.tensor(X, device="cuda")

    def f(x):
        return np.sum(np.sin(x) ** 3)

    host = tg.grad(f)(X)
    found = tg.grad(f)(x)
    assert found.device is x.device
    np.testing.assert_allclose(value_of(found), host, rtol=1e-12)
    value, gradient = tg.compile(tg.value_and_grad(f))(x)
    np.testing.assert_allclose(value_of(value), f(X))
    np.testing.assert_allclose(value_of(gradient), host, rtol=1e-12)
    second = tg.grad(lambda v: np.sum(tg.grad(f)(v) * v))(x)
    np.testing.assert_allclose(value_of(second), tg.grad(lambda v: np.sum(tg.grad(f)(v) * v))(X), rtol=1e-12)
    y, pullback = tg.vjp(np.exp, x)
    np.testing.assert_allclose(value_of(pullback(y)[0]), np.exp(2 * X), rtol=1e-12)


@pytest.mark.parametrize("transform", [tg.jacrev, tg.jacfwd, tg.jacobian, tg.hessian], ids=lambda f: f.__name__)
def test_jacobians(transform):
    def f(v):
        y = np.sin(v) * v[0]
        return np.sum(y**2) if transform is tg.hessian else y[:2]

    found = transform(f)(tg.tensor(X[0], device="cuda"))
    assert found.is_cuda
    np.testing.assert_allclose(value_of(found), transform(f)(X[0]), rtol=1e-12)


def test_checkpoint():
    """What the function uses beside its argument is found, though it is computed from that."""

    def f(v):
        w = v * v
        return tg.checkpoint(lambda z: np.sum(np.sin(z) * w))(v)

    for way in (tg.grad, tg.hessian):
        found = way(f)(tg.tensor(X[0], device="cuda"))
        np.testing.assert_allclose(value_of(found), way(lambda v: np.sum(np.sin(v) * v * v))(X[0]), rtol=1e-12)


def test_vmap():
    found = tg.vmap(lambda v: np.sum(v**2))(tg.tensor(X, device="cuda"))
    np.testing.assert_allclose(value_of(found), np.sum(X**2, axis=1))


def test_compiled_functions_do_not_capture_device_tensors():
    w = tg.tensor(X, device="cuda")
    compiled = tg.compile(lambda x: np.sum(w * 1.0) + np.sum(x))
    with pytest.warns(RuntimeWarning, match="runs operations at once"), pytest.raises(MixedDevicesError):
        compiled(X) + np.sum(tg.tensor(X) * w)


def test_create_graph_and_grad():
    x = leaf()
    (g,) = tg.autograd.grad((x**3).sum(), x, create_graph=True)
    g.sum().backward()
    np.testing.assert_allclose(value_of(x.grad), 6 * X, rtol=1e-12)
    (g,) = tg.autograd.grad(np.sum(np.exp(x)), x)
    assert g.device is x.device and not g.requires_grad


# --- the graph: accumulation, freeing, hooks, versions ---------------------------------------------------------------


def test_gradients_accumulate_in_the_same_tensor():
    x = leaf()
    (x * 2.0).sum().backward()
    first = x.grad
    (x * 3.0).sum().backward()
    assert x.grad is first
    np.testing.assert_array_equal(value_of(first), np.full(X.shape, 5.0))


def test_gradients_of_two_leaves_are_apart():
    a, b = leaf(), leaf()
    (a + b).backward(np.ones(X.shape))
    with tg.no_grad():
        a.grad.mul_(5.0)
    np.testing.assert_array_equal(value_of(b.grad), np.ones(X.shape))


def test_a_freed_graph_is_refused():
    x = leaf()
    y = np.sin(x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    z = np.sin(x).sum()
    z.backward(retain_graph=True)
    z.backward()
    np.testing.assert_allclose(value_of(x.grad), 3 * np.cos(X), rtol=1e-12)


def test_stale_values_are_found():
    x = leaf()
    b = x * 1.0
    y = b * b
    b.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_leaves_are_not_written():
    x = leaf()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        x.add_(1.0)
    np.testing.assert_array_equal(value_of(x), X)
    assert x._version == 0
    with tg.no_grad():
        x.add_(1.0)
    np.testing.assert_array_equal(value_of(x), X + 1.0)
    assert x._version == 1


WRITES = {
    "whole": lambda b: b.mul_(3.0),
    "unary": lambda b: b.sin_(),
    "itself": lambda b: b.add_(b),
    "element": lambda b: b.__setitem__((0, 1), 7.0),
    "row": lambda b: b[1].mul_(2.0),
    "number": lambda b: b.__setitem__(0, 3.0),
    "all": lambda b: b.__setitem__(slice(None), -1),
    "turned": lambda b: b.T.__setitem__((slice(1, None), 0), 4.0),
    "step": lambda b: b[:, ::2].add_(1.0),
    "array": lambda b: b.__setitem__((np.array([0, 1]), np.array([2, 0])), np.array([5.0, 6.0])),
    "operator": lambda b: b.__iadd__(2.0),
    "mask": lambda b: b.__setitem__(X > 0, 0.0),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes(name):
    def program(x):
        b = x * 2.0
        view = b[0]
        WRITES[name](b)
        return np.sum(b * np.arange(6.0).reshape(2, 3)) + np.sum(view)

    mine, host = both(program, X)
    for a, b in zip(mine, host, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.parametrize("name", WRITES)
def test_versions_of_writes(name):
    versions = []
    for place in ("cuda", "cpu"):
        b = tg.tensor(X, device=place) * 2.0
        WRITES[name](b)
        versions.append(b._version)
    assert versions[0] == versions[1]


def test_hooks():
    x = leaf()
    seen = []
    b = x * 2.0
    b.register_hook(lambda g: seen.append(g.device) or g * 10.0)
    x.register_hook(lambda g: g + 1.0)
    b.sum().backward()
    assert seen == [x.device]
    np.testing.assert_array_equal(value_of(x.grad), np.full(X.shape, 21.0))


def test_retain_grad_and_inputs():
    x = leaf()
    b = x * 2.0
    b.retain_grad()
    (b * b).sum().backward()
    np.testing.assert_allclose(value_of(b.grad), 4 * X)
    y = x * 3.0
    (y * y).sum().backward(inputs=[y])
    np.testing.assert_allclose(value_of(y.grad), 6 * X)


def test_a_loss_over_two_devices():
    w, v = leaf(), leaf(device="cpu")
    y = (w * 2.0).cpu() * v
    y.sum().backward()
    np.testing.assert_allclose(value_of(w.grad), 2 * X)
    np.testing.assert_allclose(value_of(v.grad), 2 * X)
    assert w.grad.is_cuda and not v.grad.is_cuda


# --- running ---------------------------------------------------------------------------------------------------------


def test_elementwise_rows_share_a_launch(device):
    x = tg.tensor(X, device="cuda")
    before = device.driver.launches
    y = np.sin(x) * 2.0 + np.exp(x) / (1.0 + x * x)
    assert device.driver.launches == before
    expected = np.sin(X) * 2.0 + np.exp(X) / (1.0 + X * X)
    np.testing.assert_allclose(value_of(y), expected, rtol=1e-14)
    assert device.driver.launches == before + 1


def test_what_nobody_reads_is_not_kept(device):
    x = tg.tensor(np.ones(1000), device="cuda")
    value_of(x)
    used = device.pool.used
    y = x
    for _ in range(20):
        y = y * 1.5
    value_of(y)
    assert device.pool.used - used < 3 * 8000


def test_without_deferral(device):
    before = tg.set_deferral(False)
    try:
        x = leaf()
        launches = device.driver.launches
        y = np.sin(x)
        assert device.driver.launches > launches
        y.sum().backward()
        np.testing.assert_allclose(value_of(x.grad), np.cos(X), rtol=1e-14)
    finally:
        tg.set_deferral(before)


def test_fallback_warns_once():
    table._warned.discard("pinv")
    x = tg.tensor(X, device="cuda")
    with pytest.warns(table.HostFallbackWarning, match="pinv has no kernel for cuda:0"):
        y = np.linalg.pinv(x)
        value_of(y)
    np.testing.assert_allclose(value_of(np.linalg.pinv(x)), np.linalg.pinv(X), rtol=1e-12)
    assert y.is_cuda


def test_errors_of_the_data():
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        np.linalg.inv(tg.tensor(np.zeros((2, 2)), device="cuda"))
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        np.linalg.cholesky(tg.tensor(-np.eye(2), device="cuda"))
    with pytest.raises(IndexError):
        tg.tensor(X, device="cuda")[[5]]


def test_deterministic_sums(device):
    places = np.array([0, 2, 2, 1, 0, 2])
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    expected = np.zeros(4)
    np.add.at(expected, places, values)
    for deterministic in (False, True):
        device.deterministic = deterministic
        try:
            x = leaf(np.zeros(4))
            x[places].backward(values)
            np.testing.assert_allclose(value_of(x.grad), expected, rtol=1e-15)
        finally:
            device.deterministic = False


def test_large_reductions_have_two_stages(device):
    values = np.sin(np.arange(300.0))
    x = tg.tensor(values, device="cuda")
    launches = device.driver.launches
    np.testing.assert_allclose(np.sum(x).item(), values.sum(), rtol=1e-13)
    assert device.driver.launches == launches + 2
    assert np.argmax(x).item() == values.argmax() and np.max(x).item() == values.max()


def test_sorting_rows_longer_than_shared_memory(device, monkeypatch):
    from tapegrad.cuda import sorting

    monkeypatch.setattr(sorting, "SHARED", 4)
    values = np.array([3.0, np.nan, -1.0, 2.0, 3.0, 0.0, -5.0, np.inf, 1.0, 1.0])
    x = tg.tensor(values, device="cuda")
    np.testing.assert_array_equal(value_of(np.sort(x)), np.sort(values))
    np.testing.assert_array_equal(value_of(np.argsort(x)), np.argsort(values, kind="stable"))


# --- memory ----------------------------------------------------------------------------------------------------------


def test_memory_comes_back(device):
    gc.collect()
    used = device.pool.used
    for _ in range(3):
        x = leaf(np.ones(100))
        (np.sin(x) * x).sum().backward()
        del x
    gc.collect()
    device.leave(device.tape_of(None))
    gc.collect()
    assert device.pool.used <= used + 64


def test_out_of_memory_is_an_error_and_leaks_nothing(device):
    x = tg.tensor(np.ones(1000), device="cuda")
    value_of(x)
    gc.collect()
    used, capacity = device.pool.used, device.driver.capacity
    device.driver.capacity = 4000
    try:
        with pytest.raises(OutOfMemoryError, match=r"CUDA out of memory\. Tried to allocate 7\.812 KiB"):
            value_of(x * 2.0)
        assert device.pool.used == used
    finally:
        device.driver.capacity = capacity
    np.testing.assert_array_equal(value_of(x * 2.0), np.full(1000, 2.0))


def test_importing_the_package_imports_no_cuda():
    code = (
        "import sys, tapegrad, numpy as np\n"
        "x = tapegrad.tensor([1.0], requires_grad=True); (np.sin(x) * 2).sum().backward()\n"
        "print([m for m in sys.modules if 'cuda' in m])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_device_of_is_one_object():
    assert device_of("cuda") is device_of("cuda:0") is device_of(0)
    assert device_of("cpu") is None


# --- other libraries -------------------------------------------------------------------------------------------------


def test_dlpack_shares_memory():
    x = tg.tensor(X, device="cuda")
    seen = np.from_dlpack(x)  # the stand-in's memory is the host's
    np.testing.assert_array_equal(seen, X)
    back = tg.cuda.from_dlpack(np.arange(6.0).reshape(2, 3).T)
    assert back.is_cuda and back.shape == (3, 2)
    np.testing.assert_array_equal(value_of(back * 2.0), 2 * np.arange(6.0).reshape(2, 3).T)
    x.mul_(2.0)
    value_of(x)
    np.testing.assert_array_equal(seen, 2 * X)


def test_dlpack_keeps_the_memory():
    seen = np.from_dlpack(tg.tensor(X, device="cuda") * 2.0)
    gc.collect()
    np.testing.assert_array_equal(seen, 2 * X)


def test_cuda_array_interface(device):
    x = tg.tensor(X, device="cuda")
    described = x.T.__cuda_array_interface__
    assert described["shape"] == (3, 2) and described["strides"] == (8, 24) and described["typestr"] == "<f8"
    assert described["data"] == (x.data_ptr(), False)

    class Other:
        __cuda_array_interface__ = described

    shared = tg.cuda.as_tensor(Other())
    np.testing.assert_array_equal(value_of(shared + 0.0), X.T)
    with pytest.raises(RuntimeError, match="requires grad"):
        _ = leaf().__cuda_array_interface__
    with pytest.raises(AttributeError, match="non-CUDA tensor"):
        _ = tg.tensor(X).__cuda_array_interface__
    with pytest.raises(TypeError, match="has no __cuda_array_interface__"):
        tg.cuda.as_tensor(X)


def test_queues_of_other_libraries_are_waited_for(device, monkeypatch):
    joined = []
    monkeypatch.setattr(device.driver, "join", joined.append)
    described = tg.tensor(X, device="cuda").__cuda_array_interface__

    class Other:
        __cuda_array_interface__ = {**described, "stream": 7}

    np.testing.assert_array_equal(value_of(tg.cuda.as_tensor(Other())), X)
    assert joined == [7]


def test_masked_memory_is_refused():
    class Masked:
        __cuda_array_interface__ = {**tg.tensor(X, device="cuda").__cuda_array_interface__, "mask": object()}

    with pytest.raises(TypeError, match="has a mask"):
        tg.cuda.as_tensor(Masked())


def test_names_of_torch_cuda(device):
    assert tg.cuda.is_available() and tg.cuda.device_count() == 1 and tg.cuda.is_simulated()
    assert tg.cuda.get_device_name() == "simulated in Python"
    x = tg.tensor(np.ones(100), device="cuda")
    assert tg.cuda.memory_allocated() >= 800
    assert tg.cuda.max_memory_allocated() >= tg.cuda.memory_allocated()
    assert tg.cuda.memory_reserved() >= tg.cuda.memory_allocated()
    tg.cuda.synchronize()
    tg.cuda.empty_cache()
    with tg.cuda.stream(tg.cuda.Stream()):
        y = x * 2.0
    np.testing.assert_array_equal(value_of(y), np.full(100, 2.0))
    assert device.stream is None


def test_support_shows_the_device():
    assert "numpy.linalg.inv: supported; cuda: kernel" in tg.support("linalg.inv")
    assert "numpy.isnat" in tg.support("isnat") and "cuda: refused (dates are no numbers" in tg.support("isnat")
    assert "cuda: fallback (LAPACK iterates" in tg.support("linalg.svd")
    assert "On a GPU:" in tg.support()


# --- indices ---------------------------------------------------------------------------------------------------------


def test_indices_are_looked_at_where_they_are(device, monkeypatch):
    """Two numbers come to the host to tell whether indices are in range, not the indices."""
    fetched = []
    download = device.driver.download
    monkeypatch.setattr(device.driver, "download", lambda b, at, n, s=None: fetched.append(n) or download(b, at, n, s))
    x = tg.tensor(np.arange(12.0).reshape(3, 4), device="cuda")
    places = tg.tensor(np.tile([0, 2, -1], 50), device="cuda")
    y = x[places]
    z = np.take_along_axis(x, tg.tensor([[1], [0], [3]], device="cuda"), 1)
    loss = tg.nn.functional.cross_entropy(x, tg.tensor([0, 3, 2], device="cuda"))
    assert fetched and max(fetched) <= 8
    np.testing.assert_array_equal(value_of(y), np.arange(12.0).reshape(3, 4)[np.tile([0, 2, -1], 50)])
    np.testing.assert_array_equal(value_of(z), [[1.0], [4.0], [11.0]])
    assert np.isfinite(loss.item())


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x, i: x[i], "index 3 is out of bounds for axis 0 with size 3"),
        (lambda x, i: x[:, i[:2], None], "index 4 is out of bounds for axis 1 with size 4"),
        (lambda x, i: x[np.array([0, 1, 2]), i], "index 4 is out of bounds for axis 1 with size 4"),
        (lambda x, i: x.__setitem__(i, 0.0), "index 3 is out of bounds for axis 0 with size 3"),
        (lambda x, i: tg.nn.functional.cross_entropy(x, i), "Target 4 is out of bounds"),
    ],
)
def test_indices_out_of_range(use, message):
    x = tg.tensor(np.arange(12.0).reshape(3, 4), device="cuda")
    high = 3 if "index 3" in message else 4
    with pytest.raises(IndexError, match=message):
        use(x, tg.tensor([0, high, 1], device="cuda"))


def test_no_indices():
    x = tg.tensor(np.arange(3.0), device="cuda")
    assert value_of(x[tg.tensor(np.array([], int), device="cuda")]).shape == (0,)
