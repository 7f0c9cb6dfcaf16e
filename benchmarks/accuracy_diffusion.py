"""How well gpucheck's memory of diffusion pipelines agrees with published figures and with diffusers' own classes.

    python benchmarks/accuracy_diffusion.py [--rows]

`truth/diffusion.csv` holds what makers of diffusers have published, `truth/diffusers_oracle.csv` what
diffusers_oracle.py followed, and `truth/memory.csv` what stable-diffusion.cpp prints of FLUX.1-dev's weights. A figure
is of the weights once loaded, of the most that torch's allocator gave out (allocated) or asked for (reserved). Where a
page does not say which, it counts as reserved. Contexts of the device are in none of them.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

from memory_rows import Score, groups, middle_and_p90, truths

from gpucheck.estimators.diffusion.decoder import Frame, decoding
from gpucheck.estimators.diffusion.denoiser import Job, denoiser_elements
from gpucheck.estimators.diffusion.encoder import encoder_elements
from gpucheck.estimators.diffusion.estimate import estimate_pipeline
from gpucheck.estimators.diffusion.weights import component_bytes, packing_of
from gpucheck.estimators.setting import make_setting
from gpucheck.models.pipelines import Component, Pipeline, model_of_pipeline, pipelines
from gpucheck.models.quantization import find_quantization

HERE = Path(__file__).parent
PUBLISHED = HERE / "truth" / "diffusion.csv"
ORACLE = HERE / "truth" / "diffusers_oracle.csv"
_VIDEO = frozenset({"AutoencoderKLWan", "AutoencoderKLQwenImage"})


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _entries() -> dict[str, Pipeline]:
    return {entry.id: entry for entry in pipelines()}


def published() -> list[Score]:
    """The figures of `truth/diffusion.csv`."""
    entries, found = _entries(), []
    for row in _read(PUBLISHED):
        if row["measure"] == "not scored":
            continue
        entry, given = entries[row["model"]], dict(word.split("=") for word in row["options"].split())
        quant = find_quantization(row["quant"])
        name = f"{entry.id.rpartition('/')[2]} {row['quant']} {row['options']}"
        if row["measure"] == "weights":
            component = next(each for each in entry.components if each.name == given["component"])
            size = component_bytes(component, None, 2)
            found.append(Score("weights of components, published", name, int(row["bytes"]), size, size, size))
            continue
        options = {key: value for key, value in given.items() if key != "component"}
        setting = make_setting(1, int(row["batch"]), "diffusers", options)
        found.append(_score(row, name, estimate_pipeline(model_of_pipeline(entry), quant, setting)))
    return found


def _score(row: dict[str, str], name: str, estimate: Any) -> Score:
    on_gpu = [each for each in estimate.rows if each.device == "gpu"]
    weights = [each for each in on_gpu if each.component == "weights"]
    total = sum(each.bytes for each in weights)
    truth = int(row["bytes"])
    if row["measure"] == "loaded":
        return Score(
            "weights once loaded, published", name, truth, total, total, sum(each.high_bytes for each in weights)
        )
    compute = next(each for each in on_gpu if each.component == "compute")
    kept = max(each.high_bytes for each in on_gpu if each.component == "overhead" and not each.bytes)
    low, high = total + compute.low_bytes, total + compute.high_bytes
    if row["measure"] == "allocated":
        return Score("peak allocated, published", name, truth, total + compute.bytes, low, high)
    sure = "reserved" if row["quality"] == "A" else "not said"
    return Score(f"peak {sure}, published", name, truth, total + compute.bytes + kept, low, high + kept)


def followed() -> list[Score]:
    """Activations of each component against diffusers' own class; without the workspace of convolutions."""
    entries, found = _entries(), []
    for row in _read(ORACLE):
        entry = entries[row["pipeline"]]
        component = next(each for each in entry.components if each.name == row["component"])
        guess = _followed(entry, component, row)
        kind = "text encoders" if component.encodes else "denoisers" if component.denoises else "decoders"
        kind += " in tiles" if row["options"] else ""
        name = f"{entry.id.rpartition('/')[2]} {row['height']}x{row['width']}x{row['latent_frames']} x{row['batch']}"
        found.append(
            Score(f"{kind}, diffusers oracle", f"{name} {row['dtype']}", int(row["peak_bytes"]), guess, guess, guess)
        )
    return found


def _followed(entry: Pipeline, component: Component, row: dict[str, str]) -> int:
    batch, height, width = int(row["batch"]), int(row["height"]), int(row["width"])
    frames, size = int(row["latent_frames"]), 4 if row["dtype"] == "fp32" else 2
    if component.encodes:
        return size * encoder_elements(component, batch)
    if component.denoises:
        return size * denoiser_elements(component, Job(height, width, frames, batch, entry.text_tokens))
    tiling = bool(row["options"])
    whole = decoding(component, Frame(height, width, frames), batch, size, tiling=tiling).bytes
    if component.kind in _VIDEO:
        return whole
    tiled = tiling and max(height, width) > int(component.config["sample_size"])
    waiting = 3 * height * width * batch * size if tiled else 0
    return round((whole - waiting) * (0.6 if size == 2 else 1)) + waiting


def stable_diffusion_cpp() -> list[Score]:
    """What stable-diffusion.cpp says of the weights of FLUX.1-dev's transformer: vectors stay in 32 bits."""
    entry, found = _entries()["black-forest-labs/FLUX.1-dev"], []
    transformer = next(each for each in entry.components if each.denoises)
    for row in truths():
        if row["engine"] == "stable-diffusion.cpp":
            size = component_bytes(transformer, packing_of(_plain(row["quant"])), 2)
            found.append(Score("weights, stable-diffusion.cpp", row["quant"], int(row["bytes"]), size, size, size))
    return found


def _plain(name: str) -> Any:
    """The quantization of that name; a block type that is no name of a file counts as its small mix."""
    return find_quantization(name if name in {"Q8_0", "Q4_0", "Q2_K"} else f"{name}_S")


def main() -> None:
    """Print a line for each group, and with --rows one for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", action="store_true", help="every figure")
    options = parser.parse_args()
    scores = [*published(), *stable_diffusion_cpp(), *followed()]
    print(f"{'group':42} {'n':>4} {'median':>8} {'p90':>8} {'worst':>8} {'inside':>7}")
    for group, each in groups(scores).items():
        middle, p90 = middle_and_p90(each)
        worst = max((score.error for score in each), key=abs)
        inside = sum(score.inside for score in each) / len(each)
        print(f"{group:42} {len(each):4} {middle:8.2%} {p90:8.2%} {worst:+8.2%} {inside:7.0%}")
        for score in each if options.rows else ():
            print(f"    {score.error:+8.2%}  {score.truth / 2**30:8.2f} GiB  {score.name}")


if __name__ == "__main__":
    main()
