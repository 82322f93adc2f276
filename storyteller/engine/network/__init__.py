"""GPT-2 as tensors: configuration, weights, products, cache, adapters, and where they run."""
