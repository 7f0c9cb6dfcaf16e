"""Can software run it at all: engine, format, options and driver against the devices that a workload goes to.

The table of `catalog.support` has the engines' own conditions, that of `catalog.torch_builds` the code in PyTorch's
wheels. An engine that is not installed counts as one that could be: only a torch that was found in the inspected
environment is held against the devices, because that one would be used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from gpucheck.assess.memory import EffectiveMemory
from gpucheck.assess.placement import Placement
from gpucheck.catalog.drivers import version_key
from gpucheck.catalog.support import DRIVER, ENGINE, Answer, Device, capability_of, family_of, rows_of, subjects_of
from gpucheck.estimators.setting import Setting
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import Framework

Told = tuple[Answer, str]

_ORDER: tuple[Answer, ...] = ("yes", "partial", "unknown", "no")  # the last decides
_LLAMA = frozenset({"llama.cpp", "ollama"})
_PLAIN_CACHE = frozenset({"f32", "f16", "bf16"})
_MAKER_OF = {"cuda": "nvidia", "rocm": "amd", "metal": "apple"}
_OFF = frozenset({"false", "off", "no", "0"})
_VECTORS = frozenset({"avx2", "avx512f"})
_CODES = {"nvidia": "its compute capability", "amd": "its gfx target", "cpu": "the CPU's features"}
_last: list[tuple[Machine, Site]] = []


class Asked(Struct, frozen=True):
    """An engine, a format by the name of its quantization, the engine's options, and where the workload goes.

    `devices` are those of `machine.gpus` by their index; none is the CPU alone. `on_host`: layers on the CPU as well.
    """

    engine: str
    quant: str
    options: tuple[tuple[str, Any], ...] = ()
    devices: tuple[int, ...] = ()
    on_host: bool = False

    @property
    def backend(self) -> str:
        """The backend of llama.cpp that the options name, or nothing."""
        return _word(dict(self.options), "backend", "") if self.engine in _LLAMA else ""


class Site(Struct, frozen=True, eq=False):
    """The facts of one machine, compared by identity. `gpus` are devices by index, each with its name in a reason."""

    os: str | None
    arch: str | None
    windows_driver: bool  # NVIDIA's driver is one of Windows: there, and under WSL2
    driver: tuple[int, ...] | None
    driver_text: str | None
    gpus: dict[int, tuple[Device, str]]
    cpu: Device
    torch: Framework | None
    variables: Mapping[str, str]  # that hide or choose devices


class Support(Struct, frozen=True):
    """Whether software runs it: yes; partial, by emulation or with a part elsewhere; no; or unknown; and why."""

    answer: Answer
    reasons: tuple[str, ...] = ()


def support_of(
    machine: Machine, memory: EffectiveMemory, setting: Setting, quant: str, placement: Placement
) -> Support:
    """Whether the engine runs a workload where it was placed; one that was not placed, on all that could be used."""
    devices, on_host = placement.devices, placement.mode == "gpu_and_cpu"
    if placement.mode == "none":
        devices = tuple(device.index for pool in memory.pools for device in pool.devices)
    return supported(machine, Asked(setting.engine, quant, setting.options, devices, on_host))


def supported(machine: Machine, asked: Asked) -> Support:
    """Whether software runs what is asked on this machine, and why it does not, or not wholly.

    The worst of the answers for the devices, the format, the options and the driver counts; of those that are no yes
    the reasons are told, the decisive ones first.
    """
    return _judged(_site_of(machine), asked)


def _site_of(machine: Machine) -> Site:
    """The facts of a machine, worked out once for one that is asked about again and again."""
    kept = _last[0] if _last else None
    if kept is None or kept[0] is not machine:
        kept = (machine, _site(machine))
        _last[:] = [kept]
    return kept[1]


@lru_cache(maxsize=1024)
def _judged(site: Site, asked: Asked) -> Support:
    if not subjects_of(asked.engine):
        return Support("unknown", (f"what {asked.engine} runs on is not in the table",))
    places = _places(site, asked)
    found: list[Told] = []
    for device, label in places:
        prefix = f"{label}: " if len(places) > 1 else ""
        found += [(answer, f"{prefix}{reason}" if reason else "") for answer, reason in _on_device(site, asked, device)]
    if asked.on_host and places[0][0].kind != "cpu":
        found += _beside(site, asked)
    found.sort(key=lambda told: -_ORDER.index(told[0]))
    worst = found[0][0]  # beside which what is well needs no word
    return Support(
        worst, tuple(dict.fromkeys(why for answer, why in found if why and (answer != "yes" or worst == "yes")))
    )


def _places(site: Site, asked: Asked) -> list[tuple[Device, str]]:
    """The different devices that would compute, with their names in a reason."""
    gpus = [site.gpus[index] for index in asked.devices if index in site.gpus]
    return list(dict.fromkeys(gpus)) if gpus and asked.backend != "cpu" else [(site.cpu, "CPU")]


def _on_device(site: Site, asked: Asked, device: Device) -> list[Told]:
    """The answers for one device: the engine first, and nothing more where that is a no."""
    backend = asked.backend
    if backend in _MAKER_OF and device.kind not in {_MAKER_OF[backend], "cpu"}:
        return [("no", f"the backend {backend} does not compute on this GPU")]
    if backend in {"vulkan", "sycl"} and device.kind != "cpu":
        if backend == "sycl" and device.kind != "intel":
            return [("unknown", "whether SYCL computes on this GPU is not known")]
        device = Device(backend, device.codes, device.capability, device.known)
    first = _engine(site, asked.engine, device)
    if first[0] == "no":
        return [first]
    subjects = (family_of(asked.quant) or asked.quant, *_subjects(asked))
    told = (_told(site, asked.engine, subject, device) for subject in subjects)
    return [first, *told, *_driver(site, asked.engine, device)]


def _engine(site: Site, engine: str, device: Device) -> Told:
    if engine == "transformers":
        if device.kind in {"nvidia", "amd"}:
            from gpucheck.assess.support_torch import torch_support  # with the table of builds

            return torch_support(site, device)
        if site.torch is not None and site.torch.broken:
            return "no", f"the torch that is installed cannot be imported: {site.torch.broken}"
    return _told(site, engine, ENGINE, device)


def _told(site: Site, engine: str, subject: str, device: Device) -> Told:
    """The first row's answer; that of all the rows that may be the first, if they agree; or that nobody knows."""
    question = f"whether {engine} runs {'' if subject == ENGINE else f'{subject} '}on this device"
    possible: set[Answer] = set()  # of rows that may be about it
    for row in rows_of(engine, subject):
        about = row.about(device, site.os, site.arch)
        if about and not possible:
            return row.answer, row.reason
        if about is not False:
            possible.add(row.answer)
        if about:
            break
    else:
        possible.add("unknown")
    if possible == {"unknown"}:
        return "unknown", f"{question} is not in the table"
    if len(possible) == 1:
        return possible.pop(), ""
    return "unknown", f"{question} depends on {_missing(site, device)}, which is not known"


def _missing(site: Site, device: Device) -> str:
    """What a row could not be decided for the lack of."""
    if not device.known:
        return _CODES.get(device.kind, "its architecture")
    return "the operating system" if site.os is None else "the CPU's architecture"


def _driver(site: Site, engine: str, device: Device) -> Iterator[Told]:
    """The answer of the row about drivers older than the one here; none where its version is not known."""
    if device.kind != "nvidia" or site.driver is None:
        return
    # under WSL2 the driver is that of Windows; vLLM and MLX state that of Linux alone
    system = "windows" if site.windows_driver and engine in _LLAMA else site.os
    for row in rows_of(engine, DRIVER):
        needed = version_key(row.below)
        if needed is not None and site.driver < needed and row.about(device, system, site.arch):
            yield row.answer, f"{row.reason}: this is {site.driver_text}"
            return


def _beside(site: Site, asked: Asked) -> list[Told]:
    """The answers for layers on the CPU beside a GPU, where the table has some."""
    family = family_of(asked.quant) or asked.quant
    if asked.engine in _LLAMA:
        return [_told(site, asked.engine, family, site.cpu)]
    return [(row.answer, row.reason) for row in rows_of(asked.engine, f"offload-{family}")]


def _subjects(asked: Asked) -> Iterator[str]:
    """The subjects of the table that options are about."""
    given = dict(asked.options)
    attention = _word(given, "attn_implementation", "")
    if asked.engine == "transformers" and attention.startswith("flash_attention"):
        yield attention
    if asked.engine not in _LLAMA:
        return
    keys, values = _word(given, "type_k", "f16"), _word(given, "type_v", "f16")
    flash = _word(given, "flash_attn", "auto")
    if flash in _OFF:
        if values not in _PLAIN_CACHE:
            yield "quantized-v-without-flash"
        return
    if flash != "auto":
        yield "flash_attn"
    if "iq4_nl" in {keys, values}:
        yield "kv-iq4_nl"
    elif keys != values:
        yield "kv-mixed"


def _word(given: dict[str, Any], name: str, default: str) -> str:
    """An option's value in lower case, as the engines compare it."""
    value = given.get(name)
    return default if value is None else str(value).strip().lower()


def _site(machine: Machine) -> Site:
    platform, driver = machine.platform, machine.drivers.nvidia
    return Site(
        os=platform.os,
        arch=platform.arch,
        windows_driver=platform.os == "windows" or platform.wsl,
        driver=version_key(driver.version) if driver else None,
        driver_text=driver.version if driver else None,
        gpus={gpu.index: _gpu(gpu) for gpu in machine.gpus},
        cpu=_cpu(machine),
        torch=next((one for one in machine.frameworks if one.name == "torch"), None),
        variables=machine.visibility,
    )


def _gpu(gpu: Gpu) -> tuple[Device, str]:
    kind = gpu.vendor.lower()
    code = {"nvidia": gpu.compute_capability, "amd": gpu.gfx_target}.get(kind, gpu.architecture)
    capability = capability_of(code) if kind == "nvidia" else None
    known = capability is not None if kind == "nvidia" else code is not None
    label = f"compute capability {code}" if capability else code or gpu.name or f"gpus[{gpu.index}]"
    return Device(kind, frozenset({code} if code else ()), capability, known), label


def _cpu(machine: Machine) -> Device:
    arch = machine.platform.arch or machine.cpu.arch
    vectors = _VECTORS.intersection(machine.cpu.features)
    known = arch is not None and (bool(machine.cpu.features) or arch != "x86_64")
    return Device("cpu", vectors | ({arch} if arch else set()), known=known)
