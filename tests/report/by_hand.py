"""Answers of the gate written by hand, texts that break out of formats, and strategies for both."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from gpucheck.assess.requirements.outcome import Outcome, Place, Requirements, answer_of
from gpucheck.machine.types import Machine
from tests.running import machine

FILE = "ci/gpucheck.toml"
VRAM = Outcome(
    key="min_vram",
    required="24 GiB",
    answer="not_met",
    found="16 GB nominal",
    source="gpus[0].memory.total_bytes, reported",
    remedy="Take a card with more memory.",
    place=Place(FILE, 4),
)
CAPABILITY = Outcome(key="min_compute_capability", required="8.0", answer="met", found="9.0", place=Place(FILE, 5))
DRIVER = Outcome(
    key="min_driver",
    required="550",
    answer="unknown",
    reason="NVML does not answer",
    remedy="Mend the driver.",
    place=Place(FILE, 6),
)

HOSTILE = (
    "a|b", "100% | 5%25", "two\nlines\r\nand ::error::more", "::set-output name=x::y", "it's \"quoted\"", "🤖 card",
    "\x1b[31mred\x1b[0m", "]]></failure><x/>", "<script>alert(1)</script>", "$(touch x) `id` ${HOME}", "a=b\\c",
    "GPUCHECK_EOF", "##[error]x", "\x00\x07", "\ud800", "\u202eRTX", "  ", "*bold* _it_ [a](b)", "; rm -rf x #",
)  # fmt: skip

texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))


def requirements(*outcomes: Outcome, **fields: Any) -> Requirements:
    """All of them together."""
    return Requirements(outcomes=outcomes, answer=answer_of(outcomes), **fields)


H100 = requirements(replace(VRAM, answer="met", found="80 GB nominal"), CAPABILITY, file=FILE)
T4 = requirements(VRAM, replace(CAPABILITY, answer="not_met", found="7.5"), file=FILE)
BROKEN = requirements(CAPABILITY, DRIVER, file=FILE)
MIXED = requirements(VRAM, CAPABILITY, DRIVER, file=FILE)


def outcomes() -> st.SearchStrategy[Outcome]:
    """Outcomes with any texts; what is not known has no `found`."""
    return st.builds(
        lambda found, **fields: Outcome(found=None if fields["answer"] == "unknown" else found, **fields),
        key=st.one_of(st.sampled_from(("min_vram", "model", "any of")), texts.filter(bool)),
        required=texts,
        found=texts,
        answer=st.sampled_from(("met", "not_met", "unknown")),
        source=st.none() | texts,
        reason=st.none() | texts,
        remedy=st.none() | texts,
        place=st.none() | st.builds(Place, texts, st.integers(1, 10**6)),
    )


def answers() -> st.SearchStrategy[Requirements]:
    """Answers of any length up to 25 with any texts."""
    return st.lists(outcomes(), max_size=25).map(lambda found: requirements(*found))


@cache
def named(name: str | None, fixture: str = "card-t4") -> Machine:
    """A fixture's machine whose first GPU has another name."""
    found = machine(fixture)
    return replace(found, gpus=(replace(found.gpus[0], name=name), *found.gpus[1:]))
