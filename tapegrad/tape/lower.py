"""Lowering: a primitive's rule is recorded once per signature, and becomes instructions.

The rule runs on a scratch tape with operands that stand for the result, its operands and the result's
cotangent; the rows that it leaves are turned into a template, in which operands are codes (see
`tapegrad.vm.reverse`). Forward definitions in terms of other primitives are lowered in the same way.
"""

from __future__ import annotations

import contextlib

import numpy as np

from ..vm import opcodes as op
from ..vm.bridge import loop_address
from ..vm.kernels import extra_loop
from ..vm.plans import in_place, loop_plan
from ..vm.pools import pools
from .exactness import called_ufunc
from .spec import spec_of
from .state import local
from .tape import Tape

__all__ = ["Emitter", "bar_copy_plans", "compose", "copy_loops", "lower_forward", "lower_reverse", "tracing"]


@contextlib.contextmanager
def tracing(tape=None):
    """Record on a tape of its own: nothing runs, nothing requires grad."""
    state = local.state
    saved = state.tape, state.grad_enabled, state.deferred, state.careful
    tape = tape or Tape(tracing=True)
    try:
        state.tape, state.grad_enabled, state.deferred, state.careful = tape, False, True, False
        state.refresh()
        yield tape
    finally:
        state.tape, state.grad_enabled, state.deferred, state.careful = saved
        state.refresh()


def bar_copy_plans(spec):
    """Plans to add a cotangent of that spec into another of the same layout, and to zero one."""
    bar = spec.bar
    loop, acc = copy_loops(bar)
    copy = loop_plan(loop, bar.shape, [bar.strides, bar.strides], bar.dtype.itemsize, acc)
    zero = pools.add_plan([bar.low, bar.extent])
    return copy, zero


WORTH_OWN_LOOP = 1 << 14
"""Bytes from which on tapegrad's own loop copies, which NumPy's is slower than, but has not to be compiled."""


def copy_loops(spec):
    """Addresses of a loop that copies values of a spec, and of one that adds them; None where there is none."""
    dtype, c = spec.dtype, spec.dtype.char
    if dtype.kind == "b":
        return loop_address(np.absolute, "?->?"), None
    if dtype.kind not in "iufc":
        return None, None
    if spec.nbytes < WORTH_OWN_LOOP:
        loop = loop_address(np.positive, f"{c}->{c}")
    else:
        loop = extra_loop("copy", f"{c}->{c}"), 0
    return loop, (*loop_address(np.add, f"{c}{c}->{c}"), False)


class Emitter:
    """Collects instructions of one template.

    Kernels of primitives call `loop`, `gufunc`, `call` ...; operands are ``(code, spec)`` pairs.
    """

    def __init__(self, first_temp, tiled=False):
        self.words: list[int] = []
        self.temps: list[int] = []
        self.first_temp = first_temp
        self.tiled = tiled
        self.calls = 0
        self.flags = 0

    def part(self):
        """Another one, for a stretch of the same template."""
        made = type(self)(self.first_temp, self.tiled)
        made.temps = self.temps
        return made

    def temp(self, spec):
        """A temporary of that spec."""
        code = self.first_temp + len(self.temps)
        size = spec.nbytes
        used = sum(1 for t in self.temps if t < 0)
        if self.tiled and spec.size > op.TILE and used < op.SCRATCH_TILES - 2:
            self.temps.append(-used * op.TILE_BYTES - 1)
        else:
            self.temps.append(max(size, 8))
        return code

    def is_tile(self, code):
        """Whether an operand code is a tile in scratch memory."""
        return code >= self.first_temp and self.temps[code - self.first_temp] < 0

    def emit(self, opcode, plan, *codes):
        """Append an instruction; the destination's code first."""
        self.words += [opcode | (2 + len(codes)) << 8 | self.flags << 16, plan, *codes]

    def loop(self, loop, out, operands, shape=None, accumulate=None, inline=None):
        """An inner loop over broadcast operands.

        Parameters
        ----------
        loop : (int, int)
            Address and data.
        out : (int, Spec)
        operands : list of (int, Spec)
        shape : tuple of int, optional
            Of the iteration: the result's, unless it reduces.
        accumulate : tuple, optional
            See `tapegrad.vm.plans.loop_plan`.
        inline : int, optional
            The opcode that does the same to a few float64 elements.
        """
        from ..vm.plans import broadcast_strides

        code, spec = out
        shape = spec.shape if shape is None else shape
        if inline is not None and self._inline(inline, out, operands, shape):
            return
        strides = [broadcast_strides(s.shape, s.strides, shape) for _, s in operands]
        strides.append(broadcast_strides(spec.shape, spec.strides, shape))
        tiled = [self.is_tile(c) for c, _ in operands] + [self.is_tile(code)]
        single = tuple([s.dtype.itemsize for _, s in (*operands, out)])
        plan = loop_plan(loop, shape, strides, spec.dtype.itemsize, accumulate, tiled, single)
        self.emit(op.LOOP, plan, code, *[c for c, _ in operands])

    def _inline(self, opcode, out, operands, shape):
        n = 1
        for m in shape:
            n *= m
        if n > op.INLINE or n == 0:
            return False
        specs = [s for _, s in operands]
        if out[1].dtype.char != "d" or any(s.dtype.char != "d" for s in specs):
            return False
        if opcode != op.SUM and not (out[1].contiguous and out[1].size == n):
            return False
        if any(not (s.size == 1 or (s.contiguous and s.size == n)) for s in specs):
            return False
        plan = n
        if specs[0].size > 1:
            plan |= op.STEP_A
        if len(specs) > 1 and specs[1].size > 1:
            plan |= op.STEP_B
        self.emit(opcode, plan, out[0], *[c for c, _ in operands])
        return True

    def zero(self, out):
        """Fill the result with zero bytes."""
        self.emit(op.ZERO, pools.add_plan([out[1].low, max(out[1].extent, 0)]), out[0])

    def shifted(self, code, offset):
        """Code of the same operand, which is no constant, some bytes further on."""
        made = self.first_temp + len(self.temps)
        self.temps.append(0)
        self.words += [op.ALIAS | 4 << 8, offset, made, code]
        return made

    def call(self, primitive, attrs, out, operands):
        """Leave the interpreter: Python computes the result."""
        from .callout import add_call

        plan = add_call(primitive, attrs, [s for _, s in operands], out[1])
        self.calls += 1
        self.emit(op.CALL, plan, out[0], *[c for c, _ in operands])

    def finish(self):
        """Indices of the template and of its temporaries' sizes."""
        return pools.add_template(self.words), len(self.words), pools.add_plan(self.temps or [0]), len(self.temps)


def lower_forward(signature):
    """Fill the table's forward fields."""
    nin = len(signature.specs)
    emitter = Emitter(nin + 1)
    first = 1 if signature.kind == op.WRITE else 0  # operand 0 of a write is only the target
    operands = [(k + 1, s.plain) for k, s in enumerate(signature.specs)][first:]
    out, called = (0, signature.out.plain), called_ufunc(signature.primitive)
    if called is not None:
        emitter.call(called, signature.attrs, out, operands)
    else:
        signature.primitive.kernel(emitter, out, operands, signature.attrs)
    row = pools.table[signature.index]
    row[op.HAS_CALL] = emitter.calls > 0
    row[op.FORWARD_LEN], row[op.FORWARD_TEMPS], row[op.FORWARD_NTEMPS] = 0, 0, 0
    at, length, temps, ntemps = emitter.finish()
    row = pools.table[signature.index]
    row[op.FORWARD_LEN], row[op.FORWARD_TEMPS], row[op.FORWARD_NTEMPS] = length, temps, ntemps
    row[op.FORWARD] = at


def compose(emitter, out, operands, function):
    """Lower ``function(*tensors)`` as a forward definition into an emitter."""
    if hasattr(emitter, "take"):  # it asks what the definition is: see `tapegrad.cuda.table`
        emitter.take(function)
        return
    with tracing() as tape:
        tensors = [_placeholder(tape, spec) for _, spec in operands]
        result = function(*tensors)
        _bring(result)
    codes = {t._slot: code for t, (code, _) in zip(tensors, operands, strict=True)}
    _emit_rows(emitter, tape, codes, [(result, out, 0)])


def lower_reverse(signature):
    """Fill the table's reverse fields, and note which values the reverse reads."""
    row = pools.table[signature.index]
    if not signature.out.requires_grad or signature.kind in (op.IMPORT, op.WINDOW):  # the sweep knows windows itself
        row[op.REVERSE] = 0
        return
    if signature.kind == op.PATCHED:
        _lower_patched(signature)
        return
    nin = len(signature.specs)
    with tracing() as tape:
        y_bar = _placeholder(tape, signature.out.bar)
        y = _placeholder(tape, signature.out.plain)
        xs = [_placeholder(tape, s.plain) for s in signature.specs]
        wanted = tuple(s.requires_grad for s in signature.specs)
        bars = signature.primitive.transpose_at(y_bar, y, xs, wanted, signature.attrs)
        for bar in bars:
            if bar is not None:
                _bring(bar)
    codes = {y_bar._slot: nin + 1, y._slot: 0}
    codes.update({x._slot: k + 1 for k, x in enumerate(xs)})
    results = []
    for k, bar in enumerate(bars):
        if bar is not None and signature.specs[k].requires_grad:
            results.append((bar, (nin + 2 + k, signature.specs[k].bar), op.CONTRIBUTES))
    emitter = Emitter(2 * nin + 2, tiled=_tileable(tape, signature))
    _emit_rows(emitter, tape, codes, results)
    _mark_last_reader(emitter.words, nin + 1, signature.out.bar, [s.bar for s in signature.specs])
    used = set(_codes_read(emitter.words))
    signature.needs_mask = sum(1 << min(c, 62) for c in used if 0 <= c <= nin)
    _finish_reverse(signature, emitter)


def _finish_reverse(signature, emitter):
    at, length, temps, ntemps = emitter.finish()
    row = pools.table[signature.index]
    row[op.NEEDS] = signature.needs_mask
    row[op.REVERSE_LEN], row[op.REVERSE_TEMPS], row[op.REVERSE_NTEMPS] = length, temps, ntemps
    row[op.REVERSE] = at


def _lower_patched(signature):
    """The reverse of a write into a window: its cotangent goes to what was written, and is zero for the old value.

    The first two temporaries are the result's cotangent (or a copy, if somebody else reads that) and the window of it;
    the sweep knows where they stand.
    """
    base, value = signature.specs
    window = spec_of(value.shape, value.dtype, signature.attrs["strides"])
    emitter = Emitter(2 * 2 + 2)
    emitter.temps += [0, 0]
    whole, part = emitter.first_temp, emitter.first_temp + 1
    if value.requires_grad:
        _emit_copy(emitter, part, window, (5, value.bar), op.CONTRIBUTES)
    if base.requires_grad:
        zero = pools.add_const(np.zeros((), value.dtype))
        loop, _ = copy_loops(value)
        emitter.loop(loop, (part, window), [(zero, spec_of((), value.dtype))])
        _emit_copy(emitter, whole, base.bar, (4, base.bar), op.CONTRIBUTES | op.IDENTITY)
    _finish_reverse(signature, emitter)


def _mark_last_reader(words, y_bar, bar, others):
    """Mark the last instruction that reads the result's cotangent, if what it contributes may be written over that.

    The operand's cotangent must lie in memory as the result's does, and each element depend on the one in its place.
    """
    p = last = 0
    found = False
    while p < len(words):
        opcode, n = words[p] & 255, words[p] >> 8 & 255
        if opcode != op.GROUP and y_bar in words[p + 3 : p + n]:
            if opcode == op.ALIAS:
                return  # others may read it under another name
            found, last = True, p
        p += n
    if not found or words[last] >> 16 != op.CONTRIBUTES:
        return
    opcode, n = words[last] & 255, words[last] >> 8 & 255
    spec = others[words[last + 2] - y_bar - 1]
    if not (bar.contiguous and spec.contiguous and bar.nbytes == spec.nbytes and bar.dtype == spec.dtype):
        return
    reads = [k for k, code in enumerate(words[last + 3 : last + n]) if code == y_bar]
    if op.SUM < opcode < op.NOP or (opcode == op.LOOP and all([in_place(words[last + 1], k) for k in reads])):
        words[last] |= op.LAST_READER << 16


def _codes_read(words):
    p = 0
    while p < len(words):
        n = words[p] >> 8 & 255
        opcode = words[p] & 255
        if opcode not in (op.GROUP,):
            yield from words[p + 3 : p + n] if opcode != op.ALIAS else words[p + 3 : p + 4]
        p += n


def _placeholder(tape, spec):
    from .current import new_tensor

    return new_tensor(tape, tape.bring(spec, None, 0), spec)


def _bring(tensor):
    """See to it that a rule's result stands on the scratch tape: it may be a constant that no row has read."""
    from .importing import slot_of

    tape = local.state.tape
    tensor._slot, tensor._tape = slot_of(tensor, local.state, tape), tape


def _live_rows(tape, results):
    """Rows that the results depend on, in order, and how often each slot is read."""
    reads: dict[int, int] = {}
    live = set()
    stack = [bar._slot for bar, _, _ in results]
    for slot in stack:
        reads[slot] = reads.get(slot, 0) + 1
    while stack:
        slot = stack.pop()
        if slot in live:
            continue
        live.add(slot)
        for k in tape.operands(slot):
            reads[k] = reads.get(k, 0) + 1
            stack.append(k)
    return sorted(live), reads


def _tileable(tape, signature):
    """Whether every row is elementwise over as many elements as the result: then tiles may hold what lies between."""
    n = signature.out.size
    if n <= op.TILE:
        return False
    for slot in _rows(tape):
        row = tape.signature(slot)
        if row.kind == op.IMPORT:
            if row.out.size not in (1, n) or not row.out.contiguous:
                return False
        elif not row.primitive.elementwise or row.out.size != n:
            return False
    return True


def _rows(tape):
    slot = 0
    while slot < len(tape.rows):
        yield slot
        slot += tape.signature(slot).width


def _emit_rows(emitter, tape, codes, results):
    """Instructions of the live rows; results are ``(tensor, (code, spec), flags)``."""
    live, reads = _live_rows(tape, results)
    final: dict = {}
    once: dict = {}
    for bar, out, flags in results:
        slot = bar._slot
        if reads[slot] == 1 and slot not in codes:
            if _direct(tape, slot, out):
                final[slot] = (out, flags)
            elif flags:
                once[slot] = (out, flags)
    body = emitter.part()
    specs: dict = {}
    alias: dict = {}
    for slot in live:
        row = tape.signature(slot)
        specs[slot] = row.out.plain
        if slot in codes:
            continue
        if row.kind == op.IMPORT:
            owner = tape.imported(slot)[1]
            codes[slot] = pools.add_const(owner)
            continue
        sources = tape.operands(slot)
        operands = [(codes[k], specs[k]) for k in sources]
        if row.kind in (op.VIEW, op.WINDOW):
            offset = tape.rows[slot + 1]
            if operands[0][0] < 0:
                codes[slot] = pools.const_at(operands[0][0], offset)
                continue
            codes[slot] = body.shifted(operands[0][0], offset)
            if offset == 0:
                alias[slot] = alias.get(sources[0], sources[0])
            continue
        if slot in final:
            out, body.flags = final[slot]
            codes[slot] = out[0]
        else:
            out = codes[slot], specs[slot] = body.temp(specs[slot]), specs[slot]
        start = len(body.words)
        row.primitive.kernel(body, out, operands, row.attrs)
        body.flags = 0
        if slot in once and slot not in final and _forwardable(body.words, start, once[slot][0][1], row):
            body.words[start] |= op.FORWARDED << 16
            _emit_copy(body, codes[slot], specs[slot], *once.pop(slot))
            final[slot] = None
    late = []
    for bar, out, flags in results:
        slot = bar._slot
        if slot in final:
            continue
        if emitter.tiled and codes[slot] >= emitter.first_temp and body.is_tile(codes[slot]):
            _emit_copy(body, codes[slot], specs[slot], out, flags)
        else:
            late.append((slot, out, flags))
    if emitter.tiled and body.words:
        emitter.emit(op.GROUP, pools.add_plan([_group_size(tape), len(body.words)]))
    emitter.words += body.words
    emitter.calls += body.calls
    for slot, out, flags in late:
        source = alias.get(slot, slot)
        dense = specs[slot].contiguous and specs[source].contiguous and out[1].contiguous
        if flags and codes[source] == emitter.first_temp // 2 and (dense or specs[slot].strides == out[1].strides):
            flags |= op.IDENTITY
        _emit_copy(emitter, codes[slot], specs[slot], out, flags)


def _group_size(tape):
    return max(tape.signature(slot).out.size for slot in _rows(tape))


def _direct(tape, slot, out):
    """Whether a row may write straight into a contribution's destination: one instruction that can accumulate."""
    row = tape.signature(slot)
    if row.kind != op.KERNEL or not row.primitive.accumulates:
        return False
    return row.out.shape == out[1].shape and row.out.dtype == out[1].dtype


def _forwardable(words, start, spec, row):
    """Whether a row became one instruction that overwrites its result, of the very layout of the destination."""
    if start == len(words) or len(words) - start != words[start] >> 8 & 255:
        return False
    dense = spec.contiguous and row.out.contiguous and spec.shape == row.out.shape and spec.dtype == row.out.dtype
    return dense and words[start] & 255 in (op.GUFUNC, op.CALL)


def _emit_copy(emitter, code, spec, out, flags):
    """Contribute a value that stands elsewhere: the result's cotangent itself, or a temporary."""
    emitter.flags = flags
    loop, acc = copy_loops(out[1])
    emitter.loop(loop, out, [(code, spec)], accumulate=acc, inline=op.COPY)
    emitter.flags = 0
