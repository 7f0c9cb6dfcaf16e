"""The environment variables that hide, choose or rename devices, exactly as they are set."""

from __future__ import annotations

from gpucheck.host.host import Host
from gpucheck.probes.collect import Found, Issues

VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
    "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "HSA_OVERRIDE_GFX_VERSION",
    "ONEAPI_DEVICE_SELECTOR", "ZE_AFFINITY_MASK",
    # what schedulers say they have given; CUDA does not read these
    "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE",
    "PBS_NGPUS", "FLUX_TASK_LOCAL_ID",
)  # fmt: skip


def probe_visibility(host: Host) -> Found[dict[str, str]]:
    """Values by variable. One that is set to nothing is kept: an empty list hides every device."""
    issues = Issues()
    answers = ((name, issues.value(f"${name}", host.env(name))) for name in VARIABLES)
    return Found({name: value for name, value in answers if value is not None}, issues.all())
