"""Programs for `test_torch_differential`, by subject."""

from . import (  # noqa: F401 -- they fill the table
    callbacks,
    calls,
    checks,
    functionals,
    functions,
    graphs,
    hooks,
    modes,
    networks,
    refusals,
    selections,
    sweeps,
    tensors,
    threads,
    transforms,
    views,
    writes,
)
from .table import PROGRAMS

__all__ = ["PROGRAMS"]
