"""The table of PyTorch's wheels, the rule of what runs where, and the drivers that builds need."""

import pytest

from gpucheck.catalog.drivers import oldest_driver, version_key
from gpucheck.catalog.torch_builds import all_builds, builds_for, find_build, maker_of, runs_on

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
