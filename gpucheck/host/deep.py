"""What a framework does when it is imported and used, asked of a child process of the chosen interpreter.

Nothing of it runs in this process: a crash, an endless loop or a flood of output costs that child alone. The answer
holds what the child said as it stands, finished or not; `gpucheck.probes.deep` makes sense of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from gpucheck.host.answer import FAILED, MALFORMED, NOT_SUPPORTED, TIMEOUT, TOO_LARGE, Answer, failed
from gpucheck.host.commands import run_to_end
from gpucheck.host.plain_json import parse_json
from gpucheck.host.pythons import ONNX

QUESTION = "deep."  # and a distribution's name: "deep.torch"
# Seconds that a framework may take by default: the first contact with a GPU whose driver sleeps takes many. A name
# that is not here has no check.
LIMITS_S: Mapping[str, float] = {
    "torch": 60.0, "jax": 60.0, "mlx": 30.0, **dict.fromkeys(("tensorflow", "tensorflow-cpu", "tensorflow-rocm"), 60.0),
    **dict.fromkeys(ONNX, 30.0), "llama-cpp-python": 30.0, "bitsandbytes": 60.0, "vllm": 60.0, "triton": 30.0,
    "flash-attn": 60.0,
}  # fmt: skip

_FILES = ("deep_child.py", "deep_checks.py")
_RUN = "\n\nmain(CHECKS)\n"
_MOST_EVENTS, _LONGEST_LINE = 4000, 32 << 10
_LAST_WORDS = 2000  # characters of what a child that came to grief wrote to standard error
# It means one installation, and activating an environment unsets it: another interpreter would not even start.
_UNSET = ("PYTHONHOME",)


def deep_answer(interpreter: str, framework: str, timeout_s: float) -> Answer[dict[str, Any]]:
    """{events, returncode, stopped, stderr, seconds} of a framework's check.

    `events` are those of `deep_child`. `stopped` is "timeout" or "too_large" where the child was ended, and then
    `returncode` is None; negative it is the signal that killed it. `stderr` is empty where all went well.
    """
    if framework not in LIMITS_S:
        return failed(NOT_SUPPORTED, f"gpucheck has no check of {framework}")
    import secrets

    marker = secrets.token_hex(16)
    start = time.monotonic()
    ended = run_to_end([interpreter, "-c", program(), framework, marker], timeout_s, _UNSET, alone=True)
    seconds = round(time.monotonic() - start, 3)
    if ended.error not in {None, TIMEOUT, TOO_LARGE}:
        return failed(ended.error or FAILED, ended.detail)
    events = list(_events(ended.stdout, marker))
    stderr = ended.stderr.decode(errors="replace")
    if not events and ended.error is None:
        last = stderr.strip().splitlines()[-1:] or ["no message"]
        return failed(MALFORMED, f"{interpreter} ended with {ended.returncode} before the check began: {last[0]}")
    done = ended.error is None and events[-1] == {"done": True}
    return Answer({
        "events": events,
        "returncode": ended.returncode,
        "stopped": ended.error,
        "stderr": "" if done else stderr[-_LAST_WORDS:],
        "seconds": seconds,
    })  # fmt: skip


def program() -> str:
    """The child's program, as one text."""
    folder = os.path.dirname(__file__)
    texts = []
    for name in _FILES:
        with open(os.path.join(folder, name), encoding="utf-8") as handle:
            texts.append(handle.read())
    return "\n\n".join(texts) + _RUN


def _events(stdout: bytes, marker: str) -> Iterator[dict[str, Any]]:
    """The objects in the child's own lines; whatever else stands in its output is passed over."""
    start = f"{marker} ".encode()
    found = 0
    for line in stdout.split(b"\n"):
        if not line.startswith(start) or len(line) > _LONGEST_LINE:
            continue
        try:
            event = parse_json(line[len(start) :].decode())
        except (ValueError, RecursionError):  # cut off where the child was stopped
            continue
        if isinstance(event, dict):
            yield event
            found += 1
        if found == _MOST_EVENTS:
            return


def question_of(framework: str) -> str:
    """The question of `Host.python` about a framework."""
    return f"{QUESTION}{framework}"
