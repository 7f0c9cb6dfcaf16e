"""Keeps the README's outputs real: runs the commands that it shows and puts in what they print.

    <!-- output: gpucheck --machine fixtures/x.json -->     the block below holds what this prints
    <!-- command: test -->                                  the block below is a command that .ci/run runs

`--check` compares instead of writing; `--print-command NAME` prints one command.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
OUTPUT = re.compile(r"(<!-- output: (?P<command>[^\n]+?) -->\n```\w*\n)(?P<body>.*?)(^```$)", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"<!-- command: (?P<name>\w+) -->\n```\w*\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)


def printed(command: str) -> str:
    """What a `gpucheck …` command prints at 80 columns, without colour."""
    words = shlex.split(command)
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    for name in ("GPUCHECK_MACHINE", "GPUCHECK_ROOT", "CUDA_VISIBLE_DEVICES", "FORCE_COLOR"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "gpucheck", *words[1:]],
        capture_output=True, text=True, encoding="utf-8", cwd=ROOT, env=environment, check=False,
    )  # fmt: skip
    return f"$ {command}\n{done.stdout}{done.stderr}"


def main() -> None:
    """Write, compare or print."""
    text = README.read_text(encoding="utf-8")
    if "--print-command" in sys.argv:
        wanted = sys.argv[sys.argv.index("--print-command") + 1]
        found = [match["body"] for match in COMMAND.finditer(text) if match["name"] == wanted]
        if len(found) != 1:
            sys.exit(f"the README has {len(found)} commands called {wanted}")
        print(found[0], end="")
        return
    fresh = OUTPUT.sub(lambda match: match[1] + printed(match["command"]) + match[4], text)
    if "--check" not in sys.argv:
        README.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        sys.exit("the README's outputs are not what gpucheck prints: run python .ci/readme.py")


main()
