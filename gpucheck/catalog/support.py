"""Which engine runs which format on which device, as the engines' own sources say it: `data/support*.tsv`.

A row is about some engines, some subjects (the engine itself, a driver, formats, options), some devices and some
systems. The first row that is about a case counts. A case that no row is about is unknown, and so is one where the
row depends on something that is not known of the device.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Literal

from msgspec import Struct

from gpucheck.catalog.cards import DATA

Answer = Literal["yes", "partial", "no", "unknown"]

ENGINE = "*"
DRIVER = "driver"

_GGUF, _OTHER = "support_gguf.tsv", "support.tsv"  # apart, as the usual report reads the first alone

_FAMILIES = {
    "fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "f32": "fp32", "f16": "fp16", "fp8": "fp8", "int8": "int8",
    "nf4": "nf4", "nf4-dq": "nf4", "awq": "awq", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "mxfp4-hf": "mxfp4-hf",
    "tq1_0": "tq1", "tq2_0": "tq2",
}  # fmt: skip
_NUMBERED = frozenset({"gptq", "mlx", "exl2", "exl3"})  # gptq-int4, mlx-4bit, exl2-4.0
_KINDS = frozenset({"*", "nvidia", "amd", "apple", "intel", "cpu", "vulkan", "sycl"})


class Device(Struct, frozen=True):
    """What rows are held against: the maker, a backend or the CPU, and what tells its generations apart.

    `codes` are a compute capability, a gfx target, an architecture, or a CPU's architecture and vector sets.
    `known` is False where they are not all known.
    """

    kind: str
    codes: frozenset[str] = frozenset()
    capability: tuple[int, int] | None = None
    known: bool = True


class SupportRow(Struct, frozen=True):
    """One row. `below` is the driver that it needs, for rows about older ones; `reason` may be empty for a yes."""

    engines: tuple[str, ...]
    subjects: tuple[str, ...]
    devices: str  # nvidia:7.0+,amd
    systems: tuple[str, ...]
    below: str | None
    answer: Answer
    reason: str
    source: str

    def about(self, device: Device, system: str | None, cpu: str | None) -> bool | None:
        """Whether the row is about a device under an operating system ("linux") and CPU architecture ("x86_64").

        None where that depends on what is not known.
        """
        on_device = self._on(device)
        on_system = self._under(system, cpu) if on_device is not False else False
        if on_device is False or on_system is False:
            return False
        return None if on_device is None or on_system is None else True

    def _on(self, device: Device) -> bool | None:
        unknown = False
        for kind, which in _kinds(self.devices):
            if kind not in {ENGINE, device.kind}:
                continue
            if not which or any(_is(one, device) for one in which):
                return True
            unknown = unknown or not device.known
        return None if unknown else False

    def _under(self, system: str | None, cpu: str | None) -> bool | None:
        if ENGINE in self.systems:
            return True
        if system is None:
            return None
        unknown = False
        for one in self.systems:
            name, _, wanted = one.partition("/")
            if name == system:
                if not wanted or wanted == cpu:
                    return True
                unknown = unknown or cpu is None
        return None if unknown else False


@cache
def rows_of(engine: str, subject: str) -> tuple[SupportRow, ...]:
    """The rows about an engine and a subject, in the order in which they count; none where the table has none."""
    return tuple(map(_row, subjects_of(engine).get(subject, ())))


@cache
def subjects_of(engine: str) -> dict[str, list[str]]:
    """The lines of the table about an engine, by subject; empty of an engine that the table does not have."""
    found: dict[str, list[str]] = {}
    for line in _lines(_GGUF if engine in {"llama.cpp", "ollama"} else _OTHER):
        named, _, rest = line.partition("\t")
        if engine in named.split():
            for subject in rest.partition("\t")[0].split():
                found.setdefault(subject, []).append(line)
    return found


def engines() -> tuple[str, ...]:
    """The engines that the table has rows about."""
    return tuple(
        dict.fromkeys(name for line in (*_lines(_GGUF), *_lines(_OTHER)) for name in line.partition("\t")[0].split())
    )


def family_of(quant: str) -> str | None:
    """The subject of the table that a quantization's name is of: "gguf" of Q4_K_M; None of a name nobody knows."""
    key = quant.lower().removeprefix("ud-")
    if key in _FAMILIES:
        return _FAMILIES[key]
    first = key.partition("-")[0]
    if first in _NUMBERED:
        return first
    bits = key.removeprefix("i")  # IQ2_XXS, Q4_K_M
    return "gguf" if bits[:1] == "q" and bits[1:2].isdigit() and bits.isascii() else None


def capability_of(code: str | None) -> tuple[int, int] | None:
    """A compute capability to compare by: (8, 9) of "8.9"; None of what is none."""
    major, _, minor = (code or "").partition(".")
    if not (code and code.isascii() and major.isdecimal() and minor.isdecimal() and len(code) < 6):
        return None
    return int(major), int(minor)


def _lines(table: str) -> list[str]:
    with open(os.path.join(DATA, table), encoding="utf-8") as handle:
        return [line for line in handle.read().splitlines() if line[0] != "#"]


def _row(line: str) -> SupportRow:
    engine, subjects, devices, systems, below, answer, reason, source = line.split("\t")
    return SupportRow(
        tuple(engine.split()),
        tuple(subjects.split()),
        devices,
        tuple(systems.split(",")),
        below or None,
        answer,  # type: ignore[arg-type]  # the table's tests hold it to the four answers
        reason,
        source,
    )


@cache
def _kinds(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The kinds, and which of each; none is all: "nvidia:7.0+,amd" is two kinds, "amd:gfx908,gfx90a" is one."""
    found: list[tuple[str, list[str]]] = []
    for word in text.split(","):
        kind, colon, which = word.partition(":")
        if colon or word in _KINDS:
            found.append((kind, [which] if which else []))
        else:
            found[-1][1].append(word)
    return tuple((kind, tuple(which)) for kind, which in found)


def _is(which: str, device: Device) -> bool:
    """Whether a device is what a condition says: "7.5+", "<7.0", "8.0-8.9", or one of its codes by name."""
    if which in device.codes:
        return True
    own = device.capability
    if own is None:
        return False
    if which.endswith("+"):
        least = capability_of(which[:-1])
        return least is not None and own >= least
    if which.startswith("<"):
        most = capability_of(which[1:])
        return most is not None and own < most
    low, dash, high = which.partition("-")
    first, last = capability_of(low), capability_of(high)
    return bool(dash) and first is not None and last is not None and first <= own <= last
