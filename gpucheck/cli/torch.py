"""`gpucheck torch`: which build of PyTorch suits this machine."""

from __future__ import annotations

import click

from gpucheck.cli.options import chosen_machine, formats, machine_options
from gpucheck.cli.output import put, show, tool

_EXIT_NONE, _EXIT_UNKNOWN = 1, 3


@click.command("torch", short_help="which build of PyTorch suits this machine")
@click.argument("version", required=False)
@click.option("--driver", metavar="VERSION", help="Reckon with this NVIDIA driver: 535.86.")
@click.option("--python-version", metavar="VERSION", help="The Python that is to run it: 3.12.")
@click.option("--os", "system", type=click.Choice(("linux", "windows", "macos")), help="These GPUs under this system.")
@click.option("--arch", type=click.Choice(("x86_64", "aarch64")), help="These GPUs beside this CPU.")
@machine_options
@formats("index")
def command(
    version: str | None,
    driver: str | None,
    python_version: str | None,
    system: str | None,
    arch: str | None,
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
    """The build of PyTorch that every usable GPU here and the driver can run, as commands for pip and uv.

    VERSION is a release (2.9.1) or a series (2.9); without one the newest that has such a build. Without
    --python-version the Python of the environment that is active, or that --python names, decides; in one of conda's
    use the pip command. --format index prints the name of the index alone (cu128, rocm7.2, xpu, cpu; pypi on a Mac),
    for scripts, and where there is none leaves standard output empty, with the reasons on standard error: exit code 1
    where no build suits the machine, 3 where that is not known. gpucheck installs nothing.
    """
    from gpucheck import api
    from gpucheck.errors import UsageError
    from gpucheck.report.document import TorchReport

    if as_json and format_ == "index":
        raise UsageError("--json and --format index: one format at a time")
    machine = chosen_machine(machine_file, simulate, ram, cpu_cores, python)
    build = api.torch_build(machine, version, python_version, driver=driver, system=system, arch=arch)
    if format_ != "index":
        show(TorchReport(tool=tool(), torch=build), format_, as_json, output, verbose)
        return 0
    if build.index is not None:
        put(f"{build.index}\n", output)
        return 0
    for reason in build.reasons:
        click.echo(f"gpucheck: {reason}", err=True)
    return _EXIT_NONE if build.answer == "no" else _EXIT_UNKNOWN
