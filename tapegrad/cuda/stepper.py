"""Kernels run step by step in Python: a stand-in for a device that sees what goes wrong.

A block's threads run one after the other up to the next barrier, always in the same order. Each access to memory is
checked:

- an index below 0 or beyond the end of its buffer is an error (`BoundsError`), and so is the use of what was never
  written in shared memory;
- an element that two threads use, at least one of them to write, with no barrier between them (or in different
  blocks at all) is an error (`RaceError`), unless both do it by an atomic operation;
- a barrier that only some threads of a block reach is an error (`BarrierError`), and so is a barrier of the whole grid
  that only some blocks reach.

Where a kernel has barriers of the whole grid, all blocks run from one to the next.

So a bounds check or a barrier that is missing is found whenever the kernel runs on data that need it, not only when
the threads happen to meet.
"""

from __future__ import annotations

import ast
import bisect
import functools
import inspect
import itertools
import linecache
import math
import textwrap
from typing import Any, ClassVar

import numpy as np

from . import toolchain

__all__ = ["BarrierError", "BoundsError", "RaceError", "StepKernel"]


class BoundsError(IndexError):
    """A kernel left its memory."""


class RaceError(RuntimeError):
    """Two threads use an element, at least one to write, and nothing orders them."""


class BarrierError(RuntimeError):
    """Some threads of a block wait at a barrier that others never reach."""


class _Dim:
    __slots__ = ("x", "y", "z")

    def __init__(self, x: int = 1, y: int = 1, z: int = 1):
        self.x, self.y, self.z = x, y, z


class _Log:
    """Who used each element of some memory since the launch began."""

    def __init__(self, place: _Place, name: str):
        self.place, self.name = place, name
        self.writes: dict = {}
        self.reads: dict = {}

    def clashes(self, other: tuple) -> bool:
        """Whether an access by another thread is not ordered before this one."""
        me = self.place.me
        return other[:2] != me[:2] and (other[3] == me[3] if other[0] != me[0] else other[2] == me[2])

    def read(self, at: int) -> None:
        """Note a read."""
        wrote = self.writes.get(at)
        if wrote is not None and self.clashes(wrote):
            raise self.race(at, wrote, "reads")
        readers = self.reads.setdefault(at, [])
        me = self.place.me
        if me not in readers:
            readers.append(me)

    def write(self, at: int, atomic: bool = False) -> None:
        """Note a write."""
        me = (*self.place.me, atomic)
        wrote = self.writes.get(at)
        if wrote is not None and self.clashes(wrote) and not (atomic and wrote[4]):
            raise self.race(at, wrote, "writes")
        for reader in self.reads.get(at, ()):
            if self.clashes(reader):
                raise self.race(at, reader, "writes")
        self.writes[at] = me

    def race(self, at: int, other: tuple, does: str) -> RaceError:
        """The error."""
        block, thread, *_ = self.place.me
        return RaceError(
            f"kernel {self.place.kernel}: thread {thread} of block {block} {does} element {at} of {self.name}, which "
            f"thread {other[1]} of block {other[0]} uses with no barrier between them"
        )


class Memory:
    """A flat array as a kernel sees it: indices are checked, uses are noted."""

    __slots__ = ("array", "log", "scale", "shape", "written")

    def __init__(self, array: np.ndarray, log: _Log, scale: int = 1, written: np.ndarray | None = None):
        self.array, self.log, self.scale, self.shape = array, log, scale, array.shape
        self.written = written

    def place(self, index: Any) -> int:
        """Flat position of an index, checked."""
        index = index if isinstance(index, tuple) else (index,)
        at = 0
        for i, n in zip(index, self.shape, strict=True):
            i = int(i)
            if not 0 <= i < n:
                raise BoundsError(
                    f"kernel {self.log.place.kernel}: index {i} of {self.log.name}, which has {n} elements there"
                )
            at = at * n + i
        return at

    def __getitem__(self, index: Any) -> Any:
        at = self.place(index)
        self.log.read(at * self.scale)
        if self.written is not None and not self.written[at]:
            raise BoundsError(f"kernel {self.log.place.kernel}: reads element {at} of {self.log.name} before any write")
        return self.array.reshape(-1)[at]

    def __setitem__(self, index: Any, value: Any) -> None:
        at = self.place(index)
        self.log.write(at * self.scale)
        if self.written is not None:
            self.written[at] = True
        self.array.reshape(-1)[at] = value


class _Atomic:
    """`cuda.atomic`."""

    def __init__(self, place: _Place):
        self.place = place

    def _change(self, memory: Memory, index: Any, value: Any, combine: Any) -> Any:
        at = memory.place(index)
        memory.log.write(at * memory.scale, atomic=True)
        flat = memory.array.reshape(-1)
        old = flat[at]
        flat[at] = combine(old, value)
        return old

    def add(self, memory: Memory, index: Any, value: Any) -> Any:
        """Add, and return what was there."""
        return self._change(memory, index, value, np.add)

    def max(self, memory: Memory, index: Any, value: Any) -> Any:
        """The greater stays."""
        return self._change(memory, index, value, np.maximum)

    def min(self, memory: Memory, index: Any, value: Any) -> Any:
        """The smaller stays."""
        return self._change(memory, index, value, np.minimum)


class _Shared:
    """`cuda.shared` and `cuda.local`."""

    def __init__(self, place: _Place, private: bool):
        self.place, self.private = place, private

    def array(self, shape: Any, dtype: Any) -> Memory:
        """An array of the block, or of the thread; one for each place in the code."""
        frame = inspect.currentframe()
        assert frame is not None and frame.f_back is not None
        key: tuple = (frame.f_back.f_code, frame.f_back.f_lineno)
        if self.private:
            key = (*key, self.place.me[1])
        found = self.place.arrays.get(key)
        if found is None:
            array = np.zeros(shape, dtype)
            name = f"{'local' if self.private else 'shared'} memory {list(array.shape)}"
            written = np.zeros(array.size, np.bool_)
            found = self.place.arrays[key] = Memory(array, _Log(self.place, name), written=written)
        return found


class _Place:
    """Where the thread that runs stands in the grid; what kernels know as `cuda`."""

    def __init__(self, kernel: str, grid: tuple, block: tuple):
        self.kernel = kernel
        self.gridDim, self.blockDim = _Dim(*grid), _Dim(*block)
        self.blockIdx, self.threadIdx = _Dim(), _Dim()
        self.atomic, self.shared, self.local = _Atomic(self), _Shared(self, False), _Shared(self, True)
        self.arrays: dict = {}
        self.me: tuple = ((), (), 0, 0)

    def grid(self, ndim: int) -> int:
        """Number of the thread in the grid."""
        assert ndim == 1
        return self.blockIdx.x * self.blockDim.x + self.threadIdx.x

    def gridsize(self, ndim: int) -> int:
        """Number of threads in the grid."""
        assert ndim == 1
        return self.gridDim.x * self.blockDim.x

    def stand(self, block: tuple, thread: tuple, epoch: int, era: int) -> None:
        """Become a thread, after so many barriers of its block and of the whole grid."""
        self.blockIdx, self.threadIdx, self.me = _Dim(*block), _Dim(*thread), (block, thread, epoch, era)


class _Addresses:
    """Reading and writing at addresses: they must lie within memory that is allocated.

    Parameters
    ----------
    place : _Place
    buffers : iterable of numpy.ndarray
        All that is allocated.
    logs : dict
        Of the launch.
    """

    DTYPES: ClassVar[dict[str, np.dtype]] = {"byte": np.dtype("u1"), "single": np.dtype("f"), "double": np.dtype("d")}

    def __init__(self, place: _Place, buffers: Any, logs: dict):
        self.place, self.logs = place, logs
        self.buffers = sorted((b.__array_interface__["data"][0], b) for b in buffers if b.nbytes)
        self.starts = [start for start, _ in self.buffers]

    def at(self, address: Any, dtype: np.dtype) -> tuple[np.ndarray, _Log, int]:
        """The element at an address: where it is, who used it, and its place in bytes."""
        k = bisect.bisect_right(self.starts, int(address)) - 1
        start, buffer = self.buffers[k] if k >= 0 else (0, np.empty(0))
        at = int(address) - start
        if at + dtype.itemsize > buffer.nbytes:
            raise BoundsError(f"kernel {self.place.kernel}: {dtype.name} at {int(address)}, which is nobody's memory")
        log = self.logs.setdefault((start, buffer.nbytes), _Log(self.place, f"an array of {buffer.nbytes} bytes"))
        return buffer[at : at + dtype.itemsize].view(dtype), log, at

    def names(self) -> dict:
        """The functions by name."""
        found: dict[str, Any] = {}
        for name, dtype in self.DTYPES.items():
            found[f"peek_{name}"] = functools.partial(self.peek, dtype)
            found[f"poke_{name}"] = functools.partial(self.poke, dtype)
        return found

    def peek(self, dtype: np.dtype, address: Any) -> Any:
        """The value there."""
        element, log, at = self.at(address, dtype)
        log.read(at)
        return element[0]

    def poke(self, dtype: np.dtype, address: Any, value: Any) -> None:
        """Set the value there."""
        element, log, at = self.at(address, dtype)
        log.write(at)
        element[0] = value


class _Arithmetic:
    """`math` over NumPy's scalars: infinities and NaN come out where the module of that name raises."""

    pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
    sin, cos, tan, exp, log, sqrt, floor, ceil, trunc = (
        np.sin, np.cos, np.tan, np.exp, np.log, np.sqrt, np.floor, np.ceil, np.trunc,
    )  # fmt: skip
    asin, acos, atan, atan2, sinh, cosh, tanh = (
        np.arcsin, np.arccos, np.arctan, np.arctan2, np.sinh, np.cosh, np.tanh,
    )  # fmt: skip
    asinh, acosh, atanh, expm1, log1p, log2, log10 = (
        np.arcsinh, np.arccosh, np.arctanh, np.expm1, np.log1p, np.log2, np.log10,
    )  # fmt: skip
    fabs, copysign, hypot, fmod, isnan, isinf, isfinite, ldexp = (
        np.fabs, np.copysign, np.hypot, np.fmod, np.isnan, np.isinf, np.isfinite, np.ldexp,
    )  # fmt: skip
    pow = np.power

    @staticmethod
    def erf(x: Any) -> Any:
        """Error function."""
        from math import erf

        return type(x)(erf(x))

    @staticmethod
    def erfc(x: Any) -> Any:
        """Complement of the error function."""
        from math import erfc

        return type(x)(erfc(x))

    @staticmethod
    def gamma(x: Any) -> Any:
        """Gamma function; infinite where it overflows, NaN at its poles."""
        from math import gamma

        try:
            return type(x)(gamma(x))
        except OverflowError:
            return type(x)(np.inf)
        except ValueError:
            return type(x)(np.nan if x else np.copysign(np.inf, x))

    @staticmethod
    def lgamma(x: Any) -> Any:
        """Logarithm of the gamma function's magnitude."""
        from math import lgamma

        try:
            return type(x)(lgamma(x))
        except (OverflowError, ValueError):
            return type(x)(np.inf)


ARITHMETIC = _Arithmetic()


def parts(place: Any, length: Any) -> tuple:
    """`divmod` of what it takes on a device."""
    if place < 0 or length <= 0:
        raise BoundsError(f"divmod({place}, {length}): kernels divide places, from 0 on, by lengths, from 1 on")
    return divmod(place, length)


_BARRIERS = {"cuda.syncthreads": "block", "cuda.cg.this_grid().sync": "grid"}


class _Barriers(ast.NodeTransformer):
    """Turns ``cuda.syncthreads()`` and ``cuda.cg.this_grid().sync()`` into ``yield`` of who waits."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """A statement."""
        who = _BARRIERS.get(ast.unparse(node.value.func)) if isinstance(node.value, ast.Call) else None
        return node if who is None else ast.copy_location(ast.Expr(ast.Yield(ast.Constant(who))), node)


def _stepping(function: Any) -> tuple[Any, bool]:
    """The function with barriers as places where it yields, and whether it has any."""
    if not {"syncthreads", "sync"} & set(function.__code__.co_names):
        return function, False
    lines, start = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, start - 1)
    tree = ast.fix_missing_locations(_Barriers().visit(tree))
    scope: dict = {}
    exec(compile(tree, function.__code__.co_filename, "exec"), function.__globals__, scope)
    return scope[function.__name__], True


class _Block:
    """The threads of a block, which run in turn from barrier to barrier."""

    def __init__(self, kernel: str, at: tuple, running: list):
        self.kernel, self.at, self.running = kernel, at, running
        self.arrays: dict = {}
        self.epoch = 0

    def advance(self, place: _Place, era: int) -> bool:
        """Run to the next barrier of the whole grid, or to the end; whether it was a barrier."""
        place.arrays = self.arrays
        while True:
            waiting = []
            for thread, steps in self.running:
                place.stand(self.at, thread, self.epoch, era)
                waiting.append(next(steps, ""))
            self.epoch += 1
            if len(set(waiting)) > 1:
                few = min([who for who in ("block", "grid") if who in waiting], key=waiting.count)
                raise BarrierError(
                    f"kernel {self.kernel}: {waiting.count(few)} of {len(waiting)} threads of block {self.at} wait at "
                    f"a barrier that the others never reach"
                )
            if waiting[0] != "block":
                return waiting[0] == "grid"


class StepKernel:
    """A kernel that runs in steps.

    Parameters
    ----------
    function : function
        As it would be compiled.
    """

    def __init__(self, function: Any):
        self.name = function.__name__
        self.function, self.stops = _stepping(function)

    def launch(self, grid: tuple, block: tuple, args: tuple, buffers: Any = ()) -> None:
        """Run all threads of all blocks; `buffers` are what may be used by address."""
        place = _Place(self.name, grid, block)
        logs: dict = {}
        names = {"cuda": place, "math": ARITHMETIC, "divmod": parts, **_Addresses(place, buffers, logs).names()}
        body = toolchain.build(self.function, lambda f: f, names)
        given = [self._seen(a, place, logs) if isinstance(a, np.ndarray) and a.ndim else a for a in args]
        with np.errstate(all="ignore"):
            self._run(body, place, _places(grid), _places(block), given)

    def _seen(self, array: np.ndarray, place: _Place, logs: dict) -> Memory:
        start, length = array.__array_interface__["data"][0], array.nbytes
        log = logs.get((start, length)) if length else None
        if log is None:
            log = logs[start, length] = _Log(place, f"an array of {array.nbytes} bytes")
        return Memory(array, log, array.itemsize)

    def _run(self, body: Any, place: _Place, blocks: list, threads: list, given: list) -> None:
        if not self.stops:
            for at in blocks:
                place.arrays = {}
                for thread in threads:
                    place.stand(at, thread, 0, 0)
                    body(*given)
            return
        running = [_Block(self.name, at, [(thread, body(*given)) for thread in threads]) for at in blocks]
        era = 0
        while running:
            waiting = [block for block in running if block.advance(place, era)]
            if waiting and len(waiting) != len(running):
                raise BarrierError(
                    f"kernel {self.name}: {len(waiting)} of {len(running)} blocks wait at a barrier of the whole grid "
                    f"that the others never reach"
                )
            running, era = waiting, era + 1


def _places(lengths: tuple) -> list[tuple]:
    """All places in a grid or a block, the first axis fastest."""
    return [at[::-1] for at in itertools.product(*[range(n) for n in reversed(lengths)])]


@functools.cache
def _source_counter() -> itertools.count:
    return itertools.count()


def defined(name: str, source: str, scope: dict) -> Any:
    """A function from its source, which tracebacks and `inspect` can find."""
    filename = f"<tapegrad {name} {next(_source_counter())}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec"), scope)
    return scope[name]
