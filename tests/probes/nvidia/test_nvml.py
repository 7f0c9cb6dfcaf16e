"""NVML's rung, under the genuine wrappers of nvidia-ml-py on a fake library."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gpucheck.host.answer import Answer, failed
from gpucheck.host.host import Host
from gpucheck.host.nvml_fields import DEVICE
from gpucheck.probes.collect import Found
from gpucheck.probes.facts import GpuReading
from gpucheck.probes.nvidia import Nvidia, asking, nvml_gpu, nvml_reader, probe_nvidia, words
from tests.probes.nvidia.fake_nvml import GIB, FakeNvml, a100, loaded, mig_slice, rtx_4090
from tests.probes.nvidia.support import card, host

ERRORS = (*range(1, 31), 999)
LOST = {15, 28}
QUIET = {3, 13, 26}  # not supported, function not found, deprecated
# What may change when one C function fails. A shared function, such as Name, also serves MIG devices.
AFFECTED = {
    "Name": {"name", "mig_devices"},
    "Brand": {"brand"},
    "UUID": {"uuid", "mig_devices"},
    "PciInfo_v3": {"pci_address", "pci_device_id", "pci_subsystem"},
    "MemoryInfo_v2": {"memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes", "mig_devices"},
    "CudaComputeCapability": {"compute_capability"},
    "Architecture": {"architecture"},
    "NumGpuCores": {"shader_cores"},
    "MemoryBusWidth": {"memory_bus_bits"},
    "MaxClockInfo": {"memory_clock_max_mhz", "sm_clock_max_mhz"},
    "CurrPcieLinkGeneration": {"pcie_generation"},
    "CurrPcieLinkWidth": {"pcie_width"},
    "MaxPcieLinkGeneration": {"pcie_max_generation"},
    "MaxPcieLinkWidth": {"pcie_max_width"},
    "EnforcedPowerLimit": {"power_limit_w"},
    "PowerManagementDefaultLimit": {"power_default_limit_w"},
    "ComputeMode": {"compute_mode"},
    "PersistenceMode": {"persistence"},
    "VirtualizationMode": {"virtualization"},
    "EccMode": {"ecc_enabled", "ecc_volatile_uncorrected", "ecc_aggregate_uncorrected"},
    "TotalEccErrors": {"ecc_volatile_uncorrected", "ecc_aggregate_uncorrected"},
    "DisplayActive": {"display_active"},
    "MigMode": {"mig_mode", "mig_devices"},
    "MaxMigDeviceCount": {"mig_devices", "mig_devices_complete"},
    "MigDeviceHandleByIndex": {"mig_devices", "mig_devices_complete"},
    "Attributes_v2": {"mig_devices", "mig_devices_complete"},
    "GpuInstanceId": {"mig_devices", "mig_devices_complete"},
    "ComputeInstanceId": {"mig_devices", "mig_devices_complete"},
    "ComputeRunningProcesses_v3": {"processes", "processes_memory_bytes"},
    "GraphicsRunningProcesses_v3": {"processes", "processes_memory_bytes"},
    "CurrentClocksEventReasons": {"throttle_reasons"},
    "RemappedRows": {"remap_pending", "remap_failed"},
    "RetiredPagesPendingStatus": {"retired_pages_pending"},
    "GpuFabricInfoV": {"fabric_state"},
    "NvLinkState": {"nvlinks_active", "nvlink_version"},
    "NvLinkVersion": {"nvlink_version"},
}
NEEDED = {"Name", "CudaComputeCapability"}
FRAME = {"sources", "state", "detail"}


def probe(fake: FakeNvml, *pci: Any, **options: Any) -> Found[Nvidia]:
    """The probe's result on a machine with this library."""
    with loaded(fake):
        return probe_nvidia(host(nvml=True, **options), pci)


def changed(reading: GpuReading, other: GpuReading) -> set[str]:
    """The facts in which two readings differ."""
    return {name for name in reading.__struct_fields__ if getattr(reading, name) != getattr(other, name)}


def test_a_healthy_card_gives_every_fact() -> None:
    """Each NVML answer arrives under its name, in bytes, MHz and watts."""
    found = probe(FakeNvml(rtx_4090()))
    gpu = found.facts.gpus[0]
    assert found.issues == ()
    assert gpu == GpuReading(
        vendor="NVIDIA", state="ok", driver_index=0, name="NVIDIA GeForce RTX 4090", brand="GeForce",
        uuid="GPU-00000000-0000-0000-0000-000000000000", pci_address="0000:10:00.0", pci_device_id="2684",
        pci_subsystem="1458:40bf", architecture="Ada", compute_capability="8.9",
        memory_total_bytes=24 * GIB, memory_free_bytes=23 * GIB, memory_used_bytes=GIB // 2,
        memory_reserved_bytes=GIB // 2, memory_bus_bits=384, memory_clock_max_mhz=10501,
        sm_clock_max_mhz=3105, shader_cores=16384, pcie_generation=1,
        pcie_width=16, pcie_max_generation=4, pcie_max_width=16,
        power_limit_w=450.0, power_default_limit_w=450.0, compute_mode="default", persistence=True,
        processes=2, processes_memory_bytes=3 * GIB, throttle_reasons=("sw_power_cap",), sources=gpu.sources,
        display_active=False,
    )  # fmt: skip
    assert set(gpu.sources.values()) == {"nvml"}


def test_the_driver_is_named_with_its_highest_cuda() -> None:
    """12080 reads 12.8; a library of the module's own release is not named twice."""
    driver = probe(FakeNvml(rtx_4090())).facts.driver
    assert driver is not None
    assert (driver.version, driver.cuda_version, driver.library_version) == ("570.86.10", "12.8", None)
    assert driver.source == "nvml"


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_of_one_field_leaves_the_other_facts(code: int) -> None:
    """Each field fails alone; a lost GPU keeps what it has said; nothing raises."""
    card_facts = a100(mig=(mig_slice(0), None, mig_slice(1)))
    fake = FakeNvml(card_facts)
    whole = probe(fake).facts.gpus[0]
    asked = {name.removeprefix("nvmlDeviceGet") for name, gpu in fake.called if gpu == 0}
    assert asked - {"HandleByIndex_v2"} == set(AFFECTED)
    for function, affected in AFFECTED.items():
        fake = FakeNvml(card_facts)
        fake.fail[f"nvmlDeviceGet{function}"] = code
        found = probe(fake)
        gpu = found.facts.gpus[0]
        if code in LOST:
            assert gpu.state == "lost", function
            kept = changed(gpu, whole) - FRAME - affected
            assert all(getattr(gpu, fact) in {None, ()} for fact in kept if not fact.startswith("mig_devices"))
            continue
        assert changed(gpu, whole) - FRAME <= affected, function
        assert gpu.state == ("needs_reset" if code == 16 else "ok")
        if function in NEEDED and code != 16:
            assert any(function in issue.detail for issue in found.issues), function
        elif code in QUIET and function != "MaxMigDeviceCount":
            assert not [issue for issue in found.issues if "mig" not in issue.detail], function


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_of_the_handle_leaves_the_other_gpus(code: int) -> None:
    """One index without a handle is one reading with a state, in its place among the others."""
    fake = FakeNvml(rtx_4090(0), rtx_4090(1), rtx_4090(2))
    fake.fail["nvmlDeviceGetHandleByIndex_v2", 1] = code
    found = probe(fake, card(0x10), card(0x11), card(0x12))
    states = [gpu.state for gpu in found.facts.gpus]
    expected = {15: "lost", 28: "lost", 16: "needs_reset", 4: "no_permission"}.get(code, "unknown")
    assert states == ["ok", expected, "ok"]
    assert found.facts.gpus[1].driver_index == 1
    assert found.facts.gpus[1].pci_address == "0000:11:00.0"
    assert found.facts.gpus[1].detail


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_of_init_is_an_issue_and_the_next_rung(code: int) -> None:
    """A library that does not start leaves the cards of the bus, each with a state and a sentence."""
    fake = FakeNvml(rtx_4090())
    fake.fail["nvmlInitWithFlags"] = code
    found = probe(fake, card(0x10))
    (gpu,) = found.facts.gpus
    expected = {18: "driver_mismatch", 4: "no_permission"}.get(code, "unreachable")
    assert (gpu.state, gpu.pci_address) == (expected, "0000:10:00.0")
    assert gpu.detail
    assert any(issue.source == "nvml" and issue.code.startswith("nvml_") for issue in found.issues)


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_of_a_driver_fact_leaves_the_gpus(code: int) -> None:
    """Without a driver version the GPUs still have their facts, and an issue names the field."""
    for name in (
        "nvmlSystemGetDriverVersion",
        "nvmlSystemGetNVMLVersion",
        "nvmlSystemGetCudaDriverVersion_v2",
    ):
        fake = FakeNvml(rtx_4090())
        fake.fail[name] = code
        found = probe(fake)
        assert found.facts.gpus[0].state == "ok"
        assert any(name.removeprefix("nvmlSystemGet") in issue.detail for issue in found.issues)


def test_one_lost_gpu_does_not_hide_the_other_seven() -> None:
    """A GPU that gets lost while it is asked keeps its first facts and is not asked further."""
    fake = FakeNvml(*(rtx_4090(index) for index in range(8)))
    fake.fail["nvmlDeviceGetBrand", 3] = 15
    found = probe(fake)
    assert [gpu.state for gpu in found.facts.gpus] == ["ok"] * 3 + ["lost"] + ["ok"] * 4
    assert found.facts.gpus[3].name == "NVIDIA GeForce RTX 4090"
    assert "Brand" in (found.facts.gpus[3].detail or "")
    after = [name for name, gpu in fake.called if gpu == 3]
    assert after[-1] == "nvmlDeviceGetBrand"


def test_a_hanging_gpu_costs_its_time_limit_once() -> None:
    """Of eight GPUs one hangs on a field: the others are whole, it keeps its answers, a replay agrees."""
    fake = FakeNvml(*(rtx_4090(index) for index in range(8)))
    fake.hang.add(("nvmlDeviceGetArchitecture", 5))
    asked = host(nvml=True, lanes=True)
    started = time.monotonic()
    with loaded(fake):
        found = probe_nvidia(asked, ())
    assert time.monotonic() - started < 3.5
    assert probe_nvidia(host(others=asked.answers), ()) == found
    assert [gpu.architecture for gpu in found.facts.gpus] == ["Ada"] * 5 + [None] + ["Ada"] * 2
    assert found.facts.gpus[5].memory_total_bytes == 24 * GIB
    assert [issue.code for issue in found.issues] == ["timeout"]
    assert "gpu5 Architecture" in found.issues[0].detail


def test_a_gpu_that_hangs_at_once_has_an_unknown_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that gives no handle in time is unknown, and shares the reading of its card on the bus."""
    fake = FakeNvml(rtx_4090(0), rtx_4090(1))
    fake.hang.add(("nvmlDeviceGetHandleByIndex_v2", 1))
    monkeypatch.setattr(asking, "HANDLE_TIMEOUT_S", 0.3)
    found = probe(fake, card(0x10), card(0x11), lanes=True)
    assert [gpu.state for gpu in found.facts.gpus] == ["ok", "unknown"]
    assert found.facts.gpus[1].pci_address == "0000:11:00.0"


def test_an_unfinished_gpu_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is not through by the common deadline gives what it has answered."""
    monkeypatch.setattr(nvml_reader, "GPUS_DEADLINE_S", 0.2)
    fake = FakeNvml(rtx_4090(0), rtx_4090(1))
    fake.hang.add(("nvmlDeviceGetBrand", 0))
    found = probe(fake)
    assert (found.facts.gpus[0].name, found.facts.gpus[0].brand) == ("NVIDIA GeForce RTX 4090", None)
    assert found.facts.gpus[1].brand == "GeForce"
    assert "gpu0 Brand" in found.issues[0].detail


def test_old_libraries_count_the_reserve_as_used() -> None:
    """Without the second version of the memory answer the first stands, and its source says so."""
    fake = FakeNvml(rtx_4090())
    fake.missing.add("nvmlDeviceGetMemoryInfo_v2")
    found = probe(fake)
    gpu = found.facts.gpus[0]
    assert (gpu.memory_used_bytes, gpu.memory_reserved_bytes) == (GIB, None)
    assert gpu.sources["memory_used_bytes"] == "nvml, reserve counted as used"
    assert found.issues == ()


def test_functions_missing_from_an_old_library_are_no_news() -> None:
    """A driver of 2019 knows neither architecture nor clock-event reasons: the older name serves."""
    fake = FakeNvml(rtx_4090())
    fake.missing |= {
        "nvmlDeviceGetArchitecture", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetNumGpuCores",
        "nvmlDeviceGetComputeRunningProcesses_v3",
    }  # fmt: skip
    found = probe(fake)
    assert found.facts.gpus[0].throttle_reasons == ("sw_power_cap",)
    assert found.issues == ()


@pytest.mark.parametrize("facts", [{"MemoryInfo_v2": {"total": 0}}, {"MemoryInfo_v2": None, "MemoryInfo": None}])
def test_shared_memory_is_unknown_and_never_zero(facts: dict[str, Any]) -> None:
    """GB10 says a total of 0 or not supported (nvitop #208): None and an issue."""
    found = probe(FakeNvml(rtx_4090(**facts)))
    assert found.facts.gpus[0].memory_total_bytes is None
    assert any("MemoryInfo" in issue.detail for issue in found.issues)


def test_memory_errors_are_asked_for_where_ecc_is_on() -> None:
    """Uncorrected errors since the driver was loaded and in the board's life; of a card without ECC nobody asks."""
    fake = FakeNvml(a100(), a100(1, EccMode=(0, 1)))
    gpus = probe(fake).facts.gpus
    counts = [(gpu.ecc_volatile_uncorrected, gpu.ecc_aggregate_uncorrected) for gpu in gpus]
    assert counts == [(1, 4), (None, None)]
    assert [gpu for name, gpu in fake.called if name == "nvmlDeviceGetTotalEccErrors"] == [0, 0]


def test_a_desktop_on_the_card() -> None:
    """NVML says whether a display is active; a driver that does not is no issue."""
    found = probe(FakeNvml(rtx_4090(DisplayActive=(1,)), rtx_4090(1, DisplayActive=None)))
    assert [gpu.display_active for gpu in found.facts.gpus] == [True, None]
    assert found.issues == ()


@pytest.mark.parametrize(
    ("features", "licensed"),
    [
        ([{"code": 2, "state": 1, "enabled": 1}], True),
        ([{"code": 2, "state": 0, "enabled": 1}], False),
        ([{"code": 1, "state": 0, "enabled": 0}, {"code": 2, "state": 1, "enabled": 1}], True),
        ([{"code": 2, "state": 0, "enabled": 0}], None),
        ([], None),
        ([{"enabled": 1}], None),
        (["x", 5], None),
        ("Licensed", None),
    ],
)
def test_licence_of_a_vgpu(features: Any, licensed: bool | None) -> None:
    """What is in use has to be licensed; where nothing is in use, or the answer is no such list, nobody knows."""
    vgpu = {"gpu0/VirtualizationMode": Answer(2), "gpu0/GridLicensableFeatures": Answer(features)}
    assert _of_recording(vgpu).vgpu_licensed is licensed


def test_licences_are_asked_of_a_vgpu_alone() -> None:
    """A card in a virtual machine needs none, and is not asked."""
    asked = _of_recording({"gpu0/VirtualizationMode": Answer(1), "gpu0/GridLicensableFeatures": failed("timeout")})
    assert (asked.vgpu_licensed, asked.virtualization) == (None, "passthrough")


def test_what_is_asked_of_a_licence() -> None:
    """Code, state and use of each feature; not the text of the licence."""
    feature = SimpleNamespace(featureCode=2, featureState=1, featureEnabled=1, licenseInfo=b"who it was sold to")
    for supported, told in ((1, [{"code": 2, "state": 1, "enabled": 1}]), (0, [])):
        info = SimpleNamespace(
            isGridLicenseSupported=supported, licensableFeaturesCount=1, gridLicensableFeatures=(feature, None, None)
        )
        library = SimpleNamespace(nvmlDeviceGetGridLicensableFeatures=lambda _handle, info=info: info)
        assert DEVICE["GridLicensableFeatures"](library, None) == told


def _of_recording(answers: dict[str, Answer[Any]]) -> GpuReading:
    """The one GPU of a recording of NVML with these answers."""

    class Source:
        def answer(self, section: str, key: str, _timeout_s: float) -> Answer[Any]:
            counted = {"system/DeviceCount": Answer(1), "gpu0/Handle": Answer(True)}
            return (
                {**counted, **answers}.get(key, failed("not_recorded")) if section == "nvml" else failed("not_recorded")
            )

    (gpu,) = probe_nvidia(Host(Source(), "recording"), ()).facts.gpus
    return gpu


def test_mig_devices_are_listed_with_their_gaps() -> None:
    """Three slots with one empty give two devices, with profile, memory and multiprocessors."""
    fake = FakeNvml(a100(mig=(mig_slice(0), None, mig_slice(1, name=b"NVIDIA A100-SXM4-40GB"))))
    gpu = probe(fake).facts.gpus[0]
    assert gpu.mig_mode == "enabled"
    assert [(one.index, one.profile) for one in gpu.mig_devices] == [(0, "3g.20gb"), (2, "3g.20gb")]
    first = gpu.mig_devices[0]
    assert (first.memory_total_bytes, first.multiprocessors) == (19968 << 20, 42)
    assert (first.gpu_instance_id, first.compute_instance_id) == (1, 0)
    assert gpu.memory_total_bytes == 40 * GIB


def test_mig_without_instances_is_enabled_and_empty() -> None:
    """MIG enabled with no instance: no usable device, and no issue either."""
    found = probe(FakeNvml(a100(mig=(None,) * 7)))
    assert (found.facts.gpus[0].mig_mode, found.facts.gpus[0].mig_devices) == ("enabled", ())
    assert found.issues == ()


def test_links_and_peers_of_several_gpus() -> None:
    """Twelve active links of version 3, and every pair is asked once for both sides."""
    fake = FakeNvml(a100(0), a100(1), rtx_4090(2))
    gpus = probe(fake).facts.gpus
    assert [gpu.nvlinks_active for gpu in gpus] == [12, 12, None]
    assert gpus[0].nvlink_version == 3
    assert [gpu.p2p_peers for gpu in gpus] == [(1, 2), (0, 2), (0, 1)]
    assert gpus[2].nvlink_peers == (0, 1)
    assert len([name for name, _ in fake.called if name == "nvmlDeviceGetP2PStatus"]) == 6


def test_a_lone_gpu_has_no_pairs_to_ask() -> None:
    """Peer access is no question for one GPU."""
    fake = FakeNvml(a100())
    probe(fake)
    assert not [name for name, _ in fake.called if name == "nvmlDeviceGetP2PStatus"]


def test_inactive_links_are_none_active() -> None:
    """A card with a bridge connector and no bridge: links exist, none is active."""
    gpu = probe(FakeNvml(rtx_4090(NvLinkState=(0,)))).facts.gpus[0]
    assert (gpu.nvlinks_active, gpu.nvlink_version) == (0, None)


@pytest.mark.parametrize("answered", [1, 2, 3, 5, 11])
def test_links_that_end_where_no_gpu_has_its_last_are_not_counted(answered: int) -> None:
    """No GPU has three NVLinks: an error after the third is the link's own. Of twelve, the first alone is no count."""
    state = [Answer(1)] * 12
    state[answered] = Answer(error="nvml_not_supported")
    answers = {f"gpu0/NvLinkState.{number}": answer for number, answer in enumerate(state)}
    gpu = asking.Asker(Host(Given(answers), "recording"), 0)
    nvml_gpu._links(gpu)
    assert "nvlinks_active" not in gpu.facts
    assert [issue.code for issue in gpu.issues.all()] == ["incomplete"]


class Given:
    """Answers of NVML by key; every other link is one that the GPU does not have."""

    def __init__(self, answers: dict[str, Answer[Any]]) -> None:
        self.answers = answers

    def answer(self, section: str, key: str, timeout_s: float) -> Answer[Any]:
        """See `gpucheck.host.host.Source`."""
        return self.answers.get(key, Answer(error="nvml_invalid_argument"))


def test_hidden_process_memory_is_unknown() -> None:
    """Windows hides the memory of processes: their count stands, the sum is unknown."""
    gpu = probe(FakeNvml(rtx_4090(ComputeRunningProcesses_v3=(GIB, 2**64 - 1)))).facts.gpus[0]
    assert (gpu.processes, gpu.processes_memory_bytes) == (2, None)


def test_words_that_nobody_knows_yet_are_none() -> None:
    """A brand or an architecture of the future is unknown, not a number."""
    gpu = probe(FakeNvml(rtx_4090(Architecture=(99,), Brand=(77,), VirtualizationMode=(2,)))).facts.gpus[0]
    assert (gpu.architecture, gpu.brand, gpu.virtualization) == (None, None, "vgpu")


@pytest.mark.parametrize("value", [None, True, -1, "x", 1e9, [], {}, {"total": "much"}, [8], ["a", "b"], 2**70])
def test_a_recording_of_wrong_types_raises_nothing(value: Any) -> None:
    """Every field may hold anything in a hand-edited recording: the probe goes on, in encodable facts."""
    with loaded(FakeNvml(a100(mig=(mig_slice(0),)), a100(1))):
        asked = host(nvml=True)
        probe_nvidia(asked, ())
        keys = [key for section, key in asked.answers if section == "nvml"]
        for key in keys:
            found = probe_nvidia(host(nvml=True, others={("nvml", key): Answer(value)}), ())
            assert msgspec.json.encode(found)


def test_what_was_not_recorded_is_no_issue() -> None:
    """A recording that never asked a field leaves it unknown, silently."""
    with loaded(FakeNvml(rtx_4090())):
        others = {("nvml", f"gpu0/{field}"): failed("not_recorded") for field in ("Handle", "Brand", "UUID")}
        found = probe_nvidia(host(nvml=True, others=others), ())
    assert (found.facts.gpus[0].state, found.facts.gpus[0].brand) == ("ok", None)
    assert found.issues == ()


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("NVIDIA A40-8Q", True), ("GRID V100D-16C", True), ("NVIDIA A100-1-5CME", True), ("GRID K120Q", True),
        ("GRID T4-1B4", True), ("GRID M60-2A", True), ("Tesla K20c", False), ("NVIDIA A40", False),
        ("NVIDIA A100-SXM4-40GB", False), ("Tesla V100-SXM2-32GB", False), ("GRID K2", False), (None, False),
    ],
)  # fmt: skip
def test_names_of_vgpu_profiles(name: str | None, share: bool) -> None:
    """The size and series at the end of a vGPU's name; a card's own name has none."""
    assert words.names_vgpu(name) is share
