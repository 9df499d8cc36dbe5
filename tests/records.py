"""Helpers for tests driven by the primitives' records: cases to try, and the checks that they must pass."""

from __future__ import annotations

import copy
import zlib
from dataclasses import dataclass, field

import numpy as np

import tapegrad as tg
from tapegrad.primitives import scipy_loader
from tapegrad.primitives.core import RECORDS, ZERO, Elementwise, lift
from tapegrad.primitives.domain import EVERYWHERE, Integers
from tapegrad.tape.handle import Tensor
from tapegrad.tape.viewing import record_view
from tapegrad.values import value_of
from tapegrad.vm import opcodes as op

try:
    scipy_loader.load()
except ImportError:
    pass

SHAPES = [((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2000,), (2000,)), ((2000,), ())]
STEP = 2e-4
"""Of the finite differences; their truncation error is of the fourth order in it."""


# --- cases -------------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A record, with operands to call it on.

    Attributes
    ----------
    moving : tuple of int
        Operands to differentiate with respect to.
    """

    record: object
    operands: tuple
    attrs: dict = field(default_factory=dict)
    label: str = ""

    @property
    def moving(self):
        fixed = getattr(self.record, "fixed", ())
        return tuple(k for k, x in enumerate(self.operands) if x.dtype.kind in "fc" and k not in fixed)

    def on(self, operands):
        """The record applied to tensors or arrays."""
        return apply(self.record, operands, self.attrs)

    def reference(self, operands):
        """The result by NumPy or SciPy."""
        with np.errstate(all="ignore"):
            return np.asarray(self.record.compute(*operands, **self.attrs))

    def astype(self, dtype):
        """The same case with floating operands of another precision."""
        operands = tuple(x.astype(dtype) if x.dtype.kind == dtype.kind else x for x in self.operands)
        return Case(self.record, operands, self.attrs, f"{self.label} {dtype.name}")

    def with_record(self, record):
        return Case(record, self.operands, self.attrs, self.label)

    def __str__(self):
        shapes = ", ".join(f"{x.dtype.name}{list(x.shape)}" for x in self.operands)
        return f"{self.record.name}({shapes}; {self.attrs}) {self.label}"


def apply(record, operands, attrs):
    """Record a primitive on arrays or tensors."""
    if record.kind in (op.WINDOW, op.VIEW):
        (x,) = operands
        return record_view(record, lift(x), tuple(sorted(attrs.items())), attrs.get("offset", 0))
    if hasattr(record, "lift"):
        return record(*operands, **attrs)
    return record(*[lift(x) for x in operands], **attrs)


def generator(*key):
    """Random numbers that depend on nothing but the key."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def domains(record):
    """The domain of each operand."""
    count = record.function.nin if isinstance(record.function, np.ufunc) else 1
    domain = record.domain or EVERYWHERE
    return domain if isinstance(domain, tuple) else (domain,) * count


def takes_integers(record):
    """Whether the record is for integers only."""
    return isinstance(record, Elementwise) and all(isinstance(d, Integers) for d in domains(record))


def dtypes(record):
    """Dtypes that an elementwise record is tried with."""
    if takes_integers(record):
        return [np.dtype(c) for c in "lib"]
    found = []
    for char in "dfD":
        dtype = np.dtype(char)
        try:
            loop = record.resolve(operand_dtypes(record, dtype))
        except TypeError:
            continue
        if any(d == dtype for d in loop):
            found.append(dtype)
    return found


def operand_dtypes(record, dtype):
    """Dtypes of the operands, where those that may vary have the given one."""
    return tuple(np.dtype("l") if isinstance(d, Integers) else dtype for d in domains(record))


def draw(record, shapes, dtype, rng):
    """Random operands from where the record is smooth; the first shape for the first operand, and so on."""
    operands = []
    for k, (domain, kind) in enumerate(zip(domains(record), operand_dtypes(record, dtype), strict=True)):
        shape = shapes[min(k, len(shapes) - 1)]
        operands.append(np.asarray(domain.sample(rng, shape, kind)))
    return tuple(operands)


def probe_case(record, dtype):
    """The probes, one element each."""
    rows = [p if isinstance(p, tuple) else (p,) for p in record.probes]
    columns = zip(*rows, strict=True)
    kinds = operand_dtypes(record, dtype)
    operands = tuple(np.array(c).astype(kind) for c, kind in zip(columns, kinds, strict=True))
    return Case(record, operands, {}, "probes")


def sample_cases(record):
    """The record's own samples."""
    samples = record.samples() if callable(record.samples) else record.samples
    for k, sample in enumerate(samples):
        operands, attrs = sample, {}
        if len(sample) == 2 and isinstance(sample[1], dict):
            operands, attrs = sample
        yield Case(record, tuple(np.asarray(x) for x in operands), dict(attrs), f"sample {k}")


def value_cases(record):
    """Cases for the forward computation."""
    yield from sample_cases(record)
    if not isinstance(record, Elementwise) or record.probes is None:
        return
    rng = generator(record.name, "values")
    for dtype in dtypes(record):
        yield probe_case(record, dtype)
        for shapes in SHAPES:
            yield Case(record, draw(record, shapes, dtype, rng), {}, f"shapes {shapes}")
        grid = draw(record, [(4, 6)], dtype, rng)
        layouts = {
            "strided": lambda x: x[::2, ::3],
            "reversed": lambda x: x[:, ::-1],
            "transposed": lambda x: x.T,
        }
        for label, layout in layouts.items():
            yield Case(record, tuple(layout(x) for x in grid), {}, label)
        mixed = tuple(x.T if k == 0 else np.ascontiguousarray(x.T) for k, x in enumerate(grid))
        yield Case(record, mixed, {}, "mixed layouts")
        yield Case(record, tuple(x[:0] for x in grid), {}, "empty")


def smooth_cases(record):
    """Cases at which the record is differentiable."""
    for case in sample_cases(record):
        if case.moving:
            yield case
    if not isinstance(record, Elementwise) or record.probes is None:
        return
    rng = generator(record.name, "smooth")
    for dtype in dtypes(record):
        if dtype.char == "f":
            continue
        yield probe_case(record, dtype)
        for shapes in [((), ()), ((2, 3), (3,)), ((3, 1), (1, 2))]:
            yield Case(record, draw(record, shapes, dtype, rng), {}, f"shapes {shapes}")


def large_cases(record):
    """Cases that fill more than a tile, each with the pieces that it consists of along the first axis."""
    if not isinstance(record, Elementwise) or record.probes is None:
        return
    rng = generator(record.name, "large")
    for dtype in dtypes(record):
        if dtype.char == "f":
            continue
        for shapes in ([(2000,)], [(3, 700), (700,)], [(1500,), ()]):
            case = Case(record, draw(record, shapes, dtype, rng), {}, f"large {shapes}")
            rows = shapes[0][0]
            step = 1 if rows < 10 else 100
            ndim = len(shapes[0])
            pieces = [
                Case(record, tuple(x[i : i + step] if x.ndim == ndim else x for x in case.operands), {}, case.label)
                for i in range(0, rows, step)
            ]
            yield case, pieces


def precise(case):
    """Whether the case's operands and result are in double precision (or not floating at all)."""
    return all(x.dtype.char not in "efF" for x in (*case.operands, case.reference(case.operands)))


def orders(case):
    """How many times a record can be differentiated there."""
    is_complex = any(x.dtype.kind == "c" for x in case.operands)
    return getattr(case.record, "complex_orders" if is_complex else "real_orders", 99)


def differentiable(record):
    """Whether the record has a rule."""
    return record.derivative is None


def layouts_matter(case):
    """Whether the attributes refer to an operand's strides."""
    return any("strides" in name for name in case.attrs)


# --- real functions of real arrays, from records that may be complex -------------------------------------------------


def real_parts(case):
    """The moving operands as real arrays; a complex one becomes two."""
    found = []
    for k in case.moving:
        x = case.operands[k]
        found += [x.real.copy(), x.imag.copy()] if x.dtype.kind == "c" else [x]
    return found


def assemble(case, parts):
    """Operands from real arrays or tensors."""
    operands, parts = list(case.operands), iter(parts)
    for k in case.moving:
        x = next(parts)
        operands[k] = x + next(parts) * 1j if case.operands[k].dtype.kind == "c" else x
    return operands


def real_function(case):
    """The record as a function of real tensors, to a list of real ones."""

    def function(*parts):
        y = case.on(assemble(case, parts))
        return [np.real(y), np.imag(y)] if y.dtype.kind == "c" else [y]

    return function


def reference_function(case):
    """The same by NumPy."""

    def function(*parts):
        y = case.reference(assemble(case, parts))
        return [y.real, y.imag] if y.dtype.kind == "c" else [y]

    return function


def weighted(case, weights):
    """The record's result, weighted and summed: a scalar function of real tensors."""
    function = real_function(case)

    def total(*parts):
        return sum(np.sum(w * y) for w, y in zip(weights, function(*parts), strict=True))

    return total


def weights_like(case, *key):
    """Random weights for each real result."""
    results = reference_function(case)(*real_parts(case))
    rng = generator(case.record.name, case.label, *key)
    return [np.asarray(rng.uniform(0.5, 1.5, size=y.shape) * rng.choice([-1, 1], size=y.shape)) for y in results]


def directions(case, *key):
    """Random tangents for the real parts of the operands; symmetric ones where the record needs symmetric operands."""
    rng = generator(case.record.name, case.label, "directions", *key)
    found = []
    for x in real_parts(case):
        tangent = rng.uniform(0.5, 1.5, size=x.shape) * rng.choice([-1, 1], size=x.shape)
        if getattr(case.record, "symmetric", False):
            tangent = tangent + np.swapaxes(tangent, -1, -2)
        found.append(np.asarray(tangent))
    return found


def numeric_slopes(function, points, tangents, step=STEP):
    """Directional derivative of a function's list of arrays, by central differences of fourth order."""

    def at(t):
        moved = [x + t * np.maximum(np.abs(x), 1e-2) * d for x, d in zip(points, tangents, strict=True)]
        return [np.asarray(y) for y in function(*moved)]

    near, far = (at(step), at(-step)), (at(2 * step), at(-2 * step))
    return [(8 * (a - b) - (c - d)) / (12 * step) for a, b, c, d in zip(*near, *far, strict=True)]


def scaled(points, tangents):
    """The tangents that `numeric_slopes` goes along: relative to the operands' size."""
    return [np.maximum(np.abs(x), 1e-2) * d for x, d in zip(points, tangents, strict=True)]


def inner(a, b):
    """Inner product of two lists of arrays, and the sum of the magnitudes that went into it."""
    terms = [np.ravel(x * y) for x, y in zip(a, b, strict=True)]
    joined = np.concatenate(terms) if terms else np.zeros(1)
    return float(joined.sum()), float(np.abs(joined).sum())


def gradients(case, weights):
    """Cotangents of the operands' real parts, by the compiled reverse sweep."""
    points = real_parts(case)
    total = weighted(case, weights)
    return [np.asarray(g) for g in tg.grad(total, argnums=tuple(range(len(points))))(*points)]


# --- checks --------------------------------------------------------------------------------------------------------


def assert_values(case, result):
    """The result is NumPy's: dtype, shape and values."""
    expected = case.reference(case.operands)
    array = np.asarray(value_of(result)) if isinstance(result, Tensor) else np.asarray(result)
    assert array.shape == expected.shape, f"{case}: shape {array.shape}, NumPy {expected.shape}"
    assert array.dtype == expected.dtype, f"{case}: dtype {array.dtype}, NumPy {expected.dtype}"
    if expected.dtype.kind in "fc":
        eps = np.finfo(expected.dtype).eps
        scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
        np.testing.assert_allclose(array, expected, rtol=16 * eps, atol=4 * eps * scale, err_msg=str(case))
    else:
        np.testing.assert_array_equal(array, expected, err_msg=str(case))


def assert_pullback(case):
    """Each operand's cotangent agrees with finite differences of NumPy's result."""
    points, weights = real_parts(case), weights_like(case)
    bars = gradients(case, weights)
    for k, (x, x_bar) in enumerate(zip(points, bars, strict=True)):
        assert x_bar.shape == x.shape and x_bar.dtype == x.dtype, f"{case}: cotangent {k} is {x_bar.dtype}{x_bar.shape}"
        for trial in range(2):
            tangents = [d if j == k else np.zeros_like(d) for j, d in enumerate(directions(case, trial))]
            slopes = numeric_slopes(reference_function(case), points, tangents)
            moved = scaled(points, tangents)[k]
            if len(slopes) == 1 and slopes[0].shape == x.shape and isinstance(case.record, Elementwise):
                assert_each(case, k, x_bar * moved, weights[0] * slopes[0])
            expected, size = inner(weights, slopes)
            found, _ = inner([x_bar], [moved])
            tolerance = relative(case) * size + 1e-11 * max(1.0, size)
            assert abs(found - expected) <= tolerance, (
                f"{case}: cotangent of operand {k} gives slope {found}, finite differences {expected}"
            )


def relative(case):
    """How far slopes may be from finite differences: those of values that are themselves not right, further."""
    return max(2e-6, getattr(case.record, "coarse", 0.0))


def assert_each(case, k, found, expected):
    """Element by element, so that small derivatives are seen beside large ones."""
    size = np.abs(case.reference(case.operands))
    worst = np.abs(found - expected) - relative(case) * np.abs(expected) - 1e-11 * size - 1e-13
    assert not np.any(worst > 0), f"{case}: operand {k}: slopes {found}, finite differences {expected}"


def assert_pieces(case, pieces):
    """The cotangents of a large array are those of its pieces."""
    weights = [np.ones(y.shape) for y in weights_like(case)]
    whole = gradients(case, weights)
    parts = [gradients(p, [np.ones(y.shape) for y in weights_like(p)]) for p in pieces]
    points = real_parts(case)
    for k, (x, bar) in enumerate(zip(points, whole, strict=True)):
        shared = x.shape == real_parts(pieces[0])[k].shape
        own = [p[k] for p in parts]
        expected = sum(own) if shared else np.concatenate(own)
        scale = np.sum(np.abs(own), axis=0) if shared else np.abs(expected)
        assert bar.shape == expected.shape
        found = np.where(np.isnan(bar) & np.isnan(expected), 0.0, np.abs(bar - expected))
        assert np.all(found <= 1e-13 * scale * (100 if shared else 10)), f"{case}: operand {k} differs from its pieces"


def assert_forward(case):
    """Forward mode and reverse are transposes of one another."""
    points, weights = real_parts(case), weights_like(case)
    tangents = directions(case, "forward")
    _, dots = tg.jvp(real_function(case), tuple(points), tuple(tangents))
    found, size = inner(weights, [np.asarray(d) for d in dots])
    expected, other = inner(gradients(case, weights), tangents)
    assert abs(found - expected) <= 1e-10 * max(size, other, 1.0), f"{case}: forward {found}, reverse {expected}"


def assert_second_order(case):
    """The derivative of the recorded reverse agrees with finite differences of the compiled one."""
    points, weights = real_parts(case), weights_like(case)
    probe = directions(case, "second")
    numbers = tuple(range(len(points)))
    total = weighted(case, weights)

    def slope(*xs):
        found = tg.grad(total, argnums=numbers)(*xs)
        return sum(np.sum(p * g) for p, g in zip(probe, found, strict=True))

    def first(*xs):
        return [np.asarray(g) for g in tg.grad(total, argnums=numbers)(*xs)]

    seconds = [np.asarray(g) for g in tg.grad(slope, argnums=numbers)(*points)]
    tangents = directions(case, "second", "tangents")
    expected, size = inner(probe, numeric_slopes(first, points, tangents))
    found, other = inner(seconds, scaled(points, tangents))
    tolerance = max(1e-5, 5.0 * relative(case)) * max(size, other) + 1e-9 * max(1.0, size)
    assert abs(found - expected) <= tolerance, f"{case}: second order {found}, finite differences {expected}"


def assert_compiled(case):
    """A compiled function gives the values and gradients of the function called as it is, at old and new points."""
    points, weights = real_parts(case), weights_like(case)
    both = tg.value_and_grad(weighted(case, weights), argnums=tuple(range(len(points))))
    compiled = tg.compile(both)
    for factor in (1.0, 1.0, 1.0 + 1e-3):
        moved = [np.asarray(x * factor) for x in points]
        (value, bars), (expected, expected_bars) = compiled(*moved), both(*moved)
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12, err_msg=str(case))
        for bar, other in zip(bars, expected_bars, strict=True):
            np.testing.assert_allclose(bar, other, rtol=1e-11, atol=1e-12, err_msg=str(case))


# --- planted faults --------------------------------------------------------------------------------------------------


def planted(record, operand, factor):
    """The record with a fault: one operand's cotangent is multiplied by a factor."""
    faulty = copy.copy(record)
    faulty.__dict__.pop("_writer", None)

    def transpose_at(y_bar, y, xs, wanted, attrs):
        bars = list(record.transpose_at(y_bar, y, xs, wanted, attrs))
        if bars[operand] is not None:
            bars[operand] = bars[operand] * factor
        return bars

    faulty.transpose_at = transpose_at
    return faulty


def derivative_state(record):
    """Which of its three states a record's derivative is in."""
    if record.derivative is ZERO:
        return "zero"
    return "refused" if isinstance(record.derivative, str) else "rule"


assert RECORDS
