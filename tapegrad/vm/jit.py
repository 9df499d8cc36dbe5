"""How everything in this folder is compiled and cached: the jit options, the C loop signature, the cache folder.

Numba decides that a cached function is fresh by the text of the *one* file it stands in, so a changed callee in
another file would be a stale hit.  Here the cache folder is named after a hash of every source file of this folder:
any change starts an empty folder, and old ones are pruned.  Where no folder can be written nothing is cached, and
where a cache file is damaged the function is compiled again; neither is an error.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import os
import pickle
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import njit, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.ccallback import CFunc
from numba.core.serialize import dumps
from numba.extending import intrinsic as _intrinsic

OPTIONS = {"nogil": True, "error_model": "numpy"}
"""Options of every compiled function; the error model of NumPy, or `a / b` raises instead of vectorising."""

LOOP_SIGNATURE = types.void(*[types.CPointer(types.int64)] * 3, types.voidptr)
"""NumPy's inner loop, void(char **args, npy_intp *dims, npy_intp *steps, void *data), pointers in args as int64."""

intrinsic: Any = _intrinsic
"""`numba.extending.intrinsic`, whose type hints would count the typing context among a call's arguments."""

FOLDERS_KEPT = 3
_HERE = Path(__file__).parent


def jit(function: Callable | None = None, **options) -> Callable:
    """Compile `function` at its first call, free of the GIL, with NumPy's error model, cached on disk.

    Parameters
    ----------
    function : callable, optional
        A nopython function; without it a decorator is returned.
    **options
        Further options of `numba.njit`, such as ``inline="always"``.

    Returns
    -------
    dispatcher
        What `numba.njit` returns.

    Notes
    -----
    A change of any file in this folder, or of the function's own file, makes the cache stale.  A callee in
    another file outside this folder does not: keep such a kernel and its callees in one file.
    """
    if function is None:
        return functools.partial(jit, **options)
    dispatcher = njit(**{**OPTIONS, **options})(function)
    cache = _cache(function)
    if cache is not None and hasattr(dispatcher, "_cache"):  # NUMBA_DISABLE_JIT leaves the plain function
        dispatcher._cache = cache
    return dispatcher


class LoopKernel:
    """A function with NumPy's inner loop signature, compiled (or read from the cache) when its address is asked for.

    Parameters
    ----------
    function : callable
        ``function(args, dims, steps, data)`` in the nopython subset; see `LOOP_SIGNATURE`.
    name : str, optional
        Names the cache file; needed where one source line makes several kernels.
    """

    def __init__(self, function: Callable, name: str | None = None):
        if name is not None:
            function.__name__ = function.__qualname__ = name
        self.function = function
        self._compiled: Any = None
        self._lock = threading.Lock()

    @property
    def address(self) -> int:
        """Address of the compiled loop, valid as long as the process lives."""
        if self._compiled is None:
            with self._lock:
                if self._compiled is None:
                    self._compiled = self._compile()
        return self._compiled.address

    def _compile(self) -> Any:
        signature = (LOOP_SIGNATURE.args, LOOP_SIGNATURE.return_type)
        loop: Any = CFunc(self.function, signature, locals={}, options={"nopython": True, **OPTIONS})
        cache = _cache(self.function)
        if cache is not None:
            loop._cache = cache
        loop.compile()
        _ALIVE.append(loop)  # an address may outlive the LoopKernel
        return loop


def loop_kernel(function: Callable | None = None, *, name: str | None = None):
    """Decorator form of `LoopKernel`."""
    if function is None:
        return functools.partial(LoopKernel, name=name)
    return LoopKernel(function, name)


_ALIVE: list = []
_BOUND: dict[tuple[int, int], int] = {}
_BIND_LOCK = threading.Lock()


def bind_data(address: int, data: int) -> int:
    """Address of a loop that calls the loop at `address` with `data` as its fourth argument.

    One compiled loop so serves a whole family of functions.  It takes LLVM about two milliseconds, less than
    reading a kernel from the cache.
    """
    key = (address, data)
    with _BIND_LOCK:
        if key not in _BOUND:
            _BOUND[key] = _compile_binding(address, data)
        return _BOUND[key]


def _compile_binding(address: int, data: int) -> int:
    word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    loop_type = ir.FunctionType(ir.VoidType(), [pointer] * 4)
    module = ir.Module("bound")
    function = ir.Function(module, loop_type, "bound")
    builder = ir.IRBuilder(function.append_basic_block())
    loop = builder.inttoptr(word(address), loop_type.as_pointer())
    builder.call(loop, [*function.args[:3], builder.inttoptr(word(data), pointer)], tail=True)
    builder.ret_void()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=1, jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(module)), machine)
    engine.finalize_object()
    _ALIVE.append(engine)
    return engine.get_function_address("bound")


# --- the cache ---------------------------------------------------------------------------------------------------


def _candidates():
    """Base folders for the cache, the preferred first."""
    for variable, tail in (("TAPEGRAD_CACHE_DIR", ""), ("NUMBA_CACHE_DIR", "tapegrad"), ("XDG_CACHE_HOME", "tapegrad")):
        if os.environ.get(variable):
            yield Path(os.environ[variable], tail)
    with contextlib.suppress(RuntimeError):  # no home folder
        yield Path.home() / ".cache" / "tapegrad"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    with contextlib.suppress(OSError):  # no temporary folder either
        yield Path(tempfile.gettempdir(), f"tapegrad-{user}")


def _sources_hash() -> str:
    sources = sorted(_HERE.glob("*.py"))
    if not sources:
        raise FileNotFoundError("no sources to tell versions apart by")
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path | None:
    """The folder that this version of the sources caches in, created if need be; None where nothing can be written."""
    try:
        name = _sources_hash()
    except OSError:  # an archive, or sources that were not installed
        return None
    for base in _candidates():
        folder = base / name
        try:
            created = not folder.is_dir()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
                continue  # a cache is code: load none that another user could have put there
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        if created:
            _prune(base, keep=folder)
        return folder
    return None


def _prune(base: Path, keep: Path) -> None:
    """Delete all but the newest cache folders of other versions."""
    with contextlib.suppress(OSError):
        old = [path for path in base.iterdir() if path.is_dir() and _is_ours(path.name) and path != keep]
        old.sort(key=_modified, reverse=True)
        for path in old[FOLDERS_KEPT - 1 :]:
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(name: str) -> bool:
    return len(name) == 16 and set(name) <= set("0123456789abcdef")


def _modified(path: Path) -> float:
    return path.stat().st_mtime


class _Locator:
    """Where the cache files of one function lie, and the stamp that says they are fresh."""

    def __init__(self, function: Callable, folder: Path):
        self._py_file = function.__code__.co_filename  # CompileResultCacheImpl reads it for its warnings
        self._folder = folder
        self._line = function.__code__.co_firstlineno

    def ensure_cache_path(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # another process may have pruned it

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return hashlib.sha256(Path(self._py_file).read_bytes()).hexdigest()

    def get_disambiguator(self) -> str:
        return hashlib.sha256(os.path.abspath(self._py_file).encode()).hexdigest()[:8] + f"-{self._line}"


class _CacheImpl(CompileResultCacheImpl):
    def __init__(self, function: Callable, folder: Path):
        # Not the base's: it asks Numba's own locators, and raises if none of them can write.
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator(function, folder)
        module = Path(function.__code__.co_filename).stem
        self._filename_base = self.get_filename_base(f"{module}.{function.__qualname__}", "")


class _CacheFiles:
    """One file for each signature of a function, named by a hash of its key: writers cannot take each other's place.

    Numba's own numbered files, listed in an index, can be mixed up by two processes that compile at once.
    A checksum stands before the data: damaged machine code must not run.
    """

    def __init__(self, folder: Path, base: str, stamp: str):
        self._folder, self._base, self._stamp = folder, base, stamp

    def _path(self, key) -> Path:
        return self._folder / f"{self._base}-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"

    def load(self, key):
        """The data saved under `key`; None where there is none, or it is stale or damaged."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() != digest:
            return None
        stamp, saved_key, payload = pickle.loads(data)
        return payload if stamp == self._stamp and saved_key == key else None

    def save(self, key, payload) -> None:
        """Save `payload`; readers see the old file or the whole new one."""
        data = dumps((self._stamp, key, payload))
        handle, name = tempfile.mkstemp(dir=self._folder)
        try:
            with open(handle, "wb") as file:
                file.write(hashlib.sha256(data).digest() + data)
            os.replace(name, self._path(key))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def flush(self) -> None:
        """Forget all signatures of the function."""
        for path in self._folder.glob(f"{glob.escape(self._base)}-*.nbc"):
            path.unlink(missing_ok=True)


class _Cache(FunctionCache):
    """Numba's driver of a cache, over our folder and files; whatever goes wrong means to compile again."""

    def __init__(self, function: Callable, folder: Path):
        self._name = repr(function)
        self._py_func = function
        self._impl = _CacheImpl(function, folder)
        self._cache_path = str(folder)
        self._cache_file = _CacheFiles(folder, self._impl.filename_base, self._impl.locator.get_source_stamp())
        self.enable()

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling runs code of whatever version wrote the file
            return None

    def save_overload(self, sig, data):
        with contextlib.suppress(OSError):  # a full disk, a folder gone: the function works uncached
            super().save_overload(sig, data)

    def _index_key(self, sig, codegen):
        # Numba's key holds a random number for each compiled function in a closure, so would never be met again.
        code, cells = self._py_func.__code__, self._py_func.__closure__ or ()
        closure = dumps(tuple(_name_if_ours(cell.cell_contents) for cell in cells))
        return sig, codegen.magic_tuple(), hashlib.sha256(code.co_code).hexdigest(), hashlib.sha256(closure).hexdigest()


def _name_if_ours(value):
    """The name of a compiled function of this folder, whose source the folder's hash covers; other values as is."""
    function = getattr(value, "py_func", None)
    if function is None or Path(function.__code__.co_filename).parent != _HERE:
        return value
    return f"{function.__module__}.{function.__qualname__}"


def _cache(function: Callable) -> _Cache | None:
    folder = cache_folder()
    if folder is None:
        return None
    try:
        return _Cache(function, folder)
    except OSError:  # the function has no source file
        return None
