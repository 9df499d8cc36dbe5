"""`tapegrad.nn.functional` against `torch.nn.functional`: values, gradients, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.nn import functional
from tapegrad.tape.current import rotate
from tapegrad.tape.state import local


@pytest.fixture(params=[True, False], ids=["deferred", "immediate"], autouse=True)
def deferral(request):
    rotate(local.state)
    before = tg.set_deferral(request.param)
    yield request.param
    tg.set_deferral(before)


def wave(*shape, phase=0.0):
    n = int(np.prod(shape))
    return np.sin(1.3 * np.arange(1.0, n + 1) + phase).reshape(shape)


LEAVES = {
    "x": wave(2, 4, 6, 5),
    "w": wave(6, 4, 3, 3, phase=0.3),
    "g": wave(4, 2, 2, 3, phase=0.5),
    "d": wave(4, 1, 3, 3, phase=0.7),
    "one": wave(3, 4, 1, 1, phase=0.2),
    "c6": wave(6), "c4": wave(4), "c3": wave(3),
    "a": wave(3, 4), "b": wave(5, 4), "v5": wave(5),
    "l": wave(3, 5, phase=0.1), "m": wave(2, 3, 4, phase=0.9),
    "u": 0.5 + 0.4 * wave(3, 5),
    "e": wave(7, 3),
    "s": wave(2, 4, 9), "k": wave(3, 4, 3),
    "w3": wave(5, 4, 4),
}  # fmt: skip
PLAIN = {
    "labels": np.array([1, 4, 0]),
    "some": np.array([1, -100, 4]),
    "soft": np.abs(wave(3, 5)) / np.abs(wave(3, 5)).sum(1, keepdims=True),
    "image": np.array([[[0, 1, 2, 3, 0], [1, 1, 2, 2, 3]]] * 2),
    "p": np.abs(wave(3, 5)),
    "index": np.array([[0, 6, 2], [2, 2, 1]]),
    "cw": np.array([0.5, 1.0, 2.0, 0.7, 1.5]),
    "keep": np.tri(3, 3, dtype=bool),
}
PROGRAMS = """
conv2d(x, w); conv2d(x, w, c6, padding=1); conv2d(x, w, stride=2); conv2d(x, w, c6, stride=(1, 2), padding=(2, 1))
conv2d(x, w, dilation=2); conv2d(x, w, padding=3); conv2d(x, g, c4, groups=2); conv2d(x, d, groups=4, padding=1)
conv2d(x, d, c4, groups=4, stride=2, padding=1, dilation=(1, 2)); conv2d(x, one); conv2d(x, one, c3, stride=2)
conv2d(x, one, padding=1); conv2d(x[0], w, c6); conv2d(x, w, padding="same"); conv2d(x, w, padding="valid")
conv2d(x, g, groups=2, padding="same"); conv1d(s, k); conv1d(s, k, c3, stride=2, padding=1)
conv1d(s[0], k, dilation=2); max_pool2d(x, 2); max_pool2d(x, 3, 1); max_pool2d(x, (2, 3), stride=(1, 2))
max_pool2d(x, 3, 2, padding=1); max_pool2d(x, 2, ceil_mode=True); max_pool2d(x, 2, dilation=2); max_pool2d(x[0], 2)
max_pool2d(x.round(), 2); max_pool2d(x, 3, 2, 1, ceil_mode=True); avg_pool2d(x, 2); avg_pool2d(x, 3, 2, padding=1)
avg_pool2d(x, (3, 2), 1); avg_pool2d(x, 3, 2, 1, count_include_pad=False); avg_pool2d(x, 2, ceil_mode=True)
avg_pool2d(x[0], 2); avg_pool2d(x, 3, 2, 1, ceil_mode=True); avg_pool2d(x, 2, divisor_override=3)
adaptive_avg_pool2d(x, 1); adaptive_avg_pool2d(x, (3, 5)); adaptive_avg_pool2d(x, (4, 2))
adaptive_avg_pool2d(x, (6, 5)); adaptive_avg_pool2d(x, 7); adaptive_avg_pool2d(x, (None, 3)); relu(a)
relu(a, inplace=False); sigmoid(a); tanh(a); silu(a); gelu(a); gelu(a, approximate="tanh"); softplus(a)
softplus(40 * a, beta=2.0); logsigmoid(a); leaky_relu(a); leaky_relu(a, 0.3); elu(a); elu(a, alpha=0.5); selu(a)
mish(a); softsign(a); hardtanh(2 * a); hardtanh(a, -0.5, 0.2); relu6(4 * a); glu(a); glu(m, dim=2)
softmax(l, dim=1); softmax(m, dim=0); softmin(l, dim=1); log_softmax(l, dim=0); linear(a, b); linear(a, b, v5)
linear(m, b, v5); linear(a[0], b, v5); linear(m.transpose(1, 0), b); linear(a, b[0]); bilinear(a, a, w3)
bilinear(m, m, w3, v5); mse_loss(l, p); mse_loss(l, p, reduction="sum"); mse_loss(l, u, reduction="none")
l1_loss(l, p); smooth_l1_loss(3 * l, p); smooth_l1_loss(l, p, beta=0.5); huber_loss(3 * l, p, delta=0.7)
cross_entropy(l, labels); cross_entropy(l, labels, reduction="sum"); cross_entropy(l, labels, reduction="none")
cross_entropy(l, labels, weight=cw); cross_entropy(l, some); cross_entropy(l, some, weight=cw)
cross_entropy(l, soft); cross_entropy(l, soft, weight=cw); cross_entropy(l, labels, label_smoothing=0.1)
cross_entropy(l, some, cw, label_smoothing=0.2); cross_entropy(l[0], labels[0])
cross_entropy(l, soft, label_smoothing=0.1); cross_entropy(x[:, :, 1:2], image[:, :1])
cross_entropy(l, soft, reduction="none"); cross_entropy(l, some, label_smoothing=0.3, reduction="none")
nll_loss(log_softmax(l, 1), labels); nll_loss(log_softmax(l, 1), some, cw, reduction="none")
nll_loss(l, labels, ignore_index=4); cross_entropy(l[:0], labels[:0]); nll_loss(l[:0], labels[:0], reduction="sum")
cross_entropy(l, labels * 0 - 100); binary_cross_entropy(u, p); binary_cross_entropy(u, p, weight=cw)
binary_cross_entropy_with_logits(l, p); binary_cross_entropy_with_logits(l, p, pos_weight=cw)
binary_cross_entropy_with_logits(100 * l, p, reduction="sum")
binary_cross_entropy_with_logits(l, p, weight=cw, reduction="none")
kl_div(log_softmax(l, 1), soft, reduction="batchmean"); kl_div(log_softmax(l, 1), soft, reduction="sum")
kl_div(l, p * 0); kl_div(l, u, reduction="sum", log_target=True); batch_norm(x, None, None, training=True)
batch_norm(x, None, None, c4, c4, True); batch_norm(a, None, None, c4, None, True)
batch_norm(s, None, None, c4, c4, training=True, eps=0.1)
batch_norm(x, zeros(4).double(), ones(4).double(), c4, c4); layer_norm(a, (4,)); layer_norm(m, (3, 4))
layer_norm(m, (4,), c4, c4); layer_norm(a, (4,), c4, None, 0.1); group_norm(x, 2); group_norm(x, 4, c4, c4)
instance_norm(x); normalize(a); normalize(m, p=1.0, dim=2); embedding(index, e); embedding(index, e, padding_idx=2)
embedding(index, e, -1); one_hot(labels); one_hot(index, 9); pad(a, (1, 2)); pad(a, (1, 0, 2, 1), value=3.0)
pad(a, (-1, 1)); pad(x, (1, 2, 2, 1), mode="reflect"); pad(x, (1, 2, 0, 1), mode="replicate")
pad(x, (1, 2, 2, 1), mode="circular"); cosine_similarity(a, a * a); cosine_similarity(m, m.exp(), dim=2)
dropout(a, 0.4, training=False); dropout(a, 0.0); dropout(a, 1.0); scaled_dot_product_attention(m, m, m)
scaled_dot_product_attention(m, m, m, is_causal=True); scaled_dot_product_attention(m, m, m, attn_mask=keep)
scaled_dot_product_attention(m, m, m.exp(), scale=0.3)
"""
REFUSALS = """
conv2d(x, g); conv2d(x, w[:, :, :, :1].expand(6, 4, 9, 9)); conv2d(x, w, stride=0); conv2d(x, w, padding=-1)
conv2d(x, w, padding="odd"); conv2d(x, w, stride=2, padding="same"); conv2d(x, w, c4); conv2d(a, w)
max_pool2d(x, 2, padding=2); max_pool2d(x, 9); max_pool2d(a, 2); avg_pool2d(x, 2, divisor_override=0); glu(l)
linear(a, a.T); linear(a, b, c4); mse_loss(l, p, reduction="most"); cross_entropy(l, labels + 3)
cross_entropy(l, labels[:2]); nll_loss(l, p); binary_cross_entropy_with_logits(l, p[0])
binary_cross_entropy(u, p[0]); batch_norm(x, None, None); batch_norm(x[:1, :, :1, :1], None, None, training=True)
layer_norm(a, (3,)); group_norm(x, 3); embedding(index + 5, e); one_hot(labels, 2); one_hot(labels - 2)
pad(a, (1,)); dropout(a, 1.5); gelu(a, approximate="no"); embedding(p, e)
"""


def programs(text):
    found = [p.strip() for line in text.strip().splitlines() for p in line.split(";")]
    return [p for p in found if p]


def outcome(lib, f, program, leaves):
    names = {**vars(f), **leaves, "zeros": lib.zeros, "ones": lib.ones}
    names.update({k: lib.tensor(v) for k, v in PLAIN.items()})
    y = eval(program, names)
    if y.requires_grad:
        weights = lib.tensor(np.cos(np.arange(1.0, int(np.prod(tuple(y.shape))) + 1)))
        (y * weights.reshape(tuple(y.shape))).sum().backward()
    return np.array(y.detach().numpy()), {k: t.grad for k, t in leaves.items()}


def both(program):
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    mine = {k: tg.tensor(v, requires_grad=True) for k, v in LEAVES.items()}
    its = {k: torch.tensor(v, requires_grad=True) for k, v in LEAVES.items()}
    return (tg, functional, program, mine), (torch, torch.nn.functional, program, its)


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's own, on even kernels and means of divergences
@pytest.mark.parametrize("program", programs(PROGRAMS))
def test_function(program):
    mine, its = both(program)
    value, gradients = outcome(*mine)
    expected, slopes = outcome(*its)
    assert value.shape == expected.shape and value.dtype == expected.dtype
    np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-9)
    for name, slope in slopes.items():
        assert (gradients[name] is None) == (slope is None), name
        if slope is not None:
            np.testing.assert_allclose(gradients[name].numpy(), slope.numpy(), rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("program", programs(REFUSALS))
def test_refusal(program):
    mine, its = both(program)
    with pytest.raises(Exception) as expected:
        outcome(*its)
    with pytest.raises((expected.type, ValueError)) as found:
        outcome(*mine)
    assert len(str(found.value)) > 15


def test_class_weights_are_constants():
    with pytest.raises(NotImplementedError, match="class weights are taken as constants"):
        functional.cross_entropy(LEAVES["l"], PLAIN["labels"], weight=tg.ones(5, requires_grad=True))
    with pytest.raises(ValueError, match=r"weight of shape \(4,\) for classes"):
        functional.nll_loss(LEAVES["l"], PLAIN["labels"], weight=np.ones(4))


def test_single_precision_stays():
    x, w, b = (tg.tensor(LEAVES[k].astype("f"), requires_grad=True) for k in ("x", "w", "c6"))
    y = functional.max_pool2d(functional.relu(functional.conv2d(x, w, b, padding=1)), 2)
    y = functional.layer_norm(y, (3, 2))
    y.sum().backward()
    assert {t.dtype for t in (y, x.grad, w.grad, b.grad)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", ["relu", "silu"])
def test_inplace_activation(name):
    x = tg.tensor([-1.0, 2.0], requires_grad=True)
    y = x * 1.0
    assert getattr(functional, name)(y, inplace=True) is y and y._version == 1
    y.sum().backward()
    z = tg.tensor([-1.0, 2.0], requires_grad=True)
    getattr(functional, name)(z).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy())
    with pytest.raises(RuntimeError, match="leaf Variable"):
        functional.relu(x, inplace=True)
    with pytest.raises(TypeError, match="needs a tensor"):
        functional.relu(np.ones(2), inplace=True)


def test_dropout_is_seeded_and_unbiased():
    x = tg.ones(20_000, requires_grad=True)
    a, b = (functional.dropout(x, 0.3, rng=5) for _ in range(2))
    assert a.tolist() == b.tolist() and set(a.tolist()) == {0.0, 1 / 0.7}
    assert abs(a.detach().numpy().mean() - 1.0) < 0.02
    a.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), a.detach().numpy())
    tg.manual_seed(1)
    c = functional.dropout(x)
    tg.manual_seed(1)
    assert c.tolist() == functional.dropout(x).tolist() != functional.dropout(x).tolist()


def test_dropout_is_drawn_anew_in_compiled_functions():
    step = tg.compile(lambda x: np.sum(functional.dropout(x, 0.5)))
    with pytest.warns(RuntimeWarning, match="random numbers"):
        found = {float(step(np.ones(1000))) for _ in range(4)}
    assert len(found) > 1


def test_running_moments():
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    x = LEAVES["x"]
    mine = [tg.zeros(4), np.ones(4)]
    its = [torch.zeros(4, dtype=torch.double), torch.ones(4, dtype=torch.double)]
    for _ in range(3):
        functional.batch_norm(tg.tensor(x, requires_grad=True), *mine, training=True, momentum=0.3)
        torch.nn.functional.batch_norm(torch.tensor(x), *its, training=True, momentum=0.3)
    for m, t in zip(mine, its, strict=True):
        np.testing.assert_allclose(np.asarray(m), t.numpy())


def test_within_transformations():
    """Plain arrays go in and out, and functions compile."""

    def loss(w, x):
        return functional.cross_entropy(functional.conv2d(x, w).mean(axis=(2, 3)), np.array([1, 3]))

    w, x = LEAVES["w"], LEAVES["x"]
    gradient = tg.grad(loss)(w, x)
    compiled = tg.compile(tg.grad(loss))
    np.testing.assert_allclose(compiled(w, x), gradient)
    np.testing.assert_allclose(compiled(w + 1, x), tg.grad(loss)(w + 1, x))
    _, tangent = tg.jvp(lambda w: loss(w, x), (w,), (w,))
    np.testing.assert_allclose(tangent, np.sum(gradient * w))


@pytest.mark.parametrize("function", ["conv2d", "max_pool2d", "avg_pool2d", "softmax", "layer_norm", "linear"])
def test_second_order(function):
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    calls = {
        "conv2d": lambda f, x, w: f.conv2d(x, w, stride=2, padding=1),
        "max_pool2d": lambda f, x, w: f.max_pool2d(x * x * w[:1, :, :1, :1], 2),
        "avg_pool2d": lambda f, x, w: f.avg_pool2d(x * x, 3, 2, 1) * w[:1, :, :1, :1],
        "softmax": lambda f, x, w: f.softmax(x * w[0, 0, 0, 0], dim=2),
        "layer_norm": lambda f, x, w: f.layer_norm(x * w[0, 0, 0, 0], (6, 5)),
        "linear": lambda f, x, w: f.linear(x[0, 0, :, :3], w[:, 0, 0]),
    }
    found = []
    for lib, f in ((tg, functional), (torch, torch.nn.functional)):
        x, w = (lib.tensor(LEAVES[k], requires_grad=True) for k in ("x", "w"))
        y = calls[function](f, x, w)
        gx, gw = lib.autograd.grad((y**3).sum(), (x, w), create_graph=True)
        ((gx**2).sum() + (gw**2).sum()).backward()
        found.append([np.array(t.grad.numpy()) for t in (x, w)])
    for mine, its in zip(*found, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-6, atol=1e-7)


# --- tapegrad.nn.utils ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("most", [0.7, 1e6])
def test_clipped_norms(order, most):
    torch = pytest.importorskip("torch", reason="the differential test needs PyTorch")
    values = [wave(3), wave(2, 4, phase=1.0), wave(phase=2.0)]

    def clipped(lib):
        parameters = [lib.tensor(v, requires_grad=True) for v in values] + [lib.ones(2, requires_grad=True)]
        sum((p**3).sum() for p in parameters[:3]).backward()
        norm = lib.nn.utils.clip_grad_norm_(parameters, most, order)
        lib.nn.utils.clip_grad_value_(parameters, 0.05)
        assert parameters[3].grad is None
        return [norm.item(), *[p.grad.numpy() for p in parameters[:3]]]

    for mine, its in zip(clipped(tg), clipped(torch), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-12)


def test_norms_that_are_not_finite():
    x = tg.tensor([0.0, 1.0], requires_grad=True)
    np.sqrt(x).sum().backward()
    with pytest.raises(
        RuntimeError, match=r"The total norm of order 2\.0 for gradients from `parameters` is non-finite"
    ):
        tg.nn.utils.clip_grad_norm_(x, 1.0, error_if_nonfinite=True)
    assert tg.nn.utils.clip_grad_norm_([], 1.0).item() == 0.0


def test_parameters_as_a_vector():
    a, b = (tg.tensor(wave(*shape), requires_grad=True) for shape in ((2, 3), (4,)))
    vector = tg.nn.utils.parameters_to_vector([a, b])
    (vector * np.arange(10.0)).sum().backward()
    np.testing.assert_array_equal(b.grad.numpy(), [6.0, 7.0, 8.0, 9.0])
    tg.nn.utils.vector_to_parameters(vector.detach() * 2.0, [a, b])
    np.testing.assert_array_equal(a.detach().numpy(), 2.0 * wave(2, 3))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tanh", r"functions are NumPy's, write np\.tanh\(\.\.\.\)"),
        ("cat", r"write np\.concatenate"),
        ("relu", r"write tapegrad\.nn\.functional\.relu"),
        ("optim", "no modules and optimisers"),
        ("save", "has no attribute 'save'$"),
    ],
)
def test_names_of_pytorch_that_are_elsewhere(name, said):
    with pytest.raises(AttributeError, match=said):
        getattr(tg, name)


@pytest.mark.parametrize("ignored", [-100, 3, None], ids=["none", "some", "all"])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("char", "fd")
def test_likelihood_loops(char, reduction, order, ignored):
    """What machine code picks and spreads is what NumPy does, for all layouts and for targets that do not count."""
    rng = np.random.default_rng(4)
    logs, target = np.asarray(rng.normal(size=(7, 5)), char, order=order), rng.integers(5, size=7)
    if ignored is None:
        target, ignored = np.full(7, 2), 2
    counts = target != ignored
    losses = np.where(counts, -logs[np.arange(7), target].astype(float), 0)
    n = counts.sum()
    with np.errstate(invalid="ignore"):
        expected = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / n}[reduction]
    slope = np.zeros((7, 5))
    slope[np.arange(7), target] = np.where(counts, -1.0 / (max(n, 1) if reduction == "mean" else 1.0), 0)
    weights = np.arange(1.0, 8.0).astype(char) if reduction == "none" else np.ones((), char)

    def loss(x, target):
        return np.sum(functional.nll_loss(x, target, ignore_index=ignored, reduction=reduction) * weights)

    x = tg.tensor(logs, requires_grad=True)
    y = functional.nll_loss(x, tg.tensor(target), ignore_index=ignored, reduction=reduction)
    y.backward(weights if reduction == "none" else None)
    tolerance = 1e-6 if char == "f" else 1e-14
    np.testing.assert_allclose(y.detach().numpy(), expected, tolerance)
    slopes = slope * (weights[:, None] if reduction == "none" else 1.0)
    np.testing.assert_allclose(x.grad.numpy(), slopes, tolerance)
    value, gradient = tg.compile(tg.value_and_grad(loss))(logs, target)
    np.testing.assert_allclose(value, np.sum(expected * weights), tolerance)
    np.testing.assert_allclose(gradient, slopes, tolerance)


def test_likelihood_beyond_classes():
    """A target beyond the classes is refused where it is seen, and by a compiled function when it is run."""
    logs = np.log(np.full((3, 4), 0.25))
    with pytest.raises(IndexError, match="Target 4 is out of bounds: there are 4 classes"):
        functional.nll_loss(tg.tensor(logs), tg.tensor([0, 4, 1]))
    with pytest.raises(IndexError, match="Target -1 is out of bounds"):
        functional.nll_loss(tg.tensor(logs), tg.tensor([0, -1, 1]))
    step = tg.compile(tg.value_and_grad(functional.nll_loss))
    step(logs, np.array([0, 1, 2]))
    with pytest.raises(IndexError):
        step(logs, np.array([0, 1, 4]))


@pytest.mark.parametrize("band", [1, 700, 5000])
def test_convolutions_do_not_depend_on_how_many_places_are_taken_at_a_time(band, monkeypatch):
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((2, 4, 9, 7)), rng.standard_normal((6, 2, 3, 2))

    def gradients():
        a, b = tg.tensor(x, requires_grad=True), tg.tensor(w, requires_grad=True)
        y = functional.conv2d(a, b, stride=(2, 1), padding=(1, 1), groups=2)
        (y * y).sum().backward()
        z = functional.conv2d(a, b, padding=(1, 1), groups=2)
        (z * z).sum().backward()
        return y.detach().numpy(), a.grad.numpy(), b.grad.numpy()

    whole = gradients()
    monkeypatch.setattr("tapegrad.primitives.convolution.BAND_BYTES", band)
    for one, other in zip(gradients(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_cross_entropy_called_alike_again():
    """The second call takes a shorter way: its class numbers are looked at as the first one's were."""
    for dtype in (np.int64, np.int32, np.uint8):
        x = wave(5, 4)
        expected, calls = [], []
        for k in range(4):
            target = ((np.arange(5) + k) % 4).astype(dtype)
            options = {} if k < 3 else {"reduction": "sum", "ignore_index": 1}
            leaf, classes = tg.tensor(x, requires_grad=True), tg.tensor(target)
            for _ in range(2):  # the second time the class numbers stand on the tape
                leaf.grad = None
                functional.cross_entropy(leaf * 1.0, classes, **options).backward()
            calls.append(leaf.grad.numpy())
            one_hot, counts = np.eye(4)[target], (target != 1) | (k < 3)
            soft = np.exp(x) / np.exp(x).sum(1, keepdims=True)
            expected.append((soft - one_hot) * counts[:, None] / (5 if k < 3 else 1))
        np.testing.assert_allclose(calls, expected, rtol=1e-12)
        classes[0] = 4
        with pytest.raises(IndexError, match="Target 4 is out of bounds"):
            functional.cross_entropy(leaf * 1.0, classes)
    with pytest.raises(IndexError, match="Target -1 is out of bounds"):
        functional.cross_entropy(leaf * 1.0, np.array([0, 1, 2, 3, -1]))
    with pytest.raises(ValueError, match="reduction"):
        functional.nll_loss(leaf * 1.0, np.array([0, 1, 2, 3, 3]), reduction=["mean"])
