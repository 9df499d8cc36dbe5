"""Signatures: a primitive at certain operand types. All that can be known before the values are."""

from __future__ import annotations

from typing import cast

from ..vm import opcodes as op
from ..vm.pools import pools
from .spec import Spec

__all__ = [
    "CAREFUL",
    "DEFER_BYTES",
    "FAST",
    "Signature",
    "fast_index",
    "import_codes",
    "import_signature",
    "signature_of",
]

DEFER_BYTES = 128 * 1024
"""Operations with an operand or a result of more bytes than this run at once."""

FAST: dict[bool, list[dict]] = {True: [], False: []}
"""Per gradient mode and operator: operands' specs -> (code, result spec) of rows that may simply be appended."""


def fast_index() -> int:
    """A place of its own in the fast tables."""
    for tables in FAST.values():
        tables.append({})
    return len(FAST[True]) - 1


class _Nothing:
    """Stands for a list of empty tables: with it, every operation takes the long way."""

    def __getitem__(self, k):
        raise KeyError(k)


CAREFUL = cast("list[dict]", _Nothing())

by_index: list[Signature] = []
_interned: dict[tuple, Signature] = {}


def _small(specs) -> bool:
    """Whether an operation on values of such types is little work, on memory that waits for it.

    A view that spans much, such as a column of a large matrix, may be the last to know of that memory.
    """
    return max([max(s.nbytes, s.extent) for s in specs]) <= DEFER_BYTES


class Signature:
    """A primitive at fixed operand types and attributes.

    Attributes
    ----------
    index : int
        Row of the signature table; the opcode part of a tape row.
    primitive : Primitive
    specs : tuple of Spec
        Of the operands.
    attrs : dict
    out : Spec
        Of the result.
    kind : int
        One of the row kinds of `tapegrad.vm.opcodes`.
    width : int
        Words of a row.
    reads_grad : bool
        Whether an operand requires grad.
    small : bool
        Little enough work to be deferred.
    """

    __slots__ = (
        "attrs",
        "code",
        "deferrable",
        "index",
        "kind",
        "lowered",
        "needs_mask",
        "out",
        "primitive",
        "reads_grad",
        "small",
        "specs",
        "width",
    )

    def __init__(self, primitive, specs, attrs, out, kind):
        self.primitive, self.specs, self.attrs, self.out, self.kind = primitive, specs, attrs, out, kind
        view = kind in op.WITH_OFFSET
        self.width = 2 if view else 1 + max(0, (len(specs) - 1) // 2)
        self.small = view or _small((*specs, out))
        self.deferrable = self.small and not primitive.runs_at_once(specs)
        self.lowered = False
        self.reads_grad = any([s.requires_grad for s in specs])
        self.needs_mask = 0
        with pools.lock:
            self.index = len(by_index)  # who interrupts this has taken no number
            pools.add_signature(self.index)
            self.code = self.index << op.SIGNATURE_SHIFT
            self._fill()
            by_index.append(self)

    def _fill(self):
        row = pools.table[self.index]
        bar = self.out.bar
        row[op.KIND], row[op.WIDTH], row[op.NIN] = self.kind, self.width, len(self.specs)
        row[op.BYTES] = max(self.out.nbytes, 8)
        row[op.BAR_BYTES], row[op.BAR_LOW] = max(bar.extent, 8), bar.low
        row[op.REQUIRES_GRAD] = self.out.requires_grad
        if self.out.requires_grad:
            from .lower import bar_copy_plans

            row[op.BAR_COPY], row[op.BAR_COPY + 1] = bar_copy_plans(self.out)

    def lower_forward(self):
        """Fill in the instructions that compute the result."""
        from .lower import lower_forward

        with pools.lock:
            if pools.table[self.index, op.FORWARD] < 0:
                lower_forward(self)

    def lower_reverse(self):
        """Fill in the instructions that carry the result's cotangent to the operands."""
        from .lower import lower_reverse

        with pools.lock:
            if not self.lowered:
                lower_reverse(self)
                self.lowered = True

    @property
    def needs(self) -> int:
        """Which values the reverse reads: bit 0 the result, bit k + 1 operand k."""
        if not self.lowered:
            self.lower_reverse()
        return self.needs_mask

    def __repr__(self):
        return f"{self.primitive.name}({', '.join(map(repr, self.specs))}) -> {self.out!r}"


def signature_of(primitive, specs: tuple[Spec, ...], attrs: tuple, grad_enabled: bool) -> Signature:
    """The interned signature; `attrs` is a sorted tuple of (name, value).

    Raises
    ------
    TypeError, ValueError
        If the primitive does not take such operands: wrong shapes are found here, at the user's line.
    """
    key = (primitive, specs, attrs, grad_enabled)
    found = _interned.get(key)
    if found is None:
        for spec in specs:
            if spec.device is not None:
                from ..cuda.signature import device_signature

                return device_signature(*key)
        keywords = dict(attrs)
        out, kind = primitive.infer(specs, keywords)
        grad = grad_enabled and primitive.carries_grad(specs, out)
        out = out.replace(requires_grad=grad)
        if kind not in op.WITH_OFFSET and not primitive.runs_at_once(specs) and _small((*specs, out)):
            primitive.try_attributes(specs, keywords)
        with pools.lock:
            found = _interned.get(key)
            if found is None:
                found = _interned[key] = Signature(primitive, specs, keywords, out, kind)
    return found


class _Import:
    """Stands for a value from outside the tape."""

    name = "import"

    def runs_at_once(self, specs):
        return False

    def __repr__(self):
        return "import"


_import = _Import()


def import_signature(spec: Spec) -> Signature:
    """Signature of a row that brings a value of that spec onto a tape."""
    found = _interned.get((_import, spec))
    if found is None:
        with pools.lock:
            found = _interned.setdefault((_import, spec), Signature(_import, (), {}, spec, op.IMPORT))
    return found


class _ImportCodes(dict):
    def __missing__(self, spec):
        self[spec] = code = import_signature(spec).code
        return code


import_codes = _ImportCodes()
"""The first word of rows that bring values onto a tape, by their spec."""
