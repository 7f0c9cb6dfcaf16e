"""The committed answers of llama.cpp's quantizer."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "quant_oracle.py"


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that compares."""
    spec = importlib.util.spec_from_file_location("quant_oracle", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "quant_oracle", module)
    spec.loader.exec_module(module)
    return module


def test_every_tensor_has_the_type_that_llama_cpp_gave_it(
    oracle: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """All files that llama.cpp quantized, in every mix that it makes of each shape: the same types throughout."""
    assert oracle.main(["--check"]) == 0
    assert "files have the same type" in capsys.readouterr().out
    text = oracle.RESULTS.read_text(encoding="utf-8")
    assert {line.split(",")[0] for line in text.splitlines()[1:]} == {case.name for case in oracle.CASES}
