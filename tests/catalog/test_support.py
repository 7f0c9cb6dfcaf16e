"""The table of what runs what: its form, its sources, and how a row is held against a device."""

from __future__ import annotations

import re

import pytest

from gpucheck.catalog.cards import DATA, all_cards
from gpucheck.catalog.drivers import version_key
from gpucheck.catalog.support import Device, SupportRow, capability_of, engines, rows_of, subjects_of

ALL = list(
    dict.fromkeys(row for engine in engines() for subject in subjects_of(engine) for row in rows_of(engine, subject))
)
SUBJECTS = {
    "*", "driver", "fp32", "fp16", "bf16", "fp8", "int8", "nf4", "gptq", "awq", "nvfp4", "mxfp4", "mxfp4-hf", "mlx",
    "exl2", "exl3", "gguf", "flash_attn", "tq1", "tq2", "flash_attention_2", "flash_attention_3",
    "quantized-v-without-flash", "kv-iq4_nl", "kv-mixed", "offload-int8", "offload-nf4",
}  # fmt: skip
# A version, a commit, an issue or a document by name: a bare "documentation" is no source
SOURCE = re.compile(r"\d+\.\d+\.\d+|\b[0-9a-f]{7}\b|#\d+|\.(?:py|md|cpp|cuh?|m)\b|MLX docs \(2026\)")


def row(devices: str, systems: str = "*") -> SupportRow:
    """A row about these devices and systems."""
    return SupportRow(("engine",), ("*",), devices, tuple(systems.split(",")), None, "yes", "", "source")


def nvidia(capability: str) -> Device:
    """An NVIDIA device of a compute capability."""
    return Device("nvidia", frozenset({capability}), capability_of(capability))


class TestTable:
    """The file itself."""

    def test_it_has_the_engines(self) -> None:
        """Those that gpucheck estimates, those to come, and no other."""
        assert set(engines()) == {"llama.cpp", "ollama", "transformers", "vllm", "mlx"}

    @pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.engines[0]}-{one.subjects[0]}-{one.devices[:20]}")
    def test_every_row_is_whole(self, one: SupportRow) -> None:
        """An answer of the four, known subjects, a source that can be looked up, and a reason unless it is a yes."""
        assert one.answer in {"yes", "partial", "no", "unknown"}
        assert set(one.subjects) <= SUBJECTS
        assert SOURCE.search(one.source)
        assert one.answer == "yes" or one.reason
        assert one.reason == one.reason.strip(" .")
        assert (one.below is not None) == (one.subjects == ("driver",))
        assert one.below is None or version_key(one.below)

    def test_nothing_rests_on_memory(self) -> None:
        """A fact that nobody looked up may not decide."""
        assert not [one for one in ALL if "from memory" in one.source and one.answer != "unknown"]

    def test_devices_and_systems_are_words_that_machines_have(self) -> None:
        """Capabilities that can be read, gfx targets, architectures of the catalogue, CPU words, and systems."""
        architectures = {card.architecture for card in all_cards() if card.vendor in {"Intel", "Apple"}}
        words = architectures | {"avx2", "avx512f", "x86_64", "aarch64", "arm64"}
        capability = re.compile(r"<?\d+\.\d\+?|\d+\.\d-\d+\.\d")
        for one in ALL:
            for word in one.devices.split(","):
                kind, _, which = word.partition(":")
                known = {"*", "nvidia", "amd", "apple", "intel", "cpu", "vulkan", "sycl"}
                which = which if ":" in word else ("" if kind in known else kind)
                assert not which or which in words or capability.fullmatch(which) or re.fullmatch(r"gfx\w+", which), (
                    word
                )
            assert {system.partition("/")[0] for system in one.systems} <= {"*", "linux", "windows", "darwin"}
            assert {system.partition("/")[2] for system in one.systems} <= {"", "x86_64", "aarch64", "arm64"}

    def test_no_case_is_told_twice(self) -> None:
        """Two rows with the same engine, subject, device and system would hide the later one's answer."""
        seen: set[tuple[str, str, str, str, str | None]] = set()
        for one in ALL:
            cases = {
                (engine, subject, one.devices, system, one.below)
                for engine in one.engines
                for subject in one.subjects
                for system in one.systems
            }
            assert not seen & cases, seen & cases
            seen |= cases

    @pytest.mark.parametrize("name", ["support.tsv", "support_gguf.tsv"])
    def test_lines_are_plain(self, name: str) -> None:
        """Eight cells a line, and no spaces around them."""
        with open(f"{DATA}/{name}", encoding="utf-8") as handle:
            cells = [line.rstrip("\n").split("\t") for line in handle if not line.startswith("#")]
        assert {len(line) for line in cells} == {8}
        assert all(cell == cell.strip() for line in cells for cell in line)

    def test_an_engine_that_is_not_there_has_no_rows(self) -> None:
        """Part of a name is not a name."""
        assert (subjects_of("llama"), rows_of("llama", "*"), rows_of("vllm", "gg")) == ({}, (), ())
        assert all("vllm" in one.engines and "fp8" in one.subjects for one in rows_of("vllm", "fp8"))


class TestRow:
    """Whether a row is about a device under a system."""

    @pytest.mark.parametrize(
        ("devices", "capability", "about"),
        [
            ("nvidia", "3.7", True),
            ("nvidia:7.5+", "7.5", True),
            ("nvidia:7.5+", "12.0", True),
            ("nvidia:7.5+", "7.0", False),
            ("nvidia:10.0+", "9.0", False),  # as numbers, not as text
            ("nvidia:<7.0", "6.1", True),
            ("nvidia:<7.0", "7.0", False),
            ("nvidia:<7.0", "10.0", False),
            ("nvidia:8.0-8.9", "8.6", True),
            ("nvidia:8.0-8.9", "9.0", False),
            ("nvidia:9.0", "9.0", True),
            ("nvidia:9.0", "10.0", False),
            ("amd,nvidia:7.0+", "7.0", True),
            ("amd:gfx908,gfx90a,nvidia:7.0+", "7.5", True),
            ("amd", "7.0", False),
            ("*", "3.7", True),
        ],
    )
    def test_conditions_of_nvidia(self, devices: str, capability: str, about: bool) -> None:
        """Ranges of compute capabilities, and the kinds before and after them."""
        assert row(devices).about(nvidia(capability), "linux", "x86_64") is about

    def test_names_match_whole(self) -> None:
        """gfx1100 is not gfx110, nor gfx11000."""
        amd = Device("amd", frozenset({"gfx1100"}))
        assert row("amd:gfx1030,gfx1100").about(amd, "linux", None)
        assert row("amd:gfx110,gfx11000").about(amd, "linux", None) is False

    def test_what_is_not_known_decides_nothing(self) -> None:
        """A row that depends on it is undecided; one about all of the kind, or another kind, is not."""
        silent = Device("nvidia", known=False)
        assert row("nvidia:7.5+").about(silent, "linux", None) is None
        assert row("nvidia").about(silent, "linux", None) is True
        assert row("amd:gfx908").about(silent, "linux", None) is False

    @pytest.mark.parametrize(
        ("systems", "system", "cpu", "about"),
        [
            ("*", None, None, True),
            ("linux", "linux", None, True),
            ("linux,windows", "windows", None, True),
            ("linux", "windows", "x86_64", False),
            ("linux", None, None, None),
            ("linux/x86_64", "linux", "x86_64", True),
            ("linux/x86_64", "linux", "aarch64", False),
            ("linux/x86_64", "linux", None, None),
            ("linux/x86_64,linux", "linux", None, True),
            ("linux/x86_64", "windows", None, False),
        ],
    )
    def test_systems(self, systems: str, system: str | None, cpu: str | None, about: bool | None) -> None:
        """An operating system alone or with a CPU architecture; what is not known leaves it open."""
        assert row("nvidia", systems).about(nvidia("8.0"), system, cpu) is about

    @pytest.mark.parametrize("text", [None, "", "8", "8.", ".9", "8.x", "8.9.1", "100.100", "٨.٩"])
    def test_what_is_no_capability(self, text: str | None) -> None:
        """No number is read out of a text that is not a compute capability."""
        assert capability_of(text) is None
