"""A small page of a headline, sentences and tables, as HTML and as Markdown.

The HTML has no script, no style sheet and no colour: it takes the page's own, light or dark. All text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from msgspec import Struct

from gpucheck.report.require_facts import one_line
from gpucheck.report.require_markdown import cell

_LINE = "border-bottom:1px solid rgba(127,127,127,.4)"
_CELL = f"text-align:left;padding:.2em .8em .2em 0;{_LINE}"
_TABLE = "border-collapse:collapse;margin:.6em 0;background:none;color:inherit"


class Table(Struct, frozen=True):
    """Rows under a head; the first cell of each row names it."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Sheet(Struct, frozen=True, kw_only=True):
    """What is told of one object, in this order."""

    title: str
    lines: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def to_html(sheet: Sheet) -> str:
    """A `<section>` for any page."""
    parts = [
        f"<p><strong>{_text(sheet.title)}</strong></p>",
        *(f"<p>{_text(line)}</p>" for line in sheet.lines),
        *(f"<pre><code>{escape(one_line(command))}</code></pre>" for command in sheet.commands),
        *(_html_table(table) for table in sheet.tables),
    ]
    if sheet.notes:
        parts.append("<ul>" + "".join(f"<li>{_text(note)}</li>" for note in sheet.notes) + "</ul>")
    return f'<section class="gpucheck" style="color:inherit">{"".join(parts)}</section>'


def to_markdown(sheet: Sheet) -> str:
    """GitHub-flavoured Markdown, the paragraphs apart."""
    parts = [
        f"**{cell(sheet.title)}**",
        *(cell(line) for line in sheet.lines),
        *("```sh\n" + one_line(command) + "\n```" for command in sheet.commands),
        *(_markdown_table(table) for table in sheet.tables),
    ]
    if sheet.notes:
        parts.append("\n".join(f"- {cell(note)}" for note in sheet.notes))
    return "\n\n".join(parts) + "\n"


def _html_table(table: Table) -> str:
    head = "".join(f'<th scope="col" style="{_CELL}">{_text(name)}</th>' for name in table.head)
    rows = "".join(f"<tr>{_html_cells(row)}</tr>" for row in table.rows)
    caption = f'<caption style="text-align:left">{_text(table.caption)}</caption>'
    return f'<table style="{_TABLE}">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _html_cells(row: tuple[str, ...]) -> str:
    first = f'<th scope="row" style="{_CELL};font-weight:normal">{_text(row[0])}</th>'
    return first + "".join(f'<td style="{_CELL}">{_text(text)}</td>' for text in row[1:])


def _markdown_table(table: Table) -> str:
    lines = [cell(table.caption), "", _markdown_row(table.head), "|" + "---|" * len(table.head)]
    return "\n".join([*lines, *(_markdown_row(row) for row in table.rows)])


def _markdown_row(row: Iterable[str]) -> str:
    return "| " + " | ".join(cell(text) for text in row) + " |"


def _text(text: str) -> str:
    return escape(one_line(text))
