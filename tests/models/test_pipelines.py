"""The catalogue of pipelines, names, and pipelines on this disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gpucheck
from gpucheck.errors import AmbiguousNameError, UsageError
from gpucheck.models.checkpoint import local_model
from gpucheck.models.listing import pipeline_entries
from gpucheck.models.pipelines import find_pipeline, pipelines
from gpucheck.models.reference import parse_reference
from tests.models.safetensors_files import write_safetensors

ENTRIES = {entry.id: entry for entry in pipelines()}
FLUX = "black-forest-labs/FLUX.1-dev"


def test_parameters_are_those_that_makers_state() -> None:
    """Billions in the announcements: FLUX.1 11.9 and FLUX.2 32.2, SDXL's UNet 2.57, SD3 2.03, Qwen-Image 20.4."""
    stated = {
        FLUX: 11.9, "black-forest-labs/FLUX.2-dev": 32.2, "stabilityai/stable-diffusion-xl-base-1.0": 2.57,
        "stabilityai/stable-diffusion-3-medium-diffusers": 2.03, "Qwen/Qwen-Image": 20.4,
        "stable-diffusion-v1-5/stable-diffusion-v1-5": 0.86, "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS": 0.611,
    }  # fmt: skip
    for name, billions in stated.items():
        denoiser = next(each for each in ENTRIES[name].components if each.denoises)
        assert denoiser.parameters / 1e9 == pytest.approx(billions, rel=0.005)


def test_every_entry_is_whole() -> None:
    """Ids differ, the decoder is last, counts are consistent, and a source and a licence are there."""
    assert len({entry.id.lower() for entry in pipelines()}) == len(pipelines()) >= 15
    for entry in pipelines():
        assert entry.source
        assert entry.license
        assert entry.components[-1].name == "vae"
        assert entry.components[0].encodes
        for each in entry.components:
            assert 0 < each.largest_module <= each.parameters
            assert each.largest_linear <= each.linear_parameters <= each.parameters


def linear(inputs: int, outputs: int) -> int:
    """Parameters of a Linear layer with a bias."""
    return inputs * outputs + outputs


def test_flux_adds_up_by_hand() -> None:
    """19 double and 38 single blocks of h = 3072: attention and MLPs with biases, modulations, norms of queries."""
    h, head = 3072, 128
    double = 2 * (linear(h, 6 * h) + 4 * linear(h, h) + 2 * head + linear(h, 4 * h) + linear(4 * h, h))
    single = linear(h, 3 * h) + 3 * linear(h, h) + 2 * head + linear(h, 4 * h) + linear(5 * h, h)
    beside = linear(64, h) + linear(4096, h) + linear(768, h) + linear(h, h) + 2 * (linear(256, h) + linear(h, h))
    ends = linear(h, 2 * h) + linear(h, 64)
    transformer = next(each for each in ENTRIES[FLUX].components if each.denoises)
    assert transformer.parameters == 19 * double + 38 * single + beside + ends


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("flux.1-dev", FLUX), ("FLUX.1-dev", FLUX), ("sdxl", "stabilityai/stable-diffusion-xl-base-1.0"),
        ("sd3.5-large", "stabilityai/stable-diffusion-3.5-large"), ("qwen-image", "Qwen/Qwen-Image"),
        ("wan2.2-ti2v-5b", "Wan-AI/Wan2.2-TI2V-5B-Diffusers"),
    ],
)  # fmt: skip
def test_names_are_found_as_people_type_them(typed: str, expected: str) -> None:
    """In any case, with or without the publisher."""
    reference = parse_reference(f"{typed}@nf4")
    assert (reference.text, reference.quant) == (expected, "nf4")
    assert reference.model.pipeline is ENTRIES[expected]


def test_a_part_of_several_names_is_ambiguous() -> None:
    """The candidates are told."""
    with pytest.raises(AmbiguousNameError) as told:
        find_pipeline("stable diffusion")
    assert len(told.value.candidates) >= 5


def test_pipelines_are_listed_with_their_components() -> None:
    """By the words of their names."""
    (found,) = pipeline_entries("flux.1 dev")
    assert (found.kind, found.layers) == ("pipeline", 57)
    assert sum(part.parameters for part in found.components) == found.total_parameters
    assert pipeline_entries("llama") == ()


def write_pipeline(folder: Path, **changes: Any) -> Path:
    """A small Stable Diffusion of three components; `changes` replace what `model_index.json` says."""
    usual = ENTRIES["stable-diffusion-v1-5/stable-diffusion-v1-5"]
    index: dict[str, Any] = {"_class_name": "StableDiffusionPipeline"}
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "a.weight": ("F16", (32, 64)), "a.bias": ("F16", (32,)), "conv.weight": ("F16", (8, 8, 3, 3)),
    }  # fmt: skip
    for each in usual.components:
        index[each.name] = ["transformers" if each.encodes else "diffusers", each.kind]
        inner = folder / each.name
        inner.mkdir(parents=True)
        (inner / "config.json").write_text(json.dumps(each.config))
        file = "model.safetensors" if each.encodes else "diffusion_pytorch_model.safetensors"
        write_safetensors(inner / file, shapes)
    (folder / "model_index.json").write_text(json.dumps({**index, **changes}))
    return folder


def test_a_directory_is_a_pipeline(tmp_path: Path) -> None:
    """Parameters are those of the files; matrices are told from convolutions by their rows."""
    model = local_model(str(write_pipeline(tmp_path / "mine")))
    assert model.pipeline
    assert (model.id, model.source) == ("mine", "checkpoint")
    assert [each.name for each in model.pipeline.components] == ["text_encoder", "unet", "vae"]
    assert {(each.parameters, each.linear_parameters) for each in model.pipeline.components} == {
        (32 * 64 + 32 + 576, 32 * 64)
    }


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"_class_name": "EvilPipeline"}, "class"), ({"_class_name": ["x"]}, "class"),
        ({"unet": "unet"}, "class of unet"),
        ({"unet": ["diffusers", "OtherUNet"]}, "does not know"), ({"text_encoder": ["x", "y"]}, "known there"),
        ({str(number): [None, None] for number in range(40)}, "components"),
    ],
)  # fmt: skip
def test_what_gpucheck_does_not_know_is_told(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    """By the sentence of an error, not by a guess."""
    with pytest.raises(UsageError, match=word):
        local_model(str(write_pipeline(tmp_path / "mine", **changes)))


@pytest.mark.parametrize("value", [None, 0, -1, "320", [320, 10**9], [], True, [1] * 100, 1e400])
def test_absurd_numbers_are_refused(tmp_path: Path, value: Any) -> None:
    """Channels that no model has, or that are no numbers."""
    folder = write_pipeline(tmp_path / "mine")
    (folder / "unet" / "config.json").write_text(json.dumps({"block_out_channels": value}))
    with pytest.raises(UsageError, match="plausible"):
        local_model(str(folder))


@pytest.mark.parametrize("change", [{"down_block_types": None}, {"down_block_types": ["a"]}, {"layers_per_block": [2]},
                                    {"mlp_ratio": float("nan")}, {"mlp_ratio": 1e300}])  # fmt: skip
def test_what_the_formulas_read_is_checked_too(tmp_path: Path, change: dict[str, Any]) -> None:
    """Lists where numbers belong, numbers that are none."""
    folder = write_pipeline(tmp_path / "mine")
    config = {"block_out_channels": [8, 8], "down_block_types": ["DownBlock2D"] * 2, **change}
    (folder / "unet" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="plausible"):
        local_model(str(folder))


def test_a_local_pipeline_is_estimated(tmp_path: Path) -> None:
    """With its own weights: a fit names them."""
    found = gpucheck.estimate(str(write_pipeline(tmp_path / "mine")))
    assert (found.engine, found.memory.weights_bytes) == ("diffusers", 3 * 2 * (32 * 64 + 32 + 576))


def test_missing_weights_are_told(tmp_path: Path) -> None:
    """A pipeline of configurations alone has no counts."""
    folder = write_pipeline(tmp_path / "mine")
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UsageError, match="no weights"):
        local_model(str(folder))
