"""Peak memory of a process. Subtract `peakmem_baseline`: libraries, interpreter and input."""

import numpy as np

import tapegrad as tg

from .problems.elementary import expression


class Memory:
    def setup(self):
        self.x = np.linspace(-3, 3, 1_000_000)
        self.value_and_grad = tg.value_and_grad(lambda x: expression(np, x))
        self.value_and_grad(self.x[:10])

    def peakmem_baseline(self):
        pass

    def peakmem_dynamic(self):
        self.value_and_grad(self.x)

    def peakmem_compiled(self):
        step = tg.compile(self.value_and_grad)
        for _ in range(3):
            step(self.x)

    def peakmem_training(self):
        x = tg.tensor(np.linspace(-3, 3, 1000), requires_grad=True)
        total = 0.0
        for _ in range(1000):
            x.grad = None
            loss = expression(np, x)
            loss.backward()
            total += loss.item()
