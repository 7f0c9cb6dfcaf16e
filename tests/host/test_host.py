"""The typed verbs: one question, one answer, of the promised type."""

import json

import pytest

from gpucheck.host.host import SECTIONS, Host
from tests.fake_source import FakeSource, fake_host


def test_every_question_is_asked_once():
    """Facts of one inspection agree with each other, because nothing is asked twice."""
    host = fake_host(files={"/a": "x"})
    assert [host.read("/a").value for _ in range(3)] == ["x"] * 3
    assert host.source.asked == [("file", "/a")]
    assert list(host.answers) == [("file", "/a")]


def test_absence_is_an_answer():
    """A missing thing is remembered too."""
    host = fake_host()
    assert host.read("/a").absent
    assert host.read("/a").error == "not_found"
    assert len(host.source.asked) == 1


@pytest.mark.parametrize("value", [5, [], {}, True, 1.5])
def test_read_wants_text(value):
    """A recording edited by hand cannot bring other types into a parser."""
    assert fake_host(answers={("file", "/a"): value}).read("/a").error == "malformed"


@pytest.mark.parametrize("value", ["names", {"a": 1}, ["a", 5], [["a"]], 7])
def test_listdir_wants_names(value):
    """A list of texts and nothing else."""
    assert fake_host(answers={("dir", "/a"): value}).listdir("/a").error == "malformed"


@pytest.mark.parametrize(
    "value",
    ["x", {}, {"total_bytes": 1}, {"total_bytes": 1, "free_bytes": -1},
     {"total_bytes": True, "free_bytes": 1}, {"total_bytes": 1.0, "free_bytes": 1}],
)  # fmt: skip
def test_disk_wants_two_sizes(value):
    """Sizes are whole numbers that are not negative."""
    assert fake_host(answers={("disk", "."): value}).disk(".").error == "malformed"


@pytest.mark.parametrize("value", ["x", {}, {"stdout": "", "stderr": ""}, {"stdout": 1, "stderr": "", "returncode": 0}])
def test_run_wants_an_output(value):
    """Both streams and the status."""
    host = fake_host(answers={("command", json.dumps(["a"])): value})
    assert host.run("a").error == "malformed"


def test_errors_pass_through():
    """An error keeps its code and its words."""
    errors = {("file", "/a"): "no_permission", ("disk", "."): "timeout", ("command", '["a"]'): "timeout"}
    host = fake_host(errors=errors)
    assert host.read("/a").error == "no_permission"
    assert host.disk(".").error == "timeout"
    assert (host.run("a").error, host.run("a").detail) == ("timeout", 'command ["a"]')


def test_command_keys_are_exact():
    """Arguments with spaces, quotes and other letters stay apart."""
    host = Host(FakeSource(), "recording")
    host.run("a", "b c")
    host.run("a", "b", "c")
    host.run("a", 'b" c', "é")
    assert [json.loads(key) for _, key in host.answers] == [["a", "b c"], ["a", "b", "c"], ["a", 'b" c', "é"]]


def test_sections_are_those_of_the_type():
    """The tuple and the type name the same sections."""
    from typing import get_args

    from gpucheck.host.host import Section

    assert get_args(Section) == SECTIONS
