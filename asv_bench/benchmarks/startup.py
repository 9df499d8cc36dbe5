"""Start, each in a Python process of its own: importing tapegrad, and the first gradient."""

GRADIENT = "import numpy as np, tapegrad as tg; tg.grad(lambda x: np.sum(np.sin(x) * x))(np.ones(3))"


def timeraw_import_numba():
    """What tapegrad imports in any case."""
    return "import numba"


def timeraw_import():
    return "import tapegrad"


def timeraw_first_gradient():
    """With the compiled interpreter read from its cache."""
    return GRADIENT


def timeraw_first_gradient_ever():
    """With an empty cache."""
    return f"""
import os, tempfile
with tempfile.TemporaryDirectory() as folder:
    os.environ["TAPEGRAD_CACHE_DIR"] = folder
    {GRADIENT}
"""


def fill_cache():
    exec(GRADIENT, {})


timeraw_first_gradient.setup = fill_cache
timeraw_first_gradient_ever.number = timeraw_first_gradient_ever.repeat = 1
timeraw_first_gradient_ever.timeout = 300
