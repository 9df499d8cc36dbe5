"""A compiled function outside of Python: in files, in nopython code, as a C function."""

from __future__ import annotations

import os
from typing import Any

from .looking import Looking
from .outside import fixed, general_address, low_level_callable
from .saving import dump_bytes, load_bytes, save

__all__ = ["Leaving"]


class Leaving(Looking):
    """What a compiled function has for those who call or keep it elsewhere."""

    __slots__ = ()

    def save(self, path: str | os.PathLike) -> None:
        """Write the recorded paths to a file that `tapegrad.load` reads: rows, constants and guards, no Python code.

        Parameters
        ----------
        path : str or path-like
            Written at once: it holds what it held before, or all of the new.

        Raises
        ------
        SaveError
            If nothing has been recorded, or something has no place in a file: a primitive of one's own, containers
            other than tuples, lists and dictionaries. A `TypeError`.
        """
        save(self, path)

    def __reduce__(self) -> tuple:
        return load_bytes, (dump_bytes(self), f"a pickle of {getattr(self, '__name__', 'a function')}")

    def as_njit(self, *examples: Any) -> Any:
        """The path that some arguments take, as a function that Numba's nopython code can call.

        Parameters
        ----------
        *examples
            Arrays and numbers like those to come; without any, the one structure that was recorded is meant. What is
            part of the recording (ints, strings) is no argument of the function that is returned.

        Returns
        -------
        numba.core.registry.CPUDispatcher
            Takes C-contiguous arrays of the recorded shapes and dtypes, and numbers; returns what the function returns,
            with tuples for lists.

        Raises
        ------
        TypeError
            If arguments stand in containers, or results in others than tuples and lists.

        Notes
        -----
        The path is fixed. Where the arguments would take another one, a `RuntimeError` is raised; where an array has
        another shape, a `ValueError`. It may be called from several threads, in ``prange`` as well.

        Examples
        --------
        >>> import numba
        >>> import numpy as np
        >>> import tapegrad as tg
        >>> slope = tg.compile(tg.grad(lambda x: np.sum(np.sin(x)))).as_njit(np.ones(3))
        >>> @numba.njit
        ... def descend(x, steps):
        ...     for _ in range(steps):
        ...         x = x - 0.1 * slope(x)
        ...     return x
        >>> descend(np.zeros(3), 10).round(3)
        array([-0.88, -0.88, -0.88])
        """
        from .nopython import function_of

        program, specs = fixed(self, examples)
        return function_of(program, specs, getattr(self, "__name__", "function"))

    @property
    def address(self) -> int:
        """Address of the one structure that was recorded, the path used last, as a C function.

        It is ``int64_t f(const void *const *inputs, void *const *outputs)``: reads the arguments' elements, in C order
        and of the recorded shapes and dtypes, and writes the results' to memory of the caller's. It returns 0; 1 where
        the arguments take another path than was recorded, 2 where a row that Python runs failed, 3 where there is no
        memory, and 4 where an index was out of bounds. Any number of threads may call it, with or without Python's
        lock, as long as the process lives.
        """
        return general_address(fixed(self, ())[0])

    def low_level_callable(self, *examples: Any) -> Any:
        """The path that some arguments take, for SciPy's routines that call C functions.

        Parameters
        ----------
        *examples
            One float64 array of one dimension, or float64 numbers, like those to come; without any, the one structure
            that was recorded is meant.

        Returns
        -------
        scipy.LowLevelCallable
            Of the signature ``double (int, double *)``: elements of the array, or the numbers. NaN where the arguments
            take another path than was recorded, or their number is another one.

        Raises
        ------
        TypeError
            If arguments are others, or the result is not one float64 number.

        Examples
        --------
        >>> import numpy as np
        >>> import scipy.integrate
        >>> import tapegrad as tg
        >>> slope = tg.compile(tg.grad(lambda x, a: np.sin(a * x))).low_level_callable(0.5, 2.0)
        >>> value, _ = scipy.integrate.quad(slope, 0.0, 1.0, args=(2.0,))
        >>> bool(np.isclose(value, np.sin(2.0)))
        True
        """
        program, specs = fixed(self, examples)
        return low_level_callable(program, specs, getattr(self, "__name__", "the function"))
