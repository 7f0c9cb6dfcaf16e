"""The public interface is what it is: a name that goes, changes its arguments, or comes without types is noticed here.

README's "What stays" promises these names. One is added to the list when it is added to the package, and leaves it only
as that section says.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import typing
from typing import Any

import msgspec
import pytest

import gpucheck
from tests.running import ROOT

FUNCTIONS = {
    "estimate": "model quant context batch engine options gpus task",
    "fit": "machine model quant context engine batch options max_context task",
    "fits": "machine context",
    "inspect": "python kernel_log deep deep_limit_s",
    "largest": "machine quant context engine batch options task",
    "load": "path python kernel_log deep",
    "model": "reference",
    "pick_devices": "count min_free min_vram min_compute_capability vendor prefer machine",
    "problems": "machine",
    "record": "origin redact deep deep_limit_s",
    "replay": "recording python kernel_log deep",
    "require": "machine file profile requirements",
    "simulate": "spec ram cpu_cores python",
    "torch_build": "machine version python_version driver system arch",
}
TYPES = {
    "Category", "Cpu", "Finding", "FitAnswer", "Gpu", "Machine", "MachineCategory", "Memory", "ModelReference", "Need",
    "Outcome", "Picked", "Platform", "ProbeIssue", "Recording", "Remedy", "Requirements", "TorchBuild",
}  # fmt: skip
ERRORS = {
    "AmbiguousNameError", "GpucheckError", "RecordingError", "RequirementsFileError", "RequirementsNotMetError",
    "UnknownNameError", "UsageError",
}  # fmt: skip
PROGRAM = ROOT / "tests" / "typed" / "program.py"


def test_the_names() -> None:
    """The package offers these names and no others."""
    assert set(gpucheck.__all__) == {*FUNCTIONS, *TYPES, *ERRORS, "__version__"}


@pytest.mark.parametrize(("name", "parameters"), FUNCTIONS.items())
def test_functions(name: str, parameters: str) -> None:
    """A function has these arguments in this order, all and its result typed, and its page says what it raises."""
    function = getattr(gpucheck, name)
    signature = inspect.signature(function)
    assert list(signature.parameters) == parameters.split()
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())
    assert function.__doc__
    assert function.__doc__.strip().splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("name", sorted(TYPES))
def test_types(name: str) -> None:
    """A type is frozen, its fields are typed, and it and its properties are documented."""
    found = getattr(gpucheck, name)
    assert issubclass(found, msgspec.Struct)
    assert found.__struct_config__.frozen
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}(")
    assert set(found.__struct_fields__) <= set(typing.get_type_hints(found))
    for public, value in vars(found).items():
        if isinstance(value, property) or (inspect.isfunction(value) and not public.startswith("_")):
            assert inspect.getdoc(value), public


def test_only_named_types_come_back() -> None:
    """What a function returns is one of the public types, or made of them."""
    modules = _names_for_types()
    for name in FUNCTIONS:
        returned = inspect.signature(getattr(gpucheck, name)).return_annotation
        assert _parts(eval(returned, modules)) <= {getattr(gpucheck, each) for each in TYPES}, name


def test_the_typed_program_uses_every_name() -> None:
    """The program that type checkers are given uses the whole interface."""
    tree = ast.parse(PROGRAM.read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gpucheck"
    }
    assert used == set(gpucheck.__all__)


def test_the_typed_program_runs() -> None:
    """What type checkers accept also works."""
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def _names_for_types() -> dict[str, Any]:
    return {name: getattr(gpucheck, name) for name in TYPES}


def _parts(found: Any) -> set[Any]:
    """The types in an annotation such as `tuple[Finding, ...]`."""
    inside = [each for each in typing.get_args(found) if each is not Ellipsis]
    return set().union(*(_parts(each) for each in inside)) if inside else {found}
