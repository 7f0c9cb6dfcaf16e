"""`gpucheck schema`: the JSON schemas of the documents."""

from __future__ import annotations

import json

import click

from gpucheck.errors import UnknownNameError


@click.command("schema", short_help="the JSON schemas")
@click.argument("name", required=False, metavar="[NAME]")
def command(name: str | None) -> int:
    """The JSON schema of the document NAME, or the names there are."""
    from gpucheck.report.document import DOCUMENTS, schema

    if name is None:
        click.echo("\n".join(DOCUMENTS))
        return 0
    if name not in DOCUMENTS:
        raise UnknownNameError(f"there is no document called {name!r}", tuple(DOCUMENTS))
    click.echo(json.dumps(schema(name), indent=2))
    return 0
