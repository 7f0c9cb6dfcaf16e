"""The errors a caller of gpucheck can meet; every one derives from `GpucheckError`.

    GpucheckError
    ├── RecordingError      a recording that cannot be read or is not one
    ├── UnknownNameError    a card, model or schema that no table holds
    │   └── AmbiguousNameError   a name that several cards carry
    ├── RequirementsNotMetError   a machine lacks what was demanded of it
    └── UsageError          an argument that makes no sense (a size without a number, say)
        └── RequirementsFileError   a requirements file with mistakes; it lists them all

Hardware that is missing, broken or silent is never an error: it is a fact in the `Machine`.
"""


class GpucheckError(Exception):
    """Anything that gpucheck raises on purpose; its text is one clear sentence."""


class RecordingError(GpucheckError):
    """A recording is truncated, too large, of another format, or not a recording at all."""


class UsageError(GpucheckError):
    """An argument cannot be understood."""


class RequirementsFileError(UsageError):
    """A requirements file has mistakes: `problems` has a line for each, "FILE:LINE: KEY: what was expected"."""

    def __init__(self, file: str, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        several = len(problems) > 1
        self.headline = f"{file}: {len(problems)} mistakes" if several else problems[0]
        self.candidates = problems if several else ()


class UnknownNameError(GpucheckError):
    """A name is in no table; `candidates` holds near ones, best first, and may be empty."""

    def __init__(self, message: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


class AmbiguousNameError(UnknownNameError):
    """A name is carried by several cards; `candidates` lists all of them."""


class RequirementsNotMetError(GpucheckError):
    """A machine does not meet what was demanded of it, or nobody can tell; the message names each."""
