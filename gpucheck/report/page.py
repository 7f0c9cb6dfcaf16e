"""A page of text for terminals of any width: labelled rows with hanging indents, and symbols that ASCII can replace.

Nothing on a page is told by colour alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from msgspec import Struct
from rich.console import Console
from rich.text import Text

MIN_WIDTH, MAX_WIDTH = 36, 110

_ASCII = str.maketrans({
    "✓": "+", "✗": "x", "◐": "~", "±": "!", "–": "-", "—": "-", "×": "x", "·": "-", "…": "...", "’": "'",
    "≥": ">=", "≤": "<=", "→": "->",
})  # fmt: skip


class Page:
    """Collects lines; `print` writes them to a console, with its colours and in its character set."""

    def __init__(self, console: Console) -> None:
        self.width = max(MIN_WIDTH, min(console.width, MAX_WIDTH))
        self._console = console
        self._ascii = not _speaks_unicode(console)
        self._lines: list[Text] = []

    def blank(self) -> None:
        """An empty line, never two in a row."""
        if self._lines and self._lines[-1].plain:
            self._lines.append(Text())

    def paragraph(self, text: str, style: str = "", indent: int = 0) -> None:
        """A wrapped sentence."""
        for line in self._wrap(text, self.width - indent):
            self._lines.append(Text(" " * indent).append(line, style))

    def row(self, label: str, value: str, at: int, indent: int = 2, style: str = "", label_style: str = "dim") -> None:
        """A label, and from column `at` on its value with a hanging indent; the next line if the label is too long."""
        lines = self._wrap(value, self.width - at)
        head = Text(" " * indent).append(self._plain(label), label_style)
        if len(head) >= at:
            self._lines.append(head)
            head = Text()
        head.append(" " * (at - len(head))).append(lines[0] if lines else "", style)
        self._lines.append(head)
        for line in lines[1:]:
            self._lines.append(Text(" " * at).append(line, style))

    def spread(self, pieces: Iterable[tuple[str, str]], right: str, right_style: str = "") -> None:
        """Styled pieces at the left and a text at the right end of one line, or below where that is too narrow."""
        left = Text.assemble(*((self._plain(text), style) for text, style in pieces))
        right = self._plain(right)
        gap = self.width - len(left) - len(right)
        if gap >= 2:
            self._lines.append(left.append(" " * gap).append(right.rstrip(), right_style))
            return
        for piece in left.wrap(self._console, self.width):
            piece.rstrip()
            self._lines.append(piece)
        for line in self._wrap(right.strip(), self.width - 4):
            self._lines.append(Text(" " * 4).append(line, right_style))

    def cells(self, cells: list[Cell], indent: int = 2) -> None:
        """One line of aligned cells."""
        line = Text(" " * indent)
        for cell in cells:
            text = self._plain(cell.text)
            line.append(text.rjust(cell.width) if cell.right else text.ljust(cell.width), cell.style)
        line.rstrip()
        self._lines.append(line)

    def print(self) -> None:
        """Write the page."""
        for line in self._lines:
            self._console.print(line, no_wrap=True, overflow="ignore", crop=False, highlight=False)

    def _wrap(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(self._plain(text), max(width, 16), break_long_words=True, break_on_hyphens=False)

    def _plain(self, text: str) -> str:
        """The text in the console's characters and without control characters, which names can smuggle in."""
        text = text.translate(_ASCII) if self._ascii else text
        if self._ascii:
            text = text.encode("ascii", "replace").decode()
        return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


class Cell(Struct, frozen=True):
    """A piece of a table's line."""

    text: str
    width: int
    style: str = ""
    right: bool = False


def _speaks_unicode(console: Console) -> bool:
    """Whether the symbols can be printed: by the encoding of the stream that the console writes to."""
    try:
        "✓◐✗–×±·".encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
