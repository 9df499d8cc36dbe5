"""Pure NumPy: if this moves, the machine did."""

import numpy as np


class Control:
    def setup(self):
        self.matrix = np.random.default_rng(0).normal(size=(256, 256))

    def time_numpy(self):
        np.tanh(self.matrix @ self.matrix).sum()
