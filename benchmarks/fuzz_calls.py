"""Parsers called together, where one text is read by several of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpucheck.catalog import drivers
from gpucheck.host.answer import Answer
from gpucheck.host.plain_json import parse_json
from gpucheck.host.redact import Redactor
from gpucheck.models import quantization, size
from gpucheck.probes import apple, memory, numa, rocm_smi, sysctl, windows
from gpucheck.probes.nvidia import values, words


def entries(parse: Callable[[dict[str, Any]], Any]) -> Callable[[str], Any]:
    """A function of an object, applied to each object in a JSON text."""

    def call(text: str) -> Any:
        try:
            found = parse_json(text)
        except (ValueError, RecursionError):
            return None
        groups = found.values() if isinstance(found, dict) else [found]
        return [parse(dict(entry)) for group in groups for entry in windows.objects(group)]

    return call


def object_facts(entry: dict[str, Any]) -> Any:
    """Every reader of a field, on each field of an object."""
    fields = [(windows.text(entry, name), windows.count(entry, name)) for name in entry]
    sizes = [
        (rocm_smi.size_bytes(value), rocm_smi.market_name(value), apple.parse_size(value)) for value in entry.values()
    ]
    return fields, sizes, [windows.pci_ids(text) for text, _ in fields if text]


def darwin_facts(text: str) -> Any:
    """Sysctl's lines and what is derived from them."""
    found = sysctl.parse_sysctl(text)
    return found, sysctl.darwin_l2_bytes(found), sysctl.darwin_features(found)


def meminfo_facts(text: str) -> Any:
    """The machine's memory and a node's."""
    found = memory.parse_meminfo(text)
    return found, memory.available_bytes(found), numa.parse_node_memory(text)


def redacted_facts(text: str) -> Any:
    """Outputs with rules of their own, and a text."""
    redactor = Redactor("alice", "tower.example", key=b"fuzz")
    answer = Answer({"stdout": text, "stderr": "", "returncode": 0})
    return [redactor.answer("command", key, answer) for key in ('["system_profiler"]', '["dmesg"]')], redactor.text(
        text
    )


def words_facts(text: str) -> Any:
    """Each reader of a single printed value."""
    plain = (values.told, values.whole, values.measured, values.size_bytes, values.version, values.switch)
    ids = (values.pci_address, values.hex_word, words.library_version, words.profile_in_name, drivers.highest_cuda)
    return [call(text) for call in (*plain, *ids)], words.spelled(words.BRANDS, text), words.same_release(text, "570.1")


def model_size_facts(text: str) -> Any:
    """A size, and a quantization, which may be unknown."""
    return size.parse_size(text.lower()), quantization.find_quantization(text)
