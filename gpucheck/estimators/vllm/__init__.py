"""Memory of vLLM, as release 0.33.0 lays it out: weights and caches of each GPU, and what its pool holds."""
