"""What `sweep_edges.py` finds and is known: where SciPy's values tell nothing, and where slopes are not mended."""

from __future__ import annotations

import math


def huge(*xs):
    return any(abs(x) >= 1e8 for x in xs)


def infinite(*xs):
    return any(abs(x) == math.inf for x in xs)


def extreme(*xs):
    """Whether an operand is huge, tiny, or next to 1, where as a probability its complement has no digits."""
    return huge(*xs) or any(0.0 < abs(e) <= 1e-8 for x in xs for e in (x, 1.0 - x))


def negative(*xs):
    return any(x < 0.0 for x in xs)


def fraction(v, *xs):
    return v % 1.0 != 0.0


def negative_size(m, n, c, *xs):
    return c < 0.0


def no_probability(a, p):
    return not 0.0 <= p <= 1.0


def anywhere(*xs):
    return True


SCIPYS = {  # functions, where, and why SciPy's values tell nothing of slopes
    "fmod remainder": (extreme, "differences step over many jumps"),
    "j0 y0 j1 y1 yn jv yv jve itj0y0 itstruve0 it2struve0 struve sindg cosdg tandg cotdg fresnel modfresnelp"
    " modfresnelm ellipkinc ellipeinc ellipj": (huge, "differences step over many periods"),
    "rgamma": (huge, "it oscillates, ever faster, and has no slope at minus infinity"),
    "binom": (extreme, "its sine has no digits, as it oscillates in k"),
    "airy airye": (huge, "airy is NaN from 1e10 on"),
    "itairy": (anywhere, "six digits, and airy is NaN from 1e10 on"),
    "modfresnelp modfresnelm": (negative, "values left of 0 are not those of the integrals"),
    "pbvv pbdv": (fraction, "not continuous in the order: pbvv(0.99999999, 4) is 0.10, and pbvv(1, 4) 3.55"),
    "powm1": (huge, "0, not infinity, where the power overflows"),
    "inv_boxcox1p": (extreme, "x, in place of expm1(x), where the product of operands is below 1e-154"),
    "hyperu": (extreme, "seven digits where b is next to a whole number"),
    "_lambertw": (anywhere, "the tolerance is an operand, and edges of it give coarse values"),
    "pdtrik bdtrik bdtrin nbdtrik nbdtrin btdtria btdtrib stdtrit stdtridf fdtridfd nctdtrit nctdtrinc nctdtridf"
    " chndtrix chndtrinc ncfdtri ncfdtrinc ncfdtr": (extreme, "iterations to an absolute tolerance"),
    "tklmbda": (anywhere, "a bisection, whose values have too few digits for second differences"),
    "pro_ang1 pro_ang1_cv pro_cv obl_cv obl_ang1 obl_ang1_cv": (
        extreme,
        "with tiny c they solve nothing: pro_ang1(0, 2, 1e-8, -0.4) is -0.505, and with c = 0 -0.26",
    ),
    "pro_cv obl_cv pro_ang1 obl_ang1": (negative_size, "negative c are taken as 0"),
    "gammaincinv gammainccinv": (no_probability, "values outside of the domain"),
    "pro_rad1 pro_rad1_cv obl_rad1 obl_rad1_cv pro_rad2 pro_rad2_cv obl_rad2 obl_rad2_cv": (
        anywhere,
        "few digits: obl_rad2_cv(1, 2, 0.5, cv, 2) has the slope 2.2, and says -1442",
    ),
    "mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2": (anywhere, "0 and 1e300 stand for no value"),
}
OURS = {  # functions, where, and why slopes are wrong or NaN; docs/reference/limits.md says the same
    "arctan2 sici shichi modstruve struve _zeta inv_boxcox": (infinite, "NaN where an operand is infinite"),
    "gammainc gammaincc gammaincinv gammainccinv chdtr chdtrc chdtri gdtr gdtrc gdtrix gdtria gdtrib chdtriv pdtr pdtri"
    " chndtr betainc betaincc betaincinv betainccinv fdtr fdtrc fdtri stdtr stdtrit nctdtr beta betaln": (
        extreme,
        "huge or tiny shapes and degrees of freedom leave integrals and differences no digits",
    ),
    "elliprd elliprf elliprg": (huge, "operands that differ by more than 1e16 leave the differences no digits"),
    "log_wright_bessel": (huge, "the exponential of a difference of large numbers"),
    "kelvin iti0k0 it2j0y0 it2i0k0 sici shichi": (extreme, "second derivatives: NaN where another result is infinite"),
    "lpmv": (anywhere, "NaN at 1, few digits of second derivatives next to it: a division by 1 - x²"),
}  # fmt: skip


def left_out(name, point):
    """Whose fault a finding is and why, where that is known."""
    for whose, table in (("SciPy's", SCIPYS), ("ours", OURS)):
        for names, (where, reason) in table.items():
            if name.split("[")[0] in names.split() and where(*point):
                return f"{whose}: {reason}"
    return None
