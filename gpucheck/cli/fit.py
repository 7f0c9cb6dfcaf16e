"""`gpucheck fit`: does a model fit this machine, and where would it go."""

from __future__ import annotations

import click

from gpucheck.cli.options import chosen_machine, machine_options, output_options
from gpucheck.cli.output import show, tool


@click.command("fit", short_help="does a model of this size fit")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--context", type=click.IntRange(1, 100_000_000), default=8192, show_default=True, metavar="TOKENS",
              help="Tokens of context.")  # fmt: skip
@click.option("--check", is_flag=True, help="Exit 1 if a model does not fit, 3 if that cannot be told.")
@machine_options
@output_options
def command(
    models: tuple[str, ...],
    context: int,
    check: bool,
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
    """Does a MODEL fit, part by part, and where would it go.

    MODEL is a size with an optional quantization: 7b, 70b@q4, 8x7b, 30b-a3b@Q8_0. Without a quantization, the
    best of 16, 8 and 4 bits that fits. A size has no exact shape, so its answer is a range.
    """
    from gpucheck import api
    from gpucheck.report.document import FitReport

    references = [api.model(model) for model in models]  # a wrong name is told before anything is inspected
    machine = chosen_machine(machine_file, simulate, ram, cpu_cores, python)
    answers = tuple(api.fit(machine, reference, context=context) for reference in references)
    assert machine.category is not None
    report = FitReport(tool=tool(), machine=machine, category=machine.category, fit=answers)
    show(report, format_, as_json, output, verbose)
    return _exit_code({answer.fits for answer in answers}) if check else 0


def _exit_code(answers: set[str]) -> int:
    """0 all fit, 1 one does not (partly on the CPU counts as not), 3 one cannot be told."""
    if answers & {"no", "partial"}:
        return 1
    return 3 if "unknown" in answers else 0
