"""Idioms of NumPy code in which autodiff tools lose gradients: each is a function of three numbers.

`tests/test_no_silent_loss.py` runs them; `scripts/idioms.py` makes `docs/reference/idioms.md` of them.
"""

from __future__ import annotations

import copy
import decimal
import fractions
import functools
import io
import itertools
import math
import operator
import pickle
import statistics
import struct

import numpy as np

import tapegrad as tg

__all__ = ["IDIOMS", "NUMPYS_OWN_ERROR", "NUMPYS_OWN_ERROR_EAGERLY", "POINT", "SECTIONS", "W"]

POINT = np.array([0.51, -1.2, 0.73])
W = np.array([1.0, 2.0, 3.0])
IDIOMS: dict = {}
SECTIONS: dict = {}
"""Names of the idioms by heading."""


def section(title):
    SECTIONS[title] = []


def idiom(function):
    assert function.__name__ not in IDIOMS
    IDIOMS[function.__name__] = function
    SECTIONS[list(SECTIONS)[-1]].append(function.__name__)
    return function


section("The classics")


@idiom
def method_of_a_plain_array(x):
    return W.dot(x)


@idiom
def array_of_elements(x):
    return np.array([x[0], x[1]]).sum()


@idiom
def element_into_a_plain_array(x):
    out = np.zeros(3)
    for i in range(3):
        out[i] = x[i] * x[i]
    return out.sum()


@idiom
def out_argument(x):
    out = np.zeros(3)
    np.multiply(x, W, out=out)
    return out.sum()


@idiom
def math_sin(x):
    return math.sin(x[0])


@idiom
def plain_array_in_place(x):
    y = np.ones(3)
    y += x
    return np.sum(y * y)


@idiom
def python_float(x):
    return float(x[0]) * x[1]


@idiom
def constant_changed_after_use(x):
    c = np.array([1.0, 2.0, 3.0])
    y = np.sum(c * x)
    c[:] = 100.0
    return y


section("A plain array meets a traced one")


@idiom
def plain_array_first(x):
    return np.sum(W * x) + np.sum(W @ x) + np.sum(W - x) + np.sum(W**x)


@idiom
def numpy_scalar_first(x):
    return np.sum(np.float64(2.0) * x) + np.sum(np.float64(2.0) ** x)


@idiom
def plain_array_matmul_in_place(x):
    y = np.eye(3)
    y @= np.diag(x)
    return np.sum(y)


@idiom
def slice_into_a_plain_array(x):
    out = np.zeros(5)
    out[1:4] = x
    return out.sum()


@idiom
def masked_elements_into_a_plain_array(x):
    out = np.zeros(3)
    out[np.array([True, False, True])] = x[:2]
    return out.sum()


@idiom
def element_into_zeros_like(x):
    out = np.zeros_like(x)
    out[0] = x[0] ** 2
    out[1:] = x[1:]
    return out.sum()


@idiom
def element_into_empty_like(x):
    out = np.empty_like(x)
    out[:] = x
    out += x
    return out.sum()


@idiom
def out_argument_of_a_reduction(x):
    out = np.zeros(())
    np.sum(x, out=out)
    return out.sum()


@idiom
def out_argument_of_matmul(x):
    out = np.zeros(3)
    np.matmul(np.eye(3), x, out=out)
    return out.sum()


@idiom
def out_argument_of_concatenate(x):
    out = np.zeros(6)
    np.concatenate([x, x], out=out)
    return out.sum()


@idiom
def out_argument_of_a_method(x):
    out = np.zeros(())
    x.sum(out=out)
    return out.sum()


@idiom
def out_argument_of_einsum(x):
    out = np.zeros(())
    np.einsum("i,i->", x, W, out=out)
    return out.sum()


@idiom
def copyto(x):
    out = np.zeros(3)
    np.copyto(out, x)
    return out.sum()


@idiom
def add_at(x):
    out = np.zeros(3)
    np.add.at(out, [0, 1, 1], x)
    return out.sum()


@idiom
def add_at_into_a_traced_value(x):
    out = x * 1.0
    np.add.at(out, [0, 1, 1], x)
    return out.sum()


@idiom
def put(x):
    out = np.zeros(3)
    np.put(out, [0, 1], x[:2])
    return out.sum()


@idiom
def place(x):
    out = np.zeros(3)
    np.place(out, [True, True, True], x)
    return out.sum()


@idiom
def putmask(x):
    out = np.zeros(3)
    np.putmask(out, [True, True, True], x)
    return out.sum()


@idiom
def put_along_axis(x):
    out = np.zeros(3)
    np.put_along_axis(out, np.array([0, 1, 2]), x, 0)
    return out.sum()


@idiom
def fill_diagonal(x):
    out = np.zeros((3, 3))
    np.fill_diagonal(out, x)
    return out.sum()


@idiom
def fill(x):
    out = np.zeros(3)
    out.fill(x[0])
    return out.sum()


@idiom
def method_put(x):
    out = np.zeros(3)
    out.put([0], x[:1])
    return out.sum()


@idiom
def setdiag_by_flat(x):
    out = np.zeros((3, 3))
    out.flat[::4] = x
    return out.sum()


@idiom
def element_by_flat(x):
    out = np.zeros(3)
    out.flat[1] = x[0] * x[1]
    return out.sum()


@idiom
def choose(x):
    return np.sum(np.choose([0, 1, 0], [x, W]))


section("Making arrays")


@idiom
def array_of_rows(x):
    return np.array([x, x]).sum()


@idiom
def array_of_mixed(x):
    return np.array([x[0], 1.0]).sum()


@idiom
def array_of_objects(x):
    return np.array([x[0], x[1]], dtype=object).sum()


@idiom
def array_copy(x):
    return np.array(x).sum()


@idiom
def asarray(x):
    return np.asarray(x).sum()


@idiom
def asarray_with_dtype(x):
    return np.asarray(x, dtype=float).sum()


@idiom
def ascontiguousarray(x):
    return np.ascontiguousarray(x).sum()


@idiom
def asfarray_like(x):
    return np.asanyarray(x).sum() + np.require(x).sum()


@idiom
def array_interfaces(x):
    return np.frombuffer(x).sum()


@idiom
def address_in_memory(x):
    return x[0] * (x.__array_interface__["data"][0] != 0)


@idiom
def tensor_of_a_traced_value(x):
    return tg.tensor(x).sum()


@idiom
def tensor_of_a_list(x):
    return tg.tensor([x[0], x[1]]).sum()


@idiom
def fromiter(x):
    return np.fromiter((a for a in x), float).sum()


@idiom
def full(x):
    return np.full(3, x[0]).sum()


@idiom
def full_like(x):
    return np.full_like(x, x[0]).sum()


@idiom
def zeros_by_like(x):
    out = np.zeros(3, like=x)
    for i in range(3):
        out[i] = x[i] * x[i]
    return out.sum()


@idiom
def array_by_like(x):
    return np.prod(np.array([x[0], 2.0, x[1]], like=x))


@idiom
def linspace(x):
    return np.linspace(x[0], x[2], 5).sum()


@idiom
def geomspace(x):
    return np.geomspace(x[0], x[2], 4).sum()


@idiom
def arange(x):
    return np.arange(0.0, x[0] * 10).sum() * x[0]


@idiom
def meshgrid(x):
    a, b = np.meshgrid(x, W)
    return np.sum(a * b)


@idiom
def fromfunction(x):
    return np.fromfunction(lambda i: x[0] * i, (3,)).sum()


@idiom
def r_and_c(x):
    return np.sum(np.r_[x, 1.0]) + np.sum(np.c_[x, x])


@idiom
def block(x):
    return np.sum(np.block([x, x]))


@idiom
def sequences_to_functions(x):
    return np.mean([x[0], x[1]]) + np.sum([x[0], x[1]]) + np.max([x[0], x[1]])


@idiom
def concatenate_of_lists(x):
    return np.sum(np.concatenate([[x[0]], [1.0]]))


@idiom
def stack_of_elements(x):
    return np.sum(np.stack([x[0], x[1]]) ** 2)


@idiom
def atleast_1d(x):
    return np.sum(np.atleast_1d(x[0]) * W)


section("Python numbers")


@idiom
def python_int(x):
    return int(x[0]) * x[1]


@idiom
def number_of_a_bin(x):
    return x[int((x[2] + 0.5) // 0.6)] * x[0]


@idiom
def rounded_to_an_index(x):
    return W[int(np.clip(np.floor(3.0 * x[0]), 0, 2))] * x[1]


@idiom
def rounded_by_python(x):
    return W[round(x[2])] * x[0] + x[math.floor(x[0])]


@idiom
def repeated_so_many_times(x):
    return sum(x[0] * k for k in range(int(np.ceil(2.0 * x[2]))))


@idiom
def sign_as_a_number(x):
    return float(np.sign(x[1])) * x[0]


@idiom
def python_complex(x):
    return abs(complex(x[0]))


@idiom
def numpy_float(x):
    return np.float64(x[0]) * x[1]


@idiom
def item(x):
    return x[0].item() * x[1]


@idiom
def tolist(x):
    return sum(x.tolist())


@idiom
def math_others(x):
    return math.hypot(x[0], x[1]) + math.fsum(x) + math.exp(x[0])


@idiom
def math_prod(x):
    return math.prod(x)


@idiom
def math_floor(x):
    return math.floor(x[0]) * x[1]


@idiom
def math_trunc(x):
    return math.trunc(x[0]) * x[1]


@idiom
def math_isclose(x):
    return x[1] if math.isclose(x[0], 0.51) else x[2]


@idiom
def rounded(x):
    return round(x[0], 1) * x[1]


@idiom
def formatted_with_percent(x):
    return x[0] * (len("%.3f" % x[0]) > 0)  # noqa: UP031 -- the idiom under test


@idiom
def parsed_text(x):
    return float(f"{float(x[0]):.12f}") * x[0]


@idiom
def divided(x):
    return divmod(x[2], 0.3)[1]


@idiom
def pow_builtin(x):
    return pow(x[0], 2) + pow(2.0, x[0])


section("Python's own functions")


@idiom
def list_and_sum(x):
    return sum(list(x)) + sum(a * a for a in x)


@idiom
def sorted_elements(x):
    return sorted(x)[0] * 2


@idiom
def max_and_min(x):
    return max(x[0], x[1]) * 3.0 + min(x) * 2.0


@idiom
def reduce_and_accumulate(x):
    return functools.reduce(operator.mul, x) + list(itertools.accumulate(x))[-1]


@idiom
def operators_as_functions(x):
    return operator.add(x[0], x[1]) * operator.neg(x[2]) + operator.matmul(x, W)


@idiom
def in_place_operator_as_function(x):
    return np.sum(operator.iadd(np.ones(3), x))


@idiom
def unpacking(x):
    a, *rest = x
    return a * rest[0] + rest[1]


@idiom
def zipped(x):
    return sum(a * b for a, b in zip(x, W, strict=True))


@idiom
def enumerated_and_reversed(x):
    return sum(k * a for k, a in enumerate(reversed(x)))


@idiom
def statistics_mean(x):
    return statistics.fmean(x)


@idiom
def statistics_exact(x):
    return statistics.mean(x) + statistics.pstdev(x)


@idiom
def whole_or_not(x):
    return x[0] * (2.0 if x[0].is_integer() else 3.0)


@idiom
def branch(x):
    return x[0] * 2 if x[0] > 0 else x[1]


@idiom
def abs_builtin(x):
    return abs(x[1]) + abs(x).sum()


section("NumPy functions that call back or choose")


@idiom
def where_with_traced_condition(x):
    return np.where(x > 0, x, x * 2).sum()


@idiom
def where_with_one_argument(x):
    return x[np.where(x > 0)].sum()


@idiom
def select(x):
    return np.select([x > 0, x <= 0], [x, x * x]).sum()


@idiom
def piecewise(x):
    return np.piecewise(x, [x < 0, x >= 0], [lambda v: v * v, lambda v: v]).sum()


@idiom
def vectorize(x):
    return np.vectorize(lambda a: a * a)(x).sum()


@idiom
def frompyfunc(x):
    return np.frompyfunc(lambda a: a * a, 1, 1)(x).sum()


@idiom
def apply_along_axis(x):
    return np.apply_along_axis(lambda a: a * a, 0, x).sum()


@idiom
def apply_over_axes(x):
    return np.apply_over_axes(np.sum, np.stack([x, x]), [0, 1]).sum()


@idiom
def sort_in_place(x):
    y = x * 1.0
    y.sort()
    return y[0] * 2


@idiom
def partition_in_place(x):
    y = x * 1.0
    y.partition(1)
    return y[0] * 2


@idiom
def shuffle_in_place(x):
    y = x * 1.0
    np.random.default_rng(0).shuffle(y)
    return np.sum(y * y)


@idiom
def random_with_traced_mean(x):
    return np.random.default_rng(0).normal(x[0], 1.0)


@idiom
def interp(x):
    return np.interp(x, [-2.0, 0.0, 1.0], [1.0, 3.0, 4.0]).sum()


@idiom
def polyval(x):
    return np.polyval([1.0, 2.0, 3.0], x).sum() + np.polyval(x, 2.0)


@idiom
def histogram(x):
    return np.histogram(x)[0].sum() * x[0]


@idiom
def gradient(x):
    return np.sum(np.gradient(x) * W)


@idiom
def unwrap_and_convolve(x):
    return np.sum(np.convolve(x, W))


@idiom
def fft(x):
    return np.sum(np.abs(np.fft.fft(x)))


@idiom
def reduceat(x):
    return np.add.reduceat(x, [0, 2]).sum()


@idiom
def nditer(x):
    return sum(a * a for a in np.nditer(x))


@idiom
def ndindex(x):
    return sum(x[i] * x[i] for i in np.ndindex(x.shape))


@idiom
def ndenumerate(x):
    return sum(a * a for _, a in np.ndenumerate(x))


@idiom
def flat(x):
    return sum(a * a for a in x.flat)


@idiom
def astype(x):
    return np.sum(x.astype(float) * W)


@idiom
def view_as(x):
    return x.view(np.float64).sum()


@idiom
def error_state(x):
    with np.errstate(all="ignore"):
        return np.sum(np.log(x * x))


@idiom
def dataclass_of_arrays(x):
    holder = np.empty(2, dtype=object)
    holder[0] = x[0]
    holder[1] = x[1]
    return holder[0] * holder[1]


section("Numbers are values")


@idiom
def swapped_elements(x):
    y = x * 1.0
    y[0], y[1] = y[1], y[0]
    return np.sum(y * W)


@idiom
def element_kept_while_it_is_overwritten(x):
    y = x * 1.0
    first = y[0]
    y[0] = y[2] * 2.0
    y[2] = first
    return np.sum(y * W)


@idiom
def bubble_sort(x):
    y = x * 1.0
    for i in range(2):
        for j in range(2 - i):
            if y[j] > y[j + 1]:
                y[j], y[j + 1] = y[j + 1], y[j]
    return np.sum(y * W)


@idiom
def running_total_that_is_kept(x):
    total, totals = 0.0, []
    for v in x:
        total += v * v
        totals.append(total)
    return totals[0] * 2.0 + totals[1] * 3.0 + totals[2]


@idiom
def total_that_begins_with_an_element(x):
    total = x[0]
    for k in range(1, 3):
        total *= x[k]
    return total + x[0]


@idiom
def element_updated_apart_from_its_array(x):
    y = x * 2.0
    t = y[0]
    t += 1.0
    return t * np.sum(y * W)


@idiom
def elements_updated_in_place(x):
    y = x * 1.0
    y[0] += 1.0
    y[1] *= y[0]
    return np.sum(y * W)


@idiom
def number_as_argument_in_place(x):
    def f(a):
        a += 1.0
        return a * a

    return f(x[0]) + x[0]


@idiom
def array_of_no_axes_is_a_view(x):
    y = x * 1.0
    view = y[0, ...]
    number = y[0]
    y[0] = 5.0
    return view * x[1] + number * x[2]


@idiom
def accumulator_of_a_numpy_number(x):
    total = np.float64(0.0)
    for v in x:
        total += v * v
    return total


section("Writes and aliases")


@idiom
def argument_in_place(x):
    x -= np.max(x)
    return np.sum(np.exp(x))


@idiom
def element_of_an_argument_written(x):
    x[0] = x[1] * 2.0
    return np.sum(x * x)


@idiom
def alias_in_place(x):
    y = x * 1.0
    z = y
    z += 1.0
    return np.sum(y * z)


@idiom
def row_view_in_place(x):
    y = np.outer(x, W)
    row = y[1]
    row *= 2.0
    return np.sum(y)


@idiom
def transposed_view_written(x):
    y = np.outer(x, W)
    y.T[0] = 0.0
    return np.sum(y)


@idiom
def reshaped_view_written(x):
    y = x * 1.0
    y.reshape(3, 1)[0] = 5.0
    return np.sum(y * W)


@idiom
def flat_written(x):
    y = np.outer(x, W)
    y.flat[0] = 1.0
    return np.sum(y)


@idiom
def diagonal_by_einsum_written(x):
    y = np.outer(x, W)
    np.einsum("ii->i", y)[:] = x
    return np.sum(y * y)


@idiom
def axes_swapped_by_einsum_written(x):
    y = np.outer(x, W)
    np.einsum("ij->ji", y)[0] = 0.0
    return np.sum(y * y)


@idiom
def block_is_a_copy(x):
    y = x * 1.0
    np.block(y)[0] = 5.0
    return np.sum(y * y)


@idiom
def view_without_arguments_written(x):
    y = x * 1.0
    y.view()[0] = 5.0
    return np.sum(y * y)


@idiom
def conjugate_of_real_numbers_written(x):
    y = x * 1.0
    y.conj()[0] = 5.0
    return np.sum(y * y)


@idiom
def real_and_imaginary_part_assigned(x):
    z = x * (1.0 + 1.0j)
    z.real = x * x
    z.imag[1:] = x[:-1]
    return np.sum(np.abs(z))


@idiom
def shape_assigned(x):
    y = np.outer(x, W)
    y.shape = (9,)
    return y[3]


@idiom
def columns_into_a_plain_matrix(x):
    m = np.zeros((3, 2))
    m[:, 0] = x
    return np.sum(m)


@idiom
def record_array(x):
    out = np.zeros(3, dtype=[("a", float)])
    out["a"] = x
    return out["a"].sum()


@idiom
def out_and_where(x):
    return np.divide(1.0, x, out=np.zeros(3), where=x > 0).sum()


section("Copies")


@idiom
def shallow_copy(x):
    return np.sum(copy.copy(x) ** 2)


@idiom
def deep_copy(x):
    return np.sum(copy.deepcopy({"x": x})["x"] ** 2)


@idiom
def pickled(x):
    return np.sum(pickle.loads(pickle.dumps(x)) ** 2)


section("Arguments that NumPy does not look at")


@idiom
def initial_value_of_a_sum(x):
    return np.sum(W, initial=x[0])


@idiom
def constant_of_pad(x):
    return np.pad(W, 1, constant_values=x[0]).sum()


@idiom
def replacement_of_nan(x):
    return np.nan_to_num(np.array([1.0, np.nan]), nan=x[0]).sum()


@idiom
def piecewise_values(x):
    return np.piecewise(W, [W < 2], [x[0], 1.0]).sum()


@idiom
def quantile_by_q(x):
    return np.quantile(W, x[0])


@idiom
def bounds_of_a_clip(x):
    return W.clip(np.min(x), np.max(x)).sum()


@idiom
def weights_of_bincount(x):
    return np.bincount([0, 1, 1], weights=x)[1]


@idiom
def list_times_array(x):
    return np.sum([x[0], x[1]] * W[:2])


@idiom
def ufunc_of_a_list(x):
    return np.sum(np.exp([x[0], x[1]]))


@idiom
def array_of_a_comprehension(x):
    return np.mean(np.array([v * v for v in x]))


section("Other kinds of arrays, and other programs")


@idiom
def masked_array(x):
    return np.ma.masked_array(x, [0, 1, 0]).sum()


@idiom
def polynomial_class(x):
    return np.polynomial.Polynomial(x)(2.0)


@idiom
def matrix_class(x):
    return np.asmatrix(x).sum()


@idiom
def strided_tricks(x):
    return np.lib.stride_tricks.as_strided(x, (2,), (8,)).sum()


@idiom
def bytes_in_memory(x):
    return np.asarray(memoryview(x)).sum()


@idiom
def packed_bytes(x):
    return struct.unpack("d", struct.pack("d", x[0]))[0]


@idiom
def decimal_number(x):
    return float(decimal.Decimal(x[0])) * x[0]


@idiom
def fraction_times_a_number(x):
    return fractions.Fraction(1, 2) * x[0] - (x * fractions.Fraction(1, 3)).sum() / fractions.Fraction(3, 4)


@idiom
def saved_and_read(x):
    file = io.BytesIO()
    np.save(file, x)
    file.seek(0)
    return np.sum(np.load(file) ** 2)


@idiom
def saved_by_name(x):
    file = io.BytesIO()
    np.savez(file, x=x)
    file.seek(0)
    return np.sum(np.load(file)["x"] ** 2)


@idiom
def saved_as_text(x):
    file = io.StringIO()
    np.savetxt(file, x)
    file.seek(0)
    return np.sum(np.loadtxt(file) ** 2)


@idiom
def quadrature(x):
    from scipy import integrate

    return integrate.quad(lambda t: x[0] * t, 0.0, 1.0)[0]


@idiom
def function_of_numba(x):
    import numba

    return numba.njit(lambda a: a.sum())(x)


NUMPYS_OWN_ERROR = {"array_interfaces", "shuffle_in_place", "bytes_in_memory", "decimal_number", "function_of_numba"}
"""Where C code of NumPy, Python or Numba refuses, or warns, before it asks the tensor anything."""
NUMPYS_OWN_ERROR_EAGERLY = {"nditer", "packed_bytes", "element_by_flat", "rounded_by_python"}
"""Where it drops the tensor's error for one of its own; `grad` gives that error back."""
