"""autograd's scipy modules: those of `tapegrad.scipy`, its convolution, each distribution as a module of its own."""

from __future__ import annotations

import sys

from ...scipy import integrate, linalg, special, stats
from . import signal

__path__: list[str] = []
for _module in (integrate, linalg, signal, special, stats):
    sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module
for _name in ("beta", "chi2", "dirichlet", "gamma", "multivariate_normal", "norm", "poisson", "t"):
    sys.modules[f"{__name__}.stats.{_name}"] = getattr(stats, _name)
