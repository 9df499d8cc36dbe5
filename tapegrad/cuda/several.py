"""Special functions whose records are no ufuncs of one result: several results in one launch, and places of reach."""

from __future__ import annotations

import functools
from typing import Any

from . import scalars
from .elementwise import Step, launch_fused
from .memory import DeviceArray, dense
from .table import in_double, kernel

__all__ = ["launch_one", "launch_several"]

SEVERAL = sorted({name.partition(" ")[0] for name, _ in scalars.SCALARS if " " in name})
"""Records of ufuncs with several results: their functions stand under the record's name and the result's number."""
ONE = ("gamma_reach", "beta_reach", "t_reach", "numpy_i0")


def launch_several(name: str, device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """All results, stacked along the first axis."""
    kinds = tuple([a.dtype for a in arrays])
    made = device.empty(out)
    part = dense(out.shape[1:], out.dtype)
    steps: list[Step] = []
    outputs = []
    for k in range(out.shape[0]):
        plan = in_double(f"{name} {k}", kinds, out.dtype)
        if plan is None:
            return None
        steps += _moved(plan, len(arrays), len(steps))
        outputs.append((len(arrays) + len(steps) - 1, made.view(part, k * part.nbytes)))
    launch_fused(device, steps, arrays, outputs, part.shape)
    return made


def _moved(plan: list, inputs: int, before: int) -> list[Step]:
    """Steps after others: places of their results are higher."""
    return [Step(n, tuple([p if p < inputs else p + before for p in places]), k, d) for n, places, k, d in plan]


def launch_one(name: str, device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """One result for each element of the broadcast operands."""
    plan = in_double(name, tuple([a.dtype for a in arrays]), out.dtype)
    if plan is None:
        return None
    made = device.empty(out)
    steps = _moved(plan, len(arrays), 0)
    launch_fused(device, steps, arrays, [(len(arrays) + len(steps) - 1, made)], out.shape)
    return made


for _name in SEVERAL:
    kernel(_name)(functools.partial(launch_several, _name))
for _name in ONE:
    kernel(_name)(functools.partial(launch_one, _name))
