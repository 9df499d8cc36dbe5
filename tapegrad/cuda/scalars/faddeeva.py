"""The plasma dispersion function w(z), and what is written by it: Voigt's profile and Fresnel's integrals.

References
----------
.. [1] M. Al Azah, S. N. Chandler-Wilde, "Computation of the complex error function using modified trapezoidal rules",
   SIAM Journal on Numerical Analysis 59 (2021): the three sums, and where each is used. Twelve terms give 15 digits.
"""

from __future__ import annotations

from ..toolchain import math
from .registry import PI, scalar, special, truncated

__all__ = ["faddeeva", "first_quadrant"]

STEP = 0.5116633539732443
"""sqrt(pi / 12)."""


def first_quadrant(x, y):
    """w(x + iy) for x, y >= 0."""
    z = complex(x, y)
    if x + y > 1e7:
        return complex(0.0, 0.5641895835477563) / z
    square = z * z
    front = complex(-y, x) * (2.0 * STEP / PI)
    whole = x / STEP
    part = whole - math.floor(whole)
    even = y < x and 0.25 <= part <= 0.75  # the sum at whole multiples of the step: z is far from these
    total = 0.5 / square if even else 0.0 / complex(1.0, 0.0)
    for k in range(12):
        t = STEP * (k + 1.0) if even else STEP * (k + 0.5)
        total = total + math.exp(-t * t) / (square - t * t)
    w = front * total
    if y >= max(x, PI / STEP):
        return w
    size = 2.0 * math.exp(y * y - x * x)  # the residue at z
    decay = math.exp(-2.0 * PI * y / STEP)
    angle = -2.0 * x * y
    turn = 2.0 * PI * part
    # 2 e^{-z z} / (1 +- e^{-2 pi i z / h}), both parts times e^{2 pi i z / h}
    up = complex(decay * math.cos(turn), decay * math.sin(turn))
    sign = -1.0 if even else 1.0
    return w + complex(size * math.cos(angle), size * math.sin(angle)) * up / (up + sign)


def faddeeva(x, y):
    """w(x + iy) anywhere (DLMF 7.4.3)."""
    w = first_quadrant(math.fabs(x), math.fabs(y))
    if y < 0.0:
        size = 2.0 * math.exp(y * y - x * x)
        angle = 2.0 * math.fabs(x) * math.fabs(y)
        w = complex(size * math.cos(angle), -size * math.sin(angle)) - w
        w = complex(w.real, -w.imag) if x > 0.0 else w
        return w
    return complex(w.real, -w.imag) if x < 0.0 else w


@scalar("c")
def wofz(z):
    return faddeeva(1.0 * z.real, 1.0 * z.imag)


@special(digits=1e3)
def voigt_profile(x, sigma, gamma):
    if sigma == 0.0:
        if gamma == 0.0:
            return x if x != x else math.inf if x == 0.0 else 0.0
        return gamma / PI / (x * x + gamma * gamma)
    if gamma == 0.0:
        return 0.3989422804014327 / math.fabs(sigma) * math.exp(-0.5 * (x / sigma) * (x / sigma))
    scale = 0.7071067811865476 / sigma
    return faddeeva(x * scale, gamma * scale).real * scale * 0.5641895835477563


# --- Fresnel's integrals ---------------------------------------------------------------------------------------------


def fresnel(x, sine):
    """S or C, by their series (DLMF 7.6.4, 7.6.6) or by w (7.5.8, 7.2.4)."""
    size = math.fabs(x)
    if size == math.inf:
        return math.copysign(0.5, x)
    if size < 1.0:
        q = 0.5 * PI * x * x
        term = x * q if sine else x
        k = 3.0 if sine else 1.0
        total = term / k
        n = 2.0 if sine else 1.0
        while math.fabs(term) > 1e-17 * math.fabs(total):
            term *= -q * q / (n * (n + 1.0))
            n += 2.0
            k += 4.0
            total += term / k
        return total
    if size > 1e8:
        return math.copysign(0.5, x)
    turn = 0.5 * PI * truncated(size * size, 4.0)
    w = first_quadrant(0.8862269254527580 * size, 0.8862269254527580 * size)
    o = math.cos(turn)
    i = math.sin(turn)
    real = 1.0 - (o * w.real - i * w.imag)
    imaginary = -(o * w.imag + i * w.real)
    return math.copysign(0.5 * (real + imaginary if sine else real - imaginary), x)


@special("fresnel 0", digits=1e4)
def fresnel_s(x):
    return fresnel(x, True)


@special("fresnel 1", digits=1e4)
def fresnel_c(x):
    return fresnel(x, False)


def fresnel_rest(x, sign):
    """The integral of e^{+-i t t} from x on, and K as SciPy scales it: sqrt(pi) / 2 e^{i pi / 4} e^{i x x} w."""
    size = math.fabs(x)
    w = first_quadrant(0.7071067811865476 * size, 0.7071067811865476 * size)
    square = size * size
    front = 0.6266570686577501 * complex(1.0, 1.0) * complex(math.cos(square), math.sin(square))
    y = front * w
    if x < 0.0:
        y = 1.2533141373155003 * complex(1.0, 1.0) - y
    return complex(y.real, sign * y.imag)


def fresnel_scaled(x, sign):
    """K: the integral without its phase, over sqrt(pi)."""
    y = fresnel_rest(x, 1.0)
    phase = complex(math.cos(x * x + 0.25 * PI), -math.sin(x * x + 0.25 * PI))
    y = y * phase * 0.5641895835477563
    return complex(y.real, sign * y.imag)


@special("modfresnelp 0", digits=1e4, scale=1.0)
def modfresnelp_f(x):
    return fresnel_rest(x, 1.0)


@special("modfresnelp 1", digits=1e4, scale=1.0)
def modfresnelp_k(x):
    return fresnel_scaled(x, 1.0)


@special("modfresnelm 0", digits=1e4, scale=1.0)
def modfresnelm_f(x):
    return fresnel_rest(x, -1.0)


@special("modfresnelm 1", digits=1e4, scale=1.0)
def modfresnelm_k(x):
    return fresnel_scaled(x, -1.0)
