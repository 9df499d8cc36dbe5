"""Who is compared: each makes, from a case, a function without arguments that returns value and gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

import tapegrad as tg


class Namespace:
    """A library's module, and its `grad`, which nested problems use."""

    def __init__(self, module, grad, **more):
        self.__dict__.update(more, grad=grad)
        self._module = module

    def __getattr__(self, name):
        found = getattr(self._module, name)
        setattr(self, name, found)
        return found


def convert(function, parameters):
    return [function(p) for p in parameters] if isinstance(parameters, list) else function(parameters)


def leaves(results):
    return list(results) if isinstance(results, (list, tuple)) else [results]


def functional(case, xp, value_and_grad, array=np.asarray, finish=None):
    """By a transformation of functions; `finish` is applied to what is called in the end."""
    function = case.over(xp)
    if not case.problem.is_step:
        function = value_and_grad(function)
    if finish:
        function = finish(function)
    parameters, data = convert(array, case.parameters), [array(d) for d in case.data]
    return lambda: function(parameters, *data)


def tapegrad_dynamic(case):
    return functional(case, Namespace(np, tg.grad), tg.value_and_grad)


def tapegrad_compiled(case):
    made = []

    def finish(function):
        made.append(tg.compile(function))
        return made[0]

    step = functional(case, Namespace(np, tg.grad), tg.value_and_grad, finish=finish)
    step.settle = lambda: made[0].optimize()  # what the background thread would do meanwhile
    return step


def by_backward(case, tensor, function):
    """By leaves and `backward`."""
    if case.problem.is_step:
        parameters, data = convert(tensor, case.parameters), [tensor(d) for d in case.data]
        return lambda: [r.detach() for r in function(parameters, *data)]
    parameters = convert(lambda p: tensor(p, requires_grad=True), case.parameters)
    data = [tensor(d) for d in case.data]

    def step():
        for leaf in leaves(parameters):
            leaf.grad = None
        value = function(parameters, *data)
        value.backward()
        return value.detach(), convert(lambda p: p.grad, parameters)

    return step


def tapegrad_eager(case):
    if case.problem.nested:
        raise LookupError("leaves and backward() have no derivatives inside of a function")
    return by_backward(case, tg.tensor, case.over(Namespace(np, tg.grad)))


def hips_autograd(case):
    import autograd

    return functional(case, Namespace(autograd.numpy, autograd.grad), autograd.value_and_grad)


def torch_namespace():
    """PyTorch's functions under NumPy's names."""
    import torch

    def grad(function):
        def gradient(x):
            with torch.enable_grad():
                x = x.clone() if x.requires_grad else x.detach().requires_grad_()  # another than what `function` holds
                (found,) = torch.autograd.grad(function(x), x, create_graph=True)
            return found

        return gradient

    def maximum(x, y):
        return torch.clamp_min(x, y)

    def where(condition, x, y):
        return torch.where(condition, torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))

    def ones(n):
        return torch.ones(n, dtype=torch.float64)

    names = ("exp", "log", "sin", "cos", "tanh", "sqrt", "sum", "mean", "concatenate", "matmul", "stack", "swapaxes")
    plain = {name: getattr(torch, name) for name in names}
    given = {"grad": grad, "maximum": maximum, "where": where, "ones": ones, "asarray": torch.as_tensor}
    return SimpleNamespace(
        max=axis_or_all(torch.amax), min=axis_or_all(torch.amin), **{**plain, **given, "stack": stack}
    )


def stack(arrays, axis=0):
    import torch

    return torch.stack(arrays, axis)


def axis_or_all(function):
    def reduce(x, axis=(), keepdims=False):
        return function(x, axis, keepdims)

    return reduce


def torch_eager(case):
    import torch

    return by_backward(case, torch.tensor, case.over(torch_namespace()))


def torch_compiled(case):
    import torch

    torch._dynamo.reset()
    return by_backward(case, torch.tensor, torch.compile(case.over(torch_namespace())))


def ready(step):
    """JAX returns before it is done; outputs of one computation are ready together."""

    def finished():
        result = step()
        result[0].block_until_ready()
        return result

    return finished


def jax_plain(case):
    import jax

    xp = Namespace(jax.numpy, jax.grad)
    return ready(functional(case, xp, jax.value_and_grad, jax.numpy.asarray, jax.jit))


def jax_own_form(case):
    """As JAX's users would write it, where that is another way."""
    import jax

    if case.problem.jax is None:
        raise LookupError("the plain form is JAX's own")
    function = case.problem.jax
    if not case.problem.is_step:
        function = jax.value_and_grad(function)
    function = jax.jit(function)
    array = jax.numpy.asarray
    parameters, data = convert(array, case.parameters), [array(d) for d in case.data]
    return ready(lambda: function(parameters, *data))


def advect_staged(case):
    """Traced once, as `tapegrad.compile` does: its programs take arrays of the shapes that they were staged for."""
    import advect

    def finish(function):
        programs = []

        def call(*arguments):
            if not programs:
                programs.append(advect.stage(function, *arguments))
            return programs[0](*arguments)

        return call

    return functional(case, Namespace(np, advect.grad), advect.value_and_grad, finish=finish)


def by_hand(case):
    """Gradients written by hand, in Numba or NumPy."""
    if case.problem.floor is None:
        raise LookupError("nobody has written this one by hand")
    return case.problem.floor(case.parameters, *case.data)


@dataclass(frozen=True)
class Contender:
    """A library's way; `rival` is whose time its own is divided by."""

    name: str
    make: Callable
    needs: str = "tapegrad"
    rival: str = "tapegrad compiled"
    builds_code: bool = False  # unrolled programs take minutes


CONTENDERS = (
    Contender("tapegrad", tapegrad_dynamic, rival="tapegrad"),
    Contender("tapegrad eager", tapegrad_eager, rival="tapegrad"),
    Contender("autograd", hips_autograd, "autograd", rival="tapegrad"),
    Contender("PyTorch", torch_eager, "torch", rival="tapegrad"),
    Contender("tapegrad compiled", tapegrad_compiled),
    Contender("torch.compile", torch_compiled, "torch", builds_code=True),
    Contender("advect staged", advect_staged, "advect"),
    Contender("JAX jit", jax_plain, "jax", builds_code=True),
    Contender("JAX own form", jax_own_form, "jax"),
    Contender("by hand", by_hand),
)
