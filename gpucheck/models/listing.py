"""The catalogue's models with the figures that follow from their shapes."""

from __future__ import annotations

from typing import cast

from gpucheck.models.architecture import Architecture, Attention, LatentAttention, Layer
from gpucheck.models.catalogue import Entry, matching, model_of
from gpucheck.models.entry import ComponentEntry, ModelEntry
from gpucheck.models.model import Model
from gpucheck.models.pipelines import Pipeline, matching_pipelines
from gpucheck.models.quant.weights import Storage, weight_bytes
from gpucheck.models.quantization import find_quantization

_RECURRENT = {
    "mamba": "Mamba",
    "mamba2": "Mamba-2",
    "gated_delta_net": "Gated DeltaNet",
    "short_conv": "short convolution",
    "kda": "KDA",
    "lightning": "lightning attention",
    "rwkv": "RWKV",
}


def model_entries(query: str = "") -> tuple[ModelEntry, ...]:
    """The models with all words of the query in their names, all of them for an empty query."""
    return tuple(_entry(entry) for entry in matching(query))


def pipeline_entries(query: str = "") -> tuple[ModelEntry, ...]:
    """The diffusion pipelines with all words of the query in their names, all of them for an empty query."""
    return tuple(_pipeline(entry) for entry in matching_pipelines(query))


def attention_kinds(architecture: Architecture) -> tuple[str, ...]:
    """Such as ("GQA", "GQA window 1024") or ("Gated DeltaNet", "GQA"), in the order of first appearance."""
    return tuple(dict.fromkeys(kind for layer, _ in architecture.groups for kind in _kinds(layer)))


def _pipeline(entry: Pipeline) -> ModelEntry:
    parts = tuple(
        ComponentEntry(name=each.name, component_class=each.kind, parameters=each.parameters)
        for each in entry.components
    )
    config = next(each.config for each in entry.components if each.denoises)
    blocks = [int(config[key]) for key in ("num_layers", "num_single_layers") if key in config]
    return ModelEntry(
        id=entry.id,
        family=entry.family,
        license=entry.license,
        total_parameters=entry.parameters,
        active_parameters=entry.parameters,
        tower_parameters=0,
        published_parameters=None,
        layers=sum(blocks) or None,
        attention=(),
        context=None,
        q4_k_m_bytes=None,
        confidence="A",
        source=entry.source,
        issues=(),
        kind="pipeline",
        components=parts,
    )


def _entry(entry: Entry) -> ModelEntry:
    model = model_of(entry.id)
    shape = cast("Architecture", model.architecture)  # a configuration is read or refused
    towers = [part.parameters for part in model.parts]
    known = [count for count in towers if count is not None]
    return ModelEntry(
        id=entry.id,
        family=entry.family,
        license=entry.license,
        total_parameters=cast("int", model.total_parameters),
        active_parameters=cast("int", model.active_parameters),
        tower_parameters=sum(known) if len(known) == len(towers) else None,
        published_parameters=entry.parameters,
        layers=len(shape.layers),
        attention=attention_kinds(shape),
        context=shape.max_position_embeddings,
        q4_k_m_bytes=_q4_bytes(model, shape),
        confidence=entry.confidence,
        source=entry.source,
        issues=model.issues,
    )


def _q4_bytes(model: Model, shape: Architecture) -> int | None:
    """The weights at Q4_K_M; None for Whisper and other encoder-decoders, which llama.cpp's mixes are not made for."""
    if any(layer.cross_attention for layer, _ in shape.groups):
        return None
    return weight_bytes(model.groups, find_quantization("Q4_K_M"), Storage(model_type=shape.model_type))


def _kinds(layer: Layer) -> tuple[str, ...]:
    recurrent = (_RECURRENT[layer.recurrent.kind],) if layer.recurrent else ()
    return (*recurrent, *((_attention(layer.attention),) if layer.attention else ()))


def _attention(mixer: Attention | LatentAttention) -> str:
    if isinstance(mixer, LatentAttention):
        return "MLA" if mixer.index_n_heads is None else "MLA with an indexer"
    pairs = mixer.num_key_value_heads
    kind = "MHA" if pairs == mixer.num_attention_heads else "MQA" if pairs == 1 else "GQA"
    if mixer.window is None:
        return kind
    return f"{kind} {'chunk' if mixer.chunked else 'window'} {mixer.window:,}"
