"""`gpucheck schema`: the JSON schemas of the documents."""

from __future__ import annotations

import json

import click

from gpucheck.cli.output import write
from gpucheck.errors import UnknownNameError


@click.command("schema", short_help="the JSON schemas")
@click.argument("name", required=False, metavar="[NAME]")
def command(name: str | None) -> int:
    """The JSON schema of the document NAME, or the names there are."""
    from gpucheck.report.document import SCHEMAS, schema

    if name is None:
        write("".join(f"{document}\n" for document in SCHEMAS))
        return 0
    if name not in SCHEMAS:
        raise UnknownNameError(f"there is no document called {name!r}", SCHEMAS)
    write(json.dumps(schema(name), indent=2) + "\n")
    return 0
