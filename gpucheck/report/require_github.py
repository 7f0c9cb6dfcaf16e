"""The gate's answer for GitHub Actions: annotations for standard output, a step's summary and a step's outputs.

The escaping is that of actions/toolkit (command.ts); the runner (ActionCommand.cs) undoes it. It shows ten
annotations of a kind for each step.
"""

from __future__ import annotations

import os.path

from gpucheck.assess.requirements.outcome import Met, Outcome, Requirements
from gpucheck.machine.types import Machine
from gpucheck.report import require_markdown
from gpucheck.report.require_facts import ANSWERS, facts, line_of, of_answer, one_line, verdict

MAX_OF_A_KIND = 10
_KINDS: dict[str, Met] = {"error": "not_met", "warning": "unknown"}


def render(requirements: Requirements, machine: Machine, *, folder: str = "", root: str = "") -> str:
    """Annotations, each on one line: an error for what is not met, a warning for what could not be determined.

    They point at the line of the requirement where it is from a file. `folder` is where the command runs and `root` the
    checkout (GITHUB_WORKSPACE): annotations name files from there. The tenth of a kind says how many more there are.
    A last line has the verdict for the log.
    """
    del machine  # its facts are in the summary and the outputs
    lines = []
    for kind, answer in _KINDS.items():
        outcomes = of_answer(requirements, answer)
        shown = outcomes if len(outcomes) <= MAX_OF_A_KIND else outcomes[: MAX_OF_A_KIND - 1]
        lines += [_annotation(kind, outcome, folder, root) for outcome in shown]
        if rest := outcomes[len(shown) :]:
            lines.append(_more(kind, rest))
    return "\n".join([*lines, f"gpucheck: {verdict(requirements)}", ""])


def summary(requirements: Requirements, machine: Machine) -> str:
    """What is appended to the file that GITHUB_STEP_SUMMARY names: the table in Markdown."""
    return require_markdown.render(requirements, machine)


def outputs(requirements: Requirements, machine: Machine) -> str:
    """What is appended to the file that GITHUB_OUTPUT names: the known facts, and all outcomes in `details`."""
    details = "\n".join(f"{ANSWERS[outcome.answer]}: {line_of(outcome)}" for outcome in requirements.outcomes)
    return "".join(output(name, value) for name, value in {**facts(requirements, machine), "details": details}.items())


def output(name: str, value: str) -> str:
    """One output of a step; a value of several lines between delimiters that do not occur in it."""
    if "\n" not in value and "\r" not in value:
        return f"{name}={value}\n"
    delimiter = "GPUCHECK_EOF"
    while delimiter in value:
        delimiter += "_"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def data(text: str) -> str:
    """A command's message, escaped."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property_value(text: str) -> str:
    """The value of a command's property, escaped."""
    return data(text).replace(":", "%3A").replace(",", "%2C")


def _annotation(kind: str, outcome: Outcome, folder: str, root: str) -> str:
    state = "is not met" if outcome.answer == "not_met" else "could not be determined"
    properties: dict[str, str] = {}
    if outcome.place is not None:
        properties |= {"file": _from_root(outcome.place.file, folder, root), "line": str(outcome.place.line)}
    return _command(kind, {**properties, "title": f"{outcome.key} {state}"}, line_of(outcome))


def _more(kind: str, rest: tuple[Outcome, ...]) -> str:
    keys = ", ".join(dict.fromkeys(outcome.key for outcome in rest))
    state = "not met" if kind == "error" else "not determined"
    return _command(kind, {"title": f"{len(rest)} more requirements {state}"}, f"and {len(rest)} more: {keys}")


def _command(kind: str, properties: dict[str, str], message: str) -> str:
    written = ",".join(f"{name}={property_value(one_line(value))}" for name, value in properties.items())
    return f"::{kind} {written}::{data(one_line(message))}"


def _from_root(file: str, folder: str, root: str) -> str:
    """The path from the root of the checkout with forward slashes; as it was written where it is outside of it."""
    if not root:
        return file
    path = os.path.relpath(os.path.join(folder, file), root)
    inside = not os.path.isabs(path) and path.split(os.sep)[0] != os.pardir
    return path.replace(os.sep, "/") if inside else file
