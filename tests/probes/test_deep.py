"""What a deep check's child said, as facts."""

from __future__ import annotations

from typing import Any

import pytest

from gpucheck.host.host import Host
from gpucheck.probes.deep import parse_check, probe_deep, time_for
from gpucheck.probes.facts import DeepCheck, DeepStep
from tests.fake_source import FakeSource

PYTHON = "/venv/bin/python"
DONE = {"done": True}


def said(*events: Any, **ending: Any) -> dict[str, Any]:
    """A child's answer."""
    return {"events": list(events), "returncode": 0, "stopped": None, "stderr": "", "seconds": 2.5, **ending}


def check(*events: Any, **ending: Any) -> DeepCheck:
    """The facts of such an answer."""
    found = parse_check(said(*events, **ending))
    assert found is not None
    return found


def step(name: str, device: str | None = None, **more: Any) -> list[dict[str, Any]]:
    """A step that ended."""
    where = {"device": device} if device else {}
    return [{"begin": name, **where}, {"end": name, **where, "seconds": 0.5, **more}]


class TestAnswer:
    """How a check ended as a whole."""

    @pytest.mark.parametrize(
        ("events", "ending", "answer", "crash"),
        [
            ([*step("import"), DONE], {}, "ok", None),
            ([*step("import", error="ImportError"), DONE], {}, "failed", None),
            ([*step("import"), {"fault": "AttributeError: x"}, DONE], {}, "unanswered", None),
            ([{"begin": "import"}], {"returncode": None, "stopped": "timeout"}, "timed_out", None),
            ([{"begin": "import"}], {"returncode": None, "stopped": "too_large"}, "too_much_output", None),
            ([{"begin": "import"}], {"returncode": -4}, "crashed", "illegal instruction"),
            ([{"begin": "import"}], {"returncode": -11}, "crashed", "segmentation fault"),
            ([{"begin": "import"}], {"returncode": -64}, "crashed", "signal 64"),
            ([{"begin": "import"}], {"returncode": 3}, "crashed", "exit code 3"),
            ([{"begin": "import"}], {"returncode": 0xC000001D}, "crashed", "illegal instruction"),
            ([{"begin": "import"}], {"returncode": 0xC0000005}, "crashed", "segmentation fault"),
            ([{"begin": "import"}], {"returncode": None}, "crashed", "an end that nobody saw"),
            ([*step("import"), DONE], {"returncode": None, "stopped": "timeout"}, "ok", None),
            ([], {"returncode": None, "stopped": "timeout"}, "timed_out", None),
        ],
    )  # fmt: skip
    def test_answers(self, events: list[Any], ending: dict[str, Any], answer: str, crash: str | None) -> None:
        """A child that has said that it is done is believed; of another its end tells."""
        found = check(*events, **ending)
        assert (found.answer, found.crash, found.seconds) == (answer, crash, 2.5)

    def test_last_words(self) -> None:
        """The last line of a child that came to grief, or what went wrong with the check; none of a healthy one."""
        assert check({"begin": "import"}, returncode=-6, stderr="a\nterminate called\n").detail == "terminate called"
        assert check({"fault": "AttributeError: x"}, DONE).detail == "AttributeError: x"
        assert check(*step("import"), DONE, stderr="a warning").detail is None


class TestSteps:
    """Steps, devices and facts."""

    def test_steps_and_devices(self) -> None:
        """Steps stand with their device, in order; one that did not end is unfinished."""
        found = check(
            *step("import"), {"facts": {"version": "2.9.1", "arch_list": ["sm_80", "sm_90"], "cudnn": 91002}},
            *step("open", "cuda:0"), {"device": "cuda:0", "facts": {"name": "L4", "capability": "8.9"}},
            *step("add", "cuda:0", error="RuntimeError", message="\nno kernel\nand advice"),
            {"skip": "matmul bf16", "device": "cuda:0", "message": "needs 8.0"},
            *step("open", "cuda:1", error="RuntimeError", message="lost"), {"begin": "copy", "device": "cuda:2"},
            returncode=-11,
        )  # fmt: skip
        assert found.steps == (DeepStep("import", "ok", 0.5),)
        assert [device.id for device in found.devices] == ["cuda:0", "cuda:1", "cuda:2"]
        first, second, third = found.devices
        assert (first.name, first.capability, first.memory_total_bytes) == ("L4", "8.9", None)
        assert first.steps == (
            DeepStep("open", "ok", 0.5),
            DeepStep("add", "failed", 0.5, "RuntimeError", "no kernel"),
            DeepStep("matmul bf16", "skipped", None, None, "needs 8.0"),
        )
        assert (second.name, second.steps[0].message) == (None, "lost")
        assert third.steps == (DeepStep("copy", "unfinished"),)
        assert found.facts == {"version": "2.9.1", "arch_list": "sm_80 sm_90", "cudnn": "91002"}

    @pytest.mark.parametrize(
        ("name", "message", "outcome"),
        [
            ("matmul fp16", "\"addmm_impl_cpu_\" not implemented for 'Half'", "skipped"),
            ("matmul bf16", "BFloat16 is not supported on MPS", "skipped"),
            ("matmul fp32", "\"addmm_impl_cpu_\" not implemented for 'Float'", "failed"),
            ("matmul fp16", "CUBLAS_STATUS_EXECUTION_FAILED", "failed"),
        ],
    )
    def test_a_precision_without_code(self, name: str, message: str, outcome: str) -> None:
        """A product in half precision that a framework does not have is no failure of the device."""
        found = check(*step(name, "cpu", error="RuntimeError", message=message), DONE)
        assert found.devices[0].steps[0].outcome == outcome
        assert found.answer == ("failed" if outcome == "failed" else "ok")

    def test_values_out_of_bounds(self) -> None:
        """Texts are cut, times that are none are left out, and no flood of steps or devices is taken in."""
        events: list[Any] = [*step("import", error="E" * 900, message="m" * 9000)]
        events += [{"end": f"step {number}"} for number in range(3000)]
        events += [{"device": f"cuda:{number}", "facts": {}} for number in range(3000)]
        events += [{"end": "late", "seconds": float("inf")}, {"end": "early", "seconds": -1}]
        found = check(*events, {"facts": {f"key {number}": "v" * 9000 for number in range(900)}}, DONE)
        assert (len(found.steps[0].error or ""), len(found.steps[0].message or "")) == (80, 500)
        assert len(found.steps) <= 1001
        assert (len(found.devices), len(found.facts)) == (64, 40)
        assert max(map(len, found.facts.values())) == 1000
        assert all(one.seconds is None for one in check(*events[-2:], DONE).steps)

    @pytest.mark.parametrize("size", [-1, 0, 1.5, "24", True, 1 << 70, None])
    def test_sizes_that_are_none(self, size: Any) -> None:
        """Memory is a whole number of bytes, or unknown."""
        found = check({"device": "cuda:0", "facts": {"memory_total_bytes": size, "name": 5, "capability": []}}, DONE)
        (device,) = found.devices
        assert (device.memory_total_bytes, device.name, device.capability) == (None, None, None)


class TestHost:
    """Questions to the host."""

    def ask(self, answers: dict[str, Any], *names: str, asked: bool = True) -> Any:
        """What is found for these frameworks, and what was asked."""
        source = FakeSource(
            env={"VIRTUAL_ENV": "/venv"},
            answers={("python", f"{PYTHON} {key}"): answer for key, answer in answers.items()},
        )
        host = Host(source, "recording")
        found = probe_deep(host, None, names, 7.0, asked=asked)
        return found, [key for section, key in source.asked if section == "python"]

    def test_only_what_has_a_check(self) -> None:
        """The interpreter of the environment is asked about each framework that can be tried."""
        whole = said(*step("import"), DONE)
        found, asked = self.ask({"deep.torch": whole, "deep.jax": whole}, "transformers", "torch", "jax")
        assert asked == [f"{PYTHON} deep.torch", f"{PYTHON} deep.jax"]
        assert {name: one.answer for name, one in found.facts.items()} == {"torch": "ok", "jax": "ok"}
        assert found.issues == ()

    def test_no_such_python(self) -> None:
        """A Python that has gone since is an issue."""
        found, _ = self.ask({}, "torch")
        assert [(issue.code, issue.source) for issue in found.issues] == [("not_found", PYTHON)]

    @pytest.mark.parametrize(("asked", "codes"), [(True, ["not_recorded"]), (False, [])])
    def test_an_old_recording(self, asked: bool, codes: list[str]) -> None:
        """A recording that was made without a deep check is an issue only for who asks for one."""
        source = FakeSource(env={"VIRTUAL_ENV": "/venv"}, errors={("python", f"{PYTHON} deep.torch"): "not_recorded"})
        found = probe_deep(Host(source, "recording"), None, ["torch"], None, asked=asked)
        assert found.facts == {}
        assert [issue.code for issue in found.issues] == codes

    @pytest.mark.parametrize(
        "value",
        [{}, {"events": 5}, {"events": [5]}, {"events": [{"seconds": "1"}]}, {"events": [{"begin": 1}]},
         {"events": [], "returncode": "0"}, {"events": [{"facts": []}]}],
    )  # fmt: skip
    def test_answers_of_another_form(self, value: Any) -> None:
        """A recording that was changed by hand gives an issue and no fact."""
        found, _ = self.ask({"deep.torch": value}, "torch")
        assert found.facts == {}
        assert [issue.code for issue in found.issues] == ["malformed"]

    def test_without_an_environment(self) -> None:
        """Nothing is asked where no environment is known."""
        source = FakeSource()
        assert probe_deep(Host(source, "recording"), None, ["torch"], None).facts == {}
        assert not any(section == "python" for section, _ in source.asked)

    def test_time(self) -> None:
        """There is time for every check, one after the other."""
        assert time_for(["torch", "transformers", "jax"], None) >= 60 + 60
        assert time_for(["torch", "jax"], 5.0) >= 5 + 5
