"""`gpucheck labels`: labels by which schedulers find this machine."""

from __future__ import annotations

import click

from gpucheck.cli.options import chosen_machine, machine_options
from gpucheck.cli.output import put
from gpucheck.report.labels import FORMATS, render, why_none
from gpucheck.report.require_facts import one_line

_EXIT_UNKNOWN = 3


@click.command("labels", short_help="labels for runners and nodes")
@click.option("--format", "format_", type=click.Choice(FORMATS), required=True, help="Whose labels.")
@click.option("--output", metavar="FILE", help="Write to a file.")
@machine_options
def command(
    format_: str,
    output: str | None,
    machine_file: str | None,
    simulate: str | None,
    ram: str | None,
    cpu_cores: int | None,
    python: str | None,
) -> int:
    """Labels of this machine's GPUs for a scheduler; what is not known has none.

    github: for a self-hosted runner, ./config.sh --labels "$(gpucheck labels --format github)". nfd: a file for Node
    Feature Discovery's features.d, in the words of NVIDIA's and AMD's own labellers. k8s: the same as arguments,
    kubectl label node NAME $(gpucheck labels --format k8s). slurm: lines of gres.conf.

    Where there are no labels, standard output is empty and standard error says why: exit code 0 where there is no GPU
    that they could be of, 3 where that is not known, as with a driver that does not answer.
    """
    machine = chosen_machine(machine_file, simulate, ram, cpu_cores, python)
    labels = render(machine, format_)
    put(labels, output)
    if labels:
        return 0
    why, sure = why_none(machine)
    click.echo(f"gpucheck: no labels for --format {format_}: {one_line(why)}", err=True)
    return 0 if sure else _EXIT_UNKNOWN
