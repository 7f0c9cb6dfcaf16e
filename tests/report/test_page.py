"""Pages: wrapping, alignment, and characters that a terminal can show."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gpucheck.report.page import MIN_WIDTH, Cell, Page


def _page(width: int = 40, encoding: str = "utf-8") -> Page:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Page(Console(file=stream, width=width, color_system=None))


def _lines(page: Page) -> list[str]:
    page.print()
    stream = page._console.file
    stream.flush()
    written: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return written.decode(stream.encoding).split("\n")[:-1]


def test_paragraph_wraps_between_words() -> None:
    """A sentence is broken between its words, and its lines are indented alike."""
    page = _page()
    page.paragraph("one two three four five six seven eight nine ten", indent=2)
    lines = _lines(page)
    assert " ".join(line.strip() for line in lines) == "one two three four five six seven eight nine ten"
    assert len(lines) == 2
    assert all(line.startswith("  ") and not line.startswith("   ") and len(line) <= 40 for line in lines)


def test_words_with_hyphens_stay_whole() -> None:
    """A model's name is not broken at a hyphen."""
    page = _page()
    page.paragraph("the card is called Tesla V100-SXM2-16GB here")
    assert any("V100-SXM2-16GB" in line for line in _lines(page))


def test_long_words_are_broken() -> None:
    """A word wider than the page is cut into lines rather than let out."""
    page = _page()
    page.paragraph("x" * 100)
    lines = _lines(page)
    assert "".join(lines) == "x" * 100
    assert max(map(len, lines)) <= 40


def test_row_hangs() -> None:
    """The value of a row begins at its column, and so do its further lines."""
    page = _page()
    page.row("label", "one two three four five six seven eight", 12, 2)
    first, second = _lines(page)
    assert first.startswith("  label     one")
    assert second.startswith(" " * 12)
    assert second[12] != " "


def test_row_with_a_long_label() -> None:
    """A label that reaches the column has its value on the next line."""
    page = _page()
    page.row("a label of length", "value", 12, 2)
    assert _lines(page) == ["  a label of length", "            value"]


def test_row_without_a_value() -> None:
    """An empty value leaves the label alone, without blanks after it."""
    page = _page()
    page.row("label", "", 12)
    assert _lines(page)[0].rstrip() == "  label"


def test_spread() -> None:
    """The right text ends where the page does; where both do not fit it goes below."""
    page = _page(40)
    page.spread([("left ", ""), ("side", "bold")], "right")
    page.spread([("a left side that takes most of it", "")], "by rule")
    first, second, third = _lines(page)
    assert first == "left side" + " " * 26 + "right"
    assert (second, third) == ("a left side that takes most of it", "    by rule")


def test_spread_wider_than_the_page() -> None:
    """A name that is wider than the page is wrapped, and so is the text at the right."""
    page = _page(40)
    page.spread([("  GPU 0    ", ""), ("word " * 12 + "y" * 70, "bold")], "right " * 12)
    lines = _lines(page)
    assert max(map(len, lines)) <= 40
    assert all(line == line.rstrip() for line in lines)


def test_blank_lines_are_single() -> None:
    """No page begins with an empty line or has two in a row."""
    page = _page()
    page.blank()
    page.paragraph("one")
    page.blank()
    page.blank()
    page.paragraph("two")
    assert _lines(page) == ["one", "", "two"]


def test_cells_are_aligned() -> None:
    """Cells are padded to their width, to the left or the right, without blanks at the end of the line."""
    page = _page()
    page.cells([Cell("3B", 4, right=True), Cell("ok", 6), Cell("x", 6)])
    page.cells([Cell("405B", 4, right=True), Cell("tight", 6), Cell("y", 6)])
    assert _lines(page) == ["    3Bok    x", "  405Btight y"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "no-such"])
def test_ascii_stands_in(encoding: str) -> None:
    """Where the symbols cannot be written, ASCII ones with the same meaning are; distinct ones stay distinct."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    page = Page(Console(file=stream, width=60, color_system=None))
    page._ascii = encoding != "utf-8"
    page.paragraph("✓ ◐ ✗ ± ? 0–4 2 × A · … ≥ → é 日")
    [line] = _lines(page)
    assert line == "+ ~ x ! ? 0-4 2 x A - ... >= -> ? ?"


@pytest.mark.parametrize(("encoding", "ascii_only"), [("utf-8", False), ("ascii", True), ("latin-1", True)])
def test_symbols_follow_the_stream(encoding: str, ascii_only: bool) -> None:
    """Whether symbols are replaced is decided by the encoding of the stream that is written to."""
    page = _page(encoding=encoding)
    page.paragraph("✓ fits")
    assert _lines(page) == ["+ fits" if ascii_only else "✓ fits"]


@pytest.mark.parametrize("evil", ["\x1b[31m", "\x1b]0;title\x07", "\r", "\x9b", "\u202e", "\u200b", "\x00", "\x7f"])
def test_control_characters_are_replaced(evil: str) -> None:
    """Characters that steer a terminal come out as question marks, wherever they were put."""
    page = _page()
    page.paragraph(f"a{evil}b")
    page.row(f"a{evil}b", f"a{evil}b", 20)
    page.spread([(f"a{evil}b", "")], f"a{evil}b")
    page.cells([Cell(f"a{evil}b", 12)])
    text = "".join(_lines(page))
    assert text.isprintable()
    assert text.count("a?") == 6


def test_markup_is_text() -> None:
    """Square brackets are what they are, no commands to the library that prints."""
    page = _page()
    page.paragraph("[bold]a[/bold] [red]b :smile: https://x.y")
    assert _lines(page) == ["[bold]a[/bold] [red]b :smile:", "https://x.y"]


def test_width_has_bounds() -> None:
    """A page is never narrower than its least width, nor as wide as a huge terminal."""
    assert _page(1).width == MIN_WIDTH
    assert _page(500).width == 110
