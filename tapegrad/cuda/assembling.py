"""PTX to machine code where there is no device, by nvJitLink.

The assembler takes several kernels as one text, in two thirds of the time that they take one by one; what it reports is
told apart by names. Kernels that differ in their names only, such as those of ``jv`` and ``jve``, are one text.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from . import toolchain

__all__ = ["TOGETHER", "assembled", "joined"]

TOGETHER = 48
"""Kernels that are assembled as one text."""
_HEAD = ".address_size 64\n"
_NAMES = re.compile(r"(?<![\w$%.])(_[\w$]+?)(_param_\d+)?(?![\w$])")
"""What a kernel's module names: Numba and NVVM begin such names with an underscore."""
_OURS = re.compile(r"K(\d+)_\d+")


def assembled(kernels: Sequence[Any], architectures: tuple[tuple[int, int], ...]) -> list[Any]:
    """Compile kernels to machine code for architectures, whether there is such a device or not.

    Parameters
    ----------
    kernels : sequence
        From `toolchain.lowered`; an error stands for a kernel that could not be lowered.
    architectures : tuple of (int, int)
        Compute capabilities.

    Returns
    -------
    list
        For each kernel the error that it met, or for each architecture ``{"registers", "spills", "stack", "shared",
        "ptx", "sass", "barrier"}``: numbers, of which "ptx" and "sass" are the sizes of both forms in bytes; "barrier"
        tells whether there is one of the whole grid.
    """
    made: list[Any] = [_forms(kernel, architectures) for kernel in kernels]
    good = [k for k, texts in enumerate(made) if isinstance(texts, dict)]
    found: list[Any] = [{} if k in good else error for k, error in enumerate(made)]
    for cc in architectures:
        for k, sizes in zip(good, _assembled([made[k][cc] for k in good], cc), strict=True):
            if isinstance(sizes, Exception):
                found[k] = sizes
            elif isinstance(found[k], dict):
                found[k][cc] = sizes
    return found


def _forms(kernel: Any, architectures: tuple[tuple[int, int], ...]) -> Any:
    if isinstance(kernel, Exception):
        return kernel
    try:
        return toolchain.forms(kernel, architectures)
    except Exception as error:  # it is the caller's to judge
        return error


def _assembled(texts: list[str], cc: tuple[int, int]) -> Iterator[Any]:
    """Sizes of each text's machine code, or the error."""
    kinds = {_body(text): text for text in texts}
    found = dict(zip(kinds, _of_each(list(kinds.values()), cc), strict=True))
    for text in texts:
        sizes = found[_body(text)]
        yield sizes if isinstance(sizes, Exception) else {**sizes, "ptx": len(text)}


def _of_each(texts: list[str], cc: tuple[int, int]) -> Iterator[Any]:
    """The same for different texts: together, or one by one where that fails."""
    try:
        yield from _linked(texts, cc)
    except Exception:  # which of them it was, and why, is found out below
        for text in texts:
            try:
                yield from _linked([text], cc)
            except Exception as error:
                yield error


def joined(texts: list[str]) -> str:
    """Several modules as one, in which the names of number k begin with ``K{k}_``."""
    head = texts[0].partition(_HEAD)[0] + _HEAD
    return head + "\n".join([_body(text).replace("K_", f"K{k}_") for k, text in enumerate(texts)])


def _body(text: str) -> str:
    """A module without its head, whose names are ``K_0``, ``K_1`` ... in the order of their use."""
    return _named_in_order(text.partition(_HEAD)[2])


@functools.lru_cache(2 * TOGETHER)
def _named_in_order(body: str) -> str:
    known: dict[str, str] = {}

    def renamed(found: re.Match) -> str:
        return known.setdefault(found[1], f"K_{len(known)}") + (found[2] or "")

    return _NAMES.sub(renamed, body)


def _linked(texts: list[str], cc: tuple[int, int]) -> list[dict]:
    """Sizes of what the assembler makes of modules."""
    from cuda.bindings import nvjitlink

    ptx = joined(texts).encode().rstrip(b"\0") + b"\0"
    handle = nvjitlink.create(3, [f"-arch=sm_{cc[0]}{cc[1]}", "-verbose", "-Xptxas=-v"])
    try:
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, ptx, len(ptx), "kernels.ptx")
        if any(".extern" in text for text in texts):
            nvjitlink.add_file(handle, nvjitlink.InputType.LIBRARY, toolchain.device_runtime())
        nvjitlink.complete(handle)
        image = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, image)
        log = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, log)
    finally:
        nvjitlink.destroy(handle)
    code = _code_sizes(bytes(image))
    reports = _reports(log.decode())
    return [
        {"sass": code[k], **_sizes(reports[k]), "barrier": "cudaCGSynchronize" in text} for k, text in enumerate(texts)
    ]


def _code_sizes(image: bytes) -> dict[int, int]:
    """Bytes of machine code by kernel, from the table of sections (ELF, 64 bits)."""
    if image[:4] != b"\x7fELF":
        raise RuntimeError("the assembler made no machine code")
    (table,) = struct.unpack_from("<Q", image, 0x28)
    size, count, names = struct.unpack_from("<HHH", image, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", image, table + k * size) for k in range(count)]
    found: dict[int, int] = {}
    for name, _, _, _, _, length in sections:
        begin = sections[names][4] + name
        ours = _OURS.fullmatch(image[begin : image.index(b"\0", begin)].decode().removeprefix(".text."))
        if ours and image[begin:].startswith(b".text."):
            found[int(ours[1])] = found.get(int(ours[1]), 0) + length
    return found


def _reports(log: str) -> dict[int, str]:
    """The assembler's lines by kernel."""
    found: dict[int, str] = {}
    current = -1
    for line in log.splitlines():
        if "entry function" in line or "properties for" in line:
            ours = _OURS.search(line)
            current = int(ours[1]) if ours else current
        found[current] = found.get(current, "") + line + "\n"
    return found


def _sizes(report: str) -> dict:
    """What the assembler reports: the most of each over a kernel and the functions that it calls."""

    def most(pattern: str) -> int:
        return max([int(n) for n in re.findall(pattern, report)], default=0)

    return {
        "registers": most(r"used (\d+) registers"),
        "stack": most(r"(\d+) stack,"),
        "spills": most(r"(\d+) bytes spill stores"),
        "shared": most(r"(\d+) bytes smem"),
    }
