"""The Numba side: loops by address, kernels, the interpreter and the two sweeps."""
