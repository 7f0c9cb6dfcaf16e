"""The options that every inspecting command takes: which machine, and how to print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gpucheck.errors import UsageError
from gpucheck.machine.types import Machine

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("text", "json")


def machine_options(command: F) -> F:
    """--machine, --simulate, --ram, --cpu-cores and --python."""
    for option in reversed((
        click.option("--machine", "machine_file", metavar="FILE", envvar="GPUCHECK_MACHINE",
                     help="Read a recording instead of this machine."),
        click.option("--simulate", metavar="CARDS", help='Take cards of the catalogue: "2x RTX 4090".'),
        click.option("--ram", metavar="SIZE", help="Memory of the simulated machine: 64GiB."),
        click.option("--cpu-cores", type=int, metavar="N", help="CPU cores of the simulated machine."),
        click.option("--python", metavar="PATH",
                     help="Look at this interpreter's frameworks, with --simulate too; else the active environment's."),
    )):  # fmt: skip
        command = option(command)
    return command


def formats(*more: str) -> Callable[[F], F]:
    """--format with further formats, --json, --output and -v."""

    def decorate(command: F) -> F:
        for option in reversed((
            click.option("--format", "format_", type=click.Choice((*FORMATS, *more)), default=None,
                         help="How to print."),
            click.option("--json", "as_json", is_flag=True, help="Short for --format json."),
            click.option("--output", metavar="FILE", help="Write to a file."),
            click.option("-v", "--verbose", is_flag=True, help="Everything known, with its sources."),
        )):  # fmt: skip
            command = option(command)
        return command

    return decorate


output_options = formats()


def deep_options(command: F) -> F:
    """--deep and --timeout."""
    for option in reversed((
        click.option("--deep", is_flag=True,
                     help="Import each framework and make it compute, in child processes: takes seconds."),
        click.option("--timeout", "timeout_s", type=click.FloatRange(0, 3600, min_open=True), metavar="SECONDS",
                     help="With --deep: what each framework may take; by default 30 or 60."),
    )):  # fmt: skip
        command = option(command)
    return command


def check_deep(deep: bool, timeout_s: float | None, simulate: str | None = None) -> None:
    """Refuse what makes no sense together.

    Raises:
        UsageError: a time limit for nothing, or a simulated machine that is to compute.
    """
    if timeout_s is not None and not deep:
        raise UsageError("--timeout is what --deep may take: give --deep too")
    if deep and simulate is not None:
        raise UsageError("--deep tries what is there, and a simulated machine is not")


def chosen_machine(
    machine_file: str | None,
    simulate: str | None,
    ram: str | None,
    cpu_cores: int | None,
    python: str | None,
    *,
    kernel_log: bool = False,
    deep: bool = False,
    deep_limit_s: float | None = None,
) -> Machine:
    """The machine that the options mean; `--simulate` wins over the environment's `GPUCHECK_MACHINE`."""
    from gpucheck import api

    if simulate is not None:
        context = click.get_current_context(silent=True)
        source = context.get_parameter_source("machine_file") if context else None
        if machine_file is not None and source is click.core.ParameterSource.COMMANDLINE:
            raise UsageError("--machine and --simulate: one machine at a time")
        return api.simulate(simulate, ram, cpu_cores, python)
    if ram is not None or cpu_cores is not None:
        raise UsageError("--ram and --cpu-cores describe a simulated machine: give --simulate too")
    if machine_file is not None:
        return api.load(machine_file, python, kernel_log=kernel_log, deep=deep)
    return api.inspect(python, kernel_log=kernel_log, deep=deep, deep_limit_s=deep_limit_s)
