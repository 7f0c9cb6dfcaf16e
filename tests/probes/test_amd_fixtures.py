"""Every AMD fixture by name, with the answer that a careful engineer would give."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import gpucheck

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
GIB, MIB = 1 << 30, 1 << 20


@cache
def machine(name):
    """The machine of a fixture."""
    return gpucheck.load(str(FIXTURES / f"{name}.json"))


def said(name):
    """Details of its issues by code."""
    return {issue.code: issue.detail for issue in machine(name).issues}


def test_mi210_x8_xgmi():
    """Two hives of four: XGMI within, PCI Express between; AMD's own driver package; memory clock gives bandwidth."""
    gpus = machine("amd-mi210-x8-xgmi").gpus
    assert [gpu.xgmi.peers for gpu in gpus[:5]] == [(1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2), (5, 6, 7)]
    assert gpus[4].p2p_peers == (0, 1, 2, 3, 5, 6, 7)
    assert {(gpu.name, gpu.gfx_target, gpu.multiprocessors) for gpu in gpus} == {("AMD Instinct MI210", "gfx90a", 104)}
    assert {gpu.bandwidth_bytes_per_s for gpu in gpus} == {1_638_400_000_000}
    assert [gpu.driver_index for gpu in gpus] == [2, 3, 1, 0, 6, 7, 5, 4]
    driver = machine("amd-mi210-x8-xgmi").drivers.amd
    assert (driver.version, driver.in_tree) == ("6.12.12", False)
    assert machine("amd-mi210-x8-xgmi").toolkits.rocm == "6.4.1"


def test_mi300x_cpx():
    """63 of 64 partitions are eight cards, each whole."""
    gpus = machine("amd-mi300x-cpx").gpus
    assert {(gpu.catalogue_id, gpu.multiprocessors, gpu.memory.total_bytes) for gpu in gpus} == {
        ("mi300x", 304, 196592 * MIB)
    }
    assert [gpu.partition.count for gpu in gpus] == [8] * 7 + [7]
    assert (gpus[0].partition.compute, gpus[0].partition.memory) == ("CPX", "NPS1")
    assert [gpu.driver_index for gpu in gpus] == list(range(0, 64, 8))
    assert {gpu.bandwidth_bytes_per_s for gpu in gpus} == {5_324_800_000_000}
    assert "7 of its 8 partitions" in said("amd-mi300x-cpx")["partition_missing"]


def test_vega10_old_kernel():
    """No gfx target in KFD: the device id tells it. The kernel's own driver has no version, and that is no error."""
    (gpu,) = machine("amd-vega10-old-kernel").gpus
    assert (gpu.catalogue_id, gpu.gfx_target, gpu.multiprocessors) == ("mi25", "gfx900", 64)
    assert (gpu.memory.total_bytes, gpu.memory.free_bytes) == (16368 * MIB, None)
    assert gpu.bandwidth_bytes_per_s == 483_840_000_000
    driver = machine("amd-vega10-old-kernel").drivers.amd
    assert (driver.version, driver.in_tree) == (None, True)


@pytest.mark.parametrize(
    ("name", "card", "gbs", "mib"),
    [("amd-rx7900xtx", "rx-7900-xtx", 959, 24560), ("amd-rx9060xt", "rx-9060-xt", 322, 16304)],
)
def test_radeon(name, card, gbs, mib):
    """The product by its revision and size, without asking any tool; GDDR6 transfers sixteen times a clock."""
    (gpu,) = machine(name).gpus
    assert (gpu.catalogue_id, gpu.state, gpu.kind) == (card, "ok", "discrete")
    assert round(gpu.bandwidth_bytes_per_s / 1e9) == gbs
    assert (gpu.memory.total_bytes, gpu.memory.type) == (mib * MIB, "GDDR6")
    assert gpu.sources["bandwidth_bytes_per_s"] == "derived"


def test_shared_id():
    """Which of three products it is cannot be known: the id's name, an issue, and no figures."""
    (gpu,) = machine("amd-shared-id-73bf").gpus
    assert gpu.name == "Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]"
    assert (gpu.catalogue_id, gpu.bandwidth_bytes_per_s, gpu.multiprocessors) == (None, None, None)
    assert {"ambiguous", "not_in_kfd", "unknown"} <= said("amd-shared-id-73bf").keys()


def test_apu_780m():
    """A carve-out of 512 MiB is not what an APU has (gpustack #4848)."""
    (gpu,) = machine("amd-apu-780m").gpus
    assert (gpu.catalogue_id, gpu.kind, gpu.memory.kind) == ("radeon-780m", "integrated", "shared")
    assert (gpu.memory.carve_out_bytes, gpu.memory.gtt_bytes) == (512 * MIB, 14 * GIB)
    assert gpu.memory.total_bytes == 14 * GIB + 512 * MIB
    assert gpu.memory.usable_bytes == 332 * MIB + 14 * GIB - 300 * MIB
    assert "rocm_memory_differs" not in said("amd-apu-780m")


def test_strix_halo():
    """The kernel's page limit bounds what is lent; ROCm's half of it is shown beside (rocm-systems #5167)."""
    (gpu,) = machine("amd-strix-halo").gpus
    assert (gpu.catalogue_id, gpu.name) == ("radeon-8060s", "AMD Radeon 8060S Graphics")
    assert (gpu.memory.carve_out_bytes, gpu.memory.gtt_bytes, gpu.memory.rocm_bytes) == (4 * GIB, 110 * GIB, 62 * GIB)
    assert gpu.memory.total_bytes == 114 * GIB
    assert gpu.memory.usable_bytes <= machine("amd-strix-halo").memory.usable_bytes + 4 * GIB
    assert "ROCm counts 62.0 GiB" in said("amd-strix-halo")["rocm_memory_differs"]


def test_no_kfd_permission():
    """The card and its figures are known; no process of this user can compute on it (ROCm-docker #116)."""
    (gpu,) = machine("amd-no-kfd-permission").gpus
    assert (gpu.state, gpu.usable, gpu.catalogue_id) == ("no_permission", False, "rx-7900-xtx")
    assert "/dev/kfd" in gpu.detail
    assert "render" in gpu.detail


def test_rocr_and_hip():
    """ROCR counts as KFD does, HIP what ROCR has left in ROCR's order."""
    gpus = machine("amd-rocr-hip-hidden").gpus
    assert [gpu.index for gpu in gpus if gpu.visible] == [0, 1]
    assert gpus[3].hidden_by == "HIP_VISIBLE_DEVICES=0,1"
    assert {gpu.hidden_by for gpu in gpus if gpu.index not in {0, 1, 3}} == {"ROCR_VISIBLE_DEVICES=2,3,0"}


def test_rocm_smi_warning():
    """A line before the JSON; name and memory by the tool, since nothing else has them (llm-checker #75)."""
    (gpu,) = machine("amd-rocm-smi-warning").gpus
    assert (gpu.name, gpu.catalogue_id) == ("AMD Radeon RX 7900 XTX", "rx-7900-xtx")
    assert (gpu.memory.total_bytes, gpu.memory.free_bytes) == (24560 * MIB, 24260 * MIB)
    assert "malformed" not in said("amd-rocm-smi-warning")


def test_hsa_override():
    """The override is named with what it makes of the card (legacy-rocm-build #2353)."""
    (gpu,) = machine("amd-hsa-override").gpus
    assert (gpu.gfx_target, gpu.visible) == ("gfx1103", True)
    assert "gfx1103 for gfx1100" in said("amd-hsa-override")["gfx_override"]


def test_w7900_and_igpu():
    """ROCm counts the processor's graphics first; the card has none of its memory and it none of the card's."""
    card, graphics = machine("amd-w7900-and-igpu").gpus
    assert (card.catalogue_id, card.kind, card.visible, card.driver_index) == ("radeon-pro-w7900", "discrete", True, 1)
    assert (card.memory.total_bytes, card.memory.gtt_bytes) == (46064 * MIB, None)
    assert (graphics.kind, graphics.visible, graphics.driver_index) == ("integrated", False, 0)
    assert graphics.memory.total_bytes == 31 * GIB + 512 * MIB
    assert graphics.hidden_by == "HIP_VISIBLE_DEVICES=1"


def test_boards_of_the_catalogue():
    """An MI250 is two devices of half its memory, an MI300X in SPX mode one."""
    assert [gpu.multiprocessors for gpu in machine("card-mi250").gpus] == [104, 104]
    assert [gpu.partition.count for gpu in machine("card-mi300x").gpus] == [1]
