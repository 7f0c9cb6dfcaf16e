"""MIG devices: what is reported of a slice, and its share of the card."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.machine.slices import build_slice
from gpucheck.machine.types import Flops, Gpu, GpuMemory, Mig
from gpucheck.probes.facts import MigInstance

MIB = 1 << 20
H100 = Gpu(
    index=4,
    name="NVIDIA H100 80GB HBM3",
    vendor="NVIDIA",
    state="ok",
    kind="discrete",
    catalogue_id="h100-sxm",
    architecture="Hopper",
    compute_capability="9.0",
    segment="datacenter",
    memory=GpuMemory(total_bytes=81_559 * MIB, type="HBM3"),
    bandwidth_bytes_per_s=3_352_320_000_000,
    l2_cache_bytes=50 * MIB,
    multiprocessors=132,
    flops=Flops(fp16=989.5e12, fp32=67e12),
    mig=Mig(mode="enabled", instances=4),
    pci_address="0000:07:00.0",
    sources={"architecture": "reported", "compute_capability": "catalogue"},
)


def instance(mib: int | None = 40_448, sms: int | None = 60, **facts) -> MigInstance:
    """A MIG device of this size."""
    total = None if mib is None else mib * MIB
    free = None if mib is None else (mib - 25) * MIB
    return MigInstance(
        index=0, profile="3g.40gb", memory_total_bytes=total, memory_free_bytes=free, multiprocessors=sms, **facts
    )


@pytest.mark.parametrize(
    ("mib", "eighths"), [(9_984, 1), (20_096, 2), (40_448, 4), (80_896, 8), (10_000, 1), (19_000, 2)]
)
def test_bandwidth_and_l2_go_by_memory_slices(mib, eighths):
    """A slice has whole eighths of bandwidth and L2, although its memory is a little less than that."""
    found = build_slice(H100, instance(mib), 5)
    assert found.bandwidth_bytes_per_s == 3_352_320_000_000 * eighths // 8
    assert found.l2_cache_bytes == 50 * MIB * eighths // 8
    assert found.sources["bandwidth_bytes_per_s"] == "derived"


@pytest.mark.parametrize("sms", [16, 32, 60, 132])
def test_rates_go_by_multiprocessors(sms):
    """Cores and peak rates are the card's by the slice's share of multiprocessors."""
    found = build_slice(H100, instance(sms=sms), 5)
    assert (found.multiprocessors, found.shader_cores, found.matrix_cores) == (sms, sms * 128, sms * 4)
    assert found.flops.fp16 == pytest.approx(989.5e12 * sms / 132, rel=1e-3)
    assert found.flops.fp32 == pytest.approx(67e12 * sms / 132, rel=1e-3)
    assert found.flops.fp64 is None


def test_a_slice_is_an_entry_of_its_own():
    """A slice has its own number, memory and uuid, its card's place and kind, and knows its parent."""
    found = build_slice(H100, instance(uuid="MIG-1", name=None), 5)
    assert (found.index, found.kind, found.mig) == (5, "mig", Mig(profile="3g.40gb", parent=4))
    assert found.name == "NVIDIA H100 80GB HBM3 MIG 3g.40gb"
    assert (found.uuid, found.pci_address, found.catalogue_id) == ("MIG-1", "0000:07:00.0", "h100-sxm")
    assert (found.memory.total_bytes, found.memory.usable_bytes) == (40_448 * MIB, 40_423 * MIB)
    assert found.memory.type == "HBM3"
    assert (found.sources["architecture"], found.sources["compute_capability"]) == ("reported", "catalogue")
    assert found.usable


@pytest.mark.parametrize("name", ["NVIDIA H100 MIG 3g.40gb", None])
def test_a_slices_name(name):
    """The driver's name for a slice is kept; without one it is the card's with the profile, if that is known."""
    bare = msgspec.structs.replace(instance(), name=name, profile=None)
    assert build_slice(H100, bare, 5).name == (name or "NVIDIA H100 80GB HBM3 MIG")


@pytest.mark.parametrize(
    ("card", "part"),
    [
        (H100, instance(mib=None, sms=None)),
        (msgspec.structs.replace(H100, memory=GpuMemory(), multiprocessors=None), instance()),
        (msgspec.structs.replace(H100, bandwidth_bytes_per_s=None, l2_cache_bytes=None, flops=Flops()), instance()),
        (H100, instance(mib=1)),  # rounds to no eighth
        (H100, instance(mib=200_000)),  # more than the card has
    ],
)
def test_no_share_is_invented(card, part):
    """Without the card's or the slice's figure, or with one that makes no sense, there is no share."""
    found = build_slice(card, part, 5)
    assert found.bandwidth_bytes_per_s is None
    assert found.l2_cache_bytes is None
    assert "bandwidth_bytes_per_s" not in found.sources
    if part.multiprocessors is None or card.multiprocessors is None or card.flops == Flops():
        assert found.flops == Flops()


@given(st.integers(1, 81_559), st.integers(1, 132))
def test_a_slice_never_exceeds_its_card(mib, sms):
    """Any slice of a card has at most the card's bandwidth, cache and rates."""
    found = build_slice(H100, instance(mib, sms), 5)
    assert (found.bandwidth_bytes_per_s or 0) <= H100.bandwidth_bytes_per_s
    assert (found.l2_cache_bytes or 0) <= H100.l2_cache_bytes
    assert 0 < found.flops.fp16 <= H100.flops.fp16
