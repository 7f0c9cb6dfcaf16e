"""Options and surroundings of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

# A deadline for each example measures the machine that runs the tests, not gpucheck.
hypothesis.settings.register_profile("gpucheck", deadline=None)
hypothesis.settings.load_profile("gpucheck")

# Variables that change what gpucheck looks at or how it prints; a developer may have any of them set.
_VARIABLES = (
    "GPUCHECK_MACHINE", "GPUCHECK_ROOT", "GPUCHECK_DEBUG", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES",
    "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "PYTHONIOENCODING",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-golden`."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden/ from what gpucheck prints now")


@pytest.fixture(scope="session", autouse=True)
def plain_environment() -> Iterator[None]:
    """No variable of the developer's shell reaches the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _VARIABLES:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether `--update-golden` was given."""
    return bool(request.config.getoption("--update-golden"))
