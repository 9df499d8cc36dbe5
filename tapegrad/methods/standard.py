"""What the Array API standard asks of an array object beyond what NumPy's arrays and PyTorch's tensors have."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from ..creation import from_numpy, tensor
from ..primitives.core import ops
from ..tape.current import escape
from ..tape.handle import Tensor, attach
from ..values import value_of

__all__ = ["REVISIONS", "check_device", "from_dlpack"]

REVISIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
"""Revisions of the standard that `tapegrad.numpy` follows: each contains the one before."""


def check_device(device: Any) -> None:
    """Refuse a device that is not the CPU."""
    if device is not None and device != "cpu":
        raise ValueError(f"device={device!r}: tensors live on the CPU, and there is no other device; leave it out")


def _namespace(self: Tensor, /, *, api_version: str | None = None) -> ModuleType:
    """The namespace of the Array API standard: `tapegrad.numpy`.

    Parameters
    ----------
    api_version : str, optional
        Revision of the standard, such as ``"2024.12"``.

    Raises
    ------
    ValueError
        If there is no such revision.
    """
    if api_version is not None and api_version not in REVISIONS:
        raise ValueError(f"api_version={api_version!r} is no revision that tapegrad follows: {', '.join(REVISIONS)}")
    return importlib.import_module("tapegrad.numpy")


def _to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """The tensor on a device: itself if it is there.

    Raises
    ------
    ValueError
        If there is no such device, or a stream is asked for.
    """
    if self._spec.device is not None or str(device).startswith("cuda"):
        return self.to(device)
    check_device(device)
    if stream is not None:
        raise ValueError("to_device: the CPU has no streams; leave stream out")
    return self


def _dlpack(
    self: Tensor,
    /,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule over the tensor's memory.

    Parameters
    ----------
    stream : None
        The CPU has none.
    max_version, dl_device, copy
        As in `numpy.ndarray.__dlpack__`.

    Raises
    ------
    BufferError
        If the tensor requires grad.
    """
    if self.requires_grad:
        raise BufferError(
            "Can't export tensors that require gradient: what another library computes would carry none. Use "
            "x.detach(), and x.detach().__dlpack__() by hand, to stop the gradient on purpose."
        )
    if self._spec.device is not None:
        return self._spec.device.lend(self)
    if copy:
        return value_of(self).copy().__dlpack__(stream=stream, **_version(max_version))
    capsule = value_of(self).__dlpack__(stream=stream, **_version(max_version), **_place(dl_device, copy))
    escape(self)
    return capsule


def _dlpack_device(self: Tensor) -> tuple[int, int]:
    """Kind and number of the device, as DLPack counts them: the CPU's memory is (1, 0)."""
    return (1, 0) if self._spec.device is None else self._spec.device.dlpack_device


def _version(max_version: tuple[int, int] | None) -> dict[str, Any]:
    return {} if max_version is None else {"max_version": max_version}


def _place(dl_device: tuple[int, int] | None, copy: bool | None) -> dict[str, Any]:
    """What NumPy 2.0 does not take is said only where it means something."""
    return ({} if dl_device is None else {"dl_device": dl_device}) | ({} if copy is None else {"copy": copy})


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over another library's array in the CPU's memory.

    Parameters
    ----------
    x : object
        Has ``__dlpack__`` and ``__dlpack_device__``.
    device : {"cpu", None}
    copy : bool, optional
        Whether to copy; by default only where it must be, as for read-only memory.

    Returns
    -------
    Tensor
        It shares memory with `x` unless it was copied; a tensor keeps its history.

    Raises
    ------
    BufferError
        If the memory cannot be shared and `copy` is False.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> tg.from_dlpack(np.arange(3.0))
    tensor([0., 1., 2.])
    """
    check_device(device)
    if isinstance(x, Tensor):
        return ops.copy(x) if copy else x
    array = np.from_dlpack(x)
    if copy or (copy is None and not array.flags.writeable):
        return tensor(array)
    if not array.flags.writeable:
        raise BufferError("from_dlpack: the memory is read-only, so it must be copied; leave out copy=False")
    return from_numpy(array)


attach(
    __array_namespace__=_namespace,
    to_device=_to_device,
    __dlpack__=_dlpack,
    __dlpack_device__=_dlpack_device,
)
