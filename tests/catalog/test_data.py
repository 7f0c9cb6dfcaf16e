from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parents[2] / "gpucheck" / "catalog" / "data"
Row = dict[str, Any]

TEXT = {
    "id", "name", "vendor", "segment", "architecture", "chip", "compute_capability", "gfx_target",
    "memory_type", "tensor_basis", "link_gen", "document", "confidence", "source",
}  # fmt: skip
LISTS = {"driver_names", "vram_gib", "reported_mib", "pci_device_ids"}
# key: lowest and highest value that a real card can have
RANGES: dict[str, tuple[float, float]] = {
    "memory_bus_bits": (64, 8192),
    "memory_clock_mhz": (400, 20000),
    "bandwidth_gbs": (10, 9000),
    "l2_cache_mib": (0.25, 512),
    "infinity_cache_mib": (0, 256),
    "sm_cu_count": (1, 320),
    "shader_cores": (64, 26000),
    "matrix_cores": (0, 1300),
    "matrix_core_gen": (1, 5),
    "boost_mhz": (500, 3400),
    "fp64_tflops": (0.01, 170),
    "fp32_tflops": (0.2, 170),
    "tf32_tflops": (2, 1400),
    "fp16_tflops": (0.009, 2600),
    "fp16_fp16acc_tflops": (0.009, 2600),
    "bf16_tflops": (4, 2600),
    "fp8_tflops": (50, 5300),
    "fp4_tflops": (100, 15000),
    "int8_tops": (1, 5300),
    "link_gbs": (0, 1800),
    "pcie_gen": (1, 6),
    "pcie_lanes": (4, 16),
    "tdp_w": (5, 1400),
    "release_year": (2012, 2026),
    "units_per_board": (2, 4),
    "seen_as": (2, 2),
}
FLAGS = {"memory_shared"}
KNOWN = TEXT | LISTS | FLAGS | RANGES.keys()
VENDORS = ["NVIDIA", "AMD", "Intel", "Apple"]
SEGMENTS = {"datacenter", "workstation", "consumer", "laptop", "embedded", "apu", "soc"}
DOCUMENT_NAMES = {
    "A100", "H100", "H200", "GH200", "MI250", "MI300X", "A40", "A30", "A6000", "V100", "L4", "T4", "K80",
    "M60", "P100", "A4000", "RTX 3070", "RTX 4090", "RTX 4000",
}  # fmt: skip

# compute capability: cores and tensor cores per multiprocessor, fp64 divisor
PER_SM = {
    "3.5": (192, 0, 3), "3.7": (192, 0, 3), "5.0": (128, 0, 32), "5.2": (128, 0, 32), "5.3": (128, 0, 32),
    "6.0": (64, 0, 2), "6.1": (128, 0, 32), "6.2": (128, 0, 32), "7.0": (64, 8, 2), "7.2": (64, 8, 32),
    "7.5": (64, 8, 32), "8.0": (64, 4, 2), "8.6": (128, 4, 64), "8.7": (128, 4, 64), "8.9": (128, 4, 64),
    "9.0": (128, 4, 2), "10.0": (128, 4, 2), "10.3": (128, 4, 64), "11.0": (128, 4, 64), "12.0": (128, 4, 64),
    "12.1": (128, 4, 64),
}  # fmt: skip
# compute capability: dense fp16 flop per clock and multiprocessor, with the tensor clock's share of boost
FP16_PER_SM = {
    "7.0": 1024, "7.5": 1024, "8.0": 2048, "8.6": 1024, "8.7": 2048, "8.9": 1024, "9.0": 4096 * 0.924,
    "10.0": 8192 * 0.944, "12.0": 1024,
}  # fmt: skip
FP16_PER_CU = {
    "GCN3.0": 128, "GCN4.0": 128, "GCN5.0": 256, "GCN5.1": 256, "RDNA": 256, "RDNA2": 256, "RDNA3": 512,
    "RDNA3.5": 512, "RDNA4": 1024, "CDNA": 1024, "CDNA2": 1024, "CDNA3": 2048, "CDNA4": 4096, "Xe-HPG": 2048,
    "Xe2-HPG": 2048, "Xe-HPC": 4096,
}  # fmt: skip
DUAL_ISSUE = {"RDNA3", "RDNA3.5", "RDNA4", "CDNA3", "CDNA4"}

# (id, field): why the row is right although the formula says otherwise
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("titan-v", "fp16_tflops"): "NVIDIA states 110, below the rate at boost",
    ("h100-nvl", "fp16_tflops"): "NVIDIA states figures at a lower tensor clock",
    ("h200-nvl", "fp16_tflops"): "NVIDIA states figures at a lower tensor clock",
    ("l40", "fp16_tflops"): "half the tensor rate of the L40S by design",
    ("l20", "fp16_tflops"): "half the tensor rate of the L40S by design",
    ("h20", "fp64_tflops"): "export part with reduced fp64",
    ("h20-3e", "fp64_tflops"): "export part with reduced fp64",
    ("h800-sxm", "fp64_tflops"): "export part with reduced fp64",
    ("h800-pcie", "fp64_tflops"): "export part with reduced fp64",
    ("b300", "int8_tops"): "Blackwell Ultra cut int8",
    ("gb300", "int8_tops"): "Blackwell Ultra cut int8",
    ("b300", "fp4_tflops"): "Blackwell Ultra raised fp4",
    ("gb300", "fp4_tflops"): "Blackwell Ultra raised fp4",
    ("mi100", "bf16_tflops"): "CDNA 1 runs bf16 at half the fp16 rate",
    ("jetson-agx-thor", "matrix_cores"): "NVIDIA states 96 for 20 multiprocessors",
    ("jetson-t4000", "matrix_cores"): "NVIDIA states 64 for 12 multiprocessors",
}


def load() -> list[Row]:
    """Read the rows with the standard library alone, as the data must allow."""
    lines = (DATA / "gpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


ROWS = load()


def each(condition: Any = lambda _row: True) -> Any:
    """Run a test once for every row that meets the condition."""
    chosen = [row for row in ROWS if condition(row)]
    return pytest.mark.parametrize("row", chosen, ids=[row["id"] for row in chosen])


def normalised(name: str) -> str:
    """A driver name without case, trademark signs and vendor words."""
    words = re.sub(r"\((r|tm)\)", " ", name.lower())
    return " ".join(w for w in re.findall(r"[a-z0-9.+]+", words) if w not in {"nvidia", "amd", "intel"})


def fp16_rate(row: Row) -> float:
    """Dense fp16 operations per clock and multiprocessor, unit or Xe core; 0 without a rule."""
    if row["vendor"] == "NVIDIA":
        return FP16_PER_SM.get(row["compute_capability"], 0) if row.get("matrix_cores") else 0
    return FP16_PER_CU.get(row["architecture"], 0)


def near(row: Row, field: str, expected: float, tolerance: float) -> bool:
    """Whether the field is absent, excepted, or within the relative tolerance of the formula."""
    if (row["id"], field) in EXCEPTIONS or field not in row:
        return True
    return abs(row[field] - expected) <= tolerance * expected


def test_the_catalogue_covers_every_vendor() -> None:
    """The catalogue holds several hundred cards, of all four vendors."""
    counts = Counter(row["vendor"] for row in ROWS)
    assert list(dict.fromkeys(row["vendor"] for row in ROWS)) == VENDORS
    assert counts["NVIDIA"] >= 200
    assert counts["AMD"] >= 70
    assert counts["Intel"] >= 20
    assert counts["Apple"] >= 20


def test_ids_are_unique() -> None:
    """No two rows share an id, and ids are lower case."""
    ids = [row["id"] for row in ROWS]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", i) for i in ids)


def test_rows_are_in_the_documented_order() -> None:
    """Rows are sorted by vendor, release year and id, so that additions make small diffs."""
    keys = [(VENDORS.index(row["vendor"]), row["release_year"], row["id"]) for row in ROWS]
    assert keys == sorted(keys)


@each()
def test_keys_and_types(row: Row) -> None:
    """Every key is a known one, of its type; required ones are there, and nothing is null or empty."""
    assert row.keys() <= KNOWN
    assert {"id", "name", "vendor", "segment", "architecture", "release_year"} <= row.keys()
    for key, value in row.items():
        if key in TEXT:
            assert isinstance(value, str), key
        elif key in LISTS:
            assert isinstance(value, list), key
        elif key in FLAGS:
            assert value is True, key
        else:
            assert isinstance(value, int | float), key
            assert not isinstance(value, bool), key
        assert value not in ("", []), key
    assert row["segment"] in SEGMENTS


@each()
def test_every_row_says_where_it_comes_from(row: Row) -> None:
    """Every row has a confidence letter and a source."""
    assert row["confidence"] in {"A", "B", "C"}
    assert len(row["source"]) > 5


@each()
def test_figures_are_in_range(row: Row) -> None:
    """No figure is outside what real cards have, which catches a wrong unit."""
    for key, (low, high) in RANGES.items():
        if key in row:
            assert low <= row[key] <= high, key


def test_one_driver_name_and_size_means_one_card() -> None:
    """No two rows share a normalised driver name and a memory size: a probe finds one card or none."""
    owners: dict[tuple[str, float], str] = {}
    clashes = []
    for row in ROWS:
        for name in {normalised(n) for n in row.get("driver_names", [])}:
            for size in row.get("vram_gib", [0]):
                other = owners.setdefault((name, size), row["id"])
                if other != row["id"]:
                    clashes.append((name, size, other, row["id"]))
    assert clashes == []


def test_product_names_are_unique() -> None:
    """No two rows have the same product name."""
    counts = Counter(normalised(row["name"]) for row in ROWS)
    assert [name for name, count in counts.items() if count > 1] == []


@each(lambda row: "driver_names" in row)
def test_driver_names_are_listed_once(row: Row) -> None:
    """A driver name is not repeated with and without the vendor's name."""
    names = [normalised(name) for name in row["driver_names"]]
    assert len(names) == len(set(names))


@each(lambda row: "vram_gib" in row)
def test_memory_sizes(row: Row) -> None:
    """Memory sizes are positive and ascending; what a driver reports is within 7.5 % of the nominal size."""
    sizes = row["vram_gib"]
    assert sizes == sorted(set(sizes))
    assert 1 <= sizes[0] <= sizes[-1] <= 512
    if "reported_mib" in row:
        assert len(row["reported_mib"]) == len(sizes)
        for reported, nominal in zip(row["reported_mib"], sizes, strict=True):
            assert abs(reported - 1024 * nominal) <= 0.075 * 1024 * nominal


@each(lambda row: "pci_device_ids" in row)
def test_device_ids_are_hexadecimal(row: Row) -> None:
    """PCI device ids are four lower-case hexadecimal digits, each listed once."""
    assert all(re.fullmatch(r"[0-9a-f]{4}", device) for device in row["pci_device_ids"])
    assert len(row["pci_device_ids"]) == len(set(row["pci_device_ids"]))


def test_cards_that_share_an_nvidia_device_id_share_the_chip() -> None:
    """Where NVIDIA uses one device id for several cards, they are built on the same chip."""
    chips: dict[str, set[str]] = {}
    for row in ROWS:
        if row["vendor"] == "NVIDIA":
            for device in row.get("pci_device_ids", []):
                chips.setdefault(device, set()).add(row["chip"])
    assert {device: found for device, found in chips.items() if len(found) > 1} == {}


def test_every_document_card_is_there() -> None:
    """Each of the nineteen cards of the project's document has a row, and no other document name occurs."""
    assert {row["document"] for row in ROWS if "document" in row} == DOCUMENT_NAMES


@each(lambda row: "document" in row)
def test_document_cards_are_named_after_the_document(row: Row) -> None:
    """A card marked as one of the document's is a variant of it, never a laptop part."""
    word = row["document"].split()[-1]
    assert word in re.split(r"[\s()]+|(?<=[0-9])(?=S )", row["name"])
    assert row["segment"] != "laptop"


@each(lambda row: row["vendor"] == "NVIDIA")
def test_nvidia_rows_follow_the_compute_capability(row: Row) -> None:
    """Cores and tensor cores follow the multiprocessor count; fp64 follows fp32."""
    cores, tensor, divisor = PER_SM[row["compute_capability"]]
    assert "gfx_target" not in row
    if "sm_cu_count" in row:
        assert row["shader_cores"] == cores * row["sm_cu_count"]
        if row.get("matrix_cores"):
            assert near(row, "matrix_cores", tensor * row["sm_cu_count"], 0)
    if "fp32_tflops" in row:
        assert near(row, "fp64_tflops", row["fp32_tflops"] / divisor, 0.05)


@each(lambda row: row["vendor"] == "AMD")
def test_amd_rows_have_a_target(row: Row) -> None:
    """AMD rows name the LLVM target, and a compute unit has 64 shaders."""
    assert re.fullmatch(r"gfx[0-9a-f]{3,4}", row["gfx_target"])
    assert "compute_capability" not in row
    assert row["shader_cores"] == 64 * row["sm_cu_count"]


@each(lambda row: row["vendor"] in {"Intel", "Apple"} and "sm_cu_count" in row)
def test_intel_and_apple_cores_have_128_lanes(row: Row) -> None:
    """An Xe core and an Apple GPU core have 128 fp32 lanes."""
    assert row["shader_cores"] == 128 * row["sm_cu_count"]


@each(lambda row: "memory_clock_mhz" in row)
def test_bandwidth_follows_the_memory_clock(row: Row) -> None:
    """Bandwidth is twice bus width times memory clock, as NVML's clock is normalised."""
    assert near(row, "bandwidth_gbs", 2 * row["memory_bus_bits"] * row["memory_clock_mhz"] / 8000, 0.01)


@each(lambda row: "fp32_tflops" in row and "boost_mhz" in row and "shader_cores" in row)
def test_fp32_follows_cores_and_clock(row: Row) -> None:
    """The fp32 rate is two operations per core and clock, four on dual-issue AMD cores."""
    per_clock = 4 if row["architecture"] in DUAL_ISSUE else 2
    assert near(row, "fp32_tflops", row["shader_cores"] * per_clock * row["boost_mhz"] / 1e6, 0.03)


@each(lambda row: {"fp16_tflops", "boost_mhz", "sm_cu_count"} <= row.keys() and fp16_rate(row))
def test_fp16_follows_the_matrix_rate(row: Row) -> None:
    """The dense fp16 rate is units times rate times clock, and GeForce halves it with fp32 accumulation."""
    full = row["sm_cu_count"] * fp16_rate(row) * row["boost_mhz"] / 1e6
    halved = "GeForce" in row["name"] and row["vendor"] == "NVIDIA"
    assert near(row, "fp16_tflops", full / 2 if halved else full, 0.025)
    if (row["id"], "fp16_tflops") not in EXCEPTIONS:
        assert near(row, "fp16_fp16acc_tflops", full, 0.025)


@each(lambda row: row.get("compute_capability") in {"6.0", "6.1", "7.5"} and row.get("matrix_cores") == 0)
def test_fp16_without_tensor_cores_follows_fp32(row: Row) -> None:
    """Cards without tensor cores run fp16 at twice the fp32 rate, consumer Pascal at one sixty-fourth."""
    if "fp32_tflops" in row:
        factor = 1 / 64 if row["compute_capability"] == "6.1" else 2
        assert near(row, "fp16_tflops", factor * row["fp32_tflops"], 0.02)


@each(lambda row: row.get("matrix_cores") and "fp16_tflops" in row)
def test_matrix_rates_keep_their_ratios(row: Row) -> None:
    """Other number formats run at fixed multiples of the fp16 rate."""
    fp16, full = row["fp16_tflops"], row.get("fp16_fp16acc_tflops", row["fp16_tflops"])
    assert near(row, "bf16_tflops", fp16, 0.02)
    assert near(row, "tf32_tflops", fp16 / 2, 0.02)
    assert near(row, "fp8_tflops", 2 * fp16, 0.02)
    if row["vendor"] == "NVIDIA":
        assert near(row, "int8_tops", 2 * full, 0.02)
        assert near(row, "fp4_tflops", 4 * full, 0.02)


@each(lambda row: row["vendor"] == "NVIDIA")
def test_formats_exist_only_where_the_hardware_has_them(row: Row) -> None:
    """bf16 and tf32 start with Ampere, fp8 with Ada and Hopper, fp4 with Blackwell."""
    capability = tuple(int(part) for part in row["compute_capability"].split("."))
    if capability < (8, 0):
        assert "bf16_tflops" not in row
        assert "tf32_tflops" not in row
    if capability < (8, 9):
        assert "fp8_tflops" not in row
    if capability < (10, 0):
        assert "fp4_tflops" not in row


@each(lambda row: any(key in row for key in ("fp16_tflops", "bf16_tflops", "fp8_tflops", "int8_tops")))
def test_tensor_figures_say_how_they_were_found(row: Row) -> None:
    """Rows with matrix figures say whether a vendor states them or a formula gives them."""
    assert row["tensor_basis"] in {"stated", "formula"}


def test_every_exception_is_still_needed() -> None:
    """Each exception names a row and a field that exist and a reason."""
    rows = {row["id"]: row for row in ROWS}
    for (card, field), reason in EXCEPTIONS.items():
        assert field in rows[card]
        assert reason


def test_apple_bins_differ_in_memory() -> None:
    """An Apple chip name and a memory size name one row, also where the chip has two bandwidths."""
    sizes = {row["id"]: row["vram_gib"] for row in ROWS if row["vendor"] == "Apple"}
    assert not set(sizes["apple-m4-max"]) & set(sizes["apple-m4-max-32"])
    assert not set(sizes["apple-m3-max"]) & set(sizes["apple-m3-max-30"])
    assert 128 in sizes["apple-m4-max"]


def test_pci_names_are_well_formed() -> None:
    """The PCI extract has three columns, hexadecimal ids, no duplicates, and stays small."""
    path = DATA / "pci_ids.tsv"
    assert path.stat().st_size <= 120_000
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = [line.split("\t") for line in lines]
    assert all(len(row) == 3 and row[2].strip() for row in rows)
    assert all(re.fullmatch(r"[0-9a-f]{4}", field) for row in rows for field in row[:2])
    assert len({(row[0], row[1]) for row in rows}) == len(rows)
    assert [(row[0], row[1]) for row in rows] == sorted((row[0], row[1]) for row in rows)


def test_pci_names_know_real_and_virtual_adapters() -> None:
    """The PCI extract names GPUs of every vendor, virtual displays and management controllers."""
    names = {}
    for line in (DATA / "pci_ids.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            vendor, device, name = line.split("\t")
            names[vendor, device] = name
    assert "H100" in names["10de", "2330"]
    assert "MI300X" in names["1002", "74a1"]
    assert "B580" in names["8086", "e20b"]
    assert "Gaudi2" in names["1da3", "1020"]
    assert {("1234", "1111"), ("1af4", "1050"), ("1b36", "0100"), ("15ad", "0405")} <= names.keys()
    assert {("1414", "5353"), ("1013", "00b8"), ("1a03", "2000"), ("102b", "0534")} <= names.keys()
    assert not [name for name in names.values() if "Audio" in name]


def test_notice_credits_the_sources() -> None:
    """The notice carries the pci.ids licence text and credits every source."""
    notice = (DATA / "NOTICE").read_text(encoding="utf-8")
    for word in ("PCI ID", "BSD", "Epoch AI", "CC BY 4.0", "aiconfigurator", "ROCm", "open-gpu-kernel"):
        assert word in notice
