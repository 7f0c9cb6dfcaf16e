"""`gpucheck report`: the whole answer for one machine."""

from __future__ import annotations

import click

from gpucheck.cli.options import chosen_machine, machine_options, output_options
from gpucheck.cli.output import show, tool


@click.command("report", short_help="the whole answer for this machine")
@machine_options
@output_options
def command(
    machine_file: str | None,
    simulate: str | None,
    ram: str | None,
    cpu_cores: int | None,
    python: str | None,
    format_: str | None,
    as_json: bool,
    output: str | None,
    verbose: bool,
) -> int:
    """What this machine is, what it can hold, and what stands in the way.

    Reads hardware facts from the system and its drivers. Uses no network and changes nothing. A machine without
    a GPU is a fact, not a failure: the exit code is 0.
    """
    from gpucheck import api
    from gpucheck.report.document import Report

    machine = chosen_machine(machine_file, simulate, ram, cpu_cores, python)
    assert machine.category is not None
    report = Report(
        tool=tool(),
        machine=machine,
        category=machine.category,
        fit=api.fits(machine),
        findings=api.problems(machine),
    )
    show(report, format_, as_json, output, verbose)
    return 0
