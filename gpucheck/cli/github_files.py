"""The files by which a step of GitHub Actions hands over its summary and its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpucheck.assess.requirements.outcome import Requirements
    from gpucheck.machine.types import Machine


def append_github_files(requirements: Requirements, machine: Machine, environment: Mapping[str, str]) -> None:
    """Append the table to the file of GITHUB_STEP_SUMMARY and the facts to that of GITHUB_OUTPUT, where these are set.

    To be called with the format github, asked for or chosen in CI.

    Raises:
        UsageError: a file cannot be written.
    """
    from gpucheck.report import require_github

    for variable, content in (
        ("GITHUB_STEP_SUMMARY", require_github.summary),
        ("GITHUB_OUTPUT", require_github.outputs),
    ):
        if path := environment.get(variable):
            _append(variable, path, content(requirements, machine))


def _append(variable: str, path: str, content: str) -> None:
    from gpucheck.errors import UsageError

    try:
        with open(path, "ab") as handle:
            handle.write(content.encode())
    except OSError as error:
        raise UsageError(f"{variable}: {path}: {error.strerror or error}") from None
