"""`gpucheck require`: the gate. Its options are the vocabulary of requirements."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from gpucheck.assess.requirements.vocabulary import VOCABULARY, Key
from gpucheck.cli.options import chosen_machine, formats, machine_options
from gpucheck.cli.output import put, tool
from gpucheck.report.require_formats import FORMATS

if TYPE_CHECKING:
    from gpucheck.assess.requirements.outcome import Requirements
    from gpucheck.machine.types import Machine

_EXIT = {"met": 0, "not_met": 1, "unknown": 3}
_WHOLE = frozenset({"frameworks", "models"})  # values with commas of their own


def _option(key: Key) -> click.Option:
    """The option of one key."""
    if key.kind.name == "flag":
        return click.Option([key.option, key.name], is_flag=True, default=None, help=key.help)
    example = key.example.strip('[]{} "').replace('"', "").replace(" = ", "=")
    return click.Option([key.option, key.name], metavar=example.upper() if len(example) < 3 else example,
                        multiple=key.many, help=key.help)  # fmt: skip


@click.command("require", short_help="does this machine meet requirements")
@click.option("--file", "file", metavar="FILE", help="A requirements file; options come before what it says.")
@click.option("--profile", metavar="NAME", help="The profile of the file.")
@click.option("--unknown-ok", is_flag=True, help="Exit 0 where nothing failed but something could not be determined.")
@click.option("--strict", is_flag=True, help="Exit 1 there.")
@machine_options
@formats(*FORMATS)
def command(
    file: str | None,
    profile: str | None,
    unknown_ok: bool,
    strict: bool,
    machine_file: str | None,
    simulate: str | None,
    ram: str | None,
    cpu_cores: int | None,
    python: str | None,
    format_: str | None,
    as_json: bool,
    output: str | None,
    verbose: bool,
    **given: Any,
) -> int:
    """Whether this machine meets requirements: options, a file, or both.

    Without either it is ./gpucheck.toml, or [tool.gpucheck] of ./pyproject.toml. Requirements about a GPU must be met
    together by as many GPUs as --min-gpus says, or one.

    Exit code 0: all are met. 1: one is not. 2: a mistake in an option or the file; all mistakes of a file are told at
    once. 3: none fails, but one could not be determined.

    In GitHub Actions the default format is github, which also writes the step's summary and outputs; else it is text.
    """
    from gpucheck.assess.requirements.demand import demand
    from gpucheck.assess.requirements.evaluate import evaluate
    from gpucheck.assess.requirements.outcome import Requirements, answer_of
    from gpucheck.errors import UsageError

    if as_json and format_ not in {None, "json"}:
        raise UsageError(f"--json and --format {format_}: one format at a time")
    if unknown_ok and strict:
        raise UsageError("--unknown-ok and --strict: one of them")
    demanded = demand(_arguments(given), file, profile)  # a mistake is told before anything is inspected
    looks = any(one.key == "no_findings" for one in demanded.wanted)
    machine = chosen_machine(machine_file, simulate, ram, cpu_cores, python, kernel_log=looks)
    outcomes = evaluate(machine, demanded.wanted)
    answer = answer_of(outcomes)
    found = Requirements(outcomes=outcomes, answer=answer, profile=demanded.profile, file=demanded.file)
    code = _EXIT[answer]
    if code == _EXIT["unknown"]:
        code = 0 if unknown_ok else 1 if strict else code
    return _print(found, machine, code, "json" if as_json else format_, output, verbose, unknown_ok, strict)


command.params[:0] = [_option(key) for key in VOCABULARY.values()]


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as the vocabulary reads them."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value == ():
            continue
        several = isinstance(value, tuple) and VOCABULARY[name].kind.name not in _WHOLE
        found[name] = ",".join(value) if several else list(value) if isinstance(value, tuple) else value
    return found


def _print(
    found: Requirements,
    machine: Machine,
    code: int,
    format_: str | None,
    output: str | None,
    verbose: bool,
    unknown_ok: bool,
    strict: bool,
) -> int:
    """Write the answer in its format; the exit code, which that of Nagios decides itself."""
    if format_ is None:
        from gpucheck.report.require_formats import format_for

        format_ = format_for(os.environ)
    if format_ == "text":
        put(_text(found, code, to_file=output is not None), output)
    elif format_ == "json":
        from msgspec import UNSET

        from gpucheck.report.document import RequireReport, to_json

        report = RequireReport(tool=tool(), requirements=found, machine=machine if verbose else UNSET)
        put(to_json(report).encode(), output)
    else:
        put(_rendered(found, machine, format_, unknown_ok, strict).encode(), output)
        if format_ == "nagios":
            from gpucheck.report.require_nagios import exit_code

            return exit_code(found, unknown_ok=unknown_ok, strict=strict)
    return code


def _rendered(found: Requirements, machine: Machine, format_: str, unknown_ok: bool, strict: bool) -> str:
    from gpucheck.report.require_formats import render

    options: dict[str, object] = {}
    if format_ == "github":
        from gpucheck.cli.github_files import append_github_files

        append_github_files(found, machine, os.environ)
        options = {"folder": os.getcwd(), "root": os.environ.get("GITHUB_WORKSPACE", "")}
    elif format_ == "nagios":
        options = {"unknown_ok": unknown_ok, "strict": strict}
    return render(format_, found, machine, **options)


def _text(found: Requirements, code: int, *, to_file: bool) -> str:
    """The text for the stream that it goes to."""
    from gpucheck.report.text_require import show_requirements

    if to_file:
        return show_requirements(found, code)
    terminal = sys.stdout.isatty()
    color = bool(os.environ.get("FORCE_COLOR")) or (terminal and "NO_COLOR" not in os.environ)
    try:
        "✓✗–→".encode(sys.stdout.encoding or "ascii")
        speaks = True
    except (UnicodeEncodeError, LookupError):
        speaks = False
    return show_requirements(found, code, width=_width(terminal), color=color, unicode=speaks)


def _width(terminal: bool) -> int:
    if not terminal and not os.environ.get("COLUMNS", "").isdecimal():
        return 100
    import shutil

    return max(40, min(shutil.get_terminal_size((100, 24)).columns, 110))
