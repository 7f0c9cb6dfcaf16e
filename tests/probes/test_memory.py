"""Host memory: meminfo in all its states, psutil behind it, cgroup limits over it."""

import pytest

from gpucheck.probes.memory import parse_meminfo, probe_memory
from tests.fake_source import fake_host

GIB = 1 << 30
MEMINFO = "MemTotal: 67108864 kB\nMemFree: 1024 kB\nMemAvailable: 33554432 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"


def codes(found):
    """Codes and sources of the issues."""
    return [(issue.code, issue.source) for issue in found.issues]


def test_plain_machine():
    """Without limits everything available is usable; no swap is 0, not unknown."""
    memory = probe_memory(fake_host(files={"/proc/meminfo": MEMINFO})).facts
    assert (memory.total_bytes, memory.available_bytes, memory.usable_bytes) == (64 * GIB, 32 * GIB, 32 * GIB)
    assert (memory.limit_bytes, memory.swap_total_bytes, memory.swap_free_bytes) == (None, 0, 0)


def test_four_gib_container_on_a_large_host():
    """The machine's total stays the machine's; what is left of the limit is usable (psutil #2100)."""
    files = {
        "/proc/meminfo": MEMINFO,
        "/proc/self/cgroup": "0::/\n",
        "/sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
        "/sys/fs/cgroup/memory.current": f"{GIB}\n",
    }
    memory = probe_memory(fake_host(files=files)).facts
    assert (memory.total_bytes, memory.limit_bytes, memory.limit_used_bytes) == (64 * GIB, 4 * GIB, GIB)
    assert (memory.usable_bytes, memory.limit_source) == (3 * GIB, "/sys/fs/cgroup/memory.max")


def test_neighbours_fill_the_parents_limit():
    """The tightest limit is reported, but the fullest level decides what is usable."""
    files = {
        "/proc/meminfo": MEMINFO,
        "/proc/self/cgroup": "0::/pod/me\n",
        "/sys/fs/cgroup/pod/me/memory.max": f"{4 * GIB}\n",
        "/sys/fs/cgroup/pod/me/memory.current": "0\n",
        "/sys/fs/cgroup/pod/memory.max": f"{8 * GIB}\n",
        "/sys/fs/cgroup/pod/memory.current": f"{7 * GIB}\n",
    }
    memory = probe_memory(fake_host(files=files)).facts
    assert (memory.limit_bytes, memory.usable_bytes) == (4 * GIB, GIB)


def test_group_above_its_limit():
    """A group that holds more than its limit (after the limit was lowered) has nothing left, not less."""
    files = {
        "/proc/meminfo": MEMINFO,
        "/proc/self/cgroup": "0::/\n",
        "/sys/fs/cgroup/memory.max": f"{GIB}\n",
        "/sys/fs/cgroup/memory.current": f"{2 * GIB}\n",
    }
    assert probe_memory(fake_host(files=files)).facts.usable_bytes == 0


def test_kernel_without_memavailable():
    """Kernels before 3.14: free pages and both caches."""
    text = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 20 kB\nCached: 30 kB\n"
    assert probe_memory(fake_host(files={"/proc/meminfo": text})).facts.available_bytes == 150 * 1024


@pytest.mark.parametrize("text", ["", "MemTot", "MemTotal:", "MemTotal: lots kB", "MemTotal: -5 kB", "\ufffd: 1 kB",
                                  "MemTotal: 99999999999999999999999 kB", "MemTotal: 4 MB"])  # fmt: skip
def test_garbage_is_unknown(text):
    """A truncated, garbled or unbelievable file gives None with an issue, and never 0."""
    found = probe_memory(fake_host(files={"/proc/meminfo": text}))
    assert (found.facts.total_bytes, found.facts.usable_bytes) == (None, None)
    assert ("not_found", "memory.total_bytes") in codes(found)


def test_truncated_in_the_middle():
    """What stands before the cut is kept."""
    assert parse_meminfo("MemTotal: 10 kB\nMemAvailable: 5 kB\nSwapTo") == {"MemTotal": 10240, "MemAvailable": 5120}


def test_psutil_is_the_next_rung():
    """Where there is no meminfo (macOS, Windows), psutil answers."""
    answers = {
        ("psutil", "virtual_memory"): {"total": 16 * GIB, "available": 8 * GIB, "percent": 50.0},
        ("psutil", "swap_memory"): {"total": GIB, "free": 5},
    }
    found = probe_memory(fake_host(answers=answers))
    assert (found.facts.total_bytes, found.facts.available_bytes, found.facts.swap_free_bytes) == (16 * GIB, 8 * GIB, 5)
    assert found.issues == ()


def test_denied_meminfo_is_an_issue():
    """A file that may not be read is told as such."""
    found = probe_memory(fake_host(errors={("file", "/proc/meminfo"): "no_permission"}))
    assert ("no_permission", "/proc/meminfo") in codes(found)


@pytest.mark.parametrize("value", [[], "x", {"total": "many", "available": True}])
def test_hand_edited_psutil_answer(value):
    """An answer of the wrong shape gives nothing."""
    assert probe_memory(fake_host(answers={("psutil", "virtual_memory"): value})).facts.total_bytes is None


def test_sizes_beyond_64_bits_are_left_out():
    """No machine has that much, and no reader of the report could hold the number."""
    assert parse_meminfo("MemTotal: 9223372036854775807 kB\nSwapTotal: 4 kB\n") == {"SwapTotal": 4096}


def test_a_level_that_cannot_be_read_leaves_the_limit_unknown():
    """The group's own limit may be tighter than its parent's, which is then no answer."""
    own = "/sys/fs/cgroup/a/b/memory.max"
    files = {"/proc/self/cgroup": "0::/a/b\n", own: f"{1 << 30}\n", "/sys/fs/cgroup/a/memory.max": f"{4 << 30}\n"}
    errors = {("file", own): "timeout"}
    assert probe_memory(fake_host(files=files)).facts.limit_bytes == 1 << 30
    broken = probe_memory(fake_host(files=files, errors=errors))
    assert (broken.facts.limit_bytes, broken.facts.limit_source) == (None, None)
    assert any(issue.source == own for issue in broken.issues)
