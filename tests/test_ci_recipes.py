"""The action and every recipe of docs/ci.md, run as CI runs them on an H100, a T4 and a machine whose NVML fails."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Set
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import gpucheck
from tests.ci_jobs import GITHUB_SHELL, Annotation, GithubJob, Job, action, annotated, dotenv, junit, recipes
from tests.running import ROOT

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the scripts are for bash")

# A T4 does not meet the last three; NVML alone knows what they and the first ask for.
REQUIREMENTS = """# What the job needs.
min_gpus = 1
min_driver = "550"

min_vram = "24GiB"
min_compute_capability = "8.0"
# Half precision with the range of single precision.
dtypes = ["bf16"]

[profile.large]
min_total_vram = "70GiB"

[profile.small]
min_vram = "16GiB"
"""
NEEDED = {"min_gpus", "min_driver", "min_vram", "min_compute_capability", "dtypes"}
OF_A_BETTER_CARD = frozenset({"min_vram", "min_compute_capability", "dtypes"})
H100, T4, BROKEN = "card-h100-sxm", "card-t4", "driver-mismatch"


class Case(msgspec.Struct, frozen=True):
    """A machine, the gate's exit code and answer there, and which requirements are not met or not determined."""

    machine: str
    code: int
    answer: str
    not_met: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    @property
    def wrong(self) -> frozenset[str]:
        """The requirements that are not met for sure."""
        return self.not_met | self.unknown


CASES = [
    pytest.param(Case(H100, 0, "met"), id="h100"),
    pytest.param(Case(T4, 1, "not_met", not_met=OF_A_BETTER_CARD), id="t4"),
    pytest.param(Case(BROKEN, 3, "unknown", unknown=OF_A_BETTER_CARD | {"min_gpus"}), id="nvml-fails"),
]
# What is known of each machine; where NVML fails the GPU is known, and whether a process can use it is not.
FACTS = {
    H100: {"gpu_count": "1", "gpu_name": "NVIDIA H100 80GB HBM3", "compute_capability": "9.0", "category": "High-end"},
    T4: {"gpu_count": "1", "gpu_name": "Tesla T4", "compute_capability": "7.5", "category": "Mid-range"},
    BROKEN: {"category": "Consumer"},
}
MEASURED = {"vram_bytes", "torch_index"}


def line_of(key: str) -> int:
    """The line of a key in the file, counted from 1; the first where there are several."""
    return next(number for number, line in enumerate(REQUIREMENTS.splitlines(), 1) if line.startswith(f"{key} "))


def option(key: str) -> str:
    """A key as the text for people spells it."""
    return key.replace("_", "-")


def expected(not_met: Set[str], unknown: Set[str]) -> set[Annotation]:
    """An error for each that is not met, a warning for each that is not determined, at their lines."""
    return {Annotation("error", "gpucheck.toml", line_of(key), f"{key} is not met") for key in not_met} | {
        Annotation("warning", "gpucheck.toml", line_of(key), f"{key} could not be determined") for key in unknown
    }


def check_facts(found: dict[str, str], machine: str, answer: str) -> None:
    """The facts, of whatever output, are those of the machine, and those that are not known are not there."""
    measured = {name: found[name] for name in MEASURED if found.get(name)}
    assert {name: value for name, value in found.items() if value and name not in MEASURED | {"details"}} == {
        "answer": answer,
        **FACTS[machine],
    }
    if machine == BROKEN:
        assert not measured
    else:
        assert re.fullmatch(r"cu\d{3}", measured["torch_index"])
        assert int(measured["vram_bytes"]) > (14 << 30)


def check_summary(page: str, not_met: Set[str], unknown: Set[str]) -> None:
    """The table of the summary has each requirement once, with its answer."""
    rows = re.findall(r"^\| (?:❌|❓|✅) ([a-z ]+) \| (\S+) \|", page, re.MULTILINE)
    wanted = {key: "not met" if key in not_met else "unknown" if key in unknown else "met" for key in NEEDED}
    assert {key.replace("\\", ""): answer for answer, key in rows} == wanted
    assert len(rows) == len(NEEDED)


def check_junit(path: Path, not_met: Set[str], unknown: Set[str]) -> None:
    """Each requirement is a test case; what is wrong with one names its line."""
    found = junit(path)
    assert {kind: set(keys) for kind, keys in found.items()} == {
        "passed": NEEDED - not_met - unknown, "failure": not_met, "error": unknown,
    }  # fmt: skip
    for key, said in {**found["failure"], **found["error"]}.items():
        assert f"gpucheck.toml, line {line_of(key)}" in said


def job(folder: Path, machine: str, kind: type[Job] = Job) -> Any:
    """A job whose checkout has the file."""
    made = kind(folder, machine)
    (made.checkout / "gpucheck.toml").write_text(REQUIREMENTS, encoding="utf-8")
    return made


def installed(text: str, folder: Path, job: Job) -> str:
    """A recipe with the paths of a node replaced by those of a folder."""
    programs = folder / "opt" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(job.programs / "gpucheck", programs)
    features = folder / "features.d"
    features.mkdir()
    for path, stands_for in {
        "/opt/gpucheck/bin": programs,
        "/etc/gpucheck.toml": job.checkout / "gpucheck.toml",
        "/etc/kubernetes/node-feature-discovery/features.d": features,
    }.items():
        text = text.replace(path, str(stands_for))
    return text


def distribution() -> str:
    """The name under which this project is installed."""
    project: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    return project


class TestAction:
    """action.yml and its script."""

    @pytest.mark.parametrize("case", CASES)
    def test_recipe(self, case: Case, tmp_path: Path) -> None:
        """Exit code, annotations, summary and outputs are right, and later steps run where the gate is open."""
        runner = job(tmp_path, case.machine, GithubJob)
        ran = runner.run(yaml.safe_load(recipes()["github-action"])["jobs"]["train"]["steps"])
        assert ran[0].code == case.code, ran[0].err
        assert annotated(ran[0].out) == expected(case.not_met, case.unknown)
        check_summary(runner.summary.read_text(encoding="utf-8"), case.not_met, case.unknown)
        check_facts(runner.steps["gpu"], case.machine, case.answer)
        assert len(runner.steps["gpu"]["details"].splitlines()) == len(NEEDED)
        later = [one.out for one in ran[1:]]
        index = runner.steps["gpu"]["torch_index"]
        assert later == ([f"1 x {FACTS[case.machine]['gpu_name']}, torch from {index}\n"] if case.code == 0 else [])

    def test_profile_and_requirements(self, tmp_path: Path) -> None:
        """A profile changes what it names, and options say what the file does not."""
        runner = job(tmp_path, T4, GithubJob)
        ran = runner.action({"profile": "small"})
        assert ran.code == 1, ran.err
        assert annotated(ran.out) == expected({"min_compute_capability", "dtypes"}, set())
        both = runner.action({"file": "gpucheck.toml", "profile": "large", "require": "--min-compute-capability 7.5"})
        assert both.code == 1, both.err
        titles = {one.title.split()[0] for one in annotated(both.out)}
        assert titles == {"min_vram", "dtypes", "min_total_vram"}

    @pytest.mark.parametrize(
        ("wanted", "code"),
        [
            ('--min-vram "16 GiB"\n--gpu "Tesla T4"\n', 0),
            (r"--min-vram 16\ GiB --min-driver '550'", 0),
            ("--min-vram 24GiB", 1),
            ("   \n", 1),  # nothing: the file's
        ],
    )
    def test_words_are_split_as_in_a_shell(self, wanted: str, code: int, tmp_path: Path) -> None:
        """Quotes and backslashes keep a value together; lines and blanks separate."""
        runner = job(tmp_path, T4, GithubJob)
        if code == 0:
            (runner.checkout / "gpucheck.toml").unlink()
        ran = runner.action({"require": wanted})
        assert ran.code == code, ran.out + ran.err

    @pytest.mark.parametrize(
        "evil", ["$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "; touch pwned", "--min-vram\n$(touch pwned)"]
    )
    @pytest.mark.parametrize("name", ["require", "args", "file", "profile", "fail-on-unknown"])
    def test_no_input_is_run(self, name: str, evil: str, tmp_path: Path) -> None:
        """What an input holds is an argument that is wrong, not a command."""
        runner = job(tmp_path, H100, GithubJob)
        ran = runner.action({name: evil})
        assert ran.code == 2, ran.out + ran.err
        assert sorted(path.name for path in runner.checkout.iterdir()) == ["gpucheck.toml"]

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"fail-on-unknown": "perhaps"}, "input fail-on-unknown: expected true or false"),
            ({"require": '--gpu "T4'}, "input require: a quote is not closed"),
            ({"args": "it's"}, "input args: a quote is not closed"),
        ],
    )
    def test_a_wrong_input_is_a_usage_error(self, given: dict[str, str], said: str, tmp_path: Path) -> None:
        """The message is an annotation, and names the input."""
        ran = job(tmp_path, H100, GithubJob).action(given)
        assert (ran.code, ran.out) == (2, f"::error title=gpucheck did not run::{said}\n")

    @pytest.mark.parametrize(
        ("machine", "given", "code"),
        [
            (BROKEN, {"fail-on-unknown": "false"}, 0),
            (BROKEN, {"fail-on-unknown": "true"}, 3),
            (BROKEN, {"args": "--strict"}, 1),
            (T4, {"fail-on-unknown": "false"}, 1),
        ],
    )
    def test_what_is_not_determined(self, machine: str, given: dict[str, str], code: int, tmp_path: Path) -> None:
        """It fails the step unless the job says otherwise, which does not let pass what is unmet."""
        ran = job(tmp_path, machine, GithubJob).action(given)
        assert ran.code == code, ran.out + ran.err

    def test_an_installed_gpucheck_that_is_not_there(self, tmp_path: Path) -> None:
        """A wrong GPUCHECK_COMMAND is a mistake of the job's, and nothing is installed in its place."""
        ran = job(tmp_path, H100, GithubJob).action({}, GPUCHECK_COMMAND="/no/such/gpucheck")
        assert (ran.code, ran.out.splitlines()[0]) == (
            2,
            "::error title=gpucheck did not run::GPUCHECK_COMMAND is no command that can be run",
        )

    def test_whose_packages_are_looked_at(self, tmp_path: Path) -> None:
        """The active environment's, without one the PATH's, before both the input's, and what `args` say before all."""
        runner = job(tmp_path, H100, GithubJob)
        runner.program("gpucheck", '#!/bin/sh\necho "$@"\n')
        wanted = "require --format github"
        here = f"--python {runner.programs / 'python3'}"
        assert runner.action({}).out == f"{wanted} {here}\n"
        assert runner.action({}, VIRTUAL_ENV="/home/me/venv").out == f"{wanted}\n"
        assert runner.action({}, CONDA_PREFIX="/home/me/conda").out == f"{wanted}\n"
        assert runner.action({"python": "my python"}, VIRTUAL_ENV="/v").out == f"{wanted} --python my python\n"
        assert runner.action({"args": "--python x"}).out == f"{wanted} {here} --python x\n"

    def test_without_a_python_nothing_is_asked(self, tmp_path: Path) -> None:
        """Where no Python can make an environment the step fails as a usage error does, and says what to do."""
        runner = job(tmp_path, H100, GithubJob)
        for name in ("python3", "python", "python3.11", "python3.12", "python3.13"):
            runner.program(name, "#!/bin/sh\nexit 1\n")
        ran = runner.action({}, GPUCHECK_COMMAND="")
        assert ran.code == 2
        assert ran.out.startswith("::error title=gpucheck did not run::no Python from 3.11 on")

    @pytest.mark.parametrize(("version", "what"), [("", str(ROOT)), ("1.2.3", f"{distribution()}==1.2.3")])
    def test_what_is_installed(self, version: str, what: str, tmp_path: Path) -> None:
        """The checkout of the action, or a version from the index; a pip that fails is not a requirement unmet."""
        runner = job(tmp_path, H100, GithubJob)
        log = tmp_path / "python.log"
        runner.program(
            "python3",
            '#!/bin/sh\n[ "$1" = -c ] && exit\n'
            '[ "$1 $2" = "-m venv" ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && exit\n'
            f'echo "$@" >> "{log}"; exit 1\n',
        )
        ran = runner.action({"version": version}, GPUCHECK_COMMAND="")
        assert (ran.code, ran.out) == (2, "::error title=gpucheck did not run::pip could not install gpucheck\n")
        assert log.read_text(encoding="utf-8").split()[-1] == what

    def test_install_from_the_checkout(self, tmp_path: Path) -> None:
        """The script installs this checkout for real, and the installed gpucheck answers."""
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(tmp_path), "hatchling"]
        if subprocess.run(pip, capture_output=True, timeout=60, check=False).returncode:
            pytest.skip("no package index answers")
        runner = job(tmp_path, T4, GithubJob)
        runner.environment |= {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(Path.home())}
        ran = runner.action({}, GPUCHECK_COMMAND="")
        assert ran.code == 1, ran.out + ran.err
        assert annotated(ran.out) == expected(OF_A_BETTER_CARD, set())
        [found] = runner.temp.glob("gpucheck.*/venv/bin/gpucheck")
        version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
        assert gpucheck.__version__ in version

    def test_no_expression_is_in_a_script(self) -> None:
        """Inputs and outputs reach a shell through its environment alone: what they hold cannot become a command."""
        described = [action()["runs"]["steps"]]
        for name in ("github-action", "github-run"):
            described += [one["steps"] for one in yaml.safe_load(recipes()[name])["jobs"].values()]
        scripts = [step["run"] for steps in described for step in steps if "run" in step]
        assert len(scripts) == 4
        assert not [script for script in scripts if "${{" in script]

    def test_every_input_is_used_and_described(self) -> None:
        """Each input is handed to the script, which reads it."""
        described = action()
        [step] = described["runs"]["steps"]
        script = (ROOT / "action" / "run.sh").read_text(encoding="utf-8")
        assert set(step["env"].values()) == {f"${{{{ inputs.{name} }}}}" for name in described["inputs"]}
        assert all(f"${{{name}:" in script for name in step["env"])
        assert all(one["description"] for one in (*described["inputs"].values(), *described["outputs"].values()))


@pytest.mark.parametrize("case", CASES)
class TestRecipes:
    """Recipes that take the requirements from the file, on the three machines."""

    def test_github_run(self, case: Case, tmp_path: Path) -> None:
        """Without the action the step does the same."""
        runner = job(tmp_path, case.machine, GithubJob)
        ran = runner.run(yaml.safe_load(recipes()["github-run"])["jobs"]["train"]["steps"])
        assert ran[0].code == case.code, ran[0].err
        assert annotated(ran[0].out) == expected(case.not_met, case.unknown)
        check_summary(runner.summary.read_text(encoding="utf-8"), case.not_met, case.unknown)
        check_facts(runner.steps["gpu"], case.machine, case.answer)
        assert len(ran) == (2 if case.code == 0 else 1)
        assert runner.installed.read_text(encoding="utf-8") == f"install --quiet {distribution()}\n"

    @pytest.mark.parametrize("shell", [("bash", "-eo", "pipefail"), ("sh", "-e")])
    def test_gitlab(self, shell: tuple[str, ...], case: Case, tmp_path: Path) -> None:
        """The job ends with the gate's code after both reports are written, and a later job has the variables."""
        runner = job(tmp_path, case.machine)
        jobs = yaml.safe_load(recipes()["gitlab"])
        gate, later = jobs["gpu-gate"], jobs["train"]
        variables = {"CI": "true", "GITLAB_CI": "true", "CI_PROJECT_DIR": str(runner.checkout)}
        ran = runner.shell("\n".join(gate["script"]), shell, **variables)
        assert ran.code == case.code, ran.err
        reports = gate["artifacts"]["reports"]
        assert gate["artifacts"]["when"] == "always"
        check_junit(runner.checkout / reports["junit"], case.not_met, case.unknown)
        found = dotenv(runner.checkout / reports["dotenv"])
        check_facts(
            {name.removeprefix("GPUCHECK_").lower(): value for name, value in found.items()}, case.machine, case.answer
        )
        assert all(option(key) in ran.out for key in case.wrong)  # the log is for people
        assert runner.installed.read_text(encoding="utf-8") == f"install --quiet {distribution()}\n"
        if case.code == 0:
            said = runner.shell("\n".join(later["script"]), shell, **found)
            assert said.out == f"1 x NVIDIA H100 80GB HBM3, torch from {found['GPUCHECK_TORCH_INDEX']}\n"

    def test_jenkins(self, case: Case, tmp_path: Path) -> None:
        """The shell step fails with the gate's code, and the file of the junit step is there."""
        runner = job(tmp_path, case.machine)
        text = recipes()["jenkins"]
        [script], [report] = re.findall(r"sh '''(.*?)'''", text, re.DOTALL), re.findall(r"junit '(.*?)'", text)
        assert "\\" not in script  # an escape of Groovy
        ran = runner.shell(script, ("sh", "-xe"), JENKINS_URL="http://localhost/", WORKSPACE=str(runner.checkout))
        assert ran.code == case.code, ran.err
        check_junit(runner.checkout / report, case.not_met, case.unknown)

    def test_pre_commit(self, case: Case, tmp_path: Path) -> None:
        """The hook's entry and arguments, which pre-commit runs without a shell at the top of the repository."""
        runner = job(tmp_path, case.machine)
        [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
        [source] = yaml.safe_load(recipes()["pre-commit"])["repos"]
        [used] = source["hooks"]
        assert used["id"] == hook["id"]
        for arguments, ends in ((hook.get("args", []), case.code), (used["args"], 0 if case.code == 3 else case.code)):
            command = shlex.join([*shlex.split(hook["entry"]), *arguments])
            ran = runner.shell(f"exec {command}\n")
            assert ran.code == ends, ran.err
            assert all(option(key) in ran.out for key in case.wrong)

    def test_shell_facts(self, case: Case, tmp_path: Path) -> None:
        """The facts are variables where the gate is open; else the script ends with its code."""
        runner = job(tmp_path, case.machine)
        ran = runner.shell(recipes()["shell-facts"], GPUCHECK_GPU_NAME="of another day")
        assert ran.code == case.code, ran.err
        line = r"1 x NVIDIA H100 80GB HBM3, torch from cu\d{3}\n" if case.code == 0 else ""
        assert re.fullmatch(line, ran.out)

    def test_nrpe(self, case: Case, tmp_path: Path) -> None:
        """NRPE gives the line to a shell: one line comes back, and Nagios' own codes."""
        runner = job(tmp_path, case.machine)
        line = installed(recipes()["nrpe"], tmp_path, runner)
        [command] = re.findall(r"^command\[check_gpu\]=(.*)$", line, re.MULTILINE)
        ran = runner.shell(command)
        state = {0: ("OK", 0), 1: ("CRITICAL", 2), 3: ("UNKNOWN", 3)}[case.code]
        assert (ran.out.split()[1], ran.code) == state
        assert ran.out.count("\n") == 1

    def test_slurm_prolog(self, case: Case, tmp_path: Path) -> None:
        """The prolog fails unless the gate is open, and the log then has the report."""
        runner = job(tmp_path, case.machine)
        log = tmp_path / "syslog"
        runner.program("logger", f'#!/bin/sh\necho "$@" >> "{log}"\n')
        ran = runner.shell(installed(recipes()["slurm-prolog"], tmp_path, runner))
        assert (ran.code, ran.out) == (case.code, ""), ran.err
        assert log.exists() == (case.code != 0)
        assert all(option(key) in log.read_text(encoding="utf-8") for key in case.wrong)

    def test_nhc(self, case: Case, tmp_path: Path) -> None:
        """NHC evaluates what stands behind `||` in bash; its check is here as its README describes it."""
        runner = job(tmp_path, case.machine)
        hosts, _, check = installed(recipes()["nhc"], tmp_path, runner).partition("||")
        assert hosts.strip() == "*"
        stand_in = 'check_cmd_status() { [ "$1 $3" = "-t -r" ] || exit 97; local s="$2" r="$4"; shift 4; local c=0\n'
        stand_in += 'timeout "$s" "$@" > /dev/null 2>&1 || c=$?; [ "$c" -eq "$r" ] || exit 1; }\n'
        ran = runner.shell(stand_in + check, ("bash",))
        assert ran.code == (0 if case.code == 0 else 1), ran.err

    def test_nfd(self, case: Case, tmp_path: Path) -> None:
        """The file has the labels; where the GPUs could not be determined it stays as it was."""
        runner = job(tmp_path, case.machine)
        script = installed(recipes()["nfd"], tmp_path, runner)
        features = tmp_path / "features.d" / "gpucheck"
        features.write_text("nvidia.com/gpu.count=8\n", encoding="utf-8")
        ran = runner.shell(script)
        text = features.read_text(encoding="utf-8")
        assert ran.code == (3 if case.machine == BROKEN else 0), ran.err
        assert ("nvidia.com/gpu.count=8\n" if case.machine == BROKEN else "nvidia.com/gpu.count=1\n") in text
        assert [path.name for path in features.parent.iterdir() if not path.name.startswith(".")] == ["gpucheck"]


@pytest.mark.parametrize(
    ("machine", "code", "said"),
    [(H100, 0, "this machine will do"), (T4, 1, "this machine will not do"), (BROKEN, 3, "nobody can tell")],
)
def test_shell(machine: str, code: int, said: str, tmp_path: Path) -> None:
    """The script tells the codes apart, and hands the gate's on, under `set -e` too."""
    runner = job(tmp_path, machine)
    (runner.checkout / "gpucheck.toml").unlink()
    for shell in (("sh",), GITHUB_SHELL):
        ran = runner.shell(recipes()["shell"], shell)
        assert ran.code == code, ran.err
        assert said in (ran.out if code == 0 else ran.err)


def test_a_mistake_in_the_file_stops_every_job(tmp_path: Path) -> None:
    """An unknown key is exit code 2 with its line, in the action and in the recipes that write reports first."""
    runner = job(tmp_path, H100, GithubJob)
    (runner.checkout / "gpucheck.toml").write_text('min_vram = "8GiB"\nmin_vrm = "24GiB"\n', encoding="utf-8")
    ran = runner.action({})
    assert ran.code == 2
    assert "gpucheck.toml:2: min_vrm" in ran.err
    gate = yaml.safe_load(recipes()["gitlab"])["gpu-gate"]
    assert runner.shell("\n".join(gate["script"]), ("bash", "-eo", "pipefail"), GITHUB_ACTIONS="").code == 2


def test_every_recipe_is_tested() -> None:
    """No recipe lies in the document that no test runs."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in recipes() if f'recipes()["{name}"]' not in source] == []
