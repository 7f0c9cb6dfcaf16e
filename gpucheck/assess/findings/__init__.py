"""What is wrong, in one sentence each, with the commands that mend it. gpucheck prints them and runs none.

Codes are stable: GC1xx hardware, GC2xx driver, GC3xx toolkit and framework, GC4xx container and limits,
GC5xx health.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpucheck.assess.findings import driver, hardware, health, limits
from gpucheck.assess.findings.finding import Finding, Remedy, Severity
from gpucheck.machine.types import Machine

__all__ = ["Finding", "Remedy", "Severity", "find_problems"]

Rule = Callable[[Machine], Iterator[Finding]]
_RULES: tuple[Rule, ...] = (
    hardware.no_instances, hardware.narrow_link, hardware.prohibited, driver.undriven, driver.dropped, driver.shadowed,
    limits.hidden, limits.not_given, health.lost, health.fabric, health.ailing_memory, health.throttled,
)  # fmt: skip
_ORDER = {"error": 0, "warning": 1, "info": 2}


def find_problems(machine: Machine) -> tuple[Finding, ...]:
    """Every finding, the worst first."""
    found = [finding for rule in (*_RULES, *_rules_of_software(machine)) for finding in rule(machine)]
    return tuple(sorted(found, key=lambda finding: (_ORDER[finding.severity], finding.code)))


def _rules_of_software(machine: Machine) -> tuple[Rule, ...]:
    """GC3xx, whose tables are loaded only where there is software to hold against them."""
    clash = any(issue.code.startswith("pynvml_") for issue in machine.issues)
    if not (machine.frameworks or machine.toolkits.cuda_compat or clash):
        return ()
    from gpucheck.assess.findings import frameworks

    return (
        frameworks.torch_for_cpu, frameworks.torch_without_code, frameworks.torch_of_another_maker,
        frameworks.clashing_bindings, frameworks.old_driver, frameworks.compat_library,
    )  # fmt: skip
