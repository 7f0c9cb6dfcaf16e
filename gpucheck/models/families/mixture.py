"""Mixtures of experts: how many, how wide, and in which layers, under the names that families use."""

from __future__ import annotations

from typing import Literal

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Experts
from gpucheck.models.families.keys import EXPERT_WIDTH, EXPERTS, EXPERTS_USED, MOST_EXPERTS, MOST_LAYERS, WIDTH, Keys

_SHARED_WIDTH = ("shared_expert_intermediate_size", "shared_intermediate_size", "moe_shared_expert_intermediate_size")
_SHARED_COUNT = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")


def experts_of(  # noqa: PLR0913 - the switches of the families
    keys: Keys,
    *,
    matrices: Literal[2, 3] = 3,
    shared_gate: bool = False,
    router_bias: bool = False,
    bias: bool = False,
    dense_intermediate_size: int = 0,
    latent_size: int | None = None,
) -> Experts:
    """The experts that the configuration describes."""
    count = keys.number(*EXPERTS, most=MOST_EXPERTS)
    used = keys.number(*EXPERTS_USED, most=MOST_EXPERTS)
    if used > count:
        raise UsageError(f"the configuration has {used} active of {count} experts")
    width = keys.number(*EXPERT_WIDTH, *WIDTH)
    shared = shared_width(keys, width)
    return Experts(
        num_experts=count,
        num_experts_per_tok=used,
        moe_intermediate_size=width,
        matrices=matrices,
        shared_intermediate_size=shared,
        shared_gate=shared_gate and bool(shared),
        router_bias=router_bias,
        bias=bias,
        dense_intermediate_size=dense_intermediate_size,
        latent_size=latent_size,
    )


def shared_width(keys: Keys, width: int) -> int:
    """The width of all shared experts together; 0 without any.

    A count of shared experts is of experts as wide as the others, unless their own width is given as well
    (Nemotron 3: one shared expert of another width).
    """
    own = keys.count(*_SHARED_WIDTH)
    named = keys.optional(*_SHARED_COUNT, most=1000)
    if own:
        return own * max(named or 1, 1)
    return (named or 0) * width


def sparse_layers(keys: Keys, count: int) -> tuple[bool, ...]:
    """Which of `count` layers have experts, by whichever of the usual keys is there; all of them without any."""
    if named := keys.words("mlp_layer_types", count):
        return tuple(kind == "sparse" for kind in named)
    frequency = keys.config.get("moe_layer_freq")
    if isinstance(frequency, list):
        listed = keys.numbers("moe_layer_freq", most=1) or ()
        if len(listed) < count:
            raise UsageError(f"moe_layer_freq in the configuration has {len(listed)} entries for {count} layers")
        return tuple(bool(item) for item in listed[:count])
    if keys.has("moe_layers") and isinstance(keys.config["moe_layers"], list):
        chosen = set(keys.numbers("moe_layers", most=MOST_LAYERS) or ())
        return tuple(index in chosen for index in range(count))
    if step := keys.optional("interleave_moe_layer_step", most=MOST_LAYERS):  # Llama 4
        return tuple((index + 1) % step == 0 for index in range(count))
    if period := keys.optional("expert_layer_period", most=MOST_LAYERS):  # Jamba
        offset = keys.count("expert_layer_offset", most=MOST_LAYERS)
        return tuple(index % period == offset for index in range(count))
    if keys.optional("moe_layer_interval", most=MOST_LAYERS):  # ERNIE 4.5
        return _interval(keys, count)
    first = keys.count("first_k_dense_replace", "num_dense_layers", most=MOST_LAYERS)
    step = keys.count("decoder_sparse_step", "moe_layer_freq", "moe_layer_frequency", most=MOST_LAYERS, default=1) or 1
    offset = 1 if keys.optional("decoder_sparse_step", "moe_layer_frequency", most=MOST_LAYERS) else 0
    never = set(keys.numbers("mlp_only_layers", most=MOST_LAYERS) or ())
    return tuple(index >= first and index not in never and (index + offset) % step == 0 for index in range(count))


def _interval(keys: Keys, count: int) -> tuple[bool, ...]:
    """ERNIE 4.5: every n-th layer from a first to a last (-1: to the end)."""
    step = keys.number("moe_layer_interval", most=MOST_LAYERS)
    first = keys.count("moe_layer_start_index", most=MOST_LAYERS)
    last = count - 1
    if keys.config.get("moe_layer_end_index", -1) != -1:
        last = keys.count("moe_layer_end_index", most=MOST_LAYERS)
    return tuple((index + 1) % step == 0 and first <= index <= last for index in range(count))
