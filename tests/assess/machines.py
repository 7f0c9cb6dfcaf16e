"""Machines of cards and RAM in GiB, for the tests of answers."""

from __future__ import annotations

import msgspec

from gpucheck.machine.types import Gpu, GpuMemory, Machine
from gpucheck.probes.facts import Cpu, Memory, Platform
from gpucheck.units import GIB


def card(index: int = 0, gib: float | None = 24.0, **facts: object) -> Gpu:
    """A discrete card of which so much memory can be had; None is a card that does not say."""
    total = None if gib is None else int(gib * GIB)
    memory = GpuMemory(total, total, total, "dedicated")
    return msgspec.structs.replace(Gpu(index, "card", "NVIDIA", "ok", "discrete", memory=memory), **facts)


def box(*gpus: Gpu, ram: float | None = 64.0, limit: float | None = None) -> Machine:
    """A machine with these devices and so much usable RAM in GiB."""
    usable = None if ram is None else int((ram if limit is None else min(ram, limit)) * GIB)
    memory = Memory(
        total_bytes=None if ram is None else int(ram * GIB),
        limit_bytes=None if limit is None else int(limit * GIB),
        usable_bytes=usable,
    )
    return Machine("simulated", Platform(), Cpu(), memory, gpus=gpus)
