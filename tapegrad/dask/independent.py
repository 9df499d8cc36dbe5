"""Work that needs no sum: a function at many parameters, columns of a Jacobian, fits from many starts."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from dask.delayed import delayed

from ..compiler.program import Compiled
from ..compiler.program import compile as compile_function
from ..functional import jvp, value_and_grad, vjp
from .carrying import Carried, UnrecordedError, record
from .evaluating import Box, noting_worker
from .partitions import is_count
from .progress import Bar
from .running import PartitionError, executor, gather

__all__ = ["jacobian", "map", "multistart"]

MOST_RECORDINGS = 64
PIECES_PER_SLOT = 4
"""Pieces for each of a cluster's threads, where nobody says how many items make one."""


def map(
    fun: Callable,
    items: Iterable,
    *shared: Any,
    client: Any = None,
    batch: int | None = None,
    retries: int = 0,
    straggler: float | None = 8.0,
    progress: bool = False,
) -> list:
    """A function at many parameters.

    Parameters
    ----------
    fun : callable
        ``fun(item, *shared)`` in plain NumPy, or compiled. The tape travels, not the function.
    items : iterable
        Parameter sets: arrays, numbers, or containers of such. Those of other shapes are recorded when they are met.
    *shared
        Further arguments, the same for all; each worker gets them once.
    client, retries, straggler, progress
        As in `total`.
    batch : int, optional
        Items to a piece of work. Default: four pieces for each thread of the workers.

    Returns
    -------
    list
        The results, in the order of the items.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> import tapegrad.dask
    >>> tapegrad.dask.map(tg.grad(lambda x: x**3), [1.0, 2.0, 3.0])
    [np.float64(3.0), np.float64(12.0), np.float64(27.0)]
    """
    items = list(items)
    options = {"client": client, "retries": retries, "straggler": straggler, "progress": progress}
    return _spread(
        _compiled(fun), _call_each, items, shared, batch, "item", [(x, *shared) for x in items[:1]], **options
    )


def jacobian(
    fun: Callable,
    argnum: int = 0,
    *,
    mode: str = "forward",
    client: Any = None,
    batch: int | None = None,
    retries: int = 0,
    straggler: float | None = 8.0,
    progress: bool = False,
) -> Callable:
    """The Jacobian of a function of arrays, its columns (or rows) computed on workers.

    Parameters
    ----------
    fun : callable
        In plain NumPy; returns an array.
    argnum : int, default 0
        The argument to differentiate with respect to: an array.
    mode : {"forward", "reverse"}
        A column for each element of the argument, or a row for each element of the result.
    client, batch, retries, straggler, progress
        As in `map`; items are columns or rows.

    Returns
    -------
    callable
        Takes the arguments of `fun`; returns an array of shape ``result.shape + argument.shape``.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad.dask
    >>> tapegrad.dask.jacobian(lambda x: np.cumsum(x**2))(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 4.]])
    """
    if mode not in ("forward", "reverse"):
        raise ValueError(f"mode is 'forward' (columns) or 'reverse' (rows), not {mode!r}")

    def along(k: Any, *arguments: Any) -> Any:
        x = arguments[argnum]

        def of_one(z: Any) -> Any:
            return fun(*arguments[:argnum], z, *arguments[argnum + 1 :])

        if mode == "forward":
            return jvp(of_one, (x,), (k,))[1]
        return vjp(of_one, x)[1](k)[0]

    step = _compiled(functools.wraps(fun, updated=())(along))

    def evaluate(*arguments: Any) -> np.ndarray:
        x = np.asarray(arguments[argnum])
        shape, dtype = (x.shape, x.dtype) if mode == "forward" else _result_type(fun, arguments)
        items, noun = list(range(int(np.prod(shape)))), "column" if mode == "forward" else "row"
        found = _spread(
            step, _call_along, items, (shape, dtype, arguments), batch, noun, [(np.zeros(shape, dtype), *arguments)],
            client=client, retries=retries, straggler=straggler, progress=progress,
        )  # fmt: skip
        if mode == "reverse":
            return np.array(found).reshape(*shape, *x.shape)
        columns = np.array(found)
        return np.moveaxis(columns, 0, -1).reshape(*columns.shape[1:], *x.shape)

    return evaluate


def multistart(
    fun: Callable,
    starts: Iterable,
    *shared: Any,
    method: str = "L-BFGS-B",
    client: Any = None,
    batch: int | None = 1,
    retries: int = 0,
    straggler: float | None = None,
    progress: bool = False,
    **options: Any,
) -> list:
    """Minimise a function from many starting points, by `scipy.optimize.minimize` with its gradient.

    Parameters
    ----------
    fun : callable
        ``fun(x, *shared)`` in plain NumPy, `x` an array; returns a scalar.
    starts : iterable of array_like
        Of one shape.
    *shared
        Further arguments; each worker gets them once.
    method, **options
        As in `scipy.optimize.minimize`.
    client, batch, retries, straggler, progress
        As in `map`; items are starts.

    Returns
    -------
    list of scipy.optimize.OptimizeResult
        The lowest value first. Each has ``start``, the number of its starting point; a fit that raised stands at the
        end, with ``success`` False, ``fun`` infinite and the error as its ``message``.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad.dask
    >>> def valley(x):
    ...     return np.sum((x**2 - 4.0) ** 2 + x)
    >>> best, *_ = tapegrad.dask.multistart(valley, [[3.0], [-3.0]])
    >>> best.start, np.round(best.x, 3)
    (1, array([-2.031]))
    """
    points = [np.asarray(start, float) for start in starts]
    if len({x.shape for x in points}) > 1 or (points and points[0].ndim != 1):
        raise ValueError(f"starts are vectors of one length, not {sorted({x.shape for x in points})}")
    step = _compiled(value_and_grad(fun))
    examples = [(x, *shared) for x in points]
    found = _spread(
        step, _fit_each, points, (shared, {"method": method, **options}), batch, "start", examples,
        client=client, retries=retries, straggler=straggler, progress=progress,
    )  # fmt: skip
    for k, result in enumerate(found):
        result.start = k
    return sorted(found, key=_value)


def _value(result: Any) -> float:
    return np.inf if np.isnan(result.fun) else float(result.fun)


# --- what runs on a worker -----------------------------------------------------------------------------------


def _call_each(step: Callable, items: list, shared: tuple) -> list:
    return [step(item, *shared) for item in items]


def _call_along(step: Callable, items: list, shared: tuple) -> list:
    shape, dtype, arguments = shared
    found = []
    for k in items:
        direction = np.zeros(shape, dtype)
        direction.flat[k] = 1
        found.append(step(direction, *arguments))
    return found


def _fit_each(step: Callable, items: list, shared: tuple) -> list:
    from scipy.optimize import OptimizeResult, minimize

    further, options = shared
    found = []
    for start in items:
        try:
            result = minimize(step, start, args=further, jac=True, **options)
        except UnrecordedError:
            raise
        except Exception as error:  # one bad start is no reason to lose the others
            shown = "".join(traceback.format_exception_only(type(error), error)).strip()
            result = OptimizeResult(x=start, fun=np.inf, success=False, message=shown)
        result.pop("hess_inv", None)  # an object that need not travel
        found.append(result)
    return found


def _run_piece(carried: Carried, shared: Box, work: Callable, items: Box, unable: str | None) -> Any:
    """A list of results, or an `UnrecordedError` with the arguments that were not covered.

    `unable` says why they could not be recorded, at the second time.
    """

    def step(*arguments: Any) -> Any:
        try:
            return carried.call(arguments)
        except UnrecordedError as error:
            if unable:
                raise RuntimeError(f"the function failed where it had not been recorded: {unable}") from None
            raise UnrecordedError(error.args[0], arguments) from None

    with noting_worker():
        try:
            return work(step, items.content, shared.content)
        except UnrecordedError as error:
            return error.with_traceback(None)


# --- here ------------------------------------------------------------------------------------------------------


def _compiled(fun: Callable) -> Compiled:
    if not callable(fun):
        raise TypeError(f"a function is expected, and {fun!r:.60} is none")
    return fun if isinstance(fun, Compiled) else compile_function(fun)


def _result_type(fun: Callable, arguments: tuple) -> tuple[tuple, Any]:
    """Shape and dtype of a function's result."""
    result = np.asarray(fun(*arguments))
    return result.shape, result.dtype


def _spread(
    step: Compiled,
    work: Callable,
    items: list,
    shared: Any,
    batch: int | None,
    noun: str,
    examples: Iterable[tuple],
    *,
    client: Any,
    retries: int,
    straggler: float | None,
    progress: bool,
) -> list:
    """Results of `work` on the items, in their order; what it meets that was not recorded is recorded here."""
    if not items:
        return []
    if batch is not None and not is_count(batch, 1):
        raise ValueError(f"batch is a positive int, not {batch!r}")
    with executor(client, retries) as run, Bar(len(items), progress) as bar:
        size = batch or -(-len(items) // (PIECES_PER_SLOT * run.slots))
        stretches = [range(k, min(k + size, len(items))) for k in range(0, len(items), size)]
        whole = run.keep(delayed(Box(shared), pure=False, traverse=False))
        handles: dict[int, Any] = {}
        unable: dict[int, str] = {}

        def piece(k: int) -> Any:
            stretch = delayed(Box([items[j] for j in stretches[k]]), pure=False, traverse=False)
            return delayed(_run_piece, pure=False)(tape, whole, work, stretch, unable.get(k))

        def found(k: int, handle: Any) -> None:
            handles[k] = handle
            bar.step(len(stretches[k]))

        def label(k: int) -> str:
            first, last = stretches[k][0], stretches[k][-1]
            return f"{noun} {first}" if first == last else f"{noun}s {first} to {last}"

        if step.notice_changes() or not step.programs:
            _record(step, examples, noun)
        left, recordings = list(range(len(stretches))), 0
        while left:
            tape = run.keep(delayed(Carried(step), pure=False, traverse=False))
            unrecorded = gather(run, {k: piece(k) for k in left}, label, found, piece, straggler)
            left = list(unrecorded)
            recordings += bool(left)
            if recordings > MOST_RECORDINGS:
                raise PartitionError(
                    f"{label(left[0])} needs another recording ({unrecorded[left[0]].args[0]}), and {MOST_RECORDINGS} "
                    f"were made: values have too much say in the function's control flow",
                    left[0],
                )
            for k, error in unrecorded.items():
                try:
                    record(step, error.arguments)
                except Exception as failure:  # it may be one of several items: the worker will tell
                    unable[k] = f"{type(failure).__name__}: {failure}"
        return [result for k in range(len(stretches)) for result in run.fetch(handles[k])]


def _record(step: Compiled, examples: Iterable[tuple], noun: str) -> None:
    """Record the function on the first arguments that do not fail."""
    failure: PartitionError | None = None
    for k, arguments in enumerate(examples):
        try:
            record(step, arguments)
            return
        except Exception as error:
            message = f"{noun} {k} failed while the function was recorded: {type(error).__name__}: {error}"
            failure = failure or PartitionError(message, k)
            failure.__cause__ = failure.__cause__ or error
    if failure is not None:
        raise failure
