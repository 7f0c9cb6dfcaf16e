"""The commands that change the inspected Python environment, for the installer that goes with it."""

from __future__ import annotations

import re
import shlex

from gpucheck.machine.types import Machine

_ACTIVE = frozenset({"VIRTUAL_ENV", "CONDA_PREFIX", None})  # what pip without a path means; None: nothing is active
_PLAIN_PATH = re.compile(r"[\w:\\/.~-]+")


def reinstall(machine: Machine, what: str, index: str | None = None, *, with_others: bool = True) -> str:
    """The command that installs a package anew, its requirements too unless they are left as they are."""
    name = what.partition("=")[0].strip("'")
    if with_others:
        how = "--reinstall" if _is_uv(machine) else "--force-reinstall"
    else:
        how = f"--reinstall-package {name}" if _is_uv(machine) else "--force-reinstall --no-deps"
    return f"{_command(machine, 'install')} {how} {what}" + (f" --index-url {index}" if index else "")


def install(machine: Machine, what: str) -> str:
    """The command that installs a package."""
    return f"{_command(machine, 'install')} {what}"


def uninstall(machine: Machine, *names: str) -> str:
    """The command that removes packages without a question."""
    return f"{_command(machine, 'uninstall')} {'' if _is_uv(machine) else '-y '}{' '.join(names)}"


def quoted(requirement: str) -> str:
    """A requirement as every shell takes it: `'torch==2.9.*'`."""
    return f"'{requirement}'" if any(sign in requirement for sign in "*<>") else requirement


def _is_uv(machine: Machine) -> bool:
    """Whether uv made the environment, which then has no pip."""
    return machine.environment is not None and machine.environment.made_by == "uv"


def _command(machine: Machine, verb: str) -> str:
    """The beginning of a command for the environment: without a path where it is the active one."""
    place = machine.environment
    program = place.interpreter if place is not None and place.chosen_by not in _ACTIVE else None
    windows = machine.platform.os == "windows"
    if _is_uv(machine):
        return f"uv pip {verb}" + (f" --python {_quoted_path(program, windows=windows)}" if program else "")
    if program is None:
        return f"pip {verb}"
    path = _quoted_path(program, windows=windows)
    return f"{'& ' if windows and path != program else ''}{path} -m pip {verb}"


def _quoted_path(path: str, *, windows: bool) -> str:
    """A path as the shell takes it; PowerShell starts one in quotes after `&` alone."""
    if not windows:
        return shlex.quote(path)
    return path if _PLAIN_PATH.fullmatch(path) else "'" + path.replace("'", "''") + "'"
