"""What each part of a model needs, so that a caller can lay the parts over devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from typing import cast

from msgspec import Struct

from gpucheck.estimators.llama_cpp.cache import cache_bytes, state_bytes, widest_value
from gpucheck.estimators.llama_cpp.compute import Buffers, buffer_bytes, device_buffers, output_bytes
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
    """One layer: its weights, the part of them that are routed experts, its cache and its recurrent state.

    `largest_bytes` is its largest tensor, which a GPU borrows to work on large batches of a layer of the host.
    """

    weights_bytes: int
    expert_bytes: int
    cache_bytes: int
    state_bytes: int
    largest_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Everything that moves with the layer."""
        return self.weights_bytes + self.cache_bytes + self.state_bytes


class Needs(Struct, frozen=True, kw_only=True, dict=True):
    """The parts of a model at one context.

    `input_bytes` (embeddings) stay on the host. `output_bytes` are norm and head; the head of a model with tied
    embeddings is stored twice as soon as a GPU holds it. `device_compute_bytes` is the buffer of the one GPU that runs
    the model, `cpu_compute_bytes` that of the CPU alone, `host_compute_bytes` that of the host beside a GPU; those of
    several GPUs are `several`. `repacked_bytes` of the weights are copied if they run on the CPU.
    `sums` are weights, caches and states of all layers together, `largest_layer_bytes` what the layer that needs most
    takes with it.
    """

    layers: tuple[LayerNeed, ...]
    input_bytes: int
    output_bytes: int
    tied_bytes: int
    device_compute_bytes: int
    host_compute_bytes: int
    logits_bytes: int
    repacked_bytes: int
    geometry: Geometry
    architecture: Architecture
    options: LlamaCppOptions
    sums: tuple[int, int, int]
    largest_layer_bytes: int

    @cached_property
    def cpu_compute_bytes(self) -> int:
        """The buffer of the CPU alone."""
        return buffer_bytes(self.architecture, self.geometry, self.options)

    def several(self, options: LlamaCppOptions, devices: int) -> Buffers:
        """The compute buffers of so many GPUs that hold all layers between them, and of their host."""
        return device_buffers(self.architecture, self.geometry, options, devices)


class _Held(Struct, frozen=True):
    """Where the bytes of a list of weights belong: of each distinct layer weights, experts and the largest tensor.

    `layers` are the numbers of `kinds`, each a layer's weights with the number of its caches; `counts` how many
    layers are of each.
    """

    kinds: tuple[tuple[int, int, int, int], ...]
    layers: tuple[int, ...]
    counts: tuple[int, ...]
    input_bytes: int
    output_bytes: int
    tied_bytes: int
    repacked_bytes: int


class _Kept(Struct, frozen=True):
    """What depends on the context but not on the weights; `groups` are cache and state of each kind of layer."""

    geometry: Geometry
    groups: tuple[tuple[int, int], ...]
    device: int
    host: int
    logits: int


def needs(
    architecture: Architecture, weights: Iterable[Weight], context: int, batch: int, options: LlamaCppOptions
) -> Needs:
    """What each part of the model needs for `batch` users of `context` tokens.

    Remembered for each model: what the context decides, and what one and the same tuple of weights does.
    """
    kept = _kept(architecture, context, batch, options)
    held = _held(architecture, weights)
    made = [LayerNeed(plain, experts, *kept.groups[group], largest) for plain, experts, largest, group in held.kinds]
    return Needs(
        layers=tuple([made[number] for number in held.layers]),
        input_bytes=held.input_bytes,
        output_bytes=held.output_bytes,
        tied_bytes=held.tied_bytes,
        device_compute_bytes=kept.device,
        host_compute_bytes=kept.host,
        logits_bytes=kept.logits,
        repacked_bytes=held.repacked_bytes if options.use_extra_bufts else 0,
        geometry=kept.geometry,
        architecture=architecture,
        options=options,
        sums=_summed(made, held.counts),
        largest_layer_bytes=max([layer.bytes for layer in made], default=0),
    )


def _summed(made: list[LayerNeed], counts: tuple[int, ...]) -> tuple[int, int, int]:
    """Weights, caches and states of all layers, from those of each kind and how many there are."""
    pairs = list(zip(made, counts, strict=True))
    return (
        sum([layer.weights_bytes * count for layer, count in pairs]),
        sum([layer.cache_bytes * count for layer, count in pairs]),
        sum([layer.state_bytes * count for layer, count in pairs]),
    )


def _kept(architecture: Architecture, context: int, batch: int, options: LlamaCppOptions) -> _Kept:
    """The geometry, the caches and states, and the buffers."""
    known = cast("dict[object, _Kept]", architecture.__dict__.setdefault("_llama_cpp_kept", {}))
    key = (context, batch, options)
    if key not in known:
        cells = geometry(context, batch, options)
        widest = widest_value(architecture)
        groups = tuple(
            (cache_bytes(layer, cells, options, widest) if architecture.causal else 0, state_bytes(layer, cells))
            for layer, _ in architecture.groups
        )
        beside = device_buffers(architecture, cells, options) if options.gpu else Buffers(0, (0,))
        known[key] = _Kept(cells, groups, beside.devices[0], beside.host, output_bytes(architecture, cells))
    return known[key]


_MOST_REMEMBERED = 64  # lists of weights of one model


def _held(architecture: Architecture, weights: Iterable[Weight]) -> _Held:
    """What the weights come to; that of a tuple is remembered for as long as it is the same object."""
    if not isinstance(weights, tuple):
        return _counted(architecture, weights)
    known = cast("dict[int, tuple[object, _Held]]", architecture.__dict__.setdefault("_llama_cpp_held", {}))
    found = known.get(id(weights))
    if found is None or found[0] is not weights:
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        found = known[id(weights)] = (weights, _counted(architecture, weights))
    return found[1]


def _counted(architecture: Architecture, weights: Iterable[Weight]) -> _Held:
    """Counts every weight where it belongs."""
    count = len(architecture.layers)
    plain, experts, largest = [0] * count, [0] * count, [0] * count
    outside: dict[str, int] = {}
    repacked = 0
    for weight in weights:
        if weight.role not in _HOST_ROLES and weight.dtype.upper() in REPACKED:
            repacked += weight.bytes * len(weight.layers)
        if weight.layers == (-1,):
            outside[weight.role] = outside.get(weight.role, 0) + weight.bytes
            continue
        routed = weight.role.endswith(_EXPERT_END)
        for position in weight.layers:
            if position < count:
                plain[position] += weight.bytes
                experts[position] += weight.bytes if routed else 0
                largest[position] = max(largest[position], weight.bytes)
    group_of = [0] * count
    for number, (_, positions) in enumerate(architecture.groups):
        for position in positions:
            group_of[position] = number
    kinds: dict[tuple[int, int, int, int], int] = {}
    layers = tuple(kinds.setdefault(kind, len(kinds)) for kind in zip(plain, experts, largest, group_of, strict=True))
    taken = sum(size for role, size in outside.items() if role in _HOST_ROLES)
    tied = outside.get("token_embd", 0) if architecture.head and "output" not in outside else 0
    numbers = Counter(layers)
    counts = tuple(numbers[kind] for kind in range(len(kinds)))
    return _Held(tuple(kinds), layers, counts, taken, sum(outside.values()) - taken, tied, repacked)
