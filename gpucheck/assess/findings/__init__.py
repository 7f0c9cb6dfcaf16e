"""What is wrong, in one sentence each, with the commands that mend it. gpucheck prints them and runs none.

Codes are stable: GC1xx hardware, GC2xx driver, GC3xx toolkit and framework, GC4xx container and limits,
GC5xx health.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpucheck.assess.findings import devices, driver, hardware, health, limits, memory_health, settings
from gpucheck.assess.findings.finding import Finding, Remedy, Severity
from gpucheck.machine.types import Machine

__all__ = ["Finding", "Remedy", "Severity", "find_problems"]

Rule = Callable[[Machine], Iterator[Finding]]
_RULES: tuple[Rule, ...] = (
    hardware.no_instances, hardware.narrow_link, hardware.prohibited, driver.undriven, driver.dropped, driver.shadowed,
    limits.hidden, limits.not_given, limits.small_shared_memory, limits.low_memory_limit, limits.few_cores,
    limits.low_locked_memory, health.lost, health.fabric, memory_health.ailing_memory, health.throttled,
    hardware.exclusive, devices.device_order, devices.mixed, devices.laptop_part, devices.display, health.past_errors,
    memory_health.memory_errors, settings.power_cap, memory_health.taken, settings.persistence_off, settings.unlicensed,
)  # fmt: skip
_ORDER = {"error": 0, "warning": 1, "info": 2}


def find_problems(machine: Machine) -> tuple[Finding, ...]:
    """Every finding, the worst first."""
    found = [
        finding
        for rule in (
            *_RULES,
            *_rules_of_software(machine),
            *_rules_of_toolkits(machine),
            *_rules_of_surroundings(machine),
        )
        for finding in rule(machine)
    ]
    return tuple(sorted(found, key=lambda finding: (_ORDER[finding.severity], finding.code)))


def _rules_of_software(machine: Machine) -> tuple[Rule, ...]:
    """GC3xx, whose tables are loaded only where there is software to hold against them."""
    clash = any(issue.code.startswith("pynvml_") for issue in machine.issues)
    if not (machine.frameworks or machine.toolkits.cuda_compat or clash):
        return ()
    from gpucheck.assess.findings import environment, frameworks

    return (
        frameworks.torch_for_cpu, frameworks.torch_without_code, frameworks.torch_of_another_maker,
        frameworks.clashing_bindings, frameworks.old_driver, frameworks.compat_library,
        environment.installed_but_broken, environment.needs_another_version,
        *_rules_of_deep_checks(machine),
    )  # fmt: skip


def _rules_of_deep_checks(machine: Machine) -> tuple[Rule, ...]:
    """GC310 and GC311, loaded where something was tried."""
    if all(framework.deep is None for framework in machine.frameworks):
        return ()
    from gpucheck.assess.findings import deep

    return deep.cannot_compute, deep.cannot_import


def _rules_of_toolkits(machine: Machine) -> tuple[Rule, ...]:
    """GC307, loaded where there are toolkits to confuse."""
    if len(machine.toolkits.cuda_installed) < 2:
        return ()
    from gpucheck.assess.findings import toolkits

    return (toolkits.two_toolkits,)


def _rules_of_surroundings(machine: Machine) -> tuple[Rule, ...]:
    """GC209 and GC407 to GC415, loaded where there is a GPU, or a processor or an environment to speak of."""
    clash = any(issue.code == "gpucheck_clash" for issue in machine.issues)
    if not machine.gpus and ("avx2" in machine.cpu.features or machine.cpu.arch != "x86_64") and not clash:
        return ()
    from gpucheck.assess.findings import host, platform

    return (
        host.little_memory, host.little_disk, host.far_processors, host.no_avx2, platform.overridden_target,
        platform.paravirtual, platform.held_back, platform.misread_pool, platform.another_gpucheck,
    )  # fmt: skip
