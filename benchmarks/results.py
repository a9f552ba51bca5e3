"""Where benchmark tables go: Markdown to read, JSON to compare."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
RECORD = Path("benchmarks/results")
"""Where the tables of record are, seen from the top folder."""

DRAFTS = TOP / ".output"
"""Where a run writes unless it is told to replace the record; git ignores it."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let the user say where tables go; a run in passing leaves the record alone."""
    parser.add_argument(
        "--out", type=Path, default=DRAFTS / RECORD, help="folder to write to; default: %(default)s"
    )


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


def write(name: str, text: str, data: object, folder: Path) -> None:
    """Print a table and write <name>.md and <name>.json into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text + "\n")
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    print(text)
