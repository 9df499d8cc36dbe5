"""autograd's scipy modules: those of `tapegrad.scipy`, with each distribution as a module of its own."""

from __future__ import annotations

import sys

from ...scipy import linalg, signal, special, stats

__path__: list[str] = []
for _name, _module in (("linalg", linalg), ("signal", signal), ("special", special), ("stats", stats)):
    sys.modules[f"{__name__}.{_name}"] = _module
for _name in ("beta", "chi2", "dirichlet", "gamma", "multivariate_normal", "norm", "poisson", "t"):
    sys.modules[f"{__name__}.stats.{_name}"] = getattr(stats, _name)
