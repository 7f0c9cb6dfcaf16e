"""The catalogue's cards as people see them, with their categories."""

from __future__ import annotations

import pytest

import gpucheck
from gpucheck.assess.catalogue import card_entries
from gpucheck.assess.category import BEST_FOR
from gpucheck.catalog.cards import all_cards


@pytest.mark.parametrize(
    ("query", "category"),
    [
        ("A100", "High-end"), ("H100", "High-end"), ("H200", "High-end"), ("GH200", "High-end"), ("MI250", "High-end"),
        ("MI300X", "High-end"), ("A40", "Mid-range"), ("A30", "Mid-range"), ("A6000", "Mid-range"),
        ("V100", "Mid-range"), ("L4", "Mid-range"), ("T4", "Mid-range"), ("K80", "Budget"),
        ("M60", "Budget"), ("P100", "Budget"), ("A4000", "Budget"), ("RTX 3070", "Consumer"),
        ("RTX 4090", "Consumer"), ("RTX 4000", "Consumer"),
    ],
)  # fmt: skip
def test_the_documents_names(query, category):
    """Each name of the document lists its variants with the document's category, and others by rule only."""
    entries = card_entries(query)
    listed = {card.id for card in all_cards() if card.document == query}
    by_document = {entry.id: entry.category for entry in entries if entry.basis == "document"}
    assert by_document == dict.fromkeys(listed, category)


def test_everything():
    """Without a query every card is listed, once, with a category, reasons and its source."""
    entries = card_entries()
    assert [entry.id for entry in entries] == [card.id for card in all_cards()]
    for entry in entries:
        assert entry.category in BEST_FOR
        assert entry.reasons
        assert entry.source
        assert entry.basis in {"document", "rule"}


def test_entries_are_the_catalogues_rows():
    """An entry gives the row's figures unchanged; what a row lacks is null."""
    for card, entry in zip(all_cards(), card_entries(), strict=True):
        assert (entry.memory_gib, entry.tdp_w, entry.matrix_cores) == (card.vram_gib, card.tdp_w, card.matrix_cores)
        assert (entry.bandwidth_bytes_per_s is None) == (card.bandwidth_gbs is None)
        if card.bandwidth_gbs is not None:
            assert entry.bandwidth_bytes_per_s == pytest.approx(card.bandwidth_gbs * 1e9)


def test_categories_are_those_of_simulated_machines():
    """A card has the same category in the list as in a machine made of it with its largest memory."""
    for entry in card_entries("RTX") + card_entries("Radeon RX") + card_entries("V100"):
        size = f" {entry.memory_gib[-1]:g}GB" if len(entry.memory_gib) > 1 else ""
        found = gpucheck.simulate(entry.name + size).gpus[0].category
        assert (found.name, found.basis, found.reasons) == (entry.category, entry.basis, entry.reasons)


@pytest.mark.parametrize("query", ["nothing of the kind", "(", " ", "999GB", "x" * 5000])
def test_nothing_found(query):
    """A query that no card matches lists none, and never all."""
    assert card_entries(query) == ()
