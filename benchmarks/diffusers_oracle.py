"""Parameters and peak memory of diffusers' own classes, for real shapes, without a GPU and without weights.

Components of gpucheck's pipelines are built on torch's meta device from their configurations: text encoders,
transformers or UNets, decoders of the VAE. What they count is written to the catalogue of pipelines with `--count`; a
dispatch mode follows the life of each storage while they run once, as transformers_oracle.py does. Attention allocates
its result only, as fused attention does; workspaces of libraries (cuDNN, cuBLAS) do not show.

    python benchmarks/diffusers_oracle.py --write     (needs torch, transformers and diffusers)
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from transformers_oracle import Live

HERE = Path(__file__).parent
TRUTH = HERE / "truth" / "diffusers_oracle.csv"
DATA = HERE.parent / "gpucheck" / "models" / "data" / "pipelines.jsonl"
MODELS = DATA.with_name("models.jsonl")
SIXTEEN = torch.bfloat16


def pipelines() -> list[dict[str, Any]]:
    """The entries of the catalogue of pipelines."""
    return [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]


def build(component: dict[str, Any], dtype: torch.dtype = SIXTEEN) -> torch.nn.Module:
    """The module of a component, on the meta device."""
    kind, config = component["class"], component["config"]
    with torch.device("meta"):
        if hasattr(diffusers, kind):
            made = getattr(diffusers, kind).from_config(config)
        else:
            made = getattr(transformers, kind)(_transformers_config(kind, config))
    module: torch.nn.Module = made.to(dtype).eval()
    return module


def _transformers_config(kind: str, config: dict[str, Any]) -> Any:
    """A configuration of transformers; `like` names a model of the catalogue of language models."""
    if "like" not in config:
        return getattr(transformers, kind).config_class(**{key: v for key, v in config.items() if key != "model_type"})
    entries = (json.loads(line) for line in MODELS.read_text(encoding="utf-8").splitlines())
    like = dict(next(entry["config"] for entry in entries if entry["id"] == config["like"]))
    return transformers.AutoConfig.for_model(like.pop("model_type"), **like)


def counts(module: torch.nn.Module) -> dict[str, int]:
    """Parameters; those in matrices of Linear layers; the most of one module alone; the largest matrix."""
    linear = [layer.weight.numel() for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
    own = [sum(p.numel() for p in layer.parameters(recurse=False)) for layer in module.modules()]
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "linear_parameters": sum(linear),
        "largest_module": max(own),
        "largest_linear": max(linear, default=0),
    }


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> torch.Tensor:
    """Fused attention: the result only, laid out with tokens before heads."""
    del key
    *batch, heads, tokens, _size = query.shape
    return query.new_empty(*batch, tokens, heads, value.shape[-1]).transpose(-2, -3)


@contextlib.contextmanager
def fused() -> Iterator[None]:
    """Attention of torch replaced by one without a body."""
    kept = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = _attention
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = kept


def peak(module: torch.nn.Module, call: Callable[[], Any]) -> int:
    """The most bytes of live tensors beside the weights while `call` runs."""
    live = Live({p.untyped_storage()._cdata for p in (*module.parameters(), *module.buffers())})
    with torch.no_grad(), fused(), live:
        call()
    return live.peak


def _empty(*shape: int, dtype: torch.dtype = SIXTEEN) -> torch.Tensor:
    return torch.empty(*shape, device="meta", dtype=dtype)


def encoder_call(module: Any, component: dict[str, Any], batch: int) -> Callable[[], Any]:
    """A text encoder reads a prompt, all its hidden states kept as the pipelines ask."""
    ids = torch.zeros(batch, component["tokens"], dtype=torch.long, device="meta")
    keep = component["class"] not in {"T5EncoderModel", "UMT5EncoderModel"}
    return lambda: module(input_ids=ids, output_hidden_states=keep)


def denoiser_call(module: Any, kind: str, tokens: int, size: tuple[int, int, int], batch: int) -> Callable[[], Any]:
    """One step of a transformer or UNet for an image of so many pixels (frames of the latent last)."""
    config, (height, width, frames) = module.config, size
    step = torch.zeros(batch, device="meta")
    if kind == "UNet2DConditionModel":
        text = _empty(batch, tokens, config.cross_attention_dim)
        added = {"text_embeds": _empty(batch, 1280), "time_ids": _empty(batch, 6)}
        latent = _empty(batch, config.in_channels, height // 8, width // 8)
        return lambda: module(latent, step, text, added_cond_kwargs=added)
    if kind == "SD3Transformer2DModel":
        latent = _empty(batch, config.in_channels, height // 8, width // 8)
        text = _empty(batch, tokens, config.joint_attention_dim)
        return lambda: module(latent, text, _empty(batch, config.pooled_projection_dim), step)
    if kind == "PixArtTransformer2DModel":
        latent, text = _empty(batch, 4, height // 8, width // 8), _empty(batch, tokens, config.caption_channels)
        mask = _empty(batch, tokens)
        return lambda: module(
            latent,
            text,
            step,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            encoder_attention_mask=mask,
        )
    if kind == "WanTransformer3DModel":
        side = 32 if config.in_channels == 48 else 16
        latent = _empty(batch, config.in_channels, frames, height // (side // 2), width // (side // 2))
        return lambda: module(latent, step.long(), _empty(batch, tokens, config.text_dim))
    grid = height // 16, width // 16
    latent = _empty(batch, grid[0] * grid[1], config.in_channels)
    text = _empty(batch, tokens, config.joint_attention_dim)
    if kind == "QwenImageTransformer2DModel":
        mask = torch.ones(batch, tokens, dtype=torch.bool, device="meta")
        return lambda: module(latent, text, mask, step, img_shapes=[[(1, *grid)]] * batch)
    axes = 3 if kind == "FluxTransformer2DModel" else 4
    more = {"pooled_projections": _empty(batch, config.pooled_projection_dim)} if axes == 3 else {}
    guidance = step if config.guidance_embeds else None
    places = torch.zeros(grid[0] * grid[1], axes, device="meta"), torch.zeros(tokens, axes, device="meta")
    return lambda: module(latent, text, timestep=step, img_ids=places[0], txt_ids=places[1], guidance=guidance, **more)


def decoder_call(module: Any, size: tuple[int, int, int], batch: int, dtype: torch.dtype) -> Callable[[], Any]:
    """The VAE decodes a latent."""
    height, width, frames = size
    if hasattr(module, "spatial_compression_ratio"):  # the video autoencoders
        side = module.spatial_compression_ratio
        latent = _empty(batch, module.config.z_dim, frames, height // side, width // side, dtype=dtype)
    else:
        latent = _empty(batch, module.config.latent_channels, height // 8, width // 8, dtype=dtype)
    return lambda: module.decode(latent, return_dict=False)


def sizes(entry: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    """Height, width, frames of the latent and batch of the cases."""
    if "frames" in entry:
        return [(480, 832, 5, 1), (480, 832, 21, 1), (704, 1280, 3, 1), (704, 1280, 13, 1)]
    return [
        (512, 512, 1, 1),
        (768, 768, 1, 2),
        (1024, 1024, 1, 1),
        (1024, 1024, 1, 2),
        (1536, 1024, 1, 1),
        (2048, 2048, 1, 1),
    ]


def rows() -> list[dict[str, Any]]:
    """One row for each distinct component at each size."""
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for entry in pipelines():
        for component in entry["components"]:
            key = json.dumps([component["class"], component["config"], component.get("tokens")], sort_keys=True)
            if key in seen:
                continue
            seen.add(key)
            found += _rows_of(entry, component)
            print(entry["id"], component["name"], file=sys.stderr)
    return found


def _rows_of(entry: dict[str, Any], component: dict[str, Any]) -> list[dict[str, Any]]:
    kind, found = component["class"], []
    base = {"pipeline": entry["id"], "component": component["name"], "class": kind}

    def row(size: tuple[int, int, int], batch: int, dtype: str, options: str, bytes_: int) -> dict[str, Any]:
        height, width, frames = size
        return base | {
            "height": height, "width": width, "latent_frames": frames, "batch": batch, "dtype": dtype,
            "options": options, "peak_bytes": bytes_,
        }  # fmt: skip

    if component["name"].startswith("text_encoder"):
        module = build(component)
        calls = ((batch, encoder_call(module, component, batch)) for batch in (1, 2))
        return [row((0, 0, 0), batch, "bf16", "", peak(module, call)) for batch, call in calls]
    if component["name"] != "vae":
        module, tokens = build(component), max(each.get("tokens", 0) for each in entry["components"])
        tokens += 77 if kind == "SD3Transformer2DModel" else 0
        for height, width, frames, batch in sizes(entry):
            call = denoiser_call(module, kind, tokens, (height, width, frames), batch)
            found.append(row((height, width, frames), batch, "bf16", "", peak(module, call)))
        return found
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        module = build(component, dtype)
        for tiling in (False, True):
            if tiling:
                module.enable_tiling()
            for height, width, frames, batch in sizes(entry):
                size = height, width, frames
                bytes_ = peak(module, decoder_call(module, size, batch, dtype))
                found.append(row(size, batch, name, "tiling" if tiling else "", bytes_))
    return found


def count() -> None:
    """Write what the classes count into the catalogue of pipelines."""
    lines = []
    for entry in pipelines():
        for component in entry["components"]:
            component.update(counts(build(component)))
        lines.append(json.dumps(entry, separators=(",", ":"), ensure_ascii=False))
    DATA.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def main() -> None:
    """Count the parameters, measure every case and write the truth table, or print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", action="store_true", help=f"write the counts into {DATA}")
    parser.add_argument("--write", action="store_true", help=f"write {TRUTH}")
    options = parser.parse_args()
    if options.count:
        return count()
    diffusers.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found = rows()
    with open(TRUTH, "w", encoding="utf-8", newline="") if options.write else contextlib.nullcontext(sys.stdout) as out:
        writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    return None


if __name__ == "__main__":
    main()
