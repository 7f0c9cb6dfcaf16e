"""Asking NVML about one GPU: every field fails alone, and a GPU that is gone is not asked again."""

from __future__ import annotations

from typing import Any

from gpucheck.host.answer import MALFORMED, NOT_FOUND, TIMEOUT
from gpucheck.host.host import Host
from gpucheck.probes.collect import Issues
from gpucheck.probes.facts import State

SOURCE = "nvml"
HANDLE_TIMEOUT_S = 6.0  # without persistence mode the first question starts the GPU, which takes seconds
GONE = {"nvml_gpu_is_lost": "lost", "nvml_gpu_not_found": "lost"}
RESET_REQUIRED = "nvml_reset_required"
SILENT = frozenset({"nvml_not_supported", "nvml_function_not_found", "nvml_deprecated"})
NOT_AVAILABLE = frozenset({0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})  # NVML_VALUE_NOT_AVAILABLE of both widths


class EndedError(Exception):
    """Nothing more is to be asked of this GPU; what it has answered so far stands."""


class Asker:
    """One GPU's questions. Its facts, issues and state can be read at any time, also while it hangs."""

    def __init__(self, host: Host, index: int) -> None:
        self.host = host
        self.index = index
        self.name = f"gpu{index}"
        self.facts: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.issues = Issues()
        self.state: State = "ok"
        self.detail: str | None = None
        self.asking = ""
        self.abandoned = False

    def raw(self, field: str, device: str | None = None) -> tuple[Any, str | None, str]:
        """Value, error and detail of one question.

        Raises:
            EndedError: the GPU is lost, hangs, or has been given up.
        """
        if self.abandoned:
            raise EndedError
        self.asking = f"{device or self.name} {field}"
        if field == "Handle":
            answer = self.host.ask("nvml", f"{device or self.name}/Handle", HANDLE_TIMEOUT_S)
        else:
            answer = self.host.nvml(device or self.name, field)
        if answer.error in GONE:
            self.state, self.detail = "lost", f"NVML: {answer.detail or answer.error} (asked for {field})"
            self.issues.add(
                answer.error or "", SOURCE, f"{self.asking}: {answer.detail}; its further fields are unknown"
            )
            raise EndedError
        if answer.error == TIMEOUT:
            self.hangs(answer.detail)
            raise EndedError
        if answer.error == RESET_REQUIRED:
            self.state, self.detail = "needs_reset", f"NVML: {answer.detail or answer.error}"
            self.issues.add(RESET_REQUIRED, SOURCE, f"{self.name}: facts are missing until it is reset")
        return answer.value, answer.error, answer.detail

    def ask(self, field: str, kind: type, *, needed: bool = False, device: str | None = None) -> Any:
        """The value of one field, None where there is none; what is worth an issue has one.

        Args:
            field: the question's name.
            kind: `int` for a count, or the type of the value.
            needed: whether a GPU without this fact is worth an issue.
            device: another device than the GPU itself, such as its MIG device.

        Raises:
            EndedError: see `raw`.
        """
        value, error, detail = self.raw(field, device)
        if error is not None:
            self.failed(field, error, detail, needed=needed, device=device)
            return None
        if not _fits(value, kind):
            self.failed(field, MALFORMED, f"{value!r:.60} is no {kind.__name__}", needed=True, device=device)
            return None
        if value == "" or (kind is int and value in NOT_AVAILABLE):
            if needed:
                self.failed(field, "missing", "no value", needed=True, device=device)
            return None
        return value

    def failed(self, field: str, code: str, detail: str, *, needed: bool, device: str | None = None) -> None:
        """Note why a field has no value, unless that is no news."""
        if code in {RESET_REQUIRED, "not_recorded", "other_root"}:
            return  # the state says it once; nobody asked; nobody could
        if code in SILENT | {NOT_FOUND} and not needed:
            return
        self.issues.add(code, SOURCE, f"{device or self.name} {field}: {detail}")

    def keep(self, fact: str, value: Any, source: str = SOURCE) -> None:
        """Keep one fact of the GPU; unknown ones are left out."""
        if value is not None:
            self.facts[fact] = value
            self.sources[fact] = source

    def hangs(self, detail: str) -> None:
        """Give the GPU up: it did not answer in time. Without the size of its memory its state is unknown."""
        self.abandoned = True
        self.issues.add(TIMEOUT, SOURCE, f"{self.asking}: {detail}; its further fields are unknown")
        if "memory_total_bytes" not in self.facts:
            self.state, self.detail = "unknown", f"NVML: {detail}"


def _fits(value: Any, kind: type) -> bool:
    """Whether a value, perhaps of a hand-edited recording, is of its type; counts are not negative."""
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64
    return isinstance(value, kind)
