"""How diffusers runs a pipeline: the options that its memory depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from gpucheck.errors import UsageError
from gpucheck.estimators.option_values import choice, flag
from gpucheck.models.pipelines import Pipeline

VERSION = "0.42"
"""The release whose code the formulas describe."""

_OFFLOADS = ("none", "model", "sequential")
_DTYPES = ("bf16", "fp16", "fp32")
_MOST_SIDE, _MOST_FRAMES = 16_384, 2_048


class DiffusersOptions(Struct, frozen=True, kw_only=True):
    """`height`, `width` and `num_frames` None are the pipeline's own, `guidance` None is what it was made for.

    `offload` is none, model (enable_model_cpu_offload) or sequential (enable_sequential_cpu_offload). `quantize` names
    the components that are stored in the quantization, None for all Linear layers of the denoiser and of text encoders
    over a billion parameters; `without` the components that are not loaded. `vae_dtype` None is what the pipeline does.
    `torch_dtype` is the type of what is not packed. `quantizer` is transformers (with diffusers, through bitsandbytes,
    torchao or QuantoConfig), or optimum-quanto by itself, which
    packs every matrix. `transformers` is the major release: bitsandbytes of the 4th keeps T5's `wo` in 32 bits.
    """

    height: int | None = None
    width: int | None = None
    num_frames: int | None = None
    guidance: bool | None = None
    offload: str = "none"
    vae_tiling: bool = False
    vae_slicing: bool = False
    vae_dtype: str | None = None
    quantize: str | None = None
    without: str = ""
    quantizer: str = "transformers"
    transformers: str = "5"
    torch_dtype: str = "bf16"


def parse_options(given: Mapping[str, object]) -> DiffusersOptions:
    """The options given by name, as text or as values.

    Raises:
        UsageError: an option is not known, or its value is none of those that it takes.
    """
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in DiffusersOptions.__struct_fields__:
            known = ", ".join(DiffusersOptions.__struct_fields__)
            raise UsageError(f"{name!r} is not an option of diffusers that gpucheck knows. Known: {known}")
        values[name] = _PARSERS[name](name, value)
    return msgspec.convert(values, DiffusersOptions)


def checked(options: DiffusersOptions, entry: Pipeline) -> DiffusersOptions:
    """The options, held against the pipeline.

    Raises:
        UsageError: they name a component that it does not have, or frames of a still image.
    """
    names = [component.name for component in entry.components]
    for word in (*listed(options.quantize or ""), *listed(options.without)):
        if word not in names:
            raise UsageError(f"{entry.id} has no component {word!r}; it has {', '.join(names)}")
    if (options.num_frames or 1) > 1 and entry.frames == 1:
        raise UsageError(f"{entry.id} makes images: num_frames is for pipelines that make videos")
    return options


def listed(text: str) -> tuple[str, ...]:
    """The words of a list with commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def assumptions(options: DiffusersOptions, given: Mapping[str, object], entry: Pipeline) -> tuple[str, ...]:
    """What was not said, with the value that it has."""
    height, width = options.height or entry.height, options.width or entry.width
    frames = f", {options.num_frames or entry.frames} frames" if entry.frames > 1 else ""
    guided = {
        "none": "no second pass for guidance",
        "batch": "classifier-free guidance, which doubles the batch of the denoiser",
        "passes": "classifier-free guidance in a second pass, which needs no more memory",
    }[entry.guidance]
    sentences = {
        "height": f"{width} x {height} pixels{frames}",
        "guidance": guided,
        "offload": "no offload: all components stay on the GPU",
        "vae_tiling": "the VAE decodes the whole image at once (no vae_tiling)",
    }
    said = {*given, *(("height",) if "width" in given else ())}
    shown = [text for name, text in sentences.items() if name not in said]
    return (f"diffusers {VERSION}, fused attention, on one GPU", *shown)


def _size(most: int) -> Callable[[str, object], object]:
    def parse(name: str, value: object) -> int:
        try:
            number = int(str(value))
        except ValueError:
            raise UsageError(f"{name} is a number, not {value!r}") from None
        if not 1 <= number <= most:
            raise UsageError(f"{name} is from 1 to {most:,}")
        return number

    return parse


def _text(_name: str, value: object) -> str:
    return str(value or "")


_PARSERS: dict[str, Callable[[str, object], object]] = {
    "height": _size(_MOST_SIDE),
    "width": _size(_MOST_SIDE),
    "num_frames": _size(_MOST_FRAMES),
    "guidance": flag,
    "offload": choice(_OFFLOADS),
    "vae_tiling": flag,
    "vae_slicing": flag,
    "vae_dtype": choice(_DTYPES),
    "quantize": _text,
    "without": _text,
    "quantizer": choice(("transformers", "optimum-quanto")),
    "transformers": choice(("4", "5")),
    "torch_dtype": choice(("bf16", "fp16")),
}
