"""What each part of a model needs, so that a caller can lay the parts over devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from msgspec import Struct

from gpucheck.estimators.llama_cpp.cache import cache_bytes, state_bytes, widest_value
from gpucheck.estimators.llama_cpp.compute import buffer_bytes, host_bytes, output_bytes
from gpucheck.estimators.llama_cpp.geometry import Geometry, geometry
from gpucheck.estimators.llama_cpp.options import LlamaCppOptions
from gpucheck.estimators.llama_cpp.overhead import REPACKED
from gpucheck.models.architecture import Architecture

_HOST_ROLES = frozenset({"token_embd", "per_layer_token_embd", "position_embd", "token_types"})
_EXPERT_END = "_exps"


class Weight(Struct, frozen=True):
    """Equal tensors, one in each of `layers` ((-1,): outside the layers), of `bytes` each."""

    role: str
    dtype: str
    bytes: int
    layers: tuple[int, ...]


class LayerNeed(Struct, frozen=True):
    """One layer: its weights, the part of them that are routed experts, its cache and its recurrent state."""

    weights_bytes: int
    expert_bytes: int
    cache_bytes: int
    state_bytes: int

    @property
    def bytes(self) -> int:
        """Everything that moves with the layer."""
        return self.weights_bytes + self.cache_bytes + self.state_bytes


class Needs(Struct, frozen=True, kw_only=True):
    """The parts of a model at one context.

    `input_bytes` (embeddings) stay on the host. `output_bytes` are norm and head; the head of a model with tied
    embeddings is stored twice as soon as a GPU holds it. `device_compute_bytes` is the buffer of each GPU that runs
    layers, `cpu_compute_bytes` that of the CPU alone, `host_compute_bytes` that of the host beside a GPU.
    `repacked_bytes` of the weights are copied if they run on the CPU.
    """

    layers: tuple[LayerNeed, ...]
    input_bytes: int
    output_bytes: int
    tied_bytes: int
    device_compute_bytes: int
    host_compute_bytes: int
    cpu_compute_bytes: int
    logits_bytes: int
    repacked_bytes: int
    geometry: Geometry


def needs(
    architecture: Architecture, weights: Iterable[Weight], context: int, batch: int, options: LlamaCppOptions
) -> Needs:
    """What each part of the model needs for `batch` users of `context` tokens."""
    cells, caches, states = _kept(architecture, context, batch, options)
    count = len(architecture.layers)
    plain, experts = [0] * count, [0] * count
    held = {"input": 0, "output": 0, "token_embd": 0, "head": 0, "repacked": 0}
    for weight in weights:
        _add(weight, plain, experts, held)
    tied = held["token_embd"] if architecture.head and not held["head"] else 0
    buffer = buffer_bytes(architecture, cells, options, device=options.gpu)
    return Needs(
        layers=tuple(LayerNeed(*parts) for parts in zip(plain, experts, caches, states, strict=True)),
        input_bytes=held["input"],
        output_bytes=held["output"],
        tied_bytes=tied,
        device_compute_bytes=buffer if options.gpu else 0,
        host_compute_bytes=host_bytes(architecture, cells, options) if options.gpu else 0,
        cpu_compute_bytes=buffer,
        logits_bytes=output_bytes(architecture, cells),
        repacked_bytes=held["repacked"] if options.use_extra_bufts else 0,
        geometry=cells,
    )


_Kept = tuple[Geometry, tuple[int, ...], tuple[int, ...]]


def _kept(architecture: Architecture, context: int, batch: int, options: LlamaCppOptions) -> _Kept:
    """The geometry, and each layer's cache and state; remembered for each model, whatever its weights."""
    known = cast("dict[object, _Kept]", architecture.__dict__.setdefault("_llama_cpp_caches", {}))
    key = (context, batch, options)
    if key not in known:
        cells = geometry(context, batch, options)
        widest = widest_value(architecture)
        caches, states = [0] * len(architecture.layers), [0] * len(architecture.layers)
        for layer, positions in architecture.groups:
            cache = cache_bytes(layer, cells, options, widest) if architecture.causal else 0
            state = state_bytes(layer, cells)
            for position in positions:
                caches[position], states[position] = cache, state
        known[key] = (cells, tuple(caches), tuple(states))
    return known[key]


def _add(weight: Weight, plain: list[int], experts: list[int], held: dict[str, int]) -> None:
    """Counts `weight` where it belongs."""
    if weight.role not in _HOST_ROLES and weight.dtype.upper() in REPACKED:
        held["repacked"] += weight.bytes * len(weight.layers)
    if weight.layers == (-1,):
        held["input" if weight.role in _HOST_ROLES else "output"] += weight.bytes
        if weight.role == "token_embd":
            held["token_embd"] += weight.bytes
        if weight.role == "output":
            held["head"] += weight.bytes
        return
    for position in weight.layers:
        if position < len(plain):
            plain[position] += weight.bytes
            if weight.role.endswith(_EXPERT_END):
                experts[position] += weight.bytes
