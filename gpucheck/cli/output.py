"""Printing documents and errors in the chosen format, to the terminal or a file."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, TextIO, cast

import click

from gpucheck import __version__

if TYPE_CHECKING:
    from gpucheck.errors import GpucheckError
    from gpucheck.report.document import Document, Tool


def tool() -> Tool:
    """What wrote the document."""
    from gpucheck.report.document import Tool

    return Tool(name="gpucheck", version=__version__)


def show(document: Document, format_: str | None, as_json: bool, output: str | None, verbose: bool) -> None:
    """Print a document.

    Raises:
        UsageError: two formats are asked for, or the output file cannot be written.
    """
    from gpucheck.errors import UsageError

    if as_json and format_ not in {None, "json"}:
        raise UsageError(f"--json and --format {format_}: one format at a time")
    content: str | bytes
    if as_json or format_ == "json":
        from gpucheck.report.document import to_json

        content = to_json(document).encode()  # JSON is UTF-8 on terminals of every encoding
    else:
        content = _text(document, verbose, to_file=output is not None)
    put(content, output)


def put(content: str | bytes, output: str | None) -> None:
    """Write to a file, or to standard output if none is named.

    Raises:
        UsageError: it cannot be written.
    """
    from gpucheck.errors import UsageError

    if output is None:
        write(content)
        return
    try:
        with open(output, "wb") as handle:
            handle.write(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror or error}") from None


def write(text: str | bytes) -> None:
    """Write to standard output; that nobody reads on (`gpucheck | head`) is no failure.

    Raises:
        UsageError: it cannot be written, as on a full disk.
    """
    import os
    import sys

    from gpucheck.errors import UsageError

    try:
        click.echo(text, nl=False, color=True)  # rich has decided about colour already
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # no complaint at Python's exit
    except OSError as error:
        raise UsageError(f"standard output: {error.strerror or error}") from None


def _text(document: Document, verbose: bool, *, to_file: bool) -> str:
    """The text form, rendered for the stream it goes to."""
    import io
    import sys

    from rich.console import Console

    from gpucheck.report.text import print_document

    if to_file:
        console = Console(file=io.StringIO(), width=100, color_system=None)
    else:
        console = Console(file=cast("IO[str]", _Looked(sys.stdout)), soft_wrap=False)
    with console.capture() as capture:
        print_document(document, console, verbose)
    return capture.get()


class _Looked:
    """A stream to be asked about, but not written to: rich writes an empty text at the end of a capture."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Nothing is written."""
        return len(text)

    def flush(self) -> None:
        """Nothing waits to be written."""


def fail_for(error: GpucheckError, arguments: list[str]) -> None:
    """Print one of gpucheck's own errors, its candidates with it."""
    candidates = tuple(getattr(error, "candidates", ()))
    fail(_code(error), getattr(error, "headline", str(error)), arguments, candidates)


def fail(code: str, message: str, arguments: list[str], candidates: tuple[str, ...] = ()) -> None:
    """One clear line on stderr, candidates below it; with `--json` an error document on stdout too."""
    line = "".join(char if char.isprintable() else "?" for char in " ".join(message.split()))
    click.echo(f"gpucheck: {line}", err=True)
    for candidate in candidates:
        click.echo(f"  {candidate}", err=True)
    if "--json" in arguments or ("--format" in arguments and "json" in arguments) or "--format=json" in arguments:
        from contextlib import suppress

        from gpucheck.errors import UsageError
        from gpucheck.report.document import ErrorDetail, ErrorReport, to_json

        detail = ErrorDetail(code=code, message=line, candidates=candidates)
        with suppress(UsageError):  # that standard output cannot be written is perhaps the very error
            write(to_json(ErrorReport(tool=tool(), error=detail)).encode())


def _code(error: GpucheckError) -> str:
    """Such as "ambiguous_name" for AmbiguousNameError."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(error).__name__)
    return words.strip("_").removesuffix("_error")
