"""Storage, limits, NUMA nodes and the variables that hide devices."""

import pytest

from gpucheck.probes.limits import probe_limits
from gpucheck.probes.numa import probe_numa
from gpucheck.probes.storage import models_place, probe_storage
from gpucheck.probes.visibility import probe_visibility
from tests.fake_source import fake_host

SPACE = {"total_bytes": 100, "free_bytes": 40}


@pytest.mark.parametrize(
    ("env", "place"),
    [
        ({}, "~/.cache/huggingface"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface"),
        ({"XDG_CACHE_HOME": "/c", "HF_HOME": "/hf/"}, "/hf/hub"),
        ({"HF_HOME": "/hf", "HF_HUB_CACHE": "/models"}, "/models"),
        ({"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
        ({"HF_HOME": "", "HF_HUB_CACHE": ""}, "~/.cache/huggingface"),
        ({"HF_HUB_CACHE": "/"}, "/"),
        ({"HF_HUB_CACHE": "~/models"}, "~/models"),
    ],
)
def test_models_place(env, place):
    """Hugging Face's own order; an empty variable is none; the home directory stays unnamed."""
    assert models_place(fake_host(env=env)) == place


def test_places():
    """Three places with their sizes."""
    answers = {("disk", place): SPACE for place in ("~/.cache/huggingface", ".", "/dev/shm")}
    found = probe_storage(fake_host(answers={**answers, ("access", "rw /dev/shm"): True}))
    assert [place.purpose for place in found.facts] == ["models", "current directory", "shared memory"]
    assert (found.facts[0].total_bytes, found.facts[0].free_bytes) == (100, 40)


def test_no_shared_memory():
    """A system without /dev/shm has no such place, though its parent has space."""
    answers = {("disk", place): SPACE for place in ("~/.cache/huggingface", ".", "/dev/shm")}
    assert len(probe_storage(fake_host(answers=answers)).facts) == 2


def test_dead_network_disk():
    """A place that does not answer stays in the list, unknown, with an issue."""
    found = probe_storage(fake_host(errors={("disk", "."): "timeout"}))
    assert [(place.path, place.free_bytes) for place in found.facts] == [(".", None)]
    assert [issue.code for issue in found.issues] == ["timeout"]


def test_limits():
    """Soft limits; -1 is unlimited, which is None without an issue."""
    rlimits = {"memlock": [65536, 65536], "address_space": [-1, -1], "open_files": [1024, 4096]}
    found = probe_limits(fake_host(system={"rlimits": rlimits}))
    limits = found.facts
    assert (limits.locked_memory_bytes, limits.address_space_bytes, limits.open_files) == (65536, None, 1024)
    assert found.issues == ()


@pytest.mark.parametrize("rlimits", [[], "x", {"memlock": 5}, {"memlock": []}, {"memlock": ["1"]}, {"memlock": [True]}])
def test_malformed_limits(rlimits):
    """A hand-edited recording's limits are unknown, with an issue."""
    found = probe_limits(fake_host(system={"rlimits": rlimits}))
    assert (found.facts.locked_memory_bytes, [issue.code for issue in found.issues]) == (None, ["malformed"])


def test_system_without_limits():
    """Windows has none: told, not hidden."""
    found = probe_limits(fake_host(errors={("system", "rlimits"): "not_supported"}))
    assert [issue.code for issue in found.issues] == ["not_supported"]


def test_visibility():
    """Values as they are set; set to nothing is not the same as not set."""
    env = {"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": "GPU-8f2a,1", "PATH": "/bin"}
    expected = {"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": "GPU-8f2a,1"}
    assert probe_visibility(fake_host(env=env)).facts == expected


@pytest.mark.parametrize(
    ("system", "error", "codes"),
    [("Linux", "not_recorded", ["not_recorded"]), ("Linux", "not_found", []), ("Darwin", "not_recorded", [])],
)
def test_nodes_that_nobody_listed(system, error, codes):
    """A kernel without NUMA has no list of nodes; of Linux an issue says that nobody looked."""
    host = fake_host(errors={("file", "/sys/devices/system/node/online"): error}, system={"uname": {"system": system}})
    found = probe_numa(host)
    assert (found.facts, [issue.code for issue in found.issues]) == ((), codes)
