"""What a deep check tried and how long it took, for people."""

from __future__ import annotations

from gpucheck.probes.facts import DeepCheck, DeepDevice, DeepStep, Framework
from gpucheck.report.page import Page
from gpucheck.units import format_bytes

_INDENT, _AT, _STEPS_AT = 4, 14, 16
_ENDS = {
    "crashed": "its process died", "timed_out": "it was ended, as it took too long",
    "too_much_output": "it was ended, as it printed more than 8 MiB",
    "unanswered": "its interface is another than is known here",
}  # fmt: skip


def show_tried(page: Page, frameworks: tuple[Framework, ...], verbose: bool) -> None:
    """A line for each framework and each of its devices; with `verbose` one for each step."""
    page.blank()
    page.paragraph("Tried", "bold", 2)
    for framework in frameworks:
        check = framework.deep
        if check is not None:
            _show_check(page, framework, check, verbose)


def _show_check(page: Page, framework: Framework, check: DeepCheck, verbose: bool) -> None:
    version = check.facts.get("version") or framework.version or ""
    head = [version, f"in {check.seconds:.1f} s" if check.seconds is not None else "", _ENDS.get(check.answer, "")]
    if check.crash is not None:
        head.append(check.crash)
    page.row(framework.name, ", ".join(part for part in head if part), _AT, _INDENT, label_style="")
    _show_steps(page, check.steps, verbose)
    for device in check.devices:
        page.row("", _named(device), _AT, _INDENT)
        _show_steps(page, device.steps, verbose)
    if check.answer == "ok" and not check.devices and framework.reason is not None:
        page.row("", framework.reason.removeprefix("tried: "), _AT, _INDENT)
    if check.detail is not None:
        page.row("", f"its last words: {check.detail}", _AT, _INDENT, "dim")
    for key, fact in check.facts.items() if verbose else ():
        page.row("", f"{key}: {fact}", _AT, _INDENT, "dim")


def _named(device: DeepDevice) -> str:
    """Such as "cuda:0 NVIDIA L4 (8.9, 22 GiB)"."""
    size = format_bytes(device.memory_total_bytes) if device.memory_total_bytes is not None else None
    known = ", ".join(part for part in (device.capability, size) if part)
    return f"{device.id} {device.name or ''}".strip() + (f" ({known})" if known else "")


def _show_steps(page: Page, steps: tuple[DeepStep, ...], verbose: bool) -> None:
    """Those that went well in one line, each other on its own."""
    well = [step for step in steps if step.outcome == "ok"]
    if verbose:
        for step in well:
            page.row("", f"{step.name}{_time(step)}: ok", _STEPS_AT, _INDENT, "dim")
    elif well:
        page.row("", f"{', '.join(step.name for step in well)}: ok", _STEPS_AT, _INDENT, "dim")
    for step in steps:
        said = ": ".join(part for part in (step.error, step.message) if part)
        if step.outcome == "failed":
            page.row("", f"✗ {step.name}{_time(step)}: {said}", _STEPS_AT, _INDENT, "red")
        elif step.outcome == "unfinished":
            page.row("", f"✗ {step.name}: not finished", _STEPS_AT, _INDENT, "red")
        elif step.outcome == "skipped":
            page.row("", f"{step.name}: not tried, {said}" if said else step.name, _STEPS_AT, _INDENT, "dim")


def _time(step: DeepStep) -> str:
    return f" ({step.seconds:.2f} s)" if step.seconds is not None else ""
