"""NVIDIA GPUs and their driver."""

from gpucheck.probes.nvidia.ladder import Nvidia, probe_nvidia

__all__ = ["Nvidia", "probe_nvidia"]
