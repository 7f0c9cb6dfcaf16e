"""What `sysctl` says on macOS; one call, whose answer every probe shares."""

from __future__ import annotations

from gpucheck.host.host import Host

# macOS's names by the kernel's flag of the same instructions on Linux; the older spellings are from macOS 11.
OPTIONAL = {
    "hw.optional.sse4_2": "sse4_2", "hw.optional.avx1_0": "avx", "hw.optional.avx2_0": "avx2",
    "hw.optional.fma": "fma", "hw.optional.f16c": "f16c", "hw.optional.avx512f": "avx512f",
    "hw.optional.avx512bw": "avx512bw", "hw.optional.avx512vl": "avx512vl",
    "hw.optional.neon": "asimd", "hw.optional.AdvSIMD": "asimd", "hw.optional.arm.AdvSIMD": "asimd",
    "hw.optional.neon_fp16": "asimdhp", "hw.optional.arm.FEAT_FP16": "asimdhp",
    "hw.optional.arm.FEAT_DotProd": "asimddp", "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16", "hw.optional.arm.FEAT_SME": "sme",
    "hw.optional.arm.FEAT_SME2": "sme2",
}  # fmt: skip


def sysctls(host: Host) -> dict[str, str]:
    """Values by name below `hw` and `machdep.cpu`; empty on other systems, which is not an error."""
    if not is_darwin(host):
        return {}
    answer = host.run("sysctl", "hw", "machdep.cpu").value
    return parse_sysctl(answer.stdout) if answer else {}


def is_darwin(host: Host) -> bool:
    """Whether the interpreter says that it runs on macOS."""
    uname = host.system("uname").value
    return isinstance(uname, dict) and uname.get("system") == "Darwin"


def parse_sysctl(text: str) -> dict[str, str]:
    """Values in lines such as "machdep.cpu.brand_string: Apple M3 Max"."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def darwin_features(found: dict[str, str]) -> frozenset[str]:
    """Flags by their Linux names."""
    return frozenset(flag for name, flag in OPTIONAL.items() if found.get(name) == "1")
