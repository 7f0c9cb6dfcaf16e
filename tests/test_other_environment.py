"""An isolated gpucheck looks at another Python environment, by `--python` and by `VIRTUAL_ENV`, and imports nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import gpucheck

REAL = "GPUCHECK_TORCH_PYTHON"  # names an interpreter whose environment has a torch that can be imported
COMMAND = "https://download.pytorch.org/whl/cu128"


def isolated(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, which sees neither this environment's variables nor this folder."""
    kept = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "CONDA_PREFIX"}}
    return subprocess.run(
        [sys.executable, "-I", "-m", "gpucheck", *arguments],
        capture_output=True, text=True, check=False, cwd="/", env=kept | variables, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real virtual environment with what an import of a CPU build reads first, laid by this test: no real torch.

    Its `__init__.py` leaves a trace when it is run.
    """
    root = tmp_path_factory.mktemp("project") / "venv"
    venv.create(root, with_pip=False)
    (site,) = root.glob("lib/python3*/site-packages")
    tag = f"cpython-{sys.version_info[0]}{sys.version_info[1]}"
    files = {
        "torch-2.9.1+cpu.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.9.1+cpu\n",
        "torch-2.9.1+cpu.dist-info/INSTALLER": "pip\n",
        "torch/__init__.py": f"open({str(root / 'was run')!r}, 'w')\n",
        "torch/version.py": "from typing import Optional\n__version__ = '2.9.1+cpu'\ndebug = False\n"
                            "cuda: Optional[str] = None\nhip: Optional[str] = None\n",
        f"torch/_C.{tag}-x86_64-linux-gnu.so": "",
        "torch/lib/libtorch_cpu.so": "",
    }  # fmt: skip
    record = "".join(f"{name},sha256=,\n" for name in files)
    for name, text in {**files, "torch-2.9.1+cpu.dist-info/RECORD": record}.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
    return root


def chosen(root: Path, by: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Arguments and variables that mean an environment."""
    if by == "--python":
        return ("--python", str(root / "bin" / "python")), {}
    return (), {by: str(root)}


@pytest.mark.parametrize("by", ["--python", "VIRTUAL_ENV", "CONDA_PREFIX"])
def test_a_cpu_build_is_told(made: Path, by: str) -> None:
    """The report has torch's CPU build, the environment and who chose it; nothing of the environment was run."""
    arguments, variables = chosen(made, by)
    ran = isolated("--json", *arguments, **variables)
    machine = json.loads(ran.stdout)["machine"]
    (torch,) = machine["frameworks"]
    assert (torch["name"], torch["version"], torch["build"], torch["broken"]) == ("torch", "2.9.1", "cpu", None)
    assert torch["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert (machine["environment"]["path"], machine["environment"]["chosen_by"]) == (str(made), by)
    assert not (made / "was run").exists()


def test_the_report_for_people(made: Path) -> None:
    """An environment that was asked for is shown on a machine without a GPU too."""
    shown = isolated("--python", str(made / "bin" / "python")).stdout
    assert "torch 2.9.1+cpu" in shown
    assert "(--python)" in shown


def test_with_a_simulated_card(made: Path) -> None:
    """--simulate with --python holds that environment against the card, and the command changes that environment."""
    python = str(made / "bin" / "python")
    ran = isolated(
        "doctor", "--simulate", "RTX 4090", "--ram", "64GiB", "--cpu-cores", "8", "--python", python, "--json"
    )
    (finding,) = json.loads(ran.stdout)["findings"]
    command = f"{python} -m pip install --force-reinstall torch==2.9.1 --index-url {COMMAND}"
    assert (finding["code"], finding["remedy"]["commands"]) == ("GC301", [command])


def test_a_simulated_machine_is_the_same_everywhere(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --python nothing of this machine is in a simulated one, whatever environment is active."""
    monkeypatch.setenv("VIRTUAL_ENV", str(made))
    machine = gpucheck.simulate("RTX 4090", ram="64GiB", cpu_cores=8)
    assert (machine.frameworks, machine.environment, machine.programs) == ((), None, ())
    with_it = gpucheck.simulate("RTX 4090", ram="64GiB", cpu_cores=8, python=str(made / "bin" / "python"))
    assert [(one.build, one.usable) for one in with_it.frameworks] == [("cpu", False)]
    assert with_it.gpus == machine.gpus


def test_a_simulated_machine_and_no_python() -> None:
    """A path that is no Python is told, and is no environment without frameworks."""
    machine = gpucheck.simulate("RTX 4090", ram="64GiB", cpu_cores=8, python="/nowhere/bin/python")
    assert [(issue.code, issue.source) for issue in machine.issues] == [("not_found", "/nowhere/bin/python")]


@pytest.mark.skipif(REAL not in os.environ, reason=f"{REAL} names no interpreter with a real torch")
class TestRealTorch:
    """The same against a torch that is asked itself."""

    def test_what_it_says_itself(self) -> None:
        """Version and build are what an import of it says; an isolated gpucheck finds both by file alone."""
        python = os.environ[REAL]
        said = subprocess.run(
            [python, "-c", "import torch; print(torch.__version__, torch.version.cuda, torch.version.hip)"],
            capture_output=True, text=True, check=True, timeout=300,
        ).stdout.split()  # fmt: skip
        machine = json.loads(isolated("--json", "--python", python).stdout)["machine"]
        (torch,) = (one for one in machine["frameworks"] if one["name"] == "torch")
        assert torch["version"] == said[0].partition("+")[0]
        assert torch["build"] == (said[0].partition("+")[2] or torch["build"])
        assert (torch["build"] == "cpu") == (said[1:] == ["None", "None"])
        assert torch["broken"] is None

    def test_its_build_against_a_card(self) -> None:
        """A CPU build beside a simulated card is GC301, another build is not."""
        python = os.environ[REAL]
        machine = gpucheck.simulate("RTX 4090", ram="64GiB", cpu_cores=8, python=python)
        (torch,) = (one for one in machine.frameworks if one.name == "torch")
        codes = [finding.code for finding in gpucheck.problems(machine)]
        assert ("GC301" in codes) == (torch.build == "cpu")
