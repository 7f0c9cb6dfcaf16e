"""Checks of models that are to fit, and of findings that must not be there."""

from __future__ import annotations

from gpucheck.assess.requirements.told import Told, judged, unknown
from gpucheck.assess.requirements.usable import hindrance, nvml_failure, unseen, usability
from gpucheck.assess.requirements.workloads import Workload
from gpucheck.machine.types import Machine
from gpucheck.units import format_bytes

_GOOD = frozenset({"yes", "tight"})
_BROKEN = frozenset({"no_driver", "wrong_driver", "driver_mismatch", "no_permission", "lost", "needs_reset"})
_SEVERITIES = ("error", "warning", "info")


def model(machine: Machine, value: Workload) -> Told:
    """Whether a model fits: on the GPUs together, in RAM where there is none, and over both where that is allowed.

    Decided on the likely need (`total_bytes`), not on its upper bound. Software that cannot run it is not met too. RAM
    does not stand in for a GPU that is broken or silent.
    """
    from gpucheck.assess.fit import FitAnswer, fit_model
    from gpucheck.estimators.setting import make_setting
    from gpucheck.models.reference import parse_reference

    setting = make_setting(value.context or 8192, value.batch or 1, value.engine or "llama.cpp", None)
    answer: FitAnswer = fit_model(machine, parse_reference(value.model), None, setting)
    memory = answer.memory
    needs = f"needs {_span(memory.low_bytes, memory.high_bytes)}"
    has = f", has {format_bytes(memory.available_bytes)}" if memory.available_bytes is not None else ""
    found = f"{needs}{has}: {answer.verdict}"
    source = "fit[].fits"
    doubt = _doubt(machine)
    good = _GOOD | ({"partial"} if value.allow_offload else set())
    if answer.supported == "no":
        return Told("not_met", f"{found}; {'; '.join(answer.support_reasons)}", "fit[].supported")
    if answer.fits in good and answer.placement.mode == "cpu":
        broken = next((gpu for gpu in machine.gpus if gpu.visible and gpu.state in _BROKEN), None)
        if doubt is None and broken is not None:
            return Told("not_met", f"{found}, as no GPU can be used: {hindrance(broken)}", source)
    elif answer.fits in good:
        doubt = None
    if answer.fits in good and doubt is None:
        if value.min_tok_s is not None:
            return unknown("how fast it would run is not known: speed estimates are not there yet", source, found)
        return judged(True, found, source)
    if doubt is not None:
        return unknown(doubt, source, found)
    on_gpus = bool(machine.usable_gpus) and memory.available_bytes is not None
    if answer.fits == "unknown" and on_gpus and not value.allow_offload:
        # what nobody knows is RAM, which does not help where the GPUs do not hold it
        return judged(False, f"{needs}{has}", source)
    if answer.fits == "unknown":
        return unknown("; ".join(answer.reasons) or "the memory that it could get is not known", source, needs)
    return judged(False, found, source)


def _span(low: int, high: int) -> str:
    """Two sizes of bytes as a span: "41.0–45.2 GiB"."""
    first, last = format_bytes(low), format_bytes(high)
    if first == last:
        return last
    number, _, unit = first.partition(" ")
    return f"{number}–{last}" if last.endswith(unit) else f"{first}–{last}"


def _doubt(machine: Machine) -> str | None:
    """Why there may be more GPUs to put it on than are known to be usable."""
    standing = (usability(machine, gpu) for gpu in machine.gpus)
    perhaps = next((told.reason for told in standing if told.answer == "unknown"), None)
    return perhaps or unseen(machine)


def no_findings(machine: Machine, value: tuple[str, tuple[str, ...]]) -> Told:
    """No finding of a severity or worse, apart from some codes; unknown where the driver did not answer."""
    from gpucheck.assess.findings import find_problems

    severity, ignored = value
    worse = _SEVERITIES[: _SEVERITIES.index(severity) + 1]
    found = [one for one in find_problems(machine) if one.severity in worse and one.code not in ignored]
    if found:
        return judged(False, "; ".join(f"{one.code} {one.title}" for one in found[:5]), "findings[]")
    doubt = nvml_failure(machine) or unseen(machine)
    if doubt is not None:
        return unknown(doubt, "findings[]")
    return judged(True, "none", "findings[]")
