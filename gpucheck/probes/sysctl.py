"""What `sysctl` says on macOS; one call, whose answer every probe shares."""

from __future__ import annotations

from msgspec import Struct

from gpucheck.host.answer import MALFORMED, NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues, whole_number

GPU = ("sysctl", "iogpu.wired_limit_mb", "debug.iogpu.wired_limit")
VIRTUAL = ("sysctl", "-n", "kern.hv_vmm_present")
VM_STAT = ("vm_stat",)
_MIB = 1 << 20

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


class WiredLimit(Struct, frozen=True):
    """A limit of the GPU's memory and the name that it is set by; both None where the default holds.

    `known` is False where nobody can say whether one is set: then the default must not be assumed.
    """

    size_bytes: int | None = None
    source: str | None = None
    known: bool = True


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


def is_virtual_mac(host: Host, issues: Issues) -> bool:
    """Whether macOS says that it runs in a virtual machine, as GitHub's runners do; the chip's name may say it too.

    Where neither does and the kernel could not be asked, False is no more than a guess, and an issue says so.
    """
    if "(Virtual)" in sysctls(host).get("machdep.cpu.brand_string", ""):
        return True
    answer = host.run(*VIRTUAL)
    if answer.value is None:
        detail = f"whether this is a virtual machine cannot be told: {answer.detail}"
        issues.add(answer.error or NOT_FOUND, f"sysctl {VIRTUAL[2]}", detail)
        return False
    return answer.value.stdout.strip() == "1"


def wired_limit(host: Host, total_bytes: int | None, issues: Issues) -> WiredLimit:
    """The limit that somebody has set for the GPU's memory, at most `total_bytes`; 0 there is the default.

    Metal's own figure follows it in both directions (llmfit #754). The older name, of macOS 13, holds bytes; a
    number too small for them is taken as MiB. Not known, with an issue, where sysctl could not be asked or prints no
    number.
    """
    answer = host.run(*GPU)  # a name that this macOS does not know goes to stderr
    if answer.value is None:
        issues.add(answer.error or NOT_FOUND, "sysctl", f"a limit of the GPU's memory cannot be told: {answer.detail}")
        return WiredLimit(known=False)
    found = parse_sysctl(answer.value.stdout)
    for name, unit in ((GPU[1], _MIB), (GPU[2], 1)):
        limit = whole_number(found.get(name))
        if limit is None and name in found:
            issues.add(MALFORMED, f"sysctl {name}", f"not a size: {found[name][:40]!r}")
            return WiredLimit(known=False)
        if limit:
            size = min(limit * (_MIB if unit == 1 and limit < _MIB else unit), (1 << 63) - 1)
            return WiredLimit(size if total_bytes is None else min(size, total_bytes), f"sysctl {name}")
    return WiredLimit()


def darwin_memory(host: Host) -> tuple[int | None, int | None]:
    """Total and available bytes by sysctl and vm_stat: free, inactive and speculative pages."""
    if not is_darwin(host):
        return None, None
    answer = host.run(*VM_STAT).value
    return whole_number(sysctls(host).get("hw.memsize")), parse_vm_stat(answer.stdout) if answer else None


def parse_vm_stat(text: str) -> int | None:
    """Available bytes in lines such as "Pages free:   1000." below "(page size of 16384 bytes)"."""
    head, _, rest = text.partition("\n")
    size = whole_number(head.partition("page size of ")[2].partition(" ")[0])
    pages = {name: whole_number(count.strip().rstrip(".")) for name, _, count in
             (line.partition(":") for line in rest.splitlines())}  # fmt: skip
    counts = [pages.get(f"Pages {kind}") for kind in ("free", "inactive", "speculative")]
    if not size or counts[0] is None or counts[1] is None:
        return None
    return _plausible(size * sum(count or 0 for count in counts))


def darwin_l2_bytes(found: dict[str, str]) -> int | None:
    """The level 2 caches of all clusters: `hw.l2cachesize` is that of one cluster of efficiency cores."""
    total = 0
    for level in range(min(whole_number(found.get("hw.nperflevels")) or 0, 4)):
        size, cores, sharing = (
            whole_number(found.get(f"hw.perflevel{level}.{what}"))
            for what in ("l2cachesize", "physicalcpu", "cpusperl2")
        )
        if not size or not cores or not sharing:
            return _flat_l2_bytes(found)
        total += size * -(-cores // sharing)
    return _plausible(total) or _flat_l2_bytes(found)


def _flat_l2_bytes(found: dict[str, str]) -> int | None:
    """The same where all cores are alike: `hw.cacheconfig` counts the CPUs of the machine, of an L1 and of an L2."""
    size = whole_number(found.get("hw.l2cachesize"))
    shares = [whole_number(word) for word in found.get("hw.cacheconfig", "").split()[:3]]
    cpus, sharing = (shares[0], shares[2]) if len(shares) == 3 else (None, None)
    return _plausible(size * (cpus // sharing) if size and cpus and sharing else size)


def _plausible(count: int | None) -> int | None:
    """A number of bytes, unless 64 bits cannot hold it."""
    return count if count is not None and count < 1 << 63 else None
