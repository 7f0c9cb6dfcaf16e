"""`gpucheck devices`: which GPUs a program should take now."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from gpucheck.cli.options import chosen_machine, formats, machine_options
from gpucheck.cli.output import put, show, tool
from gpucheck.errors import UsageError

if TYPE_CHECKING:
    from gpucheck.assess.pick_wish import Wish
    from gpucheck.machine.types import Machine
    from gpucheck.report.document import DevicesReport

_EXIT_CODES = {"met": 0, "not_met": 1, "unknown": 3}
_CUDA, _FOR_CUDA = "CUDA_VISIBLE_DEVICES", "cuda-visible-devices"


@click.command("devices", short_help="which GPUs a program should take now")
@click.option("--count", type=int, metavar="N", help="How many; 1 where it is not given.")
@click.option("--all", "every", is_flag=True, help="As many as one process can use together.")
@click.option("--min-free", metavar="SIZE", help="Each with this much free memory: 20GiB.")
@click.option("--min-vram", metavar="SIZE", help="Each with this much memory, as reported or as sold: 24GB.")
@click.option("--min-compute-capability", metavar="X.Y", help="Each of at least this compute capability: 8.0.")
@click.option("--vendor", metavar="NAME", help="Of this maker: nvidia, amd, intel or apple.")
@click.option("--prefer", type=click.Choice(("free", "strong")), default="free", help="What goes first.")
@machine_options
@formats(_FOR_CUDA, "env")
def command(
    count: int | None,
    every: bool,
    min_free: str | None,
    min_vram: str | None,
    min_compute_capability: str | None,
    vendor: str | None,
    prefer: str,
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
    """The GPUs with the most free memory of those that a process here can use, and how to keep a program to them.

    --format cuda-visible-devices prints the value of that variable, for NVIDIA's GPUs alone; --format env prints
    export lines of what the maker's runtime reads, for a shell to eval. Both leave standard output empty where there
    are not enough, with the reason on standard error.

    Unknown free memory is not enough of it. Nothing is reserved. Exit code 1: there are not that many, 3: that is not
    known.
    """
    from gpucheck.assess.pick_wish import make_wish

    if as_json and format_ not in {None, "json"}:
        raise UsageError(f"--json and --format {format_}: one format at a time")
    if every and count is not None:
        raise UsageError("--count and --all: one number at a time")
    if format_ == _FOR_CUDA:
        if vendor is not None and vendor.lower() != "nvidia":
            raise UsageError(f"--format {_FOR_CUDA} is for NVIDIA: take --format env")
        vendor = "nvidia"
    wish = make_wish(
        None if every else 1 if count is None else count,
        min_free=min_free,
        min_vram=min_vram,
        min_compute_capability=min_compute_capability,
        vendor=vendor,
        prefer=prefer,
    )
    report = _report(chosen_machine(machine_file, simulate, ram, cpu_cores, python), wish)
    if format_ in {None, "text", "json"}:
        show(report, format_, as_json, output, verbose)
    elif report.answer != "met":
        click.echo(f"gpucheck: needs {report.needed}: {'; '.join(report.reasons)}", err=True)
    elif format_ == "env":
        put("".join(f"export {name}={shlex.quote(value)}\n" for name, value in report.environment.items()), output)
    else:
        for name, value in report.environment.items():
            if name != _CUDA:
                click.echo(f"gpucheck: set {name}={value} too", err=True)
        put(f"{report.environment[_CUDA]}\n", output)
    return _EXIT_CODES[report.answer]


def _report(machine: Machine, wish: Wish) -> DevicesReport:
    from gpucheck.assess.pick import TooFew, needed, pick
    from gpucheck.report.document import DevicesReport

    found = pick(machine, wish)
    if isinstance(found, TooFew):
        return DevicesReport(tool=tool(), answer=found.answer, needed=found.needed, reasons=found.reasons)
    return DevicesReport(
        tool=tool(),
        answer="met",
        needed=needed(wish),
        devices=found.devices,
        environment=found.environment,
        torch_devices=found.torch_devices,
        reasons=found.reasons,
    )
