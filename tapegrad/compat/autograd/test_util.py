"""autograd's checks of derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from ...checking import check_grads as _check
from .operators import of_argument

__all__ = ["check_equivalent", "check_grads", "check_jvp", "check_vjp", "combo_check"]


def _checked(f: Callable, x: Any, modes: Sequence[str] = ("fwd", "rev"), order: int = 2) -> None:
    _check(f, (x,), order=order, modes=tuple(modes))


check_grads = of_argument(_checked)
check_grads.__doc__ = "Compare derivatives with finite differences: ``check_grads(f, argnum=0, modes, order)(*args)``."


def check_vjp(f: Callable, x: Any) -> None:
    """Compare the reverse mode with finite differences."""
    _check(f, (x,), modes=("rev",))


def check_jvp(f: Callable, x: Any) -> None:
    """Compare the forward mode with finite differences."""
    _check(f, (x,), modes=("fwd",))


def check_equivalent(x: Any, y: Any) -> None:
    """Whether two values have the same structure and are almost equal."""
    left, right = optree.tree_flatten(x), optree.tree_flatten(y)
    assert left[1] == right[1], f"structures differ: {left[1]} and {right[1]}"
    for a, b in zip(left[0], right[0], strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6, atol=1e-6)


def combo_check(fun: Callable, *args: Any, **kwargs: Any) -> Callable:
    """Check a function at all combinations of arguments: ``combo_check(fun, argnum)([a, b], [c, d], axis=[0, 1])``."""

    def check(*choices: Sequence[Any], **named: Sequence[Any]) -> None:
        for chosen in itertools.product(*choices):
            for values in itertools.product(*named.values()):
                options = dict(zip(named, values, strict=True))
                check_grads(fun, *args, **kwargs)(*chosen, **options)

    return check
