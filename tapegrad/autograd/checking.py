"""Checking derivatives against finite differences, with PyTorch's arguments and reports."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..creation import tensor
from ..tape.handle import Tensor
from ..tape.tape import Tape
from ..values import value_of
from .api import grad
from .call import Call
from .pushforward import pushforward
from .recorded import home_of, source_of

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A derivative disagrees with finite differences, or is not what autograd may rely on."""


@dataclass(frozen=True)
class _Tolerance:
    eps: float
    atol: float
    rtol: float
    nondet: float


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare a function's derivatives with central differences.

    Parameters
    ----------
    func : callable
        Takes `inputs`; returns a tensor or several. Results that carry no gradient are left out.
    inputs : Tensor or tuple
        Those that require grad are varied; they should be float64 or complex128.
    eps : float
        Step of the differences.
    atol, rtol : float
        ``|analytical - numerical| <= atol + rtol |numerical|`` is agreement.
    raise_exception : bool
        Whether to raise where they disagree, rather than return False.
    nondet_tol : float
        How far two sweeps with the same cotangent may differ.
    check_undefined_grad : bool
        Whether a `Function` must give no gradient where it gets none.
    check_grad_dtypes : bool
        Whether gradients must have their inputs' dtypes.
    check_batched_grad, check_batched_forward_grad : bool
        Accepted as in PyTorch; batches are loops here, so there is nothing more to check.
    check_forward_ad, check_backward_ad : bool
        Which modes to check.
    fast_mode : bool
        Compare one random projection of the Jacobian only.
    masked : bool, optional
        Accepted as in PyTorch; there are no sparse tensors.

    Returns
    -------
    bool

    Raises
    ------
    GradcheckError
        Where derivatives disagree, with both Jacobians.
    ValueError
        If no input requires grad.
    AssertionError
        If no mode is to be checked.

    Examples
    --------
    >>> import numpy as np
    >>> import tapegrad as tg
    >>> x = tg.tensor([0.5, -1.0], requires_grad=True)
    >>> tg.autograd.gradcheck(lambda x: np.sin(x) * x, (x,))
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    tolerance = _Tolerance(eps, atol, rtol, nondet_tol)
    varied = _check_inputs(given)
    try:
        outputs = _outputs(func, given)
        if not outputs:
            _check_constant(func, given, varied, tolerance)
            return True
        check = _check_fast if fast_mode else _check_slow
        if check_backward_ad:
            check(func, given, varied, outputs, tolerance)
            _check_repeats(outputs, varied, tolerance)
            if check_grad_dtypes:
                _check_dtypes(outputs, varied)
            if check_undefined_grad:
                _check_undefined(outputs)
        if check_forward_ad:
            _check_forward(func, given, varied, outputs, tolerance)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Any] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compare second derivatives with central differences of the first.

    Parameters
    ----------
    func, inputs, eps, atol, rtol, raise_exception, nondet_tol, check_undefined_grad, check_grad_dtypes, \
check_batched_grad, fast_mode, masked
        As in `gradcheck`.
    grad_outputs : Tensor or tuple, optional
        Cotangents of the results; random ones by default.
    gen_non_contig_grad_outputs : bool
        Whether random cotangents are non-contiguous.
    check_fwd_over_rev, check_rev_over_rev : bool
        Which modes to check the gradient in.

    Returns
    -------
    bool

    Raises
    ------
    GradcheckError, ValueError, AssertionError
        As in `gradcheck`.
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        seeds = tuple(_random_seed(y, rng, gen_non_contig_grad_outputs) for y in _outputs(func, given))
    else:
        seeds = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)

    def gradient(*arguments: Any) -> tuple[Tensor, ...]:
        primals = arguments[: len(given)]
        outputs = _outputs(func, primals)
        varied = [t for t in primals if isinstance(t, Tensor) and t.requires_grad]
        found = grad(outputs, varied, arguments[len(given) :], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradient,
        (*given, *seeds),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        masked=masked,
    )


def _random_seed(y: Tensor, rng: np.random.Generator, strided: bool) -> Tensor:
    shape = y._spec.shape
    array = np.asarray(rng.standard_normal(shape))
    if y._spec.dtype.kind == "c":
        array = array + 1j * rng.standard_normal(shape)
    made = tensor(array.astype(y._spec.dtype), requires_grad=True)
    if strided and shape:
        made = tensor(np.repeat(value_of(made), 2, axis=-1))[..., ::2].detach().requires_grad_()
    return made


def _check_inputs(given: tuple) -> list[Tensor]:
    varied = []
    for k, t in enumerate(given):
        if not isinstance(t, Tensor) or not t.requires_grad:
            continue
        if t._spec.dtype not in (np.dtype(np.float64), np.dtype(np.complex128)):
            warnings.warn(
                f"Input #{k} requires gradient and is not a double precision floating point or complex. This check "
                f"will likely fail if all the inputs are not of double precision floating point or complex.",
                UserWarning,
                stacklevel=3,
            )
        if any(s == 0 and n > 1 for s, n in zip(t._spec.strides, t._spec.shape, strict=True)):
            raise RuntimeError(
                f"The {k}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                f"non-overlapping to be able to compute the numerical gradients correctly. You should copy the input "
                f"before passing it to gradcheck."
            )
        if not t._leaf:
            t.retain_grad()
        varied.append(t)
    if not varied:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    return varied


def _tensors(func: Callable, given: tuple) -> list[Tensor]:
    found = func(*given)
    if found is None:
        raise TypeError("the function whose derivatives are checked returned None: return the tensors that it computes")
    return [y for y in (found if isinstance(found, (tuple, list)) else (found,)) if isinstance(y, Tensor)]


def _outputs(func: Callable, given: tuple) -> list[Tensor]:
    """Results that carry gradients."""
    return [y for y in _tensors(func, given) if y.requires_grad]


def _values(func: Callable, given: tuple, floating: bool = False) -> list[np.ndarray]:
    """Results as arrays, of those that carry gradients or of all that could."""
    outputs = _tensors(func, given)
    chosen = [y for y in outputs if (y._spec.dtype.kind in "fc" if floating else y.requires_grad)]
    return [np.array(value_of(y)).ravel() for y in chosen]


def _steps(x: Tensor, eps: float) -> Iterator[tuple[int, complex, Any]]:
    """Element, direction and a function that moves the input along it."""
    array = value_of(x)
    for k, place in enumerate(np.ndindex(array.shape)):

        def move(step: complex, place: tuple = place) -> None:
            array[place] += step

        yield k, 1.0, move
        if array.dtype.kind == "c":
            yield k, 1j, move


def _numerical(func: Callable, given: tuple, x: Tensor, eps: float, floating: bool = False) -> list[np.ndarray]:
    """Central differences by one input: per output, ``[2, x.size, y.size]``, by the real and the imaginary part."""
    jacobians: list[np.ndarray] = []
    for k, direction, move in _steps(x, eps):
        move(eps * direction)
        up = _values(func, given, floating)
        move(-2 * eps * direction)
        down = _values(func, given, floating)
        move(eps * direction)
        if not jacobians:
            jacobians = [np.zeros((2, x._spec.size, len(y)), complex) for y in up]
        for jacobian, a, b in zip(jacobians, up, down, strict=True):
            jacobian[int(direction == 1j), k] = (a - b) / (2 * eps)
    return jacobians


def _check_constant(func: Callable, given: tuple, varied: list, tolerance: _Tolerance) -> None:
    for x in varied:
        for jacobian in _numerical(func, given, x, tolerance.eps, floating=True):
            if np.abs(jacobian).max(initial=0.0) > tolerance.atol:
                raise GradcheckError("Numerical gradient for function expected to be zero")


def _parts(y: Tensor) -> list[tuple[str, complex]]:
    """What of an output is looked at: the words for it, and the cotangent that selects it."""
    if y._spec.dtype.kind != "c":
        return [("", 1.0)]
    return [
        ("While considering the real part of complex outputs only, ", 1.0),
        ("While considering the imaginary part of complex outputs only, ", 1j),
    ]


def _part(jacobian: np.ndarray, seed: complex, x: Tensor) -> np.ndarray:
    """Gradient of an output's real or imaginary part: by the real part of x, and 1j times by the imaginary."""
    real = (jacobian * np.conj(seed)).real
    return real[0] + 1j * real[1] if x._spec.dtype.kind == "c" else real[0]


def _analytical(y: Tensor, varied: list, seed: complex) -> list[np.ndarray]:
    """The gradient of each element of a part of y, one sweep an element: per input, ``[x.size, y.size]``."""
    found = [np.zeros((x._spec.size, y._spec.size), x._spec.dtype) for x in varied]
    for k in range(y._spec.size):
        bar = np.zeros(y._spec.size, y._spec.dtype)
        bar[k] = seed
        gradients = _sweep(y, varied, bar)
        for jacobian, g in zip(found, gradients, strict=True):
            jacobian[:, k] = g
    return found


def _sweep(y: Tensor, varied: list, bar: np.ndarray) -> list[np.ndarray]:
    found = grad(y, varied, bar.reshape(y._spec.shape), retain_graph=True, allow_unused=True)
    return [
        np.zeros(x._spec.size, x._spec.dtype) if g is None else value_of(g).ravel()
        for g, x in zip(found, varied, strict=True)
    ]


def _agree(a: np.ndarray, n: np.ndarray, tolerance: _Tolerance) -> bool:
    return bool(np.allclose(a, n, rtol=tolerance.rtol, atol=tolerance.atol, equal_nan=False))


def _mismatch(words: str, i: int, j: int, numerical: Any, analytical: Any, how: str = "") -> GradcheckError:
    return GradcheckError(
        f"{words}Jacobian {how}mismatch for output {i} with respect to input {j},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def _check_slow(func: Callable, given: tuple, varied: list, outputs: list, tolerance: _Tolerance) -> None:
    numerical = [_numerical(func, given, x, tolerance.eps) for x in varied]
    for i, y in enumerate(outputs):
        for words, seed in _parts(y):
            for j, (x, a) in enumerate(zip(varied, _analytical(y, varied, seed), strict=True)):
                n = _part(numerical[j][i], seed, x) if numerical[j] else np.zeros(a.shape)
                if not _agree(a, n, tolerance):
                    raise _mismatch(words, i, j, n, a)


def _check_fast(func: Callable, given: tuple, varied: list, outputs: list, tolerance: _Tolerance) -> None:
    """Compare ``v^T J u`` for random unit vectors; where that fails, report the whole Jacobian."""
    rng = np.random.default_rng(0)
    for i, y in enumerate(outputs):
        v = rng.standard_normal(y._spec.size)
        v /= np.linalg.norm(v)
        for words, seed in _parts(y):
            gradients = _sweep(y, varied, (v * seed).astype(y._spec.dtype))
            for j, x in enumerate(varied):
                u = rng.standard_normal(x._spec.size)
                if x._spec.dtype.kind == "c":
                    u = u + 1j * rng.standard_normal(x._spec.size)
                u = u / np.linalg.norm(u)
                array, step = value_of(x), (tolerance.eps * u).reshape(x._spec.shape)
                array += step
                up = _values(func, given)[i]
                array -= 2 * step
                down = _values(func, given)[i]
                array += step
                n = np.sum(((up - down) / (2 * tolerance.eps) * np.conj(seed)).real * v)
                a = np.sum((np.conj(gradients[j]) * u).real)
                if _agree(a, n, tolerance):
                    continue
                whole = _part(_numerical(func, given, x, tolerance.eps)[i], seed, x)
                exact = _analytical(y, varied, seed)[j]
                raise GradcheckError(
                    f"{_mismatch(words, i, j, n, a)}\nThe above quantities relating the numerical and analytical "
                    f"jacobians are computed in fast mode. Below, we recompute numerical and analytical jacobians in "
                    f"slow mode:\n\nNumerical:\n{whole}\nAnalytical:\n{exact}\n\nThe max per-element difference (slow "
                    f"mode) is: {np.abs(whole - exact).max()}.\n"
                )


def _check_repeats(outputs: list, varied: list, tolerance: _Tolerance) -> None:
    rng = np.random.default_rng(0)
    for y in outputs:
        bar = rng.standard_normal(y._spec.size).astype(y._spec.dtype)
        for a, b in zip(_sweep(y, varied, bar), _sweep(y, varied, bar), strict=True):
            if np.abs(a - b).max(initial=0.0) > tolerance.nondet:
                raise GradcheckError(
                    f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    f"gives different values, although analytical gradient matches numerical gradient. The tolerance "
                    f"for nondeterminism was {tolerance.nondet}."
                )


def _check_dtypes(outputs: list, varied: list) -> None:
    for y in outputs:
        bar = np.ones(y._spec.shape, y._spec.dtype)
        for g, x in zip(grad(y, varied, bar, retain_graph=True, allow_unused=True), varied, strict=True):
            if g is not None and g._spec.dtype != x._spec.dtype:
                raise GradcheckError(f"Gradient has dtype {g._spec.dtype}, its input {x._spec.dtype}")


def _check_undefined(outputs: list) -> None:
    """A user's function must turn no gradient into none."""
    for y in outputs:
        if y._leaf:
            continue
        owner, slot = home_of(y)
        call, _ = (isinstance(owner, Tape) and source_of(owner, slot)) or (owner, slot)
        if not isinstance(call, Call):
            continue
        bars = call.cotangents({}, [home is not None for *_, home in call.imports], False)
        if any(b is not None and np.any(value_of(b)) for b in bars):
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are undefined or zero: "
                f"{call.ctx.name()} gives a gradient for None (see Function.set_materialize_grads)"
            )


def _check_forward(func: Callable, given: tuple, varied: list, outputs: list, tolerance: _Tolerance) -> None:
    """Compare forward mode with the differences, input element by input element."""
    for j, x in enumerate(varied):
        numerical = _numerical(func, given, x, tolerance.eps)
        exact = [np.zeros_like(n) for n in numerical]
        for k, direction, _ in _steps(x, 0.0):
            dot = np.zeros(x._spec.size, x._spec.dtype)
            dot[k] = direction
            dots = pushforward(outputs, [x], [tensor(dot.reshape(x._spec.shape))])
            for i, d in enumerate(dots):
                if d is not None:
                    exact[i][int(direction == 1j), k] = value_of(d).ravel()
        for i, (n, a) in enumerate(zip(numerical, exact, strict=True)):
            if not _agree(a, n, tolerance):
                last = 2 if x._spec.dtype.kind == "c" else 1
                words = "computed with forward mode "
                raise _mismatch("", i, j, _plain(n[:last]), _plain(a[:last]), words)


def _plain(jacobian: np.ndarray) -> np.ndarray:
    found = jacobian[0] if len(jacobian) == 1 else jacobian
    return found.real if not np.iscomplex(found).any() else found
