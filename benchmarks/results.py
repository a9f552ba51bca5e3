"""Where benchmark tables go: Markdown to read, JSON to compare."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "results"


def machine() -> str:
    """One line about when and on what a table was measured."""
    cores = os.cpu_count()
    today = datetime.now(UTC).date()
    return f"Measured {today} in one run on {cores} cores, Python {platform.python_version()}."


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns whose name starts with '>' are right aligned."""
    rule = ["---:" if head.startswith(">") else "---" for head in heads]
    lines = [[head.removeprefix(">") for head in heads], rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(name: str, text: str, data: object) -> None:
    """Print a table and write results/<name>.md and results/<name>.json."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text + "\n")
    (FOLDER / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    print(text)
