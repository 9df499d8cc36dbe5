"""Programs for `test_torch_differential`, by subject."""

from . import checks, functionals, functions, graphs, hooks, modes, sweeps, tensors, transforms, views, writes  # noqa: F401 -- they fill the table
from .table import PROGRAMS

__all__ = ["PROGRAMS"]
