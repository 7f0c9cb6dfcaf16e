"""What importing and starting gpucheck loads: time is kept by loading nothing that is not used."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.running import fixture

HEAVY = {"msgspec", "click", "rich", "psutil", "pynvml", "cpuinfo", "torch", "numpy", "subprocess", "json", "asyncio"}


def _modules(script: str) -> set[str]:
    """Top-level names of the modules that a script leaves loaded."""
    code = f"import sys\n{script}\nprint('\\n', sorted(sys.modules), sep='', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    found = json.loads(done.stderr.strip().splitlines()[-1].replace("'", '"'))
    return {name if name.startswith("gpucheck") else name.partition(".")[0] for name in found}


def _started(*arguments: str) -> set[str]:
    return _modules(f"from gpucheck.cli import run; assert run({list(arguments)!r}) == 0")


def test_import_loads_nothing() -> None:
    """`import gpucheck` loads no library and no other module of its own."""
    bare, found = _modules("pass"), _modules("import gpucheck")
    assert not (found - bare) & HEAVY
    assert {name for name in found if name.startswith("gpucheck")} == {"gpucheck"}
    assert found - bare - set(sys.stdlib_module_names) == {"gpucheck"}


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_version_and_help_load_click_only(argument: str) -> None:
    """`--version` and `--help` inspect nothing and load none of the machinery."""
    found = _started(argument)
    assert not found & (HEAVY - {"click", "json", "subprocess", "asyncio"})
    assert not {name for name in found if name.startswith(("gpucheck.host", "gpucheck.probes", "gpucheck.machine"))}


def test_json_loads_no_rich() -> None:
    """`--json` does not load the library that draws text, nor any command but its own."""
    found = _started("--machine", fixture("card-t4"), "--json")
    assert not found & {"rich", "psutil", "pynvml", "cpuinfo", "torch", "numpy", "asyncio", "subprocess"}
    assert "gpucheck.cli.fit" not in found
    assert "gpucheck.report.text" not in found


def test_a_machine_without_a_gpu_needs_no_catalogue() -> None:
    """The catalogue's modules of other vendors' probes stay home where there is nothing for them."""
    found = _started("--machine", fixture("container-4gib"), "--json")
    assert not {
        name for name in found if name in {"gpucheck.probes.amd", "gpucheck.probes.intel", "gpucheck.machine.gpus"}
    }


@pytest.mark.parametrize(("name", "loaded"), [("container-4gib", False), ("card-t4", False), ("torch-rtx-40", True)])
def test_the_table_of_builds_is_loaded_for_torch_alone(name: str, loaded: bool) -> None:
    """What GPU code torch's wheels carry is looked up only where a torch is installed."""
    tables = {"gpucheck.catalog.torch_builds", "gpucheck.machine.software", "gpucheck.assess.findings.frameworks"}
    assert tables & _started("--machine", fixture(name), "--json") == (tables if loaded else set())


def test_this_machine_is_inspected_without_frameworks() -> None:
    """Inspecting this machine from a program loads no framework, and nothing that only the command line needs."""
    found = _modules("import gpucheck; gpucheck.inspect()")
    assert not found & {"torch", "numpy", "tensorflow", "jax", "rich", "click"}


def test_a_report_of_this_machine_masks_nothing() -> None:
    """The hashes that mask names in recordings, 9 ms of start-up, stay home where nothing is recorded."""
    assert not _started("--json") & {"hashlib", "secrets", "gpucheck.host.redact", "gpucheck.host.recording"}
