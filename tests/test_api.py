"""The Python interface: names, laziness, errors, and that what it returns cannot be changed."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from contextlib import redirect_stdout
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import pytest

import gpucheck
from gpucheck.units import GIB
from tests.running import NAMES, ROOT, fixture, machine


def test_all_is_every_public_name() -> None:
    """`__all__`, `dir()` and the table of homes list the same names, and each can be fetched from its home."""
    homes = {name: home for home, names in gpucheck._HOMES.items() for name in names}
    assert sorted([*homes, "__version__"]) == sorted(gpucheck.__all__) == dir(gpucheck)
    assert list(gpucheck.__all__) == sorted(gpucheck.__all__)
    for name, home in homes.items():
        assert getattr(gpucheck, name) is getattr(import_module(home), name)
        assert getattr(gpucheck, name).__doc__, name


def test_type_checkers_see_the_same_names() -> None:
    """The names imported for type checkers are those that can be fetched."""
    source = Path(gpucheck.__file__).read_text(encoding="utf-8")
    block = source.partition("if TYPE_CHECKING:\n")[2].partition("\n__all__")[0]
    imported = re.findall(r"\b([A-Za-z]\w*)\b", re.sub(r"from [\w.]+ import", "", block))
    assert sorted(imported) == sorted(set(gpucheck.__all__) - {"__version__"})


def test_names_are_fetched_when_used() -> None:
    """A name is loaded at its first use and stays; a wrong one is an AttributeError that names it."""
    script = (
        "import gpucheck, sys; assert 'gpucheck.api' not in sys.modules; assert 'load' not in vars(gpucheck);"
        "gpucheck.load; assert 'gpucheck.api' in sys.modules; assert 'load' in vars(gpucheck)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = gpucheck.no_such_name


def test_star_import() -> None:
    """`from gpucheck import *` brings the public names and no others."""
    found: dict[str, object] = {}
    exec("from gpucheck import *", found)
    assert set(found) - {"__builtins__"} == set(gpucheck.__all__)


def test_package_is_typed() -> None:
    """`py.typed` lies beside the code, so that type checkers believe it."""
    assert files("gpucheck").joinpath("py.typed").is_file()


def test_errors_derive_from_one() -> None:
    """Every error that a caller can meet is a GpucheckError, and can be caught by its public name."""
    errors = [getattr(gpucheck, name) for name in gpucheck.__all__ if name.endswith("Error")]
    home = import_module("gpucheck.errors")
    assert set(errors) == {each for each in vars(home).values() if isinstance(each, type)}
    assert all(issubclass(error, gpucheck.GpucheckError) for error in errors)
    assert issubclass(gpucheck.AmbiguousNameError, gpucheck.UnknownNameError)


def test_inspect_this_machine() -> None:
    """This machine can be inspected: it is live, has a category, and at least one core."""
    found = gpucheck.inspect()
    assert found.source == "live"
    assert found.category is not None
    assert found.cpu.logical_cores is not None
    assert found.cpu.logical_cores >= 1


def test_inspect_refuses_a_root_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped GPUCHECK_ROOT is an error, not a machine without devices."""
    monkeypatch.setenv("GPUCHECK_ROOT", "/no/such/tree")
    with pytest.raises(gpucheck.UsageError, match="/no/such/tree"):
        gpucheck.inspect()


@pytest.mark.parametrize("name", NAMES)
def test_load_agrees_with_replay(name: str) -> None:
    """A path, as text or as Path, gives the machine of the recording."""
    assert gpucheck.load(Path(fixture(name))) == machine(name)
    assert machine(name).source == "recording"


def test_results_are_frozen() -> None:
    """Machine, Gpu, category, answer, finding and recording refuse to be changed."""
    found = machine("h100-x8-one-lost")
    answer = gpucheck.fit(found, "70b@q4")
    finding = gpucheck.problems(found)[0]
    for thing, name in (
        (found, "gpus"), (found.gpus[0], "name"), (found.gpus[0].memory, "total_bytes"), (found.category, "name"),
        (answer, "fits"), (answer.memory, "total_bytes"), (finding, "code"), (gpucheck.model("7b"), "quant"),
    ):  # fmt: skip
        with pytest.raises(AttributeError):
            setattr(thing, name, None)


def test_load_errors(tmp_path: Path) -> None:
    """A file that is missing, a directory, empty or of another kind is a RecordingError that names it."""
    other = tmp_path / "other.json"
    other.write_text("[]")
    for path in (tmp_path / "none.json", tmp_path, other, "a\0b"):
        with pytest.raises(gpucheck.RecordingError) as error:
            gpucheck.load(path)
        assert "\n" not in str(error.value)
        assert Path(str(path)).name.split("\0")[0] in str(error.value)


def test_ambiguous_name_lists_its_cards() -> None:
    """A name of several cards is refused with all of them; each of those is accepted."""
    with pytest.raises(gpucheck.AmbiguousNameError) as error:
        gpucheck.simulate("A100")
    assert len(error.value.candidates) >= 3
    for name in error.value.candidates:
        assert gpucheck.simulate(name).gpus[0].name == name


def test_unknown_name_lists_near_ones() -> None:
    """A misspelt name is refused with near ones; one that is like nothing still is, in one sentence."""
    with pytest.raises(gpucheck.UnknownNameError) as error:
        gpucheck.simulate("RTX 4091")
    assert any("RTX 409" in name for name in error.value.candidates)
    with pytest.raises(gpucheck.UnknownNameError):
        gpucheck.simulate("qqqq zzzz")


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("", {}),
        ("T4 + ", {}),
        ("0x T4", {}),
        ("65x T4", {}),
        ("T4", {"ram": "64"}),
        ("T4", {"ram": "lots"}),
        ("T4", {"ram": 0}),
        ("T4", {"ram": -1}),
        ("T4", {"ram": "999999999999999GiB"}),
        ("T4", {"cpu_cores": 0}),
        ("T4", {"cpu_cores": 10**30}),
    ],
)
def test_senseless_simulations(spec: str, options: dict[str, object]) -> None:
    """An amount, a count or a list of cards that makes no sense is refused, not rounded."""
    with pytest.raises(gpucheck.GpucheckError):
        gpucheck.simulate(spec, **options)  # type: ignore[arg-type]


def test_simulate_as_given() -> None:
    """Cards stand in the order of the text, with the memory and cores that were given."""
    found = gpucheck.simulate("RTX 4090 + 2x RTX 3090", ram="64GiB", cpu_cores=16)
    assert [gpu.name for gpu in found.gpus] == ["NVIDIA GeForce RTX 4090", *["NVIDIA GeForce RTX 3090"] * 2]
    assert (found.source, found.memory.total_bytes, found.cpu.logical_cores) == ("simulated", 64 * GIB, 16)
    assert gpucheck.simulate("T4", ram=64 * GIB).memory == found.memory


def test_fit_and_model() -> None:
    """A model is a size with an optional quantization; an argument goes before it; wrong ones are refused."""
    card = gpucheck.simulate("2x RTX 4090", ram="64GiB")
    assert gpucheck.fit(card, "70b@q4") == gpucheck.fit(card, gpucheck.model("70b"), quant="Q4_K_M")
    assert gpucheck.fit(card, "70b@q4", quant="bf16").quant == "bf16"
    assert (
        gpucheck.fit(card, "8b", context=32768).memory.kv_cache_bytes > gpucheck.fit(card, "8b").memory.kv_cache_bytes
    )
    for arguments in (("llama",), ("7b@q99",), ("7b", "q99"), ("7b", "q4", 0), ("7b", "q4", 8192, "no engine")):
        with pytest.raises(gpucheck.GpucheckError):
            gpucheck.fit(card, *arguments)  # type: ignore[arg-type]


def test_fits_and_problems_of_a_machine() -> None:
    """The table has three precisions for each size; an ill machine has findings, the worst first."""
    found = machine("h100-x8-one-lost")
    answers = gpucheck.fits(found)
    assert len(answers) % 3 == 0
    assert {answer.quant for answer in answers} == {"bf16", "Q8_0", "Q4_K_M"}
    assert gpucheck.problems(found)[0].severity == "error"
    assert gpucheck.problems(machine("card-t4")) == ()


def test_readme_snippet() -> None:
    """The README's Python example runs as it stands."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(block, "README.md", "exec"), {})
        assert printed.getvalue().strip()


def test_docstring_example_names_exist() -> None:
    """The package's own docstring names only functions that exist."""
    assert gpucheck.__doc__
    called = set(re.findall(r"gpucheck\.(\w+)\(", gpucheck.__doc__))
    assert called
    assert called <= set(gpucheck.__all__)
