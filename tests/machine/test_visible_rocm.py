"""ROCm's visibility variables: order of layers, numbers, partitions, and what is doubtful."""

from __future__ import annotations

import pytest

from gpucheck.machine.types import Gpu, Partition
from gpucheck.machine.visible_rocm import hidden_by_rocm
from gpucheck.probes.collect import Issues

IDS = ("GPU-00000000000000a0", "GPU-00000000000000b0", "GPU-00000000000000b1", "GPU-00000000000000c0")


def amd(index, uuid=None, driver_index=None, count=None, **facts):
    """A card of AMD."""
    return Gpu(
        index, "MI300X", "AMD", "ok", "discrete", uuid=uuid, driver_index=driver_index,
        partition=Partition(count=count), **facts,
    )  # fmt: skip


FOUR = tuple(amd(index, IDS[index]) for index in range(4))


def seen(cards, **variables):
    """The indexes of what is left."""
    hidden = hidden_by_rocm(cards, variables, Issues())
    return [card.index for card in cards if card.index not in hidden]


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("", []), ("0", [0]), ("1,3", [1, 3]), (" 1 , 3 ", [1, 3]), ("0x2", [2]), ("02", [2]), ("+1", [1]),
        ("0,0,1", [0]),  # a device again ends the list
        ("0,9,1", [0]), ("0,,1", [0]), ("-1", []), ("1gpu", []), ("NoDevFiles", []),
        ("GPU-00000000000000C0", [3]), ("gpu-00000000000000c", [3]), ("GPU-00000000000000b", []),  # two begin so
        ("GPU-", []), ("GPU-00000000000000c0f", []), ("MIG-1", []), ("3,GPU-00000000000000a0", [0, 3]),
        ("0,1,2,3,4", [0, 1, 2, 3]), ("999999999999", []),
    ],
)  # fmt: skip
def test_rocr(value, left):
    """Numbers as C writes them, UUIDs and their beginnings, cut at the first entry that is none."""
    assert seen(FOUR, ROCR_VISIBLE_DEVICES=value) == left


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("", [0, 1, 2, 3]), ("2", [2]), ("2,0", [0, 2]), ("0, 1", [0]), (" 0", []), ("00", []), ("+0", []),
        ("0,0,1", [0, 1]), ("-1", []), ("4", []), ("GPU-00000000000000c0", [3]), ("0,x,1", [0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"])
def test_hip(name, value, left):
    """Plain numbers without spaces, and UUIDs; an empty value says nothing."""
    assert seen(FOUR, **{name: value}) == left


def test_layers_in_their_order():
    """Each counts what is left by the one before, in the order that it chose."""
    assert seen(FOUR, ROCR_VISIBLE_DEVICES="3,1,0", GPU_DEVICE_ORDINAL="0,2", HIP_VISIBLE_DEVICES="1") == [0]
    assert seen(FOUR, ROCR_VISIBLE_DEVICES="", HIP_VISIBLE_DEVICES="0") == []
    assert seen(FOUR, HIP_VISIBLE_DEVICES="1", CUDA_VISIBLE_DEVICES="3") == [1]
    hidden = hidden_by_rocm(FOUR, {"ROCR_VISIBLE_DEVICES": "2,3", "HIP_VISIBLE_DEVICES": "0"}, Issues())
    assert hidden == {
        0: "ROCR_VISIBLE_DEVICES=2,3", 1: "ROCR_VISIBLE_DEVICES=2,3", 3: "HIP_VISIBLE_DEVICES=0",
    }  # fmt: skip


def test_numbers_are_rocms():
    """KFD's order is not that of the bus; a card that KFD does not list has no number, and is not hidden."""
    cards = (amd(0, driver_index=2), amd(1, driver_index=0), amd(2), amd(3, driver_index=1))
    assert seen(cards, ROCR_VISIBLE_DEVICES="0") == [1, 2]
    assert seen(cards, ROCR_VISIBLE_DEVICES="2,0", HIP_VISIBLE_DEVICES="0") == [0, 2]


def test_cards_whose_numbers_are_not_known():
    """Listed by KFD after a node that could not be read: counted last in the order of the bus, with an issue."""
    listed = {"sources": {"gfx_target": "reported"}}
    cards = (amd(0, **listed), amd(1, driver_index=0, **listed), amd(2), amd(3, **listed))
    issues = Issues()
    hidden = hidden_by_rocm(cards, {"HIP_VISIBLE_DEVICES": "0,2"}, issues)
    assert hidden == {0: "HIP_VISIBLE_DEVICES=0,2"}
    assert [(issue.code, issue.source) for issue in issues.all()] == [("assumed", "gpus.visible")]
    hidden_by_rocm(cards, {}, unset := Issues())
    assert unset.all() == ()


def test_cards_whose_partitions_are_not_counted():
    """A card's places reach to the next one's number, with an issue; those of the last are not known."""
    listed = {"sources": {"gfx_target": "reported"}}
    cards = (amd(0, driver_index=0, **listed), amd(1, driver_index=8, **listed))
    issues = Issues()
    assert hidden_by_rocm(cards, {"HIP_VISIBLE_DEVICES": "8"}, issues) == {0: "HIP_VISIBLE_DEVICES=8"}
    assert [issue.code for issue in issues.all()] == ["assumed"]


def test_each_partition_has_a_number():
    """A card of which some partitions are left is visible, with an issue."""
    cards = (amd(0, driver_index=0, count=8), amd(1, driver_index=8, count=8))
    issues = Issues()
    assert hidden_by_rocm(cards, {"ROCR_VISIBLE_DEVICES": "6,7,8"}, issues) == {}
    assert [(issue.source, issue.detail) for issue in issues.all()] == [
        ("gpus[0]", "ROCR_VISIBLE_DEVICES leaves 2 of 8 partitions"),
        ("gpus[1]", "ROCR_VISIBLE_DEVICES leaves 1 of 8 partitions"),
    ]
    assert hidden_by_rocm(cards, {"HIP_VISIBLE_DEVICES": "15"}, Issues()) == {0: "HIP_VISIBLE_DEVICES=15"}


def test_partitions_share_an_id():
    """A UUID that all partitions of a card have names none of them."""
    cards = (amd(0, IDS[0], driver_index=0, count=8),)
    assert seen(cards, ROCR_VISIBLE_DEVICES=IDS[0]) == []


@pytest.mark.parametrize(
    ("override", "target", "said"),
    [("11.0.0", "gfx1103", "gfx1103 for gfx1100"), ("10.3.0", "gfx1036", "gfx1036 for gfx1030"),
     ("9.0.10", "gfx900", "gfx900 for gfx90a"), ("11.0.0", "gfx1100", None), ("", "gfx1103", None),
     ("abc", "gfx1103", "what no target is called")],
)  # fmt: skip
def test_override(override, target, said):
    """An override that changes a card's target is an issue (legacy-rocm-build #2353)."""
    issues = Issues()
    hidden_by_rocm((amd(0, gfx_target=target),), {"HSA_OVERRIDE_GFX_VERSION": override}, issues)
    details = [issue.detail for issue in issues.all() if issue.code == "gfx_override"]
    assert bool(details) == bool(said)
    assert said is None or said in details[0]


def test_ordinal_is_doubtful():
    """AMD's documents and its code disagree on it."""
    issues = Issues()
    hidden_by_rocm(FOUR, {"GPU_DEVICE_ORDINAL": "0"}, issues)
    assert [issue.source for issue in issues.all()] == ["GPU_DEVICE_ORDINAL"]


def test_no_cards_of_amd():
    """Nothing to hide, and nothing to say."""
    issues = Issues()
    other = Gpu(0, "RTX 4090", "NVIDIA", "ok", "discrete")
    variables = {"ROCR_VISIBLE_DEVICES": "", "HSA_OVERRIDE_GFX_VERSION": "11.0.0"}
    assert hidden_by_rocm((other,), variables, issues) == {}
    assert issues.all() == ()
