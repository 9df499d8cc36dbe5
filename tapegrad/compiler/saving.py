"""Compiled functions in files: `Compiled.save`, `load`, and pickling by the same bytes.

A file is a head of 64 bytes (a mark, the format's version, lengths, a checksum), a description in JSON, and arrays as
bytes. Rows name their primitives; there are no addresses and no code. `docs/guides/saved.md` has the format in full.
What is loaded is made anew from the description, by the checks that recording has and those of `bounds`.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..primitives import scipy_loader
from ..primitives.core import RECORDS
from ..tape.memory import address_of, array_at
from ..tape.record import pack
from ..tape.signature import Signature, signature_of
from ..tape.spec import Spec, spec_of
from ..tape.tape import MAX_ROWS, Tape
from ..vm import opcodes as op
from .bounds import check_memory, in_step, span
from .encoding import KINDS, SaveError, decode, decode_tree, dtype_of, encode, encode_tree
from .guards import Guard
from .passes import live_rows
from .paths import Paths
from .plan import plan_program
from .simplify import simplify

if TYPE_CHECKING:
    from .looking import Looking
    from .program import Compiled
    from .recorded import Program

__all__ = ["LoadError", "dump_bytes", "load", "load_bytes", "save"]

MARK, VERSION = b"TAPEGRAD", 1
_HEAD = struct.Struct("<8sIIQQ32s")
_MOST_BYTES = 1 << 40
"""Of one value in a file."""
_BYTE = np.dtype(np.uint8)
_VIEWS = (op.WINDOW, op.VIEW)
_SHARING = (op.WINDOW, op.VIEW, op.WRITE)


class LoadError(ValueError):
    """A file is not a saved function that can be loaded: damaged, of another format, or inconsistent."""


# --- writing -------------------------------------------------------------------------------------------------


def save(compiled: Looking, path: str | os.PathLike) -> None:
    """Write all recorded paths of a compiled function to a file; whoever reads it sees the old one or the new one."""
    data = dump_bytes(compiled)
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def dump_bytes(compiled: Looking) -> bytes:
    """What `save` writes."""
    blob = bytearray()
    saved = []
    for key, paths in list(compiled.programs.items()):
        arguments = {"structure": encode_tree(key[0]), "parts": [_encode_part(p) for p in key[1:]]}
        saved.append({"arguments": arguments, "paths": [_encode_program(p, blob) for p in reversed(list(paths))]})
    if not any(s["paths"] for s in saved):
        raise SaveError("there is nothing to save: call the compiled function first, with arguments of each structure")
    name = getattr(compiled, "__name__", "function")
    header = json.dumps({"name": name, "max_paths": compiled.max_paths, "signatures": saved}).encode()
    header += b" " * (-len(header) % 64)
    digest = hashlib.sha256(header + blob).digest()
    return _HEAD.pack(MARK, VERSION, 0, len(header), len(blob), digest) + header + bytes(blob)


def _encode_part(part: tuple) -> Any:
    """A leaf of the arguments, as a compiled function tells them apart."""
    if isinstance(part[0], tuple):
        kind = part[2] if len(part) > 2 else np.ndarray
        if not isinstance(kind, type):
            raise SaveError(f"a path for arguments on {kind} cannot be saved: call a compiled function with arrays")
        if kind is not float and kind is not np.ndarray and not issubclass(kind, np.generic):
            raise SaveError(f"an argument of type {kind.__name__} cannot be saved: pass plain arrays")
        word = "float" if kind is float else "array" if kind is np.ndarray else "scalar"
        return [word, part[1].str, list(part[0])]
    if part[0] not in (bool, int, str):
        raise SaveError(f"an argument of type {part[0].__name__} cannot be saved: bind it with functools.partial")
    return ["constant", part[1]]


def _decode_part(part: Any) -> tuple:
    word = part[0]
    if word == "constant":
        if type(part[1]) not in (bool, int, str):
            raise ValueError("a constant argument is a bool, an int or a string")
        return type(part[1]), part[1]
    dtype = dtype_of(part[1])
    shape = _spec([*part[1:3], None]).shape
    if word == "array":
        return shape, dtype
    if word not in ("float", "scalar") or shape:
        raise ValueError(f"there is no argument of kind {word!r}")
    return shape, dtype, float if word == "float" else dtype.type


class _Table:
    """Things by number, each once."""

    def __init__(self) -> None:
        self.items: list = []
        self.numbers: dict = {}

    def number(self, key: Any, item: Any) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.items)
            self.items.append(item)
        return self.numbers[key]


def _encode_program(program: Program, blob: bytearray) -> dict:
    tape, inputs, outputs = program.recorded
    types, signatures = _Table(), _Table()
    constants: list = []
    words: list[int] = []
    place: dict[int, int] = {}
    taken = set(inputs)

    def type_of(spec: Spec) -> int:
        if spec.dtype.kind not in KINDS:
            raise SaveError(f"arrays of dtype {spec.dtype} cannot be saved")
        strides = None if spec.contiguous else list(spec.strides)
        return types.number(spec.plain, [spec.dtype.str, list(spec.shape), strides])

    for slot in live_rows(tape, inputs, outputs):
        place[slot] = len(place)
        row = tape.signature(slot)
        if row.kind == op.IMPORT:
            constant = -1
            if slot not in taken:
                constant = len(constants)
                constants.append([type_of(row.out), *_store(tape.imported(slot)[1], row.out, blob)])
            words += [-1, type_of(row.out), constant]
            continue
        key = (row.primitive, tuple(row.attrs.items()), *(s.plain for s in (*row.specs, row.out)))
        words.append(signatures.number(key, _encode_signature(row, type_of)))
        words += [place[k] for k in tape.operands(slot)]
        if row.kind in _VIEWS:
            words.append(tape.rows[slot + 1])
    asked = zip(program.guards, program.outcomes, strict=True)
    guards = [[g.kind, g.where, g.dtype.str, list(g.shape), v.hex()] for g, v in asked]
    return {
        "types": types.items,
        "signatures": signatures.items,
        "rows": _store_bytes(np.array(words, "<i8").tobytes(), blob),
        "constants": constants,
        "inputs": [place[k] for k in inputs],
        "outputs": [place[k] for k in outputs],
        "structure": encode_tree(program.treedef),
        "results": [[-1 if k is None else k, encode(x) if k is None else None] for k, x in program.results],
        "guards": guards,
        "chunks": program.chunks,
    }


def _encode_signature(row: Signature, type_of: Any) -> dict:
    primitive: Any = row.primitive
    inner = getattr(primitive, "inner", primitive)
    name: str = getattr(inner, "filed_as", inner.name)
    if _record(name) is not inner:
        raise SaveError(f"{name} is a function of yours, and a file holds no code: it cannot be saved")
    try:
        attrs = {k: encode(v) for k, v in row.attrs.items()}
    except SaveError as error:
        raise SaveError(f"{name} cannot be saved: {error}") from None
    return {
        "primitive": name,
        "write": primitive is not inner,
        "attrs": attrs,
        "operands": [type_of(s) for s in row.specs],
        "result": type_of(row.out),
    }


def _record(name: str) -> Any:
    """The primitive of that name in files, or None."""
    return RECORDS.get(name) or scipy_loader.TWINS.get(name)


def _store(array: np.ndarray, spec: Spec, blob: bytearray) -> list[int]:
    first, last = span(spec)
    if first == last:
        return [len(blob), 0]
    memory = array_at(address_of(array) + first, spec_of((last - first,), _BYTE), array)
    return _store_bytes(memory.tobytes(), blob)


def _store_bytes(data: bytes, blob: bytearray) -> list[int]:
    blob += b"\0" * (-len(blob) % 8)
    at = len(blob)
    blob += data
    return [at, len(data)]


# --- reading -------------------------------------------------------------------------------------------------


def load(path: str | os.PathLike, *, most_bytes: int = _MOST_BYTES) -> Compiled:
    """Read a compiled function that was saved; it runs without the Python code that it was recorded from.

    Parameters
    ----------
    path : str or path-like
        A file that `Compiled.save` has written.
    most_bytes : int, default 2**40
        Of a single value: files whose values are larger are refused.

    Returns
    -------
    Compiled
        It takes arguments of the structures that were recorded, and the recorded paths; for others it raises
        `LookupError`.

    Raises
    ------
    LoadError
        If the file is damaged, not a saved function, of a newer format, or inconsistent. A `ValueError`.
    OSError
        If it cannot be read.

    Notes
    -----
    The file is checked in full before anything of it can run: checksum, structure, that each row's primitive takes such
    operands and gives such a result, and that no instruction leaves the memory of its operands. It holds no code and no
    addresses. Do not mistake this for a proof that a stranger's function computes what it says.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> step = tg.compile(tg.value_and_grad(lambda x: np.sum(x**2)))
    >>> value, gradient = step(np.array([1.0, 2.0]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     step.save(os.path.join(folder, "step.tape"))
    ...     again = tg.load(os.path.join(folder, "step.tape"))
    >>> again(np.array([3.0, 4.0]))[1]
    array([6., 8.])
    """
    return load_bytes(Path(path).read_bytes(), str(path), most_bytes)


def load_bytes(data: bytes, name: str = "these bytes", most_bytes: int = _MOST_BYTES) -> Compiled:
    """What `load` makes of a file's content."""
    try:
        return _read(data, name, most_bytes)
    except LoadError as error:
        raise LoadError(f"{name} cannot be loaded: {error}") from None
    except Exception as error:  # whatever a record makes of what is no attribute of its
        raise LoadError(f"{name} cannot be loaded: it is inconsistent ({type(error).__name__}: {error})") from error


class _Absent:
    """Stands for the Python function that a loaded one was recorded from."""

    def __init__(self, name: str, file: str):
        self.__name__, self.file = name, file

    def refuse(self, reason: str | None) -> LookupError:
        return LookupError(
            f"{self.__name__} was loaded from {self.file}, without its Python code, and has not recorded what is "
            f"needed here ({reason}); record it before it is saved"
        )

    def fail(self, error: Exception) -> NoReturn:
        """Raise what a row failed with: NumPy's own error about values, or that the file is at fault."""
        if isinstance(error, (ArithmeticError, IndexError, MemoryError, np.linalg.LinAlgError)):
            raise error
        raise RuntimeError(
            f"{self.__name__}, loaded from {self.file}, failed ({type(error).__name__}: {error}): values that the "
            f"recorded path is not for, or a file that tapegrad has not written"
        ) from error

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise self.refuse("it is called by a transformation, or with tensors")


def _read(data: bytes, name: str, most_bytes: int) -> Compiled:
    from .program import Compiled

    if len(data) < _HEAD.size or data[:8] != MARK:
        raise LoadError("it is not a saved function")
    _, version, _, header_size, blob_size, digest = _HEAD.unpack_from(data)
    if version != VERSION:
        raise LoadError(f"it has format {version}, and this tapegrad reads format {VERSION}")
    if len(data) != _HEAD.size + header_size + blob_size:
        raise LoadError(f"it is {len(data)} bytes long, and should be {_HEAD.size + header_size + blob_size}")
    body = memoryview(data)[_HEAD.size :]
    if hashlib.sha256(body).digest() != digest:
        raise LoadError("its checksum is wrong: it is damaged")
    header = json.loads(bytes(body[:header_size]))
    blob = body[header_size:]
    absent = _Absent(str(header["name"]), name)
    limit = header["max_paths"]
    if type(limit) is not int or limit < 1:
        raise LoadError(f"max_paths is {limit!r}")
    loaded = Compiled(absent, limit)
    for signature in header["signatures"]:
        arguments = signature["arguments"]
        treedef = decode_tree(arguments["structure"])
        parts = [_decode_part(p) for p in arguments["parts"]]
        if treedef.num_leaves != len(parts):
            raise LoadError("arguments and their structure do not agree")
        specs = [spec_of(p[0], p[1]) for p in parts if isinstance(p[0], tuple)]
        paths = loaded.programs[(treedef, *parts)] = Paths(limit)
        for saved in signature["paths"]:
            paths.add(_decode_program(saved, blob, specs, most_bytes))
    return loaded


def _spec(saved: list, most_bytes: int = _MOST_BYTES) -> Spec:
    dtype, shape, strides = saved
    dtype = dtype_of(dtype)
    if not isinstance(shape, list) or len(shape) > 64 or not all(type(n) is int and n >= 0 for n in shape):
        raise LoadError(f"this is no shape: {shape!r:.60}")
    if strides is not None and (len(strides) != len(shape) or not all(type(s) is int for s in strides)):
        raise LoadError(f"these are no strides: {strides!r:.60}")
    spec = spec_of(tuple(shape), dtype, None if strides is None else tuple(strides))
    first, last = span(spec)
    if last - first > most_bytes or spec.nbytes > most_bytes:
        raise LoadError(f"a value of {max(spec.nbytes, last - first):,} bytes is more than the {most_bytes:,} allowed")
    return spec


def _piece(blob: memoryview, at: Any, size: Any) -> memoryview:
    if type(at) is not int or type(size) is not int or not 0 <= at <= at + size <= len(blob):
        raise LoadError("arrays reach beyond the end of the file")
    return blob[at : at + size]


def _constant(spec: Spec, blob: memoryview, at: Any, size: Any) -> np.ndarray:
    first, last = span(spec)
    if size != last - first:
        raise LoadError(f"a constant has {size} bytes, and should have {last - first}")
    memory = np.empty(max(size, 1), np.uint8)
    memory[:size] = np.frombuffer(_piece(blob, at, size), np.uint8)
    return array_at(address_of(memory) - first, spec, memory)


def _decode_signature(saved: dict, types: list[Spec], most_bytes: int) -> Signature:
    name = saved["primitive"]
    primitive = _record(name)
    if primitive is None:
        scipy_loader.load()
        primitive = _record(name)
    if primitive is None:
        raise LoadError(f"this tapegrad has no primitive {name!r}")
    if saved["write"]:
        primitive = primitive.writer
    specs = tuple(types[_index(k, len(types))] for k in saved["operands"])
    attrs = tuple((str(k), decode(v)) for k, v in saved["attrs"].items())
    out, _ = primitive.infer(specs, dict(attrs))  # before it is interned
    expected = types[_index(saved["result"], len(types))]
    if out.plain is not expected:
        raise LoadError(f"the result of {name} is {out!r}, not {expected!r}")
    signature = signature_of(primitive, specs, attrs, False)
    if signature.kind in (op.KERNEL, op.WRITE):
        check_memory(signature, most_bytes)
    return signature


def _index(k: Any, n: int) -> int:
    if type(k) is not int or not 0 <= k < n:
        raise LoadError(f"{k!r:.30} is no number below {n}")
    return k


def _decode_program(saved: dict, blob: memoryview, arguments: list[Spec], most_bytes: int) -> Program:
    from .recorded import Program

    types = [_spec(t, most_bytes) for t in saved["types"]]
    signatures = [_decode_signature(s, types, most_bytes) for s in saved["signatures"]]
    words = np.frombuffer(_piece(blob, *saved["rows"]), "<i8").tolist()
    tape = Tape(tracing=True)
    slots: list[int] = []
    roots: list[tuple[int, Spec, int]] = []  # the row whose memory it is, its type, and the distance in bytes
    at, imports = 0, {}
    while at < len(words):
        if len(tape.rows) > MAX_ROWS - 64:
            raise LoadError("it has too many rows")
        number = words[at]
        if number == -1:
            spec, constant = types[_index(words[at + 1], len(types))], words[at + 2]
            owner = None
            if constant != -1:
                which, *where = saved["constants"][_index(constant, len(saved["constants"]))]
                if types[_index(which, len(types))] is not spec:
                    raise LoadError("a constant is of another type than its row")
                owner = _constant(spec, blob, *where)
            imports[len(slots)] = owner
            slots.append(tape.bring(spec, owner, 0 if owner is None else address_of(owner)))
            roots.append((len(roots), spec, 0))
            at += 3
            continue
        row = signatures[_index(number, len(signatures))]
        count = len(row.specs)
        operands = [_index(k, len(slots)) for k in words[at + 1 : at + 1 + count]]
        at += 1 + count
        if len(operands) != count:
            raise LoadError("it ends in the midst of a row")
        for k, spec in zip(operands, row.specs, strict=True):
            if tape.signature(slots[k]).out.plain is not spec:
                raise LoadError(f"{row.primitive.name} of {tape.signature(slots[k]).out!r}, where {spec!r} is expected")
        offset = None
        if row.kind in _VIEWS:
            offset = words[at]
            at += 1
        root = (len(roots), row.out.plain, 0)
        if row.kind in _SHARING:
            whose, spec, shift = roots[operands[0]]
            root = (whose, spec, shift + (offset or 0))
            first, last = span(row.out)
            if row.out.size and not span(spec)[0] <= first + root[2] <= last + root[2] <= span(spec)[1]:
                raise LoadError("a view reaches beyond the array that it is of")
            if row.kind in _VIEWS and not in_step(row.out, root[2], spec):
                raise LoadError("a view has elements that lie across those of the array that it is of")
            if row.kind == op.WRITE and whose in imports:
                raise LoadError("a row writes to an argument or a constant")
        slot = len(tape.rows)
        tape.rows.extend(pack(row, [slots[k] for k in operands], offset))
        slots.append(slot)
        roots.append(root)
    inputs, outputs = ([_index(k, len(slots)) for k in saved[name]] for name in ("inputs", "outputs"))
    if len(set(inputs)) != len(inputs) or {k for k, owner in imports.items() if owner is None} != set(inputs):
        raise LoadError("arguments and rows do not agree")
    for k, spec in zip(inputs, arguments, strict=True):
        if tape.signature(slots[k]).out.plain is not spec:
            raise LoadError(f"an argument is {spec!r}, and its row {tape.signature(slots[k]).out!r}")
    for k in outputs:
        if roots[k][0] in inputs:
            raise LoadError("a result shares memory with an argument")
    made = Program.__new__(Program)
    made.lines = made.pullbacks = None
    made.treedef = decode_tree(saved["structure"])
    made.results = [(None if k == -1 else k, decode(x)) for k, x in saved["results"]]
    if made.treedef.num_leaves != len(made.results):
        raise LoadError("results and their structure do not agree")
    answers = _decode_guards(made, saved)
    made.count = len(outputs) - answers
    for k, _ in made.results:
        if k is not None:
            _index(k, made.count)
    for chunk, k in zip(made.chunks, outputs[made.count :], strict=True):
        spec, asked = tape.signature(slots[k]).out, [made.guards[g] for g in chunk]
        if spec.shape != (sum(g.size for g in asked),) or any(g.dtype != spec.dtype for g in asked):
            raise LoadError("guards and the rows that answer them do not agree")
    given = [slots[k] for k in inputs]
    made.recorded = tape, given, simplify(tape, given, [slots[k] for k in outputs])
    made.plan = plan_program(*made.recorded)
    return made


def _decode_guards(made: Program, saved: dict) -> int:
    """Set the guards; returns the number of outputs that answer them."""
    made.guards, made.outcomes = [], []
    for kind, where, dtype, shape, outcome in saved["guards"]:
        spec = _spec([dtype, shape, None])
        guard = Guard(str(kind), str(where), spec)
        value = bytes.fromhex(outcome)
        if len(value) != spec.nbytes:
            raise LoadError("an answer is not of its guard's type")
        made.guards.append(guard)
        made.outcomes.append(value)
    made.chunks = [[_index(k, len(made.guards)) for k in chunk] for chunk in saved["chunks"]]
    if sorted(k for chunk in made.chunks for k in chunk) != list(range(len(made.guards))):
        raise LoadError("guards are not answered once each")
    made.expected = [b"".join([made.outcomes[k] for k in chunk]) for chunk in made.chunks]
    return len(made.chunks)
