"""Writes docs/findings.md from the pages of the findings; --check compares."""

from __future__ import annotations

import sys
from pathlib import Path

from gpucheck.assess.findings.pages import codes, explain

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "gpucheck" / "assess" / "findings" / "pages"
TARGET = ROOT / "docs" / "findings.md"
HEAD = """\
# Findings

Every finding of `gpucheck doctor`, by its code; `gpucheck explain CODE` prints the same page. Codes are stable: GC1xx
hardware, GC2xx driver, GC3xx toolkit and framework, GC4xx container and limits, GC5xx health.

Written by `python .ci/findings.py` from the pages in `gpucheck/assess/findings/pages/`; `--check` compares.

| code | severity | finding |
|---|---|---|
"""


def page_of(code: str) -> str:
    """The page, its headings one level down."""
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8").strip()
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in text.split("\n"))


def main() -> None:
    """Write, or compare."""
    found = [explain(code) for code in codes()]
    rows = (f"| [{one.code}](#{one.code.lower()}) | {', '.join(one.severities)} | {one.title} |\n" for one in found)
    pages = (f'\n<a id="{one.code.lower()}"></a>\n\n{page_of(one.code)}\n' for one in found)
    fresh = HEAD + "".join(rows) + "".join(pages)
    if "--check" not in sys.argv:
        TARGET.write_text(fresh, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != fresh:
        sys.exit("docs/findings.md is not what the pages say: run python .ci/findings.py")


main()
