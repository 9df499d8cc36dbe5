"""Compiled code and its cache: where it lies, that it is fresh, that nothing breaks it, and that it needs no lock."""

import ctypes
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tapegrad.vm
from tapegrad.vm import cache as cache_module
from tapegrad.vm import native
from tapegrad.vm.kernels import extra_loop

SOURCES = Path(tapegrad.vm.__file__).parent
FILES = tuple(f"{name}.py" for name in "cache helpers intrinsics jit kernels loops memory native resolving".split())

PROGRAM = """
import ctypes, sys
import numpy as np
from tapegrad.vm.kernels import extra_loop
from tapegrad.vm.native import addresses

x = np.arange(5.0); y = np.ones(5)
frame = np.array([x.ctypes.data, y.ctypes.data, 5, 8, 8], dtype=np.int64)
start = frame.ctypes.data
ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(extra_loop("add_into", "d->d"))(start, start + 16, start + 24, None)
assert (y == x + 1).all(), y
plain, scaled = addresses(("helper.twice", "helper.scaled"))
function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
assert function(plain)(21) == 42
print(function(scaled)(2), "numba" in sys.modules)
"""

HELPER = """
from tapegrad.vm.constant import factor
from tapegrad.vm.jit import jit

@jit
def twice(x):
    return 2 * x

@jit
def scaled(x):
    return factor(twice(x))
"""

CONSTANT = """
from tapegrad.vm.jit import jit

@jit
def factor(x):
    return max(x * {factor}, 0)
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the compiler's files as a package of its own, with a function whose callee is in another file."""
    folder = tmp_path / "site" / "tapegrad" / "vm"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").touch()
    for name in FILES:
        shutil.copy(SOURCES / name, folder)
    (folder / "helper.py").write_text(HELPER)
    (folder / "constant.py").write_text(CONSTANT.format(factor=10))
    return folder


def run_python(program, path, **variables):
    """Run a program in a process with none of this one's cache settings; returns what it printed."""
    hidden = ("TAPEGRAD_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment.update(PYTHONPATH=str(path), PYTHONDONTWRITEBYTECODE="1", **variables)
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
        env=environment,
        cwd=path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(package, program=PROGRAM, **variables):
    """Run PROGRAM on the copied package; returns the value of `scaled` and whether something was compiled."""
    value, compiled = run_python(program, package.parent.parent, **variables).split()
    return int(value), compiled == "True"


def folders(base):
    return [path for path in base.iterdir() if path.is_dir()] if base.is_dir() else []


COMPILED, READ = (40, True), (40, False)


def test_second_process_reads_the_cache_without_numba(package, tmp_path):
    cache = tmp_path / "cache"
    assert run(package, TAPEGRAD_CACHE_DIR=str(cache)) == COMPILED
    assert run(package, TAPEGRAD_CACHE_DIR=str(cache)) == READ
    (folder,) = folders(cache)
    assert len(list(folder.glob("*.o"))) == len(list(folder.iterdir())) == 2


def test_warm_gradient_does_not_import_numba(tmp_path):
    program = """
import sys, tapegrad, numpy as np
gradient = tapegrad.grad(lambda x: np.sum(np.where(x > 1, np.sin(x) * x, x)))(np.arange(3.0))
print(gradient.tolist(), "numba" in sys.modules)
"""
    path = Path(tapegrad.__file__).parents[1]
    cold, warm = (run_python(program, path, TAPEGRAD_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert cold.endswith("True\n")
    assert warm == cold.replace("True", "False")


def test_order_of_the_cache_folders(package, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    never = str(blocked / "below")  # nobody, not even root, can make a folder below a file
    numba_dir, xdg, home = (tmp_path / name for name in ("numba", "xdg", "home"))
    everything = {
        "TAPEGRAD_CACHE_DIR": never,
        "NUMBA_CACHE_DIR": str(numba_dir),
        "XDG_CACHE_HOME": str(xdg),
        "HOME": str(home),
    }
    assert run(package, **everything) == COMPILED
    assert folders(numba_dir / "tapegrad") and not folders(xdg) and not folders(home)
    everything["NUMBA_CACHE_DIR"] = never
    assert run(package, **everything) == COMPILED
    assert folders(xdg / "tapegrad") and not folders(home)
    del everything["XDG_CACHE_HOME"]
    assert run(package, **everything) == COMPILED
    assert folders(home / ".cache" / "tapegrad")


def test_compiles_without_any_writable_folder(package, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    never = str(blocked / "below")
    # tempfile falls back to the current folder: refuse to write there, too
    program = f"import tempfile; tempfile.tempdir = {never!r}\n" + PROGRAM
    names = ("TAPEGRAD_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR")
    for _ in range(2):
        assert run(package, program, **dict.fromkeys(names, never)) == COMPILED
    assert not list(tmp_path.rglob("*.o"))


def test_sources_and_cache_that_can_only_be_read(package, tmp_path):
    cache = tmp_path / "cache"
    assert run(package, TAPEGRAD_CACHE_DIR=str(cache), HOME=str(tmp_path / "home")) == COMPILED
    (folder,) = folders(cache)
    readonly = [package, *package.iterdir(), *folder.iterdir(), folder, cache]
    for path in readonly:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert run(package, TAPEGRAD_CACHE_DIR=str(cache), HOME=str(tmp_path / "home")) == READ
    finally:
        for path in reversed(readonly):
            path.chmod(path.stat().st_mode | 0o200)


def test_damaged_files_are_compiled_again(package, tmp_path):
    cache = {"TAPEGRAD_CACHE_DIR": str(tmp_path / "cache")}
    run(package, **cache)
    (folder,) = folders(tmp_path / "cache")

    def truncate(content):
        return content[: len(content) // 2]

    def empty(content):
        return b""

    def flip(content):
        return content[:-100] + bytes([content[-100] ^ 255]) + content[-99:]

    def foreign(content):
        return b"not a cache file at all, but long enough for a checksum"

    for damage in (truncate, empty, flip, foreign):
        for path in folder.iterdir():
            path.write_bytes(damage(path.read_bytes()))
        assert run(package, **cache) == COMPILED, damage.__name__
        assert run(package, **cache) == READ, damage.__name__


def test_code_that_calls_what_this_process_lacks_is_not_loaded():
    """LLVM's loader would end the process."""
    assert native._link(native.pack(["f"], ["no_such_function_anywhere"], b"")) is None


def test_a_changed_callee_in_another_file_is_noticed(package, tmp_path):
    cache = {"TAPEGRAD_CACHE_DIR": str(tmp_path / "cache")}
    assert run(package, **cache) == COMPILED
    (package / "constant.py").write_text(CONSTANT.format(factor=11))
    assert run(package, **cache) == (44, True)
    assert len(folders(tmp_path / "cache")) == 2


def test_another_processor_has_another_folder(package, tmp_path):
    cache = {"TAPEGRAD_CACHE_DIR": str(tmp_path / "cache")}
    assert run(package, **cache) == COMPILED
    assert run(package, **cache, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="") == COMPILED
    assert run(package, **cache) == READ


def test_old_folders_are_pruned(package, tmp_path):
    cache = tmp_path / "cache"
    others = [cache / f"{k:016x}" for k in range(6)]
    for k, folder in enumerate(others):
        folder.mkdir(parents=True)
        os.utime(folder, (1e9 + k, 1e9 + k))
    (cache / "notes").mkdir()
    run(package, TAPEGRAD_CACHE_DIR=str(cache))
    kept = {path.name for path in folders(cache) if not list(path.glob("*.o"))}
    assert kept == {"notes", others[5].name, others[4].name}
    assert len(folders(cache)) == len(kept) + 1


def test_processes_that_compile_at_once(package, tmp_path):
    cache = {"TAPEGRAD_CACHE_DIR": str(tmp_path / "cache")}
    with ThreadPoolExecutor(3) as pool:
        results = [job.result() for job in [pool.submit(run, package, **cache) for _ in range(3)]]
    assert {value for value, _ in results} == {40}
    assert run(package, **cache) == READ
    assert all(path.suffix == ".o" for path in folders(tmp_path / "cache")[0].iterdir())


def test_a_folder_of_another_user_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPEGRAD_CACHE_DIR", str(tmp_path / "first"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "second"))
    cache_module.write("name", b"code")
    assert cache_module.read("name") == b"code"
    monkeypatch.setattr(os, "getuid", lambda: 12345, raising=False)
    monkeypatch.setattr(cache_module, "_is_trusted", _trusted_unless_first(tmp_path / "first"))
    assert cache_module.read("name") is None
    cache_module.write("name", b"other")
    assert cache_module.read("name") == b"other"
    assert list((tmp_path / "second").rglob("name"))


def _trusted_unless_first(first):
    def is_trusted(folder):
        return first not in folder.parents

    return is_trusted


@pytest.fixture
def compile_function(monkeypatch):
    """A function that compiles a Python function and returns what `compile_object` does."""
    from tapegrad.vm import jit

    def compile_function(function):
        monkeypatch.setattr(jit, "under_test", function, raising=False)
        return jit.compile_object(("jit.under_test",), ())

    return compile_function


def prints(n):
    print(n)


def makes_a_list(n):
    return len([n] * n)


def test_code_that_needs_python_is_refused(compile_function):
    with pytest.raises(RuntimeError, match=r"must run without Python, but calls \['"):
        compile_function(prints)
    with pytest.raises(Exception, match="NRT required but not enabled"):  # Numba's own refusal
        compile_function(makes_a_list)


def makes_a_chain(n):
    total = 0
    for k in range(n):
        total = (total * 5 + k) ^ (total >> 3)
    return total


def test_compiled_code_runs_without_the_lock_of_python(compile_function):
    """Four threads make Python wait for none of them, and get the same results as one."""
    (address,) = native._link(native.pack(*compile_function(makes_a_chain)))
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)
    n = 1 << 20
    start = time.perf_counter()
    function(n)
    n = int(n * 0.2 / (time.perf_counter() - start))  # for 0.2 seconds
    expected = function(n)
    results = []
    threads = [threading.Thread(target=lambda: results.append(function(n))) for _ in range(4)]
    for thread in threads:
        thread.start()
    ticks = 0
    while any(thread.is_alive() for thread in threads):
        ticks += 1
        time.sleep(0.001)
    assert results == [expected] * 4
    assert ticks > 20  # with the lock held, one or two


def test_gradients_in_several_threads():
    def f(x):
        for _ in range(20):
            x = np.tanh(x) * x + 0.5
        return np.sum(x)

    gradient = tapegrad.grad(f)
    inputs = [np.linspace(0, 1 + k, 1000) for k in range(8)]
    expected = [gradient(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, want in zip(pool.map(gradient, inputs), expected, strict=True):
                np.testing.assert_array_equal(got, want)


def test_numpys_error_model():
    """A division by zero is a value, and a loop that divides can be vectorised."""
    a, b, out = np.array([1.0, -1.0, 0.0]), np.zeros(3), np.zeros(3)
    frame = np.array([a.ctypes.data, b.ctypes.data, out.ctypes.data, 3, 8, 8, 8])
    at = frame.ctypes.data
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(extra_loop("divide_add", "dd->d"))(at, at + 24, at + 32, None)
    np.testing.assert_array_equal(out, [np.inf, -np.inf, np.nan])
