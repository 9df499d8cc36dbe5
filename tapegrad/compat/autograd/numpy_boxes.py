"""autograd's name for the class of arrays that are traced."""

from __future__ import annotations

from ...tape.handle import Tensor

__all__ = ["ArrayBox"]

ArrayBox = Tensor
