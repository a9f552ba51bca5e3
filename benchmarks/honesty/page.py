"""One page of all experiments: docs/honesty.md, its plots, and the counts as JSON."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks import results
from benchmarks.honesty.experiment import Experiment, Outcome, Plot, Table
from forecasting.report.plots import LIGHT, png

PAGE: Final = Path("docs/honesty.md")
IMAGES: Final = Path("docs/images/honesty")
COUNTS: Final = results.RECORD / "honesty.json"

OPENING: Final = """# Honesty

How often is Bellwether wrong about being right? Every gate between a price and a published \
forecast is tried here on data whose truth is known, and its errors are counted. `make honesty \
UPDATE=1` runs it all again and writes this page; a smaller version of each experiment is a test."""


def write(
    ran: Mapping[str, tuple[Experiment, Outcome, float]],
    every: Mapping[str, Experiment],
    out: Path,
    record: Path = results.TOP,
) -> Path:
    """Write the page, one section an experiment; returns where it is.

    Sections of experiments that did not run stay as they are, with their rows, plots and counts.

    Args:
        ran: by name, each experiment with its outcome and the seconds it took.
        every: all experiments, in the order of the page.
        out: top folder of what is written; the page, its plots and its counts have their places
            below it.
        record: top folder of what was written last, where a page that is not there yet begins.
    """
    page, images, counts_file = out / PAGE, out / IMAGES, out / COUNTS
    whole = set(ran) == set(every)
    if not (whole or page.exists()):
        shutil.copytree(record / IMAGES, images, dirs_exist_ok=True)
        for file in (PAGE, COUNTS):
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(record / file, out / file)
    images.mkdir(parents=True, exist_ok=True)
    counts_file.parent.mkdir(parents=True, exist_ok=True)
    before = "" if whole else page.read_text()
    counts = {} if whole else json.loads(counts_file.read_text())
    rows: list[list[str]] = []
    sections = []
    for name, experiment in every.items():
        if name not in ran:
            rows += _rows_before(before, experiment)
            sections.append(_section_before(before, experiment))
            continue
        for old in images.glob(f"{name}-*.png"):
            old.unlink()
        _, outcome, seconds = ran[name]
        rows += _promised(experiment, outcome)
        story = [_rendered(name, piece, out) for piece in outcome.story]
        parts = [f"## {experiment.title}", experiment.question, promises(outcome), *story]
        ended = f"<sub>This took {seconds:,.0f} s.</sub>"
        sections.append("\n\n".join(part for part in (*parts, ended) if part))
        counts[name] = dict(outcome.data)
    machine = results.machine()
    if not whole:
        machine = machine.replace("in one run", "section by section, the last ones")
    summary = results.markdown(["section", "figure", "promised", "found", "kept"], rows)
    page.write_text("\n\n".join([OPENING, machine, summary, *filter(None, sections)]) + "\n")
    in_order = {name: counts[name] for name in every if name in counts}
    counts_file.write_text(json.dumps(in_order, indent=1) + "\n")
    return page


def _promised(experiment: Experiment, outcome: Outcome) -> list[list[str]]:
    """Rows of the summary: every promise of an experiment, with what came out."""
    return [
        [
            _link(experiment),
            finding.what,
            finding.promised,
            finding.found,
            "yes" if finding.holds else "**no**",
        ]
        for finding in outcome.findings
        if finding.promised
    ]


def _rows_before(page: str, experiment: Experiment) -> list[list[str]]:
    """An experiment's rows in the summary of the page as it is."""
    start = f"| {_link(experiment)} | "
    lines = page.partition("\n## ")[0].splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith(start)]


def _section_before(page: str, experiment: Experiment) -> str:
    """An experiment's section of the page as it is; empty if there is none."""
    head = f"\n## {experiment.title}\n"
    if head not in page:
        return ""
    return head.strip() + "\n" + page.partition(head)[2].partition("\n## ")[0].rstrip()


def _link(experiment: Experiment) -> str:
    anchor = [c for c in experiment.title.lower() if c.isalnum() or c in " -"]
    return f"[{experiment.title}](#{''.join(anchor).replace(' ', '-')})"


def promises(outcome: Outcome) -> str:
    """The findings of one experiment."""
    rows = [
        [
            finding.what,
            finding.found,
            finding.promised + ("" if finding.holds else " (**not kept**)"),
        ]
        for finding in outcome.findings
    ]
    return results.markdown(["figure", "found", "promised"], rows) if rows else ""


def _rendered(name: str, piece: "str | Table | Plot", out: Path) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Table):
        return results.markdown(piece.heads, piece.rows)
    file = IMAGES / f"{name}-{piece.name}.png"
    (out / file).write_bytes(image(piece))
    return f"![{piece.caption}]({file.relative_to(PAGE.parent)})\n\n*{piece.caption}*"


def image(plot: Plot) -> bytes:
    """The PNG of one plot as the page shows it."""
    return png(plot.paint, LIGHT, height=3.4, dpi=110)
