"""What would make a diffusion pipeline fit, those that cost least quality and speed first."""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.assess.fit import Change
from gpucheck.assess.memory import EffectiveMemory
from gpucheck.assess.workload import Workload
from gpucheck.errors import UsageError
from gpucheck.models.quantization import find_quantization

_GOOD = ("yes", "tight")
_STEPS = (
    ({"vae_tiling": "true"}, "decode in tiles (pipe.vae.enable_tiling())"),
    ({"offload": "model"}, "one component on the GPU at a time (enable_model_cpu_offload())"),
    ({"offload": "model", "vae_tiling": "true"}, "the same, and decode in tiles (pipe.vae.enable_tiling())"),
    ({"offload": "sequential", "vae_tiling": "true"}, "one layer at a time, slowly (enable_sequential_cpu_offload())"),
)
_SMALLER = ("fp8", "nf4", "nf4-dq")


def pipeline_changes(memory: EffectiveMemory, workload: Workload) -> tuple[Change, ...]:
    """The first of the options of diffusers that makes it fit, and the largest quantization that does."""
    found = (_first_option(memory, workload), _largest_quant(memory, workload))
    return tuple(change for change in found if change)


def _first_option(memory: EffectiveMemory, workload: Workload) -> Change | None:
    for options, what in _STEPS:
        given = {**workload.setting.given, **options}
        setting = replace(workload.setting, options=tuple(sorted(given.items())))
        if change := _tried(memory, replace(workload, setting=setting), what):
            return change
    return None


def _largest_quant(memory: EffectiveMemory, workload: Workload) -> Change | None:
    for name in _SMALLER:
        quant = find_quantization(name)
        if quant.bits < workload.quant.bits:
            what = f"{name} weights of the denoiser and the large text encoders"
            if change := _tried(memory, replace(workload, quant=quant), what):
                return change
    return None


def _tried(memory: EffectiveMemory, workload: Workload, what: str) -> Change | None:
    try:
        placed = workload.placed(memory)
    except UsageError:
        return None
    return Change(what, placed.estimate.total_bytes, placed.fits) if placed.fits in _GOOD else None
