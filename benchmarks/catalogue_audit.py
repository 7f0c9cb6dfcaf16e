"""Print where a catalogue row disagrees with the formulas its figures should follow.

Run it from the repository root after editing the catalogue. Every line is a row, the field, the
stated figure, the figure by formula, and the difference. A disagreement is a question, not a verdict:
export models and halved parts differ on purpose, and the catalogue tests list those with reasons.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent.parent / "gpucheck" / "catalog" / "data" / "gpus.jsonl"
THRESHOLD = 0.015

# compute capability: cores per multiprocessor, tensor cores per multiprocessor, fp16 flop per clock and
# multiprocessor, fp64 divisor
NVIDIA: dict[str, tuple[int, int, int, int]] = {
    "3.5": (192, 0, 0, 3),
    "3.7": (192, 0, 0, 3),
    "5.0": (128, 0, 0, 32),
    "5.2": (128, 0, 0, 32),
    "6.0": (64, 0, 0, 2),
    "6.1": (128, 0, 0, 32),
    "7.0": (64, 8, 1024, 2),
    "7.2": (64, 8, 1024, 32),
    "7.5": (64, 8, 1024, 32),
    "8.0": (64, 4, 2048, 2),
    "8.6": (128, 4, 1024, 64),
    "8.7": (128, 4, 2048, 64),
    "8.9": (128, 4, 1024, 64),
    "9.0": (128, 4, 3785, 2),
    "10.0": (128, 4, 7733, 2),
    "12.0": (128, 4, 1024, 64),
    "12.1": (128, 4, 1024, 64),
}
AMD_FP16_PER_CU = {
    "GCN5.0": 256,
    "GCN5.1": 256,
    "RDNA": 256,
    "RDNA2": 256,
    "RDNA3": 512,
    "RDNA3.5": 512,
    "RDNA4": 1024,
    "CDNA": 1024,
    "CDNA2": 1024,
    "CDNA3": 2048,
    "CDNA4": 4096,
}
INTEL_FP16_PER_CORE = {"Xe-HPG": 2048, "Xe2-HPG": 2048, "Xe-HPC": 4096}
RATIO_TO_FP16 = {"bf16_tflops": 1.0, "tf32_tflops": 0.5, "fp8_tflops": 2.0}


def load() -> list[dict[str, Any]]:
    """Read every row of the catalogue."""
    return [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]


def expected(row: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield each field of the row that a formula predicts, with the prediction."""
    units, boost = row.get("sm_cu_count"), row.get("boost_mhz")
    if "memory_clock_mhz" in row and row["segment"] != "embedded":
        yield "bandwidth_gbs", 2 * row["memory_bus_bits"] * row["memory_clock_mhz"] / 8000
    rule = NVIDIA.get(row.get("compute_capability", ""))
    if rule and units:
        yield "shader_cores", units * rule[0]
        if row.get("matrix_cores"):
            yield "matrix_cores", units * rule[1]
    if row["vendor"] in {"AMD", "Apple", "Intel"} and units:
        yield "shader_cores", units * (64 if row["vendor"] == "AMD" else 128)
    if boost and "shader_cores" in row:
        dual = 2 if row["architecture"] in {"RDNA3", "RDNA3.5", "RDNA4", "CDNA3", "CDNA4"} else 1
        yield "fp32_tflops", row["shader_cores"] * 2 * dual * boost / 1e6
    if "fp32_tflops" in row and rule:
        yield "fp64_tflops", row["fp32_tflops"] / rule[3]
    per_unit = rule[2] if rule else AMD_FP16_PER_CU.get(row["architecture"], 0)
    per_unit = per_unit or INTEL_FP16_PER_CORE.get(row["architecture"], 0)
    if boost and units and per_unit and (row["vendor"] != "NVIDIA" or row.get("matrix_cores")):
        full = units * per_unit * boost / 1e6
        yield "fp16_fp16acc_tflops", full
        halved = "GeForce" in row["name"] and row.get("compute_capability") in {"7.5", "8.6", "8.9", "12.0"}
        yield "fp16_tflops", full / 2 if halved else full
    if row.get("matrix_cores") and "fp16_tflops" in row:
        for field, ratio in RATIO_TO_FP16.items():
            yield field, ratio * row["fp16_tflops"]
        if row["vendor"] == "NVIDIA":
            yield "int8_tops", 2 * row["fp16_fp16acc_tflops"]


def disagreements(row: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Yield field, stated figure and formula figure wherever they differ by more than the threshold."""
    for field, value in expected(row):
        stated = row.get(field)
        if stated is not None and abs(stated - value) > THRESHOLD * value:
            yield field, stated, value


def main() -> None:
    """Print every disagreement, then the number of rows with one."""
    rows = load()
    touched = 0
    for row in rows:
        found = list(disagreements(row))
        touched += bool(found)
        for field, stated, value in found:
            excess = 100 * (stated / value - 1)
            print(f"{row['id']:24} {field:22} {stated:>10} {value:>10.2f} {excess:+6.1f} %")
    print(f"{touched} of {len(rows)} rows disagree with a formula by more than {100 * THRESHOLD:.1f} %")


if __name__ == "__main__":
    main()
