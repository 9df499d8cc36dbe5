"""Where compiled code is kept between processes: one checksummed file for each group of functions.

The folder is named after a hash of every source file of this folder, the versions of Numba and llvmlite and the
processor: any change starts an empty folder, and old ones are pruned.  Where nothing can be written nothing is
kept, and a file that is damaged counts as missing; neither is an error.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["read", "state", "write"]

FOLDERS_KEPT = 3
_HERE = Path(__file__).parent
_DIGEST = hashlib.sha256().digest_size


def read(name: str) -> bytes | None:
    """What was written under a file name; None where there is nothing, or it is damaged."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            content = (folder / name).read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                return content[_DIGEST:]
    return None


def write(name: str, data: bytes) -> None:
    """Keep `data` where it can be kept; readers see all of it or nothing."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            _write_whole(folder / name, hashlib.sha256(data).digest() + data)


def state() -> dict[str, Any]:
    """The folder that code is written to (None if there is none), how many files it has, and their bytes."""
    folder = next((folder for folder in _folders() if os.access(folder, os.W_OK)), None)
    files = [] if folder is None else [path for path in folder.iterdir() if path.suffix == ".o"]
    return {
        "folder": None if folder is None else str(folder),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
    }


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _folders() -> Iterator[Path]:
    """Folders of this version, created if need be, up to the first that can be written: later ones are not used."""
    version = _version()
    for base in _bases() if version is not None else ():
        folder = base / version
        try:
            created = not folder.is_dir()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_trusted(folder):
                continue
        except OSError:
            continue
        if created:
            _prune(folder)
        yield folder
        if os.access(folder, os.W_OK):
            return


def _bases() -> Iterator[Path]:
    for variable, tail in (("TAPEGRAD_CACHE_DIR", ""), ("NUMBA_CACHE_DIR", "tapegrad"), ("XDG_CACHE_HOME", "tapegrad")):
        if os.environ.get(variable):
            yield Path(os.environ[variable], tail)
    with contextlib.suppress(RuntimeError):  # no home folder
        yield Path.home() / ".cache" / "tapegrad"
    import tempfile  # slow to import, and hardly ever needed

    user = os.getuid() if hasattr(os, "getuid") else "user"
    with contextlib.suppress(OSError):  # no temporary folder either
        yield Path(tempfile.gettempdir(), f"tapegrad-{user}")


def _is_trusted(folder: Path) -> bool:
    """Whether nobody but this user and the administrator could have put code there."""
    return not hasattr(os, "getuid") or folder.stat().st_uid in (0, os.getuid())


@functools.cache
def _version() -> str | None:
    """Name of the folder: a hash of what the compiled code depends on; None where that cannot be told."""
    from .native import processor

    digest = hashlib.sha256("\0".join(processor()).encode())
    try:
        sources = sorted(_HERE.glob("*.py"))
        if not sources:  # an archive, or sources that were not installed
            return None
        for path in (*sources, *map(_version_file, ("numba", "llvmlite"))):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    except OSError:
        return None
    return digest.hexdigest()[:16]


def _version_file(package: str) -> Path:
    """The source that holds a package's version: importing Numba, or its metadata, would take longer than all else."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(package)
    return Path(spec.origin).with_name("_version.py")


def _prune(keep: Path) -> None:
    """Delete all but the newest folders of other versions."""
    import shutil

    with contextlib.suppress(OSError):
        old = [path for path in keep.parent.iterdir() if path.is_dir() and _is_ours(path.name) and path != keep]
        old.sort(key=_modified, reverse=True)
        for path in old[FOLDERS_KEPT - 1 :]:
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(name: str) -> bool:
    return len(name) == 16 and set(name) <= set("0123456789abcdef")


def _modified(path: Path) -> float:
    return path.stat().st_mtime
