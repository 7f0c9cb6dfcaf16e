"""`gpucheck gpus`: the catalogue of cards and their categories."""

from __future__ import annotations

import click

from gpucheck.cli.options import output_options
from gpucheck.cli.output import show, tool

CATEGORIES = ("High-end", "Mid-range", "Budget", "Consumer", "Integrated")


@click.command("gpus", short_help="the catalogue of cards")
@click.argument("query", nargs=-1, metavar="[NAME]")
@click.option("--category", type=click.Choice(CATEGORIES, case_sensitive=False), help="Only cards of this category.")
@output_options
def command(
    query: tuple[str, ...],
    category: str | None,
    format_: str | None,
    as_json: bool,
    output: str | None,
    verbose: bool,
) -> int:
    """The cards whose name has the words of NAME, with memory, bandwidth and category; all without a NAME.

    Words are compared whole: H200 does not find a GH200, nor A10 an A100.
    """
    from gpucheck.assess.catalogue import card_entries
    from gpucheck.catalog.find import near_names
    from gpucheck.errors import UnknownNameError
    from gpucheck.report.document import CatalogueReport

    name = " ".join(query)
    entries = card_entries(name)
    if name and not entries:
        raise UnknownNameError(f"no card in the catalogue is called {name!r}", near_names(name))
    if category is not None:
        entries = tuple(entry for entry in entries if entry.category == category)
    show(CatalogueReport(tool=tool(), gpus=entries), format_, as_json, output, verbose)
    return 0
