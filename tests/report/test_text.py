"""The text of reports, fits and the catalogue: what is shown, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import gpucheck
from gpucheck.probes.facts import Memory
from gpucheck.report.document import ErrorDetail, ErrorReport, FitReport, Tool
from gpucheck.report.text_fit import SYMBOLS
from gpucheck.units import GIB
from tests.running import NAMES, machine, page, report, report_of, run

TOOL = Tool(name="gpucheck", version="0")


def _changed(**changes: Any) -> str:
    """The text of a T4's report, the card changed."""
    found = machine("card-t4")
    first = replace(found.gpus[0], **changes)
    return page(report_of(replace(found, gpus=(first, *found.gpus[1:]))), verbose=True)


@pytest.mark.parametrize("name", NAMES)
def test_legend_shows_the_used_symbols(name: str) -> None:
    """The legend explains each symbol that the table shows, and no other."""
    found = report(name)
    lines = page(found).split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("  What fits"))
    end = next(number for number, line in enumerate(lines) if "A bare size" in line)
    sizes = len({answer.model for answer in found.fit})
    table, legend = lines[start + 2 : start + 2 + sizes], " ".join(lines[start + 2 + sizes : end])
    used = {SYMBOLS[answer.fits] for answer in found.fit}
    assert {char for char in "".join(table) if char in SYMBOLS.values()} == used
    assert {char for char in legend if char in SYMBOLS.values()} == used


@pytest.mark.parametrize("name", NAMES)
def test_verdict_comes_first(name: str) -> None:
    """The headline begins the page, devices come before what fits, problems after it."""
    text = page(report(name))
    order = [text.find(word) for word in (" machine: ", "\n  System", "\n  GPU ", "\n  What fits", "\n  Problems")]
    seen = [place for place in order if place >= 0]
    assert seen == sorted(seen)
    assert text.find(" machine: ") in range(1, 15)
    severities = [finding.severity for finding in report(name).findings]
    assert ("Problems" in text) == bool({"error", "warning"} & set(severities))


@pytest.mark.parametrize("name", NAMES)
def test_remarks_are_counted(name: str) -> None:
    """The report shows errors and warnings, of remarks their number; with `-v` each of them."""
    found = report(name)
    short, long = page(found), page(found, verbose=True)
    remarks = [finding for finding in found.findings if finding.severity == "info"]
    assert (f"\n  {len(remarks)} remark" in short) == bool(remarks)
    shown = {finding.code for finding in found.findings if f" {finding.code} " in short}
    assert shown == {finding.code for finding in found.findings if finding.severity != "info"}
    assert all(f" {finding.code} " in long for finding in found.findings)


@pytest.mark.parametrize("name", NAMES)
def test_verbose_shows_every_issue(name: str) -> None:
    """`-v` shows the code of every issue; without it there is their number."""
    found = report(name)
    short, long = page(found), page(found, verbose=True)
    assert all(issue.code in long for issue in found.machine.issues)
    number = len(found.machine.issues)
    assert (f"{number} note" in short) == bool(number)


def test_remedies_are_shown_whole() -> None:
    """The commands of a remedy stand on lines of their own, to be copied."""
    lines = [line.strip() for line in page(report("h100-x8-one-lost")).split("\n")]
    for command in gpucheck.problems(machine("h100-x8-one-lost"))[0].remedy.commands:
        assert command in lines


def test_like_cards_stand_together() -> None:
    """Seven healthy cards make one block, the lost one another; its rates, of no use now, are left out."""
    text = page(report("h100-x8-one-lost"))
    assert "GPU 0–4, 6–7 7 × NVIDIA H100 80GB HBM3" in text
    block = text.partition("  GPU 5 ")[2].partition("What fits")[0]
    assert "lost" in block
    assert "dense peak" not in block


def test_verbose_shows_each_card() -> None:
    """`-v` gives each of eight like cards its own block, with its own address and UUID."""
    text = page(report("h100-x8"), verbose=True)
    for gpu in machine("h100-x8").gpus:
        assert f"  GPU {gpu.index} " in text
        assert gpu.pci_address is not None
        assert gpu.pci_address in text
        assert gpu.uuid is not None
        assert gpu.uuid in text


def test_terms_of_the_vendor() -> None:
    """NVIDIA's cards have CUDA cores and Tensor Cores, AMD's stream processors and Matrix Cores."""
    nvidia, amd = page(report("card-h100-sxm")), page(report("card-mi300x"))
    assert "CUDA cores" in nvidia
    assert "Tensor Cores (4th generation)" in nvidia
    assert "stream processors" in amd
    assert "Matrix Cores" in amd
    assert "CUDA" not in amd
    assert "Tensor" not in amd


def test_no_matrix_units() -> None:
    """A card without matrix units says so, in its vendor's word."""
    assert "no Tensor Cores" in page(report("card-p100"))


def test_slices_follow_their_card() -> None:
    """The slices of a card are listed below it, with profile, memory and multiprocessors."""
    block = page(report("h100-mig")).partition("GPU 0 ")[2].partition("What fits")[0]
    assert [line.split()[:2] for line in block.split("\n") if "slice" in line] == [
        ["slice", str(number)] for number in (1, 2, 3, 4)
    ]
    assert "3g.40gb, 39.5 GiB" in block


def test_hidden_cards_say_by_what() -> None:
    """A hidden card names the variable; one that is set to nothing does not look cut off."""
    assert "by CUDA_VISIBLE_DEVICES= (set to nothing)" in page(report("gpus-hidden"))


def test_unknown_is_said() -> None:
    """Unknown sizes, rates and names are called unknown, never 0."""
    sizes = replace(machine("card-t4").gpus[0].memory, total_bytes=None, free_bytes=None, usable_bytes=None)
    text = _changed(memory=sizes, bandwidth_bytes_per_s=None, name=None)
    assert "NVIDIA GPU without a name" in text
    assert "size unknown, bandwidth unknown" in text
    assert "0 B" not in text


def test_processes_of_unknown_memory() -> None:
    """Processes that hide their memory are not said to use none."""
    text = _changed(processes=3, processes_memory_bytes=None)
    assert "3, using an unknown amount of memory" in text
    assert "2, using 1.0 GiB" in _changed(processes=2, processes_memory_bytes=GIB)


def test_power_limit() -> None:
    """A power limit is shown where it differs from what the card is made for, or stands alone."""
    assert "70 W\n" in _changed(tdp_w=70.0, power_limit_w=70.0)
    assert "70 W, limited to 60 W\n" in _changed(tdp_w=70.0, power_limit_w=60.0)
    assert "60 W\n" in _changed(tdp_w=None, power_limit_w=60.0)


def test_address_without_an_id() -> None:
    """A card of unknown id shows its address alone."""
    assert "None" not in _changed(pci_id=None)


def test_memory_limit() -> None:
    """A cgroup limit is shown as the memory, with the machine's beside it where that is known."""
    assert "4.0 GiB (cgroup limit; the machine has 251 GiB), 3." in page(report("container-4gib"))
    limited = replace(machine("container-4gib"), memory=Memory(limit_bytes=4 * GIB, usable_bytes=3 * GIB))
    assert "Memory   4.0 GiB (cgroup limit), 3.0 GiB available" in page(report_of(limited))
    unknown = replace(limited, memory=Memory())
    assert "Memory   size unknown" in page(report_of(unknown))


def test_usable_cores() -> None:
    """Fewer usable cores than there are is said, with the reason."""
    assert "2 of 64 cores usable (cgroup quota)" in page(report("container-4gib"))


def test_fit_is_explained_part_by_part() -> None:
    """One model: symbol and verdict, the parts that make the need, what is there, reasons and assumptions."""
    found = machine("card-rtx-4090")
    assert found.category is not None
    answer = gpucheck.fit(found, "70b@q4")
    shown = FitReport(tool=TOOL, machine=found, category=found.category, fit=(answer,))
    lines = page(shown).split("\n")
    assert f"  ◐ 70b @ Q4_K_M: {answer.verdict}" in lines
    labels = [line[4:15].strip() for line in lines if line.startswith("    ") and line[4:5].strip()]
    assert labels[:4] == ["needs", "made of", "available", "because"]
    assert labels[-1] == "assuming"
    assert not any(line.strip() == "available" for line in lines)


def test_catalogue_lines() -> None:
    """Each card has a line that ends in category and basis, without blanks at its end; `-v` adds reasons and source."""
    out = run("gpus", "H100").out
    assert all(line == line.rstrip() for line in out.split("\n"))
    assert any(line.startswith("NVIDIA H100 PCIe") and line.endswith("High-end   document") for line in out.split("\n"))
    assert "confidence" in run("gpus", "H100", "-v").out
    for width in ("45", "60", "110"):
        assert max(map(len, run("gpus", COLUMNS=width).out.split("\n"))) <= int(width)


def test_empty_catalogue_says_so() -> None:
    """A filter that leaves nothing gives a sentence, not an empty page."""
    ran = run("gpus", "T4", "--category", "High-end")
    assert (ran.code, ran.out) == (0, "No card of the catalogue is of that kind.\n")


def test_error_document() -> None:
    """An error document has a text form: its sentence."""
    shown = ErrorReport(tool=TOOL, error=ErrorDetail(code="usage", message="no such thing"))
    assert page(shown) == "no such thing\n"
