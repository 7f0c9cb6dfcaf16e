"""The installed wheel does its first day's work; run by .ci/run with the path of the installed command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

COMMAND = sys.argv[1]


def output(*arguments: str, code: int = 0) -> str:
    """What the command prints, its exit code checked."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != code:
        sys.exit(f"gpucheck {' '.join(arguments)}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
    return done.stdout


report = json.loads(output("--json"))
assert report["kind"] == "report", report
assert report["machine"]["source"] == "live", report
assert report["machine"]["cpu"]["usable_cores"] >= 0.01, report
assert "machine:" in output()
assert output("--version").startswith("gpucheck ")
assert json.loads(output("--simulate", "2x RTX 4090", "--json"))["category"]["name"] == "Consumer"
output("--simulate", "A100", code=2)
assert "H100 PCIe" in output("gpus", "H100")
assert json.loads(output("explain", "GC301", "--json"))["pages"][0]["steps"]  # the pages are in the wheel
output("record", "box.json")
replayed = json.loads(output("--machine", "box.json", "--json"))
assert replayed["machine"]["source"] == "recording", replayed
assert replayed["machine"]["cpu"] == report["machine"]["cpu"], (replayed, report)
assert json.loads(output("schema", "report"))["$schema"]
Path("box.json").unlink()
print("the installed wheel works")
