"""The cache of compiled code: where it lies, that it is fresh, and that nothing about it can break an import."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tapegrad.vm
from tapegrad.vm import jit as jit_module

SOURCES = Path(tapegrad.vm.__file__).parent
FILES = ("jit.py", "memory.py", "kernels.py")

PROGRAM = """
import numpy as np, ctypes
from tapegrad.vm import jit as j
from tapegrad.vm.kernels import extra_loop
from tapegrad.vm.helper import twice, scaled

x = np.arange(5.0); y = np.ones(5)
frame = np.array([x.ctypes.data, y.ctypes.data, 5, 8, 8], dtype=np.int64)
start = frame.ctypes.data
ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(extra_loop("add_into", "d->d"))(start, start + 16, start + 24, None)
assert (y == x + 1).all(), y
hits = sum(loop._cache_hits for loop in j._ALIVE if hasattr(loop, "_cache_hits"))
print(j.cache_folder(), hits, scaled(2.0), sum(scaled.stats.cache_hits.values()))
"""

HELPER = """
from tapegrad.vm.constant import factor
from tapegrad.vm.jit import jit

@jit
def twice(x):
    return 2.0 * x

def make(function):
    @jit
    def scaled(x):
        return factor(function(x))
    return scaled

scaled = make(twice)
"""

CONSTANT = """
from tapegrad.vm.jit import jit

@jit
def factor(x):
    return x * {factor}
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the compiler's files as a package of its own, with a kernel whose callee is in another file."""
    folder = tmp_path / "site" / "tapegrad" / "vm"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").touch()
    for name in FILES:
        shutil.copy(SOURCES / name, folder)
    (folder / "helper.py").write_text(HELPER)
    (folder / "constant.py").write_text(CONSTANT.format(factor=10.0))
    return folder


def run(package, **variables):
    """Run PROGRAM on the copied package; returns cache folder, hits of the loop, value, hits of the function."""
    hidden = ("TAPEGRAD_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment.update(PYTHONPATH=str(package.parent.parent), PYTHONDONTWRITEBYTECODE="1", **variables)
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", PROGRAM],
        env=environment,
        cwd=package,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder, *numbers = done.stdout.split()
    return folder, *map(float, numbers)


def test_second_process_reads_the_cache(package, tmp_path):
    cache = tmp_path / "cache"
    folder, *numbers = run(package, TAPEGRAD_CACHE_DIR=str(cache))
    assert Path(folder).parent == cache
    assert numbers == [0, 40.0, 0]
    assert run(package, TAPEGRAD_CACHE_DIR=str(cache)) == (folder, 1, 40.0, 1)


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
    assert Path(run(package, **everything)[0]).parent == numba_dir / "tapegrad"
    everything["NUMBA_CACHE_DIR"] = never
    assert Path(run(package, **everything)[0]).parent == xdg / "tapegrad"
    del everything["XDG_CACHE_HOME"]
    assert Path(run(package, **everything)[0]).parent == home / ".cache" / "tapegrad"


def test_import_and_compile_without_any_writable_folder(package, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.touch()
    never = str(blocked / "below")
    # tempfile falls back to the current folder: refuse to write there, too
    monkeypatch.setattr(sys.modules[__name__], "PROGRAM", f"import tempfile; tempfile.tempdir = {never!r}\n" + PROGRAM)
    names = ("TAPEGRAD_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR")
    assert run(package, **dict.fromkeys(names, never)) == ("None", 0, 40.0, 0)
    assert not list(package.rglob("*.nb?"))


def test_damaged_files_are_compiled_again(package, tmp_path):
    cache = {"TAPEGRAD_CACHE_DIR": str(tmp_path / "cache")}
    folder = Path(run(package, **cache)[0])

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
        assert run(package, **cache) == (str(folder), 0, 40.0, 0), damage.__name__
        assert run(package, **cache) == (str(folder), 1, 40.0, 1), damage.__name__


def test_a_changed_callee_in_another_file_is_noticed(package, tmp_path):
    cache = {"TAPEGRAD_CACHE_DIR": str(tmp_path / "cache")}
    before = run(package, **cache)
    (package / "constant.py").write_text(CONSTANT.format(factor=11.0))
    after = run(package, **cache)
    assert after[0] != before[0]
    assert after[1:] == (0, 44.0, 0)


def test_old_folders_are_pruned(package, tmp_path):
    cache = tmp_path / "cache"
    others = [cache / f"{k:016x}" for k in range(6)]
    for k, folder in enumerate(others):
        folder.mkdir(parents=True)
        os.utime(folder, (1e9 + k, 1e9 + k))
    (cache / "notes").mkdir()
    current = Path(run(package, TAPEGRAD_CACHE_DIR=str(cache))[0])
    assert {path.name for path in cache.iterdir()} == {current.name, "notes", others[5].name, others[4].name}


def test_processes_that_compile_at_once(package, tmp_path):
    cache = {"TAPEGRAD_CACHE_DIR": str(tmp_path / "cache")}
    with ThreadPoolExecutor(3) as pool:
        results = [job.result() for job in [pool.submit(run, package, **cache) for _ in range(3)]]
    assert {result[2] for result in results} == {40.0}
    folder, *numbers = run(package, **cache)
    assert numbers == [1, 40.0, 1]
    assert all(path.suffix == ".nbc" for path in Path(folder).iterdir())


def test_functions_without_a_source_file_are_compiled_uncached():
    scope = {}
    exec("def double(x):\n    return 2 * x", scope)
    assert jit_module.jit(scope["double"])(21) == 42


def test_options_and_decorator_forms():
    @jit_module.jit(boundscheck=True)
    def item(x, i):
        return x / i

    assert item(1.0, 0.0) == float("inf")  # NumPy's error model
    assert item.targetoptions["nogil"]

    @jit_module.loop_kernel
    def nothing(args, dims, steps, data):
        return

    assert nothing.address == nothing.address != 0
