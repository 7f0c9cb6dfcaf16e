"""The processor: which one it is, what it can compute, and how much of it this process may use."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gpucheck.host.answer import NOT_FOUND
from gpucheck.host.host import Host
from gpucheck.probes.cgroup import cpu_quota
from gpucheck.probes.collect import Found, Issues, whole_number
from gpucheck.probes.cpu_info import VENDORS, CpuInfo, ai_features, arch_of, arm_name, parse_cpuinfo
from gpucheck.probes.cpu_topology import cache_bytes, numa_nodes, online_cpus, physical_cores
from gpucheck.probes.facts import Cpu
from gpucheck.probes.sysctl import darwin_features, darwin_l2_bytes, sysctls
from gpucheck.probes.systems import is_windows
from gpucheck.probes.windows_job import SOURCE as JOB
from gpucheck.probes.windows_job import job_cpu_quota

CPUINFO = "/proc/cpuinfo"
# What every processor has; some have no third cache level, and some kernels no NUMA.
EXPECTED = (
    "name", "vendor", "arch", "physical_cores", "logical_cores", "usable_cores", "features", "l2_cache_bytes",
    "l3_cache_bytes", "numa_nodes",
)  # fmt: skip
MODELS = ("/proc/device-tree/model", "/sys/firmware/devicetree/base/model")


class _Brand(Struct, frozen=True):
    """Which processor it is, by whichever source knows."""

    name: str | None = None
    vendor: str | None = None
    features: frozenset[str] | None = None
    l2_cache_bytes: int | None = None
    l3_cache_bytes: int | None = None


def probe_cpu(host: Host) -> Found[Cpu]:
    """The processor by `/proc` and `/sys`, then sysctl and psutil, then py-cpuinfo, which takes a second."""
    issues = Issues()
    text = issues.value(CPUINFO, host.read(CPUINFO)) or ""
    info = parse_cpuinfo(text)
    brand = _linux_brand(host, info) if text else _darwin_brand(host) or _windows_brand(host, issues)
    online = online_cpus(host, issues) or list(info.numbers)
    logical = len(online) or info.processors or _count(host, issues, "cpu_count_logical")
    physical = len(info.cores) or physical_cores(host, issues, online)
    physical = physical or _count(host, issues, "cpu_count_physical")
    caches = cache_bytes(host, issues, online)
    usable, reason = _usable(host, issues, logical)
    cpu = Cpu(
        name=brand.name,
        vendor=brand.vendor,
        arch=_arch(host, text),
        physical_cores=physical,
        logical_cores=logical,
        usable_cores=usable,
        usable_cores_reason=reason,
        features=ai_features(brand.features or frozenset()),
        l2_cache_bytes=caches.get(2, brand.l2_cache_bytes),
        l3_cache_bytes=caches.get(3, brand.l3_cache_bytes),
        numa_nodes=numa_nodes(host, issues),
    )
    for field in EXPECTED:
        told = field == "features" and brand.features is not None  # flags without one that matters to AI
        if getattr(cpu, field) in {None, ()} and not told:
            issues.add(NOT_FOUND, f"cpu.{field}", "no source tells it")
    return Found(cpu, issues.all())


def usable_cores(
    logical: int | None, allowed: int | None, quota: float | None
) -> tuple[int | float | None, str | None]:
    """Cores that the process gets and what holds it back; the CPU set of a cgroup shows in the affinity."""
    cores = min((count for count in (logical, allowed) if count), default=None)
    if quota is not None and (cores is None or quota < cores):
        return _plain(quota), "cgroup quota"
    return cores, "affinity" if cores is not None and logical is not None and cores < logical else None


def _plain(cores: float) -> int | float:
    """2 rather than 2.0, and half a core as 0.5."""
    rounded = max(0.01, round(cores, 2))
    return int(rounded) if rounded == int(rounded) else rounded


def _usable(host: Host, issues: Issues, logical: int | None) -> tuple[int | float | None, str | None]:
    answer = host.system("affinity")
    affinity: Any = answer.value if answer.error == "not_supported" else issues.value("affinity", answer)
    quota, complete = cpu_quota(host, issues)
    of_job, whole_job = job_cpu_quota(host, issues, logical)
    quota = of_job or quota  # no system has both
    if not complete or not whole_job or (affinity is None and answer.error != "not_supported"):
        return None, None  # fewer than the machine has, and nobody can say how many
    allowed = len(affinity) if isinstance(affinity, list) else None
    cores, reason = usable_cores(logical, allowed, quota.cores if quota else None)
    return cores, f"{JOB} limit" if quota and quota.source == JOB and reason == "cgroup quota" else reason


def _arch(host: Host, cpuinfo: str) -> str | None:
    uname: Any = host.system("uname").value
    machine = uname.get("machine") if isinstance(uname, dict) else None
    if isinstance(machine, str) and machine:
        return {"amd64": "x86_64"}.get(machine.lower(), machine.lower())
    return arch_of(cpuinfo)


def _count(host: Host, issues: Issues, question: str) -> int | None:
    value: Any = issues.value(f"psutil {question}", host.psutil(question))
    return value if type(value) is int and value > 0 else None


def _linux_brand(host: Host, info: CpuInfo) -> _Brand:
    """The brand of x86; elsewhere the cores' names, with the board's when the device tree has one."""
    name = info.name or arm_name(info.parts)
    if info.name is None:
        # "Raspberry Pi 4 Model B Rev 1.4\0": strings of a device tree end with a null byte
        boards = ((host.read(path).value or "").replace("\0", " ").strip() for path in MODELS)
        board = next((board for board in boards if board), None)
        name = f"{name} ({board})" if name and board else name or board or info.vendor
    return _Brand(name, info.vendor, info.flags)


def _darwin_brand(host: Host) -> _Brand | None:
    """The brand by sysctl, None where that is not macOS's."""
    found = sysctls(host)
    name = found.get("machdep.cpu.brand_string")
    if not name:
        return None
    return _Brand(
        name,
        VENDORS.get(found.get("machdep.cpu.vendor", ""), name.split()[0].removesuffix("(R)")),
        darwin_features(found),
        l2_cache_bytes=darwin_l2_bytes(found),
        l3_cache_bytes=whole_number(found.get("hw.l3cachesize")),
    )


def _windows_brand(host: Host, issues: Issues) -> _Brand:
    """Name and caches by CIM on Windows; the flags, and everything elsewhere, by py-cpuinfo."""
    known = _py_cpuinfo_brand(host, issues)
    if not is_windows(host):
        return known
    from gpucheck.probes.windows import cim, count, first, text

    found = first(cim(host), "processor")
    caches = (count(found, f"L{level}CacheSize") for level in (2, 3))
    l2, l3 = (size << 10 if size is not None else None for size in caches)  # in KiB there
    vendor = text(found, "Manufacturer")
    return _Brand(
        text(found, "Name") or known.name,
        VENDORS.get(vendor or "", vendor) or known.vendor,
        known.features,
        l2_cache_bytes=l2 or known.l2_cache_bytes,
        l3_cache_bytes=l3 or known.l3_cache_bytes,
    )


def _py_cpuinfo_brand(host: Host, issues: Issues) -> _Brand:
    """What py-cpuinfo says; on ARM it has no `brand_raw` (py-cpuinfo #170)."""
    found = issues.value("py-cpuinfo", host.cpuinfo()) or {}
    name, vendor, flags = (found.get(key) for key in ("brand_raw", "vendor_id_raw", "flags"))
    caches = (found.get(f"{level}_cache_size") for level in ("l2", "l3"))
    l2, l3 = (size if type(size) is int and size > 0 else None for size in caches)
    return _Brand(
        name if isinstance(name, str) and name else None,
        VENDORS.get(vendor, vendor) if isinstance(vendor, str) and vendor else None,
        frozenset(flag for flag in flags if isinstance(flag, str)) if isinstance(flags, list) else None,
        l2_cache_bytes=l2,
        l3_cache_bytes=l3,
    )
