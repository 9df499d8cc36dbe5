"""Entropies, logits, powers and angles: functions of `scipy.special` that are a line or two."""

from __future__ import annotations

from typing import Any

from ..toolchain import math
from .registry import PI, scalar, special, truncated


@scalar("f")
def xlogy(x: Any, y: Any) -> Any:
    return x * math.log(y) if x != 0.0 or y != y else 0.0


@scalar("f")
def xlog1py(x: Any, y: Any) -> Any:
    return x * math.log1p(y) if x != 0.0 or y != y else 0.0


@scalar("f")
def entr(x: Any) -> Any:
    if x > 0.0:
        return -x * math.log(x)
    return x if x != x else 0.0 if x == 0.0 else -math.inf


@scalar("f")
def rel_entr(x: Any, y: Any) -> Any:
    if x != x or y != y:
        return x + y
    if x > 0.0 and y > 0.0:
        return x * math.log(x / y)
    return 0.0 if x == 0.0 and y >= 0.0 else math.inf


@special(scale=1.0)
def kl_div(x: Any, y: Any) -> Any:
    if x != x or y != y:
        return x + y
    if x > 0.0 and y > 0.0:
        return x * math.log(x / y) - x + y
    return y if x == 0.0 and y >= 0.0 else math.inf


@scalar("f")
def huber(delta: Any, r: Any) -> Any:
    if delta < 0.0:
        return math.inf
    size = math.fabs(r)
    return 0.5 * r * r if size <= delta else delta * (size - 0.5 * delta)


@scalar("f")
def pseudo_huber(delta: Any, r: Any) -> Any:
    if delta < 0.0:
        return math.inf
    if delta == 0.0 or r == 0.0:
        return 0.0
    v = (r / delta) * (r / delta)
    return delta * delta * (v / (1.0 + math.sqrt(1.0 + v)))  # sqrt(1 + v) - 1, without cancellation


@scalar("f")
def logit(x: Any) -> Any:
    if 0.3 <= x <= 0.65:  # near 0, where the quotient is near 1
        s = 2.0 * (x - 0.5)
        return math.log1p(s) - math.log1p(-s)
    return math.log(x / (1.0 - x))


@scalar("f")
def log_expit(x: Any) -> Any:
    return x - math.log1p(math.exp(x)) if x < 0.0 else -math.log1p(math.exp(-x))


@special()
def exprel(x: Any) -> Any:
    if math.fabs(x) < 1e-16:
        return 1.0
    return math.inf if x > 717.0 else math.expm1(x) / x


@special()
def boxcox(x: Any, power: Any) -> Any:
    if math.fabs(power) < 1e-19:
        return math.log(x)
    return math.expm1(power * math.log(x)) / power


@scalar("f")
def boxcox1p(x: Any, power: Any) -> Any:
    t = math.log1p(x)
    return t if math.fabs(power) < 1e-19 or (math.fabs(t) < 1e-289) else math.expm1(power * t) / power


@scalar("f")
def inv_boxcox(x: Any, power: Any) -> Any:
    return math.exp(x) if power == 0.0 else math.exp(math.log1p(power * x) / power)


@scalar("f")
def inv_boxcox1p(x: Any, power: Any) -> Any:
    if power == 0.0:
        return math.expm1(x)
    if math.fabs(power * x) < 1e-154:
        return x
    return math.expm1(math.log1p(power * x) / power)


@scalar("f")
def exp10(x: Any) -> Any:
    return math.pow(10.0, x)


@special()
def powm1(x: Any, y: Any) -> Any:
    if x > 0.0 and (math.fabs(y * (x - 1.0)) < 0.5 or math.fabs(y) < 0.2):
        return math.expm1(y * math.log(x))
    return math.pow(x, y) - 1.0


@scalar("f")
def cosm1(x: Any) -> Any:
    s = math.sin(0.5 * x)
    return -2.0 * s * s


def _turn(x: Any) -> Any:
    """Degrees brought to between -180 and 180."""
    r = truncated(x, 360.0)
    return r - 360.0 if r > 180.0 else r + 360.0 if r < -180.0 else r


@special(scale=1.0)
def sindg(x: Any) -> Any:
    if math.fabs(x) > 1e14:  # SciPy gives up there, too
        return 0.0
    r = _turn(x)
    if math.fabs(r) == 180.0:
        return 0.0
    return math.cos((90.0 - r) * (PI / 180.0)) if 45.0 < r < 135.0 else math.sin(r * (PI / 180.0))


@special(scale=1.0)
def cosdg(x: Any) -> Any:
    if math.fabs(x) > 1e14:
        return 0.0
    r = math.fabs(_turn(x))
    return math.sin((90.0 - r) * (PI / 180.0)) if 45.0 < r < 135.0 else math.cos(r * (PI / 180.0))


@scalar("f")
def radian(d: Any, m: Any, s: Any) -> Any:
    return ((d * 60.0 + m) * 60.0 + s) * (PI / 648000.0)
