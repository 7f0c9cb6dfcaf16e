"""The parser of `nvidia-smi -q -x`, on small logs with the quirks of each generation."""

from __future__ import annotations

import pytest

from gpucheck.probes.nvidia.smi_log import SmiLog
from gpucheck.probes.nvidia.smi_xml import MAX_CHARACTERS, parse_xml

MIB = 1 << 20
MEMORY = "<fb_memory_usage><total>{} MiB</total><used>1 MiB</used><free>2 MiB</free></fb_memory_usage>"
LINK = """<pci><pci_bus_id>00000000:0C:00.0</pci_bus_id><pci_device_id>1E8110DE</pci_device_id>
<pci_sub_system_id>40051458</pci_sub_system_id><pci_gpu_link_info>
<pcie_gen><max_link_gen>3</max_link_gen><current_link_gen>1</current_link_gen>
<device_current_link_gen>1</device_current_link_gen><max_device_link_gen>3</max_device_link_gen></pcie_gen>
<link_widths><max_link_width>16x</max_link_width><current_link_width>8x</current_link_width></link_widths>
</pci_gpu_link_info></pci>"""
SLICE = """<mig_device><index>{0}</index><gpu_instance_id>{1}</gpu_instance_id>
<compute_instance_id>0</compute_instance_id><device_attributes><shared>
<multiprocessor_count>14</multiprocessor_count></shared></device_attributes>
<fb_memory_usage><total>19968 MiB</total><used>12 MiB</used><free>19955 MiB</free></fb_memory_usage>
</mig_device>"""


def log(*gpus: str, head: str = "<driver_version>535.54.03</driver_version><cuda_version>12.2</cuda_version>") -> str:
    """A log of these GPU elements' contents."""
    elements = "".join(f'<gpu id="00000000:0C:00.0">{gpu}</gpu>' for gpu in gpus)
    doctype = '<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">'
    return f'<?xml version="1.0" ?>\n{doctype}\n<nvidia_smi_log>{head}{elements}</nvidia_smi_log>\n'


def only(text: str) -> object:
    """The one GPU of a log."""
    (gpu,) = parse_xml(text).facts.gpus
    return gpu


def test_identity_memory_and_link() -> None:
    """Hex words are split in their halves, addresses lose four zeros, widths their x."""
    gpu = only(log(f"<product_name>NVIDIA GeForce RTX 2080 SUPER</product_name>{LINK}{MEMORY.format(8192)}"))
    assert gpu.name == "NVIDIA GeForce RTX 2080 SUPER"
    assert (gpu.pci_address, gpu.pci_device_id, gpu.pci_subsystem) == ("0000:0c:00.0", "1e81", "1458:4005")
    assert (gpu.pcie_generation, gpu.pcie_max_generation, gpu.pcie_width, gpu.pcie_max_width) == (1, 3, 8, 16)
    assert (gpu.memory_total_bytes, gpu.memory_reserved_bytes) == (8192 * MIB, None)
    assert gpu.sources["name"] == "nvidia-smi -q -x"


def test_names_of_later_documents() -> None:
    """Where only the device's own link generations stand, they serve."""
    later = LINK.replace("<max_link_gen>3</max_link_gen><current_link_gen>1</current_link_gen>", "")
    gpu = only(log(later))
    assert (gpu.pcie_generation, gpu.pcie_max_generation) == (1, 3)


def test_the_card_is_not_its_slice() -> None:
    """The card's memory is its own element's child, though a slice's 19968 MiB comes first in the text."""
    slices = SLICE.format(0, 3) + SLICE.format(1, 4)
    mig = f"<mig_mode><current_mig>Enabled</current_mig></mig_mode><mig_devices>{slices}</mig_devices>"
    gpu = only(log(mig + MEMORY.format(81920)))
    assert gpu.memory_total_bytes == 81920 * MIB
    assert gpu.mig_mode == "enabled"
    assert [(one.index, one.gpu_instance_id, one.memory_total_bytes) for one in gpu.mig_devices] == [
        (0, 3, 19968 * MIB),
        (1, 4, 19968 * MIB),
    ]
    assert gpu.mig_devices[0].multiprocessors == 14


def test_a_card_with_slices_alone_has_no_memory_of_its_own() -> None:
    """Without the card's own element its memory is unknown."""
    assert only(log(f"<mig_devices>{SLICE.format(0, 3)}</mig_devices>")).memory_total_bytes is None


def test_no_slices_are_the_word_none() -> None:
    """An unsliced card writes "None" between the tags."""
    assert only(log("<mig_devices>\n\tNone\n</mig_devices>")).mig_devices == ()


@pytest.mark.parametrize(
    "absent", ["N/A", "[N/A]", "Requested functionality has been deprecated", "ERR!", "Unknown Error", ""]
)
def test_every_spelling_of_absence_is_none(absent: str) -> None:
    """Excuses in the place of values are unknown facts."""
    gpu = only(
        log(
            f"<product_name>{absent}</product_name><persistence_mode>{absent}</persistence_mode>"
            f"<compute_mode>{absent}</compute_mode><ecc_mode><current_ecc>{absent}</current_ecc></ecc_mode>"
            f"<fb_memory_usage><total>{absent}</total></fb_memory_usage>"
        )
    )
    facts = (gpu.name, gpu.persistence, gpu.compute_mode, gpu.ecc_enabled, gpu.memory_total_bytes)
    assert facts == (None,) * 5
    assert gpu.state == "ok"


def test_modes_in_words() -> None:
    """Modes are spelled as NVML's numbers are, whatever their capitals."""
    gpu = only(
        log(
            "<product_brand>Titan</product_brand><product_architecture>Ada Lovelace</product_architecture>"
            "<compute_mode>Exclusive_Process</compute_mode><persistence_mode>Enabled</persistence_mode>"
            "<ecc_mode><current_ecc>Disabled</current_ecc></ecc_mode>"
            "<gpu_virtualization_mode><virtualization_mode>Pass-Through</virtualization_mode>"
            "</gpu_virtualization_mode>"
        )
    )
    assert (gpu.brand, gpu.architecture, gpu.compute_mode) == ("TITAN", "Ada", "exclusive_process")
    assert (gpu.persistence, gpu.ecc_enabled, gpu.virtualization) == (True, False, "passthrough")


NEW = "<sram_uncorrectable_parity>1</sram_uncorrectable_parity><sram_uncorrectable_secded>0</sram_uncorrectable_secded>"
OLD = (
    "<single_bit><total>9</total></single_bit><double_bit><device_memory>2</device_memory><total>2</total></double_bit>"
)


@pytest.mark.parametrize(
    ("counts", "number"),
    [
        ("<sram_uncorrectable>0</sram_uncorrectable><dram_uncorrectable>3</dram_uncorrectable>", 3),
        (f"{NEW}<dram_correctable>7</dram_correctable><dram_uncorrectable>3</dram_uncorrectable>", 4),
        (OLD, 2),
        ("<sram_uncorrectable>0</sram_uncorrectable><dram_uncorrectable>N/A</dram_uncorrectable>", None),
        ("", None),
    ],
)
def test_memory_errors_of_three_generations(counts: str, number: int | None) -> None:
    """Uncorrected errors are summed over SRAM and DRAM; a part that is not told makes the sum unknown."""
    gpu = only(log(f"<ecc_errors><volatile>{counts}</volatile><aggregate>{counts}</aggregate></ecc_errors>"))
    assert (gpu.ecc_volatile_uncorrected, gpu.ecc_aggregate_uncorrected) == (number, number)


@pytest.mark.parametrize(
    ("status", "licensed"),
    [
        ("Licensed (Expiry: 2027-1-7 16:1:44 GMT)", True),
        ("Unlicensed", False),
        ("Unlicensed (Unrestricted)", False),
        ("N/A", None),
        ("", None),
    ],
)
def test_licence(status: str, licensed: bool | None) -> None:
    """The first word of the status counts."""
    product = "<licensed_product_name>NVIDIA RTX Virtual Workstation</licensed_product_name>"
    inner = f"{product}<license_status>{status}</license_status>"
    gpu = only(log(f"<vgpu_software_licensed_product>{inner}</vgpu_software_licensed_product>"))
    assert gpu.vgpu_licensed is licensed


@pytest.mark.parametrize(("said", "active"), [("Enabled", True), ("Disabled", False), ("N/A", None)])
def test_display(said: str, active: bool | None) -> None:
    """Whether a desktop runs on the card."""
    assert only(log(f"<display_active>{said}</display_active>")).display_active is active


@pytest.mark.parametrize("name", ["event", "throttle"])
def test_throttle_reasons_of_both_names(name: str) -> None:
    """Active reasons are listed, except idleness."""
    reasons = {"gpu_idle": "Active", "sw_power_cap": "Active", "hw_slowdown": "Not Active"}
    inner = "".join(
        f"<clocks_{name}_reason_{key}>{value}</clocks_{name}_reason_{key}>" for key, value in reasons.items()
    )
    gpu = only(log(f"<clocks_{name}_reasons>{inner}</clocks_{name}_reasons>"))
    assert gpu.throttle_reasons == ("sw_power_cap",)


@pytest.mark.parametrize(
    ("readings", "limits"),
    [
        (
            (
                "<power_readings><power_limit>75.00 W</power_limit>"
                "<default_power_limit>70.00 W</default_power_limit></power_readings>"
            ),
            (75.0, 70.0),
        ),
        (
            (
                "<gpu_power_readings><current_power_limit>320.00 W</current_power_limit>"
                "<default_power_limit>320.00 W</default_power_limit></gpu_power_readings>"
                "<module_power_readings><current_power_limit>1000.00 W</current_power_limit>"
                "</module_power_readings>"
            ),
            (320.0, 320.0),
        ),
    ],
)
def test_power_limits_of_both_generations(readings: str, limits: tuple[float, float]) -> None:
    """The card's limits, never the module's."""
    gpu = only(log(readings))
    assert (gpu.power_limit_w, gpu.power_default_limit_w) == limits


def test_processes_are_counted() -> None:
    """Their memory is a sum only when each says its own."""
    one = "<process_info><used_memory>550 MiB</used_memory></process_info>"
    hidden = "<process_info><used_memory>N/A</used_memory></process_info>"
    gpu = only(log(f"{MEMORY.format(10)}<processes>{one}{one}</processes>"))
    assert (gpu.processes, gpu.processes_memory_bytes) == (2, 1100 * MIB)
    gpu = only(log(f"{MEMORY.format(10)}<processes>{one}{hidden}</processes>"))
    assert (gpu.processes, gpu.processes_memory_bytes) == (2, None)
    assert only(log(f"{MEMORY.format(10)}<processes>N/A</processes>")).processes is None


@pytest.mark.parametrize(
    "head",
    [
        "<driver_version>610.57.04</driver_version><cuda_version>13.3</cuda_version>",
        "<kmd_version>610.57.04</kmd_version><cuda_umd_version>13.3</cuda_umd_version>",
        (
            "<driver_version>610.57.04 [Deprecated; will be removed in CUDA 14.0. Use KMD]</driver_version>"
            "<cuda_version>13.3 [Deprecated; will be removed]</cuda_version>"
        ),
        (
            "<driver_version>Deprecated, see kmd_version</driver_version><kmd_version>610.57.04</kmd_version>"
            "<cuda_version>Deprecated</cuda_version><cuda_umd_version>13.3</cuda_umd_version>"
        ),
    ],
)
def test_versions_of_driver_610(head: str) -> None:
    """Renamed elements, and values with a note behind a blank (sgl #27487)."""
    facts = parse_xml(log("", head=head)).facts
    assert (facts.driver_version, facts.cuda_version) == ("610.57.04", "13.3")


def test_attached_gpus_may_disagree() -> None:
    """The listed GPUs count; the difference is an issue."""
    found = parse_xml(log("", head="<attached_gpus>4</attached_gpus>"))
    assert len(found.facts.gpus) == 1
    assert [issue.code for issue in found.issues] == ["count_differs"]


@pytest.mark.parametrize(("said", "state"), [("GPU is lost", "lost"), ("GPU requires reset", "needs_reset")])
def test_a_gpu_that_only_complains_has_its_state(said: str, state: str) -> None:
    """A lost GPU prints the same sentence for every value."""
    gpu = only(log(f"<product_name>{said}</product_name><uuid>{said}</uuid>"))
    assert (gpu.state, gpu.name, gpu.uuid) == (state, None, None)


def test_warnings_around_the_log_are_cut_off() -> None:
    """A corrupted infoROM is told after the log, and not as XML."""
    text = f"WARNING: something\n{log(MEMORY.format(7))}WARNING: infoROM is corrupted at gpu 0000:C7:00.0\n"
    assert only(text).memory_total_bytes == 7 * MIB


@pytest.mark.parametrize(
    "text",
    [
        "", "\x00\x01\ufffd", "NVIDIA-SMI has failed", "<nvidia_smi_log>", "<?xml version='1.0'?><other/>",
        log("")[:80], log("<a></b>"), log("&lol;"),
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "xx">]><nvidia_smi_log>&x;</nvidia_smi_log>',
        log("x" * MAX_CHARACTERS),
    ],
)  # fmt: skip
def test_what_is_no_log_is_an_issue(text: str) -> None:
    """Rubbish, a cut log, another document, entities and a flood: an empty log and one issue each."""
    found = parse_xml(text)
    assert found.facts == SmiLog()
    assert [issue.code for issue in found.issues] == ["malformed"]


def test_deep_nesting_is_survived() -> None:
    """A hundred thousand levels are no recursion."""
    assert only(log("<a>" * 100_000 + "</a>" * 100_000)).name is None
