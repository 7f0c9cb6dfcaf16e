"""The pages of explanation: one for every code that a rule can give, and none for any other."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

import gpucheck
from gpucheck.assess import findings
from gpucheck.assess.findings.pages import Explanation, codes, explain, parse_page
from tests.running import NAMES, machine

RULES = Path(findings.__file__).parent
SEVERITIES = {"error", "warning", "info"}
PAGES = tuple(explain(code) for code in codes())
WINDOWS = {"Windows", "Windows and WSL2", "Virtual machines and Windows"}


def _given_by_rules() -> dict[str, set[str]]:
    """The severities with which the rules' source makes findings of each code."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in RULES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                said = {word.arg: _texts(word.value) for word in node.keywords}
                for code in said["code"]:
                    found[code] |= said["severity"] & SEVERITIES
    return found


def _texts(expression: ast.expr) -> set[str]:
    return {
        node.value for node in ast.walk(expression) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_code_has_a_page() -> None:
    """The pages are those of the codes in the rules, with just the severities that the rules give."""
    given = _given_by_rules()
    assert all(given.values())
    assert {page.code: set(page.severities) for page in PAGES} == given


@pytest.mark.parametrize("name", NAMES)
def test_findings_are_explained(name: str) -> None:
    """Every finding of a fixture has a page that knows its severity."""
    for finding in gpucheck.problems(machine(name)):
        assert finding.severity in explain(finding.code).severities


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.code)
def test_a_page_is_whole(page: Explanation) -> None:
    """A page is called like its code, says all four things, and every step has words or commands."""
    assert re.fullmatch(r"GC[1-5]\d\d", page.code)
    assert (RULES / "pages" / f"{page.code}.md").exists()
    assert page.title == page.title.strip() != ""
    assert all(text.endswith((".", ":")) for text in (page.meaning, page.told, page.matters))
    assert page.steps
    assert all(step.text or step.commands for step in page.steps)
    order = list(dict.fromkeys(step.system for step in page.steps))
    assert [step.system for step in page.steps] == sorted((step.system for step in page.steps), key=order.index)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.code)
def test_nothing_of_a_page_is_lost(page: Explanation) -> None:
    """Every word of the file, headings and severities apart, is in what was read from it."""
    text = (RULES / "pages" / f"{page.code}.md").read_text(encoding="utf-8")
    body = [line for line in text.split("\n") if not line.startswith(("# ", "## ", "### ", "Severity: "))]
    words = [page.meaning, page.told, page.matters]
    words += [part for step in page.steps for part in (step.text, *step.commands)]
    assert " ".join(words).split() == " ".join(body).split()
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) == {step.system for step in page.steps} - {None}


def test_commands_are_of_a_shell() -> None:
    """The commands for other systems than Windows are sentences of the shell."""
    commands = [command for page in PAGES for step in page.steps if step.system not in WINDOWS
                for command in step.commands]  # fmt: skip
    assert len(commands) > 50
    done = subprocess.run(["sh", "-n"], input="\n".join(commands), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_parsing() -> None:
    """Paragraphs become one line; commands belong to the words above them; a system holds to the next heading."""
    page = parse_page(
        "# GC999 A title\nSeverity: info, error\n\n## What it means\n\na\nb\n\n## How it is told\n\nc.\n\nd.\n\n"
        "## Why it matters\n\ne\n\n## How to mend it\n\nfirst\n\nsecond\n\n    run a\n    run b\n\n"
        "### Linux\n\n    run c\n\nthird\n"
    )
    assert (page.code, page.title, page.severities) == ("GC999", "A title", ("error", "info"))
    assert (page.meaning, page.told, page.matters) == ("a b", "c. d.", "e")
    assert [(step.system, step.text, step.commands) for step in page.steps] == [
        (None, "first second", ("run a", "run b")),
        ("Linux", "", ("run c",)),
        ("Linux", "third", ()),
    ]


@pytest.mark.parametrize("spelled", ["GC301", "gc301", " Gc301 ", "301"])
def test_spellings(spelled: str) -> None:
    """A code is found in letters of any case, and without its GC."""
    assert explain(spelled).code == "GC301"


@pytest.mark.parametrize(
    ("wrong", "first"),
    [("GC300", "GC301"), ("GC208", "GC207"), ("GC3001", "GC301"), ("999", "GC509"), ("GC", "GC101")],
)
def test_near_codes(wrong: str, first: str) -> None:
    """A code that there is not comes with a few near ones, the nearest first."""
    with pytest.raises(gpucheck.UnknownNameError) as caught:
        explain(wrong)
    assert caught.value.candidates[0] == first
    assert len(caught.value.candidates) <= 5


@pytest.mark.parametrize("wrong", ["", "cuda", "../finding", "__init__", "\udcff", "9" * 5000])
def test_what_is_no_code(wrong: str) -> None:
    """What is like no code has no candidates, opens no other file, and is not repeated at length."""
    with pytest.raises(gpucheck.UnknownNameError) as caught:
        explain(wrong)
    assert caught.value.candidates == ()
    assert len(str(caught.value)) < 150
