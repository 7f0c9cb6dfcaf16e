"""Labels for GitHub's runners, Kubernetes' nodes and Slurm."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpucheck.machine.types import Machine
from gpucheck.report.labels import FORMATS, render, runner_labels, slurm_types, why_none
from gpucheck.report.labels_k8s import label_value, node_labels
from tests.report.by_hand import HOSTILE, named
from tests.running import NAMES, machine

_GITHUB = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_KEY = re.compile(r"(?:nvidia|amd)\.com/(?P<name>[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)")
_VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_TYPE = re.compile(r"[a-z0-9_.+-]+")


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("card-t4", "gpu nvidia gpus-1 tesla-t4 sm-75 vram-16gb cuda-12 mid-range"),
        ("h100-x8", "gpu nvidia gpus-8 nvidia-h100-80gb-hbm3 sm-90 vram-80gb cuda-13 high-end"),
        ("amd-mi210-x8-xgmi", "gpu amd gpus-8 amd-instinct-mi210 gfx90a vram-64gb rocm-6 high-end"),
        ("apple-m4-max-128", "gpu apple gpus-1 apple-m4-max mps integrated"),
        ("windows-no-nvml-adapterram", "gpu amd gpus-1 amd-radeon-rx-9070-xt gfx1201 vram-16gb consumer"),
        ("driver-mismatch", ""),
        ("vm-no-gpu", ""),
    ],
)
def test_runner_labels(name: str, labels: str) -> None:
    """What is known of the GPUs that a job can use, each label once."""
    assert list(runner_labels(machine(name))) == labels.split()


def test_slices_are_what_a_job_gets() -> None:
    """A card in MIG slices has the labels of its slices, and the memory of the smallest."""
    labels = runner_labels(machine("h100-mig"))
    assert {"gpus-4", "vram-10gb", "nvidia-h100-80gb-hbm3-mig-1g-10gb"} <= set(labels)
    assert runner_labels(machine("h100-mig-empty")) == ()


def test_unlike_cards_of_a_runner() -> None:
    """Every kind is named; memory is what the smallest is sold as, and none if it is not known of one."""
    big, small = machine("card-h100-sxm").gpus[0], machine("card-t4").gpus[0]
    both = replace(machine("card-t4"), gpus=(big, replace(small, index=1)))
    assert {"tesla-t4", "nvidia-h100-80gb-hbm3", "sm-75", "sm-90", "vram-16gb"} <= set(runner_labels(both))
    assert "vram-80gb" not in runner_labels(both)
    blank = replace(small, index=1, memory=replace(small.memory, total_bytes=None))
    assert not [label for label in runner_labels(replace(both, gpus=(big, blank))) if label.startswith("vram")]


def test_a_card_of_which_nothing_is_known_counts_for_nothing() -> None:
    """Where one of two cards does not answer, the number of GPUs is not labelled."""
    found = machine("card-t4")
    silent = replace(found.gpus[0], index=1, state="unknown")
    labels = runner_labels(replace(found, gpus=(*found.gpus, silent)))
    assert "tesla-t4" in labels
    assert not [label for label in labels if label.startswith("gpus-")]


def test_node_labels_of_an_h100() -> None:
    """The vocabulary of GPU Feature Discovery, with its values: memory in MiB, the family, the driver's parts."""
    assert node_labels(machine("h100-x8")) == {
        "nvidia.com/cuda.driver-version.full": "590.48.01",
        "nvidia.com/cuda.driver-version.major": "590",
        "nvidia.com/cuda.driver-version.minor": "48",
        "nvidia.com/cuda.driver-version.revision": "01",
        "nvidia.com/cuda.runtime-version.full": "13.1",
        "nvidia.com/cuda.runtime-version.major": "13",
        "nvidia.com/cuda.runtime-version.minor": "1",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
        "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.family": "hopper",
        "nvidia.com/gpu.memory": "81559",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/mig.capable": "true",
    }


@pytest.mark.parametrize(
    ("name", "product", "family", "memory"),
    [
        ("card-t4", "Tesla-T4", "turing", "15360"),
        ("card-v100", "Tesla-V100-SXM2-16GB", "volta", "16384"),
        ("card-rtx-4090", "NVIDIA-GeForce-RTX-4090", "ada-lovelace", "24564"),
        ("unified-jetson-thor", "NVIDIA-Jetson-AGX-Thor-T5000", None, "125759"),
    ],
)
def test_node_labels_of_nvidia(name: str, product: str, family: str | None, memory: str) -> None:
    """Product, family and memory; a compute capability that the vocabulary has no family for gets none."""
    labels = node_labels(machine(name))
    assert labels["nvidia.com/gpu.product"] == product
    assert labels.get("nvidia.com/gpu.family") == family
    assert labels["nvidia.com/gpu.memory"] == memory


def test_node_labels_of_amd() -> None:
    """The vocabulary of AMD's node labeller; of unlike cards how many there are of each value."""
    found = machine("amd-mi210-x8-xgmi")
    assert node_labels(found) == {
        "amd.com/gpu.cu-count": "104",
        "amd.com/gpu.device-id": "740f",
        "amd.com/gpu.driver-version": "6.12.12",
        "amd.com/gpu.product-name": "AMD_Instinct_MI210",
        "amd.com/gpu.vram": "64G",
    }
    other = replace(found.gpus[0], name="AMD Radeon(TM) Pro", multiprocessors=60)
    labels = node_labels(replace(found, gpus=(other, *found.gpus[1:])))
    assert labels["amd.com/gpu.product-name.AMD_RadeonTM_Pro"] == "1"
    assert labels["amd.com/gpu.product-name.AMD_Instinct_MI210"] == "7"
    assert (labels["amd.com/gpu.cu-count.60"], labels["amd.com/gpu.vram"]) == ("1", "64G")


def test_a_node_has_cards_that_this_process_does_not_see() -> None:
    """What hides GPUs from a process hides none from the node; a card that does not answer is none of the node's."""
    assert node_labels(machine("gpus-hidden"))["nvidia.com/gpu.count"] == "2"
    assert node_labels(machine("h100-x8-one-lost"))["nvidia.com/gpu.count"] == "7"
    assert node_labels(machine("driver-mismatch")) == {}


def test_the_most_frequent_kind_is_labelled() -> None:
    """One product fits the vocabulary: of unlike cards that of most, with its own number and memory."""
    big, small = machine("card-h100-sxm").gpus[0], machine("card-t4").gpus[0]
    labels = node_labels(replace(machine("card-t4"), gpus=(big, small, small)))
    assert labels["nvidia.com/gpu.product"] == "Tesla-T4"
    assert (labels["nvidia.com/gpu.count"], labels["nvidia.com/gpu.memory"]) == ("2", "15360")


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("card-t4", {"tesla_t4": 1}),
        ("h100-x8", {"nvidia_h100_80gb_hbm3": 8}),
        (
            "h100-mig",
            {
                "nvidia_h100_80gb_hbm3_3g.40gb": 1,
                "nvidia_h100_80gb_hbm3_2g.20gb": 1,
                "nvidia_h100_80gb_hbm3_1g.10gb": 2,
            },
        ),
        ("unlike-cards", {"nvidia_geforce_rtx_3070": 1, "nvidia_geforce_rtx_4090": 1}),
        ("driver-mismatch", {}),
    ],
)
def test_slurm_types(name: str, types: dict[str, int]) -> None:
    """The names that Slurm's detection gives, with how many there are of each."""
    assert slurm_types(machine(name)) == types


def test_slurm_cuts_a_sliced_cards_name_at_its_dash() -> None:
    """As gpu_nvml.c does: nvidia_a100-sxm4-40gb in slices of 1g.5gb is nvidia_a100_1g.5gb."""
    found = machine("h100-mig")
    gpus = tuple(
        replace(
            gpu, name="NVIDIA A100-SXM4-40GB", mig=replace(gpu.mig, profile="1c.1g.5gb+me" if gpu.mig.profile else None)
        )
        for gpu in found.gpus
    )
    assert slurm_types(replace(found, gpus=gpus)) == {"nvidia_a100_1g.5gb": 4}


def test_slurm_lines() -> None:
    """Lines of gres.conf; the node's Gres in a comment."""
    comment, _, *lines = render(machine("unlike-cards"), "slurm").splitlines()
    assert comment.startswith("# ")
    assert comment.endswith(" Gres=gpu:nvidia_geforce_rtx_3070:1,gpu:nvidia_geforce_rtx_4090:1")
    assert lines == [
        "Name=gpu Type=nvidia_geforce_rtx_3070 Count=1",
        "Name=gpu Type=nvidia_geforce_rtx_4090 Count=1",
    ]


def test_forms_of_node_labels() -> None:
    """A line for each in Node Feature Discovery's file, one line of arguments for kubectl."""
    labels = [f"{key}={value}" for key, value in node_labels(machine("card-t4")).items()]
    assert render(machine("card-t4"), "nfd").splitlines() == labels
    assert render(machine("card-t4"), "k8s") == " ".join(labels) + "\n"
    assert render(machine("card-t4"), "github") == ",".join(runner_labels(machine("card-t4"))) + "\n"


@pytest.mark.parametrize("format_", FORMATS)
def test_no_gpu_no_labels(format_: str) -> None:
    """Nothing at all where there is nothing to label, or nothing answers."""
    assert render(machine("vm-no-gpu"), format_) == ""
    assert render(machine("driver-mismatch"), format_) == ""


@pytest.mark.parametrize(
    ("name", "sure"),
    [("vm-no-gpu", True), ("driver-missing", True), ("gpus-hidden", True), ("driver-mismatch", False),
     ("wsl2-shadowed-library", False)],
)  # fmt: skip
def test_why_there_are_none(name: str, sure: bool) -> None:
    """The reason in words, and whether it is for sure: a driver that does not answer leaves it open."""
    why, known = why_none(machine(name))
    assert why
    assert known is sure


@pytest.mark.parametrize("name", NAMES)
def test_every_machine_has_valid_labels(name: str) -> None:
    """The rules of every scheduler hold for every fixture."""
    _check(machine(name))


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 500, "-.-", "é" * 70, "a" * 62 + "--b"])
@pytest.mark.parametrize("fixture", ["card-t4", "amd-mi210-x8-xgmi"])
def test_every_name_gives_valid_labels(text: str, fixture: str) -> None:
    """The rules hold whatever a driver calls its GPU."""
    _check(named(text, fixture))
    _check(named(None, fixture))


@given(st.text())
def test_values_are_valid_or_empty(text: str) -> None:
    """Any text becomes a value that Kubernetes takes, and a value stays what it is."""
    value = label_value(text)
    assert value == "" or _VALUE.fullmatch(value)
    assert label_value(value) == value


def _check(found: Machine) -> None:
    assert all(_GITHUB.fullmatch(label) and len(label) <= 63 for label in runner_labels(found))
    for key, value in node_labels(found).items():
        assert _KEY.fullmatch(key), key
        assert _VALUE.fullmatch(value), value
    assert len(render(found, "nfd").encode()) < 1 << 16  # Node Feature Discovery reads no larger file
    assert all(_TYPE.fullmatch(name) for name in slurm_types(found))
    for line in render(found, "slurm").splitlines():
        assert line.startswith("# ") or re.fullmatch(r"Name=gpu Type=\S+ Count=[1-9]\d*", line)
