"""The facts as variables: GitLab's dotenv reports and a shell's exports."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucheck.report import require_gitlab, require_shell
from gpucheck.report.require_facts import FACTS, facts, one_line
from tests.report.by_hand import BROKEN, H100, HOSTILE, T4, named
from tests.running import machine

SHELLS = [shell for name in ("sh", "dash", "bash", "ksh", "zsh") if (shell := shutil.which(name))]


def _dotenv(text: str) -> dict[str, str]:
    """The variables, by the rules of GitLab's Ci::ParseDotenvArtifactService and its limits."""
    assert len(text.encode()) < 5 * 1024
    found = {}
    for line in text.splitlines():
        scanned = re.fullmatch(r"(.*?)=(.*)", line)
        assert scanned is not None, line
        key, value = (part.strip() for part in scanned.groups())
        assert re.fullmatch(r"[A-Za-z0-9_]+", key)
        found[key] = value
    assert len(found) <= 20
    return found


def test_dotenv_has_the_facts() -> None:
    """A variable for each known fact of an H100, a T4 and a machine that does not answer."""
    for answer, name in ((H100, "card-h100-sxm"), (T4, "card-t4"), (BROKEN, "driver-mismatch")):
        known = facts(answer, machine(name))
        found = _dotenv(require_gitlab.render(answer, machine(name)))
        assert found == {f"GPUCHECK_{key.upper()}": value for key, value in known.items()}
    assert found["GPUCHECK_ANSWER"] == "unknown"


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 10_000])
def test_dotenv_of_hostile_names(text: str) -> None:
    """A name adds no variable, is none that a runner or a shell would expand, and does not grow beyond the limit."""
    found = _dotenv(require_gitlab.render(H100, named(text)))
    assert set(found) == {f"GPUCHECK_{name.upper()}" for name in facts(H100, named(text))}
    assert not set(found["GPUCHECK_GPU_NAME"]) & set("$`\"'\\;&|<>*?[]{}!#~=%\n")


def test_dotenv_keeps_the_names_of_real_cards() -> None:
    """What card names are made of passes as it is."""
    for name in (
        "NVIDIA H100 80GB HBM3",
        "AMD Radeon(TM) Graphics",
        "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
        "RX 7900 XT/XTX",
    ):
        assert require_gitlab.safe(name) == name


def _evaluated(shell: str, script: str, names: tuple[str, ...]) -> list[str | None]:
    """The values of variables after a shell has evaluated the script; None where a variable is not set."""
    print_all = "".join(f'printf "%s\\0" "${{{name}-<unset>}}"; ' for name in names)
    done = subprocess.run(
        [shell, "-c", f'eval "$1"; {print_all}', "sh", script], capture_output=True, check=True, timeout=10
    )
    assert done.stderr == b""
    values = done.stdout.decode().split("\0")[:-1]
    return [None if value == "<unset>" else value for value in values]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", HOSTILE)
def test_shells_read_back_hostile_names(shell: str, text: str) -> None:
    """Every shell here gets exactly the fact, and runs nothing of it."""
    script = require_shell.render(T4, named(text))
    names = tuple(f"GPUCHECK_{name.upper()}" for name in FACTS)
    known = facts(T4, named(text))
    assert _evaluated(shell, script, names) == [known[name] for name in FACTS]
    assert known["gpu_name"] == one_line(text)


def test_exports_reach_child_processes_and_old_values_go() -> None:
    """What is known is exported; what is not is unset, even if a former run had set it."""
    script = require_shell.render(BROKEN, machine("driver-mismatch"))
    done = subprocess.run(
        ["sh", "-c", 'eval "$1"; env', "sh", script],
        capture_output=True, check=True, text=True, env={"PATH": "/usr/bin:/bin", "GPUCHECK_GPU_NAME": "old"},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert "GPUCHECK_ANSWER=unknown" in lines
    assert not [line for line in lines if line.startswith("GPUCHECK_GPU_NAME=")]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40))
def test_quoting_has_no_way_out(text: str) -> None:
    """A quoted text is made of closed single quotes and escaped ones between them, and nothing else."""
    quoted = require_shell.quoted(text)
    assert re.fullmatch(r"'[^']*'(?:\\''[^']*')*", quoted)
    assert "".join(re.findall(r"'([^']*)'|\\(')", quoted)[0]) is not None
    assert quoted[1:-1].replace("'\\''", "'") == text
