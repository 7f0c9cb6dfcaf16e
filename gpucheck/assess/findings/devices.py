"""GC105 to GC108: what the cards are, beside one another and beside their names, and what else they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpucheck.assess.findings.commands import is_windows, set_variable
from gpucheck.assess.findings.finding import Finding, Remedy
from gpucheck.assess.words import nominal_gb
from gpucheck.catalog.names import names_laptop, tokens
from gpucheck.machine.types import Gpu, Machine
from gpucheck.units import format_bytes

_ORDER, _DEVICES = "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"
_LAPTOP_WORDS = frozenset({"laptop", "with", "max", "q", "design"})


def device_order(machine: Machine) -> Iterator[Finding]:
    """CUDA counts the fastest card first, nvidia-smi and gpucheck in the order of the bus.

    No news where the fastest card is the first on the bus, or where devices are chosen by their UUIDs.
    """
    cards = [gpu for gpu in machine.gpus if gpu.vendor == "NVIDIA" and gpu.kind == "discrete" and gpu.state == "ok"]
    rates = [gpu.flops.fp32 for gpu in cards]
    fastest = max((rate for rate in rates if rate is not None), default=None)
    if machine.source == "simulated" or None in rates or fastest is None or rates[0] == fastest:
        return
    if machine.visibility.get(_ORDER) == "PCI_BUS_ID" or _by_uuid(machine.visibility):
        return
    first = cards[rates.index(fastest)]
    set_to = machine.visibility.get(_ORDER)
    yield Finding(
        code="GC105",
        severity="info",
        title=f"CUDA numbers the GPUs otherwise than nvidia-smi: its device 0 is GPU {first.index} here",
        found=f"{f'{_ORDER}={set_to}' if set_to else f'{_ORDER} not set'}: the fastest card ({first.name}) is first",
        required=f"{_ORDER}=PCI_BUS_ID, where numbers choose a GPU",
        remedy=Remedy(
            "let CUDA count as nvidia-smi does, or choose GPUs by their UUIDs",
            (set_variable(machine, _ORDER, "PCI_BUS_ID"),),
        ),
        source=_ORDER,
    )


def _by_uuid(variables: Mapping[str, str]) -> bool:
    return variables.get(_DEVICES, "").strip().upper().startswith(("GPU-", "MIG-"))


def mixed(machine: Machine) -> Iterator[Finding]:
    """Cards that a model may be split over and that are not alike."""
    cards = [gpu for gpu in machine.usable_gpus if gpu.kind == "discrete"]
    kinds = dict.fromkeys((gpu.catalogue_id or gpu.name, gpu.memory.total_bytes) for gpu in cards)
    if len(kinds) < 2 or any(name is None or size is None for name, size in kinds):
        return  # alike, or too little is known of them to say that they are not
    makers = dict.fromkeys(gpu.vendor for gpu in cards)
    remedy = (
        f"a model is split over the cards of one maker ({' or '.join(makers)}); only llama.cpp's Vulkan backend takes"
        " all of them"
        if len(makers) > 1
        else "llama.cpp splits by memory (--tensor-split sets the shares) and goes at the pace of the slowest card;"
        " vLLM's tensor parallelism takes the same share of each, so give it alike cards"
    )
    yield Finding(
        code="GC106",
        severity="info",
        title=f"The machine has GPUs of {len(kinds)} kinds: what is split over them goes by the smallest and slowest",
        found="; ".join(dict.fromkeys(_described(gpu) for gpu in cards)),
        required="alike cards, for engines that give each the same share",
        remedy=Remedy(remedy),
        source="gpus",
    )


def _described(gpu: Gpu) -> str:
    size = gpu.memory.total_bytes
    return f"{gpu.name or gpu.vendor} with {nominal_gb(size) if size else 'memory of unknown size'}"


def laptop_part(machine: Machine) -> Iterator[Finding]:
    """A laptop's card that shares its name with a desktop's of another chip or size; the catalogue knows both."""
    for gpu in machine.gpus:
        if gpu.segment != "laptop" or gpu.kind != "discrete" or not names_laptop(gpu.name or ""):
            continue
        from gpucheck.catalog.cards import all_cards

        wanted = tokens(gpu.name or "") - _LAPTOP_WORDS
        others = (card for card in all_cards() if card.vendor == gpu.vendor and card.segment != "laptop")
        twin = next((card for card in others if tokens(card.name) == wanted), None)
        if twin is None or (twin.chip, twin.shader_cores) == (gpu.chip, gpu.shader_cores):
            continue
        own = (gpu.chip, gpu.memory.total_bytes and nominal_gb(gpu.memory.total_bytes), _cores(gpu.shader_cores))
        its = (twin.chip, " or ".join(f"{size:g} GB" for size in twin.vram_gib), _cores(twin.shader_cores))
        yield Finding(
            code="GC107",
            severity="info",
            title=f"GPU {gpu.index} is a laptop part: the desktop's {twin.name} is another card",
            found=", ".join(part for part in own if part) or "a laptop part",
            required=f"the laptop part's figures, not the desktop's {', '.join(part for part in its if part)}",
            remedy=Remedy("compare with the laptop part: gpucheck reckons with its figures already"),
            source=f"gpus[{gpu.index}].segment",
        )


def _cores(count: int | None) -> str | None:
    return None if count is None else f"{count:,} cores"


def display(machine: Machine) -> Iterator[Finding]:
    """A desktop on the only discrete card takes from the memory that models need."""
    cards = [gpu for gpu in machine.gpus if gpu.kind in {"discrete", "unified"}]
    if len(cards) != 1 or cards[0].kind != "discrete" or not cards[0].usable or not cards[0].display_active:
        return
    gpu = cards[0]
    total, free = gpu.memory.total_bytes, gpu.memory.free_bytes
    used = "" if total is None or free is None else f", {format_bytes(total - free)} of its memory in use"
    platform = machine.platform
    second = any(other.kind == "integrated" for other in machine.gpus) or bool(machine.display_adapters)
    headless = "" if platform.os != "linux" else "work over the network and stop the desktop"
    board = "plug the screen into the board's own graphics" if second else ""
    here = platform.os == "linux" and platform.container is None and not platform.wsl
    yield Finding(
        code="GC108",
        severity="info",
        title=f"A desktop runs on GPU {gpu.index}, the only one: some of its memory is taken",
        found=f"display active{used}",
        required="no display, if a model needs all of the memory",
        remedy=Remedy(
            ", or ".join(part for part in (board, headless) if part)
            or f"close browsers and other programs that draw{' with the card' if is_windows(machine) else ''}",
            ("sudo systemctl isolate multi-user.target",) if here else (),
        ),
        source=f"gpus[{gpu.index}].display_active",
    )
