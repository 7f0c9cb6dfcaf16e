"""Activations of one step of a transformer or UNet: the tensors that are alive together at the widest moment.

In elements of 16 bits, h the hidden size; for transformers by token of the latent (one for 16 x 16 pixels) and of the
prompt. Which tensors these are was followed in diffusers' own classes (benchmarks/diffusers_oracle.py). Attention is
fused and allocates its result only.
"""

from __future__ import annotations

from typing import NamedTuple

from gpucheck.models.pipelines import Component

_ROPE = 2 * 128 * 2  # sines and cosines of 128 positions in 32 bits
_SD_LATENT = 8  # pixels to a side of one place of a latent


class Job(NamedTuple):
    """What is made: pixels, frames of the latent, images at once in the denoiser, tokens of the prompt."""

    height: int
    width: int
    frames: int
    batch: int
    text: int


def denoiser_elements(component: Component, job: Job) -> int:
    """Elements of 16 bits at the widest moment of a step; classes that are not known count as FLUX's."""
    if component.kind == "UNet2DConditionModel":
        return job.batch * _unet(component, job)
    per_image, per_text, extra = _TOKENS.get(component.kind, _flux)(component)
    side = 32 if component.kind == "WanTransformer3DModel" and component.config.get("in_channels") == 48 else 16
    tokens = -(-job.height // side) * -(-job.width // side) * job.frames
    return job.batch * round(tokens * (per_image + extra) + job.text * (per_text + extra))


def _hidden(component: Component) -> int:
    config = component.config
    return int(config["num_attention_heads"]) * int(config["attention_head_dim"])


def _flux(component: Component) -> tuple[float, float, float]:
    """The single block: the activated MLP 4, three of 32 bits while queries are turned, and 7 vectors of h."""
    h, joint = _hidden(component), int(component.config.get("joint_attention_dim", 4096))
    return 17 * h, 17 * h + joint, _ROPE + 64


def _flux2(component: Component) -> tuple[float, float, float]:
    """The single block: queries, keys, values and gated MLP from one matrix, then attention and MLP side by side."""
    h, ratio = _hidden(component), float(component.config.get("mlp_ratio", 3.0))
    widest = (9 + 4 * ratio) * h
    return widest, widest + h + int(component.config["joint_attention_dim"]), 2 * _ROPE + 128


def _sd3(component: Component) -> tuple[float, float, float]:
    """The MLP before and after its GELU, 4 each; a second attention beside the joint one holds one vector more."""
    h, config = _hidden(component), component.config
    return (14 if config.get("dual_attention_layers") else 13) * h, 3 * h + int(config["joint_attention_dim"]), 0


def _qwen(component: Component) -> tuple[float, float, float]:
    """The MLP before and after its GELU, and 7 vectors."""
    h = _hidden(component)
    return 15 * h, 5 * h + int(component.config["joint_attention_dim"]), _ROPE + 64


def _wan(component: Component) -> tuple[float, float, float]:
    """The MLP before and after its GELU, or the turning of queries and keys in 32 bits, whichever is wider."""
    h, ffn = _hidden(component), int(component.config["ffn_dim"])
    return max(11 * h, 2 * ffn + 4 * h), 3 * h + int(component.config["text_dim"]), _ROPE / 2


def _pixart(component: Component) -> tuple[float, float, float]:
    """The MLP before and after its GELU, 4 each, and 4 vectors."""
    h = _hidden(component)
    return 12 * h, h + int(component.config["caption_channels"]), 0


_TOKENS = {
    "FluxTransformer2DModel": _flux,
    "Flux2Transformer2DModel": _flux2,
    "SD3Transformer2DModel": _sd3,
    "QwenImageTransformer2DModel": _qwen,
    "WanTransformer3DModel": _wan,
    "PixArtTransformer2DModel": _pixart,
}


def _unet(component: Component, job: Job) -> int:
    """The gated MLP of the level whose channels and places are the most, beside what the way down has kept.

    8 channels in, 4 activated, 4 multiplied and 8 vectors of the block; kept are the inputs of the way up so far.
    """
    config = component.config
    channels = [int(each) for each in config["block_out_channels"]]
    depth, layers = config["down_block_types"], int(config.get("layers_per_block", 2))
    places = -(-job.height // _SD_LATENT) * -(-job.width // _SD_LATENT)
    kept = channels[0] * places
    widest = 0
    for level, width in enumerate(channels):
        here = places // 4**level
        inside = (
            24 if depth[level] == "CrossAttnDownBlock2D" else 6
        )  # a residual block: input, normed, activated, twice
        widest = max(widest, kept + (layers - 1) * width * here + inside * width * here)
        kept += layers * width * here + width * here // 4
    return widest
