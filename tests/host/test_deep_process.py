"""After a deep check the caller's process is as it was: nothing imported or initialised, and free to fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_torch import GPU, TORCH, environment

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")

SCRIPT = """
import json, os, sys, threading, warnings
import gpucheck

machine = gpucheck.inspect(python=sys.argv[1], deep=True, deep_limit_s=float(sys.argv[2]))
(torch,) = machine.frameworks
maps = "/proc/self/maps"
libraries = open(maps).read() if os.path.exists(maps) else ""
found = {
    "answer": torch.deep.answer,
    "usable": torch.usable,
    "modules": sorted({"torch", "numpy", "tensorflow", "jax"} & set(sys.modules)),
    "libraries": [name for name in ("libcuda.so", "libcudart", "libamdhip64") if name in libraries],
    "threads": [one.name for one in threading.enumerate() if "probe" in one.name],
    "children": None,
}
warnings.simplefilter("ignore", DeprecationWarning)  # that threads of NVML's and psutil's lanes exist beside a fork
pid = os.fork()
if pid == 0:
    worker = threading.Thread(target=lambda: json.dumps([number ** 2 for number in range(10000)]))
    worker.start()
    worker.join()
    again = gpucheck.inspect(python=sys.argv[1], deep=True, deep_limit_s=float(sys.argv[2]))
    os._exit(0 if again.frameworks[0].deep.answer == torch.deep.answer else 1)
found["forked"] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
try:
    found["children"] = os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    found["children"] = []
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    ("text", "limit_s", "answer", "usable"),
    [
        (TORCH + GPU, 30, "ok", True),
        ("import ctypes; ctypes.string_at(0)", 30, "crashed", False),
        ("import time; time.sleep(60)", 1, "timed_out", None),
    ],
)
def test_the_caller_can_fork(tmp_path: Path, text: str, limit_s: int, answer: str, usable: bool | None) -> None:
    """No framework and no GPU library is loaded, no probe's thread and no child is left, and a fork works on."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, environment(tmp_path, text), str(limit_s)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "answer": answer, "usable": usable, "modules": [], "libraries": [], "threads": [], "children": [], "forked": 0,
    }  # fmt: skip
