"""What can go wrong while a function is recorded for replay."""

__all__ = ["ConcretisationError"]


class ConcretisationError(TypeError):
    """A traced value was asked for while a function is being recorded for replay."""
