"""Requirements files: what they may hold, where it stands, and every mistake at once."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import gpucheck
from gpucheck.assess.requirements.file import file_here, read_requirements
from gpucheck.assess.requirements.outcome import Place
from gpucheck.assess.requirements.vocabulary import VOCABULARY
from gpucheck.errors import RequirementsFileError, UsageError
from gpucheck.report.document import schema
from tests.running import machine

_GOOD = """\
# what training needs
min_vram = "16GiB"   # nominal
vendor = "nvidia"
model = [
  "8b@q4",
  { model = "3b@q4", context = 4096 },
]

[[any]]
min_compute_capability = "7.5"

[[any]]
gfx = ["gfx942"]

[profile.train]
min_vram = "80GiB"
min_gpus = 8
"""


def _written(folder: Path, text: str, name: str = "gpucheck.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def _problems(folder: Path, text: str, name: str = "gpucheck.toml") -> tuple[str, ...]:
    path = _written(folder, text, name)
    with pytest.raises(RequirementsFileError) as error:
        read_requirements(path)
    assert all(problem.startswith(f"{path}:") for problem in error.value.problems)
    return tuple(problem.removeprefix(f"{path}:") for problem in error.value.problems)


def test_requirements_with_their_lines(tmp_path: Path) -> None:
    """Each requirement knows its file and line, each model of a list its own."""
    path = _written(tmp_path, _GOOD)
    found = [(one.key, one.place) for one in read_requirements(path)]
    assert found == [
        ("min_vram", Place(path, 2)), ("vendor", Place(path, 3)), ("model", Place(path, 5)), ("model", Place(path, 6)),
        ("any", Place(path, 9)),
    ]  # fmt: skip


def test_a_profile_comes_before_what_is_above_it(tmp_path: Path) -> None:
    """A profile adds its keys, and replaces those that it has itself, with its own lines."""
    path = _written(tmp_path, _GOOD)
    found = {one.key: (one.text, one.place) for one in read_requirements(path, "train")}
    assert found["min_vram"] == ("80 GiB", Place(path, 16))
    assert found["min_gpus"] == ("8", Place(path, 17))
    assert found["vendor"] == ("nvidia", Place(path, 3))
    with pytest.raises(UsageError, match="no profile 'serve': it has train"):
        read_requirements(path, "serve")


def test_arguments_come_before_the_file(tmp_path: Path) -> None:
    """What is asked for beside a file replaces the file's value, and has no line."""
    path = _written(tmp_path, _GOOD)
    found = gpucheck.require(machine("card-t4"), file=path, min_vram="8GiB")
    outcome = next(one for one in found.outcomes if one.key == "min_vram")
    assert (outcome.required, outcome.place, outcome.answer) == ("8 GiB", None, "met")
    assert (found.file, found.answer) == (path, "met")
    assert gpucheck.require(machine("card-t4"), file=path, profile="train").answer == "not_met"


def test_a_table_of_pyproject(tmp_path: Path) -> None:
    """[tool.gpucheck] holds the same, and what other tools have is none of its business."""
    text = '[project]\nname = "x"\n\n[tool.gpucheck]\nmin_vram = "1GiB"\n[tool.gpucheck.profile.a]\nmin_gpus = 2\n'
    path = _written(tmp_path, text, "pyproject.toml")
    assert [(one.key, one.place) for one in read_requirements(path)] == [("min_vram", Place(path, 5))]
    assert [one.place for one in read_requirements(path, "a")] == [Place(path, 5), Place(path, 7)]
    assert _problems(tmp_path, '[project]\nname = "x"\n', "pyproject.toml")[0].startswith("1: tool.gpucheck: expected")


def test_the_file_of_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name it is gpucheck.toml, then pyproject.toml, and never one further up."""
    _written(tmp_path, _GOOD)
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    with pytest.raises(UsageError, match="no requirements"):
        file_here()
    _written(below, '[tool.gpucheck]\nmin_vram = "1GiB"\n', "pyproject.toml")
    assert file_here() == "pyproject.toml"
    _written(below, 'min_vram = "1GiB"\n')
    assert file_here() == "gpucheck.toml"


def test_every_mistake_at_once(tmp_path: Path) -> None:
    """All of a file's mistakes are told in the order of its lines, also those of profiles and alternatives."""
    text = """\
min_vrm = "16GiB"
min_gpus = 0
model = ["8b@q4", "no-such-model-here"]
text = '''
min_ram = 1
'''
[profile.train]
min_ram = 64
[[profile.train.any]]
vendor = "3dfx"
[profile.serve]
nothing_like_it_at_all_qqq = 1
[[any]]
"""
    problems = _problems(tmp_path, text)
    starts = [
        "1: min_vrm: expected a key of the vocabulary, not 'min_vrm': did you mean min_vram?",
        "2: min_gpus: expected a whole number from 1 on, not 0",
        "3: model[1]: expected a model:",
        "4: text: expected a key",
        "8: profile.train.min_ram: expected an amount of memory with its unit",
        "10: profile.train.any[0].vendor: expected nvidia",
        "12: profile.serve.nothing_like_it_at_all_qqq: expected a key",
        "13: any[0]: expected at least one requirement",
    ]
    assert len(problems) == len(starts)
    for problem, start in zip(problems, starts, strict=True):
        assert problem.startswith(start), problem


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('min_vram = "16GiB\n', "1: min_vram: expected TOML"),
        ('a = 1\nmin_vram = "1GiB"\nmin_vram = "2GiB"\n', "3: min_vram: expected TOML"),
        ("[profile.train\n", "1: [profile.train: expected TOML"),
        ("model = [\n", "1: model: expected TOML"),
        ("min_gpus = " + "9" * 5000 + "\n", "1: (no key): expected TOML"),
        ("x = " + "[" * 5000, "1: "),
        ("profile = 3\n", "1: profile: expected tables"),
        ("[profile]\ntrain = 3\n", "2: profile.train: expected a table"),
        ("any = 3\n", "1: any: expected a list of tables"),
        ("any = [3]\n", "1: any[0]: expected a table"),
        ("[[any]]\n[[any.any]]\nvendor = 'amd'\n", "2: any[0].any: expected a key"),
    ],
)
def test_what_is_no_requirements_file(tmp_path: Path, text: str, start: str) -> None:
    """TOML that is none, and tables that are none, are told with their line and key."""
    assert _problems(tmp_path, text)[0].startswith(start)


def test_bytes_that_are_no_text_and_files_that_are_too_large(tmp_path: Path) -> None:
    """A file is read as UTF-8, up to a megabyte, and only if it is a file."""
    path = tmp_path / "gpucheck.toml"
    path.write_bytes(b'min_vram = "1GiB"\nvendor = "\xff"\n')
    with pytest.raises(RequirementsFileError, match=r"2: \(no key\): expected text in UTF-8"):
        read_requirements(str(path))
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(UsageError, match="at most"):
        read_requirements(str(path))
    for wrong in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(UsageError):
            read_requirements(str(wrong))


_WRONG_VALUES = ('""', "-1", '"much"', "[]", "[[]]", "{}", "1979-05-27", "nan", "[1, 2]", '{ a = "b" }', '"-4GiB"')


def malformed(seed: int) -> tuple[str, int, str]:
    """A file that is right but for one mistake, with the line and the key of that."""
    chance = random.Random(seed)
    keys = chance.sample([key for key in VOCABULARY.values() if key.subject != "model"], 6)
    lines = [f"{key.name} = {key.example}" for key in keys]
    at = chance.randrange(len(lines))
    key = keys[at].name
    match seed % 5:
        case 0:  # a letter less
            cut = chance.randrange(1, len(key) - 1)
            key = key[:cut] + key[cut + 1 :]
            while key in VOCABULARY:
                key += "x"
            lines[at] = f"{key} = {keys[at].example}"
        case 1:
            wrong = [value for value in _WRONG_VALUES if not _is_taken(keys[at].name, value)]
            lines[at] = f"{key} = {chance.choice(wrong)}"
        case 2:
            lines[at] = f"{key} = {chance.choice(['', '[', '{', 'yes', '01', '3 4', '= 2', chr(34)])}"
        case 3:
            lines.insert(at, f"# a comment\n{key} = {keys[at].example}")
            at += 2  # the comment, the first, and here the second
        case _:
            wrong = [value for value in _WRONG_VALUES if not _is_taken(key, value)]
            lines.append(f"[profile.p]\n{key} = {chance.choice(wrong)}")
            return "\n".join(lines) + "\n", len(lines) + 1, f"profile.p.{key}"
    return "\n".join(lines) + "\n", at + 1, key


def _is_taken(name: str, value: str) -> bool:
    try:
        VOCABULARY[name].kind.parse(tomllib.loads(f"x = {value}")["x"])
    except UsageError:
        return False
    return True


@pytest.mark.parametrize("seed", range(200))
def test_malformed_files(tmp_path: Path, seed: int) -> None:
    """Whatever is wrong with a file, its line, its key and what was expected are named, and a near key suggested."""
    text, line, key = malformed(seed)
    problems = _problems(tmp_path, text)
    assert problems[0].startswith(f"{line}: {key}"), (problems, text)
    assert ": expected " in problems[0]
    if seed % 5 == 0:
        assert "did you mean" in problems[0]


def test_editors_find_the_same_mistakes(tmp_path: Path) -> None:
    """The JSON schema takes what is right, and refuses unknown keys and values of another type."""
    validator = Draft202012Validator(schema("requirements"))
    Draft202012Validator.check_schema(schema("requirements"))
    assert not list(validator.iter_errors(tomllib.loads(_GOOD)))
    for key in VOCABULARY.values():
        assert not list(validator.iter_errors(tomllib.loads(f"{key.name} = {key.example}"))), key.name
    for wrong in ("min_vrm = 1", "min_vram = 24", "[profile.a]\nmin_gpus = '2x'", "any = []", "[[any]]\nfoo = 1"):
        assert list(validator.iter_errors(tomllib.loads(wrong))), wrong
