"""`gpucheck explain`: the pages on the codes of findings."""

from __future__ import annotations

import click

from gpucheck.cli.options import output_options
from gpucheck.cli.output import show, tool


@click.command("explain", short_help="what a finding's code means")
@click.argument("names", nargs=-1, metavar="[CODE]...")
@output_options
def command(names: tuple[str, ...], format_: str | None, as_json: bool, output: str | None, verbose: bool) -> int:
    """What the finding CODE means, how it is told, why it matters, and how to mend it; without a CODE, all codes.

    Inspects nothing. `gpucheck doctor` tells which findings this machine has.
    """
    from gpucheck.assess.findings.pages import codes, explain
    from gpucheck.report.document import ExplainReport

    pages = {page.code: page for page in map(explain, names or codes())}
    show(ExplainReport(tool=tool(), pages=tuple(pages.values())), format_, as_json, output, verbose or bool(names))
    return 0
