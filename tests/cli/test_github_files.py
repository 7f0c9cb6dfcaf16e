"""The files of a step of GitHub Actions."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucheck.cli.github_files import append_github_files
from gpucheck.errors import UsageError
from gpucheck.report.require_github import outputs, summary
from tests.report.by_hand import MIXED
from tests.running import machine

CARD = machine("card-t4")


def test_both_files_are_appended_to(tmp_path: Path) -> None:
    """What earlier commands of the step wrote stays."""
    page, values = tmp_path / "summary.md", tmp_path / "output"
    page.write_text("before\n", encoding="utf-8")
    append_github_files(MIXED, CARD, {"GITHUB_STEP_SUMMARY": str(page), "GITHUB_OUTPUT": str(values)})
    assert page.read_text(encoding="utf-8") == "before\n" + summary(MIXED, CARD)
    assert values.read_text(encoding="utf-8") == outputs(MIXED, CARD)


@pytest.mark.parametrize("environment", [{}, {"GITHUB_STEP_SUMMARY": "", "GITHUB_OUTPUT": ""}])
def test_without_the_variables_nothing_is_written(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of a job the format makes no files."""
    monkeypatch.chdir(tmp_path)
    append_github_files(MIXED, CARD, environment)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    """The error names the variable and the path."""
    with pytest.raises(UsageError, match=r"GITHUB_OUTPUT: .*missing/output: No such file"):
        append_github_files(MIXED, CARD, {"GITHUB_OUTPUT": str(tmp_path / "missing" / "output")})
