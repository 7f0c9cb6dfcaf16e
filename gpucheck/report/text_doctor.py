"""Findings, what is unknown, and the pages of explanation, for people."""

from __future__ import annotations

from collections import Counter

from gpucheck.assess.findings import Finding
from gpucheck.assess.findings.pages import Explanation
from gpucheck.probes.facts import Framework, ProbeIssue
from gpucheck.report.page import Page

_MARKS = {"error": ("✗", "red"), "warning": ("!", "yellow"), "info": ("·", "dim")}
_AT, _COMMANDS_AT, _INDENT = 12, 14, 4


def show_doctor(
    page: Page,
    findings: tuple[Finding, ...],
    issues: tuple[ProbeIssue, ...],
    verbose: bool,
    tried: tuple[Framework, ...] = (),
) -> None:
    """How many findings there are, each of them, what a deep check has tried, and where to read on."""
    page.paragraph(_count(findings), "bold")
    show_findings(page, findings, verbose)
    if tried:
        from gpucheck.report.text_deep import show_tried

        show_tried(page, tried, verbose)
    show_unknowns(page, issues, verbose)
    if findings:
        page.blank()
        codes = dict.fromkeys(finding.code for finding in findings)
        page.paragraph(f"gpucheck explain {' '.join(codes)}", "dim", 2)


def show_problems(page: Page, findings: tuple[Finding, ...], verbose: bool) -> None:
    """Errors and warnings as a part of the report, and how many remarks there are, which are shown if asked."""
    problems = tuple(finding for finding in findings if finding.severity != "info")
    number = len(findings) - len(problems)
    if problems or (findings and verbose):
        page.blank()
        page.paragraph("Problems" if problems else "Remarks", "bold", 2)
        show_findings(page, findings if verbose else problems, verbose=False)
    if number and not verbose:
        page.blank()
        page.paragraph(f"{number} remark{'s' if number != 1 else ''} on this machine: gpucheck doctor shows.", "dim", 2)


def show_findings(page: Page, findings: tuple[Finding, ...], verbose: bool) -> None:
    """Each finding with what was found, what is needed, and the commands; its source if asked."""
    for finding in findings:
        mark, style = _MARKS[finding.severity]
        page.row(f"{mark} {finding.code}", finding.title, _AT, _INDENT, label_style=style)
        page.row("", f"found {finding.found}; needed {finding.required}", _AT, _INDENT, "dim")
        page.row("", finding.remedy.text, _AT, _INDENT)
        for command in finding.remedy.commands:
            page.row("", command, _COMMANDS_AT, _INDENT, "cyan")
        if verbose:
            page.row("", f"{finding.severity}, told by {finding.source}", _AT, _INDENT, "dim")


def show_unknowns(page: Page, issues: tuple[ProbeIssue, ...], verbose: bool) -> None:
    """Why anything is missing; a count of it unless asked."""
    if not issues:
        return
    page.blank()
    if not verbose:
        number = len(issues)
        page.paragraph(f"{number} note{'s' if number != 1 else ''} on what is unknown or assumed: -v shows.", "dim", 2)
        return
    page.paragraph("Unknown or assumed", "bold", 2)
    for issue in issues:
        page.row(issue.code, f"{issue.source}: {issue.detail}", 24, _INDENT)


def show_pages(page: Page, explanations: tuple[Explanation, ...], whole: bool) -> None:
    """The pages, or a line for each code."""
    for explanation in explanations:
        if whole:
            page.blank()
            _show_page(page, explanation)
        else:
            mark, style = _MARKS[explanation.severities[0]]
            words = f"{explanation.title} ({', '.join(explanation.severities)})"
            page.row(f"{mark} {explanation.code}", words, _AT - 2, 2, label_style=style)


def _show_page(page: Page, explanation: Explanation) -> None:
    page.paragraph(f"{explanation.code} {explanation.title} ({', '.join(explanation.severities)})", "bold")
    for heading, text in (
        ("What it means", explanation.meaning),
        ("How it is told", explanation.told),
        ("Why it matters", explanation.matters),
    ):
        page.blank()
        page.paragraph(heading, "bold", 2)
        page.paragraph(text, indent=_INDENT)
    page.blank()
    page.paragraph("How to mend it", "bold", 2)
    system = None
    for step in explanation.steps:
        if step.system != system:
            page.blank()
            page.paragraph(step.system or "", "bold", _INDENT)
            system = step.system
        if step.text:
            page.paragraph(step.text, indent=_INDENT)
        for command in step.commands:
            page.row("", command, _INDENT + 2, style="cyan")


def _count(findings: tuple[Finding, ...]) -> str:
    """Such as "1 error, 2 warnings"."""
    found = Counter(finding.severity for finding in findings)
    numbers = {"error": found["error"], "warning": found["warning"], "remark": found["info"]}
    counts = [f"{number} {word}{'s' if number != 1 else ''}" for word, number in numbers.items() if number]
    return ", ".join(counts) or "No problem found."
