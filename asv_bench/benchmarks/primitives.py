"""Every elementwise primitive on 1,000 elements, straight from the records: a new one is timed without a line here."""

import numpy as np

import tapegrad as tg
from tapegrad.primitives.core import RECORDS

ELEMENTWISE = {name: record for name, record in RECORDS.items() if record.elementwise}


class Elementwise:
    """Forward, and reverse where there is a derivative, of an eager tensor."""

    params = sorted(ELEMENTWISE)
    param_names = ("primitive",)

    def setup(self, name):
        record = ELEMENTWISE[name]
        values = np.resize(record.probes or (0.25, 0.5, 0.75), 1000).astype(float)
        self.function = record.function
        self.operands = [tg.tensor(np.roll(values, k), requires_grad=True) for k in range(self.function.nin)]
        self.time_primitive(name)

    def time_primitive(self, name):
        y = self.function(*self.operands)
        if y.requires_grad:
            y.sum().backward()
        else:
            y.numpy()
