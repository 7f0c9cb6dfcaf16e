"""`gpucheck doctor`: what stands in the way, and nothing else."""

from __future__ import annotations

import click

from gpucheck.cli.options import check_deep, chosen_machine, deep_options, machine_options, output_options
from gpucheck.cli.output import put, show, tool


@click.command("doctor", short_help="what is wrong, and what mends it")
@click.option("--list", "as_list", is_flag=True, help="Only the codes of the findings, one a line.")
@deep_options
@machine_options
@output_options
def command(
    as_list: bool,
    deep: bool,
    timeout_s: float | None,
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
    """What stands in the way of this machine's GPUs, the worst first, with the commands that mend it.

    Runs none of them and changes nothing. Findings are facts, not failures: the exit code is 0. `gpucheck explain CODE`
    has a page on each.

    --deep imports the frameworks of the chosen Python and lets them compute on each GPU, in processes of their own that
    are ended in time; on a recording it tells what was found when that was made.
    """
    from gpucheck import api
    from gpucheck.errors import UsageError
    from gpucheck.report.document import DoctorReport

    if as_list and (as_json or format_ == "json"):
        raise UsageError("--list and JSON: one format at a time")
    check_deep(deep, timeout_s, simulate)
    machine = chosen_machine(
        machine_file, simulate, ram, cpu_cores, python, kernel_log=True, deep=deep, deep_limit_s=timeout_s
    )
    findings = api.problems(machine)
    if as_list:
        put("".join(f"{code}\n" for code in dict.fromkeys(finding.code for finding in findings)), output)
        return 0
    tried = tuple(one for one in machine.frameworks if one.deep is not None)
    document = DoctorReport(tool=tool(), findings=findings, issues=machine.issues, frameworks=tried)
    show(document, format_, as_json, output, verbose)
    return 0
