"""Limits of Windows' job objects, which hold a program back as a cgroup does."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from gpucheck.host.answer import Answer
from gpucheck.host.host import Host
from gpucheck.host.recording import ReplaySource, read_recording
from gpucheck.machine.inspect import inspect_host
from gpucheck.probes.collect import Issues
from gpucheck.probes.windows_job import job_cpu_quota, job_memory_limits
from tests.fake_source import fake_host
from tests.running import run

GIB = 1 << 30
UNAME = {"system": "Windows", "release": "11", "machine": "AMD64"}
FIXTURE = Path(__file__).parents[2] / "fixtures" / "windows-job-object.json"


def pc(job=None, error=None):
    """A PC with this answer to the question after a job."""
    errors = {("system", "job"): error} if error else {}
    return fake_host(system={"uname": UNAME, **({"job": job} if job is not None else {})}, errors=errors)


def job(**given):
    """A job without limits but these."""
    nothing = {"limit_flags": 0, "process_memory_bytes": 0, "job_memory_bytes": 0, "job_memory_used_bytes": 0,
               "cpu_flags": 0, "cpu_value": 0}  # fmt: skip
    return pc({"in_job": True, **nothing, **given})


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, []),
        ({"job_memory_bytes": 8 * GIB}, []),  # a number without its flag means nothing
        ({"limit_flags": 0x200, "job_memory_bytes": 8 * GIB, "job_memory_used_bytes": GIB}, [(8 * GIB, GIB)]),
        ({"limit_flags": 0x200, "job_memory_bytes": 8 * GIB, "job_memory_used_bytes": None}, [(8 * GIB, None)]),
        ({"limit_flags": 0x100, "process_memory_bytes": 4 * GIB}, [(4 * GIB, 0)]),
        ({"limit_flags": 0x300, "process_memory_bytes": 4 * GIB, "job_memory_bytes": 8 * GIB},
         [(4 * GIB, 0), (8 * GIB, 0)]),
        ({"limit_flags": 0x200, "job_memory_bytes": 64 * GIB}, []),  # all that the machine has
    ],
)  # fmt: skip
def test_memory(given, limits):
    """Limits by their flags; each process has its own, and the job one that all share."""
    issues = Issues()
    found, complete = job_memory_limits(job(**given), issues, 64 * GIB)
    assert [(limit.limit_bytes, limit.used_bytes) for limit in found] == limits
    assert (complete, issues.all()) == (True, ())


@pytest.mark.parametrize(
    ("flags", "value", "cores"),
    [
        (0x0, 2500, None),
        (0x5, 2500, 8.0),
        (0x5, 156, 0.4992),
        (0x5, 10_000, None),  # all of it
        (0x1, 2500, None),  # only where others want the processor too
        (0x3, 5, None),  # a weight
        (0x11, 5000 << 16 | 1000, 16.0),  # at least a tenth, at most half
    ],
)
def test_cores(flags, value, cores):
    """Ten-thousandths of all processors; weights and soft rates are no limits."""
    quota, complete = job_cpu_quota(job(cpu_flags=flags, cpu_value=value), Issues(), 32)
    assert (quota.cores if quota else None, complete) == (cores, True)


@pytest.mark.parametrize("error", ["failed", "not_found", "not_recorded", "timeout"])
def test_a_job_that_cannot_be_asked(error):
    """There may be limits: not complete, with an issue."""
    issues = Issues()
    assert job_memory_limits(pc(error=error), issues, 64 * GIB) == ([], False)
    assert job_cpu_quota(pc(error=error), issues, 32) == (None, False)
    assert [issue.code for issue in issues.all()] == [error]


@pytest.mark.parametrize(
    "given",
    [[], {}, {"in_job": 1}, {"in_job": True}, {"in_job": True, "limit_flags": 0x200, "job_memory_bytes": "8 GiB",
     "cpu_flags": 5, "cpu_value": 0}, {"in_job": True, "limit_flags": -1, "cpu_flags": 5, "cpu_value": 20_000}],
)  # fmt: skip
def test_garbage(given):
    """Anything else is malformed, and no limit is taken from it."""
    issues = Issues()
    assert job_memory_limits(pc(given), issues, 64 * GIB) == ([], False)
    assert job_cpu_quota(pc(given), issues, 32) == (None, False)
    assert {issue.code for issue in issues.all()} == {"malformed"}


def test_outside_of_a_job_and_on_other_systems():
    """No limits; and Linux is not asked."""
    linux = fake_host(system={"uname": {**UNAME, "system": "Linux"}})
    for host in (pc({"in_job": False}), linux):
        assert job_memory_limits(host, Issues(), GIB) == ([], True)
        assert job_cpu_quota(host, Issues(), 8) == (None, True)
    assert ("system", "job") not in linux.source.asked


def test_a_system_that_is_not_told():
    """The job's answer is a sign of Windows; where there is none, no limit is looked for."""
    limits = {"in_job": True, "limit_flags": 0x200, "job_memory_bytes": GIB, "job_memory_used_bytes": 0,
              "cpu_flags": 5, "cpu_value": 2500}  # fmt: skip
    silent = {("system", "uname"): "failed"}
    windows = fake_host(system={"job": limits}, errors=silent)
    (limit,), complete = job_memory_limits(windows, Issues(), 64 * GIB)
    assert (limit.limit_bytes, complete) == (GIB, True)
    quota, _ = job_cpu_quota(windows, Issues(), 8)
    assert quota is not None
    assert quota.cores == 2
    for error, whole in (("not_supported", True), ("other_root", True), ("not_found", True), ("failed", False)):
        host = fake_host(errors={**silent, ("system", "job"): error})
        assert job_memory_limits(host, Issues(), GIB) == ([], whole)


def test_machine():
    """A runner in a job: 16 of 63 GiB, of which 3 are taken, and 8 of 32 cores."""
    machine = inspect_host(Host(ReplaySource(read_recording(FIXTURE)), "recording"))
    memory = machine.memory
    assert (memory.total_bytes, memory.limit_bytes, memory.limit_used_bytes) == (63 * GIB, 16 * GIB, 3 * GIB)
    assert (memory.usable_bytes, memory.limit_source) == (13 * GIB, "job object")
    assert (machine.cpu.usable_cores, machine.cpu.usable_cores_reason) == (8, "job object limit")


def test_a_machine_whose_job_cannot_be_asked():
    """What a process gets of memory and cores is unknown, and an issue says why; the machine's own figures stay."""
    recording = read_recording(FIXTURE)
    system = {**recording.answers["system"], "job": Answer(error="failed", detail="error 5")}
    silent = replace(recording, answers={**recording.answers, "system": system})
    machine = inspect_host(Host(ReplaySource(silent), "recording"))
    assert (machine.memory.total_bytes, machine.memory.usable_bytes) == (63 * GIB, None)
    assert (machine.cpu.logical_cores, machine.cpu.usable_cores) == (32, None)
    assert ("failed", "job object") in {(issue.code, issue.source) for issue in machine.issues}


def test_text():
    """The report calls the limit by its name."""
    printed = run("--machine", str(FIXTURE)).out
    assert "job object limit; the machine has 63.0 GiB" in " ".join(printed.split())
