"""Coverage of the 90 % interval in calm and in storm, in words and in a table, for the models tab."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from forecasting.evaluation.conditional_coverage import NOMINAL, THIRDS
from gradio_app import formatting
from gradio_app.model_card import ModelCard

CLOSE: Final = 0.02
"""Deviation of a mean over horizons from 90 % that is called none: two points."""

_CELL: Final = re.compile(rf"coverage_90_({'|'.join(THIRDS)})_h(\d+)")

Cells = Mapping[tuple[str, int], float]


def conditional_coverage(cards: Sequence[ModelCard]) -> str:
    """Each version's coverage by third of the volatility and horizon; "" where none was recorded."""
    known = [(card, cells) for card in cards if (cells := _cells(card.scores))]
    if not known:
        return ""
    horizons = sorted({horizon for _, cells in known for _, horizon in cells})
    groups = "".join(
        f'<th scope="colgroup" colspan="{len(THIRDS)}">v{escape(card.version)} '
        f"{escape(formatting.kind(card.kind))}</th>"
        for card, _ in known
    )
    heads = "".join(f'<th scope="col">{third.capitalize()}</th>' for _ in known for third in THIRDS)
    rows = "".join(
        f'<tr><th scope="row">{horizon}</th>'
        + "".join(
            f"<td>{formatting.percent(cells.get((third, horizon)))}</td>"
            for _, cells in known
            for third in THIRDS
        )
        + "</tr>"
        for horizon in horizons
    )
    words = "".join(
        f'<p class="bw-aside">{escape(_words(card, cells))}</p>' for card, cells in known
    )
    return (
        '<section class="bw-block bw-thirds"><div class="bw-title"><h2>90 % interval in calm and '
        f"storm</h2></div>{words}"
        '<div class="bw-scroll" tabindex="0" role="region" aria-label="Coverage in calm and storm">'
        f'<table class="bw-table"><thead><tr><td></td>{groups}</tr><tr><th scope="col">Bars</th>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="bw-aside">Calm and storm are the lowest and the highest third of a symbol\'s '
        "volatility within its last year, as known at the forecast. An interval that is as wide as it "
        "should be holds 90 % of outcomes in each.</p></section>"
    )


def _cells(scores: Mapping[str, float]) -> Cells:
    """Coverage by third and horizon, of the figures that `evaluation.record.metrics` names so."""
    found = ((_CELL.fullmatch(name), value) for name, value in scores.items())
    return {(match[1], int(match[2])): value for match, value in found if match}


def _words(card: ModelCard, cells: Cells) -> str:
    parts = [words for third in (THIRDS[0], THIRDS[-1]) if (words := _of_third(third, cells))]
    return f"v{card.version} {formatting.kind(card.kind)}: {', '.join(parts)}."


def _of_third(third: str, cells: Cells) -> str:
    """How wide the interval was in one third of the volatility; "" where that is not known."""
    shares = [share for (name, _), share in cells.items() if name == third]
    if not shares:
        return ""
    mean = sum(shares) / len(shares)
    if abs(mean - NOMINAL) <= CLOSE:
        verdict = "about right"
    else:
        verdict = "too narrow" if mean < NOMINAL else "too wide"
    low, high = formatting.percent(min(shares)), formatting.percent(max(shares))
    held = low if low == high else f"{low} to {high}"
    return f"{verdict} in {third} (it held {held} of outcomes)"
