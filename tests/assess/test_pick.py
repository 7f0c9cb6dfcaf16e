"""Which GPUs are picked, in which order, why others are not, and that the variables name exactly them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gpucheck import RequirementsNotMetError, UsageError, pick_devices
from gpucheck.assess.pick import Picked, TooFew, pick
from gpucheck.assess.pick_wish import Wish, make_wish
from gpucheck.machine.types import Category, Gpu, GpuMemory, Machine, Mig, NvLink, Xgmi
from gpucheck.machine.visible import apply_visibility
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import Platform, ProbeIssue
from gpucheck.units import GIB
from tests.assess.machines import box, card
from tests.running import NAMES, machine


def picked(found: Machine, **wish: Any) -> Picked:
    """What is picked; the test fails if nothing is."""
    answer = pick(found, make_wish(**wish))
    assert isinstance(answer, Picked), answer.message
    return answer


def too_few(found: Machine, **wish: Any) -> TooFew:
    """Why nothing is picked; the test fails if something is."""
    answer = pick(found, make_wish(**wish))
    assert isinstance(answer, TooFew), answer.devices
    return answer


def free(index: int, gib: float, total: float = 24.0, **facts: object) -> Gpu:
    """A card of which so much of its memory is free."""
    size, room = int(total * GIB), int(gib * GIB)
    return card(index, memory=GpuMemory(size, room, room, "dedicated"), **facts)


def silent(index: int, **facts: object) -> Gpu:
    """A card of 24 GiB that does not say what is free, as Intel's."""
    return card(index, memory=GpuMemory(24 * GIB, None, 23 * GIB, "dedicated"), **facts)


def of(name: str) -> Category:
    """A category by rule."""
    return Category(name, "rule", ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gpus", "devices"),
    [
        ((free(0, 4), free(1, 20), free(2, 10)), (1, 2, 0)),
        ((free(0, 20, category=of("Consumer")), free(1, 20, category=of("High-end"))), (1, 0)),
        ((free(0, 20, bandwidth_bytes_per_s=1), free(1, 20, bandwidth_bytes_per_s=2), free(2, 20)), (1, 0, 2)),
        ((free(0, 20), free(1, 20)), (0, 1)),
        ((silent(0), free(1, 1)), (1, 0)),
    ],
)
def test_order(gpus: tuple[Gpu, ...], devices: tuple[int, ...]) -> None:
    """Most free memory, then category, bandwidth and number; what does not say what is free comes last."""
    assert picked(box(*gpus)).devices == devices[:1]
    assert picked(box(*gpus), count=None).devices == devices


def test_the_strongest_first() -> None:
    """On request category and bandwidth go before free memory."""
    found = box(free(0, 40, 48, category=of("Mid-range")), free(1, 30, 80, category=of("High-end")))
    assert picked(found).devices == (0,)
    assert picked(found, prefer="strong").devices == (1,)


def test_alike_cards_go_together() -> None:
    """Two alike cards are taken before a freer one and another, unless one of them is much fuller."""
    found = box(free(0, 78, 80, name="big"), free(1, 47, 48), free(2, 46, 48))
    assert picked(found, count=2).devices == (1, 2)
    fuller = box(free(0, 78, 80, name="big"), free(1, 47, 48), free(2, 5, 48))
    assert picked(fuller, count=2).devices == (0, 1)
    assert any("unlike" in reason for reason in picked(fuller, count=2).reasons)


def test_linked_cards_go_together() -> None:
    """Cards that reach each other go before slightly freer ones that do not, and not before much freer ones."""

    def pairs(*rooms: float) -> Machine:
        peers = {0: (1,), 1: (0,), 2: (3,), 3: (2,)}
        return box(*(free(i, rooms[i], nvlink=NvLink(active_links=4, peers=peers[i])) for i in range(4)))

    assert picked(pairs(23, 22, 23, 22), count=2).devices == (0, 1)
    assert picked(pairs(22, 22, 22, 23), count=2).devices == (3, 2)
    assert picked(pairs(23, 5, 23, 5), count=2).devices == (0, 2)
    assert any("reach each other" in reason for reason in picked(pairs(23, 22, 23, 22), count=2).reasons)
    assert picked(pairs(23, 23, 23, 23), count=3).devices == (0, 1, 2)


def test_hives_of_four() -> None:
    """Four of eight MI210 are those of one XGMI hive, even if the freest are spread over both."""
    found = machine("amd-mi210-x8-xgmi")
    fuller = replace(found.gpus[1].memory, free_bytes=found.gpus[1].memory.free_bytes - GIB)
    gpus = tuple(replace(gpu, memory=fuller) if gpu.index in {1, 4} else gpu for gpu in found.gpus)
    assert picked(replace(found, gpus=gpus), count=4).devices == (0, 2, 3, 1)


def test_a_link_that_one_end_denies_is_none() -> None:
    """Cards are linked if each names the other."""
    gpus = (free(0, 20, nvlink=NvLink(peers=(1,))), free(1, 20), free(2, 20, xgmi=Xgmi((1,))))
    reasons = picked(box(*gpus), count=2).reasons
    assert not any("reach each other" in reason for reason in reasons)


def test_one_maker_alone() -> None:
    """A program computes on the cards of one maker; on request of a named one."""
    found = box(free(0, 20), free(1, 22, vendor="AMD"), free(2, 21))
    assert picked(found, count=2).devices == (2, 0)
    assert picked(found, vendor="amd").devices == (1,)
    assert picked(found, count=None).devices == (2, 0)
    mixed = box(free(0, 20), free(1, 22, vendor="AMD"))
    assert "one maker" in too_few(mixed, count=2).message


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        (card(visible=False, hidden_by="CUDA_VISIBLE_DEVICES=1"), "hidden by CUDA_VISIBLE_DEVICES=1"),
        (card(state="lost"), "lost"),
        (card(compute_mode="prohibited"), "prohibited"),
        (card(mig=Mig(mode="enabled")), "MIG mode"),
        (card(compute_mode="exclusive_process", processes=1), "has one"),
        (card(kind="integrated", catalogue_id=None), "do not compute on"),
        (card(kind="mig", mig=Mig(parent=0), uuid=None), "without a UUID"),
        (card(vendor="Intel", pci_id="1da3:1020"), "Gaudi"),
    ],
)
def test_what_is_not_taken(gpu: Gpu, words: str) -> None:
    """A device that a process cannot use, or cannot be told to use, is not taken, with the reason."""
    answer = too_few(box(gpu))
    assert answer.answer == "not_met"
    assert words in answer.message
    assert picked(box(gpu, free(1, 10))).devices == (1,)


def test_exclusive_mode_without_a_process() -> None:
    """A card that takes one process is taken while it has none; if nobody knows, that is unknown."""
    assert picked(box(card(compute_mode="exclusive_process", processes=0))).devices == (0,)
    assert too_few(box(card(compute_mode="exclusive_process"))).answer == "unknown"


@pytest.mark.parametrize(
    ("demand", "gpu", "answer"),
    [
        ({"min_free": "20GiB"}, free(0, 20), "met"),
        ({"min_free": "20GiB"}, free(0, 19.9), "not_met"),
        ({"min_free": 20 * GIB}, free(0, 20), "met"),
        ({"min_free": "20GiB"}, silent(0), "unknown"),
        ({"min_free": "25GiB"}, silent(0), "not_met"),
        ({"min_vram": "16GiB"}, free(0, 1, 15), "met"),
        ({"min_vram": "16GiB"}, free(0, 1, 12), "not_met"),
        ({"min_vram": "16GiB"}, card(gib=None), "unknown"),
        ({"min_compute_capability": "8.0"}, card(compute_capability="8.0"), "met"),
        ({"min_compute_capability": "8.9"}, card(compute_capability="10.0"), "met"),
        ({"min_compute_capability": "8.0"}, card(compute_capability="7.5"), "not_met"),
        ({"min_compute_capability": "8.0"}, card(), "unknown"),
        ({"min_compute_capability": "8.0"}, card(vendor="AMD"), "not_met"),
        ({"min_compute_capability": "8.0", "min_free": "20GiB"}, silent(0, compute_capability="7.5"), "not_met"),
    ],
)
def test_demands(demand: dict[str, Any], gpu: Gpu, answer: str) -> None:
    """Each demand is met, not met, or unknown; what is known to be too little settles it."""
    found = pick(box(gpu), make_wish(**demand))
    assert ("met" if isinstance(found, Picked) else found.answer) == answer


def test_the_size_of_shared_memory_is_what_it_is() -> None:
    """Memory that a GPU shares with the CPU was not sold with it."""
    shared = card(kind="unified", vendor="Apple", memory=GpuMemory(15 * GIB, 14 * GIB, 14 * GIB, "shared"))
    assert too_few(box(shared), min_vram="16GiB").answer == "not_met"
    assert picked(box(shared), min_vram="15GiB").torch_devices == ("mps",)


def test_unknown_only_where_it_could_suffice() -> None:
    """Two are demanded and one of unknown room is there: there are not two. With another that suits: unknown."""
    assert too_few(box(silent(0)), count=2, min_free="20GiB").answer == "not_met"
    assert too_few(box(silent(0), free(1, 22)), count=2, min_free="20GiB").answer == "unknown"


def test_a_failed_probe_may_have_missed_a_gpu() -> None:
    """Where the question after GPUs failed, nobody knows that there are too few; not so for another maker."""
    found = replace(box(), issues=(ProbeIssue("probe_failed", "probe nvidia", "x"),))
    assert too_few(found).answer == "unknown"
    assert too_few(found, vendor="nvidia").answer == "unknown"
    assert too_few(found, vendor="amd").answer == "not_met"
    assert too_few(box()).message == "needs 1 GPU: there is no GPU here"


def test_mig_devices_go_alone() -> None:
    """The roomiest MIG device is taken by its UUID; a second one cannot be used beside it."""
    found = machine("h100-mig")
    one = picked(found)
    assert (one.devices, one.torch_devices) == ((1,), ("cuda:0",))
    assert one.environment == {"CUDA_VISIBLE_DEVICES": found.gpus[1].uuid}
    assert picked(found, count=None).devices == (1,)
    assert picked(found, min_free="5GiB", min_vram="40GiB").devices == (1,)
    assert "one MIG device" in too_few(found, count=2).message
    assert picked(machine("visible-mig")).devices == (2,)


def test_uuids_are_used_where_they_are_the_boards_own() -> None:
    """On a live machine NVIDIA's and AMD's cards go by UUID; a recording's may be masked, so there by number."""
    recorded = machine("h100-x8")
    live = replace(recorded, source="live")
    assert picked(live, count=2).environment == {
        "CUDA_VISIBLE_DEVICES": f"{recorded.gpus[0].uuid},{recorded.gpus[1].uuid}"
    }
    assert picked(recorded, count=2).environment == {
        "CUDA_VISIBLE_DEVICES": "0,1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    hive = machine("amd-mi210-x8-xgmi")
    assert picked(replace(hive, source="live")).environment == {"ROCR_VISIBLE_DEVICES": hive.gpus[0].uuid}
    assert picked(hive).environment == {"ROCR_VISIBLE_DEVICES": "2"}


def test_numbers_are_those_of_the_job() -> None:
    """CUDA numbers the cards that the job was given, not those of the machine."""
    assert picked(machine("slurm-job"), count=2).devices == (4, 5)
    assert picked(machine("slurm-job"), count=2).environment["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert picked(machine("kubernetes-pod")).environment["CUDA_VISIBLE_DEVICES"] == "0"


def test_rocm_variables_in_force_are_replaced() -> None:
    """HIP's variable counts what ROCR's leaves, so both are set where one of HIP's is; a card in parts has several."""
    hidden = picked(machine("amd-w7900-and-igpu"))
    assert hidden.environment == {"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}
    parts = picked(machine("amd-mi300x-cpx"))
    assert parts.environment == {"ROCR_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}
    assert parts.torch_devices == tuple(f"cuda:{number}" for number in range(8))
    windows = box(card(vendor="AMD"))
    assert picked(replace(windows, platform=Platform(os="windows"))).environment == {"HIP_VISIBLE_DEVICES": "0"}


def test_partitions_that_are_hidden_leave_the_card_alone() -> None:
    """A card of which a variable leaves some partitions is not taken whole: whether it may be is not known."""
    found = machine("amd-mi300x-cpx")
    some = replace(
        found,
        visibility={"ROCR_VISIBLE_DEVICES": "0,1"},
        issues=(*found.issues, ProbeIssue("partitions_hidden", "gpus[0]", "2 of 8")),
    )
    assert picked(some).devices == (1,)
    alone = replace(some, gpus=some.gpus[:1])
    assert too_few(alone).answer == "unknown"


def test_level_zero() -> None:
    """Intel's cards go by their numbers in PCI order; a mask that is in force is not counted through."""
    found = box(card(0, vendor="Intel", kind="integrated"), card(1, vendor="Intel"), card(2, vendor="Intel"))
    one = picked(found)
    assert one.devices == (1,)
    assert one.environment == {"ZE_AFFINITY_MASK": "1", "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1"}
    assert one.torch_devices == ("xpu:0",)
    assert picked(machine("intel-max-1550")).environment["ZE_FLAT_DEVICE_HIERARCHY"] == "COMPOSITE"
    masked = replace(found, visibility={"ZE_AFFINITY_MASK": "0"})
    assert too_few(masked).answer == "unknown"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 2, None])
@pytest.mark.parametrize("source", ["live", "recording"])
def test_the_variables_name_exactly_the_picked(name: str, count: int | None, source: Any) -> None:
    """In a process with the variables of a pick, the picked devices can be used and no others of their maker."""
    found = replace(machine(name), source=source)
    answer = pick(found, Wish(count=count))
    if isinstance(answer, TooFew):
        assert answer.reasons
        return
    vendor = found.gpus[answer.devices[0]].vendor
    assert all(found.gpus[index].usable and found.gpus[index].vendor == vendor for index in answer.devices)
    assert count is None or len(answer.devices) == count
    if vendor not in {"NVIDIA", "AMD"}:
        return
    variables = {**found.visibility, **answer.environment}
    child = apply_visibility(found.gpus, variables, Issues())
    assert {gpu.index for gpu in child if gpu.vendor == vendor and gpu.usable} == set(answer.devices)


def test_pick_devices() -> None:
    """The public function picks, or raises an error that says what there is; this machine is looked at by default."""
    assert pick_devices(2, min_free="20GiB", machine=machine("h100-x8")).devices == (0, 1)
    with pytest.raises(RequirementsNotMetError, match=r"2 GPUs with 20.0 GiB free: found none; GPU 0: 4.6 GiB free"):
        pick_devices(2, min_free="20GiB", machine=machine("memory-taken"))
    with pytest.raises(RequirementsNotMetError, match=r"9999 GPUs|1000 GPUs"):
        pick_devices(1000)


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 0},
        {"count": -1},
        {"count": 10**6},
        {"min_free": "20"},
        {"min_free": -1},
        {"min_vram": "much"},
        {"min_compute_capability": "8"},
        {"min_compute_capability": "sm_80"},
        {"min_compute_capability": "8.0.0"},
        {"vendor": "nvidea"},
        {"prefer": "cheap"},
    ],
)
def test_senseless_wishes(arguments: dict[str, Any]) -> None:
    """A number, amount or name that makes no sense is refused."""
    with pytest.raises(UsageError):
        make_wish(**arguments)
