"""The promises that programs rely on, held to for every fixture: names, units, sources, schema, stability."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest

import gpucheck
from gpucheck.catalog.cards import all_cards
from gpucheck.host.answer import Answer
from gpucheck.host.host import Host
from gpucheck.host.recording import Recording, ReplaySource, make_recording, to_json
from gpucheck.host.redact import Redactor
from gpucheck.machine.inspect import inspect_host
from gpucheck.report.document import DOCUMENTS, schema
from gpucheck.report.document import to_json as document_json
from tests.running import NAMES, ROOT, document, fixture, machine, page, report, report_of, run

BASES = {"measured", "reported", "derived", "catalogue", "assumed"}
CATEGORIES = {"High-end", "Mid-range", "Budget", "Consumer", "Integrated", "CPU only"}
FIGURES = (
    "bandwidth_bytes_per_s", "l2_cache_bytes", "infinity_cache_bytes", "multiprocessors", "shader_cores",
    "matrix_cores", "matrix_generation", "tdp_w", "architecture", "compute_capability", "gfx_target",
    "power_limit_w", "processes", "processes_memory_bytes",
)  # fmt: skip
SHOWN = (
    "memory.total_bytes", "memory.free_bytes", "bandwidth_bytes_per_s", "shader_cores", "matrix_cores",
    "flops.fp16", "l2_cache_bytes", "tdp_w",
)  # fmt: skip
# The names of the contract that stand in every document; a list holds the keys of each of its entries.
NAMED: dict[str, Any] = {
    "format_version": None,
    "kind": None,
    "tool": {"name": None, "version": None},
    "category": dict.fromkeys(("name", "best_for", "performance_profile", "basis", "reasons")),
    "fit": [
        {
            **dict.fromkeys(
                ("model", "quant", "engine", "task", "context", "batch", "fits", "usable", "supported", "verdict",
                 "placement", "reasons", "assumptions")
            ),
            "memory": dict.fromkeys(
                ("weights_bytes", "kv_cache_bytes", "compute_bytes", "overhead_bytes", "total_bytes", "low_bytes",
                 "high_bytes", "available_bytes")
            ),
            "speed": dict.fromkeys(("decode_tok_s", "prefill_tok_s", "ttft_s")),
        }
    ],
    "findings": [
        {
            **dict.fromkeys(("code", "severity", "title", "found", "required", "source")),
            "remedy": {"text": None, "commands": None},
        }
    ],
    "machine": {
        "source": None,
        "platform": dict.fromkeys(("os", "kernel", "arch", "container", "virtual_machine", "wsl")),
        "cpu": dict.fromkeys(
            ("name", "vendor", "arch", "physical_cores", "logical_cores", "usable_cores", "features")
        ),
        "memory": dict.fromkeys(("total_bytes", "available_bytes", "limit_bytes", "usable_bytes")),
        "gpus": [
            {
                **dict.fromkeys(
                    ("index", "name", "vendor", "architecture", "compute_capability", "gfx_target", "kind", "visible",
                     "state", "bandwidth_bytes_per_s", "l2_cache_bytes", "shader_cores", "matrix_cores",
                     "matrix_generation", "tdp_w", "sources")
                ),
                "memory": dict.fromkeys(("total_bytes", "free_bytes", "usable_bytes", "kind", "type")),
                "flops": dict.fromkeys(("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp4", "int8")),
                "pcie": dict.fromkeys(("generation", "width", "max_generation", "max_width")),
                "mig": dict.fromkeys(("mode", "profile")),
                "category": dict.fromkeys(("name", "basis", "reasons")),
            }
        ],
        "drivers": {"nvidia": None, "amd": None},
        "toolkits": dict.fromkeys(("cuda", "cudnn", "tensorrt", "rocm", "mps")),
        "frameworks": [dict.fromkeys(("name", "version", "build", "python", "arch_list", "usable", "reason"))],
        "issues": [dict.fromkeys(("code", "source", "detail"))],
    },
}  # fmt: skip

every_fixture = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_schema_is_that_of_the_types(name: str) -> None:
    """The committed schema of each document is what its type says, and is a valid schema."""
    text = (ROOT / "gpucheck" / "report" / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    assert text == json.dumps(schema(name), indent=2) + "\n", "run python .ci/schemas.py"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


@every_fixture
def test_report_is_valid(name: str) -> None:
    """The report validates against the committed schema, byte for byte as it is printed."""
    _validate("report", document(name))


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("report", ["--json"]),
        ("report", ["--simulate", "2x RTX 4090", "--json"]),
        ("report", ["--simulate", "M4 Max 128GB", "--cpu-cores", "16", "--json"]),
        ("fit", ["fit", "8b", "70b@q4", "30b-a3b", "--simulate", "H100 PCIe", "--ram", "64GiB", "--json"]),
        ("fit", ["fit", "7b", "--machine", fixture("driver-missing"), "--json"]),
        ("gpus", ["gpus", "--json"]),
        ("gpus", ["gpus", "H100", "--json"]),
        ("gpus", ["gpus", "T4", "--category", "High-end", "--json"]),
        ("error", ["--simulate", "A100", "--json"]),
        ("error", ["--machine", "/no/such/file", "--json"]),
    ],
)
def test_other_documents_are_valid(kind: str, arguments: list[str]) -> None:
    """Every kind of document validates against its committed schema and says its kind and version."""
    found = run(*arguments).json
    _validate(kind, found)
    assert (found["format_version"], found["kind"]) == ("1.0", kind)
    assert found["tool"] == {"name": "gpucheck", "version": gpucheck.__version__}


@every_fixture
def test_names(name: str) -> None:
    """Every name of the contract is there, null where nothing is known."""
    assert list(_missing(NAMED, document(name), "")) == []


@every_fixture
def test_values_are_plain(name: str) -> None:
    """No "N/A" and no empty text stands for what is unknown; bytes are whole numbers, and nothing is below zero."""
    for path, value in _leaves(document(name), ""):
        key = path.rpartition(".")[2]
        if isinstance(value, str):
            assert value.strip(" []()").lower() not in {"n/a", "null", "nan", "unknown error", "not supported"}, path
            assert value or ".visibility." in path or key == "cpus", path  # set to nothing; a node of memory alone
            assert value.isprintable(), path
        if key.endswith(("_bytes", "_bytes_per_s")) and ".sources." not in path:
            assert value is None or (type(value) is int and 0 <= value < 1 << 63), path
        elif isinstance(value, int | float) and not isinstance(value, bool):
            assert value >= 0, path


@every_fixture
def test_sizes_and_counts_agree(name: str) -> None:
    """Free and usable memory are within the total, a limit within the machine, usable cores within the cores."""
    found = document(name)["machine"]
    memory, cpu = found["memory"], found["cpu"]
    for part in ("available_bytes", "usable_bytes", "limit_bytes"):
        assert memory[part] is None or memory[part] <= memory["total_bytes"], part
    assert memory["limit_bytes"] is None or memory["usable_bytes"] <= memory["limit_bytes"]
    assert 1 <= cpu["physical_cores"] <= cpu["logical_cores"]
    assert 0 < cpu["usable_cores"] <= cpu["logical_cores"]
    assert all(flag == flag.lower() for flag in cpu["features"])
    for gpu in found["gpus"]:
        sizes = gpu["memory"]
        for part in ("free_bytes", "usable_bytes"):
            assert sizes[part] is None or sizes[part] <= sizes["total_bytes"], (gpu["index"], part)
        for current, most in (("width", "max_width"), ("generation", "max_generation")):
            pair = gpu["pcie"][current], gpu["pcie"][most]
            assert None in pair or 1 <= pair[0] <= pair[1], (gpu["index"], current)
        assert gpu["shader_cores"] is None or gpu["shader_cores"] >= 1
    for place in found["storage"]:
        assert None in (place["free_bytes"], place["total_bytes"]) or place["free_bytes"] <= place["total_bytes"]


@every_fixture
def test_order_of_devices(name: str) -> None:
    """Devices are numbered as they stand, in PCI order, each slice right after its card and naming it."""
    gpus = document(name)["machine"]["gpus"]
    assert [gpu["index"] for gpu in gpus] == list(range(len(gpus)))
    cards = [gpu for gpu in gpus if gpu["kind"] != "mig"]
    addresses = [gpu["pci_address"] for gpu in cards if gpu["pci_address"]]
    assert addresses == sorted(addresses)
    assert len(set(addresses)) == len(addresses)
    card = None
    for gpu in gpus:
        if gpu["kind"] != "mig":
            card = gpu
            assert gpu["mig"]["parent"] is None
            continue
        assert card is not None
        assert gpu["mig"]["parent"] == card["index"]
        assert gpu["mig"]["profile"]
        assert gpu["memory"]["total_bytes"] < card["memory"]["total_bytes"]
        assert gpu["category"]["name"] == card["category"]["name"]
        assert gpu["category"]["basis"] == card["category"]["basis"]


@every_fixture
def test_figures_have_a_source(name: str) -> None:
    """Every known figure of a device says where it comes from, and nothing unknown claims a source."""
    for gpu in document(name)["machine"]["gpus"]:
        _check_sources(gpu)


@every_fixture
def test_unknown_figures_have_an_issue(name: str) -> None:
    """A figure that the report shows and does not have is named in an issue of that very device."""
    _check_issues(document(name)["machine"])


def test_every_card_of_the_catalogue_can_be_simulated() -> None:
    """The same holds for each card of the catalogue, simulated by its name: category, sources, issues for the rest."""
    for card in all_cards():
        found = gpucheck.simulate(card.name, ram="64GiB", cpu_cores=8)
        data = json.loads(msgspec.json.encode(found))
        assert [gpu["catalogue_id"] for gpu in data["gpus"]] == [card.id]
        assert data["category"]["reasons"], card.name
        _check_sources(data["gpus"][0])
        _check_issues(data)


def _check_sources(gpu: dict[str, Any]) -> None:
    figures = {path: gpu[path] for path in FIGURES}
    for part in ("memory", "flops", "pcie"):
        figures.update({f"{part}.{key}": value for key, value in gpu[part].items()})
    known = {path for path, value in figures.items() if value is not None}
    assert known == set(gpu["sources"]) - {"release_year"}, gpu["name"]
    assert set(gpu["sources"].values()) <= BASES


def _check_issues(found: dict[str, Any]) -> None:
    for gpu in found["gpus"]:
        said = " ".join(issue["detail"] for issue in found["issues"] if issue["source"] == f"gpus[{gpu['index']}]")
        for path in SHOWN:
            if gpu["kind"] == "mig" and path == "tdp_w":
                continue  # a slice has no power limit of its own
            part, _, key = path.rpartition(".")
            value = (gpu[part] if part else gpu)[key]
            assert value is not None or path in said.replace(",", " ").split(), (gpu["index"], path)


@every_fixture
def test_unknown_host_facts_have_an_issue(name: str) -> None:
    """What is not known of processor or memory is named in an issue; so is a state that says nothing."""
    found = document(name)["machine"]
    said = " ".join(f"{issue['source']} {issue['detail']}" for issue in found["issues"])
    for part, keys in {
        "cpu": ("name", "physical_cores", "logical_cores", "usable_cores"),
        "memory": ("total_bytes", "available_bytes", "usable_bytes"),
    }.items():
        for key in keys:
            assert found[part][key] is not None or f"{part}.{key}" in said, f"{part}.{key}"
    for gpu in found["gpus"]:
        assert gpu["state"] == "ok" or gpu["detail"], gpu["index"]
        assert gpu["visible"] is (gpu["hidden_by"] is None)


@every_fixture
def test_categories(name: str) -> None:
    """Every card and the machine have one of the categories, with reasons; a hidden or ill card keeps its own."""
    found = document(name)
    for category in (found["category"], *(gpu["category"] for gpu in found["machine"]["gpus"])):
        assert category["name"] in CATEGORIES
        assert category["basis"] in {"document", "rule"}
        assert category["reasons"]
        assert all(category["reasons"])
    assert found["machine"]["category"] == found["category"]
    cards = [gpu["category"]["name"] for gpu in found["machine"]["gpus"]]
    assert found["category"]["name"] in (cards or ["CPU only"])


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("card-")])
def test_document_cards(name: str) -> None:
    """The recordings of the document's cards get its categories on its own authority."""
    found = document(name)
    assert [gpu["category"]["basis"] for gpu in found["machine"]["gpus"]] == ["document"] * len(
        found["machine"]["gpus"]
    )
    assert (
        found["category"]["name"]
        == {
            **dict.fromkeys(("a100", "h100-sxm", "h200", "gh200", "mi250", "mi300x"), "High-end"),
            **dict.fromkeys(("a40", "a30", "a6000", "v100", "l4", "t4"), "Mid-range"),
            **dict.fromkeys(("k80", "m60", "p100", "a4000"), "Budget"),
            **dict.fromkeys(("rtx-3070", "rtx-4090", "rtx-4000"), "Consumer"),
        }[name.removeprefix("card-")]
    )


def test_all_nineteen_cards_are_there() -> None:
    """There is a fixture for each of the document's nineteen cards."""
    assert sum(name.startswith("card-") for name in NAMES) == 19


@every_fixture
def test_fit_adds_up(name: str) -> None:
    """The parts of an answer make its total, which lies in its range; an answer that fits has the room."""
    for answer in document(name)["fit"]:
        memory, where = answer["memory"], (answer["model"], answer["quant"])
        parts = ("weights_bytes", "kv_cache_bytes", "compute_bytes", "overhead_bytes")
        assert sum(memory[part] for part in parts) == memory["total_bytes"], where
        assert memory["low_bytes"] <= memory["total_bytes"] <= memory["high_bytes"], where
        if answer["fits"] in {"yes", "tight"}:
            assert memory["total_bytes"] <= memory["available_bytes"], where
        placement = answer["placement"]
        if answer["fits"] in {"yes", "tight", "partial"}:
            assert placement["gpu_bytes"] + placement["host_bytes"] == memory["total_bytes"], where
        else:
            assert placement["mode"] == "none", where
        usable = {gpu.index for gpu in machine(name).usable_gpus}
        assert set(placement["devices"]) <= usable, where


@every_fixture
def test_two_runs_print_the_same(name: str) -> None:
    """Equal facts give equal bytes."""
    first, second = (run("--machine", fixture(name), "--json").out for _ in range(2))
    assert first == second


@every_fixture
def test_a_recorded_replay_replays_the_same(name: str) -> None:
    """What an inspection of a replay asked, recorded again, gives the same report; redacted, the redacted one."""
    recording = msgspec.json.decode((ROOT / "fixtures" / f"{name}.json").read_bytes(), type=Recording)
    host = Host(ReplaySource(recording), "recording")
    inspect_host(host)
    again = gpucheck.replay(_reread(make_recording(host.answers, "test", "again", None)))
    assert report_of(again) == report(name)
    redactor = Redactor(key=b"a key of the test")
    masked = gpucheck.replay(_reread(make_recording(host.answers, "test", "again", redactor)))
    expected = redactor.answer("env", "report", Answer(document_json(report(name))))[1].value
    assert document_json(report_of(masked)) == expected


@every_fixture
@pytest.mark.parametrize("width", [45, 80, 120])
def test_text_keeps_to_its_width(name: str, width: int) -> None:
    """No line of the text is wider than the terminal, ends in blanks or holds anything but printable characters."""
    for encoding, verbose in (("utf-8", False), ("ascii", True)):
        text = page(report(name), width, encoding=encoding, verbose=verbose)
        lines = text.removesuffix("\n").split("\n")
        assert max(map(len, lines)) <= width, encoding
        assert all(line.isprintable() and line == line.rstrip() for line in lines), encoding
        assert text.isascii() is (encoding == "ascii")


@every_fixture
def test_recordings_say_what_they_are(name: str) -> None:
    """A fixture is marked as recorded or synthetic, says where it comes from, and is redacted."""
    found = json.loads((ROOT / "fixtures" / f"{name}.json").read_text(encoding="utf-8"))
    assert found["kind"] in {"recorded", "synthetic"}
    assert len(found["origin"]) > 10
    assert found["redacted"] is True
    assert (found["format"], found["format_version"]) == ("gpucheck-recording", 1)
    assert all(
        ("value" in answer) != ("error" in answer) for part in found["answers"].values() for answer in part.values()
    )


def test_there_is_a_real_machine() -> None:
    """At least one fixture was recorded, not written."""
    kinds = [json.loads((ROOT / "fixtures" / f"{name}.json").read_bytes())["kind"] for name in NAMES]
    assert "recorded" in kinds


def _validate(kind: str, found: Any) -> None:
    text = (ROOT / "gpucheck" / "report" / "schemas" / f"{kind}.json").read_text(encoding="utf-8")
    jsonschema.Draft202012Validator(json.loads(text)).validate(found)


def _reread(recording: Recording) -> Recording:
    return msgspec.json.decode(to_json(recording), type=Recording)


def _missing(wanted: Any, found: Any, path: str) -> Iterator[str]:
    """Paths of `wanted` that `found` lacks."""
    if isinstance(wanted, list):
        for number, item in enumerate(found):
            yield from _missing(wanted[0], item, f"{path}[{number}]")
    elif isinstance(wanted, dict):
        for key, below in wanted.items():
            if key not in found:
                yield f"{path}.{key}"
            else:
                yield from _missing(below, found[key], f"{path}.{key}")


def _leaves(found: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value that is no container, with its path."""
    items = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in items:
        yield from _leaves(value, f"{path}.{key}")
    if not isinstance(found, dict | list):
        yield path, found
