"""gpucheck: what this machine is, which AI models it can hold, and what stands in the way."""

__version__ = "0.1.0"
