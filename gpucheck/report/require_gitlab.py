"""The facts for GitLab's `artifacts:reports:dotenv`, which later jobs get as variables.

GitLab (Ci::ParseDotenvArtifactService) takes a KEY=value on every line, no comment, empty line or quoting, 5 KiB and
on its free tier 20 variables; its runner expands a `$` in values. So what has a meaning to it or to a shell is "_".
"""

from __future__ import annotations

import re

from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.machine.types import Machine
from gpucheck.report.require_facts import facts

PREFIX = "GPUCHECK_"
MAX_LENGTH = 400  # of a value: seven of them stay far below 5 KiB
_UNSAFE = re.compile(r"[^A-Za-z0-9 ()./+:,@-]")


def render(requirements: Requirements, machine: Machine) -> str:
    """GPUCHECK_… lines of the known facts; a fact that is not known has none."""
    known = facts(requirements, machine)
    return "".join(f"{PREFIX}{name.upper()}={safe(value)}\n" for name, value in known.items())


def safe(value: str) -> str:
    """The value with an underscore for each character but letters, digits and harmless signs of ASCII."""
    return _UNSAFE.sub("_", value)[:MAX_LENGTH].strip()
