"""The pytest plugin in pytest runs of its own: who is skipped, who fails, what is inspected, and what never is."""

from __future__ import annotations

import json
import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import gpucheck
from gpucheck.errors import GpucheckError, RecordingError, UsageError
from gpucheck.testing import CARDS, demanded, fake_machine, in_one_line, share_for, unsuited
from tests.running import fixture

pytest_plugins = ["pytester"]

GIB = 1 << 30
BARE = "import pytest\n@pytest.mark.gpu\ndef test_one(): pass\n"
# Fails as soon as the machine is asked for; named by GPUCHECK_ROOT, of which the plugin must not learn without need.
NO_ROOT = "/nowhere/at/all"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the run outside reaches the runs inside."""
    for name in ("GPUCHECK_STRICT", "GPUCHECK_ROOT", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def run(pytester: pytest.Pytester, machine: str, *arguments: str) -> pytest.RunResult:
    """The files of `pytester` on a machine."""
    return pytester.runpytest("-rs", f"--gpucheck-machine={machine}", *arguments)


def marked(*markers: str) -> str:
    """A file with a test for each marker, `test_0` and so on."""
    tests = (f"@pytest.mark.gpu({marker})\ndef test_{number}(): pass\n" for number, marker in enumerate(markers))
    return "import pytest\n" + "".join(tests)


def test_it_is_loaded_by_its_entry_point(pytester: pytest.Pytester) -> None:
    """An environment with gpucheck has the plugin, under a name of its own, and its marker is registered."""
    assert {point.name for point in entry_points(group="pytest11") if point.value == "gpucheck.pytest_plugin"} == {
        "gpucheck-inspector"
    }
    result = pytester.runpytest("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.gpu(count=1, *"])
    pytester.makepyfile(BARE)
    assert run(pytester, "t4", "--strict-markers", "-W", "error").ret == 0


@pytest.mark.parametrize(
    ("machine", "marker", "reason"),
    [
        ("t4", "", None),
        ("no-gpu", "", "gpucheck: min_gpus: needs 1, found no GPU"),
        ("h100x2", "count=2, min_vram='80GiB', min_compute_capability='9.0'", None),
        ("t4", "count=2", "gpucheck: min_gpus: needs 2, found 1 usable"),
        ("t4", "min_gpus=2", "gpucheck: min_gpus: needs 2, found 1 usable"),
        ("t4", "min_vram='24GiB'", "gpucheck: min_vram: needs 24 GiB, found 16 GB nominal*NVIDIA T4)"),
        ("t4", "min_compute_capability='8.0'", "gpucheck: min_compute_capability: needs 8.0*, found 7.5*"),
        ("t4", "min_vram='16GiB'", None),
        ("h100", "model='70b@q4'", None),
        (fixture("card-t4"), "model='70b@q4'", "gpucheck: model: needs 70b@q4 fits, found*"),
        ("no-gpu", "os='linux'", "gpucheck: min_gpus: needs 1, found no GPU"),
        ("t4", "min_ram='16GiB'", "gpucheck: could not be determined: min_ram: needs 16 GiB, found unknown (*)"),
    ],
)
def test_a_machine_suits_or_the_reason_is_told(
    pytester: pytest.Pytester, machine: str, marker: str, reason: str | None
) -> None:
    """A test runs where its requirements are met, and is skipped with found against required where not."""
    pytester.makepyfile(test_it=marked(marker))
    result = run(pytester, machine)
    if reason is None:
        result.assert_outcomes(passed=1)
    else:
        result.assert_outcomes(skipped=1)
        result.stdout.fnmatch_lines([f"SKIPPED * test_it.py:2: {reason}"])
    assert result.ret == 0


def test_strict_fails_instead(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option, variable or configuration file, not met and unknown fail the run; the variable overrides the file."""
    pytester.makepyfile(marked("min_vram='24GiB'", "min_ram='1GiB'", "min_vram='8GiB'"))
    result = run(pytester, "t4", "--gpucheck-strict")
    result.assert_outcomes(passed=1, errors=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["gpucheck: this machine was to suit (strict), but does not: min_vram: needs 24 GiB, found 16 GB nominal*"]
    )
    run(pytester, "t4").assert_outcomes(passed=1, skipped=2)
    pytester.makeini("[pytest]\ngpucheck_strict = true\n")
    run(pytester, "t4").assert_outcomes(passed=1, errors=2)
    monkeypatch.setenv("GPUCHECK_STRICT", "0")
    run(pytester, "t4").assert_outcomes(passed=1, skipped=2)
    pytester.makeini("[pytest]\n")
    monkeypatch.setenv("GPUCHECK_STRICT", "1")
    run(pytester, "t4").assert_outcomes(passed=1, errors=2)


@pytest.mark.parametrize("name", ["driver-mismatch", "container-4gib", "card-t4"])
def test_recordings_are_replayed(pytester: pytest.Pytester, name: str) -> None:
    """The verdict on a recording is that of `gpucheck.require` on it."""
    pytester.makepyfile(
        BARE + "def test_same(gpucheck_machine):\n"
        f"    import gpucheck\n    assert gpucheck_machine == gpucheck.load({fixture(name)!r})\n"
    )
    expected = gpucheck.require(gpucheck.load(fixture(name)), min_gpus=1).answer
    result = run(pytester, fixture(name))
    result.assert_outcomes(passed=2 if expected == "met" else 1, skipped=int(expected != "met"))
    assert ("could not be determined" in result.stdout.str()) is (expected == "unknown")


def test_markers_of_class_and_module_count_too(pytester: pytest.Pytester) -> None:
    """All markers hold together; under one keyword, and of count and min_gpus, the nearest wins."""
    pytester.makepyfile(
        "import pytest\npytestmark = pytest.mark.gpu(min_vram='40GiB')\n"
        "@pytest.mark.gpu(count=2)\nclass TestTwo:\n"
        "    def test_needs_both(self): pass\n"
        "    @pytest.mark.gpu(min_gpus=1, min_vram='8GiB')\n"
        "    def test_needs_less(self): pass\n"
    )
    run(pytester, "h100x2").assert_outcomes(passed=2)
    result = run(pytester, "h100")
    result.assert_outcomes(passed=1, skipped=1)
    run(pytester, "t4").assert_outcomes(passed=1, skipped=1)


def test_fixtures_are_not_set_up_on_an_unsuited_machine(pytester: pytest.Pytester) -> None:
    """A fixture that needs the GPU is not reached; a test that is skipped by other marks asks for no machine."""
    pytester.makepyfile(
        "import pytest\n@pytest.fixture\ndef tensor(): raise RuntimeError('no CUDA')\n"
        "@pytest.mark.gpu\ndef test_it(tensor): pass\n"
    )
    run(pytester, "no-gpu").assert_outcomes(skipped=1)


WRONG = {
    "min_vran='16GiB'": "min_vran: expected a key of the vocabulary, not 'min_vran': did you mean min_vram?",
    "coutn=2": "coutn: expected a key of the vocabulary, not 'coutn': did you mean count?",
    "min_vram='two'": "min_vram: expected an amount of memory*",
    "'16GiB'": "expected keyword arguments alone, such as min_vram='16GiB', not '16GiB'",
    "count=2, min_gpus=2": "count and min_gpus are one requirement: give one of them",
    "model='no-such-model'": "model: expected a model: *",
}


def test_wrong_keywords_fail_the_collection(pytester: pytest.Pytester) -> None:
    """Each mistake of a file is told once, before a machine is looked at; other files are collected."""
    pytester.makepyfile(test_wrong=marked(*WRONG, "min_vran='16GiB'"), test_right=marked("count=1"))
    result = run(pytester, "h100x2", "--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1
    lines = [f"test_wrong.py::test_{number}: @pytest.mark.gpu: {words}" for number, words in enumerate(WRONG.values())]
    result.stdout.fnmatch_lines(lines)
    assert "test_wrong.py::test_6" not in result.stdout.str()
    assert run(pytester, "h100x2").ret == pytest.ExitCode.INTERRUPTED


def test_a_wrong_marker_that_comes_late_is_an_error(pytester: pytest.Pytester) -> None:
    """A marker that a conftest file adds after collection is checked when its test is due."""
    pytester.makeconftest(
        "import pytest\ndef pytest_collection_modifyitems(items):\n"
        "    items[0].add_marker(pytest.mark.gpu(min_vran='1GiB'))\n"
    )
    pytester.makepyfile("def test_one(): pass\ndef test_two(): pass\n")
    result = run(pytester, "t4")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*did you mean min_vram?"])


def test_nothing_is_inspected_without_need(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without marker and fixture, or that deselects them, asks for no machine and loads no part of gpucheck."""
    monkeypatch.setenv("GPUCHECK_ROOT", NO_ROOT)
    pytester.makepyfile(
        test_plain="import sys\ndef test_it():\n"
        "    assert {name for name in sys.modules if name.partition('.')[0] == 'gpucheck'}"
        " == {'gpucheck', 'gpucheck.pytest_plugin'}\n",
        test_gpu=BARE,
    )
    pytester.runpytest_subprocess("test_plain.py").assert_outcomes(passed=1)
    pytester.runpytest("-m", "not gpu", "-k", "not plain").assert_outcomes(deselected=2)
    pytester.runpytest("-n1", "test_plain.py").assert_outcomes(passed=1)
    asked = pytester.runpytest("test_gpu.py")
    assert asked.ret == pytest.ExitCode.USAGE_ERROR
    asked.stderr.fnmatch_lines([f"ERROR: gpucheck: GPUCHECK_ROOT: {NO_ROOT} is not a directory"])


def test_the_machine_is_inspected_once(pytester: pytest.Pytester) -> None:
    """Header, markers and fixture share one inspection, whose frameworks are those of the Python that runs."""
    pytester.makeconftest(
        "import gpucheck.api, sys\ncalls, inspect = [], gpucheck.api.inspect\n"
        "def counted(*arguments):\n    calls.append(arguments)\n    return inspect(*arguments)\n"
        "gpucheck.api.inspect = counted\n"
        "def pytest_unconfigure():\n    gpucheck.api.inspect = inspect\n"
        "    assert calls == [(sys.executable,)]\n"
    )
    pytester.makepyfile(BARE + "def test_two(gpucheck_machine): assert gpucheck_machine.source == 'live'\n")
    result = pytester.runpytest("--gpucheck-header=always")
    assert result.ret == 0
    assert result.stdout.str().count("\ngpucheck: ") == 1


def test_torch_is_never_imported(pytester: pytest.Pytester) -> None:
    """A torch that breaks whoever imports it does no harm, with inspection, header, marker and fixtures."""
    package = pytester.mkdir("torch")
    (package / "__init__.py").write_text("raise SystemExit('torch was imported')\n")
    pytester.syspathinsert()
    pytester.makepyfile(
        BARE + "import sys\ndef test_two(gpucheck_machine, gpucheck_fake_machine):\n"
        "    gpucheck_fake_machine('h100x8')\n    assert 'torch' not in sys.modules\n"
    )
    result = pytester.runpytest_subprocess("--gpucheck-header=always")
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] >= 1


def test_the_header_line(pytester: pytest.Pytester) -> None:
    """The machine is shown once where a test needs it or the run says so, and not where that is refused."""
    line = "gpucheck: 8 × NVIDIA H100 80GB HBM3, 640 GB, High-end (recording)"
    pytester.makepyfile(test_gpu=BARE, test_plain="def test_it(): pass\n")

    def shown(*arguments: str) -> int:
        return pytester.runpytest(*arguments).outlines.count(line)

    machine = f"--gpucheck-machine={fixture('h100-x8')}"
    assert shown(machine) == shown(machine, "--gpucheck-strict") == shown(machine, "test_plain.py") == 1
    assert shown(machine, "-q") == shown(machine, "--gpucheck-header=never") == 0

    def told_of_this_machine(*arguments: str) -> int:
        return pytester.runpytest(*arguments).stdout.str().count("\ngpucheck: ")

    assert told_of_this_machine() == told_of_this_machine("-k", "not plain") == 1
    assert told_of_this_machine("test_plain.py") == told_of_this_machine("--collect-only") == 0
    pytester.makeini("[pytest]\ngpucheck_header = never\n")
    assert shown(machine) == 0


@pytest.mark.parametrize(
    ("variable", "ini", "machine", "words"),
    [
        ("maybe", "", "t4", "GPUCHECK_STRICT: expected 1 or 0, not 'maybe'"),
        ("1", "gpucheck_header = sometimes", "t4", "gpucheck_header: expected auto, always or never, not 'sometimes'"),
        ("1", "", "missing.json", "gpucheck: missing.json: *"),
        ("1", "", "h100 from mars", "gpucheck: no card in the catalogue is called *"),
    ],
)
def test_wrong_settings_end_the_run(
    pytester: pytest.Pytester, variable: str, ini: str, machine: str, words: str
) -> None:
    """A setting that makes no sense ends the run before a test, in one line."""
    pytester.makeini(f"[pytest]\n{ini}\n")
    pytester.makepyfile("def test_it(): pass\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUCHECK_STRICT", variable)
        result = run(pytester, machine)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {words}"])


def test_fake_machines_in_a_test(pytester: pytest.Pytester) -> None:
    """The fixture makes machines by shorthand, by the catalogue's words, and from recordings."""
    pytester.makepyfile(
        "def test_it(gpucheck_fake_machine):\n"
        "    assert len(gpucheck_fake_machine('h100x8').gpus) == 8\n"
        "    assert gpucheck_fake_machine('2x RTX 4090', ram='64GiB').memory.total_bytes == 64 << 30\n"
        f"    assert gpucheck_fake_machine({fixture('card-t4')!r}).gpus[0].name == 'Tesla T4'\n"
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)


WHO = """
import json, os, pathlib, time
import pytest

@pytest.mark.gpu
@pytest.mark.parametrize("number", range(12))
def test_it(number, gpucheck_machine):
    time.sleep(0.05)  # so that every worker gets some
    seen = [gpu.index for gpu in gpucheck_machine.gpus if gpu.usable]
    told = [os.environ["PYTEST_XDIST_WORKER"], os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["EARLY"], seen]
    pathlib.Path(f"{number}.told").write_text(json.dumps(told))

@pytest.mark.gpu(count=2)
def test_two(): pass
"""


def _workers(pytester: pytest.Pytester, *arguments: str) -> tuple[pytest.RunResult, dict[str, tuple[object, ...]]]:
    """A run on three workers, and what each of them saw."""
    pytester.makeconftest("import os\nos.environ['EARLY'] = os.environ.get('CUDA_VISIBLE_DEVICES', '')\n")
    pytester.makepyfile(WHO)
    result = pytester.runpytest("-n3", "-rs", f"--gpucheck-machine={fixture('h100-x8')}", *arguments)
    told = [json.loads(path.read_text()) for path in pytester.path.glob("*.told")]
    seen = {worker: (mask, early, tuple(gpus)) for worker, mask, early, gpus in told}
    assert all(seen[worker] == (mask, early, tuple(gpus)) for worker, mask, early, gpus in told)
    return result, seen


def test_workers_each_get_a_gpu_on_request(pytester: pytest.Pytester) -> None:
    """Each worker has its own GPU in the variables before conftest files are imported, and in the machine."""
    result, seen = _workers(pytester, "--gpucheck-gpu-per-worker")
    result.assert_outcomes(passed=12, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * min_gpus: needs 2, found 1 usable"])
    assert seen == {f"gw{place}": (str(place), str(place), (place,)) for place in range(3)}
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None


def test_workers_see_all_gpus_without_the_request(pytester: pytest.Pytester) -> None:
    """Without the option xdist changes nothing: markers work, and no variable is set."""
    result, seen = _workers(pytester)
    result.assert_outcomes(passed=13)
    assert set(seen.values()) == {(None, "", tuple(range(8)))}


def test_xdist_reports_skips_failures_and_mistakes(pytester: pytest.Pytester) -> None:
    """Reasons and mistakes reach the controller, and strict the workers."""
    pytester.makepyfile(test_one=marked("min_vram='24GiB'"))
    result = run(pytester, "t4", "-n2")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * test_one.py:2: gpucheck: min_vram: needs 24 GiB, found 16 GB nominal*"])
    assert run(pytester, "t4", "-n2", "--gpucheck-strict").ret == 1
    pytester.makepyfile(test_two=marked("min_vran='24GiB'"))
    result = run(pytester, "t4", "-n2")
    assert result.ret not in {0, pytest.ExitCode.INTERNAL_ERROR}
    result.stdout.fnmatch_lines(["*did you mean min_vram?"])


@pytest.mark.parametrize(
    ("spec", "ids"),
    [
        ("h100x8", ["h100-sxm"] * 8),
        ("H100-x8", ["h100-sxm"] * 8),
        ("rtx-4090x2", ["rtx-4090"] * 2),
        ("RTX4090x2", ["rtx-4090"] * 2),
        ("mi300xx8", ["mi300x"] * 8),
        ("mi300x", ["mi300x"]),
        ("2x RTX 4090 + T4", ["rtx-4090", "rtx-4090", "t4"]),
        ("no-gpu", []),
    ],
)
def test_shorthand(spec: str, ids: list[str]) -> None:
    """A shorthand is a number of exactly one card; other words are the catalogue's."""
    ids_of = [gpu.catalogue_id for gpu in fake_machine(spec).gpus]
    assert ids_of == ids


@pytest.mark.parametrize("name", sorted(CARDS))
def test_short_names_are_cards_and_needed(name: str) -> None:
    """Each short name means a card of the catalogue, and the catalogue alone would not take it."""
    assert len(fake_machine(f"{name}x3").gpus) == 3
    with pytest.raises(GpucheckError):
        gpucheck.simulate(name)


def test_a_machine_without_gpus() -> None:
    """It has what is given, and nothing of any card."""
    machine = fake_machine("no-gpu", ram="16GiB", cpu_cores=8)
    assert (machine.memory.total_bytes, machine.cpu.usable_cores, machine.issues) == (16 * GIB, 8, ())
    assert machine.category is not None
    assert machine.category.name == "CPU only"


@pytest.mark.parametrize(
    ("spec", "ram", "error"),
    [
        ("h100x65", None, UsageError),
        ("h100x0", None, UsageError),
        ("nosuchx8", None, GpucheckError),
        ("missing.json", None, RecordingError),
        (Path("missing"), None, RecordingError),
        (fixture("card-t4"), "64GiB", UsageError),
    ],
)
def test_what_is_no_machine(spec: str, ram: str | None, error: type[GpucheckError]) -> None:
    """Names, numbers and files that are none are refused."""
    with pytest.raises(error):
        fake_machine(spec, ram)


def test_shares_go_round() -> None:
    """More workers than GPUs share; MIG devices are dealt out as such; a GPU that no process can use is left out."""
    machine = fake_machine("h100x2")
    places = [share_for(machine, place) for place in range(3)]
    assert [variables["CUDA_VISIBLE_DEVICES"] for _, variables in places] == ["0", "1", "0"]
    assert [[gpu.index for gpu in own.usable_gpus] for own, _ in places] == [[0], [1], [0]]
    slices = gpucheck.load(fixture("h100-mig"))
    own, variables = share_for(slices, 1)
    assert [gpu.kind for gpu in own.usable_gpus] == ["mig"]
    assert [gpu.index for gpu in own.gpus if gpu.visible] == [0, own.usable_gpus[0].index]  # the card and its slice
    assert variables["CUDA_VISIBLE_DEVICES"] == own.usable_gpus[0].uuid
    lost = gpucheck.load(fixture("h100-x8-one-lost"))
    sevens = {share_for(lost, place)[1]["CUDA_VISIBLE_DEVICES"] for place in range(16)}
    assert len(sevens) == len(lost.usable_gpus) == 7
    nothing = fake_machine("no-gpu")
    assert share_for(nothing, 0) == (nothing, {})


def test_one_line_of_a_machine() -> None:
    """What is not usable is said, and that nobody can tell whether there is a GPU."""
    assert in_one_line(fake_machine("t4")) == "one NVIDIA T4, 16 GB, Mid-range (simulated)"
    assert in_one_line(fake_machine("no-gpu")) == "no GPU found (simulated)"
    assert "7 of 8 usable" in in_one_line(gpucheck.load(fixture("h100-x8-one-lost")))
    assert "not usable" in in_one_line(gpucheck.load(fixture("driver-mismatch")))


def test_a_gpu_is_demanded_but_not_twice() -> None:
    """A requirement about a GPU demands one by itself; those about anything else do not."""
    assert [one.key for one in demanded()] == ["min_gpus"]
    assert [one.key for one in demanded(min_ram="1GiB")] == ["min_ram", "min_gpus"]
    assert [one.key for one in demanded(min_vram="1GiB")] == ["min_vram"]
    assert [one.key for one in demanded(nvlink=False)] == ["min_gpus"]
    assert [one.key for one in demanded(gpus=">=2")] == ["gpus"]
    assert unsuited(fake_machine("t4"), demanded(any=[{"vendor": "amd"}, {"min_vram": "8GiB"}])) is None
