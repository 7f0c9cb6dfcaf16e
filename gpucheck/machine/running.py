"""Runs probes at the same time, each under its own time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gpucheck.probes.collect import Found
from gpucheck.probes.facts import ProbeIssue

T = TypeVar("T")


class Running(Generic[T]):
    """One probe on its own daemon thread: left behind, never joined, if it does not end in time."""

    def __init__(self, name: str, probe: Callable[[], Found[T]], nothing: T, limit_s: float) -> None:
        self._name = name
        self._probe = probe
        self._nothing = nothing
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s
        self._found: Found[T] | None = None
        self._thread = threading.Thread(target=self._run, name=f"gpucheck probe {name}", daemon=True)
        self._thread.start()

    def result(self) -> Found[T]:
        """What the probe found; nothing and an issue if it is still running at its time limit."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        found = self._found
        if found is None:
            return self._failed("timeout", f"not finished in {self._limit_s:g} s")
        return found

    def _run(self) -> None:
        try:
            self._found = self._probe()
        except Exception as error:  # noqa: BLE001 - a parser met what nobody foresaw: other facts must survive it
            self._found = self._failed("probe_failed", f"{type(error).__name__}: {error}")

    def _failed(self, code: str, detail: str) -> Found[T]:
        return Found(self._nothing, (ProbeIssue(code=code, source=f"probe {self._name}", detail=detail[:300]),))
