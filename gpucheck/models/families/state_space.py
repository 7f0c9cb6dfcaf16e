"""Mamba and its hybrids: Falcon-H1, Bamba, Granite 4, Jamba, Nemotron-H and Nemotron 3."""

from __future__ import annotations

from msgspec.structs import replace

from gpucheck.errors import UsageError
from gpucheck.models.architecture import Architecture, Layer, Recurrent
from gpucheck.models.families.decoder import Family, assemble, attention, dense_block, layer_count, switch
from gpucheck.models.families.keys import EXPERTS, HIDDEN, MOST_LAYERS, Keys
from gpucheck.models.families.linear import mixed
from gpucheck.models.families.mixture import experts_of
from gpucheck.models.tensor import TensorGroup

_BARE = Family(window_key="")
_BIASED = Family(qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias", window_key="")
_NEMOTRON_KINDS = {
    "M": "mamba", "linear_attention": "mamba", "mamba": "mamba",
    "*": "attention", "full_attention": "attention", "attention": "attention",
    "-": "mlp", "mlp": "mlp",
    "E": "moe", "moe": "moe",
}  # fmt: skip


def mamba(keys: Keys) -> Architecture:
    """Mamba-1: no attention, no feed-forward blocks. Falcon Mamba has the same shape."""
    hidden = keys.number(*HIDDEN)
    inner = keys.optional("intermediate_size", "d_inner") or hidden * keys.number("expand", most=100, default=2)
    mixer = Recurrent(
        kind="mamba",
        conv_kernel=keys.number("conv_kernel", "d_conv", most=1000, default=4),
        inner_size=inner,
        state_size=keys.number("state_size", "d_state", most=10_000, default=16),
        head_count=_time_rank(keys, "time_step_rank", hidden),
        conv_bias=keys.flag("use_conv_bias", default=True),
        projection_bias=keys.flag("use_bias"),
    )
    return assemble(keys, _BARE, (Layer(recurrent=mixer, norms=1),) * layer_count(keys))


def mamba2(keys: Keys) -> Architecture:
    """Mamba-2: one mixer and one norm a layer."""
    mixer = _mixer2(keys, ("num_heads",), "head_dim", "n_groups", "state_size", "conv_kernel", "expand")
    mixer = replace(mixer, conv_bias=keys.flag("use_conv_bias", default=True), projection_bias=keys.flag("use_bias"))
    return assemble(keys, _BARE, (Layer(recurrent=mixer, norms=1),) * layer_count(keys))


def falcon_h1(keys: Keys) -> Architecture:
    """Falcon-H1: attention and Mamba-2 side by side in each layer."""
    mixer = replace(_mamba_keys(keys), norm=keys.flag("mamba_rms_norm"))
    layer = Layer(attention=attention(keys, _BIASED, None), recurrent=mixer, feed_forward=dense_block(keys, _BIASED))
    return assemble(keys, _BIASED, (layer,) * layer_count(keys))


def bamba(keys: Keys) -> Architecture:
    """Bamba: Mamba-2, and attention in the layers that `attn_layer_indices` names."""
    count = layer_count(keys)
    chosen = keys.numbers("attn_layer_indices", most=MOST_LAYERS) or ()
    named = keys.words("layer_types", count)
    linear = tuple(named[index] != "full_attention" if named else index not in chosen for index in range(count))
    return mixed(keys, _BIASED, _mamba_keys(keys), linear)


def granite_hybrid(keys: Keys) -> Architecture:
    """Granite 4: Mamba-2 or attention, then experts beside a shared block; without experts the shared one alone."""
    count = layer_count(keys)
    named = keys.words("layers_block_type", count) or keys.words("layer_types", count)
    linear = tuple(kind in ("mamba", "linear_attention") for kind in named) if named else (True,) * count
    config = dict(keys.config)
    experts = keys.count(*EXPERTS, most=10**5)
    if not experts:
        config["intermediate_size"] = keys.number("shared_intermediate_size", "intermediate_size")
    family = replace(_BIASED, mlp_bias=False, experts=bool(experts))
    return mixed(Keys(config, keys.defaults, keys.where), family, _mamba_keys(keys), linear)


def jamba(keys: Keys) -> Architecture:
    """Jamba: Mamba-1 with three more norms, attention in every eighth layer, experts in every other."""
    hidden, count = keys.number(*HIDDEN), layer_count(keys)
    state, rank = keys.number("mamba_d_state", most=10_000), _time_rank(keys, "mamba_dt_rank", hidden)
    mixer = Recurrent(
        kind="mamba",
        conv_kernel=keys.number("mamba_d_conv", most=1000),
        inner_size=hidden * keys.number("mamba_expand", most=100),
        state_size=state,
        head_count=rank,
        conv_bias=keys.flag("mamba_conv_bias", default=True),
        projection_bias=keys.flag("mamba_proj_bias"),
    )
    period = keys.number("attn_layer_period", most=MOST_LAYERS)
    offset = keys.count("attn_layer_offset", most=MOST_LAYERS)
    linear = tuple(index % period != offset for index in range(count))
    shape = mixed(keys, replace(_BARE, experts=keys.count(*EXPERTS, most=10**5) > 1), mixer, linear)
    at = tuple(index for index in range(count) if linear[index])
    norms = (("ssm_dt_norm", rank), ("ssm_b_norm", state), ("ssm_c_norm", state))
    return replace(shape, extra_tensors=tuple(TensorGroup(role, size, 1, at, matrix=False) for role, size in norms))


def nemotron_h(keys: Keys) -> Architecture:
    """Nemotron-H and Nemotron 3: each layer is one mixer, one block or one mixture, as the pattern says."""
    kinds = _nemotron_layers(keys)
    family = Family(
        mlp_bias="mlp_bias", qkv_bias="attention_bias", output_bias="attention_bias", matrices=2, window_key=""
    )
    mixer = _mixer2(keys, ("mamba_num_heads",), "mamba_head_dim", "n_groups", "ssm_state_size", "conv_kernel", "expand")
    mixer = replace(mixer, conv_bias=switch(keys, "use_conv_bias"), projection_bias=keys.flag("use_bias"))
    used = {_NEMOTRON_KINDS[kind] for kind in kinds}
    layers = {"mamba": Layer(recurrent=mixer, norms=1)}
    if "attention" in used:
        layers["attention"] = Layer(attention=attention(keys, family, None), norms=1)
    if "mlp" in used:
        layers["mlp"] = Layer(feed_forward=dense_block(keys, family), norms=1)
    if "moe" in used:
        latent = keys.optional("moe_latent_size") or None
        layers["moe"] = Layer(feed_forward=experts_of(keys, matrices=2, router_bias=True, latent_size=latent), norms=1)
    return replace(assemble(keys, family, tuple(layers[_NEMOTRON_KINDS[kind]] for kind in kinds)), predict_layers=())


def _nemotron_layers(keys: Keys) -> tuple[str, ...]:
    """The kind of each layer: a pattern such as "M-M*ME", or a list of words.

    Raises:
        UsageError: there is neither, or it has other letters or words.
    """
    kinds = tuple(keys.text("hybrid_override_pattern") or "")
    for name in ("layers_block_type", "layer_types"):
        listed = keys.config.get(name)
        if not kinds and isinstance(listed, list):
            kinds = keys.words(name, len(listed)) or ()
    if not kinds or len(kinds) > MOST_LAYERS or not set(kinds) <= set(_NEMOTRON_KINDS):
        raise UsageError(f"{keys.where}hybrid_override_pattern in the configuration is not a pattern of M, *, - and E")
    return kinds


def _mamba_keys(keys: Keys) -> Recurrent:
    """Mamba-2 under the names of Bamba, Granite 4 and Falcon-H1."""
    mixer = _mixer2(
        keys, ("mamba_n_heads",), "mamba_d_head", "mamba_n_groups", "mamba_d_state", "mamba_d_conv", "mamba_expand"
    )
    return replace(
        mixer,
        conv_bias=keys.flag("mamba_conv_bias", default=True),
        projection_bias=keys.flag("mamba_proj_bias"),
    )


def _mixer2(  # noqa: PLR0913, PLR0917 - one name for each number, which every family calls otherwise
    keys: Keys, heads: tuple[str, ...], size: str, groups: str, state: str, kernel: str, expand: str
) -> Recurrent:
    """Mamba-2; the inner size is that of its heads, and a head size of "auto" follows from the expansion."""
    hidden = keys.number(*HIDDEN)
    number = keys.number(*heads, most=100_000)
    automatic = keys.config.get(size, "auto") == "auto" and keys.defaults.get(size) is None
    inner = keys.optional("mamba_d_ssm") or hidden * keys.number(expand, most=100, default=2)
    if not automatic:
        inner = number * keys.number(size, most=10_000)
    return Recurrent(
        kind="mamba2",
        conv_kernel=keys.number(kernel, most=1000),
        inner_size=inner,
        state_size=keys.number(state, most=10_000),
        group_count=keys.number(groups, most=10_000),
        head_count=number,
    )


def _time_rank(keys: Keys, name: str, hidden: int) -> int:
    """The rank of the time step; "auto" is a sixteenth of the hidden size, rounded up."""
    if keys.config.get(name, "auto") == "auto":
        return -(-hidden // 16)
    return keys.number(name, default=-(-hidden // 16))
