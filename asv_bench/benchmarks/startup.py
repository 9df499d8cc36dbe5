"""Start: a whole Python process each time, the interpreter's own start included (`timeraw_python`)."""

GRADIENT = "import numpy as np, tapegrad as tg; tg.grad(lambda x: np.sum(np.sin(x) * x))(np.ones(3))"


def timeraw_python():
    return "import numpy"


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


timeraw_first_gradient_ever.number = timeraw_first_gradient_ever.repeat = 1

timeraw_first_gradient_ever.timeout = 300
