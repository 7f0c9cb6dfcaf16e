"""The lines of the report for people about frameworks, their environment, and programs that run models."""

from __future__ import annotations

from gpucheck.host.pythons import PARTS
from gpucheck.machine.types import Machine


def software_lines(machine: Machine, *, verbose: bool) -> tuple[str, ...]:
    """What runs models here: engines and what is broken; with `verbose` what these are built on too."""
    place = machine.environment
    asked = place is not None and place.chosen_by == "--python"
    lines = []
    if place is not None and (asked or (verbose and machine.frameworks)):
        chosen = place.chosen_by or "gpucheck's own"
        lines.append(f"Python {place.python or ''} in {place.path or place.interpreter} ({chosen})".replace("  ", " "))
    for one in machine.frameworks:
        if verbose or one.broken is not None or one.name not in PARTS:
            build = f"+{one.build}" if one.build else ""
            built = f", for {', '.join(one.providers)}" if verbose and one.providers else ""
            broken = f", broken: {one.broken}" if one.broken is not None else ""
            lines.append(f"{one.name} {one.version or ''}{build}{built}{broken}")
    lines += [f"{one.name} ({one.path})" if verbose else one.name for one in machine.programs]
    return tuple(lines)
