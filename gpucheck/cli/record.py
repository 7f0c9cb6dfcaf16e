"""`gpucheck record`: one file that replays this machine."""

from __future__ import annotations

import click

from gpucheck.cli.options import check_deep, deep_options


@click.command("record", short_help="write a recording of this machine")
@click.argument("file", metavar="FILE")
@click.option("--origin", default="", metavar="TEXT", help="Where the recording comes from, in your words.")
@click.option("--no-redact", is_flag=True, help="Keep user names, UUIDs and serials as they are.")
@deep_options
def command(file: str, origin: str, no_redact: bool, deep: bool, timeout_s: float | None) -> int:
    """Write what this machine answered to FILE, as JSON: `gpucheck --machine FILE` replays it anywhere.

    User and host names, UUIDs, serials, MAC addresses and container ids are masked, keeping their form. Attach the
    file to a bug report; it holds data only.
    """
    from gpucheck import api
    from gpucheck.cli.output import write
    from gpucheck.errors import UsageError
    from gpucheck.host.recording import to_json

    check_deep(deep, timeout_s)
    data = to_json(api.record(origin, redact=not no_redact, deep=deep, deep_limit_s=timeout_s))
    if file == "-":
        write(data)
        return 0
    try:
        with open(file, "wb") as handle:
            handle.write(data)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None
    masked = "not redacted" if no_redact else "redacted"
    click.echo(f"wrote {file} ({len(data) // 1024} KiB, {masked}); look through it before you share it", err=True)
    return 0
