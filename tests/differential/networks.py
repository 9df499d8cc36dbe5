"""`nn.functional` in small networks: values and gradients of layers, losses and their options."""

from __future__ import annotations

from .table import leaf, program


def grid(lib, *shape, shift=0.0):
    """Values of a shape that require grad, the same in both libraries."""
    count = 1
    for n in shape:
        count *= n
    values = (lib.arange(count).double() * 0.7 + shift).sin().reshape(*shape)
    return values.detach().requires_grad_()


def gradients(lib, f, *leaves):
    """The result of a function and the gradients of a weighted sum of it."""
    y = f(*leaves)
    weights = (lib.arange(y.numel()).double() + 1).cos().reshape(tuple(y.shape))
    (y * weights).sum().backward()
    return y, [t.grad for t in leaves]


@program()
def linear(lib):
    f = lib.nn.functional
    return gradients(lib, f.linear, grid(lib, 4, 3), grid(lib, 2, 3), grid(lib, 2))


@program()
def convolutions(lib):
    f, found = lib.nn.functional, []
    for options in (
        {}, {"stride": 2}, {"padding": 1}, {"dilation": 2}, {"stride": (2, 1), "padding": (0, 1)}, {"padding": "same"},
    ):  # fmt: skip
        x, w, b = grid(lib, 2, 3, 6, 5), grid(lib, 4, 3, 2, 3), grid(lib, 4)
        found.append(gradients(lib, lambda x, w, b, options=options: f.conv2d(x, w, b, **options), x, w, b))
    x, w = grid(lib, 1, 4, 5, 5), grid(lib, 6, 2, 3, 3)
    found.append(gradients(lib, lambda x, w: f.conv2d(x, w, groups=2), x, w))
    found.append(gradients(lib, f.conv1d, grid(lib, 2, 3, 7), grid(lib, 2, 3, 3)))
    return found


@program()
def pooling(lib):
    f, found = lib.nn.functional, []
    for run in (
        lambda x: f.max_pool2d(x, 2), lambda x: f.max_pool2d(x, 3, stride=1, padding=1), lambda x: f.avg_pool2d(x, 2),
        lambda x: f.avg_pool2d(x, 3, stride=2, padding=1), lambda x: f.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: f.adaptive_avg_pool2d(x, (2, 3)), lambda x: f.adaptive_avg_pool2d(x, 1),
    ):  # fmt: skip
        found.append(gradients(lib, run, grid(lib, 1, 2, 6, 6)))
    return found


@program()
def activations(lib):
    f, found = lib.nn.functional, []
    for run in (
        f.relu, f.gelu, lambda x: f.gelu(x, approximate="tanh"), f.silu, f.elu, f.selu, f.softplus, f.sigmoid, f.tanh,
        f.relu6,
        f.leaky_relu, lambda x: f.softmax(x, dim=1), lambda x: f.log_softmax(x, dim=0), lambda x: f.softmin(x, dim=1),
        f.logsigmoid, f.hardtanh, f.softsign, f.mish, lambda x: f.glu(x, dim=1), lambda x: f.normalize(x, dim=1),
    ):  # fmt: skip
        found.append(gradients(lib, run, grid(lib, 3, 4)))
    return found


@program()
def normalisations(lib):
    f, found = lib.nn.functional, []
    mean, var = lib.zeros(3), lib.ones(3)
    found.append(gradients(lib, lambda x: f.batch_norm(x, mean, var, training=True, momentum=0.5), grid(lib, 4, 3)))
    found.append((mean, var))
    found.append(
        gradients(lib, lambda x, w, b: f.batch_norm(x, mean, var, w, b), grid(lib, 4, 3), grid(lib, 3), grid(lib, 3))
    )
    found.append(gradients(lib, lambda x, w: f.layer_norm(x, (4,), w), grid(lib, 3, 4), grid(lib, 4)))
    found.append(gradients(lib, lambda x, w: f.group_norm(x, 2, w), grid(lib, 2, 4, 3), grid(lib, 4)))
    return found


@program()
def losses(lib):
    f, found = lib.nn.functional, []
    target, classes = grid(lib, 4, 3, shift=1.0).detach(), lib.tensor([0, 2, 1, 2])
    weight, part = lib.tensor([0.5, 1.0, 2.0]), (grid(lib, 4, 3) * 0.4 + 0.5).detach()
    for run in (
        lambda x: f.mse_loss(x, target), lambda x: f.mse_loss(x, target, reduction="none"),
        lambda x: f.l1_loss(x, target),
        lambda x: f.smooth_l1_loss(x, target), lambda x: f.huber_loss(x, target, delta=0.5),
        lambda x: f.cross_entropy(x, classes),
        lambda x: f.cross_entropy(x, classes, weight=weight),
        lambda x: f.cross_entropy(x, classes, label_smoothing=0.1),
        lambda x: f.cross_entropy(x, classes, reduction="sum"), lambda x: f.cross_entropy(x, classes, ignore_index=2),
        lambda x: f.cross_entropy(x, part), lambda x: f.nll_loss(x, classes), lambda x: f.nll_loss(x, classes, weight),
        lambda x: f.nll_loss(x, classes, weight, reduction="none"),
        lambda x: f.binary_cross_entropy_with_logits(x, part),
        lambda x: f.binary_cross_entropy(x.sigmoid(), part), lambda x: f.kl_div(x, part, reduction="batchmean"),
        lambda x: f.cosine_similarity(x, target, dim=1),
    ):  # fmt: skip
        found.append(gradients(lib, run, grid(lib, 4, 3)))
    return found


@program()
def embeddings(lib):
    f, places = lib.nn.functional, lib.tensor([[0, 2], [2, 1]])
    one = gradients(lib, lambda w: f.embedding(places, w), grid(lib, 3, 4))
    two = gradients(lib, lambda w: f.embedding(places, w, padding_idx=2), grid(lib, 3, 4))
    return one, two, f.one_hot(places, 3)


@program()
def attention(lib):
    f = lib.nn.functional
    q, k, v = grid(lib, 2, 3, 4), grid(lib, 2, 5, 4, shift=1.0), grid(lib, 2, 5, 4, shift=2.0)
    return gradients(lib, f.scaled_dot_product_attention, q, k, v)


@program()
def dropout_at_the_ends(lib):
    f, x = lib.nn.functional, grid(lib, 3, 4)
    return f.dropout(x, 0.0), f.dropout(x, 1.0), f.dropout(x, 0.5, training=False), f.dropout(x, 0.5).shape


@program()
def convolutional_network(lib):
    f = lib.nn.functional
    p = [grid(lib, 4, 1, 3, 3), grid(lib, 4), grid(lib, 3, 4 * 9), grid(lib, 3)]
    x, classes = grid(lib, 5, 1, 8, 8).detach(), lib.tensor([0, 1, 2, 1, 0])
    for _ in range(2):
        h = f.max_pool2d(f.relu(f.conv2d(x, p[0], p[1])), 2)
        loss = f.cross_entropy(f.linear(h.reshape(5, 4 * 9), p[2], p[3]), classes)
        loss.backward()
        with lib.no_grad():
            for t in p:
                t.sub_(0.1 * t.grad)
                t.grad = None
    return loss, p


@program()
def recurrent_network_in_time(lib):
    w, u, b = grid(lib, 3, 3), grid(lib, 2, 3), grid(lib, 3)
    h, xs = lib.zeros(4, 3), grid(lib, 5, 4, 2).detach()
    total = 0.0
    for t in range(5):
        h = (h @ w + xs[t] @ u + b).tanh()
        total = total + (h * h).mean()
    total.backward()
    return total, w.grad, u.grad, b.grad


@program("Expected input batch_size")
def wrong_number_of_classes(lib):
    lib.nn.functional.cross_entropy(grid(lib, 4, 3), lib.tensor([0, 1]))


@program("out of bounds")
def class_that_does_not_exist(lib):
    lib.nn.functional.cross_entropy(grid(lib, 2, 3), lib.tensor([0, 3]))


@program("must be the same as input size")
def wrong_shape_of_a_target(lib):
    lib.nn.functional.binary_cross_entropy_with_logits(leaf(lib, 1, 2), lib.ones(3))


@program("all elements of input should be between 0 and 1")
def probability_beyond_one(lib):
    lib.nn.functional.binary_cross_entropy(leaf(lib, 0.5, 2), lib.ones(2))
