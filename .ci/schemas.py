"""Writes the JSON schemas from the types, or checks that the committed ones are theirs (--check)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gpucheck.report.document import SCHEMAS, schema

FOLDER = Path(__file__).resolve().parent.parent / "gpucheck" / "report" / "schemas"


def main() -> None:
    """Write or compare every schema."""
    FOLDER.mkdir(exist_ok=True)
    for name in SCHEMAS:
        path = FOLDER / f"{name}.json"
        text = json.dumps(schema(name), indent=2) + "\n"
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.name} is not what the types say: run python .ci/schemas.py")


main()
