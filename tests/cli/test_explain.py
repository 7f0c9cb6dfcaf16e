"""`gpucheck explain`: the pages on codes of findings."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jsonschema
import pytest

from gpucheck.assess.findings.pages import codes, explain
from tests.running import ROOT, run

SCHEMA = json.loads((ROOT / "gpucheck" / "report" / "schemas" / "explain.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("code", codes())
def test_a_page(code: str) -> None:
    """The text has everything of the page: title, severities, the three texts, systems, words and commands."""
    ran, page = run("explain", code, COLUMNS="80"), explain(code)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{code} {page.title} ({', '.join(page.severities)})\n")
    printed = " ".join(ran.out.split())
    for text in (page.meaning, page.told, page.matters):
        assert text in printed
    for step in page.steps:
        assert all(part in printed for part in (step.system or "", step.text, *step.commands))
    assert max(map(len, ran.out.split("\n"))) <= 80
    assert run("explain", code, encoding="ascii").out.isascii()


def test_all_codes() -> None:
    """Without a code there is one line for each, with title and severities; with `-v` the whole pages."""
    lines = run("explain", COLUMNS="110").out.rstrip("\n").split("\n")
    assert [line.split()[1] for line in lines] == list(codes())
    for line, page in zip(lines, map(explain, codes()), strict=True):
        assert line.endswith(f"{page.title} ({', '.join(page.severities)})")
    whole = run("explain", "-v").out
    assert whole == "\n".join(run("explain", code).out for code in codes())


def test_json() -> None:
    """The document is valid and has the pages that were asked for, each once, or all."""
    for arguments, wanted in (([], list(codes())), (["gc302", "101", "GC302"], ["GC302", "GC101"])):
        found = run("explain", *arguments, "--json").json
        jsonschema.Draft202012Validator(SCHEMA).validate(found)
        assert (found["kind"], found["format_version"]) == ("explain", "1.0")
        assert [page["code"] for page in found["pages"]] == wanted
        assert all(page["steps"] for page in found["pages"])


def test_unknown_code() -> None:
    """A code that there is not is exit 2 with near ones, and prints no page of another that was named."""
    ran = run("explain", "GC201", "GC300")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.split("\n")[1].strip() == "GC301"
    found = run("explain", "GC300", "--json").json["error"]
    assert (found["code"], found["candidates"][0]) == ("unknown_name", "GC301")


def test_inspects_nothing() -> None:
    """Explaining loads no probe of this machine and opens the page of the code alone."""
    script = (
        "import sys, os\nopened = []\n"
        "sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == 'open' else None)\n"
        "from gpucheck.cli import run\nassert run(['explain', 'GC301', '--json']) == 0\n"
        "print([os.path.basename(p) for p in opened if p.endswith('.md')], 'gpucheck.host.live' in sys.modules,"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert done.stderr.strip() == "['GC301.md'] False"
