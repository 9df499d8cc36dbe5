"""Methods of `Tensor`, by topic; importing this package attaches them.

Names that NumPy's arrays and PyTorch's tensors give different meanings keep NumPy's, unless a keyword says that
PyTorch's is wanted (``dim=``, ``keepdim=`` and the like); `docs/guides/methods.md` lists them.
"""

from . import elementwise, reductions, shaping, parts, rearranging, selecting, products, facts, copying  # noqa: F401, I001
from . import placing, ranking, resizing, writing, standard, flat, arrays  # noqa: F401
