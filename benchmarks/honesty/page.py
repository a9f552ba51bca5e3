"""One page of all experiments: docs/honesty.md, its plots, and the counts as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks import results
from benchmarks.honesty.experiment import Experiment, Outcome, Plot, Table
from forecasting.plots import LIGHT, png

TOP: Final = Path(__file__).resolve().parent.parent.parent
PAGE: Final = TOP / "docs" / "honesty.md"
IMAGES: Final = TOP / "docs" / "images" / "honesty"

OPENING: Final = """# Honesty

How often is Bellwether wrong about being right? Every gate between a price and a published \
forecast is tried here on data whose truth is known, and its errors are counted. `make honesty` \
runs it all again and writes this page; a smaller version of each experiment is a test."""


def write(ran: Mapping[str, tuple[Experiment, Outcome, float]]) -> Path:
    """Write the page, one section an experiment; returns where it is.

    Args:
        ran: by name, each experiment with its outcome and the seconds it took.
    """
    IMAGES.mkdir(parents=True, exist_ok=True)
    for old in IMAGES.glob("*.png"):
        old.unlink()
    parts = [OPENING, results.machine(), summary(ran)]
    for experiment, outcome, seconds in ran.values():
        parts += [f"## {experiment.title}", experiment.question, promises(outcome)]
        parts += [_told(experiment.name, piece) for piece in outcome.story]
        parts.append(f"<sub>This took {seconds:,.0f} s.</sub>")
    PAGE.write_text("\n\n".join(part for part in parts if part) + "\n")
    counts = {name: dict(outcome.data) for name, (_, outcome, _) in ran.items()}
    (results.FOLDER / "honesty.json").write_text(json.dumps(counts, indent=1) + "\n")
    return PAGE


def summary(ran: Mapping[str, tuple[Experiment, Outcome, float]]) -> str:
    """Every promise in one table, with what came out."""
    rows = [
        [
            f"[{experiment.title}](#{_anchor(experiment.title)})",
            one.what,
            one.wanted,
            one.found,
            "yes" if one.holds else "**no**",
        ]
        for experiment, outcome, _ in ran.values()
        for one in outcome.findings
        if one.wanted
    ]
    return results.markdown(["section", "figure", "promised", "found", "kept"], rows)


def promises(outcome: Outcome) -> str:
    """The findings of one experiment."""
    rows = [
        [one.what, one.found, one.wanted + (" (**not kept**)" if not one.holds else "")]
        for one in outcome.findings
    ]
    return results.markdown(["figure", "found", "promised"], rows) if rows else ""


def _told(name: str, piece: "str | Table | Plot") -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Table):
        return results.markdown(piece.heads, piece.rows)
    file = IMAGES / f"{name}-{piece.name}.png"
    file.write_bytes(image(piece))
    return f"![{piece.caption}]({file.relative_to(PAGE.parent)})\n\n*{piece.caption}*"


def image(plot: Plot) -> bytes:
    """The PNG of one plot as the page shows it."""
    return png(plot.paint, LIGHT, height=3.4, dpi=110)


def _anchor(title: str) -> str:
    kept = [c for c in title.lower() if c.isalnum() or c in " -"]
    return "".join(kept).replace(" ", "-")
