"""The gate's answer as a table in Markdown."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.report.require_facts import one_line
from gpucheck.report.require_markdown import MAX_BYTES, cell, render
from tests.report.by_hand import H100, HOSTILE, MIXED, VRAM, answers, named, requirements
from tests.running import machine

_COLUMN_END = re.compile(r"(?<!\\)(?:\\\\)*\|")
CARD = machine("card-t4")


def _shown(text: str) -> str:
    """What a cell shows: its escapes and entities undone."""
    return unescape(re.sub(r"\\(.)", r"\1", text))


def test_the_whole_page() -> None:
    """The verdict, the outcomes with the worst first, and the machine's facts."""
    page = render(MIXED, machine("card-h100-sxm"))
    lines = page.splitlines()
    assert lines[0] == "### gpucheck: 1 of 3 requirements not met, 1 could not be determined"
    assert lines[2:7] == [
        "| | requirement | needs | found | what to do |",
        "|---|---|---|---|---|",
        "| ❌ not met | min\\_vram | 24 GiB | 16 GB nominal | Take a card with more memory. |",
        "| ❓ unknown | min\\_driver | 550 | unknown: NVML does not answer | Mend the driver. |",
        "| ✅ met | min\\_compute\\_capability | 8.0 | 9.0 |  |",
    ]
    assert "| gpu\\_name | NVIDIA H100 80GB HBM3 |" in lines
    assert page.endswith("|\n")


def test_a_profile_is_named() -> None:
    """The heading says which profile of the file was asked for."""
    assert render(requirements(VRAM, profile="train"), CARD).startswith("### gpucheck (train): 1 of 1 requirement")


def test_without_requirements() -> None:
    """Only the machine's facts."""
    page = render(requirements(), CARD)
    assert page.startswith("### gpucheck: no requirements\n\n| machine | |\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown(text: str) -> None:
    """A text stays in its cell, ends no column or line, is no markup, and is shown as it is."""
    row = next(line for line in render(requirements(replace(VRAM, remedy=text)), CARD).splitlines() if "24 GiB" in line)
    assert len(_COLUMN_END.findall(row)) == 6
    assert "<" not in row
    assert _shown(cell(text)) == one_line(text)
    assert f" {cell(text)} |" in row
    assert any(f"| {cell(text)} |" in line for line in render(H100, named(text)).splitlines())


@settings(max_examples=50)
@given(answers())
def test_every_row_has_its_columns(answer: Requirements) -> None:
    """Whatever the texts, each outcome is one row of five columns."""
    lines = render(answer, CARD).splitlines()
    rows = [line for line in lines if line.startswith(("| ❌", "| ❓", "| ✅"))]
    assert len(rows) == len(answer.outcomes)
    assert all(len(_COLUMN_END.findall(row)) == 6 for row in rows)


def test_it_stays_below_githubs_limit() -> None:
    """Of a page that would be too large the last rows are counted."""
    answer = requirements(*(replace(VRAM, required="€" * 3000) for _ in range(200)))
    page = render(answer, CARD)
    assert MAX_BYTES * 0.9 < len(page.encode()) < 1 << 20
    shown = page.count("| ❌ not met |")
    assert f"| … | {200 - shown} more | | | |" in page
    assert "| machine | |" in page
