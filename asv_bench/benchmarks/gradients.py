"""Value and gradient: cost of an operation, of the reverse sweep, of every problem."""

from types import SimpleNamespace

import numpy as np

import tapegrad as tg

from .problems import PROBLEMS, finance

NAMESPACE = SimpleNamespace(**{name: getattr(np, name) for name in np.__all__}, grad=tg.grad)


def ready(function, mode, *arguments):
    """The function, called once; compiled if the mode is, machine code included."""
    if mode == "dynamic":
        function(*arguments)
        return function
    step = tg.compile(function, native=mode == "compiled")
    step(*arguments)
    return step.optimize() if mode == "compiled" else step


def chain(x, operations):
    y = x
    for _ in range(operations // 3):
        y = y * x * 0.5 + x
    return y.sum() if np.ndim(x) else y


class Chain:
    """Value and gradient of 300 operators (30 at 10^6 elements): divide by that for the cost of one."""

    params = (["dynamic", "interpreted", "compiled"], ["scalar", 3, 1000, 1_000_000])
    param_names = ("mode", "elements")

    def setup(self, mode, elements):
        operations = 30 if elements == 1_000_000 else 300
        self.x = np.float64(0.5) if elements == "scalar" else np.linspace(0.1, 0.9, elements)
        self.step = ready(tg.value_and_grad(lambda x: chain(x, operations)), mode, self.x)

    def time_value_and_grad(self, mode, elements):
        self.step(self.x)


class Reverse:
    """The reverse sweep alone, of a chain that was run before."""

    params = ([300, 30_000], [3, 1000])
    param_names = ("operations", "elements")

    def setup(self, operations, elements):
        x = tg.tensor(np.linspace(0.1, 0.9, elements), requires_grad=True)
        self.y = chain(x, operations)
        self.y.item()
        self.y.backward(retain_graph=True)

    def time_backward(self, operations, elements):
        self.y.backward(retain_graph=True)


class Problems:
    """Value and gradient of every problem that peers are compared by, small and medium."""

    params = (["dynamic", "interpreted", "compiled"], [problem.name for problem in PROBLEMS], ["small", "medium"])
    param_names = ("mode", "problem", "size")

    def setup(self, mode, name, size):
        case = next(problem for problem in PROBLEMS if problem.name == name).case(size)
        function = case.over(NAMESPACE)
        if not case.problem.is_step:
            function = tg.value_and_grad(function)
        self.arguments = case.parameters, *case.data
        self.step = ready(function, mode, *self.arguments)

    def time_value_and_grad(self, mode, name, size):
        self.step(*self.arguments)


class Paths:
    """Value and all gradients of 10^6 paths by `map`, into new arrays and given ones, and by hand into given ones."""

    params = ["new", "given", "by hand"]
    param_names = ("results",)

    def setup(self, results):
        inputs = finance.paths(1_000_000)
        value, bars = np.empty(1_000_000), np.empty((5, 1_000_000))
        if results == "by hand":
            self.step = lambda: finance.payoffs(*inputs, value, bars)
        else:
            step = tg.compile(tg.value_and_grad(finance.payoff, argnums=(0, 1, 2, 3, 4)))
            out = None if results == "new" else (value, tuple(bars))
            self.step = lambda: step.map(*inputs, out=out)
            self.step()
            step.optimize()
        self.step()

    def time_value_and_grad(self, results):
        self.step()
