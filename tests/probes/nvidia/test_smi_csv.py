"""The parsers of `nvidia-smi --query-gpu` and `nvidia-smi -L`, and of the values in them."""

from __future__ import annotations

import pytest

from gpucheck.probes.nvidia.smi_csv import Listed, parse_csv, parse_list
from gpucheck.probes.nvidia.smi_log import SmiLog
from gpucheck.probes.nvidia.values import pci_address, size_bytes, version, whole
from gpucheck.probes.nvidia.words import library_version, profile_of

MIB = 1 << 20


def test_any_fields_in_any_order_with_units() -> None:
    """The header tells what a column is; unknown columns do not matter."""
    found = parse_csv(
        "memory.total [MiB], pci.bus_id, fan [%], name, compute_cap, power.limit [W], pcie.link.width.max\n"
        "81559 MiB, 00000000:00:09.0, [N/A], NVIDIA H100 80GB HBM3, 9.0, 700.00 W, 16\n"
    )
    (gpu,) = found.facts.gpus
    assert found.issues == ()
    assert (gpu.name, gpu.memory_total_bytes, gpu.compute_capability) == (
        "NVIDIA H100 80GB HBM3",
        81559 * MIB,
        "9.0",
    )
    assert (gpu.pci_address, gpu.power_limit_w, gpu.pcie_max_width) == ("0000:00:09.0", 700.0, 16)
    assert gpu.sources["name"] == "nvidia-smi --query-gpu"


def test_values_without_units() -> None:
    """With nounits the numbers are MiB, MHz and W."""
    (gpu,) = parse_csv("name, memory.total [MiB], clocks.max.memory [MHz]\nTesla T4, 15360, 5001\n").facts.gpus
    assert (gpu.memory_total_bytes, gpu.memory_clock_max_mhz) == (15360 * MIB, 5001)


def test_a_wide_table_of_two_hundred_columns() -> None:
    """A tool that prints all it has gives the same facts."""
    names = [f"extra.{number}" for number in range(200)]
    text = ", ".join(["index", *names, "name", "count"]) + "\n"
    text += ", ".join(["3", *("[N/A]" for _ in names), "NVIDIA H200", "1"]) + "\n"
    (gpu,) = parse_csv(text).facts.gpus
    assert (gpu.driver_index, gpu.name) == (3, "NVIDIA H200")


@pytest.mark.parametrize(
    "absent",
    [
        "[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "[Requested functionality has been deprecated]",
        "ERR!", "[Insufficient Permissions]", "[Not Found]", "",
    ],
)  # fmt: skip
def test_every_spelling_of_absence_is_none(absent: str) -> None:
    """No excuse becomes a number or a name."""
    header = "index, name, uuid, memory.total [MiB], compute_cap, ecc.mode.current, mig.mode.current"
    (gpu,) = parse_csv(f"{header}\n0, {absent}, {absent}, {absent}, {absent}, {absent}, {absent}\n").facts.gpus
    assert gpu.driver_index == 0
    facts = (
        gpu.name,
        gpu.uuid,
        gpu.memory_total_bytes,
        gpu.compute_capability,
        gpu.ecc_enabled,
        gpu.mig_mode,
    )
    assert facts == (None,) * 6


def test_a_lost_gpu_among_others() -> None:
    """Its line is full of the same complaint; the other line stands."""
    lost = "1, [GPU is lost], [GPU is lost], 00000000:02:00.0"
    gpus = parse_csv(
        f"index, name, memory.total, pci.bus_id\n0, Tesla T4, 15360, 00000000:01:00.0\n{lost}\n"
    ).facts.gpus
    assert [gpu.state for gpu in gpus] == ["ok", "lost"]
    assert gpus[1].pci_address == "0000:02:00.0"


def test_driver_610_in_csv() -> None:
    """The new name of the driver's version goes before the old one with its note."""
    text = "name, driver_version, kmd_version\nX, Deprecated use kmd_version, 610.57.04\n"
    assert parse_csv(text).facts.driver_version == "610.57.04"
    text = "name, driver_version\nX, 610.57.04 [Deprecated; will be removed in CUDA 14.0]\n"
    assert parse_csv(text).facts.driver_version == "610.57.04"


def test_lines_that_are_no_gpu_are_issues() -> None:
    """A warning before the header and a cut line behind: one GPU and one issue."""
    found = parse_csv("WARNING: x, y\nindex, name, uuid\n0, Tesla T4, GPU-1\n1, Tesla\n\n")
    assert len(found.facts.gpus) == 1
    assert [issue.code for issue in found.issues] == ["malformed"]


@pytest.mark.parametrize("text", ["", "rubbish", "\x00\x00", "a,b\n1,2\n", '"', "\ufffd,\ufffd", "x" * 200_000])
def test_what_is_no_table_is_an_issue(text: str) -> None:
    """Rubbish gives an empty log and one issue."""
    found = parse_csv(text)
    assert found.facts == SmiLog()
    assert len(found.issues) == 1


def test_a_header_alone_lists_no_gpu() -> None:
    """No row is no GPU, with an issue."""
    assert [issue.code for issue in parse_csv("index, name\n").issues] == ["no_devices"]


def test_the_list_names_profiles() -> None:
    """MIG lines belong to the GPU above them; profiles may have a compute part and a suffix."""
    text = (
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)\n"
        "  MIG 3g.40gb     Device  0: (UUID: MIG-a)\n"
        "  MIG 1g.10gb+me  Device  1: (UUID: MIG-b)\n"
        "GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n"
        "  MIG 1c.2g.20gb  Device  0: (UUID: MIG-GPU-1/3/0)\n"
        "  MIG broken\n"
    )
    assert parse_list(text) == (
        Listed(gpu=0, index=0, profile="3g.40gb", uuid="MIG-a"),
        Listed(gpu=0, index=1, profile="1g.10gb+me", uuid="MIG-b"),
        Listed(gpu=1, index=0, profile="1c.2g.20gb", uuid="MIG-GPU-1/3/0"),
    )


@pytest.mark.parametrize(
    ("slices", "memory_mb", "card_mib", "profile"),
    [
        ((3, 3), 19968, 40536, "3g.20gb"),
        ((1, 1), 4864, 40536, "1g.5gb"),
        ((3, 3), 40448, 81559, "3g.40gb"),
        ((7, 7), 81079, 81559, "7g.80gb"),
        ((1, 1), 9984, 81559, "1g.10gb"),
        ((3, 3), 71424, 143771, "3g.71gb"),
        ((1, 3), 19968, 40536, "1c.3g.20gb"),
        ((2, 2), 20096, None, "2g.20gb"),
        ((0, 0), 20096, None, None),
    ],
)
def test_profiles_of_slices(slices: tuple[int, int], memory_mb: int, card_mib: int | None, profile: str | None) -> None:
    """NVIDIA's names count eighths of the card, which a slice's own memory falls short of."""
    assert profile_of(*slices, memory_mb, None if card_mib is None else card_mib << 20) == profile


def test_values() -> None:
    """Units, addresses and versions as they are printed."""
    assert size_bytes("19968 MiB") == 19968 * MIB
    assert size_bytes("12 GB") is None
    assert size_bytes("1e9 MiB") is None
    assert whole("16x", "x") == 16
    assert whole("8.5") is None
    assert pci_address("00000000:0C:00.0") == "0000:0c:00.0"
    assert pci_address("00010000:0C:00.0") == "10000:0c:00.0"
    assert pci_address("0C:00.0") is None
    assert version("535.54.03 x") == "535.54.03"
    assert version("x 535") is None
    assert library_version("12.570.86.10") == "570.86.10"
    assert library_version("384.81") == "384.81"
