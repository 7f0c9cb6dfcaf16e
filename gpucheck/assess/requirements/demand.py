"""What is demanded: requirements from keyword arguments or options, a file, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gpucheck.assess.requirements.wanted import Wanted, from_arguments
from gpucheck.errors import UsageError


class Demand(Struct, frozen=True):
    """The requirements, and the file and profile that they are from."""

    wanted: tuple[Wanted, ...]
    file: str | None = None
    profile: str | None = None


def demand(arguments: Mapping[str, Any], file: str | None = None, profile: str | None = None) -> Demand:
    """The requirements of a file and of arguments, which come before the file's under the same key.

    Without a file, a profile and arguments it is the file of the current directory.

    Raises:
        RequirementsFileError: the file has mistakes.
        UsageError: an argument has, or nothing is demanded.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    if file is None and given and profile is None:
        found = Demand(from_arguments(given))
    else:
        from gpucheck.assess.requirements.file import file_here, read_requirements

        name = file if file is not None else file_here()
        found = Demand(read_requirements(name, profile, given), name, profile)
    if not found.wanted:
        raise UsageError(f"{found.file or 'the requirements'}: nothing is demanded")
    return found
