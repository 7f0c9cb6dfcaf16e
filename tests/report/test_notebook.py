"""What notebooks show: every machine and answer, escaped, without scripts, colours or holes."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.assess.requirements.outcome import Outcome, Requirements
from gpucheck.report.headline import headline
from gpucheck.report.notebook import shown
from tests.running import NAMES, machine

_NASTY = 'x<script>alert("1")</script>|`*_[a](b)\n## y\x1b[31m&'
_COLOURS = re.compile(r"#[0-9a-f]{3,8}\b|\brgb\(|\b(?:black|white|red|green|blue|grey|gray)\b")


class _Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.words: list[str] = []
        self.styles: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.open.append(tag)
        assert {name for name, _ in attrs} <= {"style", "class", "scope"}
        self.styles.extend(value or "" for name, value in attrs if name == "style")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page_of(thing: gpucheck.Machine | gpucheck.FitAnswer | gpucheck.TorchBuild | Requirements) -> _Page:
    """The HTML of a thing, read."""
    html = thing._repr_html_()
    assert html is not None
    return _Page(html)


@pytest.mark.parametrize("name", NAMES)
def test_every_machine(name: str) -> None:
    """A machine shows its headline, each GPU with its state, and what fits; its answers show themselves too."""
    found = machine(name)
    page = page_of(found)
    assert page.words[0] == " ".join(headline(found).split())
    markdown = found._repr_markdown_()
    assert markdown is not None
    rows = [line for line in markdown.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == [gpu.index for gpu in found.gpus]
    assert [row.split("|")[-2].strip() == "usable" for row in rows] == [gpu.usable for gpu in found.gpus]
    for thing in (gpucheck.fit(found, "8b@q4"), gpucheck.torch_build(found)):
        assert len(page_of(thing).words) > 1


def test_html_takes_the_colours_of_its_page() -> None:
    """Light and dark are the page's: no colour but a line that is seen on both, no style sheet, no script."""
    page = page_of(machine("h100-x8-one-lost"))
    assert page.seen <= {"section", "p", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert not [style for style in page.styles if _COLOURS.search(style)]


def test_nothing_that_a_name_holds_is_markup() -> None:
    """A hostile card's name is text in both forms, on one line."""
    found = machine("card-t4")
    hostile = replace(found, gpus=(replace(found.gpus[0], name=_NASTY),))
    page = page_of(hostile)
    assert "script" not in page.seen
    assert 'x<script>alert("1")</script>|`*_[a](b) ## y?[31m&' in page.words
    markdown = hostile._repr_markdown_() or ""
    assert "<script" not in markdown
    row = next(line for line in markdown.splitlines() if line.startswith("| 0 |"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 8
    assert r"\`\*\_\[a\](b)" in row
    assert unescape(row).count("<script>") == 1


def test_a_fit_says_what_it_needs() -> None:
    """The parts, the total, what is there, the reasons, and what would make it fit."""
    answer = gpucheck.fit(gpucheck.simulate("RTX 3070", ram="16GiB"), "qwen3-32b", "Q4_K_M", max_context=True)
    words = page_of(answer).words
    assert words[0] == f"◐ {answer.model} @ Q4_K_M: partly on the CPU"
    for part in ("weights", "KV cache", "compute", "overhead", "total", "available"):
        assert part in words
    assert any(word.startswith("or: ") for word in words)
    fitting = gpucheck.fit(gpucheck.simulate("RTX 4090", ram="64GiB"), "qwen3-8b", "Q4_K_M", max_context=True)
    assert fitting.command in page_of(fitting).words
    assert f"up to {fitting.max_context:,} tokens of context fit" in page_of(fitting).words


def test_requirements_worst_first() -> None:
    """What is not met stands first with its remedy, then what is unknown with its reason, then what is met."""
    outcomes = (
        Outcome(key="met_key", required="1", answer="met", found="2", remedy="none is due"),
        Outcome(key="unknown_key", required="1", answer="unknown", reason="nobody said"),
        Outcome(key="unmet_key", required="24 GiB", answer="not_met", found="16 GiB", remedy="another card"),
    )
    asked = Requirements(outcomes=outcomes, answer="not_met", profile="train")
    words = page_of(asked).words
    assert words[0].startswith("✗ train: 1 of 3 requirements not met")
    assert [word for word in words if word.endswith("_key")] == ["unmet_key", "unknown_key", "met_key"]
    assert "another card" in words
    assert "unknown: nobody said" in words
    assert "none is due" not in words
    assert page_of(Requirements(outcomes=(), answer="met")).words == ["✓ no requirements"]


def test_what_cannot_be_shown() -> None:
    """Another object is a TypeError, not an empty page."""
    with pytest.raises(TypeError, match="int"):
        shown(7, "html")


def test_without_the_interface_there_is_no_rendering() -> None:
    """A type whose renderer nobody has loaded shows nothing, and loads nothing for it; the interface brings it."""
    script = (
        "import sys; from gpucheck.assess.torch_answer import TorchBuild; build = TorchBuild(answer='no', as_of='x');"
        "assert build._repr_html_() is None and build._repr_markdown_() is None;"
        "import gpucheck.api; assert 'gpucheck.report.notebook' not in sys.modules;"
        "assert 'No build of PyTorch' in build._repr_html_() and '**' in build._repr_markdown_()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
