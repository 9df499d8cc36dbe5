"""Devices: where tensors live, and what each thread records there."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import MixedDevicesError
from ..tape.current import new_tensor, rotate
from ..tape.handle import Tensor
from ..tape.record import record
from ..tape.state import local
from ..tape.tape import Tape
from . import toolchain
from .driver import drivers
from .memory import DeviceArray, Pool
from .spec import on

__all__ = ["Device", "device_of", "devices"]


class Device:
    """A GPU (or what takes its place), its memory and its kernels.

    Attributes
    ----------
    name : str
        ``"cuda:0"`` and so on.
    driver : Hardware or StandIn
    pool : Pool
    deterministic : bool
        Whether sums with atomic operations are avoided.
    interprets : bool
        Whether small work waits to become one launch, and new groups are interpreted; see `program`.
    cold_launches : int
        So many times a group is interpreted before a kernel is compiled for it.
    heat : Counter
        How often each group was met.
    """

    def __init__(self, index: int, driver: Any):
        self.index, self.driver = index, driver
        self.name = f"cuda:{index}"
        self.pool = Pool(driver)
        self.deterministic = False
        self.interprets, self.cold_launches = True, 2
        self.heat: Counter = Counter()
        self.random: Any = None  # see `cuda.random`
        self.kernels: dict = {}
        self.lock = threading.RLock()
        self._local = threading.local()

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__

    # --- memory -------------------------------------------------------------------------------------------

    def empty(self, spec: Any) -> DeviceArray:
        """An array whose elements are not set."""
        spec = spec.host.plain
        return DeviceArray(self, self.pool.take(spec.extent), -spec.low, spec)

    def upload(self, array: np.ndarray) -> DeviceArray:
        """A copy of a host array."""
        from .memory import dense

        array = np.ascontiguousarray(array).reshape(array.shape)
        made = self.empty(dense(array.shape, array.dtype))
        if array.size:
            self.send(made, array)
        return made

    def send(self, made: DeviceArray, array: np.ndarray) -> None:
        """Copy a contiguous host array to memory that nobody reads yet."""
        self.driver.upload(made.block.buffer, array, self.stream)

    # --- kernels ------------------------------------------------------------------------------------------

    @property
    def stream(self) -> Any:
        """The queue of work that the thread uses."""
        return getattr(self._local, "stream", None)

    @contextlib.contextmanager
    def using(self, stream: Any) -> Iterator[None]:
        """Use another queue of work within a block."""
        before = self.stream
        self._local.stream = stream
        try:
            yield
        finally:
            self._local.stream = before

    def kernel(self, function: Any) -> Any:
        """The kernel of a function, made once."""
        found = self.kernels.get(function)
        if found is None:
            with self.lock:
                found = self.kernels.setdefault(function, self.driver.kernel(function))
        return found

    @property
    def program(self) -> Any:
        """What waits to become one launch while rows are run; None at other times."""
        return getattr(self._local, "program", None)

    @contextlib.contextmanager
    def collecting(self) -> Iterator[Any]:
        """What small work is asked for within the block becomes one launch at its end, or when a value is needed."""
        if self.program is not None or not self.interprets:
            yield self.program
            return
        from .program import Program

        program = self._local.program = Program(self)
        try:
            try:
                yield program
            finally:
                program.settle()
        finally:
            self._local.program = None

    def settle(self) -> None:
        """Launch what waits."""
        program = self.program
        if program is not None:
            program.settle()

    def launch(self, kernel: Any, size: int, args: Any) -> None:
        """Run a kernel with as many threads as fit, which share `size` elements."""
        self.settle()
        threads = min(self.driver.max_threads, max(size, 1))
        blocks = min(-(-size // threads), self.driver.max_blocks)
        self.driver.launch(kernel, (max(blocks, 1), 1, 1), (threads, 1, 1), tuple(args), self.stream)

    def launch_each(self, kernel: Any, size: int, args: Any) -> None:
        """Run a kernel with a thread for each of `size` elements."""
        self.settle()
        threads = min(self.driver.max_threads, max(size, 1))
        self.driver.launch(kernel, (max(-(-size // threads), 1), 1, 1), (threads, 1, 1), tuple(args), self.stream)

    def launch_blocks(self, kernel: Any, grid: tuple, block: tuple, args: Any) -> None:
        """Run a kernel on a grid of a certain shape."""
        self.settle()
        self.driver.launch(kernel, grid, block, tuple(args), self.stream)

    def synchronize(self) -> None:
        """Wait until all is done that was asked for."""
        for tape in (self.tape_of(local.state),):
            tape.flush()
        self.driver.synchronize(None)

    # --- recording ----------------------------------------------------------------------------------------

    def tape_of(self, state: Any) -> Any:
        """The tape on which this thread records what happens here."""
        tape: Any = getattr(self._local, "tape", None)
        if tape is None:
            from .tape import DeviceTape

            tape = self._local.tape = DeviceTape(self)
            local.state.devices.append(self)
        return tape

    def end_tape(self) -> None:
        """End the tape on which this thread records here: what follows comes after it in the order of tapes."""
        tape = self.tape_of(local.state)
        if tape.rows:
            tape.seal()

    @contextlib.contextmanager
    def recording(self, state: Any) -> Iterator[None]:
        """Record on this device's tape within a block."""
        if state.tape.device is self:
            yield
            return
        if state.tape.tracing:
            from ..compiler.errors import ConcretisationError

            raise ConcretisationError(
                f"a function under compilation uses a tensor on {self}, which runs operations at once"
            )
        before = state.tape, state.careful
        state.tape, state.careful = self.tape_of(state), True
        state.refresh()
        try:
            yield
        finally:
            self._local.tape = state.tape
            state.tape, state.careful = before
            state.refresh()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[None]:
        """Record on a tape of its own within a block: what it computes belongs to an operation that is running."""
        from .tape import DeviceTape

        state = local.state
        before = state.tape, state.careful, self.tape_of(state)
        state.tape, state.careful, self._local.tape = Tape(), False, DeviceTape(self)
        state.refresh()
        try:
            yield
        finally:
            state.tape, state.careful, self._local.tape = before
            state.refresh()

    def record(self, primitive: Any, tensors: Any, attrs: Any) -> Tensor:
        """Record a primitive of which an operand stands here.

        Raises
        ------
        MixedDevicesError
            If another operand is a tensor that stands elsewhere, and is no constant.
        """
        given = [self.brought(t) for t in tensors]
        with self.recording(local.state):
            made = record(primitive, given, attrs)
        made._tape.stands(made._slot, made)
        return made

    def leave(self, tape: Any) -> None:
        """Record on another tape than that one from now on."""
        state: Any = local.state
        if state.tape is tape:
            rotate(state)
        elif self.tape_of(state) is tape:
            tape.seal()
            self._local.tape = tape.successor()

    def brought(self, tensor: Tensor) -> Tensor:
        """An operand as it can be used here: constants come along, other tensors do not."""
        spec: Any = tensor._spec
        if spec.device is self or (spec.device is None and not spec.shape and not spec.requires_grad):
            return tensor
        if spec.device is not None or (spec.shape and not self.transposing and _is_users(tensor)):
            other = "cpu" if spec.device is None else spec.device
            raise MixedDevicesError(
                f"Expected all tensors to be on the same device, but found at least two devices, {self} and {other}! "
                f"A tensor {spec.dtype.name}{list(spec.shape)} on {other} meets one on {self}: bring it there with "
                f".to({str(self)!r}), or the other to the host with .cpu()"
            )
        return self.bring(tensor)

    def bring(self, tensor: Tensor) -> Tensor:
        """A host tensor's copy on this device, differentiable."""
        from .transfer import bring

        return bring(self, tensor)

    def fetch(self, tensor: Tensor) -> Tensor:
        """A tensor's copy on the host, differentiable."""
        from .transfer import fetch

        return fetch(self, tensor)

    @property
    def transposing(self) -> bool:
        """Whether a rule is at work, whose constants come along whatever they are."""
        return getattr(self._local, "depth", 0) > 0

    @contextlib.contextmanager
    def rules(self) -> Iterator[None]:
        """A rule is at work within the block."""
        self._local.depth = getattr(self._local, "depth", 0) + 1
        try:
            yield
        finally:
            self._local.depth -= 1

    # --- tensors ------------------------------------------------------------------------------------------

    def tensor_over(self, array: DeviceArray) -> Tensor:
        """A tensor without history over an array that is nobody else's."""
        made = new_tensor(None, 0, on(self, array.spec))
        made._memory = array
        return made

    def cotangent(self, value: Any, spec: Any) -> DeviceArray:
        """A cotangent of a value that stands here, as an array here."""
        if isinstance(value, Tensor):
            return self.array_of(value if value._spec.device is self else self.bring(value))
        return self.upload(np.asarray(value, spec.dtype))

    def array_of(self, tensor: Tensor) -> DeviceArray:
        """The array that a tensor's value is."""
        tape: Any = tensor._tape
        if tape is not None:
            tape.flush()
        found: Any = tensor._memory
        return tape.view(tensor._slot, tensor._spec) if found is None else found

    def lend(self, tensor: Tensor) -> Any:
        """A DLPack capsule over a tensor's memory."""
        from .interchange import lend

        return lend(tensor)

    @property
    def dlpack_device(self) -> tuple[int, int]:
        """Kind and number of this device, as DLPack counts them; the stand-in's memory is the host's."""
        return (1, 0) if toolchain.SIMULATED else (2, self.index)

    def address_of(self, tensor: Tensor) -> int:
        """Address of a tensor's first element."""
        array = self.array_of(tensor)
        return self.driver.address(array.block.buffer) + array.offset


def _is_users(tensor: Tensor) -> bool:
    """Whether a host tensor is the user's own, not an array that became a constant."""
    if tensor._rare._made:
        return True
    tape = tensor._tape
    if tape is None:
        return False
    from ..vm import opcodes as op

    signature = tape.signature(tape.root_of(tensor._slot))
    return signature.kind != op.IMPORT


_devices: list[Device] = []
_lock = threading.Lock()


def devices() -> list[Device]:
    """All devices that there are."""
    with _lock:
        if not _devices:
            _devices.extend(Device(k, driver) for k, driver in enumerate(drivers()))
    return _devices


def device_of(name: Any) -> Device | None:
    """The device of a name such as ``"cuda"`` or ``"cuda:1"``; None for the host.

    Raises
    ------
    RuntimeError
        If there is no such device, with the reason; if it is no device's name.
    """
    if isinstance(name, Device):
        return name
    kind, _, index = ("cuda", ":", str(name)) if isinstance(name, int) else str(name).partition(":")
    if kind == "cpu":
        return None
    if kind != "cuda" or (index and not index.isdigit()):
        raise RuntimeError(f"Expected one of cpu, cuda device type at start of device string: {name!r}")
    found = devices()
    number = int(index or 0)
    if number < len(found):
        return found[number]
    if found:
        raise RuntimeError(f"CUDA error: invalid device ordinal: there is no {name!r}; this machine has {len(found)}")
    try:
        toolchain.compiler()
    except ImportError as error:
        raise RuntimeError(f"there is no device {name!r}: {error}") from error
    raise RuntimeError(
        f"there is no device {name!r}: found no NVIDIA driver or GPU on this system. NUMBA_ENABLE_CUDASIM=1, set "
        f"before Python starts, simulates one in Python"
    )
