"""Memory of a diffusion pipeline in diffusers: weights by component, and the widest of its phases.

Text encoders, denoiser and decoder run one after the other. Without offload all weights stay on the GPU and the peak
is that of the phase with the most activations; under enable_model_cpu_offload only the component that runs is there,
under enable_sequential_cpu_offload only the layer that runs.
"""

from __future__ import annotations

from typing import NamedTuple

from gpucheck.errors import UsageError
from gpucheck.estimators.diffusion.decoder import Frame, decoding
from gpucheck.estimators.diffusion.denoiser import Job, denoiser_elements
from gpucheck.estimators.diffusion.encoder import encoder_elements
from gpucheck.estimators.diffusion.options import DiffusersOptions, assumptions, checked, listed, parse_options
from gpucheck.estimators.diffusion.weights import (
    DTYPE_BYTES,
    Packing,
    component_bytes,
    packed,
    packing_of,
)
from gpucheck.estimators.rows import Estimate, Row
from gpucheck.estimators.setting import Setting
from gpucheck.models.model import Model
from gpucheck.models.pipelines import Component, Pipeline
from gpucheck.models.quantization import Quantization
from gpucheck.units import MIB, format_bytes

_CONTEXT, _CONTEXT_LOW, _CONTEXT_HIGH = 480 * MIB, 290 * MIB, 940 * MIB  # as for transformers
_PROCESS, _PROCESS_LOW, _PROCESS_HIGH = 900 * MIB, 500 * MIB, 1500 * MIB  # Python with torch: assumed
# A decoder whose convolutions need no copies has three tensors of five; above, workspaces that were not followed.
_COMPUTE_LOW, _COMPUTE_HIGH = 0.6, 1.25
_BITSANDBYTES = frozenset({"int8", "nf4", "nf4-dq"})
_TEMPORAL = 4  # frames of a video for one of its latent


class Phase(NamedTuple):
    """A component at work: what it needs beside its weights, and what torch's allocator asks for meanwhile."""

    name: str
    component: Component
    bytes: int
    reserved_bytes: int


class Held(NamedTuple):
    """A component's weights: all of them, and what of them is on the GPU while it runs under sequential offload."""

    component: Component
    bytes: int
    high_bytes: int
    layer_bytes: int
    detail: str


def estimate_pipeline(model: Model, quant: Quantization, setting: Setting, gpus: int = 1) -> Estimate:
    """The memory for `setting.batch` images or videos at once, row by row; the GPU is one, whatever `gpus` says.

    What torch's allocator holds at its peak is weights and compute together; the last overhead row bounds what it may
    keep of what has been freed.

    Raises:
        UsageError: an option is not diffusers', or it does not load the format.
    """
    entry = model.pipeline
    if entry is None:
        raise UsageError(f"{model.id} is no diffusion pipeline: name the engine transformers or llama.cpp")
    options = checked(parse_options(setting.given), entry)
    components = tuple(each for each in entry.components if each.name not in listed(options.without))
    held = tuple(_held(component, quant, options) for component in components)
    phases = tuple(_phase(component, entry, quant, options, setting.batch) for component in components)
    offload = options.offload if gpus else "none"
    where = "gpu" if gpus else "host"
    rows = (
        *_weights(held, phases, offload, where),
        _compute(held, phases, offload, where),
        *_overhead(phases, gpus),
    )
    return Estimate(rows, (*assumptions(options, setting.given, entry), *model.issues))


def _held(component: Component, quant: Quantization, options: DiffusersOptions) -> Held:
    named = None if options.quantize is None else listed(options.quantize)
    plain = quant.name in DTYPE_BYTES
    how = packing_of(quant)
    packing: Packing | None = None if plain or not packed(component, named) else how
    dtype = component.dtype or (quant.name if plain else options.torch_dtype)
    if component.name == "vae":
        dtype = options.vae_dtype or dtype
    size = DTYPE_BYTES[dtype]
    total = component_bytes(component, packing, size, _kept_bytes(component, quant, options, packing))
    detail = f"{component.name}: {component.parameters / 1e9:.2f}B parameters in {quant.name if packing else dtype}"
    high = round(total * how.high_ratio) if packing else total
    return Held(component, total, high, round(total * component.largest_module / component.parameters), detail)


def _run_in(quant: Quantization, options: DiffusersOptions) -> str:
    """The type that the pipeline is loaded in."""
    return quant.name if quant.name in DTYPE_BYTES else options.torch_dtype


def _kept_bytes(component: Component, quant: Quantization, options: DiffusersOptions, packing: Packing | None) -> int:
    """Bytes of a number in T5's `wo`, which is not treated like the other matrices; 0 where it is."""
    if packing is None:
        return 4 if component.dtype is None and _run_in(quant, options) == "fp16" else 0
    if options.quantizer != "transformers" or packing.other_bytes != 2:
        return 0
    return 4 if options.transformers == "4" and quant.name in _BITSANDBYTES else 2


def _phase(component: Component, entry: Pipeline, quant: Quantization, options: DiffusersOptions, batch: int) -> Phase:
    height, width = options.height or entry.height, options.width or entry.width
    latent_frames = (max(options.num_frames or entry.frames, 1) - 1) // _TEMPORAL + 1
    size = 4 if quant.name == "fp32" else 2
    doubled = entry.guidance == "batch" and options.guidance is not False
    if component.encodes:
        elements = encoder_elements(component, batch)
        return Phase("text encoding", component, size * elements, size * elements)
    if component.denoises:
        job = Job(height, width, latent_frames, batch * (2 if doubled else 1), entry.text_tokens)
        elements = denoiser_elements(component, job)
        return Phase(f"denoising {_shown(height, width, entry, options)}", component, size * elements, size * elements)
    upcast = _run_in(quant, options) == "fp16" and bool(component.config.get("force_upcast"))
    dtype = options.vae_dtype or component.dtype or ("fp32" if upcast or quant.name == "fp32" else "bf16")
    frame = Frame(height, width, latent_frames)
    at_once = 1 if options.vae_slicing else batch
    found = decoding(component, frame, at_once, DTYPE_BYTES[dtype], tiling=options.vae_tiling)
    beside = (batch - at_once) * 3 * height * width * DTYPE_BYTES[dtype]  # images that are done
    beside += component.parameters * 2 if upcast and not options.vae_dtype else 0  # the weights grow to 32 bits
    return Phase(
        f"decoding {_shown(height, width, entry, options)}", component, found.bytes + beside,
        found.reserved_bytes + beside,
    )  # fmt: skip


def _shown(height: int, width: int, entry: Pipeline, options: DiffusersOptions) -> str:
    frames = options.num_frames or entry.frames
    return f"{width} x {height}" + (f", {frames} frames" if frames > 1 else "")


def _resident(held: tuple[Held, ...], phases: tuple[Phase, ...], offload: str) -> int:
    """The phase in which the GPU holds the most."""

    def total(index: int) -> int:
        there = {"none": 0, "model": held[index].bytes, "sequential": held[index].layer_bytes}[offload]
        beside = _beside(held, index) if offload == "model" else None
        return there + phases[index].bytes + (held[beside].bytes if beside is not None else 0)

    return max(range(len(phases)), key=total)


def _beside(held: tuple[Held, ...], index: int) -> int | None:
    """The other component on the GPU while one runs under model offload.

    A component sends away the one before it in the order of the pipeline only. Encoders read the prompt and then the
    negative one: the last of them is still there when the first ones come back (accelerate 1.15: hooks.py CpuOffload).
    """
    encoders = [place for place, each in enumerate(held) if each.component.encodes]
    if len(encoders) < 2 or index != encoders[-1]:
        return None
    return max(encoders[:-1], key=lambda place: held[place].bytes)


def _weights(held: tuple[Held, ...], phases: tuple[Phase, ...], offload: str, where: str) -> tuple[Row, ...]:
    """A row for each component where it lies at the peak."""
    peak = _resident(held, phases, offload)
    rows = []
    for index, each in enumerate(held):
        if offload == "sequential" and index == peak:
            size = each.layer_bytes
            rows.append(Row("weights", size, size, size, "formula", f"{each.detail}: its largest layer"))
            left = each.bytes - size
            rows.append(
                Row("weights", left, left, each.high_bytes - size, "formula", f"{each.detail}: the rest", "host")
            )
            continue
        there = {peak, _beside(held, peak)} if offload == "model" else {peak}
        away = offload != "none" and index not in there
        rows.append(
            Row("weights", each.bytes, each.bytes, each.high_bytes, "formula", each.detail, "host" if away else where)
        )
    return tuple(rows)


def _compute(held: tuple[Held, ...], phases: tuple[Phase, ...], offload: str, where: str) -> Row:
    """The activations of the phase in which the GPU holds the most."""
    peak = phases[_resident(held, phases, offload)]
    names = {phase.name: phase.bytes for phase in sorted(phases, key=lambda phase: phase.bytes)}
    others = ", ".join(f"{name} {format_bytes(size)}" for name, size in names.items() if name != peak.name)
    detail = f"{peak.name}, the peak" + (f" ({others})" if others else "")
    low, high = round(peak.bytes * _COMPUTE_LOW), round(peak.bytes * _COMPUTE_HIGH)
    return Row("compute", peak.bytes, low, high, "formula", detail, where)


def _overhead(phases: tuple[Phase, ...], gpus: int) -> tuple[Row, ...]:
    if not gpus:
        return (Row("overhead", _PROCESS, _PROCESS_LOW, _PROCESS_HIGH, "range", "Python with torch", "host"),)
    context = Row("overhead", _CONTEXT, _CONTEXT_LOW, _CONTEXT_HIGH, "range", "one device context")
    kept = reserved_beside(phases)
    detail = f"torch may keep {format_bytes(kept)} of what has been freed, until memory is short"
    return (context, Row("overhead", 0, 0, kept, "range", detail))


def reserved_beside(phases: tuple[Phase, ...]) -> int:
    """What torch's allocator has asked for beyond the peak: blocks of one phase do not suit the next."""
    asked: dict[str, int] = {}
    for phase in phases:
        asked[phase.name] = max(asked.get(phase.name, 0), phase.reserved_bytes)
    return sum(asked.values()) - max((phase.bytes for phase in phases), default=0)
