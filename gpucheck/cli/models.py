"""`gpucheck models`: the catalogue of models."""

from __future__ import annotations

import click

from gpucheck.cli.options import output_options
from gpucheck.cli.output import show, tool


@click.command("models", short_help="the catalogue of models")
@click.argument("query", nargs=-1, metavar="[NAME]")
@output_options
def command(query: tuple[str, ...], format_: str | None, as_json: bool, output: str | None, verbose: bool) -> int:
    """The models whose name has the words of NAME, with parameters, layers, context and size; all without a NAME.

    Pipelines of diffusion, such as FLUX.1-dev, are listed with their components. Words are compared whole: 8b does
    not find an 80b. Ollama's names such as qwen3:30b-a3b are names too.
    """
    from gpucheck.errors import UnknownNameError
    from gpucheck.models.catalogue import near_names
    from gpucheck.models.listing import model_entries, pipeline_entries
    from gpucheck.report.document import ModelsReport

    name = " ".join(query)
    entries = (*model_entries(name), *pipeline_entries(name))
    if not entries:
        raise UnknownNameError(f"no model in the catalogue is called {name!r}", near_names(name))
    show(ModelsReport(tool=tool(), models=entries), format_, as_json, output, verbose)
    return 0
