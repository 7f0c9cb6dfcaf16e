"""What the running interpreter, psutil and py-cpuinfo know of the machine, as plain data.

Facts (`Host.system`):

    uname      {system, release, machine}; never the node name
    affinity   ids of the CPUs that this process may run on
    cpu_count  logical CPUs of the machine
    rlimits    {name: [soft, hard]} in the limit's own unit; -1 is unlimited
    python     {version, prefix, executable}
    user       {uid}
    programs   {name: path} of the programs on PATH that run models; none is started
    nvcc       {path, real, script} of CUDA's compiler on PATH: where links lead; of a script the lines that name one
    job        the job object around this process, on Windows alone; see windows_job.py

psutil questions (`Host.psutil`): virtual_memory, swap_memory, cpu_count_logical, cpu_count_physical.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from gpucheck.host.answer import FAILED, IO_ERROR, NOT_FOUND, NOT_SUPPORTED, Answer, failed
from gpucheck.host.files import plain_text

PROGRAMS = ("llama-server", "llama-cli", "ollama")


def system_fact(fact: str) -> Answer[Any]:
    """One fact from the table above; `not_supported` where the system has no such thing."""
    if fact == "uname":
        if hasattr(os, "uname"):  # importing platform costs 5 ms of the budget
            release = os.uname()
            return Answer({"system": release.sysname, "release": release.release, "machine": release.machine})
        import platform

        found = platform.uname()
        return Answer({"system": found.system, "release": found.release, "machine": found.machine})
    if fact == "affinity":
        if not hasattr(os, "sched_getaffinity"):
            return failed(NOT_SUPPORTED, "no CPU affinity on this system")
        return Answer(sorted(os.sched_getaffinity(0)))
    if fact == "cpu_count":
        return Answer(os.cpu_count())
    if fact == "rlimits":
        return _rlimits()
    if fact == "python":
        version = ".".join(str(part) for part in sys.version_info[:3])
        return Answer({"version": version, "prefix": sys.prefix, "executable": sys.executable})
    if fact == "user":
        return Answer({"uid": os.getuid() if hasattr(os, "getuid") else None})
    if fact == "programs":
        from gpucheck.host.commands import find_program

        paths = {name: find_program(name) for name in PROGRAMS}
        return Answer({name: plain_text(path) for name, path in paths.items() if path is not None})
    if fact == "nvcc":
        return _compiler()
    if fact == "job":
        from gpucheck.host.windows_job import job_fact

        return job_fact()
    return failed(FAILED, f"gpucheck has no question {fact!r}")


def psutil_fact(question: str) -> Answer[Any]:
    """One psutil function's result; psutil raises OSError and RuntimeError on odd kernels."""
    import psutil

    ask = {
        "virtual_memory": lambda: psutil.virtual_memory()._asdict(),
        "swap_memory": lambda: psutil.swap_memory()._asdict(),
        "cpu_count_logical": lambda: psutil.cpu_count(logical=True),
        "cpu_count_physical": lambda: psutil.cpu_count(logical=False),
    }.get(question)
    if ask is None:
        return failed(FAILED, f"gpucheck has no question {question!r}")
    try:
        return Answer(ask())
    except (OSError, RuntimeError, ValueError, KeyError, psutil.Error) as error:
        return failed(FAILED, f"{type(error).__name__}: {error}")


def cpuinfo_fact() -> Answer[dict[str, Any]]:
    """py-cpuinfo's dictionary. It runs child processes and raises plain `Exception` on systems new to it."""
    import cpuinfo

    try:
        return Answer(dict(cpuinfo.get_cpu_info()))
    except Exception as error:  # noqa: BLE001 - `raise Exception("py-cpuinfo currently only works on …")`, #141
        return failed(FAILED, f"{type(error).__name__}: {error}")


def _compiler() -> Answer[Any]:
    from gpucheck.host.commands import find_program

    path = find_program("nvcc")
    if path is None:
        return failed(NOT_FOUND, "nvcc is not on PATH")
    path = os.path.abspath(path)
    try:
        with open(path, "rb") as handle:
            start = handle.read(4096)
    except OSError as error:
        return failed(IO_ERROR, f"{path}: {error.strerror or error}")
    lines = start.decode(errors="replace").splitlines()
    script = "\n".join(line for line in lines if "nvcc" in line) if start.startswith(b"#!") else None
    return Answer({"path": plain_text(path), "real": plain_text(os.path.realpath(path)), "script": script})


def _rlimits() -> Answer[Any]:
    try:
        import resource
    except ImportError:
        return failed(NOT_SUPPORTED, "no resource limits on this system")
    wanted = {"memlock": "RLIMIT_MEMLOCK", "address_space": "RLIMIT_AS", "open_files": "RLIMIT_NOFILE"}
    limits = {name: getattr(resource, key) for name, key in wanted.items() if hasattr(resource, key)}
    return Answer({
        name: [-1 if bound == resource.RLIM_INFINITY else bound for bound in resource.getrlimit(limit)]
        for name, limit in limits.items()
    })  # fmt: skip
