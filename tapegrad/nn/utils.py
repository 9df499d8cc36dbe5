"""What is done to parameters and their gradients as a whole, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..autograd.modes import no_grad
from ..creation import tensor
from ..tape.handle import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def _listed(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale gradients, in place, so that the norm of all of them together is at most `max_norm`.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without `.grad` are left out.
    max_norm : float
    norm_type : float
        Order of the norm; ``float("inf")`` is the largest magnitude.
    error_if_nonfinite : bool
        Raise, rather than scale by zero or NaN, where the norm is infinite or NaN.

    Returns
    -------
    Tensor
        The norm as it was before, without axes.

    Raises
    ------
    RuntimeError
        If the norm is not finite, and `error_if_nonfinite` is true.

    Examples
    --------
    >>> import tapegrad as tg
    >>> w = tg.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> tg.nn.utils.clip_grad_norm_(w, 1.0)
    tensor(5.)
    >>> [round(g, 4) for g in w.grad.tolist()]
    [0.6, 0.8]
    """
    gradients = [p.grad for p in _listed(parameters) if p.grad is not None]
    with no_grad():
        norms: Any = [np.linalg.norm(g.reshape(-1), norm_type) for g in gradients]
        total: Any = np.linalg.norm(np.stack(norms), norm_type) if norms else tensor(0.0)
        if error_if_nonfinite and not np.isfinite(total.item()):
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is non-finite ({total.item()}), "
                f"so it cannot be clipped. To scale the gradients by it all the same, pass error_if_nonfinite=False"
            )
        scale = np.minimum(max_norm / (total + 1e-6), 1.0)
        for g in gradients:
            g *= scale.astype(g.dtype)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip each element of the gradients, in place, to at most `clip_value` and at least its negative.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without `.grad` are left out.
    clip_value : float
    """
    with no_grad():
        for p in _listed(parameters):
            if p.grad is not None:
                p.grad.clamp_(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of several tensors, one after the other; gradients flow back to the tensors.

    Parameters
    ----------
    parameters : iterable of Tensor

    Returns
    -------
    Tensor
        With one axis.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tg.nn.utils.parameters_to_vector([tg.ones(2), tg.zeros((1, 2))])
    tensor([1., 1., 0., 0.])
    """
    flat: Any = np.concatenate([p.reshape(-1) for p in parameters])
    return flat


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the elements of a vector into tensors, in their order.

    Parameters
    ----------
    vec : Tensor
        As `parameters_to_vector` makes it.
    parameters : iterable of Tensor
        Written in place.
    """
    at = 0
    with no_grad():
        for p in parameters:
            p[...] = vec[at : at + p.size].reshape(p.shape)
            at += p.size
