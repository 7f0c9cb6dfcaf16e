"""Probes at the same time, each under its own limit."""

from __future__ import annotations

import threading
import time

import pytest

from gpucheck.machine.running import Running
from gpucheck.probes.collect import Found
from gpucheck.probes.facts import ProbeIssue


def test_what_a_probe_finds():
    """A probe's facts and issues come back as they are, as often as they are asked for."""
    found = Found(42, (ProbeIssue("a", "b", "c"),))
    running = Running("x", lambda: found, 0, 1.0)
    assert running.result() is found
    assert running.result() is found


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("no"), "ValueError: no"),
        (RecursionError(), "RecursionError: "),
        (MemoryError("x" * 1000), "MemoryError: " + "x" * 287),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UnicodeDecodeError: 'utf-8' codec can't decode"),
    ],
)
def test_a_probe_that_raises_is_an_issue(error, detail):
    """An error in a probe costs its facts only, and says which probe and what, in at most 300 characters."""

    def probe():
        raise error

    found = Running("pci", probe, (), 1.0).result()
    assert found.facts == ()
    assert [(issue.code, issue.source) for issue in found.issues] == [("probe_failed", "probe pci")]
    assert found.issues[0].detail.startswith(detail)
    assert len(found.issues[0].detail) <= 300


def test_a_probe_that_hangs_costs_its_limit():
    """A probe that does not end is left behind at its limit, and its facts are an issue."""
    release = threading.Event()

    def probe():
        release.wait(10)
        return Found("late")

    start = time.monotonic()
    running = Running("nvidia", probe, "nothing", 0.1)
    found = running.result()
    waited = time.monotonic() - start
    assert 0.09 <= waited < 1
    assert found.facts == "nothing"
    assert [(issue.code, issue.detail) for issue in found.issues] == [("timeout", "not finished in 0.1 s")]
    release.set()


def test_limits_run_side_by_side():
    """The limits of several hanging probes pass at the same time, from the start of each."""
    release = threading.Event()
    start = time.monotonic()
    probes = [Running(str(number), lambda: Found(release.wait(10)), None, 0.15) for number in range(8)]
    found = [probe.result() for probe in probes]
    assert time.monotonic() - start < 1
    assert {issue.code for each in found for issue in each.issues} == {"timeout"}
    release.set()


def test_a_probe_runs_beside_its_caller():
    """Probes run on daemon threads of their own, named after them, so that none holds up the program's end."""
    thread = Running("cpu", lambda: Found(threading.current_thread()), None, 1.0).result().facts
    assert thread is not threading.current_thread()
    assert (thread.daemon, thread.name) == (True, "gpucheck probe cpu")
