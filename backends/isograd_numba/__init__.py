"""The Numba backend: hot kernels compiled for this CPU, NumPy kernels for the rest."""
