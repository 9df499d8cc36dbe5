"""SciPy's functions on tensors by its Array API dispatch; a process of its own, since SciPy reads SCIPY_ARRAY_API once.

Run as a program, it prints for each function what went wrong, as JSON.
"""

from __future__ import annotations

import json

import numpy as np

__all__ = ["FUNCTIONS"]

RNG = np.random.default_rng(0)
POINTS = {
    "y": RNG.normal(size=6),
    "p": RNG.uniform(0.1, 0.9, 6),
    "m": RNG.normal(size=(4, 3)),
}
W = RNG.uniform(0.5, 1.5, 6)
FUNCTIONS = {
    "special.logsumexp": "special.logsumexp(y)",
    "special.softmax": "(special.softmax(y) ** 2).sum()",
    "special.erf": "special.erf(y).sum()",
    "special.gammaln": "special.gammaln(p).sum()",
    "special.betainc": "special.betainc(1.5, 2.5, p).sum()",
    "special.xlogy": "special.xlogy(p, w).sum()",
    "special.ndtri": "special.ndtri(p).sum()",
    "special.stdtrit": "special.stdtrit(3.0, p).sum()",
    "stats.zscore": "(stats.zscore(y) ** 3).sum()",
    "stats.zmap": "(stats.zmap(y, w) ** 2).sum()",
    "stats.skew": "stats.skew(y)",
    "stats.kurtosis": "stats.kurtosis(y)",
    "stats.variation": "stats.variation(y)",
    "stats.gmean": "stats.gmean(p)",
    "stats.hmean": "stats.hmean(p)",
    "stats.gstd": "stats.gstd(p)",
    "stats.sem": "stats.sem(y)",
    "stats.entropy": "stats.entropy(p)",
    "stats.lmoment": "(stats.lmoment(y) ** 2).sum()",
    "stats.quantile": "stats.quantile(y, 0.3)",
    "stats.circmean": "stats.circmean(y)",
    "stats.ttest_ind": "stats.ttest_ind(y, w).statistic",
    "stats.ttest_ind, p-value": "stats.ttest_ind(y, w).pvalue",
    "stats.kstat": "stats.kstat(y, 2)",
    "stats.pmean": "stats.pmean(p, 3)",
    "stats.differential_entropy": "stats.differential_entropy(y)",
    "stats.jarque_bera": "stats.jarque_bera(y).statistic",
    "stats.f_oneway": "stats.f_oneway(y, w).statistic",
    "stats.power_divergence": "stats.power_divergence(p / p.sum() * w.sum(), w, lambda_=0.5).statistic",
    "stats.bartlett": "stats.bartlett(y, w).statistic",
    "stats.median_abs_deviation": "stats.median_abs_deviation(y)",
    "stats.trim_mean": "stats.trim_mean(y, 0.2)",
    "stats.circvar": "stats.circvar(y)",
    "stats.boxcox_llf": "stats.boxcox_llf(0.5, p)",
    "stats.pearsonr": "stats.pearsonr(y, w).statistic",
    "fft.rfft": "(abs(fft.rfft(y)) ** 3).sum()",
    "fft.fftn": "(abs(fft.fftn(m)) ** 3).sum()",
    "fft.fht": "(fft.fht(y, 0.1, 1.0) ** 2).sum()",
    "integrate.trapezoid": "integrate.trapezoid(y**2, w)",
    "integrate.cumulative_simpson": "(integrate.cumulative_simpson(y, dx=1.0) ** 2).sum()",
    "signal.fftconvolve": "(signal.fftconvolve(y, w) ** 2).sum()",
    "signal.hilbert": "(abs(signal.hilbert(y)) ** 3).sum()",
    "signal.oaconvolve": "(signal.oaconvolve(y, w) ** 2).sum()",
    "signal.resample": "(signal.resample(y, 5) ** 2).sum()",
    "signal.freqz": "(abs(signal.freqz(y, worN=16)[1]) ** 2).sum()",
    "signal.envelope": "signal.envelope(y)[0].sum()",
    "signal.zpk2tf": "(signal.zpk2tf(y, w, 1.0)[0] ** 2).sum()",
    "spatial.transform.Rotation": "(spatial.transform.Rotation.from_rotvec(m).as_matrix()[..., 0] ** 3).sum()",
    "spatial.transform.RigidTransform": "(spatial.transform.RigidTransform.from_translation(m).as_matrix() ** 3).sum()",
    "cluster.vq.whiten": "(cluster.vq.whiten(m)[0] ** 2).sum()",
    "differentiate.derivative": "differentiate.derivative(lambda z: z**3, y).df.sum()",
    "optimize.rosen": "optimize.rosen(y)",
}
"""Scalar functions of the point that they name, which is a tensor; `w` is a constant, and a tensor, too."""


def message_of(text: str, spaces: dict) -> str:
    """What is wrong with a function's gradient; nothing if it is right."""
    import tapegrad as tg

    name = next(n for n in POINTS if any(f"{a}{n}{b}" in text for a in "( " for b in "),* "))
    point = POINTS[name]

    def plain(x):
        return float(eval(text, {**spaces, name: x, "w": W}))

    def traced(x):
        return eval(text, {**spaces, name: x, "w": tg.tensor(W)})

    try:
        value, found = tg.value_and_grad(traced)(tg.tensor(point))
        steps = [1e-6 * np.eye(point.size)[k].reshape(point.shape) for k in range(point.size)]
        wanted = np.reshape([(plain(point + d) - plain(point - d)) / 2e-6 for d in steps], point.shape)
        assert isinstance(value, tg.Tensor)
        np.testing.assert_allclose(float(value), plain(point), rtol=1e-9)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    from scipy import cluster, differentiate, fft, integrate, optimize, signal, spatial, special, stats

    namespaces = {s.__name__.rpartition(".")[2]: s for s in (
        cluster, differentiate, fft, integrate, optimize, signal, spatial, special, stats,
    )}  # fmt: skip
    print(json.dumps({name: message_of(text, namespaces) for name, text in FUNCTIONS.items()}))
