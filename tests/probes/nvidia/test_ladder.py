"""The rungs below NVML: nvidia-smi, the kernel's files, and the bus."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gpucheck.host.answer import Answer, failed
from gpucheck.probes.nvidia import probe_nvidia
from gpucheck.probes.nvidia.kernel import parse_version
from gpucheck.probes.nvidia.ladder import SECURE_BOOT
from tests.probes.nvidia.fake_nvml import FakeNvml, loaded, rtx_4090
from tests.probes.nvidia.support import LIST, QUERY, XML, card, host

MIB = 1 << 20
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6 22:20:39 UTC 2023\nGCC version:\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.71.05  Release Build  (dvs@U22)\n"
MODULE = {"/sys/module/nvidia/version": "535.54.03\n", "/proc/driver/nvidia/version": PROPRIETARY}
CSV = (
    "index, name, uuid, pci.bus_id, driver_version, memory.total [MiB], compute_cap, mig.mode.current\n"
    "0, NVIDIA H100 80GB HBM3, GPU-1, 00000000:10:00.0, 590.48.01, 81559 MiB, 9.0, Enabled\n"
)
DOCUMENT = (
    "<?xml version='1.0'?><nvidia_smi_log><driver_version>590.48.01</driver_version>"
    "<cuda_version>13.1</cuda_version><gpu id='00000000:10:00.0'>"
    "<product_name>NVIDIA H100 80GB HBM3</product_name>"
    "<mig_mode><current_mig>{mig}</current_mig></mig_mode><mig_devices>{slices}</mig_devices>"
    "<fb_memory_usage><total>81559 MiB</total></fb_memory_usage></gpu></nvidia_smi_log>"
)
PLAIN = DOCUMENT.format(mig="Disabled", slices="None")
LISTED = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n  MIG 3g.40gb     Device  0: (UUID: MIG-a)\n"
FAILED = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.183\n"


def information(minor: int, **changes: str) -> str:
    """One card's file below /proc/driver/nvidia/gpus."""
    facts = {
        "Model": "NVIDIA RTX A4000", "GPU UUID": f"GPU-{minor}", "Bus Type": "PCIe",
        "Device Minor": str(minor), "GPU Excluded": "No", **changes,
    }  # fmt: skip
    return "".join(f"{key}: \t\t {value}\n" for key, value in facts.items())


def codes(found: Any) -> list[str]:
    """The codes of the issues, in order."""
    return [issue.code for issue in found.issues]


def test_a_machine_without_nvidia_says_nothing() -> None:
    """No card, no driver, no tool: no reading and no issue."""
    found = probe_nvidia(host(), ())
    assert (found.facts.driver, found.facts.gpus, found.issues) == (None, (), ())


def test_xml_and_query_complete_each_other() -> None:
    """The XML has CUDA's version, the query the compute capability; a GPU in both is one reading."""
    found = probe_nvidia(host(commands={XML: PLAIN, QUERY: CSV.replace("Enabled", "Disabled")}), (card(0x10),))
    (gpu,) = found.facts.gpus
    assert (gpu.name, gpu.compute_capability, gpu.mig_mode) == ("NVIDIA H100 80GB HBM3", "9.0", "disabled")
    assert gpu.sources["compute_capability"] == "nvidia-smi --query-gpu"
    assert gpu.sources["memory_total_bytes"] == "nvidia-smi -q -x"
    assert (gpu.pci_subsystem, gpu.sources["pci_subsystem"]) == ("1458:40bf", "sysfs")
    driver = found.facts.driver
    assert driver is not None
    assert (driver.version, driver.cuda_version, driver.source) == ("590.48.01", "13.1", "nvidia-smi")
    assert codes(found) == ["library_missing"]


def test_the_query_alone() -> None:
    """Without readable XML the query stands; what it cannot know has an issue."""
    found = probe_nvidia(host(commands={XML: "rubbish \ufffd", QUERY: CSV, LIST: LISTED}), ())
    (gpu,) = found.facts.gpus
    assert (gpu.memory_total_bytes, gpu.compute_capability) == (81559 * MIB, "9.0")
    assert [(one.profile, one.uuid, one.memory_total_bytes) for one in gpu.mig_devices] == [("3g.40gb", "MIG-a", None)]
    assert codes(found) == ["malformed", "mig_memory_unknown", "library_missing"]


def test_slices_get_their_profiles_from_the_list() -> None:
    """The XML has the sizes of MIG devices, `-L` their profiles; without it the profile has an issue."""
    slices = "<mig_device><index>0</index><fb_memory_usage><total>40448 MiB</total></fb_memory_usage></mig_device>"
    document = DOCUMENT.format(mig="Enabled", slices=slices)
    found = probe_nvidia(host(commands={XML: document, QUERY: CSV, LIST: LISTED}), ())
    (one,) = found.facts.gpus[0].mig_devices
    assert (one.profile, one.memory_total_bytes) == ("3g.40gb", 40448 * MIB)
    found = probe_nvidia(host(commands={XML: document, QUERY: CSV}), ())
    assert "mig_profile_unknown" in codes(found)


def test_the_list_is_asked_for_slices_only() -> None:
    """Without MIG, `-L` is not run."""
    asked = host(commands={XML: PLAIN, QUERY: CSV.replace("Enabled", "Disabled")})
    probe_nvidia(asked, ())
    assert not [key for section, key in asked.answers if section == "command" and "-L" in key]


def test_an_old_driver_refuses_fields() -> None:
    """One unknown field makes an old driver refuse them all: it is asked again with fewer."""

    def old(key: str) -> Any:
        if "compute_cap" in key:
            return 'Field "compute_cap" is not a valid field to query.\n', 2
        if "mig.mode" in key:
            return 'Field "mig.mode.current" is not a valid field to query.\n', 2
        return "index, name, memory.total [MiB]\n0, Tesla K80, 11441 MiB\n"

    found = probe_nvidia(host(commands={XML: "", QUERY: old}), ())
    (gpu,) = found.facts.gpus
    assert (gpu.name, gpu.memory_total_bytes, gpu.compute_capability) == ("Tesla K80", 11441 * MIB, None)
    assert any("no compute capability" in issue.detail for issue in found.issues)


@pytest.mark.parametrize(
    "printed",
    [
        (FAILED, 9), ("", 0), ("", 1), ("\ufffd\x00\ufffd", 0), ("No devices were found\n", 6),
        failed("timeout", "nvidia-smi: not finished in 10 s"), failed("no_permission", "nvidia-smi"),
        failed("too_large", "nvidia-smi"), Answer({"stdout": 1}),
    ],
)  # fmt: skip
def test_a_failing_tool_is_an_issue_and_the_next_rung(printed: Any) -> None:
    """Whatever it prints instead, the kernel's files and the bus still speak."""
    found = probe_nvidia(host(MODULE, {XML: printed, QUERY: printed}), (card(0x10),))
    (gpu,) = found.facts.gpus
    assert gpu.state == "unreachable"
    assert any(issue.source.startswith("nvidia-smi") for issue in found.issues)
    assert found.facts.driver is not None
    assert found.facts.driver.version == "535.54.03"


def test_a_hanging_tool_is_not_run_again() -> None:
    """One time limit is enough."""
    asked = host(commands={XML: failed("timeout", "nvidia-smi: not finished"), QUERY: CSV})
    assert probe_nvidia(asked, ()).facts.gpus == ()
    assert len([key for section, key in asked.answers if section == "command"]) == 1


def test_a_log_with_a_bad_exit_status_stands() -> None:
    """A corrupted infoROM gives status 14 with a whole log: facts and an issue."""
    found = probe_nvidia(host(commands={XML: (PLAIN, 14), QUERY: (CSV.replace("Enabled", "Disabled"), 14)}), ())
    assert found.facts.gpus[0].compute_capability == "9.0"
    assert "exit_status" in codes(found)


def test_the_tool_of_wsl() -> None:
    """Where nvidia-smi is on no search path, WSL's own place is tried (WSL #11888), and only then."""
    wsl = "/usr/lib/wsl/lib/nvidia-smi"
    found = probe_nvidia(host(commands={(wsl, "-q", "-x"): PLAIN}), ())
    assert found.facts.gpus[0].name == "NVIDIA H100 80GB HBM3"
    asked = host(commands={XML: PLAIN})
    probe_nvidia(asked, ())
    assert not [key for _, key in asked.answers if wsl in key]


def test_a_mismatch_names_both_versions() -> None:
    """After an upgrade without a restart: the module's version, the library's, and the state of the cards."""
    fake = FakeNvml(rtx_4090())
    fake.fail["nvmlInitWithFlags"] = 18
    with loaded(fake):
        found = probe_nvidia(host(MODULE, {"nvidia-smi": (MISMATCH, 18)}, nvml=True), (card(0x10),))
    driver = found.facts.driver
    assert driver is not None
    assert (driver.version, driver.library_version) == ("535.54.03", "535.183")
    assert (driver.source, driver.open_kernel_module) == ("/sys/module/nvidia/version", False)
    assert found.facts.gpus[0].state == "driver_mismatch"
    assert "nvml_lib_rm_version_mismatch" in codes(found)


def test_a_mismatch_without_the_tool_says_that_the_library_is_unknown() -> None:
    """Only nvidia-smi names the library that does not fit; without it an issue says that nothing does."""
    fake = FakeNvml(rtx_4090())
    fake.fail["nvmlInitWithFlags"] = 18
    with loaded(fake):
        found = probe_nvidia(host(MODULE, nvml=True), (card(0x10),))
    assert found.facts.driver is not None
    assert found.facts.driver.library_version is None
    assert "drivers.nvidia.library_version" in [issue.source for issue in found.issues]


def test_a_bound_module_without_a_version_is_an_issue() -> None:
    """The module holds a card, so that there is a driver, and its version is unknown rather than absent."""
    sources = [issue.source for issue in probe_nvidia(host(), (card(0x10),)).issues]
    assert "/sys/module/nvidia/version" in sources
    assert "not_found" not in codes(probe_nvidia(host(), (card(0x10, None),)))


def test_lanes_are_unknown_where_a_link_above_is() -> None:
    """NVML knows the link at the card alone, which may be wider than one above that could not be read."""
    with loaded(FakeNvml(rtx_4090())):
        whole = probe_nvidia(host(MODULE, nvml=True), (card(0x10),)).facts.gpus[0]
        part = probe_nvidia(
            host(MODULE, nvml=True), (card(0x10, link_width=None, link_max_width=None, link_complete=False),)
        ).facts.gpus[0]
    assert (whole.pcie_width, whole.pcie_max_width) == (16, 16)
    assert (part.pcie_width, part.pcie_max_width, "pcie_width" in part.sources) == (None, None, False)


@pytest.mark.parametrize(
    ("driver", "state"), [(None, "no_driver"), ("nouveau", "wrong_driver"), ("vfio-pci", "wrong_driver")]
)
def test_cards_that_nvidia_does_not_drive(driver: str | None, state: str) -> None:
    """A card of another driver, or of none, is present with a reason, and its ids from the bus."""
    (gpu,) = probe_nvidia(host(), (card(0x10, driver),)).facts.gpus
    assert (gpu.state, gpu.pci_device_id, gpu.pcie_max_width) == (state, "2684", 16)
    assert (driver or "no kernel driver") in (gpu.detail or "")


def test_a_container_without_the_libraries() -> None:
    """A driver of the host, but no library and no device node in here: unreachable, naming the node."""
    found = probe_nvidia(host(MODULE), (card(0x10),))
    (gpu,) = found.facts.gpus
    assert gpu.state == "unreachable"
    assert "/dev/nvidiactl" in (gpu.detail or "")
    assert codes(found) == ["library_missing"]
    assert found.facts.driver is not None


def test_a_node_that_may_not_be_opened() -> None:
    """The library fails and the control node is closed to this user: no permission."""
    others = {("access", "rw /dev/nvidiactl"): Answer(False)}
    (gpu,) = probe_nvidia(host(MODULE, others=others), (card(0x10),)).facts.gpus  # type: ignore[arg-type]
    assert (gpu.state, gpu.detail) == ("no_permission", "/dev/nvidiactl may not be opened")


def test_the_kernel_names_cards() -> None:
    """Name and UUID come from the module's own files when nobody else answers; "?" is no UUID."""
    files = {
        **MODULE,
        "/proc/driver/nvidia/gpus/0000:10:00.0/information": information(0),
        "/proc/driver/nvidia/gpus/0000:11:00.0/information": information(1, **{"GPU UUID": "GPU-????????"}),
        "/proc/driver/nvidia/gpus/0000:12:00.0/information": information(2, **{"GPU Excluded": "Yes"}),
    }
    gpus = probe_nvidia(host(files), (card(0x10),)).facts.gpus
    assert [gpu.pci_address for gpu in gpus] == ["0000:10:00.0", "0000:11:00.0", "0000:12:00.0"]
    assert [gpu.uuid for gpu in gpus] == ["GPU-0", None, "GPU-2"]
    assert gpus[0].name == "NVIDIA RTX A4000"
    assert "excluded" in (gpus[2].detail or "")


def nvml_of(*buses: int) -> FakeNvml:
    """A library that names the cards on these buses."""
    return FakeNvml(*(rtx_4090(bus - 0x10) for bus in buses))


def test_one_card_is_one_reading_in_bus_order() -> None:
    """NVML's address and the bus's are the same card; other functions and vendors are none."""
    pci = (
        card(0x12, "nouveau"), card(0x11), card(0x10),
        card(0x10, "snd_hda_intel", address="0000:10:00.1", pci_class="0403"),
        card(0x20, "amdgpu", vendor_id="1002"),
    )  # fmt: skip
    with loaded(nvml_of(0x10, 0x11)):
        found = probe_nvidia(host(nvml=True), pci)
    assert [(gpu.pci_address, gpu.state) for gpu in found.facts.gpus] == [
        ("0000:10:00.0", "ok"), ("0000:11:00.0", "ok"), ("0000:12:00.0", "wrong_driver"),
    ]  # fmt: skip


def test_a_card_that_nvml_does_not_name_is_lost() -> None:
    """NVML names the others: this one may have fallen off the bus (open-gpu-kernel-modules #507)."""
    with loaded(nvml_of(0x10)):
        gpus = probe_nvidia(host(nvml=True), (card(0x10), card(0x11))).facts.gpus
    assert [gpu.state for gpu in gpus] == ["ok", "lost"]


def test_a_card_that_the_container_was_not_given() -> None:
    """Its node is missing, or the module's list hides it: not lost, but out of reach."""
    files = {f"/proc/driver/nvidia/gpus/0000:{bus}:00.0/information": information(bus - 10) for bus in (10, 11)}
    with loaded(nvml_of(0x10)):
        gpus = probe_nvidia(host(files, nvml=True), (card(0x10), card(0x11))).facts.gpus
        assert (gpus[1].state, "/dev/nvidia1" in (gpus[1].detail or "")) == ("unreachable", True)
        others = {("access", "rw /dev/nvidia1"): Answer(True)}
        gpus = probe_nvidia(host(files, others=others, nvml=True), (card(0x10), card(0x11))).facts.gpus  # type: ignore[arg-type]
        assert gpus[1].state == "lost"
        del files["/proc/driver/nvidia/gpus/0000:11:00.0/information"]
        gpus = probe_nvidia(host(files, nvml=True), (card(0x10), card(0x11))).facts.gpus
        assert gpus[1].state == "unreachable"


def test_a_card_that_the_job_was_not_given() -> None:
    """A scheduler's device rules hide cards from NVML alone: they are out of reach, not lost."""
    given = {("env", "SLURM_JOB_GPUS"): Answer("0")}
    with loaded(nvml_of(0x10)):
        gpus = probe_nvidia(host(others=given, nvml=True), (card(0x10), card(0x11))).facts.gpus  # type: ignore[arg-type]
    assert [gpu.state for gpu in gpus] == ["ok", "unreachable"]
    assert "SLURM_JOB_GPUS=0" in (gpus[1].detail or "")


def test_the_narrowest_link_up_to_the_root() -> None:
    """NVML knows the link at the card; a switch above it may have fewer lanes, and never more than count."""
    widths = {}
    for lanes in (4, 16, 32, None):
        with loaded(nvml_of(0x10)):
            device = msgspec.structs.replace(card(0x10), link_width=lanes)
            (gpu,) = probe_nvidia(host(nvml=True), (device,)).facts.gpus
        widths[lanes] = gpu.pcie_width
    assert widths == {4: 4, 16: 16, 32: 16, None: 16}


@pytest.mark.parametrize(("variable", "noted"), [("\x06\0\0\0\x01", True), ("\x06\0\0\0\0", False), ("", False)])
def test_secure_boot(variable: str, noted: bool) -> None:
    """That Secure Boot is on is noted beside a card without a driver, and beside no other."""
    files = {SECURE_BOOT: variable}
    assert ("secure_boot" in codes(probe_nvidia(host(files), (card(0x10, None),)))) is noted
    assert "secure_boot" not in codes(probe_nvidia(host(files), (card(0x10, "nouveau"),)))


def test_gpus_on_no_visible_bus() -> None:
    """WSL2 shows no PCI device: the driver's readings stand alone."""
    with loaded(nvml_of(0x11, 0x10)):
        gpus = probe_nvidia(host(nvml=True), ()).facts.gpus
    assert [(gpu.driver_index, gpu.pci_address) for gpu in gpus] == [(1, "0000:10:00.0"), (0, "0000:11:00.0")]


@pytest.mark.parametrize("error", ["not_recorded", "other_root"])
def test_a_copied_tree_knows_the_cards_but_not_their_state(error: str) -> None:
    """Nobody could ask the driver: the state is unknown, and that is no issue."""
    found = probe_nvidia(host(MODULE, no_nvml=failed(error)), (card(0x10),))
    assert (found.facts.gpus[0].state, found.issues) == ("unknown", ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROPRIETARY, ("535.54.03", False)),
        (OPEN, ("595.71.05", True)),
        ("NVRM version: what\n", (None, False)),
        ("", (None, None)),
    ],
)
def test_the_kind_of_the_module(text: str, expected: tuple[str | None, bool | None]) -> None:
    """The two kinds word their line differently; the version follows a double space."""
    assert parse_version(text) == expected


def test_versions_that_disagree_are_an_issue() -> None:
    """NVML and the module's file should give one version."""
    with loaded(nvml_of(0x10)):
        found = probe_nvidia(host(MODULE, nvml=True), ())
    assert codes(found) == ["versions_differ"]


def test_endless_blanks_take_no_time() -> None:
    """The version is looked for behind each run of blanks once, not from each of its blanks."""
    assert parse_version("NVRM version:" + " " * 300_000 + "x\n") == (None, False)
