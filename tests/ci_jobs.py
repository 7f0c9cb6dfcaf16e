"""CI systems without CI: the recipes of docs/ci.md, their shells, their variables, and what they read afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import yaml

from tests.running import ROOT, Ran, fixture

# How a runner of GitHub starts a script: where a step names the shell, and where it does not.
GITHUB_SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
GITHUB_DEFAULT_SHELL = ("bash", "-e")

_RECIPE = re.compile(r"<!-- recipe: (?P<name>[\w-]+) -->\n```\w+\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
_EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+) \}\}")
_COMMAND = re.compile(r"::(?P<kind>\w+) (?P<properties>.*?)::(?P<message>.*)")
_GPUCHECK = '#!/bin/sh\nPYTHONPATH="{root}" exec "{python}" -m gpucheck "$@"\n'
_PIP = '#!/bin/sh\necho "$@" >> "{log}"\n'
# An interpreter that can do one thing: make an environment, in which pip is the one above and gpucheck is there.
_PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] && [ $# -eq 3 ] || exit 97
mkdir -p "$3/bin" && cp "{programs}/pip" "{programs}/gpucheck" "$3/bin"
"""


class Annotation(msgspec.Struct, frozen=True):
    """What GitHub shows at a line of a file."""

    kind: str
    file: str
    line: int
    title: str


class Job:
    """A checkout in a temporary folder, and a runner's environment around it.

    `programs` is first in the PATH and has a gpucheck, this one, and stand-ins of pip and python3: nothing is installed
    and no network is asked.
    """

    def __init__(self, folder: Path, machine: str) -> None:
        self.checkout, self.programs, self.temp = folder / "checkout", folder / "programs", folder / "temp"
        self.installed = folder / "pip.log"
        for path in (self.checkout, self.programs, self.temp):
            path.mkdir()
        self.program("gpucheck", _GPUCHECK.format(root=ROOT, python=sys.executable))
        self.program("pip", _PIP.format(log=self.installed))
        self.program("python3", _PYTHON.format(programs=self.programs))
        self.environment = {
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "GPUCHECK_MACHINE": fixture(machine),
        }

    def program(self, name: str, script: str) -> None:
        """Put a program into the PATH."""
        path = self.programs / name
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)

    def shell(self, script: str, shell: Sequence[str] = ("sh",), **variables: str) -> Ran:
        """Run a script in the checkout, as a file that the shell is given."""
        path = self.temp / "script"
        path.write_text(script, encoding="utf-8")
        done = subprocess.run(
            [*shell, str(path)], cwd=self.checkout, env={**self.environment, **variables},
            capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


class GithubJob(Job):
    """A job of GitHub Actions: steps with files for outputs and summaries, and the action of this repository."""

    def __init__(self, folder: Path, machine: str) -> None:
        super().__init__(folder, machine)
        self.output, self.summary = self.temp / "output", self.temp / "summary.md"
        self.steps: dict[str, dict[str, str]] = {}
        self.environment |= {
            "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(self.checkout),
            "RUNNER_TEMP": str(self.temp), "GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary),
        }  # fmt: skip

    def run(self, steps: Sequence[Mapping[str, Any]]) -> list[Ran]:
        """The steps up to the first that fails, as they are in a job."""
        done: list[Ran] = []
        for step in steps:
            if step.get("uses", "").startswith("actions/checkout@"):
                continue
            ran = self.action(step.get("with", {}), step["id"]) if "uses" in step else self.step(step)
            done.append(ran)
            if ran.code:
                break
        return done

    def action(self, given: Mapping[str, str], name: str = "gpu", **variables: str) -> Ran:
        """A step that uses this repository's action, with gpucheck installed unless `variables` say otherwise."""
        described = action()
        unknown = set(given) - set(described["inputs"])
        assert not unknown, unknown
        inputs = {key: given.get(key, value["default"]) for key, value in described["inputs"].items()}
        variables = {
            "GITHUB_ACTION_PATH": str(ROOT), "GPUCHECK_COMMAND": str(self.programs / "gpucheck"), **variables
        }  # fmt: skip
        [step] = described["runs"]["steps"]
        ran = self.step(step, {f"inputs.{key}": value for key, value in inputs.items()}, **variables)
        self.steps[name] = {
            key: self.resolved(value["value"], {}) for key, value in described["outputs"].items()
        }  # fmt: skip
        return ran

    def step(self, step: Mapping[str, Any], context: Mapping[str, str] | None = None, **variables: str) -> Ran:
        """A step with a script."""
        self.output.write_text("", encoding="utf-8")
        environment = {name: self.resolved(value, context or {}) for name, value in step.get("env", {}).items()}
        shell = GITHUB_SHELL if step.get("shell") == "bash" else GITHUB_DEFAULT_SHELL
        ran = self.shell(step["run"], shell, **environment, **variables)
        if "id" in step:
            self.steps[step["id"]] = outputs(self.output.read_text(encoding="utf-8"))
        return ran

    def resolved(self, text: str, context: Mapping[str, str]) -> str:
        """The text with its expressions evaluated; an output that is not set is empty."""

        def value(match: re.Match[str]) -> str:
            parts = match[1].split(".")
            if parts[0] == "steps":
                _, step, what, name = parts
                assert what == "outputs"
                return self.steps[step].get(name, "")
            return context[match[1]]

        return _EXPRESSION.sub(value, text)


def action() -> Any:
    """The action of this repository, as it describes itself."""
    return yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def recipes() -> dict[str, str]:
    """The recipes of docs/ci.md by their names."""
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    assert text.count("\n```") == 2 * len(_RECIPE.findall(text)), "a block without a name"
    return {match["name"]: match["body"] for match in _RECIPE.finditer(text)}


def annotated(text: str) -> set[Annotation]:
    """What a step of GitHub printed for its annotations."""
    found = set()
    for line in text.splitlines():
        if match := _COMMAND.fullmatch(line):
            named = dict(one.split("=", 1) for one in match["properties"].split(","))
            found.add(Annotation(match["kind"], named["file"], int(named["line"]), named["title"]))
    return found


def outputs(text: str) -> dict[str, str]:
    """The file of GITHUB_OUTPUT, as the runner reads it: NAME=VALUE, or NAME<<DELIMITER and lines up to that."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, sign, value = re.split(r"(=|<<)", line, maxsplit=1)
        found[name] = value if sign == "=" else "\n".join(takewhile(value.__ne__, lines))
    return found


def junit(path: Path) -> dict[str, dict[str, str]]:
    """The keys of a JUnit file's test cases by their results, each with what is said; its counts are checked."""
    suite = ElementTree.parse(path).getroot()
    found: dict[str, dict[str, str]] = {"passed": {}, "failure": {}, "error": {}}
    for case in suite.iter("testcase"):
        wrong = next((child for child in case if child.tag in found), None)
        said = "" if wrong is None else f"{wrong.get('message')}\n{wrong.text}"
        found["passed" if wrong is None else wrong.tag][case.attrib["name"].split()[0]] = said
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors")}
    failures, errors = len(found["failure"]), len(found["error"])
    assert counts == {"tests": sum(map(len, found.values())), "failures": failures, "errors": errors}
    return found


def dotenv(path: Path) -> dict[str, str]:
    """The file of GitLab's `reports:dotenv`: NAME=VALUE on every line, and nothing else."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[A-Z_]+=.*", line) for line in lines)
    return dict(line.split("=", 1) for line in lines)
