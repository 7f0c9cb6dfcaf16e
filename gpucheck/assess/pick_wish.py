"""What is demanded of a GPU that a program wants to take, and whether one is so."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

from gpucheck.assess.memory import effective_memory
from gpucheck.assess.pick_environment import hidden_in_part, no_name
from gpucheck.assess.words import nominal_gib
from gpucheck.errors import UsageError
from gpucheck.machine.types import Gpu, Machine
from gpucheck.probes.facts import Vendor
from gpucheck.units import GIB, format_bytes, parse_bytes

Prefer = Literal["free", "strong"]
VENDORS: tuple[Vendor, ...] = get_args(Vendor)
MAX_COUNT = 1024


class Wish(Struct, frozen=True, kw_only=True):
    """What is demanded. `count` None: as many as one process can use together."""

    count: int | None = 1
    min_free_bytes: int | None = None
    min_vram_bytes: int | None = None
    min_compute_capability: tuple[int, int] | None = None
    vendor: Vendor | None = None
    prefer: Prefer = "free"


class Refusal(Struct, frozen=True):
    """Why a GPU is not taken. `open_`: the fact is missing, and might be as demanded."""

    words: str
    open_: bool = False


def free_bytes(gpu: Gpu) -> int | None:
    """What a process can get of the GPU's memory now, None where what is free is not known."""
    free, usable = gpu.memory.free_bytes, gpu.memory.usable_bytes
    return free if free is None or usable is None else min(free, usable)


def refusal(machine: Machine, gpu: Gpu, wish: Wish) -> Refusal | None:
    """Why this GPU does not suit, None where it does; what is known goes before what is open."""
    if not gpu.usable:
        return _unusable(gpu)
    if wish.vendor is not None and gpu.vendor != wish.vendor:
        return Refusal(f"of {gpu.vendor}")
    if gpu.index not in {device.index for pool in effective_memory(machine).pools for device in pool.devices}:
        return Refusal("graphics that frameworks do not compute on")
    name, words = hidden_in_part(machine, gpu), no_name(machine, gpu)
    hidden = Refusal(f"perhaps hidden, in part or whole, by {name}={machine.visibility[name]}", True) if name else None
    nameless = Refusal(words) if words else None
    checks = (nameless, hidden, _in_use(gpu), _size(gpu, wish), _free(gpu, wish), _age(gpu, wish))
    return min((found for found in checks if found), key=lambda found: found.open_, default=None)


def _unusable(gpu: Gpu) -> Refusal:
    if not gpu.visible:
        return Refusal(f"hidden by {gpu.hidden_by}")
    if gpu.state != "ok":
        return Refusal(gpu.state.replace("_", " "), open_=gpu.state == "unknown")
    if gpu.compute_mode == "prohibited":
        return Refusal("its compute mode is prohibited")
    if gpu.kind != "mig" and gpu.mig.mode == "enabled":
        return Refusal("in MIG mode, so not to be used whole")
    return Refusal("waits for its NVLink fabric")


def _in_use(gpu: Gpu) -> Refusal | None:
    """A GPU in an exclusive mode takes one process alone."""
    if gpu.compute_mode not in {"exclusive_process", "exclusive_thread"} or gpu.processes == 0:
        return None
    if gpu.processes is None:
        return Refusal("takes one process alone; whether it has one is not known", open_=True)
    return Refusal("takes one process alone and has one")


def _size(gpu: Gpu, wish: Wish) -> Refusal | None:
    """A card has the memory that its driver reports, and the size that it is sold as."""
    total = gpu.memory.total_bytes
    if wish.min_vram_bytes is None:
        return None
    if total is None:
        return Refusal("memory of unknown size", open_=True)
    nominal = 0 if gpu.memory.kind == "shared" else nominal_gib(total) * GIB
    return None if max(total, nominal) >= wish.min_vram_bytes else Refusal(f"{format_bytes(total)} of memory")


def _free(gpu: Gpu, wish: Wish) -> Refusal | None:
    free, total = free_bytes(gpu), gpu.memory.total_bytes
    if wish.min_free_bytes is None or (free is not None and free >= wish.min_free_bytes):
        return None
    if free is not None:
        return Refusal(f"{format_bytes(free)} free")
    if total is not None and total < wish.min_free_bytes:
        return Refusal(f"{format_bytes(total)} of memory")
    return Refusal("does not say how much of its memory is free", open_=True)


def _age(gpu: Gpu, wish: Wish) -> Refusal | None:
    if wish.min_compute_capability is None:
        return None
    if gpu.vendor != "NVIDIA":
        return Refusal(f"of {gpu.vendor}, without a compute capability")
    has = _capability(gpu.compute_capability or "")
    if has is None:
        return Refusal("compute capability unknown", open_=True)
    return None if has >= wish.min_compute_capability else Refusal(f"compute capability {gpu.compute_capability}")


def make_wish(  # noqa: PLR0913 (what can be demanded)
    count: int | None = 1,
    *,
    min_free: str | int | None = None,
    min_vram: str | int | None = None,
    min_compute_capability: str | None = None,
    vendor: str | None = None,
    prefer: str = "free",
) -> Wish:
    """The wish that these arguments mean; an amount is a text with a unit or a number of bytes.

    Raises:
        UsageError: one of them makes no sense.
    """
    if count is not None and not 1 <= count <= MAX_COUNT:
        raise UsageError(f"a program takes between 1 and {MAX_COUNT} GPUs, not {count}")
    makers = {name.lower(): name for name in VENDORS}
    if vendor is not None and vendor.lower() not in makers:
        raise UsageError(f"no maker of GPUs is called {vendor!r}: {', '.join(makers)}")
    order: dict[str, Prefer] = {"free": "free", "strong": "strong"}
    if prefer not in order:
        raise UsageError(f"GPUs are preferred by {' or '.join(order)}, not by {prefer!r}")
    return Wish(
        count=count,
        min_free_bytes=_amount(min_free),
        min_vram_bytes=_amount(min_vram),
        min_compute_capability=_demanded(min_compute_capability),
        vendor=makers[vendor.lower()] if vendor is not None else None,
        prefer=order[prefer],
    )


def _amount(text: str | int | None) -> int | None:
    found = parse_bytes(text) if isinstance(text, str) else text
    if found is not None and found < 0:
        raise UsageError(f"{found} bytes is no amount of memory")
    return found


def _demanded(text: str | None) -> tuple[int, int] | None:
    found = None if text is None else _capability(text)
    if text is not None and found is None:
        raise UsageError(f"{text!r} is no compute capability: write one such as 8.0")
    return found


def _capability(text: str) -> tuple[int, int] | None:
    """Major and minor of "8.6", None for what is not of that form."""
    major, _, minor = text.partition(".")
    plain = text.isascii() and major.isdecimal() and minor.isdecimal() and len(text) < 8
    return (int(major), int(minor)) if plain else None
