"""Diffusion pipelines against diffusers' own classes and published figures, and what options do to them."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest

import gpucheck
from gpucheck.errors import UsageError
from gpucheck.estimators.diffusion.decoder import Frame, decoding
from gpucheck.estimators.diffusion.denoiser import Job, denoiser_elements
from gpucheck.estimators.diffusion.estimate import estimate_pipeline
from gpucheck.estimators.diffusion.options import DiffusersOptions, parse_options
from gpucheck.estimators.diffusion.weights import component_bytes, packing_of
from gpucheck.estimators.encoders.rows import encoder_elements
from gpucheck.estimators.rows import Estimate
from gpucheck.estimators.setting import make_setting
from gpucheck.models.catalogue import model_of
from gpucheck.models.pipelines import model_of_pipeline, pipelines
from gpucheck.models.quantization import find_quantization
from gpucheck.units import GIB

TRUTH = Path(__file__).parents[2] / "benchmarks" / "truth"
ENTRIES = {entry.id: entry for entry in pipelines()}
FLUX, SDXL, SD3 = (
    "black-forest-labs/FLUX.1-dev",
    "stabilityai/stable-diffusion-xl-base-1.0",
    "stabilityai/stable-diffusion-3-medium-diffusers",
)


def read(name: str) -> list[dict[str, str]]:
    """The rows of a truth table."""
    with (TRUTH / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def need(pipeline: str, quant: str = "bf16", batch: int = 1, **options: object) -> Estimate:
    """The estimate of a pipeline under these options."""
    setting = make_setting(1, batch, "diffusers", options)
    return estimate_pipeline(model_of_pipeline(ENTRIES[pipeline]), find_quantization(quant), setting)


DENOISERS = [row for row in read("diffusers_oracle.csv") if row["component"].startswith(("transformer", "unet"))]
DECODERS = [row for row in read("diffusers_oracle.csv") if row["component"] == "vae"]


@pytest.mark.parametrize("row", DENOISERS, ids=lambda row: f"{row['pipeline']}-{row['height']}-{row['batch']}")
def test_a_step_needs_what_diffusers_classes_allocate(row: dict[str, str]) -> None:
    """Tensor by tensor, within 4 %, at every size, length and batch."""
    entry = ENTRIES[row["pipeline"]]
    component = next(each for each in entry.components if each.name == row["component"])
    job = Job(int(row["height"]), int(row["width"]), int(row["latent_frames"]), int(row["batch"]), entry.text_tokens)
    assert 2 * denoiser_elements(component, job) == pytest.approx(int(row["peak_bytes"]), rel=0.04)


@pytest.mark.parametrize(
    "row",
    [row for row in DECODERS if row["dtype"] == "fp32"],
    ids=lambda row: f"{row['pipeline']}-{row['height']}-{row['batch']}-{row['options']}",
)
def test_a_decoder_in_32_bits_needs_what_diffusers_classes_allocate(row: dict[str, str]) -> None:
    """Within 5 %, within 16 % in tiles of a video, whose joining is bounded and not followed."""
    component = next(each for each in ENTRIES[row["pipeline"]].components if each.name == "vae")
    frame = Frame(int(row["height"]), int(row["width"]), int(row["latent_frames"]))
    found = decoding(component, frame, int(row["batch"]), 4, tiling=bool(row["options"]))
    near = 0.16 if row["options"] and frame.frames > 1 else 0.05
    assert found.bytes == pytest.approx(int(row["peak_bytes"]), rel=near)


@pytest.mark.parametrize("row", read("encoders_oracle.csv"), ids=lambda row: f"{row['model']}-{row['batch']}")
def test_encoders_need_what_transformers_classes_allocate(row: dict[str, str]) -> None:
    """Sentence encoders and Whisper's, within 0.1 %."""
    model = model_of(row["model"])
    heard = next((part.architecture for part in model.parts if part.role == "audio"), None)
    shape = heard or model.architecture
    assert shape
    elements = encoder_elements(shape, int(row["tokens"]), audio=heard is not None)
    assert 2 * int(row["batch"]) * elements == pytest.approx(int(row["peak_bytes"]), rel=0.001)


@pytest.mark.parametrize("row", [row for row in read("memory.csv") if row["engine"] == "stable-diffusion.cpp"],
                         ids=lambda row: row["quant"])  # fmt: skip
def test_gguf_weights_are_those_that_stable_diffusion_cpp_prints(row: dict[str, str]) -> None:
    """Matrices in blocks, the rest in 32 bits, within 0.02 %."""
    transformer = next(each for each in ENTRIES[FLUX].components if each.denoises)
    pure = row["quant"] in {"Q8_0", "Q4_0", "Q2_K"}
    quant = find_quantization(row["quant"] if pure else f"{row['quant']}_S")
    assert component_bytes(transformer, packing_of(quant), 2) == pytest.approx(int(row["bytes"]), rel=0.0002)


def test_flux_in_16_bits_asks_the_allocator_for_what_was_published() -> None:
    """36.166 GiB of max_memory_reserved on an H100 (huggingface/blog, diffusers-quantization.md)."""
    rows = need(FLUX, height=1024, width=1024).rows
    context = next(row.bytes for row in rows if row.detail == "one device context")
    kept = max(row.high_bytes for row in rows if not row.bytes)
    assert sum(row.bytes for row in rows) - context + kept == pytest.approx(36.166 * GIB, rel=0.01)


def test_model_offload_keeps_one_encoder_beside_the_last() -> None:
    """12.06 GiB for SD3 in fp16 (huggingface/blog, sd3.md): T5, with its wo in 32 bits, and CLIP bigG."""
    on_gpu = need(SD3, "fp16", offload="model").on("gpu")
    assert on_gpu.weights_bytes + on_gpu.compute_bytes == pytest.approx(12.0645 * GIB, rel=0.01)
    assert {row.detail.partition(":")[0] for row in on_gpu.rows if row.component == "weights"} == {
        "text_encoder_2", "text_encoder_3",
    }  # fmt: skip


@pytest.mark.parametrize("pipeline", sorted(ENTRIES))
def test_offload_needs_ever_less_of_the_gpu_and_loses_no_weights(pipeline: str) -> None:
    """None, model, sequential; what is not on the GPU is on the host."""
    found = [need(pipeline, offload=offload) for offload in ("none", "model", "sequential")]
    assert all(more.sums.gpu >= less.sums.gpu for more, less in pairwise(found))
    assert len({each.weights_bytes for each in found}) == 1
    assert found[0].sums.host == 0 < found[1].sums.host


@pytest.mark.parametrize("pipeline", sorted(ENTRIES))
def test_more_pixels_and_images_never_need_less(pipeline: str) -> None:
    """Up to 2048 x 2048 and a batch of 4, with and without tiles."""
    for tiling in (False, True):
        sides = [
            need(pipeline, height=side, width=side, vae_tiling=tiling).total_bytes for side in (256, 512, 1024, 2048)
        ]
        batches = [need(pipeline, batch=batch, vae_tiling=tiling).total_bytes for batch in (1, 2, 4)]
        assert sides == sorted(sides)
        assert batches == sorted(batches)


@pytest.mark.parametrize("pipeline", sorted(ENTRIES))
def test_tiles_slices_and_fewer_bits_never_need_more(pipeline: str) -> None:
    """For four images of 2048 x 2048."""
    size = {"height": 2048, "width": 2048, "batch": 4}
    whole = need(pipeline, **size)  # type: ignore[arg-type]
    for options in ({"vae_tiling": True}, {"vae_slicing": True}):
        assert need(pipeline, **size, **options).total_bytes <= whole.total_bytes  # type: ignore[arg-type]
    sizes = [need(pipeline, quant).weights_bytes for quant in ("fp32", "bf16", "fp8", "nf4")]
    assert sizes == sorted(sizes, reverse=True)


def test_guidance_doubles_the_step_where_both_halves_are_one_batch() -> None:
    """SDXL, whose step is the peak once the VAE decodes in tiles of a smaller image; FLUX has none to leave."""
    unet = next(each for each in ENTRIES[SDXL].components if each.denoises)
    one, two = (denoiser_elements(unet, Job(1024, 1024, 1, batch, 77)) for batch in (1, 2))
    assert two == 2 * one
    assert need(FLUX, guidance=True).total_bytes == need(FLUX, guidance=False).total_bytes


def test_the_api_and_a_fit_take_pipelines() -> None:
    """By their short names; diffusers is the engine without saying so, and one GPU has to hold it."""
    found = gpucheck.estimate("flux.1-dev", engine="diffusers", options={"height": 1024, "width": 1024})
    assert found.engine == "diffusers"
    assert found.memory.weights_bytes == pytest.approx(33.74e9, rel=0.001)
    machine = gpucheck.simulate("2x RTX 4090", ram="64GiB")
    answer = gpucheck.fit(machine, "flux.1-dev", "bf16")
    assert (answer.engine, answer.fits) == ("diffusers", "no")
    assert any(
        "enable_model_cpu_offload" in change.what or "enable_sequential" in change.what for change in answer.changes
    )
    assert gpucheck.fit(machine, "sdxl", "fp16").fits == "yes"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"steps": 20}, "not an option"), ({"height": 0}, "from 1"), ({"height": "tall"}, "a number"),
        ({"offload": "disk"}, "one of"), ({"vae_tiling": "perhaps"}, "true or false"),
        ({"without": "text_encoder_9"}, "no component"), ({"num_frames": 81}, "makes images"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_told(options: dict[str, object], word: str) -> None:
    """With its name, or what it may be."""
    with pytest.raises(UsageError, match=word):
        need(FLUX, **options)  # type: ignore[arg-type]


def test_engines_and_models_that_do_not_go_together_are_told() -> None:
    """A language model in diffusers, a pipeline in transformers, a format that diffusers does not load."""
    for model, engine, quant in (
        ("8b", "diffusers", None), ("flux.1-dev", "transformers", None), ("flux.1-dev", "diffusers", "awq"),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            gpucheck.estimate(model, quant, engine=engine)


def test_options_are_read_as_words_and_as_values() -> None:
    """As the command line and as Python give them."""
    assert parse_options({"height": "768", "vae_tiling": "true"}) == DiffusersOptions(height=768, vae_tiling=True)


def test_a_sentence_encoder_has_no_cache_and_whisper_hears_before_it_writes() -> None:
    """BGE in 512 of 8,192 tokens; Whisper's encoder on eight recordings is wider than a token of its decoder."""
    encoder = gpucheck.estimate("bge-large-en-v1.5", engine="transformers", batch=8)
    assert encoder.memory.kv_cache_bytes == 0
    assert any("8 x 512 tokens" in row.detail for row in encoder.rows)
    whisper = gpucheck.estimate("whisper-large-v3", engine="transformers", batch=8)
    assert any("the encoder on 30 seconds" in row.detail for row in whisper.rows)
    assert whisper.memory.kv_cache_bytes == 8 * 32 * 2 * 1280 * (448 + 1500) * 2
