"""GC308 and GC309: packages that cannot be imported, and packages beside others that they do not go with."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpucheck.assess.findings.finding import Finding, Remedy
from gpucheck.assess.findings.pip import install, quoted, reinstall, uninstall
from gpucheck.catalog.torch_builds import INDEX
from gpucheck.host.pythons import JAX_PLUGINS
from gpucheck.machine.types import Machine
from gpucheck.probes.builds import jax_build, satisfies
from gpucheck.probes.facts import Framework
from gpucheck.probes.frameworks import SEVERAL_VERSIONS

_SOURCE = "probe frameworks"
_VERSION = re.compile(r"[0-9][0-9A-Za-z.]*")  # what a folder is called may be anything, and no shell shall run it
_BUILD = re.compile(r"cpu|xpu|cu\d{2,3}|rocm\d+\.\d+(?:\.\d+)?")  # those that PyTorch has an index for


def installed_but_broken(machine: Machine) -> Iterator[Finding]:
    """GC308: a package that is installed and cannot be imported, or of which nobody can tell what is installed."""
    for one in machine.frameworks:
        if one.broken is not None:
            yield Finding(
                code="GC308",
                severity="error",
                title=f"{_named(one)} is installed but broken: {one.broken}",
                found=f"{_named(one)}{f'+{one.build}' if one.tagged else ''}{_where(machine)}",
                required=f"{one.name} with all its files, for this Python",
                remedy=_anew(machine, one),
                source=_SOURCE,
            )
    for issue in machine.issues:
        if issue.code == SEVERAL_VERSIONS:
            yield Finding(
                code="GC308",
                severity="warning",
                title=f"{issue.source} is recorded as installed in more than one version",
                found=issue.detail,
                required="one version, whose files are the ones there",
                remedy=Remedy(
                    "remove it until pip finds no more of it, then install the version that is wanted",
                    (*[uninstall(machine, issue.source)] * 2, install(machine, issue.source)),
                ),
                source=_SOURCE,
            )


def needs_another_version(machine: Machine) -> Iterator[Finding]:
    """GC309: a package beside a version of another that it was not built for, or that it refuses."""
    versions = {one.name: one for one in machine.frameworks if one.broken is None}
    for one in versions.values():
        for name, wanted in one.requires.items():
            other = versions.get(name)
            if other is None or other.version is None or satisfies(other.version, wanted) is not False:
                continue
            yield Finding(
                code="GC309",
                severity="warning",
                title=f"{_named(one)} needs another {name} than {other.version}",
                found=f"{name} {other.version}",
                required=f"{name}{wanted}",
                remedy=_together(machine, one, name, wanted),
                source=_SOURCE,
            )


def _anew(machine: Machine, one: Framework) -> Remedy:
    """How to install a broken package again: one whose files another has overwritten after removing both."""
    if one.name.startswith("onnxruntime-") and any(other.name == "onnxruntime" for other in machine.frameworks):
        return Remedy(
            "remove both, as they share one folder, and install the one for the GPU alone",
            (uninstall(machine, "onnxruntime", one.name), install(machine, one.name)),
        )
    build = one.build or ""
    index = INDEX + build if one.name == "torch" and one.tagged and _BUILD.fullmatch(build) else None
    what = f"{one.name}=={one.version}" if _VERSION.fullmatch(one.version or "") else one.name
    return Remedy("install it again", (reinstall(machine, what, index, with_others=False),))


def _together(machine: Machine, one: Framework, name: str, wanted: str) -> Remedy:
    """How to get two packages that go with each other."""
    if one.name in JAX_PLUGINS:
        return Remedy(
            "install JAX and its plugin together", (install(machine, f"--upgrade 'jax[{jax_build(one.name)}]'"),)
        )
    return Remedy(
        f"install the {name} that it was made for, or another {one.name}",
        (install(machine, quoted(f"{name}{wanted}")),),
    )


def _where(machine: Machine) -> str:
    place = machine.environment
    return f" in {place.path}" if place is not None and place.path else ""


def _named(one: Framework) -> str:
    return f"{one.name} {one.version}" if one.version else one.name
