"""What was tried decides over what tables say."""

from __future__ import annotations

from typing import Any

import pytest

from gpucheck.machine.tried import is_out_of_memory, proved, said_by, with_check
from gpucheck.probes.facts import DeepCheck, DeepDevice, DeepStep, Framework

IMPORTED = (DeepStep("import", "ok"), DeepStep("find devices", "ok"))
GOOD = tuple(DeepStep(name, "ok") for name in ("open", "copy", "add", "matmul fp32", "synchronise"))
NO_CODE = DeepStep("add", "failed", None, "RuntimeError", "no kernel image")


def device(name: str = "cuda:0", *steps: DeepStep) -> DeepDevice:
    """A device with these steps, or with all of them well."""
    return DeepDevice(name, steps=steps or GOOD)


def judged(*devices: DeepDevice, name: str = "torch", **facts: Any) -> Framework:
    """A framework that a table thinks well of, after such a check."""
    check = DeepCheck(**{"answer": "ok", "steps": IMPORTED, "devices": devices, **facts})
    return with_check(Framework(name, "2.9.1", usable=True, reason="by a table"), check)


@pytest.mark.parametrize(
    ("devices", "usable", "reason"),
    [
        ((device(),), True, "tried: it computes on cuda:0"),
        ((device(), device("cuda:1")), True, "tried: it computes on cuda:0, cuda:1"),
        (
            (device(), device("cuda:1", *GOOD, NO_CODE)), True,
            "tried: it computes on cuda:0; add fails on cuda:1: RuntimeError: no kernel image",
        ),
        ((device("cuda:0", *GOOD, NO_CODE),), False, "tried: add fails on cuda:0: RuntimeError: no kernel image"),
        (
            (device("cuda:0", DeepStep("copy", "failed", None, "OutOfMemoryError", "CUDA out of memory")),), None,
            "tried: copy fails on cuda:0: OutOfMemoryError: CUDA out of memory",
        ),
        ((device("cpu"),), False, "tried: it finds no GPU; it computes on the CPU"),
        ((device("cpu:0"),), False, "tried: it finds no GPU; it computes on the CPU"),
        ((), False, "tried: it finds no GPU"),
        ((device("mps"),), True, "tried: it computes on mps"),
        ((device("cuda:0", DeepStep("open", "ok")),), None, "tried: it sees cuda:0; nothing was computed"),
    ],
)  # fmt: skip
def test_devices(devices: tuple[DeepDevice, ...], usable: bool | None, reason: str) -> None:
    """A success counts over the table, and so does a failure; want of memory is neither."""
    found = judged(*devices)
    assert (found.usable, found.reason) == (usable, reason)


@pytest.mark.parametrize(
    ("step", "facts", "usable", "reason"),
    [
        (
            DeepStep("import", "failed", None, "ImportError", "libcudnn.so.9"), {"answer": "failed"}, False,
            "tried: importing it fails: ImportError: libcudnn.so.9",
        ),
        (
            DeepStep("import", "unfinished"), {"answer": "crashed", "crash": "illegal instruction"}, False,
            "tried: importing it fails: the process died: illegal instruction",
        ),
        (
            DeepStep("import", "unfinished"), {"answer": "timed_out", "seconds": 60.01}, None,
            "tried: importing it fails: not finished in 60 s",
        ),
        (
            DeepStep("load kernels", "failed", None, "ImportError", "undefined symbol: x"), {"answer": "failed"}, False,
            "tried: loading its compiled code fails: ImportError: undefined symbol: x",
        ),
    ],
)  # fmt: skip
def test_loading(step: DeepStep, facts: dict[str, Any], usable: bool | None, reason: str) -> None:
    """What does not load can use nothing; what only takes long may."""
    found = judged(steps=(step,), **facts)
    assert (found.usable, found.reason) == (usable, reason)


def test_hanging_on_a_device() -> None:
    """A GPU that hangs is an open question, one on which the process dies is not."""
    stuck = device("cuda:0", DeepStep("add", "unfinished"))
    assert judged(stuck, answer="timed_out", seconds=60.0).usable is None
    assert judged(stuck, answer="crashed", crash="segmentation fault").usable is False


@pytest.mark.parametrize(
    ("name", "facts", "usable", "reason"),
    [
        ("onnxruntime", {"providers": "CPUExecutionProvider"}, False, "tried: its build offers CPUExecutionProvider"),
        ("onnxruntime-gpu", {"providers": "CUDAExecutionProvider CPUExecutionProvider"}, None,
         "tried: its build offers CUDAExecutionProvider CPUExecutionProvider"),
        ("llama-cpp-python", {"gpu_offload": "false"}, False, "tried: its build cannot put layers on a GPU"),
        ("llama-cpp-python", {"gpu_offload": "true"}, None, "tried: it was imported; nothing was computed"),
        ("tensorflow", {}, False, "tried: it finds no GPU"),
        ("triton", {"target": "cuda 89"}, None, "tried: it compiles for cuda 89; nothing was computed"),
        ("flash-attn", {}, None, "tried: it was imported; nothing was computed"),
    ],
)  # fmt: skip
def test_frameworks_that_are_only_asked(name: str, facts: dict[str, str], usable: bool | None, reason: str) -> None:
    """Of those that compute nothing in a check, what they say of themselves is all that is told."""
    found = judged(name=name, facts=facts)
    assert (found.usable, found.reason) == (usable, reason)


@pytest.mark.parametrize("facts", [{"answer": "unanswered"}, {"steps": (), "answer": "timed_out"}])
def test_checks_that_tell_nothing(facts: dict[str, Any]) -> None:
    """The table's word stands where the check did not get anywhere; the check is shown all the same."""
    found = judged(**facts)
    assert (found.usable, found.reason, found.deep is not None) == (True, "by a table", True)


def test_targets() -> None:
    """The targets that torch itself names take the place of the table's."""
    assert judged(device(), facts={"arch_list": "sm_80 sm_90"}).arch_list == ("sm_80", "sm_90")
    assert judged(device(), name="jax", facts={"arch_list": "sm_80"}).arch_list == ()


def test_proved() -> None:
    """A framework is proved where it has computed on every GPU that it sees."""
    assert proved(judged(device(), device("cuda:1")))
    assert not proved(judged(device(), device("cuda:1", NO_CODE)))
    assert not proved(judged(device("cpu")))
    assert not proved(Framework("torch"))


@pytest.mark.parametrize(
    ("error", "message", "memory"),
    [("OutOfMemoryError", "x", True), ("RuntimeError", "CUDA out of memory.", True),
     ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory", True), ("RuntimeError", "no kernel image", False)],
)  # fmt: skip
def test_out_of_memory(error: str, message: str, memory: bool) -> None:
    """Each framework's way of saying that there is no memory."""
    assert is_out_of_memory(DeepStep("copy", "failed", None, error, message)) is memory


def test_an_error_without_words() -> None:
    """A failure without class or text is still said."""
    assert said_by(DeepCheck("failed"), DeepStep("add", "failed")) == "no reason given"
    flooded = DeepCheck("too_much_output")
    assert "8 MiB" in said_by(flooded, DeepStep("import", "unfinished"))
