"""The command line. Each command is a small module of its own, imported only when it is called."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from gpucheck import __version__
from gpucheck.cli.group import CommandGroup
from gpucheck.cli.output import fail

EXIT_USAGE, EXIT_BUG = 2, 4

cli = CommandGroup(
    name="gpucheck",
    help=(
        "What this machine is, which AI models it can hold, and what stands in the way.\n\n"
        "Without a command, the report of this machine: `gpucheck --json`, `gpucheck -v` and all other options of"
        " `gpucheck report` work there too."
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, "--version", prog_name="gpucheck", message="%(prog)s %(version)s")(cli)


def main() -> NoReturn:
    """Run the command and leave at once: a native call that hangs is left behind on its thread, not waited for."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = run(sys.argv[1:])
    if "gpucheck.host.commands" in sys.modules:
        from gpucheck.host.commands import end_running

        end_running()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1  # the reader of a pipe has gone, or the disk is full
    os._exit(code)


def run(arguments: list[str]) -> int:
    """The exit code of one command line; every error has been printed in one line."""
    from gpucheck.errors import GpucheckError

    try:
        result = cli.main(arguments, prog_name="gpucheck", standalone_mode=False)
    except click.ClickException as error:
        fail("usage", error.format_message(), arguments)
        return EXIT_USAGE
    except GpucheckError as error:
        from gpucheck.cli.output import fail_for

        fail_for(error, arguments)
        return EXIT_USAGE
    except (click.exceptions.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        fail(
            "bug",
            f"a bug in gpucheck: {type(error).__name__}: {error} (GPUCHECK_DEBUG=1 shows where)",
            arguments,
        )
        if os.environ.get("GPUCHECK_DEBUG"):
            raise
        return EXIT_BUG
    return result if isinstance(result, int) else 0
