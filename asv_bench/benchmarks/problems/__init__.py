"""The problems that are timed, here and beside other libraries (scripts/compare_peers.py).

Those that others compare by as well (ADBench, GradBench) are written from their published definitions.
"""

from . import ba, chain, determinant, elementary, finance, gmm, ht, kmeans, lstm, nested, networks, ode
from .problem import SIZES, Case, Problem

__all__ = ["PROBLEMS", "SIZES", "Case", "Problem"]

PROBLEMS = (
    gmm.PROBLEM,
    ba.PROBLEM,
    lstm.PROBLEM,
    ht.PROBLEM,
    kmeans.PROBLEM,
    ode.PROBLEM,
    elementary.LSE,
    determinant.PROBLEM,
    elementary.LLSQ,
    nested.SADDLE,
    nested.PARTICLE,
    elementary.ROSENBROCK,
    finance.PROBLEM,
    networks.MLP,
    networks.CNN,
    chain.OPERATORS,
    chain.FUNCTIONS,
    nested.HMC,
    elementary.EXPRESSION,
    networks.TUTORIAL,
)
