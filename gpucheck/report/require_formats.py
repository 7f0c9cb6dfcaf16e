"""Which form the gate's answer takes: the renderers by the names that `--format` has for them, and CI's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.machine.types import Machine

# Beside text and json. `nagios` brings an exit code of its own, `require_nagios.exit_code`.
FORMATS = ("junit", "markdown", "github", "gitlab", "nagios", "shell")


def render(format_: str, requirements: Requirements, machine: Machine, **options: object) -> str:
    """The answer in one of `FORMATS`, to be written as UTF-8; `options` are those of its renderer.

    Raises:
        KeyError: there is no such format.
    """
    if format_ not in FORMATS:
        raise KeyError(format_)
    text: str = import_module(f"gpucheck.report.require_{format_}").render(requirements, machine, **options)
    return text


def format_for(environment: Mapping[str, str]) -> str:
    """The form to print where none is asked for: github in a job of GitHub Actions, else text.

    GitLab's log is for people, and its files are named in the job (`--format gitlab --output gpucheck.env` for
    `artifacts:reports:dotenv`, `--format junit` for `artifacts:reports:junit`): so it is text there too.
    """
    return "github" if environment.get("GITHUB_ACTIONS") == "true" else "text"
