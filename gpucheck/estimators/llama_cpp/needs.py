"""What each part of a model needs, so that a caller can lay the parts over devices."""

from __future__ import annotations

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


class Weight(Struct, frozen=True, gc=False):
    """Equal tensors, one in each of `layers` ((-1,): outside the layers), of `bytes` each."""

    role: str
    dtype: str
    bytes: int
    layers: tuple[int, ...]


class LayerNeed(Struct, frozen=True, gc=False):
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


class _Held(Struct, frozen=True, gc=False):
    """Where the bytes of a list of weights belong: of each distinct layer weights, experts and the largest tensor.

    `layers` are the numbers of `kinds`, each a layer's weights with the number of its caches; `layers_bytes` are the
    weights of all. The rest lies outside the layers, but for `repacked_bytes` of all that would be copied for a CPU.
    """

    kinds: tuple[tuple[int, int, int, int], ...]
    layers: tuple[int, ...]
    layers_bytes: int
    input_bytes: int
    output_bytes: int
    tied_bytes: int
    repacked_bytes: int


class _Kept(Struct, frozen=True, gc=False):
    """What depends on the context but not on the weights; `groups` are cache and state of each kind of layer.

    `cache` and `state` are those of all layers; `buffers` remembers the buffers of several GPUs.
    """

    geometry: Geometry
    groups: tuple[tuple[int, int], ...]
    cache: int
    state: int
    device: int
    host: int
    logits: int
    buffers: dict[int, Buffers]


class Needs(Struct, frozen=True, dict=True):
    """The parts of a model at one context: what its weights decide (`held`), and what the context does (`kept`)."""

    held: _Held
    kept: _Kept
    architecture: Architecture
    options: LlamaCppOptions

    @property
    def order(self) -> tuple[int, ...]:
        """The number in `kinds` of each layer."""
        return self.held.layers

    @property
    def sums(self) -> tuple[int, int, int]:
        """Weights, caches and states of all layers together."""
        return self.held.layers_bytes, self.kept.cache, self.kept.state

    @property
    def input_bytes(self) -> int:
        """Embeddings, which stay on the host."""
        return self.held.input_bytes

    @property
    def output_bytes(self) -> int:
        """The last norm and the head."""
        return self.held.output_bytes

    @property
    def tied_bytes(self) -> int:
        """The embedding that is the head as well: it is stored twice as soon as a GPU holds the head."""
        return self.held.tied_bytes

    @property
    def repacked_bytes(self) -> int:
        """Weights that are copied if they run on the CPU."""
        return self.held.repacked_bytes if self.options.use_extra_bufts else 0

    @property
    def device_compute_bytes(self) -> int:
        """The buffer of the one GPU that runs the model."""
        return self.kept.device

    @property
    def host_compute_bytes(self) -> int:
        """The buffer of the host beside a GPU."""
        return self.kept.host

    @property
    def logits_bytes(self) -> int:
        """Logits that are handed out."""
        return self.kept.logits

    @cached_property
    def kinds(self) -> tuple[LayerNeed, ...]:
        """The layers that differ."""
        groups = self.kept.groups
        return tuple([
            LayerNeed(plain, experts, *groups[group], largest) for plain, experts, largest, group in self.held.kinds
        ])  # fmt: skip

    @cached_property
    def layers(self) -> tuple[LayerNeed, ...]:
        """What each layer needs."""
        return tuple([self.kinds[number] for number in self.order])

    @cached_property
    def largest_layer_bytes(self) -> int:
        """What the layer that needs most takes with it."""
        return max([layer.bytes for layer in self.kinds], default=0)

    @cached_property
    def cpu_compute_bytes(self) -> int:
        """The buffer of the CPU alone."""
        return buffer_bytes(self.architecture, self.kept.geometry, self.options)

    def several(self, devices: int) -> Buffers:
        """The compute buffers of so many GPUs that hold all layers between them, and of their host."""
        found = self.kept.buffers.get(devices)
        if found is None:
            found = device_buffers(self.architecture, self.kept.geometry, self.options, devices)
            self.kept.buffers[devices] = found
        return found


def needs(
    architecture: Architecture, weights: Iterable[Weight], context: int, batch: int, options: LlamaCppOptions
) -> Needs:
    """What each part of the model needs for `batch` users of `context` tokens.

    Remembered for each model: what the context decides, and what one and the same tuple of weights does.
    """
    return Needs(_held(architecture, weights), _kept(architecture, context, batch, options), architecture, options)


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
        counts = [len(positions) for _, positions in architecture.groups]
        cache = sum([cache * count for (cache, _), count in zip(groups, counts, strict=True)])
        state = sum([state * count for (_, state), count in zip(groups, counts, strict=True)])
        beside = device_buffers(architecture, cells, options) if options.gpu else Buffers(0, (0,))
        logits = output_bytes(architecture, cells)
        known[key] = _Kept(cells, groups, cache, state, beside.devices[0], beside.host, logits, {})
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
    outside: dict[str, int] = {}
    sets: dict[tuple[int, ...], list[int]] = {}  # weights, experts and largest of those that the same layers have
    repacked = 0
    for weight in weights:
        if weight.role not in _HOST_ROLES and weight.dtype.upper() in REPACKED:
            repacked += weight.bytes * len(weight.layers)
        if weight.layers == (-1,):
            outside[weight.role] = outside.get(weight.role, 0) + weight.bytes
            continue
        together = sets.setdefault(weight.layers, [0, 0, 0])
        together[0] += weight.bytes
        together[1] += weight.bytes if weight.role.endswith(_EXPERT_END) else 0
        together[2] = max(together[2], weight.bytes)
    kinds: dict[tuple[int, int, int, int], int] = {}
    layers = tuple([kinds.setdefault(kind, len(kinds)) for kind in _by_layer(architecture, sets)])
    taken = sum(size for role, size in outside.items() if role in _HOST_ROLES)
    tied = outside.get("token_embd", 0) if architecture.head and "output" not in outside else 0
    listed = tuple(kinds)
    inside = sum([listed[number][0] for number in layers])
    return _Held(listed, layers, inside, taken, sum(outside.values()) - taken, tied, repacked)


def _by_layer(
    architecture: Architecture, sets: dict[tuple[int, ...], list[int]]
) -> Iterable[tuple[int, int, int, int]]:
    """Weights, experts, the largest tensor and the number of the kind of each layer."""
    count = len(architecture.layers)
    plain, experts, largest, group_of = [0] * count, [0] * count, [0] * count, [0] * count
    for positions, (weights, routed, most) in sets.items():
        for position in positions:
            if position < count:
                plain[position] += weights
                experts[position] += routed
                largest[position] = max(largest[position], most)
    for number, (_, positions) in enumerate(architecture.groups):
        for position in positions:
            group_of[position] = number
    return zip(plain, experts, largest, group_of, strict=True)
