"""Activations of the VAE's decoder, which at 1024 x 1024 pixels and above need more than the denoiser does.

The last block that has all pixels starts with the channels of the block before it: three such tensors live together,
input, normed and activated, or input, output and what is added. That is what diffusers' own class allocates at every
size (benchmarks/diffusers_oracle.py). In 16 bits cuDNN copies a convolution's input and output into the order of
channels that its kernels want, two tensors more: inferred from published peaks. At 1024 x 1024 SD3 medium in fp16
peaks 2.5 GiB above its weights, of which five tensors are 2.5, and FLUX.1-dev has asked the allocator for 4.5 GiB
more, of which five tensors at each doubling and the other phases are 4.7. In 32 bits none shows: SDXL's decoder alone
asks for 19.9 GiB for four images, three tensors at each doubling.
"""

from __future__ import annotations

from typing import NamedTuple

from gpucheck.models.pipelines import Component

_TENSORS, _COPIES = 3, 2
# Causal video autoencoders decode four frames at a time and keep two frames of every convolution's input: tensors of
# the base width at full size, followed in AutoencoderKLWan and AutoencoderKLQwenImage at two sizes and lengths.
_VIDEO, _ONE_FRAME, _RESIDUAL = 52.9, 18.0, 84.3
_VIDEO_TILE = 256
_VIDEO_CLASSES = frozenset({"AutoencoderKLWan", "AutoencoderKLQwenImage"})


class Frame(NamedTuple):
    """Pixels of an image and frames of the latent."""

    height: int
    width: int
    frames: int

    @property
    def pixels(self) -> int:
        """Pixels of one frame."""
        return self.height * self.width


class Decoding(NamedTuple):
    """Bytes alive at the peak of the decoding, and those that torch's allocator has asked for by then."""

    bytes: int
    reserved_bytes: int


def decoding(component: Component, frame: Frame, batch: int, element_bytes: int, *, tiling: bool) -> Decoding:
    """The peak of the decoder for `batch` images at once.

    The allocator cannot join the blocks of one size of image into those of the next: what it holds is the sum over the
    doublings of the side.
    """
    if component.kind in _VIDEO_CLASSES:
        return _video(component, frame, batch, element_bytes, tiling=tiling)
    stated = component.config["block_out_channels"]
    channels = [int(each) for each in (stated if isinstance(stated, list) else [stated])]
    side = int(component.config.get("sample_size") or 512)
    tiled = tiling and (frame.height > side or frame.width > side)
    pixels = min(frame.height, side) * min(frame.width, side) if tiled else frame.pixels
    image = 3 * frame.pixels if tiled else 0  # decoded tiles wait to be joined
    levels = [channels[min(len(channels) - 1, level + 1)] * (pixels >> (2 * level)) for level in range(len(channels))]
    count = batch * (_TENSORS + (_COPIES if element_bytes == 2 else 0)) * element_bytes
    waiting = batch * image * element_bytes
    return Decoding(count * levels[0] + waiting, count * sum(levels) + waiting)


def _video(component: Component, frame: Frame, batch: int, element_bytes: int, *, tiling: bool) -> Decoding:
    config = component.config
    patch = int(config.get("patch_size") or 1)
    base = int(config.get("decoder_base_dim") or config["base_dim"])
    tensors = _RESIDUAL if config.get("is_residual") else _VIDEO if frame.frames > 1 else _ONE_FRAME
    tiled = tiling and (frame.height > _VIDEO_TILE or frame.width > _VIDEO_TILE)
    pixels = min(frame.height, _VIDEO_TILE) * min(frame.width, _VIDEO_TILE) if tiled else frame.pixels
    out = 3 * frame.pixels * (4 * (frame.frames - 1) + 1)
    made = 2 * out if tiled else out  # overlapping tiles, and the rows that they are joined to
    size = round(batch * element_bytes * (tensors * base * pixels / patch**2 + made))
    return Decoding(size, size)
