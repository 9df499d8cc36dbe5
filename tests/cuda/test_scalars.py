"""Scalar functions, compiled for the CPU: the same Python functions that are compiled for the device, against NumPy.

Of those that need double precision, for which the compiler takes seconds, it is every eighth: all of them are compared
with SciPy in `test_special_functions.py`, and compiled for the device.
"""

from __future__ import annotations

import numpy as np
import pytest
from records import Case, domains, draw, dtypes, generator, probe_case

from tapegrad.cuda import scalars, toolchain
from tapegrad.cuda.elementwise import KERNEL_DTYPES, function_of
from tapegrad.cuda.scalars import SCALARS
from tapegrad.primitives.core import RECORDS, Elementwise

ALL = sorted({name for name, _ in SCALARS if isinstance(RECORDS.get(name), Elementwise)})
NAMES = [n for n in ALL if n not in scalars.DOUBLE] + [n for n in ALL if n in scalars.DOUBLE][::8]
EXTREME = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-300, 1e300, np.inf, -np.inf, np.nan])
pytestmark = pytest.mark.skipif(
    toolchain.SIMULATED, reason="Numba compiles nothing for the CPU's sake while it simulates"
)


def compiled(record, operands):
    """A function of arrays that calls the scalar function on each element, or None."""
    loop = record.resolve(tuple([x.dtype for x in operands]))
    kinds = loop
    if record.name in scalars.DOUBLE and all(k.char in KERNEL_DTYPES and k.kind != "c" for k in loop):
        kinds = (np.dtype(float),) * len(loop)  # as `table.steps_of` has it
    function = function_of(record.name, kinds[:-1], kinds[-1])
    if function is None:
        return None
    scalar = toolchain.on_cpu(function)

    def run(*arrays):
        arrays = np.broadcast_arrays(*[a.astype(k) for a, k in zip(arrays, kinds, strict=False)])
        found = [
            scalar(*[a[()] if a.shape == () else a for a in point])
            for point in zip(*[a.ravel() for a in arrays], strict=True)
        ]
        with np.errstate(all="ignore"):
            return (
                np.array(found, dtype=complex if loop[-1].kind == "c" else None)
                .astype(loop[-1])
                .reshape(arrays[0].shape)
            )

    return run


def agree(name, found, expected, case):
    if expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, expected, err_msg=str(case))
        return
    rtol = scalars.DIGITS.get(name, 32) * np.finfo(expected.dtype).eps
    tiny = np.finfo(expected.dtype).tiny
    np.testing.assert_allclose(
        found, expected, rtol=rtol, atol=rtol * scalars.SCALES.get(name, 0.0) + tiny, err_msg=str(case)
    )


@pytest.mark.parametrize("name", NAMES)
def test_scalar_function(name):
    record = RECORDS[name]
    rng = generator(name, "scalar")
    tried = 0
    for dtype in dtypes(record):
        for case in (probe_case(record, dtype), Case(record, draw(record, [(40,)], dtype, rng), {}, "random")):
            run = compiled(record, case.operands)
            if run is None:
                continue
            agree(name, run(*case.operands), case.reference(case.operands), case)
            tried += 1
    assert tried


PLAIN = [n for n in NAMES if (n, "f") in SCALARS and n not in scalars.DIGITS and len(domains(RECORDS[n])) == 1]
OWN_LIMITS = {"deg2rad", "radians", "rad2deg", "degrees", "sinc", "ldexp"}


@pytest.mark.parametrize("name", [n for n in PLAIN if n not in OWN_LIMITS])
def test_extreme_values(name):
    record = RECORDS[name]
    run = compiled(record, (EXTREME,))
    case = Case(record, (EXTREME,), {}, "extreme")
    agree(name, run(EXTREME), case.reference((EXTREME,)), case)


SIGNED = {"absolute", "floor_divide", "remainder", "fmod", "gcd", "lcm", "bitwise_count", "power", "negative"}


@pytest.mark.parametrize("char", "LB")
@pytest.mark.parametrize("name", sorted(SIGNED))
def test_unsigned_integers(name, char):
    """To Numba a magnitude of unsigned integers, or one of them and a signed one, is a floating number."""
    function, bits = RECORDS[name].function, 8 * np.dtype(char).itemsize
    values = np.array([0, 1, 2, 3, 5, 7, 2**bits - 1, 2**bits - 2, 2 ** (bits - 1)], char)
    operands = [values] if function.nin == 1 else [a.ravel() for a in np.meshgrid(values, values)]
    with np.errstate(all="ignore"):
        expected = function(*operands)
    scalar = toolchain.on_cpu(function_of(name, [a.dtype for a in operands], expected.dtype))
    found = [scalar(*point) for point in zip(*operands, strict=True)]
    assert not any(isinstance(x, float) for x in found)
    assert [int(x) % 2**bits for x in found] == [int(x) for x in expected]
