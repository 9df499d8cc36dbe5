"""Threads: gradient modes, graphs that another thread sweeps, hooks and leaves that are shared."""

from __future__ import annotations

import threading

from .table import leaf, program


def elsewhere(run):
    """The result of a function run in a thread of its own; its error is raised here."""
    found = []

    def work():
        try:
            found.append((run(), None))
        except Exception as error:
            found.append((None, error))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    result, error = found[0]
    if error is not None:
        raise error
    return result


@program()
def modes_belong_to_a_thread(lib):
    with lib.no_grad():
        inside, other = lib.is_grad_enabled(), elsewhere(lib.is_grad_enabled)
    elsewhere(lambda: lib.set_grad_enabled(False))
    return inside, other, lib.is_grad_enabled()


@program()
def graph_made_there_and_swept_here(lib):
    x = leaf(lib, 1, 2)
    y = elsewhere(lambda: (x * x).exp())
    (y * x).sum().backward()
    return x.grad


@program()
def graph_made_here_and_swept_there(lib):
    x = leaf(lib, 1, 2)
    y = (x * x).exp().sum()
    elsewhere(y.backward)
    return x.grad


@program()
def gradients_accumulate_over_threads(lib):
    x = leaf(lib, 1, 2)
    for k in range(3):
        elsewhere(lambda k=k: (x * k).sum().backward())
    return x.grad


@program()
def write_there_is_noticed_here(lib):
    x = leaf(lib, 1, 2)
    y = x * 1
    z = y * y
    elsewhere(lambda: y.detach().add_(1))
    try:
        z.sum().backward()
    except RuntimeError as error:
        return "modified by an inplace operation" in str(error), y._version


@program()
def written_there_with_history(lib):
    x = leaf(lib, 1, 2)
    y = x * 1
    elsewhere(lambda: y.mul_(3))
    (y * y).sum().backward()
    return x.grad, y._version


@program()
def view_made_there_written_here(lib):
    x = leaf(lib, 1, 2, 3)
    y = x * 2
    v = elsewhere(lambda: y[1:])
    v.mul_(5)
    (y * y).sum().backward()
    return x.grad, v._base is y


@program("Trying to backward through the graph a second time")
def freed_there(lib):
    y = leaf(lib, 1, 2).exp().sum()
    elsewhere(y.backward)
    y.backward()


@program("mine")
def error_in_a_hook_comes_through(lib):
    def hook(g):
        raise ValueError("mine")

    y = leaf(lib, 1, 2) * 2
    y.register_hook(hook)
    elsewhere(y.sum().backward)


@program()
def hooks_run_where_the_sweep_runs(lib):
    x, seen = leaf(lib, 1, 2), []
    y = x * 2
    y.register_hook(lambda g: seen.append(threading.get_ident()))
    here = threading.get_ident()
    elsewhere(y.sum().backward)
    return len(seen), seen[0] != here


@program()
def function_called_there(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(lib, 1, 2)
    elsewhere(lambda: Double.apply(x)).sum().backward()
    return x.grad


@program()
def inference_belongs_to_a_thread(lib):
    with lib.inference_mode():
        other = elsewhere(lambda: (lib.is_inference_mode_enabled(), lib.ones(1).is_inference()))
        here = lib.ones(1).is_inference()
    return other, here
