"""Deadlines for calls that cannot be killed: a native call that hangs is left alone on a daemon thread.

A lane serves one thing that can hang on its own (one GPU, one file system). Once it is stuck, further
questions to it are answered `timeout` at once, so that a dead device costs its time limit only once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from gpucheck.host.answer import FAILED, TIMEOUT, Answer, failed

Work = Callable[[], Answer[Any]]


class Lane:
    """One daemon thread that answers questions in turn, each under its own time limit."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stuck_on: str | None = None
        self._tasks: SimpleQueue[tuple[Work, SimpleQueue[Answer[Any]]]] = SimpleQueue()
        self._started = False
        self._lock = threading.Lock()

    def call(self, what: str, work: Work, timeout_s: float) -> Answer[Any]:
        """The answer of `work`, or `timeout`; `work` should turn its own failures into answers."""
        if self.stuck_on is not None:
            return failed(TIMEOUT, f"{self.name} still hangs on {self.stuck_on}")
        self._start()
        reply: SimpleQueue[Answer[Any]] = SimpleQueue()
        self._tasks.put((work, reply))
        try:
            return reply.get(timeout=timeout_s)
        except Empty:
            self.stuck_on = what
            return failed(TIMEOUT, f"{what}: no answer in {timeout_s:g} s")

    def _start(self) -> None:
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._serve, name=f"gpucheck {self.name}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            work, reply = self._tasks.get()
            try:
                reply.put(work())
            except Exception as error:  # noqa: BLE001 - foreign code; a dead thread would cost every later question
                reply.put(failed(FAILED, f"{type(error).__name__}: {error}"))


class Lanes:
    """The lanes of one live host, made as they are needed."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def call(self, lane: str, what: str, work: Work, timeout_s: float) -> Answer[Any]:
        """Ask on the named lane; see `Lane.call`."""
        return self._lanes.setdefault(lane, Lane(lane)).call(what, work, timeout_s)

    @property
    def stuck(self) -> tuple[str, ...]:
        """What still hangs; while anything does, the process must leave without joining threads."""
        return tuple(lane.stuck_on for lane in list(self._lanes.values()) if lane.stuck_on is not None)
