"""Toolkits in the report for people."""

import pytest

from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import Cpu, InstalledToolkit, Memory, Platform, Toolkits
from gpucheck.report.text_toolkits import toolkit_lines

TWO = (InstalledToolkit("12.4.1", "/c/12", ("CUDA_HOME", "PATH")), InstalledToolkit("11.8.0", "/c/11"))


def lines(*, gpu=True, verbose=False, **found):
    """The lines about a machine with these toolkits."""
    gpus = (Gpu(0, "a card", "NVIDIA", "ok", "discrete"),) if gpu else ()
    machine = Machine("live", Platform(os="linux"), Cpu(), Memory(), gpus=gpus, toolkits=Toolkits(**found))
    return toolkit_lines(machine, verbose=verbose)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, ()),
        ({"cuda": "12.4.1", "cuda_installed": TWO[:1]}, ("CUDA 12.4.1",)),
        ({"cuda": "12.4.1", "cuda_installed": TWO}, ("CUDA 12.4.1 (also 11.8.0)",)),
        ({"cuda": None, "cuda_installed": TWO}, ("CUDA 12.4.1 or 11.8.0",)),
        ({"cuda": "12.4.1", "cuda_installed": (*TWO[:1], InstalledToolkit("12.4.1", "/d"))}, ("CUDA 12.4.1",)),
        (
            {"rocm": "6.4.1", "oneapi": "2025.0", "level_zero": "1.20.6"},
            ("ROCm 6.4.1, oneAPI 2025.0, Level Zero 1.20.6",),
        ),
        ({"cudnn": "9.1.0", "nccl": "2.21.5", "tensorrt": "10.13.2"}, ("cuDNN 9.1.0, NCCL 2.21.5, TensorRT 10.13.2",)),
        ({"mps": "Metal 3"}, ("Metal 3",)),
    ],
)
def test_one_line(found, expected):
    """What is there, in one line; nothing where nothing is."""
    assert lines(**found) == expected


def test_without_a_gpu():
    """They matter little there, and are told to those who ask for more."""
    assert lines(gpu=False, cuda="12.4.1") == ()
    assert lines(gpu=False, verbose=True, cuda="12.4.1") == ("CUDA 12.4.1",)


def test_folders():
    """With -v where each lies, and what chooses it."""
    assert lines(verbose=True, cuda="12.4.1", cuda_installed=TWO)[1:] == (
        "CUDA 12.4.1 in /c/12 (CUDA_HOME, PATH)",
        "CUDA 11.8.0 in /c/11",
    )
