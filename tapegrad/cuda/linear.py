"""Linear algebra of many small matrices: a thread takes a matrix.

A factorisation by elimination with row pivoting serves for solutions, inverses and determinants. What the host
refuses with an error (singular matrices, matrices that are not positive definite) is refused here too: kernels
leave a mark, which is read back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tape.spec import spec_of
from .kernels import copy_into, fill
from .memory import DeviceArray
from .table import kernel
from .toolchain import cuda, math
from .variants import dense, launch, number, pair

__all__ = ["back_substitute", "determinant", "eliminate", "factor", "minors", "solve_rows"]

LARGEST = 64
"""Size of the largest matrices for which a thread each is sensible."""
_INT = np.dtype(np.int64)


def magnitude(z):
    """Square of the absolute value, of real and complex numbers."""
    return z.real * z.real + z.imag * z.imag


def factor(count, n, a, oa, order, oo, marks, om):
    """LU factors in place of a, with row pivoting; order[k] is the row that stands in row k, marks say singular."""
    at = cuda.grid(1)
    while at < count:
        base = oa + at * n * n
        for k in range(n):
            order[oo + at * n + k] = k
        for k in range(n):
            best, row = magnitude(a[base + k * n + k]), k
            for i in range(k + 1, n):
                size = magnitude(a[base + i * n + k])
                if size > best:
                    best, row = size, i
            if best == 0.0:
                marks[om + at] = 1
                continue
            if row != k:
                for j in range(n):
                    held = a[base + k * n + j]
                    a[base + k * n + j] = a[base + row * n + j]
                    a[base + row * n + j] = held
                place = order[oo + at * n + k]
                order[oo + at * n + k] = order[oo + at * n + row]
                order[oo + at * n + row] = place
            for i in range(k + 1, n):
                f = a[base + i * n + k] / a[base + k * n + k]
                a[base + i * n + k] = f
                for j in range(k + 1, n):
                    a[base + i * n + j] -= f * a[base + k * n + j]
        at += cuda.gridsize(1)


def solve_rows(count, n, m, a, oa, order, oo, b, ob, y, oy):
    """y = solutions for right-hand sides b (n, m), by the factors in a: a thread takes a column."""
    at = cuda.grid(1)
    while at < count:
        matrix, column = divmod(at, m)
        base, target = oa + matrix * n * n, oy + matrix * n * m + column
        for i in range(n):
            total = b[ob + matrix * n * m + order[oo + matrix * n + i] * m + column]
            for j in range(i):
                total -= a[base + i * n + j] * y[target + j * m]
            y[target + i * m] = total
        for q in range(n):
            i = n - 1 - q
            total = y[target + i * m]
            for j in range(i + 1, n):
                total -= a[base + i * n + j] * y[target + j * m]
            y[target + i * m] = total / a[base + i * n + i]
        at += cuda.gridsize(1)


def back_substitute(count, n, m, lower, a, oa, b, ob, y, oy):
    """y = solutions of triangular systems, of which the other triangle is not read: a thread takes a column."""
    at = cuda.grid(1)
    while at < count:
        matrix, column = divmod(at, m)
        base, target = oa + matrix * n * n, oy + matrix * n * m + column
        for q in range(n):
            i = q if lower else n - 1 - q
            total = b[ob + matrix * n * m + i * m + column]
            first, stop = (0, i) if lower else (i + 1, n)
            for j in range(first, stop):
                total -= a[base + i * n + j] * y[target + j * m]
            y[target + i * m] = total / a[base + i * n + i]
        at += cuda.gridsize(1)


def determinant(count, n, one, a, oa, order, oo, y, oy):
    """y = determinants, by the factors in a and the order of rows."""
    at = cuda.grid(1)
    while at < count:
        total = one
        for k in range(n):
            total = total * a[oa + at * n * n + k * n + k]
            below = 0
            for j in range(k + 1, n):
                below += order[oo + at * n + j] < order[oo + at * n + k]
            if below % 2 == 1:
                total = -total
        y[oy + at] = total
        at += cuda.gridsize(1)


def log_determinant(count, n, zero, one, a, oa, order, oo, sign, os, size, oz):
    """sign and size = phase of the determinants, and the logarithm of their magnitude."""
    at = cuda.grid(1)
    while at < count:
        phase, total = one, zero
        for k in range(n):
            z = a[oa + at * n * n + k * n + k]
            r = math.sqrt(magnitude(z))
            total += math.log(r)
            phase = phase * (z / r) if r != 0.0 else phase * 0.0
            below = 0
            for j in range(k + 1, n):
                below += order[oo + at * n + j] < order[oo + at * n + k]
            if below % 2 == 1:
                phase = -phase
        sign[os + at] = phase
        size[oz + at] = total
        at += cuda.gridsize(1)


def eliminate(count, n, zero, a, oa, marks, om):
    """Cholesky factor in place, from the lower triangle; marks are set if a matrix is not positive definite."""
    at = cuda.grid(1)
    while at < count:
        base = oa + at * n * n
        for j in range(n):
            pivot = a[base + j * n + j].real
            for k in range(j):
                pivot -= magnitude(a[base + j * n + k])
            if not pivot > 0.0:
                marks[om + at] = 1
                pivot = pivot * 0.0 + 1.0
            root = math.sqrt(pivot)
            a[base + j * n + j] = root
            for i in range(j + 1, n):
                total = a[base + i * n + j]
                for k in range(j):
                    total -= a[base + i * n + k] * a[base + j * n + k].conjugate()
                a[base + i * n + j] = total / root
            for i in range(j):
                a[base + i * n + j] = zero
        at += cuda.gridsize(1)


def minors(count, n, one, a, oa, work, ow, y, oy):
    """y[i, j] = cofactors, each by elimination of its minor in a workspace of (n - 1)**2 elements."""
    at = cuda.grid(1)
    while at < count:
        line, j = divmod(at, n)
        matrix, i = divmod(line, n)
        source = oa + matrix * n * n
        m = n - 1
        base = ow + at * m * m
        for r in range(m):
            for c in range(m):
                work[base + r * m + c] = a[source + (r + (r >= i)) * n + c + (c >= j)]
        total = one if (i + j) % 2 == 0 else -one
        for k in range(m):
            best, row = magnitude(work[base + k * m + k]), k
            for r in range(k + 1, m):
                size = magnitude(work[base + r * m + k])
                if size > best:
                    best, row = size, r
            if row != k:
                for c in range(m):
                    held = work[base + k * m + c]
                    work[base + k * m + c] = work[base + row * m + c]
                    work[base + row * m + c] = held
                total = -total
            pivot = work[base + k * m + k]
            total = total * pivot
            if best != 0.0:
                for r in range(k + 1, m):
                    f = work[base + r * m + k] / pivot
                    for c in range(k + 1, m):
                        work[base + r * m + c] -= f * work[base + k * m + c]
        y[oy + at] = total
        at += cuda.gridsize(1)


# --- records ---------------------------------------------------------------------------------------------------------


def _stack(a: DeviceArray) -> int:
    """Number of matrices."""
    return int(np.prod(a.shape[:-2], dtype=np.int64))


def _fits(a: DeviceArray) -> bool:
    return a.dtype.char in "fdFD" and 0 < a.shape[-1] <= LARGEST and a.spec.size > 0


def _factors(device: Any, a: DeviceArray, refuse: bool) -> tuple[DeviceArray, DeviceArray]:
    """Factors of a stack of matrices, and the order of their rows."""
    count, n = _stack(a), a.shape[-1]
    work, order = a.copy(), device.empty(spec_of((count, n), _INT))
    marks = device.empty(spec_of((count,), np.dtype(np.int32)))
    fill(marks, 0)
    launch(device, factor, count, n, *pair(work), *pair(order), *pair(marks))
    if refuse and marks.to_host().any():
        raise np.linalg.LinAlgError("Singular matrix")
    return work, order


def _solved(device: Any, out: Any, a: DeviceArray, b: DeviceArray) -> DeviceArray:
    work, order = _factors(device, a, True)
    made = device.empty(out)
    n, m = b.shape[-2:]
    launch(device, solve_rows, _stack(b) * m, n, m, *pair(work), *pair(order), *pair(dense(b)), *pair(made))
    return made


@kernel("inv")
def launch_inv(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """Inverse."""
    (a,) = arrays
    if not _fits(a):
        return None
    identity = device.empty(spec_of(a.shape, a.dtype))
    copy_into(identity, device.upload(np.eye(a.shape[-1], dtype=a.dtype)))
    return _solved(device, out, a, identity)


@kernel("solve")
def launch_solve(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """Solutions of systems."""
    a, b = arrays
    if not (_fits(a) and _fits(b)):
        return None
    batch = out.shape[:-2]
    if a.shape[:-2] != batch or b.shape[:-2] != batch:
        wide = []
        for x in (a, b):
            made = device.empty(spec_of((*batch, *x.shape[-2:]), x.dtype))
            copy_into(made, x)
            wide.append(made)
        a, b = wide
    return _solved(device, out, a, b)


@kernel("solve_triangular")
def launch_triangular(device: Any, out: Any, arrays: list, lower: bool) -> DeviceArray | None:
    """Solutions of triangular systems."""
    a, b = arrays
    if not (_fits(a) and _fits(b)):
        return None
    made = device.empty(out)
    n, m = b.shape[-2:]
    launch(device, back_substitute, _stack(b) * m, n, m, lower, *pair(dense(a)), *pair(dense(b)), *pair(made))
    return made


@kernel("det")
def launch_det(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """Determinant."""
    (a,) = arrays
    if not _fits(a):
        return None
    work, order = _factors(device, a, False)
    made = device.empty(out)
    launch(device, determinant, _stack(a), a.shape[-1], number(1, a.dtype), *pair(work), *pair(order), *pair(made))
    return made


def _slogdet(device: Any, a: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    work, order = _factors(device, a, False)
    part = np.dtype(a.dtype.char.lower())
    sign, size = device.empty(spec_of(a.shape[:-2], a.dtype)), device.empty(spec_of(a.shape[:-2], part))
    launch(
        device, log_determinant, _stack(a), a.shape[-1], number(0, part), number(1, a.dtype), *pair(work), *pair(order),
        *pair(sign), *pair(size),
    )  # fmt: skip
    return sign, size


@kernel("slogdet_sign")
def launch_sign(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """Phase of the determinant."""
    return _slogdet(device, arrays[0])[0] if _fits(arrays[0]) else None


@kernel("slogdet_log")
def launch_log(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """Logarithm of the determinant's magnitude."""
    return _slogdet(device, arrays[0])[1] if _fits(arrays[0]) else None


@kernel("cholesky")
def launch_cholesky(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """Lower triangular factor."""
    (a,) = arrays
    if not _fits(a):
        return None
    made = a.copy()
    marks = device.empty(spec_of((_stack(a),), np.dtype(np.int32)))
    fill(marks, 0)
    launch(device, eliminate, _stack(a), a.shape[-1], number(0, a.dtype), *pair(made), *pair(marks))
    if marks.to_host().any():
        raise np.linalg.LinAlgError("Matrix is not positive definite")
    return made


@kernel("cofactor")
def launch_cofactor(device: Any, out: Any, arrays: list) -> DeviceArray | None:
    """Cofactors."""
    (a,) = arrays
    if not _fits(a) or a.shape[-1] > 16:
        return None
    n = a.shape[-1]
    made = device.empty(out)
    work = device.empty(spec_of((max(a.spec.size * (n - 1) ** 2, 1),), a.dtype))
    launch(device, minors, a.spec.size, n, number(1, a.dtype), *pair(dense(a)), *pair(work), *pair(made))
    return made
