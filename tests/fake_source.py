"""A machine in a few dictionaries: what a test does not give is not there."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from gpucheck.host.answer import Answer, failed
from gpucheck.host.host import Host, command_key


class FakeSource:
    """Answers from dictionaries; directories follow from the paths of files and links.

    `errors` maps (section, key) to an error code. `asked` lists every question, in order.
    """

    def __init__(
        self,
        *,
        files: Mapping[str, str] | None = None,
        links: Mapping[str, str] | None = None,
        folders: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        commands: Mapping[tuple[str, ...], str] | None = None,
        system: Mapping[str, Any] | None = None,
        answers: Mapping[tuple[str, str], Any] | None = None,
        errors: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self._answers: dict[tuple[str, str], Any] = dict(answers or {})
        self._errors = dict(errors or {})
        self.asked: list[tuple[str, str]] = []
        self._put("file", files)
        self._put("link", links)
        self._put("env", env)
        self._put("system", system)
        for argv, stdout in (commands or {}).items():
            output = {"stdout": stdout, "stderr": "", "returncode": 0}
            self._answers["command", command_key(argv)] = output
        for path in [*(files or {}), *(links or {}), *folders]:
            self._enter(path)
        for folder in folders:
            self._answers.setdefault(("dir", folder), [])

    def answer(self, section: str, key: str, timeout_s: float) -> Answer[Any]:
        """See `gpucheck.host.host.Source`."""
        self.asked.append((section, key))
        if (section, key) in self._errors:
            return failed(self._errors[section, key], f"{section} {key}")
        if (section, key) in self._answers:
            return Answer(self._answers[section, key])
        return failed("not_found", f"{section} {key}")

    def _put(self, section: str, answers: Mapping[str, Any] | None) -> None:
        self._answers.update({(section, key): value for key, value in (answers or {}).items()})

    def _enter(self, path: str) -> None:
        """Make the path's parents list it."""
        while (parent := posixpath.dirname(path)) != path:
            names = self._answers.setdefault(("dir", parent), [])
            name = posixpath.basename(path)
            if name not in names:
                names.append(name)
                names.sort()
            path = parent


def fake_host(**given: Any) -> Host:
    """A host that a `FakeSource` with these arguments stands behind."""
    return Host(FakeSource(**given), "recording")
