"""Writes report.html: what a notebook shows of the machine, of models on it, and of the PyTorch that suits it.

    python examples/notebook_report.py --output report.html 8b 70b@q4

In a notebook the last line of a cell is enough: `gpucheck.inspect()`, or `gpucheck.fit(machine, "8b")`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import gpucheck

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width">
<title>gpucheck</title>
</head>
<body style="font-family:system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em">
{body}
</body>
</html>
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="report.html", metavar="FILE")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--machine", metavar="FILE", help="a recording instead of this machine")
    which.add_argument("--simulate", metavar="CARDS", help="cards of the catalogue instead of this machine")
    parser.add_argument("models", nargs="*", default=["8b"], help="models, sizes or files")
    options = parser.parse_args()

    if options.simulate:
        machine = gpucheck.simulate(options.simulate)
    else:
        machine = gpucheck.load(options.machine) if options.machine else gpucheck.inspect()
    answers = [gpucheck.fit(machine, model) for model in options.models]
    parts = [shown._repr_html_() or "" for shown in (machine, *answers, gpucheck.torch_build(machine))]
    Path(options.output).write_text(_PAGE.format(body="\n<hr>\n".join(parts)), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except gpucheck.GpucheckError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
