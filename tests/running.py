"""The fixtures' machines, and gpucheck's command line without a process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from rich.console import Console

import gpucheck
from gpucheck import cli
from gpucheck.machine.types import Machine
from gpucheck.report.document import Report, Tool
from gpucheck.report.text import print_document

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
NAMES = tuple(sorted(path.stem for path in FIXTURES.glob("*.json")))


class Ran(msgspec.Struct):
    """How a command line ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON, every constant that JSON lacks refused."""
        return json.loads(self.out, parse_constant=_no_such_number)


def fixture(name: str) -> str:
    """The path of a fixture."""
    return str(FIXTURES / f"{name}.json")


def run(*arguments: str, encoding: str = "utf-8", **environment: str) -> Ran:
    """`gpucheck ARGUMENTS` in this process, its streams in `encoding` and strict about it."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    with _environment(environment), contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        code = cli.run(list(arguments))
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(errors="replace") for stream in streams)  # type: ignore[attr-defined]
    return Ran(code=code, out=out, err=err)


def process(*arguments: str, timeout_s: float = 30.0, **environment: str) -> Ran:
    """`gpucheck ARGUMENTS` as a process of its own."""
    done = subprocess.run(
        command(*arguments), capture_output=True, env={**os.environ, **environment}, timeout=timeout_s, check=False
    )
    return Ran(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def command(*arguments: str) -> list[str]:
    """The argument list of a gpucheck process."""
    return [sys.executable, "-m", "gpucheck", *arguments]


@cache
def machine(name: str) -> Machine:
    """The machine of a fixture."""
    return gpucheck.load(fixture(name))


@cache
def report(name: str) -> Report:
    """The report of a fixture."""
    return report_of(machine(name))


@cache
def document(name: str) -> Any:
    """The report of a fixture as `gpucheck --json` prints it; not to be changed."""
    ran = run("--machine", fixture(name), "--json")
    assert ran.code == 0, ran.err
    return ran.json


def report_of(found: Machine) -> Report:
    """The report of a machine."""
    assert found.category is not None
    return Report(
        tool=Tool(name="gpucheck", version="0"),
        machine=found,
        category=found.category,
        fit=gpucheck.fits(found),
        findings=gpucheck.problems(found),
    )


def page(shown: Any, width: int = 80, *, encoding: str = "utf-8", verbose: bool = False) -> str:
    """A document as text, written to a stream of that encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    print_document(shown, Console(file=stream, width=width, color_system=None), verbose)
    stream.flush()
    written: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return written.decode(encoding)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    with mock.patch.dict(os.environ, variables):
        yield


def _no_such_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
