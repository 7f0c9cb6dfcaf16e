"""`gpucheck init`: a requirements file from this machine."""

from __future__ import annotations

import os

import click

from gpucheck.cli.options import chosen_machine, machine_options
from gpucheck.cli.output import put


@click.command("init", short_help="write a requirements file from this machine")
@click.option("--output", default="gpucheck.toml", show_default=True, metavar="FILE", help="Where to; - prints it.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@machine_options
def command(
    output: str,
    force: bool,
    machine_file: str | None,
    simulate: str | None,
    ram: str | None,
    cpu_cores: int | None,
    python: str | None,
) -> int:
    """Write a commented gpucheck.toml that this machine meets: what it has, as minimums.

    What is not known for sure is left out. `gpucheck require` reads the file.
    """
    from gpucheck.assess.requirements.draft import draft
    from gpucheck.errors import UsageError

    if output != "-" and os.path.lexists(output) and not force:  # told before anything is inspected
        raise UsageError(f"{output} is there already: --force overwrites it")
    machine = chosen_machine(machine_file, simulate, ram, cpu_cores, python, kernel_log=True)
    origin = {"live": "this machine", "recording": "a recording", "simulated": "a simulated machine"}[machine.source]
    put(draft(machine, origin), None if output == "-" else output)
    if output != "-":
        click.echo(f"wrote {output}; gpucheck require --file {output} holds a machine against it", err=True)
    return 0
