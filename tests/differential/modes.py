"""Gradient modes, inference mode, anomaly mode."""

from __future__ import annotations

from .table import leaf, name_of, program


def inference(lib):
    with lib.inference_mode():
        return lib.ones(2)


@program()
def no_grad_block(lib):
    x = leaf(lib, 1, 2)
    with lib.no_grad():
        y = x * 2
        inside = lib.is_grad_enabled()
    return y.requires_grad, inside, lib.is_grad_enabled(), name_of(y.grad_fn)


@program()
def nested_modes(lib):
    seen = []
    with lib.no_grad():
        with lib.enable_grad():
            seen.append(lib.is_grad_enabled())
            with lib.no_grad():
                seen.append(lib.is_grad_enabled())
            seen.append(lib.is_grad_enabled())
        seen.append(lib.is_grad_enabled())
    return seen


@program()
def mode_is_restored_after_an_error(lib):
    try:
        with lib.no_grad():
            raise KeyError
    except KeyError:
        return lib.is_grad_enabled()


@program()
def decorators(lib):
    @lib.no_grad()
    def f():
        return lib.is_grad_enabled()

    @lib.no_grad
    def g():
        return lib.is_grad_enabled()

    @lib.enable_grad()
    def h():
        return lib.is_grad_enabled()

    with lib.no_grad():
        inner = h()
    return f(), g(), h(), inner, lib.is_grad_enabled(), f.__name__


@program()
def decorated_generator(lib):
    seen = []

    @lib.no_grad()
    def count():
        for k in range(2):
            seen.append(lib.is_grad_enabled())
            yield k

    for _ in count():
        seen.append(lib.is_grad_enabled())
    return seen


@program()
def decorated_generator_gets_what_is_sent(lib):
    @lib.no_grad()
    def echo():
        got = yield 0
        while True:
            got = yield (got, lib.is_grad_enabled())

    running = echo()
    next(running)
    return [running.send(k) for k in range(3)], lib.is_grad_enabled()


@program()
def set_grad_enabled_three_ways(lib):
    seen = []
    with lib.set_grad_enabled(False):
        seen.append(lib.is_grad_enabled())
    seen.append(lib.is_grad_enabled())
    lib.set_grad_enabled(False)
    seen.append(lib.is_grad_enabled())
    lib.set_grad_enabled(True)

    @lib.set_grad_enabled(False)
    def f():
        return lib.is_grad_enabled()

    return [*seen, f(), lib.is_grad_enabled()]


@program()
def leaf_made_under_no_grad(lib):
    with lib.no_grad():
        x = leaf(lib, 1, 2)
    (x * x).sum().backward()
    return x.requires_grad, x.grad


@program()
def detached_in_the_middle(lib):
    x = leaf(lib, 1, 2)
    y = x * 2
    (y.detach() * y).sum().backward()
    return x.grad


# --- inference mode -------------------------------------------------------------------------------


@program()
def inference_block(lib):
    x = leaf(lib, 1, 2)
    with lib.inference_mode():
        y = x * 2
        inside = lib.is_inference_mode_enabled(), lib.is_grad_enabled()
    return y, y.is_inference(), x.is_inference(), inside, lib.is_inference_mode_enabled(), y.is_leaf


@program()
def inference_off_inside(lib):
    x = leaf(lib, 1, 2)
    with lib.inference_mode():
        with lib.inference_mode(False):
            y = x * 2
            inside = lib.is_inference_mode_enabled(), lib.is_grad_enabled()
        after = lib.is_inference_mode_enabled(), lib.is_grad_enabled()
    return y.requires_grad, y.is_inference(), inside, after


@program()
def gradients_enabled_in_inference_mode(lib):
    x = leaf(lib, 1, 2)
    with lib.inference_mode(), lib.enable_grad():
        y = x * 2
    return y.requires_grad, y.is_inference()


@program()
def inference_decorators(lib):
    @lib.inference_mode()
    def f():
        return lib.is_inference_mode_enabled()

    @lib.inference_mode
    def g():
        return lib.is_inference_mode_enabled()

    return f(), g(), lib.is_inference_mode_enabled()


@program()
def plain_arithmetic_on_an_inference_tensor(lib):
    y = inference(lib)
    z = y * 2
    return z, z.is_inference(), (z * leaf(lib, 1, 2)).requires_grad


@program()
def inference_tensor_that_is_not_saved(lib):
    x, y = leaf(lib, 1, 2), inference(lib)
    (x + y + y).sum().backward()
    return x.grad


@program("Inference tensors cannot be saved for backward")
def inference_tensor_that_is_saved(lib):
    return inference(lib) * leaf(lib, 1, 2)


@program("Inference tensors cannot be saved for backward")
def inference_tensor_that_is_saved_later(lib):
    x, y = leaf(lib, 1, 2), inference(lib)
    z = x + y
    return (z * y).sum()


@program("Inference tensors cannot be saved for backward")
def inference_result_that_is_saved(lib):
    x = leaf(lib, 1, 2)
    with lib.inference_mode():
        y = lib.ones(2) * 3
    return x * y


@program()
def clone_of_an_inference_tensor(lib):
    x, y = leaf(lib, 1, 2), inference(lib)
    z = y.clone()
    (x * z).sum().backward()
    return z.is_inference(), x.grad


@program()
def views_of_an_inference_tensor(lib):
    y = inference(lib)
    return y[:1].is_inference(), y.detach().is_inference(), y.clone().is_inference()


@program()
def inference_tensor_is_written_inside(lib):
    with lib.inference_mode():
        y = lib.ones(2)
        y.add_(1)
        y[0] = 7
        y.requires_grad_()
        z = y * 2
    return y.detach().clone(), y.requires_grad, z.requires_grad, y.is_inference()


@program("Inplace update to inference tensor outside InferenceMode is not allowed")
def inference_tensor_is_written_outside(lib):
    inference(lib).add_(1)


@program("Inplace update to inference tensor outside InferenceMode is not allowed")
def inference_tensor_is_written_under_no_grad(lib):
    y = inference(lib)
    with lib.no_grad():
        y.add_(1)


@program("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed")
def inference_tensor_is_to_require_grad(lib):
    inference(lib).requires_grad_()


@program("Inference tensors do not track version counter")
def version_of_an_inference_tensor(lib):
    return inference(lib)._version


@program()
def normal_tensor_in_inference_mode(lib):
    x = leaf(lib, 1, 2)
    z = x * 1
    with lib.inference_mode():
        v = z[:1]
        flags = v.is_inference()
        z.add_(1)
    return flags, z.is_inference(), z._version, z


@program("A view was created in inference mode and is being modified inplace in normal mode")
def view_made_in_inference_mode(lib):
    z = leaf(lib, 1, 2) * 1
    with lib.inference_mode():
        v = z[:1]
    v.add_(1)


@program("does not require grad and does not have a grad_fn")
def backward_in_inference_mode(lib):
    x = leaf(lib, 1, 2)
    with lib.inference_mode():
        (x * 2).sum().backward()


@program()
def leaf_made_in_inference_mode(lib):
    with lib.inference_mode():
        y = leaf(lib, 1, 2)
        return y.requires_grad, y.is_leaf, y.is_inference()


@program()
def inference_tensor_is_copied_from(lib):
    x, y = leaf(lib, 1, 2), inference(lib)
    z = x * 1
    z.copy_(y)
    z.sum().backward()
    return x.grad


# --- anomaly mode ---------------------------------------------------------------------------------


def nan_in_the_reverse(lib):
    x = lib.tensor([0.0], requires_grad=True)
    return ((x * 0).sqrt() * 0).sum()


@program("Function 'SqrtBackward0' returned nan values in its 0th output")
def nan_is_found(lib):
    with lib.autograd.detect_anomaly():
        nan_in_the_reverse(lib).backward()


@program("Function 'SqrtBackward0' returned nan values in its 0th output")
def nan_is_found_by_grad(lib):
    x = lib.tensor([0.0], requires_grad=True)
    y = (x.sqrt() * 0).sum()
    with lib.autograd.set_detect_anomaly(True):
        lib.autograd.grad(y, x)


@program("Function 'SqrtBackward0' returned nan values in its 0th output")
def nan_is_found_under_create_graph(lib):
    x = lib.tensor([0.0], requires_grad=True)
    y = (x.sqrt() * 0).sum()
    with lib.autograd.set_detect_anomaly(True):
        lib.autograd.grad(y, x, create_graph=True)


@program()
def nan_is_not_looked_for(lib):
    with lib.autograd.detect_anomaly(check_nan=False):
        nan_in_the_reverse(lib).backward()


@program()
def all_is_well_in_anomaly_mode(lib):
    x = leaf(lib, 1, 2, 3)
    with lib.autograd.detect_anomaly():
        y = x[1:] * 2
        (y.exp() + x[0]).sum().backward()
    return x.grad


@program("Function 'OwnBackward' returned nan values in its 0th output")
def nan_of_the_users_function(lib):
    body = {
        "forward": staticmethod(lambda ctx, x: x * 1),
        "backward": staticmethod(lambda ctx, g: g * float("nan")),
    }
    own = type("Own", (lib.autograd.Function,), body)
    with lib.autograd.detect_anomaly():
        own.apply(leaf(lib, 1)).backward()


@program()
def anomaly_switches(lib):
    seen = [lib.is_anomaly_enabled()]
    with lib.autograd.set_detect_anomaly(True, check_nan=False):
        seen += [lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()]
        with lib.autograd.detect_anomaly():
            seen += [lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()]
        seen += [lib.is_anomaly_enabled(), lib.is_anomaly_check_nan_enabled()]
    lib.autograd.set_detect_anomaly(True)
    seen.append(lib.is_anomaly_enabled())
    lib.autograd.set_detect_anomaly(False)
    return [*seen, lib.is_anomaly_enabled()]


@program("modified by an inplace operation")
def version_error_in_anomaly_mode(lib):
    with lib.autograd.detect_anomaly():
        b = leaf(lib, 1, 2) * 1
        y = b.exp()
        y.add_(1)
        y.sum().backward()
