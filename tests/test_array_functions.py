"""NumPy's array functions on tensors: values against NumPy, gradients against differences and HIPS autograd."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.primitives.einsum import _as_product
from tapegrad.tape.handle import Tensor

RNG = np.random.default_rng(20240607)
V = RNG.normal(size=4)
A = RNG.normal(size=(2, 3))
B = RNG.normal(size=(3, 4))
S = RNG.normal(size=(3, 3)) + 3.0 * np.eye(3)
T = RNG.normal(size=(2, 3, 4))
BATCH = RNG.normal(size=(2, 3, 3)) + 3.0 * np.eye(3)
Z = RNG.normal(size=(2, 3)) + 1j * RNG.normal(size=(2, 3))
SPD = S @ S.T + np.eye(3)
SCALAR = np.array(0.7)
ZEROS = np.array([1.5, 0.0, -2.0, 0.0, 0.5])
HOLES = np.where(RNG.uniform(size=(3, 4)) < 0.3, np.nan, RNG.normal(size=(3, 4)))
MASK = A > 0
INDEX = np.array([1, 0, 1])


def rank_one(factors):
    """The nearest matrix of rank one: it does not depend on the phases of the singular vectors."""
    u, s, vh = factors
    return u[:, :1] * s[0] @ vh[:1]


CASES = {
    # reductions
    "sum": (lambda xp, x: xp.sum(x), A),
    "sum axis": (lambda xp, x: xp.sum(x, axis=1), T),
    "sum axes": (lambda xp, x: xp.sum(x, axis=(0, -1), keepdims=True), T),
    "sum scalar": (lambda xp, x: xp.sum(x), SCALAR),
    "sum where": (lambda xp, x: np.sum(x, where=MASK, initial=2.0), A),
    "prod": (lambda xp, x: xp.prod(x), A),
    "prod axis": (lambda xp, x: xp.prod(x, axis=1), T),
    "prod axes": (lambda xp, x: np.prod(x, axis=(0, 2), keepdims=True), T),
    "prod zeros": (lambda xp, x: np.prod(x), np.array([2.0, 0.0, 3.0])),
    "prod two zeros": (lambda xp, x: np.prod(x), ZEROS),
    "mean": (lambda xp, x: xp.mean(x), A),
    "mean axis": (lambda xp, x: xp.mean(x, axis=-1, keepdims=True), T),
    "mean where": (lambda xp, x: np.mean(x, where=MASK), A),
    "max": (lambda xp, x: xp.max(x), A),
    "max axis": (lambda xp, x: xp.max(x, axis=1), T),
    "max axes": (lambda xp, x: xp.max(x, axis=(0, 2), keepdims=True), T),
    "max initial": (lambda xp, x: np.max(x, axis=0, initial=0.3), A),
    "min": (lambda xp, x: xp.min(x), A),
    "min axis": (lambda xp, x: xp.min(x, axis=0), T),
    "ptp": (lambda xp, x: np.ptp(x, axis=1), T),
    "var": (lambda xp, x: xp.var(x), A),
    "var axis": (lambda xp, x: xp.var(x, axis=(0, 2), ddof=1), T),
    "var keepdims": (lambda xp, x: xp.var(x, axis=1, keepdims=True), T),
    "std": (lambda xp, x: xp.std(x), A),
    "std axis": (lambda xp, x: xp.std(x, axis=1, ddof=1), T),
    "average": (lambda xp, x: np.average(x, axis=0), T),
    "average weights": (lambda xp, x, w: np.average(x, axis=1, weights=w), A, np.array([1.0, 2.0, 0.5])),
    "nansum": (lambda xp, x: np.nansum(x, axis=0), HOLES),
    "nanprod": (lambda xp, x: np.nanprod(x, axis=1), HOLES),
    "nanmean": (lambda xp, x: np.nanmean(x, axis=0), HOLES),
    "nanmax": (lambda xp, x: np.nanmax(x, axis=1), HOLES),
    "nanmin": (lambda xp, x: np.nanmin(x), HOLES),
    "nanvar": (lambda xp, x: np.nanvar(x, axis=1), HOLES),
    "nanstd": (lambda xp, x: np.nanstd(x), HOLES),
    "cov": (lambda xp, x: np.cov(x), B),
    "cov two": (lambda xp, x, y: np.cov(x, y, bias=True), V, V[::-1] ** 2),
    "corrcoef": (lambda xp, x: np.corrcoef(x), B),
    # scans
    "cumsum": (lambda xp, x: xp.cumsum(x), A),
    "cumsum axis": (lambda xp, x: xp.cumsum(x, axis=1), T),
    "cumprod": (lambda xp, x: np.cumprod(x), A),
    "cumprod axis": (lambda xp, x: np.cumprod(x, axis=1), T),
    "cumprod zeros": (lambda xp, x: np.cumprod(x), ZEROS),
    "diff": (lambda xp, x: xp.diff(x), A),
    "diff twice": (lambda xp, x: xp.diff(x, n=2, axis=0), B),
    "diff ends": (lambda xp, x: np.diff(x, prepend=0.0, append=[1.0]), V),
    "ediff1d": (lambda xp, x: np.ediff1d(x, to_begin=1.0), A),
    "trapezoid": (lambda xp, x: np.trapezoid(x, dx=0.5), A),
    "trapezoid at": (lambda xp, y, x: np.trapezoid(y, x, axis=0), B, np.array([0.0, 0.3, 1.0])),
    # shape
    "reshape": (lambda xp, x: xp.reshape(x, (3, -1)), A),
    "reshape F": (lambda xp, x: np.reshape(x, (4, -1), order="F"), T),
    "ravel": (lambda xp, x: xp.ravel(x), A),
    "ravel of T": (lambda xp, x: xp.ravel(x.T), A),
    "transpose": (lambda xp, x: xp.transpose(x), T),
    "transpose axes": (lambda xp, x: xp.transpose(x, (1, -1, 0)), T),
    "swapaxes": (lambda xp, x: xp.swapaxes(x, 0, -1), T),
    "moveaxis": (lambda xp, x: xp.moveaxis(x, 0, -1), T),
    "rollaxis": (lambda xp, x: xp.rollaxis(x, 2), T),
    "squeeze": (lambda xp, x: xp.squeeze(x, axis=1), A[:, None]),
    "expand_dims": (lambda xp, x: xp.expand_dims(x, -1), A),
    "broadcast_to": (lambda xp, x: xp.broadcast_to(x, (5, 2, 3)), A),
    "broadcast_arrays": (lambda xp, x, y: np.broadcast_arrays(x, y), A, A[:, :1]),
    "atleast": (lambda xp, x: [np.atleast_1d(x), np.atleast_2d(x), np.atleast_3d(x)], V),
    "atleast scalar": (lambda xp, x: np.atleast_3d(x), SCALAR),
    "flip": (lambda xp, x: xp.flip(x, axis=(0, 1)), A),
    "fliplr": (lambda xp, x: xp.fliplr(x), A),
    "flipud": (lambda xp, x: xp.flipud(x), A),
    "rot90": (lambda xp, x: xp.rot90(x), A),
    "roll": (lambda xp, x: xp.roll(x, 2), A),
    "roll axes": (lambda xp, x: np.roll(x, (1, -2), axis=(0, 1)), A),
    "repeat": (lambda xp, x: xp.repeat(x, 3, axis=1), A),
    "repeat each": (lambda xp, x: np.repeat(x, [2, 0, 1], axis=1), A),
    "tile": (lambda xp, x: xp.tile(x, (2, 1, 3)), A),
    "resize": (lambda xp, x: np.resize(x, (2, 5)), A),
    "pad": (lambda xp, x: xp.pad(x, ((1, 0), (2, 1)), "constant"), A),
    "pad value": (lambda xp, x: np.pad(x, 1, constant_values=2.5), A),
    "pad edge": (lambda xp, x: np.pad(x, 2, "edge"), A),
    "pad reflect": (lambda xp, x: np.pad(x, ((0, 1), (2, 2)), "reflect"), A),
    "pad reflect odd": (lambda xp, x: np.pad(x, ((0, 1), (2, 2)), "reflect", reflect_type="odd"), A),
    "pad symmetric odd, farther than it is long": (
        lambda xp, x: np.pad(x, ((7, 0), (1, 9)), "symmetric", reflect_type="odd"),
        A,
    ),
    "pad wrap": (lambda xp, x: np.pad(x, 1, "wrap"), A),
    "tril": (lambda xp, x: xp.tril(x, -1), S),
    "triu": (lambda xp, x: xp.triu(x, 1), BATCH),
    "diag": (lambda xp, x: xp.diag(x, 1), S),
    "diag vector": (lambda xp, x: xp.diag(x, -1), V),
    "diagflat": (lambda xp, x: np.diagflat(x), A),
    "diagonal": (lambda xp, x: np.diagonal(x, 0, 1, 2), BATCH),
    "trace": (lambda xp, x: xp.trace(x), S),
    "trace offset": (lambda xp, x: np.trace(x, 1, 1, 2), BATCH),
    "meshgrid": (lambda xp, x, y: np.meshgrid(x, y), V, A[0]),
    "meshgrid ij": (lambda xp, x, y: np.meshgrid(x, y, indexing="ij", sparse=True), V, A[0]),
    "copy": (lambda xp, x: np.copy(x.T), A),
    "full_like": (lambda xp, x, v: np.full_like(x, v) * x, A, SCALAR),
    # joining and splitting
    "concatenate": (lambda xp, x, y: xp.concatenate([x, y, x], axis=1), A, A[:, :1]),
    "concatenate flat": (lambda xp, x, y: np.concatenate((x, y), axis=None), A, B),
    "stack": (lambda xp, x, y: xp.stack([x, y], axis=1), A, 2.0 * A),
    "stack scalars": (lambda xp, x: xp.stack([x[k] for k in range(3, -1, -1)]), V),
    "vstack": (lambda xp, x, y: xp.vstack([x, y]), A, A[0]),
    "hstack": (lambda xp, x, y: xp.hstack([x, y]), A, A),
    "dstack": (lambda xp, x, y: xp.dstack([x, y]), A, A),
    "column_stack": (lambda xp, x, y: xp.column_stack([x, y]), A, A[:, 0]),
    "append": (lambda xp, x, y: xp.append(x, y, axis=0), A, A),
    "block": (lambda xp, x, y: np.block([[x, y], [y.T @ x, np.ones((3, 3))]]), A, A**2),
    "split": (lambda xp, x: np.split(x, 2, axis=1), B),
    "array_split": (lambda xp, x: xp.array_split(x, 3), V),
    "hsplit": (lambda xp, x: np.hsplit(x, [1, 3]), B),
    "vsplit": (lambda xp, x: np.vsplit(x, 2)[1], A),
    # indexing
    "x[int]": (lambda xp, x: x[1], A),
    "x[int, int]": (lambda xp, x: x[1, -1] * x[0, 0], A),
    "x[slice]": (lambda xp, x: x[::-2, 1:], B),
    "x[newaxis]": (lambda xp, x: x[:, None, ..., 0], T),
    "x[integers]": (lambda xp, x: x[[0, 2, 2, -1]], V),
    "x[rows]": (lambda xp, x: x[INDEX], B),
    "x[pairs]": (lambda xp, x: x[INDEX, [0, 0, 3]], B),
    "x[grid]": (lambda xp, x: x[np.ix_([0, 2], [1, 1, 3])], B),
    "x[mixed]": (lambda xp, x: x[0, :, INDEX], T),
    "x[slices and integers]": (lambda xp, x: x[:, 1:, [0, 3]], T),
    "x[newaxis and integers]": (lambda xp, x: x[INDEX, None, [0, 1, 2]], T),
    "x[mask]": (lambda xp, x: x[MASK], A),
    "x[own mask]": (lambda xp, x: x[x > 0], A),
    "x[mask, :]": (lambda xp, x: x[[True, False, True], 1:], B),
    "x[:, mask]": (lambda xp, x: x[:, [True, False, True]], T),
    "x[matrix of indices]": (lambda xp, x: x[np.array([[0, 1], [1, 0]])], A),
    "x[numpy integer]": (lambda xp, x: x[np.int64(1)][np.uint8(0)], A),
    "x[...]": (lambda xp, x: x[...] * 2.0, SCALAR),
    "x[()]": (lambda xp, x: x[()], SCALAR),
    "x[True]": (lambda xp, x: x[True, 0], A),
    "x of views": (lambda xp, x: x.T[::-2, ::-1][1:, 1:] * 2.0, RNG.normal(size=(4, 6))),
    "broadcast then index": (lambda xp, x: np.broadcast_to(x, (3, 4))[1:, 2], V),
    "take": (lambda xp, x: np.take(x, [0, 3, 3], axis=1), B),
    "take flat": (lambda xp, x: np.take(x, [[0, 5], [2, 2]]), B),
    "take wrap": (lambda xp, x: np.take(x, [7, -6], mode="wrap"), V),
    "take_along_axis": (lambda xp, x: np.take_along_axis(x, np.array([[0], [2]]), axis=1), A),
    "compress": (lambda xp, x: np.compress([True, False, True], x, axis=1), A),
    "extract": (lambda xp, x: np.extract(x > 0, x), A),
    "choose": (lambda xp, x, y: np.choose([[0, 1, 0], [1, 1, 0]], [x, y]), A, A**2),
    "piecewise": (lambda xp, x: np.piecewise(x, [x < 0, x >= 0], [lambda v: -v, lambda v: v**2]), A),
    # order
    "sort": (lambda xp, x: xp.sort(x), V),
    "sort axis": (lambda xp, x: np.sort(x, axis=1), T),
    "partition": (lambda xp, x: np.partition(x, 2), V),
    "median": (lambda xp, x: np.median(x), A),
    "median axis": (lambda xp, x: np.median(x, axis=1, keepdims=True), T),
    "median axes": (lambda xp, x: np.median(x, axis=(0, 2)), T),
    "quantile": (lambda xp, x: np.quantile(x, 0.3), A),
    "quantiles": (lambda xp, x: np.quantile(x, [[0.1, 0.5], [0.9, 1.0]], axis=1), T),
    "quantile nearest": (lambda xp, x: np.quantile(x, [0.2, 0.6], axis=0, method="nearest", keepdims=True), T),
    "percentile": (lambda xp, x: np.percentile(x, [20, 75], axis=0), B),
    "unique": (lambda xp, x: np.unique(x), A),
    # products
    "dot": (lambda xp, a, b: xp.dot(a, b), A, B),
    "dot vectors": (lambda xp, a, b: xp.dot(a, b), V, V + 1.0),
    "dot scalar": (lambda xp, a, b: xp.dot(a, b), SCALAR, A),
    "dot many axes": (lambda xp, a, b: xp.dot(a, b), A, RNG.normal(size=(2, 3, 2))),
    "vdot": (lambda xp, a, b: np.vdot(a, b), A, A + 1.0),
    "inner": (lambda xp, a, b: xp.inner(a, b), A, B.T),
    "outer": (lambda xp, a, b: xp.outer(a, b), A, V),
    "matmul": (lambda xp, a, b: xp.matmul(a, b), A, B),
    "matmul batch": (lambda xp, a, b: xp.matmul(a, b), T, RNG.normal(size=(5, 1, 4, 2))),
    "matmul vector": (lambda xp, a, b: xp.matmul(a, b), T, V),
    "vector matmul": (lambda xp, a, b: xp.matmul(a, b), A[0], T),
    "matmul of views": (lambda xp, a, b: a.T @ b[::-1].T, A, np.ones((4, 2)) * V[:, None]),
    "tensordot": (lambda xp, a, b: xp.tensordot(a, b, axes=1), T, RNG.normal(size=(4, 2))),
    "tensordot axes": (lambda xp, a, b: xp.tensordot(a, b, axes=([0, 2], [1, 0])), T, RNG.normal(size=(4, 2, 5))),
    "kron": (lambda xp, a, b: np.kron(a, b), A, B[:2]),
    "cross": (lambda xp, a, b: np.cross(a, b), A, A**2),
    "cross axis": (lambda xp, a, b: np.cross(a, b, axis=0), B, B**2),
    "vecdot": (lambda xp, a, b: np.vecdot(a, b), A, A + 1.0),
    "multi_dot": (lambda xp, a, b, c: np.linalg.multi_dot([a, b, c]), A, B, V),
    "matrix_power": (lambda xp, a: np.linalg.matrix_power(a, 5), S / 3.0),
    "matrix_power negative": (lambda xp, a: np.linalg.matrix_power(a, -2), BATCH),
    # einsum
    "einsum matmul": (lambda xp, a, b: xp.einsum("ij,jk->ik", a, b), A, B),
    "einsum implicit": (lambda xp, a, b: xp.einsum("ij,jk", a, b), A, B),
    "einsum trace": (lambda xp, a: np.einsum("ii", a), S),
    "einsum diagonal": (lambda xp, a: np.einsum("...ii->...i", a), BATCH),
    "einsum diagonal product": (lambda xp, a, b: np.einsum("ii,ij->j", a, b), S, B),
    "einsum ellipsis": (lambda xp, a, b: xp.einsum("...ij,...jk->...ik", a, b), T, RNG.normal(size=(4, 2))),
    "einsum sum": (lambda xp, a: xp.einsum("ijk->j", a), T),
    "einsum three": (lambda xp, a, b, c: xp.einsum("ij,jk,k->i", a, b, c), A, B, V),
    "einsum broadcast": (lambda xp, a, b: np.einsum("...i,...i", a, b), T, T[:1, :1]),
    "einsum lists": (lambda xp, a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), A, B),
    "einsum scalar": (lambda xp, a, b: np.einsum("ij,->ji", a, b), A, SCALAR),
    # linear algebra
    "inv": (lambda xp, a: xp.linalg.inv(a), S),
    "inv batch": (lambda xp, a: xp.linalg.inv(a), BATCH),
    "solve": (lambda xp, a, b: xp.linalg.solve(a, b), S, B),
    "solve vector": (lambda xp, a, b: xp.linalg.solve(a, b), S, A[0]),
    "solve batch": (lambda xp, a, b: np.linalg.solve(a, b), BATCH, B),
    "solve broadcast": (lambda xp, a, b: np.linalg.solve(a, b), S, T.reshape(4, 3, 2)),
    "det": (lambda xp, a: xp.linalg.det(a), S),
    "det batch": (lambda xp, a: xp.linalg.det(a), BATCH),
    "det singular": (lambda xp, a: np.linalg.det(a), np.array([[1.0, 2.0], [2.0, 4.0]])),
    "slogdet": (lambda xp, a: xp.linalg.slogdet(a)[1], S),
    "slogdet batch": (lambda xp, a: np.linalg.slogdet(a).logabsdet, BATCH),
    "cholesky": (lambda xp, a: xp.linalg.cholesky(a @ a.T + 1.0), S),
    "cholesky upper": (lambda xp, a: np.linalg.cholesky(a @ a.T + np.eye(3), upper=True), S),
    "pinv": (lambda xp, a: np.linalg.pinv(a), A),
    "pinv tall": (lambda xp, a: np.linalg.pinv(a), A.T),
    "tensorsolve": (lambda xp, a, b: np.linalg.tensorsolve(a, b), RNG.normal(size=(2, 2, 4)), A[:, :2]),
    "eigh": (lambda xp, a: np.linalg.eigh(a + a.T), S),
    "eigh upper batch": (lambda xp, a: np.linalg.eigh(a + np.swapaxes(a, 1, 2), UPLO="U"), BATCH),
    "eigvalsh": (lambda xp, a: np.linalg.eigvalsh(a @ a.T), S),
    "svd": (lambda xp, a: np.linalg.svd(a), S),
    "svd wide": (lambda xp, a: np.linalg.svd(a, full_matrices=False), A),
    "svd tall batch": (lambda xp, a: np.linalg.svd(np.swapaxes(a, 1, 2), full_matrices=False), T),
    "svd values": (lambda xp, a: np.linalg.svd(a, compute_uv=False), A),
    "qr": (lambda xp, a: np.linalg.qr(a), A.T),
    "qr r": (lambda xp, a: np.linalg.qr(a, mode="r"), BATCH),
    "cond": (lambda xp, a: np.linalg.cond(a), S),
    "norm 2": (lambda xp, x: np.linalg.norm(x, 2), A),
    "norm nuc": (lambda xp, x: np.linalg.norm(x, "nuc", axis=(0, 2), keepdims=True), T),
    "norm": (lambda xp, x: xp.linalg.norm(x), A),
    "norm axis": (lambda xp, x: xp.linalg.norm(x, axis=1), T),
    "norm fro": (lambda xp, x: xp.linalg.norm(x, "fro", axis=(0, 2), keepdims=True), T),
    "norm 1": (lambda xp, x: np.linalg.norm(x, 1), V),
    "norm inf": (lambda xp, x: np.linalg.norm(x, np.inf, axis=0), A),
    "norm -inf": (lambda xp, x: np.linalg.norm(x, -np.inf), V),
    "norm 3": (lambda xp, x: np.linalg.norm(x, 3, axis=1, keepdims=True), A),
    "norm matrix 1": (lambda xp, x: np.linalg.norm(x, 1), A),
    "norm matrix inf": (lambda xp, x: np.linalg.norm(x, np.inf, axis=(2, 0)), T),
    "norm matrix -1": (lambda xp, x: np.linalg.norm(x, -1, keepdims=True), A),
    "vector_norm": (lambda xp, x: np.linalg.vector_norm(x, axis=(0, 1)), T),
    "matrix_norm": (lambda xp, x: np.linalg.matrix_norm(x), T),
}
COMPLEX = {
    "sum": (lambda xp, z: xp.sum(z, axis=0), Z),
    "prod": (lambda xp, z: np.prod(z, axis=1), Z),
    "cumprod": (lambda xp, z: np.cumprod(z, axis=1), Z),
    "mean": (lambda xp, z: np.mean(z, axis=1), Z),
    "var": (lambda xp, z: np.var(z, axis=1), Z),
    "norm": (lambda xp, z: np.linalg.norm(z), Z),
    "indices": (lambda xp, z: z[:, INDEX], Z),
    "matmul": (lambda xp, a, b: a @ b, Z, B),
    "vdot": (lambda xp, a, b: np.vdot(a, b), Z, Z**2),
    "einsum": (lambda xp, a, b: np.einsum("ij,jk->k", a, b), Z, B + 1j),
    "inv": (lambda xp, a: np.linalg.inv(a), S + 1j * S.T),
    "solve": (lambda xp, a, b: np.linalg.solve(a, b), S + 1j * S.T, B),
    "det": (lambda xp, a: np.linalg.det(a), S + 1j * S.T),
    "slogdet": (lambda xp, a: np.linalg.slogdet(a), S + 1j * S.T),
    "eigvalsh": (lambda xp, a: np.linalg.eigvalsh(a + np.conj(a.T)), S + 1j * S.T),
    "eigh phases": (lambda xp, a: np.abs(np.linalg.eigh(a + np.conj(a.T))[1]), S + 1j * S.T),
    "svd values": (lambda xp, a: np.linalg.svd(a, compute_uv=False), Z),
    "svd phases": (lambda xp, a: rank_one(np.linalg.svd(a, full_matrices=False)), Z),
    "qr": (lambda xp, a: np.linalg.qr(a), (Z @ Z.T) @ Z[:, :2]),
    "cholesky": (lambda xp, a: np.linalg.cholesky(a @ np.conj(a.T) + np.eye(3)), S + 1j * S.T),
}
HIPS_LACKS = {"transpose axes", "broadcast_to", "flip", "array_split", "outer", "norm fro"}
"""Cases in which HIPS autograd fails: negative axes, several axes, lists of results."""
each = pytest.mark.parametrize("name", CASES)


def is_for_any_namespace(name):
    """Whether a case uses nothing of NumPy that HIPS autograd has no rule for."""
    return "np" not in CASES[name][0].__code__.co_names


def has_nan(name):
    return any(np.isnan(x).any() for x in CASES[name][1:])


def leaves(y):
    """Outputs as a flat list."""
    return [leaf for part in y for leaf in leaves(part)] if isinstance(y, (list, tuple)) else [y]


def weights_for(outputs):
    rng = np.random.default_rng(len(outputs))
    return [
        rng.normal(size=np.shape(y)) + (1j * rng.normal(size=np.shape(y)) if np.iscomplexobj(y) else 0.0)
        for y in outputs
    ]


def scalar(function, xp=np, weights=None):
    """A real function: the weighted sum of all outputs of `function`."""

    def total(*operands):
        result = 0.0
        for y, w in zip(leaves(function(xp, *operands)), weights, strict=True):
            product = xp.sum(xp.conj(w) * y) if np.iscomplexobj(w) else xp.sum(w * y)
            result = result + (xp.real(product) if np.iscomplexobj(w) else product)
        return result

    return total


def direction_like(x, seed):
    rng = np.random.default_rng(seed)
    d = rng.normal(size=x.shape)
    return d + 1j * rng.normal(size=x.shape) if np.iscomplexobj(x) else d


def pairing(bars, directions):
    return sum(float(np.sum(np.real(np.conj(b) * d))) for b, d in zip(bars, directions, strict=True))


def difference(f, operands, directions, step=1e-3):
    """Directional derivative by central differences of fourth order."""

    def at(t):
        return f(*[x + t * d for x, d in zip(operands, directions, strict=True)])

    return (8.0 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12.0 * step)


def gradient(function, operands):
    outputs = leaves(function(np, *operands))
    weights = weights_for(outputs)
    f = scalar(function, weights=weights)
    return f, weights, tg.grad(f, argnums=tuple(range(len(operands))))(*operands)


@each
def test_values(name):
    function, *operands = CASES[name]
    expected = leaves(function(np, *operands))
    found = leaves(function(np, *[tg.tensor(x) for x in operands]))
    assert len(found) == len(expected)
    for y, want in zip(found, expected, strict=True):
        assert isinstance(y, Tensor)
        assert y.shape == np.shape(want)
        assert y.dtype == want.dtype
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-12, atol=1e-13)


@each
def test_values_in_single_precision(name):
    function, *operands = CASES[name]
    operands = [x.astype(np.float32) for x in operands]
    expected = leaves(function(np, *operands))
    for y, want in zip(leaves(function(np, *[tg.tensor(x) for x in operands])), expected, strict=True):
        assert y.dtype == want.dtype
        np.testing.assert_allclose(y.numpy(), want, rtol=2e-4, atol=2e-5)


@each
def test_gradients_against_differences(name):
    function, *operands = CASES[name]
    f, _, bars = gradient(function, operands)
    for x, bar in zip(operands, bars, strict=True):
        assert np.shape(bar) == x.shape
    directions = [direction_like(x, k) for k, x in enumerate(operands)]
    bars = [np.where(np.isnan(x), 0.0, b) for b, x in zip(bars, operands, strict=True)]
    np.testing.assert_allclose(
        pairing(bars, directions), difference(f, operands, directions), rtol=1e-7, atol=1e-8, err_msg=name
    )


def from_parts(function, operands):
    """The same function of real and imaginary parts."""

    def joined(xp, *parts):
        parts = iter(parts)
        return function(xp, *[next(parts) + 1j * next(parts) if np.iscomplexobj(z) else next(parts) for z in operands])

    return joined


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_values_and_gradients(name):
    function, *operands = COMPLEX[name]
    expected = leaves(function(np, *operands))
    for y, want in zip(leaves(function(np, *[tg.tensor(x) for x in operands])), expected, strict=True):
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-12, atol=1e-13)
    parts = [part for z in operands for part in ((z.real, z.imag) if np.iscomplexobj(z) else (z,))]
    f, _, bars = gradient(from_parts(function, operands), parts)
    directions = [direction_like(x, k) for k, x in enumerate(parts)]
    np.testing.assert_allclose(
        pairing(bars, directions), difference(f, parts, directions), rtol=1e-7, atol=1e-8, err_msg=name
    )


@pytest.mark.parametrize("name", [n for n in CASES if not has_nan(n) and n != "det singular"])
def test_second_order_against_differences(name):
    function, *operands = CASES[name]
    f, _, _ = gradient(function, operands)
    numbers = tuple(range(len(operands)))
    directions = [direction_like(x, k) for k, x in enumerate(operands)]

    def slope(*xs):
        bars = tg.grad(f, argnums=numbers)(*xs)
        return sum(np.sum(b * d) for b, d in zip(bars, directions, strict=True))

    bars = tg.grad(slope, argnums=numbers)(*operands)
    others = [direction_like(x, 10 + k) for k, x in enumerate(operands)]
    np.testing.assert_allclose(
        pairing(bars, others), difference(slope, operands, others), rtol=1e-6, atol=1e-6, err_msg=name
    )


@pytest.mark.parametrize("name", [n for n in CASES if is_for_any_namespace(n) and n not in HIPS_LACKS])
def test_gradients_against_hips_autograd(name):
    autograd = pytest.importorskip("autograd", reason="HIPS autograd is not installed")
    anp = importlib.import_module("autograd.numpy")
    function, *operands = CASES[name]
    _, weights, bars = gradient(function, operands)
    theirs = autograd.grad(scalar(function, anp, weights), tuple(range(len(operands))))(*operands)
    for bar, other in zip(bars, theirs, strict=True):
        np.testing.assert_allclose(bar, other, rtol=1e-10, atol=1e-12, err_msg=name)


# --- kinks, edges, refusals ----------------------------------------------------------------------------------------


def test_ties_share_the_gradient():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(np.max(x, axis=1)))(x), [[0, 0.5, 0.5], [1 / 3] * 3])
    np.testing.assert_array_equal(tg.grad(np.min)(np.zeros(4)), [0.25] * 4)


@pytest.mark.parametrize("ord", [None, 2, 3])
def test_norm_of_zero_has_gradient_zero(ord):
    np.testing.assert_array_equal(tg.grad(lambda x: np.linalg.norm(x, ord))(np.zeros(3)), np.zeros(3))


def test_std_of_constant_has_gradient_zero():
    np.testing.assert_array_equal(tg.grad(np.std)(np.ones(3)), np.zeros(3))


def test_repeated_indices_add_up():
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(x[[0, 0, 2]]))(np.zeros(3)), [2.0, 0.0, 1.0])


def test_basic_keys_are_views():
    x = tg.tensor(A, requires_grad=True)
    for key in (0, -1, slice(1, None), (0, 1), (slice(None), None, 2), Ellipsis, (), np.int8(1)):
        assert x[key]._base is x
    assert x[[0]]._base is None


@pytest.mark.parametrize("key", [5, (0, 3), (0, 0, 0), [7], ([0, 1], [0, 5]), 1.0, "a", (slice(None), -4), [True]])
def test_wrong_keys_raise_numpys_index_error(key):
    x = tg.tensor(A)
    with pytest.raises(IndexError):
        A[key]
    with pytest.raises(IndexError):
        x[key]


@pytest.mark.parametrize(
    "function", [np.sum, np.max, np.cumsum, np.flip, np.squeeze, np.sort, np.argmax, np.stack, np.var]
)
def test_axes_out_of_range_raise_numpys_axis_error(function):
    x = tg.tensor(A)
    with pytest.raises(np.exceptions.AxisError, match="axis 4 is out of bounds"):
        function([x, x] if function is np.stack else x, axis=4)


def test_empty_arrays():
    x = tg.tensor(np.ones((0, 3)))
    assert np.sum(x).item() == 0.0
    assert np.prod(x).item() == 1.0
    np.testing.assert_array_equal(np.sum(x, axis=0).numpy(), np.zeros(3))
    assert np.cumsum(x, axis=0).shape == (0, 3)
    assert np.concatenate([x, x]).shape == (0, 3)
    assert x[[]].shape == (0, 3)
    with pytest.raises(ValueError, match="zero-size array to reduction operation maximum which has no identity"):
        np.max(x)
    with pytest.raises(ValueError, match="attempt to get argmax of an empty sequence"):
        np.argmax(x)
    with pytest.raises(tg.errors.EmptyReductionError, match=r"shape \(0, 3\). Look at its size first"):
        x.amax(dim=0)
    with pytest.raises(tg.errors.ShapeError, match=r"appears multiple times .* duplicate value in 'axis'"):
        np.sum(x, axis=(0, 0))


def test_singular_matrices_raise_at_the_line():
    x = tg.tensor(np.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        np.linalg.inv(x)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        np.linalg.solve(x, np.ones(2))
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        np.linalg.cholesky(x - 1.0)
    with pytest.raises(np.linalg.LinAlgError, match="must be square"):
        np.linalg.det(tg.tensor(A))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: np.linalg.pinv(x, rtol=np.full(2, 1e-3)), "a cutoff for each matrix is not supported"),
        (lambda x: np.linalg.qr(x.T, "raw"), "mode 'raw' gives LAPACK's reflections"),
    ],
)
def test_unsupported_arguments_are_refused(call, match):
    with pytest.raises(NotImplementedError, match=match):
        call(tg.tensor(A, requires_grad=True))


def test_shapes_that_do_not_fit():
    x = tg.tensor(A)
    with pytest.raises(ValueError, match="must match exactly"):
        np.concatenate([x, tg.tensor(B)], axis=1)
    with pytest.raises(ValueError, match="must have the same shape"):
        np.stack([x, tg.tensor(B)])
    with pytest.raises(ValueError, match="cannot reshape array of size 6"):
        np.reshape(x, (4, 2))
    with pytest.raises(ValueError, match="shape-mismatch for sum"):
        np.tensordot(x, x, axes=1)
    with pytest.raises(ValueError, match="has length 3 in one operand and 2 in another"):
        np.einsum("ij,jk", x, x)
    with pytest.raises(ValueError, match="does not result in an equal division"):
        np.split(x, 2, axis=1)


def test_counting_and_positions():
    x = tg.tensor(np.array([[1.0, 0.0, 3.0], [0.0, 0.0, 4.0]]))
    a = x.numpy()
    for function in (np.any, np.all, np.count_nonzero, np.argmax, np.argmin, np.argsort):
        for axis in (0, 1, -1):
            y = function(x, axis=axis)
            assert y.dtype == function(a, axis=axis).dtype
            np.testing.assert_array_equal(y.numpy(), function(a, axis=axis))
    for function in (np.any, np.all, np.count_nonzero, np.argmax):
        assert function(x).item() == function(a)
    assert np.argmax(x, axis=1, keepdims=True).shape == (2, 1)
    np.testing.assert_array_equal(
        np.searchsorted([1.0, 2.0], x, "right").numpy(), np.searchsorted([1.0, 2.0], a, "right")
    )
    for bins in ([0.5, 2.0], [3.5, 0.5]):
        np.testing.assert_array_equal(np.digitize(x, bins).numpy(), np.digitize(a, bins))
    for mine, theirs in zip(np.nonzero(x), np.nonzero(a), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_questions_about_shape_dtype_and_equality():
    x = tg.tensor(A, requires_grad=True)
    assert np.shape(x) == (2, 3)
    assert np.ndim(x) == 2
    assert (np.size(x), np.size(x, 1)) == (6, 3)
    assert np.result_type(x, np.complex64) == np.complex128
    assert np.allclose(x, A + 1e-9)
    assert not np.allclose(x, A + 1.0)
    assert np.array_equal(x, A)
    assert not np.array_equal(x, B)
    np.testing.assert_array_equal(np.isclose(tg.tensor([np.inf, 1.0]), [np.inf, 2.0]).numpy(), [True, False])


@pytest.mark.parametrize("function", [np.zeros_like, np.ones_like, np.empty_like])
def test_likenesses_carry_no_gradient(function):
    y = function(tg.tensor(A, requires_grad=True), dtype=np.float32)
    assert isinstance(y, Tensor)
    assert (y.shape, y.dtype, y.requires_grad) == ((2, 3), np.float32, False)


def test_integers_and_bools_are_summed_as_in_numpy():
    for a in (np.array([True, True]), np.arange(3, dtype=np.int8), np.arange(3, dtype=np.uint16)):
        x = tg.tensor(a)
        for function in (np.sum, np.prod, np.mean, np.cumsum, np.std):
            y = function(x)
            assert y.dtype == function(a).dtype
            np.testing.assert_array_equal(y.numpy(), function(a))


def test_large_sums_are_as_accurate_as_numpys():
    x = np.full(1_000_000, 0.1)
    assert np.sum(tg.tensor(x)).item() == np.sum(x)


def test_many_operands_are_joined():
    parts = [np.full(2, float(k)) for k in range(150)]
    tensors = [tg.tensor(p, requires_grad=True) for p in parts]
    np.testing.assert_array_equal(np.concatenate(tensors).detach().numpy(), np.concatenate(parts))
    np.testing.assert_array_equal(np.stack(tensors, axis=1).detach().numpy(), np.stack(parts, axis=1))
    loss = np.sum(np.stack(tensors) * np.arange(300.0).reshape(150, 2))
    loss.backward()
    np.testing.assert_array_equal(tensors[149].grad.numpy(), [298.0, 299.0])


# --- PyTorch ---------------------------------------------------------------------------------------------------------

TORCH = {
    "prod two zeros": lambda torch, x: x.prod(),
    "prod axis": lambda torch, x: x.prod(1),
    "cumprod zeros": lambda torch, x: x.cumprod(0),
    "cumsum axis": lambda torch, x: x.cumsum(1),
    "max axes": lambda torch, x: x.amax((0, 2), keepdim=True),
    "std axis": lambda torch, x: x.std(1),
    "var axis": lambda torch, x: x.var((0, 2)),
    "sort axis": lambda torch, x: x.sort(1).values,
    "quantile": lambda torch, x: x.quantile(0.3),
    "x[rows]": lambda torch, x: x[torch.as_tensor(INDEX)],
    "x[mask]": lambda torch, x: x[torch.as_tensor(MASK)],
    "take_along_axis": lambda torch, x: x.take_along_dim(torch.tensor([[0], [2]]), 1),
    "kron": lambda torch, a, b: torch.kron(a, b),
    "cross": lambda torch, a, b: torch.linalg.cross(a, b),
    "einsum diagonal product": lambda torch, a, b: torch.einsum("ii,ij->j", a, b),
    "multi_dot": lambda torch, a, b, c: torch.linalg.multi_dot([a, b, c]),
    "solve broadcast": lambda torch, a, b: torch.linalg.solve(a, b),
    "slogdet batch": lambda torch, a: torch.linalg.slogdet(a).logabsdet,
    "cholesky": lambda torch, a: torch.linalg.cholesky(a @ a.T + 1.0),
    "eigvalsh": lambda torch, a: torch.linalg.eigvalsh(a @ a.T),
    "svd values": lambda torch, a: torch.linalg.svdvals(a),
    "norm 3": lambda torch, x: torch.linalg.vector_norm(x, 3, 1, keepdim=True),
    "norm nuc": lambda torch, x: torch.linalg.matrix_norm(x, "nuc", (0, 2), keepdim=True),
    "pinv": lambda torch, a: torch.linalg.pinv(a),
    "cov": lambda torch, x: torch.cov(x),
}


@pytest.mark.parametrize("name", TORCH)
def test_gradients_against_pytorch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    function, *operands = CASES[name]
    _, (weight,), bars = gradient(function, operands)
    tensors = [torch.tensor(x, requires_grad=True) for x in operands]
    (TORCH[name](torch, *tensors) * torch.as_tensor(weight)).sum().backward()
    for bar, t in zip(bars, tensors, strict=True):
        np.testing.assert_allclose(bar, t.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


def test_gradient_of_cholesky_is_symmetric_as_in_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    weight = RNG.normal(size=(3, 3))
    bar = tg.grad(lambda a: np.sum(weight * np.linalg.cholesky(a)))(SPD)
    t = torch.tensor(SPD, requires_grad=True)
    (torch.linalg.cholesky(t) * torch.as_tensor(weight)).sum().backward()
    np.testing.assert_allclose(bar, t.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_the_cube_of_a_matrix_is_multiplied_in_numpys_order():
    a = np.array([[0.0, np.inf], [-1.0, 1.0]])  # NaN where infinities meet depends on the order
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.linalg.matrix_power(tg.tensor(a), 3).numpy(), np.linalg.matrix_power(a, 3))


def test_pairs_of_einsum_become_products_of_matrices():
    rng, found = np.random.default_rng(7), 0
    for k in range(1500):
        sizes = {c: int(rng.integers(1, 9)) for c in "abcdef"}
        left, right = ["".join(rng.permutation(list("abcdef"))[: rng.integers(2, 5)]) for _ in range(2)]
        labels = list(dict.fromkeys(left + right))
        result = "".join(rng.permutation(labels)[: rng.integers(1, len(labels) + 1)])
        a, b = [rng.normal(size=[sizes[c] for c in term]) + 1j * (k % 2) for term in (left, right)]
        product = _as_product(a, b, left, right, result)
        if product is not None:
            found += 1
            np.testing.assert_allclose(product, np.einsum(f"{left},{right}->{result}", a, b), rtol=1e-10, atol=1e-10)
    assert found > 10
