"""Effective memory: what one process on this machine can really get, device by device.

A workload is one process of one engine. Cards of one vendor are pooled; a MIG device stands alone, because
CUDA shows a process a single one; memory that a GPU shares with the host is one pool with it and never added
to it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gpucheck.machine.types import Gpu, Machine

PoolKind = Literal["cards", "mig", "shared"]


class Device(Struct, frozen=True):
    """One GPU as room for a workload. `available_bytes` None is unknown, but not above `most_bytes`."""

    index: int
    available_bytes: int | None
    most_bytes: int | None


class Pool(Struct, frozen=True):
    """Devices that one process can use together, the roomiest first and the unknown last."""

    kind: PoolKind
    devices: tuple[Device, ...]

    @property
    def known_bytes(self) -> int:
        """What the devices of known memory offer together."""
        return sum(device.available_bytes or 0 for device in self.devices)


class EffectiveMemory(Struct, frozen=True):
    """The pools of a machine, and the host memory that a process can still get (None: unknown)."""

    pools: tuple[Pool, ...]
    host_bytes: int | None
    host_most_bytes: int | None

    @property
    def deciding_bytes(self) -> int | None:
        """The largest pool, or host memory on a machine without a usable GPU; None if that is not known."""
        if not self.pools:
            return self.host_bytes
        known = max(pool.known_bytes for pool in self.pools)
        return known or None


def effective_memory(machine: Machine) -> EffectiveMemory:
    """What the machine offers to a process that starts now: usable GPUs, grouped as they pool, and RAM."""
    host = machine.memory
    limits = [limit for limit in (host.total_bytes, host.limit_bytes) if limit is not None]
    cards: dict[str, list[Device]] = {}
    alone: list[Pool] = []
    for gpu in _computing(machine):
        kind = _kind(gpu)
        device = _device(gpu)
        if kind == "cards":
            cards.setdefault(gpu.vendor, []).append(device)
        else:
            alone.append(Pool(kind, (device,)))
    pooled = [Pool("cards", tuple(sorted(devices, key=_roomiest_first))) for devices in cards.values()]
    return EffectiveMemory((*pooled, *alone), host.usable_bytes, min(limits, default=None))


def _computing(machine: Machine) -> tuple[Gpu, ...]:
    """The usable GPUs that a workload would be put on.

    Graphics that share the CPU's memory count only where there is no card beside them, and only if they are of a kind
    that frameworks compute on: a laptop's UHD Graphics shares more memory than its RTX has, and is no use.
    """
    cards = tuple(gpu for gpu in machine.usable_gpus if gpu.kind != "integrated")
    return cards or tuple(gpu for gpu in machine.usable_gpus if gpu.catalogue_id is not None)


def _kind(gpu: Gpu) -> PoolKind:
    if gpu.kind == "mig":
        return "mig"
    return "shared" if gpu.memory.kind == "shared" or gpu.kind in {"integrated", "unified"} else "cards"


def _device(gpu: Gpu) -> Device:
    """A GPU's room; where it is unknown, also of one that shares the host's memory, a limit may make it small."""
    room = gpu.memory.usable_bytes
    return Device(gpu.index, room, gpu.memory.total_bytes if room is None else room)


def _roomiest_first(device: Device) -> tuple[bool, int, int]:
    return device.available_bytes is None, -(device.available_bytes or 0), device.index
