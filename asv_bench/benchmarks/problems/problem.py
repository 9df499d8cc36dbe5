"""What a benchmark problem is: a scalar function over a NumPy-like namespace, and inputs of several sizes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SIZES = ("tiny", "small", "medium", "large")


@dataclass(frozen=True)
class Problem:
    """A scalar function of parameters, and how to make its inputs.

    Attributes
    ----------
    name : str
    sizes : dict
        Arguments of `make`, by the size's name.
    make : callable
        ``make(rng, *size)`` returns the parameters (an array or a list of arrays) and the data (a tuple of arrays).
    value : callable
        ``value(xp, parameters, *data)``: the function, over `numpy` or another library's namespace of the same names
        (which has `grad`, too).
    jax : callable, optional
        ``jax(parameters, *data)``: the form that JAX's users would write, where it is another one (`lax.scan` ...).
    torch : callable, optional
        The same for PyTorch.
    floor : callable, optional
        ``floor(parameters, *data)`` returns a function without arguments that computes value and gradients by code that
        was written by hand, into arrays that it owns.
    unrolled : tuple of str
        Sizes for which the plain form is too long for compilers that build code for it (minutes).
    tolerance : float
        Of the largest error, relative to the largest element.
    is_step : bool
        `value` computes gradients itself, and its results are what is timed.
    nested : bool
        `value` takes gradients.
    """

    name: str
    sizes: dict[str, tuple]
    make: Callable
    value: Callable
    jax: Callable | None = None
    torch: Callable | None = None
    floor: Callable | None = None
    unrolled: tuple[str, ...] = ()
    tolerance: float = 1e-9
    is_step: bool = False
    nested: bool = False

    def case(self, size: str) -> Case:
        """The problem at one size; the same inputs each time."""
        rng = np.random.default_rng(zlib.crc32(f"{self.name} {size}".encode()))
        parameters, data = self.make(rng, *self.sizes[size])
        return Case(self, size, parameters, data)

    def cases(self) -> list[Case]:
        """All sizes."""
        return [self.case(size) for size in self.sizes]


@dataclass
class Case:
    """A problem with its inputs."""

    problem: Problem
    size: str
    parameters: Any = field(repr=False)
    data: tuple = field(repr=False)

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.problem.name}, {self.size}"

    @property
    def unrolled(self) -> bool:
        """Whether the plain form is too long for compilers that build code for it."""
        return self.size in self.problem.unrolled

    def over(self, xp: Any) -> Callable:
        """The plain form as a function of its arrays alone."""

        def function(parameters, *data):
            return self.problem.value(xp, parameters, *data)

        return function
