"""A few rows of tokens through the network on an NVIDIA GPU: Triton kernels, and the graph that replays them."""
