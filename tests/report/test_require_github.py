"""The gate's answer for GitHub Actions, read back as the runner reads it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gpucheck.assess.requirements.outcome import Outcome, Place, Requirements
from gpucheck.report.require_facts import facts, line_of, one_line
from gpucheck.report.require_github import MAX_OF_A_KIND, output, outputs, render, summary
from gpucheck.report.require_markdown import render as markdown
from tests.report.by_hand import BROKEN, DRIVER, FILE, H100, HOSTILE, MIXED, T4, VRAM, answers, named, requirements
from tests.running import machine

_BACK = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))
CARD = machine("card-t4")


def _commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Kind, properties and message of each command, by the rules of the runner's ActionCommand.cs."""
    found = []
    for line in text.splitlines():
        stripped = line.lstrip()
        if not stripped.startswith("::"):
            assert "##[" not in line  # the older form, which the runner finds anywhere in other lines
            continue
        head, _, message = stripped[2:].partition("::")
        kind, _, written = head.partition(" ")
        pairs = (pair.partition("=") for pair in written.split(","))
        properties = {name.strip(): _back(value) for name, _, value in pairs if value}
        found.append((kind, properties, _back(message)))
    return found


def _back(text: str) -> str:
    for escaped, sign in _BACK:
        text = text.replace(escaped, sign)
    return text


def _outputs(text: str) -> dict[str, str]:
    """A step's outputs, by the rules of the runner's FileCommandManager.cs."""
    found, lines = {}, iter(text.removesuffix("\n").split("\n"))
    for line in lines:
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            found[line[:equals]] = line[equals + 1 :]
            continue
        assert heredoc > 0, line
        name, delimiter = line[:heredoc], line[heredoc + 2 :]
        value: list[str] = []
        for part in lines:
            if part == delimiter:
                break
            value.append(part)
        else:
            pytest.fail("the delimiter was not found")
        found[name] = "\n".join(value)
    return found


def test_annotations_point_at_the_lines() -> None:
    """An error for each requirement that is not met, at its line of the file; the verdict ends the log."""
    text = render(T4, CARD)
    assert text.splitlines()[0] == (
        "::error file=ci/gpucheck.toml,line=4,title=min_vram is not met::min_vram: needs 24 GiB, found 16 GB nominal."
        " Take a card with more memory."
    )
    assert [(kind, found["line"]) for kind, found, _ in _commands(text)] == [("error", "4"), ("error", "5")]
    assert text.splitlines()[-1] == "gpucheck: 2 of 2 requirements not met"


def test_what_is_not_determined_is_a_warning() -> None:
    """A warning for what could not be determined, and nothing for what is met."""
    ((kind, properties, message),) = _commands(render(BROKEN, CARD))
    assert (kind, properties) == (
        "warning",
        {"file": FILE, "line": "6", "title": "min_driver could not be determined"},
    )
    assert message == line_of(DRIVER)
    assert _commands(render(H100, CARD)) == []
    assert [kind for kind, _, _ in _commands(render(MIXED, CARD))] == ["error", "warning"]


def test_a_requirement_of_an_option_has_no_place() -> None:
    """What was demanded on the command line is annotated without a file."""
    ((_, properties, _),) = _commands(render(requirements(replace(VRAM, place=None)), CARD))
    assert set(properties) == {"title"}


@pytest.mark.parametrize(("number", "shown"), [(9, 9), (10, 10), (11, 10), (25, 10)])
def test_ten_of_a_kind(number: int, shown: int) -> None:
    """At most ten errors and ten warnings; where there are more, the tenth says how many, and of which keys."""
    many = [replace(VRAM, place=Place(FILE, line)) for line in range(1, number + 1)]
    commands = _commands(render(requirements(*many, *(replace(one, answer="unknown") for one in many)), CARD))
    for kind in ("error", "warning"):
        of_kind = [(properties, message) for name, properties, message in commands if name == kind]
        assert len(of_kind) == shown
        if number > MAX_OF_A_KIND:
            assert of_kind[-1][1] == f"and {number - 9} more: min_vram"
            assert of_kind[-1][0]["title"].startswith(f"{number - 9} more requirements")
            assert "file" not in of_kind[-1][0]


@pytest.mark.parametrize(
    ("file", "folder", "root", "shown"),
    [
        ("gpucheck.toml", "/checkout", "/checkout", "gpucheck.toml"),
        ("gpucheck.toml", "/checkout/services/a", "/checkout", "services/a/gpucheck.toml"),
        ("../gpucheck.toml", "/checkout/services", "/checkout", "gpucheck.toml"),
        ("/checkout/ci/gpucheck.toml", "/somewhere", "/checkout", "ci/gpucheck.toml"),
        ("/elsewhere/gpucheck.toml", "/checkout", "/checkout", "/elsewhere/gpucheck.toml"),
        ("..hidden/gpucheck.toml", "/checkout", "/checkout", "..hidden/gpucheck.toml"),
        ("./gpucheck.toml", "", "", "./gpucheck.toml"),
    ],
)
def test_files_are_named_from_the_checkout(file: str, folder: str, root: str, shown: str) -> None:
    """GitHub finds a file by its path from the root of the checkout; one outside keeps its name."""
    answer = requirements(replace(VRAM, place=Place(file, 1)))
    ((_, properties, _),) = _commands(render(answer, CARD, folder=folder, root=root))
    assert properties["file"] == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_in_their_place(text: str) -> None:
    """No text ends its command, starts another or adds a property; the message reads back as it is."""
    outcome = replace(VRAM, found=text or None, key=f"k{text}", place=Place(f"f{text}", 3))
    ((kind, properties, message),) = _commands(render(requirements(outcome), CARD))
    assert (kind, set(properties)) == ("error", {"file", "line", "title"})
    assert message == line_of(outcome)
    assert properties["file"] == one_line(f"f{text}")
    assert properties["title"] == one_line(f"k{text} is not met")


@settings(max_examples=50)
@given(answers())
def test_any_answer(answer: Requirements) -> None:
    """As many commands as there are outcomes that are not met or unknown, but for what is beyond ten of a kind."""
    commands = _commands(render(answer, CARD))
    for kind, wanted in (("error", "not_met"), ("warning", "unknown")):
        number = sum(outcome.answer == wanted for outcome in answer.outcomes)
        assert sum(name == kind for name, _, _ in commands) == min(number, MAX_OF_A_KIND)
    assert {kind for kind, _, _ in commands} <= {"error", "warning"}


@pytest.mark.parametrize("name", ["card-h100-sxm", "card-t4", "driver-mismatch", "vm-no-gpu"])
def test_outputs_are_the_facts(name: str) -> None:
    """Each known fact is an output, and the outcomes line by line."""
    found = _outputs(outputs(MIXED, machine(name)))
    details = found.pop("details")
    assert found == facts(MIXED, machine(name))
    assert details.splitlines() == [
        f"not met: {line_of(VRAM)}",
        "met: min_compute_capability: needs 8.0, found 9.0",
        f"unknown: {line_of(DRIVER)}",
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_outputs(text: str) -> None:
    """A GPU's name with line ends or a delimiter in it sets no other output."""
    answer = requirements(replace(VRAM, found=text or None), VRAM)
    found = _outputs(outputs(answer, named(text)))
    assert found["gpu_name"] == one_line(text)
    assert set(found) == {*facts(answer, named(text)), "details"}
    assert found["details"].count("\n") == 1


@given(st.lists(st.one_of(st.sampled_from(["GPUCHECK_EOF", "GPUCHECK_EOF_", "x=y", "a<<b", ""]), st.text())))
def test_values_of_several_lines(parts: list[str]) -> None:
    """Any value reads back, whatever its lines: the delimiter is none of them."""
    value = "\n".join(part.replace("\r", "") for part in parts)
    assert _outputs(output("name", value) + output("after", "1")) == {"name": value, "after": "1"}


def test_the_summary_is_the_table() -> None:
    """The step summary is the Markdown form."""
    assert summary(MIXED, CARD) == markdown(MIXED, CARD)


def test_every_key_is_counted_once() -> None:
    """The annotation that counts the rest names every further key once."""
    outcomes: list[Outcome] = [replace(VRAM, key=key) for key in ("a", "b", "c") for _ in range(5)]
    *_, (_, properties, message) = _commands(render(requirements(*outcomes), CARD))
    assert (properties["title"], message) == ("6 more requirements not met", "and 6 more: b, c")
