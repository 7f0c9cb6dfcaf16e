"""The pytest plugin: tests say what machine they need, and are skipped, or fail, on any other.

    @pytest.mark.gpu                                    # at least one GPU that can be used
    @pytest.mark.gpu(count=2, min_vram="16GiB", min_compute_capability="8.0")
    @pytest.mark.gpu(model="8b@q4")                     # the keywords of `gpucheck.require`; count is min_gpus

Markers of a test, its class and its module count together; under one keyword the nearest wins. Where a requirement is
not met or could not be determined the test is skipped before its fixtures are set up, found against required. On a
runner that promised to suit, it is an error: `--gpucheck-strict`, `GPUCHECK_STRICT=1`, or `gpucheck_strict` in the
configuration file. A wrong keyword is an error of collection.

Every pytest run of an environment with gpucheck loads this module, so it imports nothing that it may not need. The
machine is inspected when the first test needs it, once in a process, and no framework is imported for it.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from gpucheck.machine.types import Machine
    from gpucheck.testing import FakeMachine

STRICT_VARIABLE = "GPUCHECK_STRICT"
_MACHINE = pytest.StashKey["Machine"]()
_HEADED = pytest.StashKey[bool]()
_WORKER = "PYTEST_XDIST_WORKER"  # of pytest-xdist: gw0, gw1, …
_ON, _OFF = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})
_MARKER = (
    "gpu(count=1, min_vram='16GiB', min_compute_capability='8.0', model='8b@q4', ...): skip the test on a machine that"
    " does not meet these requirements of gpucheck; without any, where no GPU can be used"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each with a key of the configuration file."""
    group = parser.getgroup("gpucheck")
    strict = "tests marked gpu are errors, not skipped, where the machine does not suit"
    each = "with pytest-xdist: each worker sees one GPU, in turn; set before any test or conftest file is imported"
    header = "when to show the machine in the header"
    group.addoption("--gpucheck-strict", action="store_true", dest="gpucheck_strict", help=strict)
    group.addoption("--gpucheck-gpu-per-worker", action="store_true", dest="gpucheck_gpu_per_worker", help=each)
    group.addoption("--gpucheck-header", choices=("auto", "always", "never"), dest="gpucheck_header", help=header)
    group.addoption(
        "--gpucheck-machine",
        metavar="FILE",
        dest="gpucheck_machine",
        help="take the machine of a recording, or one such as h100x8, for this one; write it with =, else pytest takes"
        " the file's folder into account for its rootdir",
    )
    parser.addini("gpucheck_strict", strict, type="bool", default=False)
    parser.addini("gpucheck_gpu_per_worker", each, type="bool", default=False)
    parser.addini("gpucheck_header", f"{header}: always, never, or (auto) where a test needs it", default="auto")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Give a worker of pytest-xdist its GPU, if that is wanted, before anything can start a framework."""
    place = os.environ.get(_WORKER, "").removeprefix("gw")
    if not place.isdecimal() or not _wanted(early_config, "gpucheck_gpu_per_worker"):
        return
    from gpucheck.testing import share_for

    own, variables = share_for(_machine(early_config), int(place))
    early_config.stash[_MACHINE] = own
    os.environ.update(variables)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse settings that are wrong before any test runs."""
    config.addinivalue_line("markers", _MARKER)
    _is_strict(config)
    _header(config)
    if config.known_args_namespace.gpucheck_machine is not None:
        _machine(config)


def pytest_report_header(config: pytest.Config) -> str | None:
    """The machine in one line where the run says beforehand that it is about it."""
    when, given = _header(config), config.known_args_namespace
    about = _is_strict(config) or given.gpucheck_machine or _wanted(config, "gpucheck_gpu_per_worker")
    return _headline(config) if when == "always" or (when == "auto" and about) else None


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> str | list[str]:
    """The same where a test that was collected needs it, if it was not shown."""
    quiet = config.get_verbosity() < 0 or config.option.collectonly or config.stash.get(_HEADED, False)
    if quiet or _header(config) == "never" or not any(map(_needs_machine, items)):
        return []
    return _headline(config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,  # noqa: ARG001 (the hook's name of it)
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail the collection of a file whose markers are wrong."""
    report = yield
    mistakes = _mistakes(node for node in report.result or () if isinstance(node, pytest.Item))
    if report.passed and mistakes:
        report.outcome, report.longrepr, report.result = "failed", "\n".join(mistakes), []
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test, or fail it, where the machine does not suit; after marks that skip it, before its fixtures."""
    marks = _marks(item)
    if not marks:
        return
    from gpucheck.errors import UsageError
    from gpucheck.testing import demanded, unsuited

    try:
        wanted = demanded(**_keywords(marks))
    except UsageError as error:  # of a marker that was added after collection
        raise pytest.UsageError(_in_words(error)) from None
    reason = unsuited(_machine(item.config), wanted)
    if reason is None:
        return
    if _is_strict(item.config):
        pytest.fail(f"gpucheck: this machine was to suit (strict), but does not: {reason}", pytrace=False)
    skipped = pytest.skip.Exception(f"gpucheck: {reason}")
    skipped._use_item_location = True  # the report names the test, where this attribute is known; else this line
    raise skipped


@pytest.fixture(scope="session")
def gpucheck_machine(pytestconfig: pytest.Config) -> Machine:
    """This machine, as the markers are held against it."""
    return _machine(pytestconfig)


@pytest.fixture(scope="session")
def gpucheck_fake_machine() -> FakeMachine:
    """A function that makes machines: `gpucheck_fake_machine("h100x8")`; see `gpucheck.testing.fake_machine`."""
    from gpucheck.testing import fake_machine

    return fake_machine


def _machine(config: pytest.Config) -> Machine:
    """The machine of this run, inspected when it is first asked for, with the frameworks of the Python that runs."""
    found = config.stash.get(_MACHINE, None)
    if found is None:
        import sys

        from gpucheck import api
        from gpucheck.errors import GpucheckError
        from gpucheck.testing import fake_machine

        replayed = config.known_args_namespace.gpucheck_machine
        try:
            found = api.inspect(sys.executable) if replayed is None else fake_machine(replayed)
        except GpucheckError as error:
            raise pytest.UsageError(f"gpucheck: {error}") from None
        config.stash[_MACHINE] = found
    return found


def _headline(config: pytest.Config) -> str:
    from gpucheck.testing import in_one_line

    config.stash[_HEADED] = True
    return f"gpucheck: {in_one_line(_machine(config))}"


def _wanted(config: pytest.Config, name: str) -> bool:
    return bool(getattr(config.known_args_namespace, name) or config.getini(name))


def _is_strict(config: pytest.Config) -> bool:
    """By the option; else by the variable, if it is set; else by the configuration file."""
    value = os.environ.get(STRICT_VARIABLE)
    if value is not None and value.lower() not in _ON | _OFF:
        raise pytest.UsageError(f"{STRICT_VARIABLE}: expected 1 or 0, not {value!r}")
    if value is None or config.known_args_namespace.gpucheck_strict:
        return _wanted(config, "gpucheck_strict")
    return value.lower() in _ON


def _header(config: pytest.Config) -> Literal["auto", "always", "never"]:
    value = config.known_args_namespace.gpucheck_header or config.getini("gpucheck_header")
    if value not in {"auto", "always", "never"}:
        raise pytest.UsageError(f"gpucheck_header: expected auto, always or never, not {value!r}")
    return value  # type: ignore[no-any-return]


def _marks(item: pytest.Item) -> list[pytest.Mark]:
    """The markers of a test, the farthest first."""
    return [*item.iter_markers("gpu")][::-1]


def _needs_machine(item: pytest.Item) -> bool:
    return bool(_marks(item)) or "gpucheck_machine" in getattr(item, "fixturenames", ())


def _keywords(marks: Iterable[pytest.Mark]) -> dict[str, Any]:
    """The keywords of all markers; count is min_gpus, so that either replaces the other of a farther marker.

    Raises:
        UsageError: a marker has an argument without a keyword.
    """
    from gpucheck.errors import UsageError

    merged: dict[str, Any] = {}
    for mark in marks:
        if mark.args:
            raise UsageError(f"expected keyword arguments alone, such as min_vram='16GiB', not {mark.args[0]!r}")
        if not mark.kwargs.keys().isdisjoint({"count", "min_gpus"}):
            merged = {name: value for name, value in merged.items() if name not in {"count", "min_gpus"}}
        merged.update(mark.kwargs)
    return merged


def _mistakes(items: Iterable[pytest.Item]) -> list[str]:
    """What is wrong with the markers of these tests, a mistake of many tests once, by the first of them."""
    found: dict[str, str] = {}
    for item in items:
        if marks := _marks(item):
            from gpucheck.errors import UsageError
            from gpucheck.testing import demanded

            try:
                demanded(**_keywords(marks))
            except UsageError as error:
                found.setdefault(_in_words(error), item.nodeid)
    return [f"{nodeid}: {words}" for words, nodeid in found.items()]


def _in_words(error: Exception) -> str:
    return f"@pytest.mark.gpu: {error}"
