"""Deadlines for calls that cannot be killed."""

import threading
import time

from gpucheck.host.answer import Answer
from gpucheck.host.lanes import Lane, Lanes


def test_answers_in_turn():
    """Questions to one lane are answered one after the other, by one thread."""
    lane = Lane("a")
    threads = [lane.call("x", lambda: Answer(threading.get_ident()), 2).value for _ in range(5)]
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_hang_costs_its_limit_once():
    """A call that hangs is a timeout; further questions to its lane are answered at once."""
    release = threading.Event()
    lanes = Lanes()
    start = time.monotonic()
    first = lanes.call("gpu0", "NVML gpu0/Name", lambda: Answer(release.wait(30)), 0.2)
    second = lanes.call("gpu0", "NVML gpu0/UUID", lambda: Answer(1), 5)
    assert (first.error, second.error) == ("timeout", "timeout")
    assert "still hangs on NVML gpu0/Name" in second.detail
    assert time.monotonic() - start < 2
    assert lanes.stuck == ("NVML gpu0/Name",)
    release.set()


def test_other_lanes_go_on():
    """One dead GPU does not hide the others."""
    release = threading.Event()
    lanes = Lanes()
    lanes.call("gpu0", "x", lambda: Answer(release.wait(30)), 0.1)
    assert lanes.call("gpu1", "y", lambda: Answer(7), 2).value == 7
    release.set()


def test_threads_do_not_hold_the_process():
    """A lane's thread is a daemon: nobody joins it."""
    lane = Lane("z")
    lane.call("x", lambda: Answer(1), 2)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "gpucheck z"]
    assert thread.daemon


def test_work_that_raises():
    """Foreign code that raises after all gives an answer, and the lane lives on."""
    lane = Lane("b")

    def broken():
        raise ZeroDivisionError("odd kernel")

    answer = lane.call("x", broken, 5)
    assert (answer.error, answer.detail) == ("failed", "ZeroDivisionError: odd kernel")
    assert lane.call("x", lambda: Answer(1), 5).value == 1
