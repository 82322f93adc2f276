"""A decode step for CUDA: Triton kernels, captured as one graph. Absent where Triton is."""
