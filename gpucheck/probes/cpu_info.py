"""What `/proc/cpuinfo` says, as pure functions of its text; each architecture writes another kind of file."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.probes.collect import whole_number

# The flags that decide how fast quantised and half-precision products run, as the kernel spells them.
X86_FEATURES = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8", "avx512f", "avx512bw", "avx512vl",
    "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16",
)  # fmt: skip
ARM_FEATURES = ("asimd", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16", "sme", "sme2")

VENDORS = {
    "GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon", "CentaurHauls": "Zhaoxin",
    "Shanghai": "Zhaoxin", "IBM/S390": "IBM",
}  # fmt: skip

# Implementer and part numbers (MIDR_EL1): arch/arm64/include/asm/cputype.h (Linux), lscpu-arm.c (util-linux).
IMPLEMENTERS = {
    0x41: "ARM", 0x42: "Broadcom", 0x43: "Cavium", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4E: "NVIDIA",
    0x50: "APM", 0x51: "Qualcomm", 0x61: "Apple", 0x6D: "Microsoft", 0xC0: "Ampere",
}  # fmt: skip
PARTS = {
    (0x41, 0xD03): "Cortex-A53", (0x41, 0xD05): "Cortex-A55", (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72", (0x41, 0xD0B): "Cortex-A76", (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD40): "Neoverse V1", (0x41, 0xD41): "Cortex-A78", (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD49): "Neoverse N2", (0x41, 0xD4F): "Neoverse V2", (0x41, 0xD83): "Neoverse V3AE",
    (0x41, 0xD84): "Neoverse V3", (0x41, 0xD85): "Cortex-X925", (0x41, 0xD87): "Cortex-A725",
    (0x41, 0xD8E): "Neoverse N3",
    (0x46, 0x001): "A64FX", (0x48, 0xD01): "Kunpeng 920", (0x4E, 0x004): "Carmel",
    (0x51, 0x001): "Oryon", (0xC0, 0xAC3): "Ampere-1", (0xC0, 0xAC4): "Ampere-1a",
}  # fmt: skip

_NAMES = ("model name", "Model Name", "cpu model", "cpu", "uarch")  # x86, LoongArch, MIPS, POWER, RISC-V
_FLAGS = ("flags", "Features", "features")


class CpuInfo(Struct, frozen=True):
    """One `/proc/cpuinfo`; only CPUs that are online stand in it."""

    name: str | None
    vendor: str | None
    flags: frozenset[str] | None  # None when there is no such line
    processors: int  # how many
    numbers: tuple[int, ...]  # theirs
    cores: frozenset[tuple[str, str]]  # (physical id, core id)
    parts: tuple[tuple[int, int], ...]  # ARM (implementer, part), in order of first appearance


def parse_cpuinfo(text: str) -> CpuInfo:
    """The facts in the text; whatever it lacks is None or empty."""
    first: dict[str, str] = {}
    cores: set[tuple[str, str]] = set()
    parts: dict[tuple[int, int], None] = {}
    numbers: list[int] = []
    package, implementer = "", 0
    for line in text.splitlines():
        key, _, value = line.partition(":")
        key = key.strip()
        if key in {"processor", "cpu number"}:  # the latter on s390
            number = whole_number(value)
            numbers += [] if number is None else [number]
        elif key == "physical id":
            package = value.strip()
        elif key == "core id" and package:
            cores.add((package, value.strip()))
        elif key == "CPU implementer":
            implementer = _hex(value)
        elif key == "CPU part":
            parts[implementer, _hex(value)] = None
        if key not in first:
            first[key] = value.strip()
    flags = next((first[key] for key in _FLAGS if key in first), None)
    vendor = first.get("vendor_id")
    return CpuInfo(
        name=_model_name(first),
        vendor=VENDORS.get(vendor, vendor) if vendor else (IMPLEMENTERS.get(implementer) if parts else None),
        flags=None if flags is None else frozenset(flags.split()),
        processors=len(numbers) or whole_number(first.get("# processors")) or 0,
        numbers=tuple(numbers),
        cores=frozenset(cores),
        parts=tuple(parts),
    )


def ai_features(flags: frozenset[str]) -> tuple[str, ...]:
    """The flags that matter to AI. "sme" is matrix arithmetic on ARM, and memory encryption on a Ryzen."""
    return tuple(name for name in (ARM_FEATURES if "asimd" in flags else X86_FEATURES) if name in flags)


def arm_name(parts: tuple[tuple[int, int], ...]) -> str | None:
    """Names such as "Cortex-X925 + Cortex-A725": ARM's cpuinfo has numbers for names (py-cpuinfo #170)."""
    names = []
    for implementer, part in parts:
        maker = IMPLEMENTERS.get(implementer, f"0x{implementer:02x}")
        names.append(PARTS.get((implementer, part), f"{maker} part 0x{part:03x}"))
    return " + ".join(dict.fromkeys(names)) or None


def arch_of(text: str) -> str | None:
    """The architecture that only such a cpuinfo can come from; for copied trees, which have no uname."""
    info = parse_cpuinfo(_first_processor(text))
    if info.parts:
        return "aarch64" if "asimd" in (info.flags or ()) else "arm"
    if info.flags and "lm" in info.flags:
        return "x86_64"
    return "s390x" if info.vendor == "IBM" else None


def has_hypervisor_flag(text: str) -> bool:
    """Whether an x86 processor says that it is a virtual one."""
    return "hypervisor" in (parse_cpuinfo(_first_processor(text)).flags or ())


def _model_name(first: dict[str, str]) -> str | None:
    """The marketing name. "ARMv7 Processor rev 3 (v7l)" names an instruction set, and "unknown" nothing."""
    name = next((first[key] for key in _NAMES if first.get(key)), "")
    if name in {"", "unknown"} or name.startswith(("ARMv", "AArch64")):
        return None
    return " ".join(name.split())


def _first_processor(text: str) -> str:
    """The text up to the first blank line; on 256 CPUs the whole takes milliseconds to read."""
    return text.partition("\n\n")[0]


def _hex(text: str) -> int:
    try:
        return int(text.strip()[:10], 16)
    except ValueError:
        return 0
