"""The gate's answer as JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest
import xmlschema
from hypothesis import given, settings
from msgspec.structs import replace

from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.assess.requirements.vocabulary import VOCABULARY
from gpucheck.report.require_facts import one_line
from gpucheck.report.require_junit import group_of, render
from tests.report.by_hand import BROKEN, FILE, H100, HOSTILE, MIXED, T4, VRAM, answers, named, requirements
from tests.running import machine


@cache
def _schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(Path(__file__).with_name("junit.xsd")))


def _suite(text: str) -> ET.Element:
    """The document's root, the document being valid by the schema."""
    _schema().validate(text)
    return ET.fromstring(text)


@pytest.mark.parametrize(
    ("answer", "name", "failures", "errors"),
    [
        (H100, "card-h100-sxm", 0, 0),
        (T4, "card-t4", 2, 0),
        (BROKEN, "driver-mismatch", 0, 1),
        (MIXED, "vm-no-gpu", 1, 1),
        (requirements(), "vm-no-gpu", 0, 0),
    ],
)
def test_counts_and_cases(answer: Requirements, name: str, failures: int, errors: int) -> None:
    """Valid by the schema; a case for each outcome, a failure for what is not met, an error for what is unknown."""
    suite = _suite(render(answer, machine(name)))
    assert suite.attrib == {
        "name": "gpucheck",
        "tests": str(len(answer.outcomes)),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": "0",
    }
    assert (len(suite.findall("testcase/failure")), len(suite.findall("testcase/error"))) == (failures, errors)
    assert len(suite.findall("testcase")) == len(answer.outcomes)


def test_a_failure_says_everything() -> None:
    """Name, class, message and text of a requirement that is not met."""
    case = _suite(render(T4, machine("card-t4"))).find("testcase")
    assert case is not None
    assert case.attrib == {"name": "min_vram 24 GiB", "classname": "gpucheck.gpu"}
    (failure,) = case
    assert failure.attrib == {"type": "not_met", "message": "min_vram: needs 24 GiB, found 16 GB nominal"}
    assert failure.text == (
        "required: 24 GiB\nfound: 16 GB nominal\nsource: gpus[0].memory.total_bytes, reported\n"
        f"remedy: Take a card with more memory.\nwritten in: {FILE}, line 4"
    )


def test_properties_are_the_facts() -> None:
    """The machine's facts, with the answer."""
    suite = _suite(render(H100, machine("card-h100-sxm")))
    found = {one.get("name"): one.get("value") for one in suite.iterfind("properties/property")}
    assert found["gpu_name"] == "NVIDIA H100 80GB HBM3"
    assert found["answer"] == "met"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts(text: str) -> None:
    """Whatever is in a text reads back as it is, white space together and what does not print as a "?"."""
    answer = requirements(replace(VRAM, found=text or None, remedy=text))
    suite = _suite(render(answer, named(text)))
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert f"\nfound: {one_line(text)}\n" in (failure.text or "")
    (name,) = (one.get("value") for one in suite.iterfind("properties/property") if one.get("name") == "gpu_name")
    assert name == one_line(text)


@settings(max_examples=50)
@given(answers())
def test_any_answer_is_valid(answer: Requirements) -> None:
    """Valid by the schema for any texts, with as many results as there are outcomes that are not met or unknown."""
    suite = _suite(render(answer, machine("card-t4")))
    bad = [outcome for outcome in answer.outcomes if outcome.answer != "met"]
    assert len(suite.findall("testcase/*")) == len(bad)


def test_every_key_has_a_group() -> None:
    """Each word of the vocabulary belongs to one of five groups; anything else is of none."""
    assert {group_of(key) for key in VOCABULARY} == {"gpu", "software", "host", "findings", "model"}
    assert group_of("any of") == "other"


def test_the_schema_can_refuse() -> None:
    """The schema is no rubber stamp: a wrong element, a missing attribute or a second result are refused."""
    good = render(T4, machine("card-t4"))
    for old, new in (("<failure ", "<fault "), (' classname="gpucheck.gpu"', ""), (' tests="2"', ' tests="two"')):
        bad = good.replace(old, new).replace("</failure>", "</fault>" if "fault" in new else "</failure>")
        assert bad != good
        assert not _schema().is_valid(bad)
