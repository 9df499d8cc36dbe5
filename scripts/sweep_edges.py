#!/usr/bin/env python
"""Slopes of every ufunc at edges, against differences of NumPy's and SciPy's own values.

Operands are drawn from a pool of edges (zeros, ones, halves, small integers, the tiny and the huge, infinity, the
ends of each record's domain), mixed with ordinary points of the domain. A slope is claimed to exist where differences
with several steps agree, and those from the left with those from the right (at the end of a domain, those of one
side); what SciPy gives no value for, or a noisy one, is left out. Reported are slopes that are NaN, infinite or far
off where one exists, the same of float32 where float64 is right, second derivatives at finite points against
differences of the first, forward mode against reverse, and exceptions. Each record has a process of its own, and is
repeated with smaller edges where SciPy hangs or ends the process. What is known is counted apart, with its reason.

Run:  python scripts/sweep_edges.py 10000 --seed 1
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import warnings
import zlib
from collections import Counter

import numpy as np
from known_edges import left_out
from scipy import special

import tapegrad as tg
from tapegrad.primitives import scipy_loader
from tapegrad.primitives.core import RECORDS, NoRuleError
from tapegrad.primitives.domain import EVERYWHERE, Above, Below, Between, Integers

SECONDS = 10.0
EPS = 2.0**-52
TINY = 2.0**-1022
EDGES = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 2.0, -2.0, 3.0, 4.0, 5.0, 10.0, 1e-300, 1e-20, 1e-8, -1e-8, 1.0 - EPS,
    1.0 + EPS, 1.0 - 1e-8, 1e8, 1e20, 1e300, -1e8, np.inf, -np.inf,
)  # fmt: skip
ORDERS = (-2, -1, 0, 1, 2, 3, 7)
"""Edges of operands that are integers."""
STEPS = 10.0 ** -np.arange(1.0, 7.5, 0.5)
AGREEMENT = 1e-4
FAR = 2e-3
ENDLESS_IN_SINGLE = {f"{kind}_{name}" for kind in ("pro", "obl") for name in ("cv", "ang1", "rad1", "rad2")}
"""Functions whose loops in single precision do not end, in SciPy; tapegrad's values go through double."""
SIZES = (np.inf, 100.0, 10.0, 3.0)
"""Of edges at most: those that come next are for functions of SciPy that hang or die with the ones before."""


# --- points ----------------------------------------------------------------------------------------------------------


def domains(record):
    """The domain of each operand."""
    domain = record.domain if getattr(record, "domain", None) else EVERYWHERE
    return domain if isinstance(domain, tuple) else (domain,) * record.function.nin


def targets():
    """Ufuncs that have a derivative."""
    found = {}
    for record in RECORDS.values():
        function = record.function
        if not isinstance(function, np.ufunc) or function.signature:
            continue
        if record.derivative is None:
            found.setdefault(function.__name__, record)
    return found


def integers(record):
    """Operands that the ufunc takes as integers only, or as well."""
    count = record.function.nin
    found = [k for k, d in enumerate(domains(record)) if isinstance(d, Integers)]
    dtypes = tuple(np.dtype("l" if k in found else "d") for k in range(count))
    loop = record.function.resolve_dtypes((*dtypes, *[None] * record.function.nout))
    return [k for k in found if loop[k].kind == "i"]


def pool(domain, most):
    """Edges of an operand, of a certain size at most."""
    if isinstance(domain, Integers):
        return np.array(ORDERS, float)
    ends = []
    if isinstance(domain, (Above, Between)):
        ends.append(domain.low)
    if isinstance(domain, (Below, Between)):
        ends.append(domain.high)
    edges = np.array([*EDGES, *ends])
    return edges[np.abs(edges) <= most]


def ordinary(record, k, rng, count):
    """Points of the middle of an operand's domain, near to the record's probes or samples if it has any."""
    if isinstance(domains(record)[k], Integers) or getattr(record, "probes", None):
        return domains(record)[k].sample(rng, count, np.dtype(float))
    samples = record.samples() if callable(record.samples) else record.samples
    values = np.ravel(np.asarray(samples[0][k], float)) if samples else np.array([0.5, 1.5])
    return rng.choice(values, count)


def fitted(name, operands):
    """Operands that hang together: whole orders and degrees of Mathieu's and spheroidal functions, and their values."""
    if name.startswith("mathieu"):
        operands[0] = np.maximum(np.abs(np.rint(np.clip(operands[0], -9.0, 9.0))), "sem" in name or name == "mathieu_b")
    if name.startswith(("pro_", "obl_")):
        low, high = np.abs(np.rint(np.clip(operands[:2], -9.0, 9.0)))
        operands[:2] = [np.minimum(low, high), np.maximum(low, high)]
    if name.endswith("_cv") and len(operands) == 5:
        operands[2] = np.clip(operands[2], 0.0, 5.0)
        operands[3] = getattr(special, name[:4] + "cv")(*operands[:3])
    return operands


def draw(record, rng, count, most):
    """Operands: one of them at an edge at least, the others at edges or not."""
    operands, whole = [], integers(record)
    sure = rng.integers(record.function.nin, size=count)
    for k, domain in enumerate(domains(record)):
        at_edge = (sure == k) | (rng.random(count) < 0.35)
        x = np.where(at_edge, rng.choice(pool(domain, most), count), ordinary(record, k, rng, count))
        operands.append(x.astype(int) if k in whole else x)
    return fitted(record.function.__name__, operands)


# --- slopes that exist -----------------------------------------------------------------------------------------------


def values(function, xs):
    with np.errstate(all="ignore"):
        return np.asarray(function(*xs), float)


def differences(function, xs, k, scale):
    """For each step: difference quotients of third order from the left, from the right, and the central one."""
    x, y = xs[k], values(function, xs)
    quotients, bars = [], []
    with np.errstate(all="ignore"):
        for step in STEPS:
            h = step * scale
            at = {}
            for j in (-3, -2, -1, 1, 2, 3):
                moved = list(xs)
                moved[k] = x + j * h
                at[j] = values(function, moved)
            size = np.nanmax(np.abs([y, *at.values()]), axis=0)
            h = ((x + h) - (x - h)) / 2.0
            sides = [s * (-11.0 * y + 18.0 * at[s] - 9.0 * at[2 * s] + 2.0 * at[3 * s]) / (6.0 * h) for s in (-1, 1)]
            central = (8.0 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12.0 * h)
            quotients.append([*sides, central])
            bars.append((8.0 * EPS * size + TINY) / np.abs(h))
    return np.array(quotients), np.array(bars)


def settled(quotients, bars, side):
    """The value at which quotients of consecutive steps agree, its uncertainty, and where there is one."""
    q = quotients[:, side]
    best, best_bar = np.full(q.shape[1], np.nan), np.full(q.shape[1], np.inf)
    with np.errstate(all="ignore"):
        for j in range(len(q) - 2):
            spread = np.max(q[j : j + 3], axis=0) - np.min(q[j : j + 3], axis=0)
            noise = bars[j + 2]
            fine = np.isfinite(spread) & (spread <= AGREEMENT * np.abs(q[j + 1]) + noise)
            fine &= noise <= np.maximum(AGREEMENT * np.abs(q[j + 1]), 1e-290) + 1e3 * noise * (q[j + 1] == 0.0)
            bar = spread + noise
            better = fine & (bar < best_bar)
            best, best_bar = np.where(better, q[j + 1], best), np.where(better, bar, best_bar)
    return best, best_bar


def slope(function, xs, k):
    """The slope in an operand and its uncertainty; NaN where none is seen to exist."""
    x, y = xs[k], values(function, xs)
    finite = np.isfinite(x)
    base = [np.where(np.isfinite(v), v, 1.0) if j == k else v for j, v in enumerate(xs)]
    found, bar = np.full(x.shape, np.nan), np.full(x.shape, np.inf)
    for scale in (np.where(base[k] == 0.0, 1e-3, np.abs(base[k])), np.maximum(np.abs(base[k]), 1.0)):
        quotients, bars = differences(function, base, k, scale)
        left, right, middle = (settled(quotients, bars, side) for side in range(3))
        sided = [np.isfinite(quotients[:, s]).any(axis=0) for s in (0, 1)]
        with np.errstate(all="ignore"):
            room = 10.0 * AGREEMENT * np.abs(right[0]) + left[1] + right[1]
            both = np.abs(left[0] - right[0]) <= room
        for fine, (value, width) in (
            (both, middle),
            (both, right),
            (sided[1] & ~sided[0], right),
            (sided[0] & ~sided[1], left),
        ):
            use = np.isnan(found) & fine & np.isfinite(value)
            found, bar = np.where(use, value, found), np.where(use, width, bar)
    at_infinity = ~finite & _flat(function, xs, k, y)
    found, bar = np.where(finite, found, np.nan), np.where(finite, bar, np.inf)
    found, bar = np.where(at_infinity, 0.0, found), np.where(at_infinity, 1e-290, bar)
    good = np.isfinite(y)
    return np.where(good, found, np.nan), bar


def _flat(function, xs, k, y):
    """Whether a function does not change any more far out."""
    same = np.isfinite(y)
    for far in (1e60, 1e150, 1e250):
        moved = list(xs)
        moved[k] = np.where(np.isfinite(xs[k]), xs[k], np.copysign(far, xs[k]))
        with np.errstate(all="ignore"):
            same &= np.abs(values(function, moved) - y) <= 1e-13 * np.abs(y) + 1e-20
    return same


# --- one record ------------------------------------------------------------------------------------------------------


class Sweep:
    """A record's slopes at random edges."""

    def __init__(self, name, record, result, rng, count, most):
        self.name, self.record, self.result = name, record, result
        self.rng, self.count, self.most = rng, count, most
        self.found, self.counts = [], Counter()

    def function(self, *xs):
        y = self.record.function(*xs)
        return y[self.result] if self.record.function.nout > 1 else y

    def run(self):
        xs = draw(self.record, self.rng, self.count, self.most)
        for k, x in enumerate(xs):
            if x.dtype.kind == "f":
                self.operand(xs, k)
        return self.found, self.counts

    def function_of_reals(self, *xs):
        """NumPy's values; imaginary parts count with a weight of their own."""
        y = np.asarray(self.function(*xs))
        return y.real + 0.7 * y.imag if y.dtype.kind == "c" else y

    def derivative(self, xs, k, dtype=np.float64):
        """Gradient in an operand."""

        def total(x):
            y = self.function(*given[:k], x, *given[k + 1 :])
            return np.sum(np.real(y) + 0.7 * np.imag(y) if y.dtype.kind == "c" else y)

        given = [x if x.dtype.kind == "i" else x.astype(dtype) for x in xs]
        return np.asarray(tg.grad(total)(given[k]), dtype)

    def operand(self, xs, k):
        """First order, forward mode, second order and single precision."""
        try:
            gradient = self.derivative(xs, k)
        except (NoRuleError, TypeError, ValueError) as error:
            if not isinstance(error, NoRuleError):
                self.found.append(("exception", self.name, k, (), type(error).__name__, str(error)[:80]))
            return
        true, bar = slope(self.function_of_reals, xs, k)
        self.counts["gradients"] += true.size
        self.counts["slopes that exist"] += int(np.isfinite(true).sum())
        size = np.abs(values(self.function_of_reals, xs))
        self.compare("", xs, k, gradient, true, bar, size)
        self.forward(xs, k, gradient)
        few = [x[: max(3, self.count // 4)] for x in xs]
        self.second(few, k)
        if self.record.function.__name__ not in ENDLESS_IN_SINGLE:
            self.single(xs, k)

    def compare(self, kind, xs, k, found, true, bar, size):
        with np.errstate(all="ignore"):
            span = np.where(np.isfinite(xs[k]), np.maximum(np.abs(xs[k]), 1e-300), 1.0)
            room = FAR * np.maximum(np.abs(true), np.abs(found)) + 4.0 * bar + 1e-9 * size / np.maximum(span, 1.0)
            far = np.isfinite(true) & ~(np.abs(found - true) <= room + 1e-270)
        for i in np.flatnonzero(far):
            how = "NaN" if np.isnan(found[i]) else "infinite" if np.isinf(found[i]) else "far"
            self.note(kind + how, xs, k, i, found[i], true[i])

    def note(self, kind, xs, k, i, found, true):
        point = tuple(float(x[i]) for x in xs)
        self.found.append((kind, self.name, k, point, f"{found:.6g}", f"{true:.6g}"))

    def forward(self, xs, k, gradient):
        def moving(x):
            y = self.function(*xs[:k], x, *xs[k + 1 :])
            return np.real(y) + 0.7 * np.imag(y) if y.dtype.kind == "c" else y

        _, dots = tg.jvp(moving, (xs[k],), (np.ones_like(xs[k]),))
        dots = np.asarray(dots)
        self.counts["forward"] += dots.size
        with np.errstate(all="ignore"):
            same = (np.abs(dots - gradient) <= 1e-9 * np.abs(gradient)) | (dots == gradient)
            same |= np.isnan(dots) & np.isnan(gradient)
            same |= ~np.isfinite(values(self.function_of_reals, xs))
        for i in np.flatnonzero(~same):
            self.note("forward, not reverse", xs, k, i, dots[i], gradient[i])

    def second(self, xs, k):
        """The gradient's gradients against its differences."""
        for j in range(len(xs)):
            if xs[j].dtype.kind == "i":
                continue

            def first(*points):
                points = np.broadcast_arrays(*points)
                return self.derivative(list(points), k)

            def total(x, j=j):
                moved = [*xs[:j], x, *xs[j + 1 :]]

                def inner(z):
                    y = self.function(*moved[:k], z, *moved[k + 1 :])
                    return np.sum(np.real(y) + 0.7 * np.imag(y) if y.dtype.kind == "c" else y)

                if j != k:
                    return np.sum(tg.grad(inner)(xs[k]))
                return np.sum(tg.grad(inner)(x))

            try:
                with np.errstate(all="ignore"):
                    found = np.asarray(tg.grad(total)(xs[j]))
            except NoRuleError:
                continue
            true, bar = slope(first, xs, j)
            points = [values(self.function_of_reals, xs), *xs]
            true = np.where(np.isfinite(points).all(axis=0), true, np.nan)
            self.counts["second order"] += int(np.isfinite(true).sum())
            self.compare("second order ", xs, j, found, true, 10.0 * bar, np.abs(values(first, xs)))

    def single(self, xs, k):
        """Single precision, where its operands and the value are numbers of it, against double at the same place."""
        with np.errstate(all="ignore"):
            small = [x if x.dtype.kind == "i" else x.astype("f") for x in xs]
            same = [x if x.dtype.kind == "i" else x.astype(float) for x in small]
            y, y32 = values(self.function_of_reals, same), values(self.function_of_reals, small)
            right, found = self.derivative(same, k), self.derivative(small, k, np.float32).astype(float)
            near = [
                self.derivative([x * (1.0 + s) if x.dtype.kind == "f" else x for x in same], k) for s in (-1e-6, 1e-6)
            ]
            doubt = 4.0 * (np.abs(near[0] - right) + np.abs(near[1] - right))
            ordinary = (np.abs(y - y32) <= 1e-4 * np.abs(y)) & (np.abs(right) < 1e38) & np.isfinite(y)
            for x, s in zip(xs, same, strict=True):
                ordinary &= (np.abs(x - s) <= 1e-6 * np.abs(x)) | (x == s)
            doubt = np.where(np.isfinite(doubt), doubt, 0.0)
            room = 0.01 * np.abs(right) + doubt + 1e-37 + 1e-6 * np.abs(y)
            bad = ordinary & np.isfinite(right) & ~(np.abs(found - right) <= room)
        self.counts["float32"] += int((ordinary & np.isfinite(right)).sum())
        for i in np.flatnonzero(bad):
            how = "NaN" if np.isnan(found[i]) else "infinite" if np.isinf(found[i]) else "far"
            self.note(f"float32 {how}", same, k, i, found[i], right[i])


def sweep_record(name, record, count, seed, most, pipe):
    """All results of a record, in a process of its own."""
    warnings.simplefilter("ignore")
    found, counts = [], Counter()
    for result in range(record.function.nout):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), result])
        label = name if record.function.nout == 1 else f"{name}[{result}]"
        more, counted = Sweep(label, record, result, rng, count, most).run()
        found += more
        counts += counted
    pipe.send((found, counts))


def alone(*args):
    """Findings and counts of a record, from a process of its own; None and how that ended, if it was no good end."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    worker = fork.Process(target=sweep_record, args=(*args, theirs))
    worker.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(SECONDS) else (None, "hangs")
    except EOFError:
        return None, "dies"
    finally:
        worker.kill()
        worker.join()


def sweep(count, seed, names, report):
    """Findings and counts of all records."""
    scipy_loader.load()
    records = {n: r for n, r in targets().items() if not names or n in names}
    operands = sum(r.function.nin * r.function.nout for r in records.values())
    each = max(4, round(count / operands))
    total, findings = Counter(), []
    for name, record in records.items():
        for most in SIZES:
            found, counts = alone(name, record, each, seed, most)
            if found is not None:
                break
            report(f"{name} {counts} with edges up to {most:g}")
        else:
            found, counts = [("not swept", name, -1, (), "", "")], Counter()
        findings += found
        total += counts
        for kind, label, k, point, value, true in found:
            report(f"{kind}: {label}{point} by operand {k}: {value}, differences {true}")
    return findings, total, len(records)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=10_000, help="gradients of the first order, about")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=(), help="names of ufuncs; all by default")
    options = parser.parse_args()
    findings, counts, records = sweep(options.count, options.seed, options.only, lambda text: print(text, flush=True))
    print(records, "ufuncs:", ", ".join(f"{v} {k}" for k, v in counts.items()))
    reasons = {finding: left_out(finding[1], finding[3]) for finding in findings}
    for reason in sorted({r for r in reasons.values() if r}):
        of_it = [f for f in findings if reasons[f] == reason]
        print(f"{len(of_it)} {reason}: " + ", ".join(sorted({f"{f[1]}{f[3]}" for f in of_it})))
    for title, mine in (("known to be SciPy's", "S"), ("known to be ours", "o"), ("found", "N")):
        kinds = Counter(f[0] for f in findings if str(reasons[f])[0] == mine)
        print(f"{title}:", ", ".join(f"{v} {k}" for k, v in kinds.most_common()) or "nothing")
    sys.exit(not all(reasons.values()))


if __name__ == "__main__":
    main()
