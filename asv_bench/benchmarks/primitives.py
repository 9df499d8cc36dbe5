"""Every differentiable ufunc on 1,000 elements, straight from the records: a new one is timed without a line here."""

import numpy as np

import tapegrad as tg
from tapegrad.primitives.core import RECORDS
from tapegrad.primitives.domain import EVERYWHERE, Integers

UFUNCS = {
    name: record
    for name, record in RECORDS.items()
    if record.derivative is None and isinstance(record.function, np.ufunc) and not record.function.signature
}


class Ufunc:
    """Forward and reverse of an eager tensor; forward alone where the derivative is zero for real numbers."""

    params = sorted(UFUNCS)
    param_names = ("primitive",)

    def setup(self, name):
        self.function = UFUNCS[name].function
        domain = UFUNCS[name].domain or EVERYWHERE
        domains = domain if isinstance(domain, tuple) else [domain] * self.function.nin
        rng = np.random.default_rng(0)
        self.operands = []
        for d in domains:
            counts = isinstance(d, Integers)
            values = d.sample(rng, 1000, np.dtype(int if counts else float))
            self.operands.append(tg.tensor(values, requires_grad=not counts))
        self.time_forward_and_reverse(name)

    def time_forward_and_reverse(self, name):
        y = self.function(*self.operands)
        if y.requires_grad:
            y.sum().backward()
        else:
            y.numpy()
