"""The catalogue's cards as entries with a category, by the same rules as detected ones."""

from __future__ import annotations

from gpucheck.assess.category import gpu_category
from gpucheck.assess.entry import CardEntry
from gpucheck.catalog.cards import Card, all_cards
from gpucheck.catalog.find import Choice, cards_matching
from gpucheck.machine.simulate import simulated_gpu
from gpucheck.probes.collect import Issues


def card_entries(query: str = "") -> tuple[CardEntry, ...]:
    """The cards with the query's words in a name, all of them for an empty query."""
    return tuple(_entry(card) for card in (cards_matching(query) if query else all_cards()))


def _entry(card: Card) -> CardEntry:
    gpu = simulated_gpu(Choice(card, len(card.vram_gib) - 1 if card.vram_gib else None), 0, None, Issues())
    category = gpu_category(gpu)
    return CardEntry(
        id=card.id,
        name=card.name,
        vendor=card.vendor,
        segment=card.segment,
        architecture=card.architecture,
        compute_capability=card.compute_capability,
        gfx_target=card.gfx_target,
        memory_gib=card.vram_gib,
        memory_type=card.memory_type,
        bandwidth_bytes_per_s=gpu.bandwidth_bytes_per_s,
        shader_cores=card.shader_cores,
        matrix_cores=card.matrix_cores,
        tdp_w=card.tdp_w,
        release_year=card.release_year,
        category=category.name,
        basis=category.basis,
        reasons=category.reasons,
        confidence=card.confidence,
        source=card.source,
    )
