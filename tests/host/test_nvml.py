"""NVML as a host answers it: plain data, or NVML's own name for the failure."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import pynvml
import pytest

from gpucheck.host.nvml import Nvml, plain
from tests.probes.nvidia.fake_nvml import FakeNvml, a100, loaded, mig_slice, rtx_4090


def ask(fake: FakeNvml, *keys: str) -> list[Any]:
    """The answers that this library gives."""
    with loaded(fake):
        nvml = Nvml(pynvml=pynvml)
        return [nvml.answer(key) for key in keys]


def test_facts_are_plain_data() -> None:
    """Texts, numbers, lists and objects that JSON can keep."""
    name, memory, capability, driver = ask(
        FakeNvml(rtx_4090()),
        "gpu0/Name",
        "gpu0/MemoryInfo_v2",
        "gpu0/CudaComputeCapability",
        "system/DriverVersion",
    )
    assert name.value == "NVIDIA GeForce RTX 4090"
    assert memory.value["total"] == 24 << 30
    assert capability.value == [8, 9]
    assert driver.value == "570.86.10"


@pytest.mark.parametrize(
    ("code", "name"),
    [(3, "nvml_not_supported"), (15, "nvml_gpu_is_lost"), (999, "nvml_unknown"), (4242, "nvml_4242")],
)
def test_errors_have_their_own_names(code: int, name: str) -> None:
    """Also a code that nvidia-ml-py has no name for, and whose text the library does not know."""
    fake = FakeNvml(rtx_4090())
    fake.fail["nvmlDeviceGetName"] = code
    assert ask(fake, "gpu0/Name")[0].error == name


def test_a_library_that_does_not_start_says_why_each_time() -> None:
    """Init is tried once; every question gets its error."""
    fake = FakeNvml(rtx_4090())
    fake.fail["nvmlInitWithFlags"] = 18
    answers = ask(fake, "system/DeviceCount", "gpu0/Name")
    assert [answer.error for answer in answers] == ["nvml_lib_rm_version_mismatch"] * 2
    assert [name for name, _ in fake.called] == ["nvmlInitWithFlags"]


def test_an_unversioned_function_of_an_old_library_is_function_not_found() -> None:
    """nvidia-ml-py raises an error of another family for it, which must not read as a failure of gpucheck."""
    fake = FakeNvml(rtx_4090())
    fake.missing.add("nvmlDeviceGetComputeRunningProcesses_v3")
    assert ask(fake, "gpu0/RunningProcesses")[0].error == "nvml_function_not_found"


@pytest.mark.parametrize(
    "key", ["", "gpu0", "gpu0/Nothing", "gpux/Name", "gpu0-gpu1/Nothing", "gpu0-x-y/P2PStatus.read"]
)
def test_questions_that_do_not_exist_are_failures(key: str) -> None:
    """A wrong key is an answer with an error, never an exception."""
    assert ask(FakeNvml(rtx_4090()), key)[0].error is not None


def test_mig_devices_and_pairs_have_their_own_keys() -> None:
    """A MIG device answers for itself, an empty slot is not found, a pair has a status."""
    fake = FakeNvml(a100(0, mig=(mig_slice(0), None)), a100(1))
    name, empty, status = ask(fake, "gpu0.mig0/Name", "gpu0.mig1/Handle", "gpu0-gpu1/P2PStatus.nvlink")
    assert name.value.endswith("MIG 3g.20gb")
    assert empty.error == "nvml_not_found"
    assert status.value == 0


def test_init_happens_once_for_many_threads() -> None:
    """Several GPUs' threads start the library together: one of them does it."""
    fake = FakeNvml(*(rtx_4090(index) for index in range(8)))
    with loaded(fake):
        nvml = Nvml(pynvml=pynvml)
        threads = [threading.Thread(target=nvml.answer, args=(f"gpu{index}/Name",)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [name for name, _ in fake.called].count("nvmlInitWithFlags") == 1


def test_undecodable_bytes_become_replacement_characters() -> None:
    """A name in another encoding is still a text."""
    assert plain(b"Tesla\xff") == "Tesla\ufffd"
    assert plain({"a": (ctypes.c_uint * 2)(1, 2)}) == {"a": [1, 2]}
