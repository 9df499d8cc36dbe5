"""Building blocks of networks: `tapegrad.nn.functional`, under PyTorch's names."""

from . import functional

__all__ = ["functional"]
