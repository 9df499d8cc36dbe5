"""The reverse sweep and PyTorch's names around it."""
