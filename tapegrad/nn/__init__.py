"""Building blocks of networks: `tapegrad.nn.functional` and `tapegrad.nn.utils`, under PyTorch's names."""

from . import functional, utils

__all__ = ["functional", "utils"]
