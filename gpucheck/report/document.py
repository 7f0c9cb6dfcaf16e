"""The documents that gpucheck prints: one typed object per command, and its JSON form.

Every document begins with `format_version`, `kind` and `tool`. Added fields raise the minor version, changed
ones the major; readers ignore keys that they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gpucheck.assess.entry import CardEntry
from gpucheck.assess.findings import Finding
from gpucheck.assess.findings.pages import Explanation
from gpucheck.assess.fit import FitAnswer
from gpucheck.assess.requirements.outcome import Requirements
from gpucheck.assess.torch_answer import TorchBuild
from gpucheck.machine.types import Machine, MachineCategory
from gpucheck.models.entry import ModelEntry
from gpucheck.probes.facts import Framework, ProbeIssue

FORMAT_VERSION = "1.0"


class Tool(Struct, frozen=True):
    """Who wrote the document."""

    name: str
    version: str


class Report(Struct, frozen=True, kw_only=True):
    """`gpucheck`: the whole answer for one machine."""

    format_version: str = FORMAT_VERSION
    kind: Literal["report"] = "report"
    tool: Tool
    machine: Machine
    category: MachineCategory
    fit: tuple[FitAnswer, ...]
    findings: tuple[Finding, ...]


class FitReport(Struct, frozen=True, kw_only=True):
    """`gpucheck fit MODEL…`: the answers for the named models."""

    format_version: str = FORMAT_VERSION
    kind: Literal["fit"] = "fit"
    tool: Tool
    machine: Machine
    category: MachineCategory
    fit: tuple[FitAnswer, ...]


class DoctorReport(Struct, frozen=True, kw_only=True):
    """`gpucheck doctor`: the findings, the worst first, and what could not be looked at or was assumed."""

    format_version: str = FORMAT_VERSION
    kind: Literal["doctor"] = "doctor"
    tool: Tool
    findings: tuple[Finding, ...]
    issues: tuple[ProbeIssue, ...]
    frameworks: tuple[Framework, ...] = ()  # those that a deep check has tried


class ExplainReport(Struct, frozen=True, kw_only=True):
    """`gpucheck explain [CODE…]`: the pages of the named codes, or of all."""

    format_version: str = FORMAT_VERSION
    kind: Literal["explain"] = "explain"
    tool: Tool
    pages: tuple[Explanation, ...]


class TorchReport(Struct, frozen=True, kw_only=True):
    """`gpucheck torch`: the build of PyTorch that suits the machine, or why there is none."""

    format_version: str = FORMAT_VERSION
    kind: Literal["torch"] = "torch"
    tool: Tool
    torch: TorchBuild


class CatalogueReport(Struct, frozen=True, kw_only=True):
    """`gpucheck gpus [QUERY]`: the cards that match."""

    format_version: str = FORMAT_VERSION
    kind: Literal["gpus"] = "gpus"
    tool: Tool
    gpus: tuple[CardEntry, ...]


class ModelsReport(Struct, frozen=True, kw_only=True):
    """`gpucheck models [QUERY]`: the models that match."""

    format_version: str = FORMAT_VERSION
    kind: Literal["models"] = "models"
    tool: Tool
    models: tuple[ModelEntry, ...]


class DevicesReport(Struct, frozen=True, kw_only=True):
    """`gpucheck devices`: the GPUs to take and how to keep a process to them; empty where the answer is not "met"."""

    format_version: str = FORMAT_VERSION
    kind: Literal["devices"] = "devices"
    tool: Tool
    answer: Literal["met", "not_met", "unknown"]
    needed: str
    devices: tuple[int, ...] = ()  # `gpus[].index`, the first choice first
    environment: Mapping[str, str] = {}  # variables for the process
    torch_devices: tuple[str, ...] = ()  # what PyTorch then calls them
    reasons: tuple[str, ...]


class RequireReport(Struct, frozen=True, kw_only=True):
    """`gpucheck require`: the answer to each requirement; `machine` is there with -v."""

    format_version: str = FORMAT_VERSION
    kind: Literal["require"] = "require"
    tool: Tool
    requirements: Requirements
    machine: Machine | msgspec.UnsetType = msgspec.UNSET


class ErrorDetail(Struct, frozen=True):
    """What went wrong, in one sentence; near or possible names in `candidates`."""

    code: str
    message: str
    candidates: tuple[str, ...] = ()


class ErrorReport(Struct, frozen=True, kw_only=True):
    """What `--json` prints in place of a document when the command could not be carried out."""

    format_version: str = FORMAT_VERSION
    kind: Literal["error"] = "error"
    tool: Tool
    error: ErrorDetail


Document = (
    Report | FitReport | DoctorReport | ExplainReport | TorchReport | CatalogueReport | ModelsReport | ErrorReport
    | DevicesReport | RequireReport
)  # fmt: skip
DOCUMENTS: dict[str, type[Document]] = {
    "report": Report, "fit": FitReport, "doctor": DoctorReport, "explain": ExplainReport, "torch": TorchReport,
    "gpus": CatalogueReport, "models": ModelsReport, "error": ErrorReport, "devices": DevicesReport,
    "require": RequireReport,
}  # fmt: skip


RECORDING, REQUIREMENTS = "recording", "requirements"
SCHEMAS = (*DOCUMENTS, RECORDING, REQUIREMENTS)
"""What has a schema: every document, a recording, and the requirements file."""


def to_json(document: Document) -> str:
    """The document as indented JSON, keys in the order of the types, so that equal facts give equal text."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def schema(name: str) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of one of `SCHEMAS`: of a document or a recording from its type.

    Raises:
        KeyError: there is no document of that name.
    """
    if name == REQUIREMENTS:
        from gpucheck.report.requirements_schema import requirements_schema

        return requirements_schema()
    found = _settled(msgspec.json.schema(_recording() if name == RECORDING else DOCUMENTS[name]))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"gpucheck {name}", **found}


def _recording() -> type[Struct]:
    """The type of recordings, whose module loads the hashes that mask names: no report needs them."""
    from gpucheck.host.recording import Recording

    return Recording


def _settled(part: Any) -> Any:
    """A schema with the same text everywhere.

    Releases of msgspec differ in the order of alternatives (null comes last here), those of Python in whether
    docstrings keep the indentation of their lines.
    """
    if isinstance(part, dict):
        found = {key: _settled(value) for key, value in part.items()}
        if isinstance(found.get("description"), str):
            found["description"] = cleandoc(found["description"])
        if "anyOf" in found:
            found["anyOf"].sort(key=lambda alternative: alternative == {"type": "null"})
        return found
    return [_settled(item) for item in part] if isinstance(part, list) else part
