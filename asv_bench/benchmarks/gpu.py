"""The CUDA side on hardware; skipped where there is none."""

import numpy as np

import tapegrad as tg


class Device:
    def setup(self):
        if tg.cuda.is_simulated() or not tg.cuda.is_available():
            raise NotImplementedError("no NVIDIA GPU here")
        self.x = tg.tensor(np.ones(1 << 24, np.float32), device="cuda")
        self.a = tg.tensor(np.ones((2048, 2048), np.float32), device="cuda")
        self.w = tg.tensor(np.ones((2048, 2048), np.float32), device="cuda", requires_grad=True)
        self.small = tg.tensor(np.ones(10000, np.float32), device="cuda", requires_grad=True)
        self.host = np.ones(1 << 24, np.float32)
        for run in (self.time_fused, self.time_sum, self.time_matmul, self.time_gradient, self.time_small_gradient):
            run()  # kernels are compiled when they are first launched

    def time_fused(self):
        self.kept = np.sin(self.x) * self.x + self.x
        tg.cuda.synchronize()

    def time_sum(self):
        self.kept = np.sum(self.x)
        tg.cuda.synchronize()

    def time_matmul(self):
        self.kept = self.a @ self.a
        tg.cuda.synchronize()

    def time_gradient(self):
        np.sum(np.tanh(self.a @ self.w)).backward()
        self.w.grad = None
        tg.cuda.synchronize()

    def time_small_gradient(self):
        np.sum(np.tanh(np.sin(self.small) * self.small) ** 2).backward()
        self.small.grad = None
        tg.cuda.synchronize()

    def time_upload(self):
        self.kept = tg.tensor(self.host, device="cuda")
        tg.cuda.synchronize()

    def time_download(self):
        self.x.cpu()
