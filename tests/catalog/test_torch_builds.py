"""The table of PyTorch's wheels, the rule of what runs where, and the drivers that builds need."""

import itertools

import pytest

from gpucheck.catalog.drivers import (
    all_branches,
    drops,
    first_cuda,
    highest_cuda,
    newest_branch,
    oldest_driver,
    version_key,
)
from gpucheck.catalog.torch_builds import all_builds, builds_for, find_build, is_experimental, maker_of, runs_on
from gpucheck.catalog.torch_wheels import all_wheels, newest_release, pythons_of, series_for, short_python

LINUX = ("linux", "x86_64")


@pytest.mark.parametrize(
    ("target", "device", "runs"),
    [
        ("sm_86", "8.6", True),
        ("sm_86", "8.9", True),  # an RTX 40 runs what an RTX 30 runs
        ("sm_80", "8.9", True),
        ("sm_86", "8.0", False),
        ("sm_89", "8.6", False),
        ("sm_60", "6.1", True),
        ("sm_61", "6.0", False),
        ("sm_90", "10.0", False),  # never across majors
        ("sm_100", "12.0", False),
        ("sm_100", "10.3", True),
        ("sm_120", "12.1", True),
        ("sm_90a", "9.0", True),
        ("sm_100a", "10.3", False),  # of one chip alone
        ("sm_100f", "10.3", True),
        ("sm_100f", "12.0", False),
        ("sm_103f", "10.0", False),
        ("compute_120", "12.1", True),
        ("compute_90", "12.0", True),
        ("compute_90", "8.9", False),
        ("compute_90a", "10.0", False),
        ("compute_90a", "9.0", True),
        ("compute_100f", "12.0", False),
        ("compute_100f", "10.3", True),
        ("sm_86", "8.7", False),  # Orin shares no cubin with cards
        ("sm_87", "8.9", False),
        ("sm_87", "8.7", True),
        ("compute_80", "8.7", True),
        ("gfx1100", "gfx1100", True),
        ("gfx1100", "gfx1103", False),
        ("sm_90x", "9.0", False),
        ("sm_9", "9.0", False),
        ("sm_90", "9", False),
        ("sm_90", "", False),
        ("sm_90", "9.x", False),
    ],
)
def test_what_runs(target, device, runs):
    """Same major version and a minor of at least the target's; suffixes narrow it, PTX opens it."""
    assert runs_on((target,), device) is runs


def test_one_of_several_targets_is_enough():
    """A build runs where any of its targets does, and nothing runs without a target."""
    assert runs_on(("sm_50", "sm_86"), "8.9")
    assert not runs_on((), "8.9")


@pytest.mark.parametrize(
    ("version", "build", "where", "first"),
    [
        ("2.9.1", "cu128", LINUX, "sm_70"),
        ("2.9.0", "cu128", LINUX, "sm_70"),
        ("2.13.2", "cu126", LINUX, "sm_50"),
        ("2.13.2", "cu126", ("linux", "aarch64"), "sm_80"),
        ("2.14.1", "cu130", ("linux", "aarch64"), "sm_80"),
        ("2.10.0", "cu130", ("linux", "aarch64"), "sm_80"),
        ("2.9.1", "cu130", ("linux", "aarch64"), None),  # built, but what with nobody has read
        ("2.4.0", "cu121", ("windows", "x86_64"), "sm_50"),
        ("2.5.1", "cu118", ("windows", "x86_64"), "sm_37"),
        ("2.10.0", "cu128", ("windows", "x86_64"), "sm_75"),
        ("2.7.1", "cu128", LINUX, "sm_75"),
        ("2.7.1", "cu128", ("windows", "x86_64"), "sm_50"),
        ("2.99.0", "rocm7.0", LINUX, "gfx900"),
        ("2.7.0", "cu128", LINUX, None),  # only 2.7.1 is known
        ("2.9.1", "cu118", LINUX, None),
        ("2.16.0", "cu132", LINUX, None),
        ("2.90.0", "cu128", LINUX, None),
        ("2.9", "cu128", LINUX, "sm_70"),
        ("2", "cu128", LINUX, None),
        ("2.9.0a0", "cu128", LINUX, None),  # a preview
        ("2.9.1", "cu128", ("darwin", "arm64"), None),
        (None, "cu128", LINUX, None),
        ("2.9.1", None, LINUX, None),
    ],
)
def test_rows(version, build, where, first):
    """A row is found by version, build, system and architecture; what is not in the table is not known."""
    row = find_build(version, build, *where)
    assert (row.targets[0] if row else None) == first


def test_a_wheel_that_was_read_outranks_what_was_announced():
    """PyTorch's release notes promise PTX for 2.11.0+cu130; the wheel has none."""
    row = find_build("2.11.0", "cu130", *LINUX)
    assert "compute_120" not in row.targets
    assert "wheel" in row.source


def test_the_table_is_whole():
    """Every row has targets that the rule knows, a source, and versions in order."""
    for row in all_builds():
        devices = [
            f"{target.partition('_')[2][:-1]}.{target[-1]}" if "_" in target else target for target in row.targets
        ]
        assert row.targets
        assert all(runs_on((one,), device) for one, device in zip(row.targets, devices, strict=True))
        assert row.source
        assert row.os in {"linux", "windows"}
        assert row.arch in {"x86_64", "aarch64"}
        assert maker_of(row.build) is not None
        assert row.covers(row.last or "2.9.1")
        assert (oldest_driver(row.build, windows=False) is None) == (maker_of(row.build) == "AMD")


def test_builds_for_every_card():
    """A build is offered for cards that can all run it, the newest version and its default wheel first."""
    assert builds_for(["8.9"], *LINUX)[0].requirement == "torch==2.15.0"
    assert builds_for(["8.9"], "windows", "x86_64")[0].build == "cu130"
    both = builds_for(["6.1", "8.9"], *LINUX)
    assert both[0].index == "https://download.pytorch.org/whl/cu126"
    assert both[0].requirement == "torch==2.14.*"
    assert builds_for(["6.1", "12.0"], *LINUX) == ()
    assert builds_for(["gfx1151"], *LINUX)[0].requirement == "torch"
    assert builds_for([], *LINUX) == builds_for(["3.5"], *LINUX) == ()


@pytest.mark.parametrize(
    ("build", "maker"),
    [("cu128", "NVIDIA"), ("cu92", "NVIDIA"), ("rocm6.2.4", "AMD"), ("cpu", None), ("xpu", None), ("cu128x", None),
     (None, None)],
)  # fmt: skip
def test_maker_of(build, maker):
    """The tag names whose GPUs a build is for."""
    assert maker_of(build) == maker


@pytest.mark.parametrize(
    ("build", "linux", "windows"),
    [("cu130", "580", "580"), ("cu126", "525.60.13", "528.33"), ("cu118", "450.80.02", "452.39"),
     ("rocm6.4", None, None), ("cu999", None, None), (None, None, None)],
)  # fmt: skip
def test_oldest_driver(build, linux, windows):
    """Each CUDA build has an oldest driver on each system; of others none is known."""
    assert (oldest_driver(build, windows=False), oldest_driver(build, windows=True)) == (linux, windows)


@pytest.mark.parametrize(
    ("version", "key"),
    [("550.54.15", (550, 54, 15)), ("580", (580,)), ("450.80.02", (450, 80, 2)), ("unknown", None), (None, None),
     ("", None), ("5" * 5000, None)],
)  # fmt: skip
def test_version_key(version, key):
    """Versions compare by their numbers; what is none has no key."""
    assert version_key(version) == key


def test_the_wheel_for_arm_has_no_ptx():
    """The default wheel for aarch64 outranks what was announced for its release."""
    targets = find_build("2.14.1", "cu130", "linux", "aarch64").targets
    assert targets == ("sm_80", "sm_90", "sm_100", "sm_110", "sm_120")


def test_a_row_of_several_series():
    """A row about 2.12 to 2.14 is three, one about a single release stays as it is."""
    row = find_build("2.13", "cu126", "linux", "x86_64")
    assert [(one.first, one.last) for one in row.each_series] == [("2.12",) * 2, ("2.13",) * 2, ("2.14",) * 2]
    exact = find_build("2.15.0", "cu132", "linux", "x86_64")
    assert exact.each_series == (exact,)


@pytest.mark.parametrize(
    ("version", "build", "experimental"),
    [("2.13", "cu132", True), ("2.13.0", "cu132", True), ("2.14", "cu132", False), ("2.13", "cu130", False),
     ("2.9.1", "cu130", True)],
)  # fmt: skip
def test_experimental_builds(version, build, experimental):
    """PyTorch calls a newer CUDA experimental in the first releases that have it."""
    assert is_experimental(version, build) is experimental


@pytest.mark.parametrize(
    ("version", "system", "pythons"),
    [
        ("2.15.0", ("linux", "x86_64"), "3.11 3.12 3.13 3.14 3.14t 3.15 3.15t"),
        ("2.15", ("windows", "x86_64"), "3.11 3.12 3.13 3.14 3.14t 3.15 3.15t"),
        ("2.12", ("linux", "aarch64"), "3.10 3.11 3.12 3.13 3.13t 3.14 3.14t"),  # 2.12.0 and 2.12.1 together
        ("2.12.1", ("linux", "aarch64"), "3.10 3.11 3.12 3.13 3.14 3.14t"),
        ("2.6", ("darwin", "arm64"), "3.9 3.10 3.11 3.12 3.13"),
        ("2.5.1", ("linux", "x86_64"), "3.9 3.10 3.11 3.12 3.13"),  # Linux on x86_64 had 3.13 before the others
        ("2.5.1", ("windows", "x86_64"), "3.9 3.10 3.11 3.12"),
        ("2.0.1", ("linux", "x86_64"), "3.8 3.9 3.10 3.11"),
        ("2.2.2", ("darwin", "x86_64"), "3.8 3.9 3.10 3.11 3.12"),
        ("2.3.0", ("darwin", "x86_64"), ""),
        ("2.15.0", ("windows", "arm64"), ""),
        ("2.15.1", ("linux", "x86_64"), None),
        ("1.13", ("linux", "x86_64"), None),
        ("2.99", ("linux", "x86_64"), None),
    ],
)
def test_pythons_of(version, system, pythons):
    """The Pythons of a release or series, empty for a system without wheels, None of releases in no row."""
    assert pythons_of(version, *system) == (None if pythons is None else tuple(pythons.split()))


def test_series_for():
    """Which series have wheels for a Python, the newest first."""
    assert series_for("3.15", *LINUX) == ("2.15",)
    assert series_for("3.13.1", "windows", "x86_64") == tuple(f"2.{minor}" for minor in range(15, 5, -1))
    assert series_for("3.13", *LINUX)[-1] == "2.5"
    assert series_for("3.13", "darwin", "x86_64") == series_for("3.7", *LINUX) == ()
    assert len(series_for(None, *LINUX)) == 16


@pytest.mark.parametrize(
    ("system", "newest"),
    [(("linux", "x86_64"), "2.15.0"), (("linux", "aarch64"), "2.15.0"), (("windows", "x86_64"), "2.15.0"),
     (("darwin", "arm64"), "2.15.0"), (("darwin", "x86_64"), "2.2.2"), (("windows", "arm64"), None),
     ((None, None), None)],
)  # fmt: skip
def test_newest_release(system, newest):
    """Each system has its own newest release, some none."""
    assert newest_release(*system) == newest


@pytest.mark.parametrize(
    ("python", "short"),
    [("3.12", "3.12"), ("3.12.4", "3.12"), ("3.14t", "3.14t"), ("3.14.0t", "3.14t"), ("3", None), ("3.x", None),
     ("", None), (None, None), ("3.14tt", None)],
)  # fmt: skip
def test_short_python(python, short):
    """A Python counts by its major and minor version, free-threaded or not."""
    assert short_python(python) == short


def test_the_table_of_wheels_is_whole():
    """The rows of a system follow each other in order, and every release of CUDA builds has a row."""
    for before, after in itertools.pairwise(all_wheels()):
        assert before.first <= before.last
        assert (before.os, before.arch) != (after.os, after.arch) or before.last < after.first
        assert before.pythons
    for row in all_builds():
        assert not row.last or pythons_of(row.last, row.os, row.arch)


@pytest.mark.parametrize(
    ("driver", "cuda"),
    [("450.80.02", "11.0"), ("472.50", "11.4"), ("527.41", "12.0"), ("571.96", "12.8"), ("590.48.01", "13.1"),
     ("591.74", "13.1"), ("610.57.04", "13.3"), ("473.47", None), ("", None), ("new", None)],
)  # fmt: skip
def test_highest_cuda(driver, cuda):
    """Each branch, of Linux or of Windows, has a highest CUDA; of others it is not known."""
    assert highest_cuda(driver) == cuda


def test_branches_are_in_order():
    """A newer branch has no older CUDA."""
    assert list(all_branches()) == sorted(all_branches())
    cudas = [tuple(map(int, highest_cuda(str(branch)).split("."))) for branch in all_branches()]
    assert cudas == sorted(cudas)


@pytest.mark.parametrize(
    ("driver", "capability", "dropped"),
    [("470.82", "3.7", False), ("475.14", "3.7", False), ("495.29.05", "3.7", True), ("580.95", "7.0", False),
     ("582.16", "6.1", False), ("590.48.01", "5.2", True), ("610", "7.5", False), ("610", "7.2", False),
     ("new", "3.7", False), (None, "3.7", False)],
)  # fmt: skip
def test_dropped_cards(driver, capability, dropped):
    """R470 is the last branch for Kepler and R580 for Maxwell, Pascal and Volta, also as Windows numbers them."""
    assert drops(driver, capability) is dropped


def test_the_driver_of_a_generation():
    """The newest branch for cards of several generations is that of the oldest; the first CUDA bounds it below."""
    assert newest_branch(["8.9", "3.7"]) == 470
    assert newest_branch(["8.9", "12.0"]) == newest_branch([]) == 610
    assert (first_cuda("8.9"), first_cuda("12.1"), first_cuda("3.7")) == ("11.8", "12.9", None)
