"""Why a forecast differs from the one before: a line, and a table of the parts that opens."""

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

import numpy as np

from gradio_app import formatting
from gradio_app.change import PARTS, Parts

_NO_CHANGE: Final = 0.00005
_SAME_WIDTH: Final = 0.005
"""Changes that would be written as 0.00 %, and 0 %."""

_NOTE: Final = (
    "Changes of logarithms in per cent, so that the parts add up. Both forecasts look as many bars "
    "ahead, each from its own last close."
)


@dataclass(frozen=True, eq=False)
class Difference:
    """The newest forecast less the one before, at one horizon.

    Attributes:
        since: close of the last bar that the forecast before knew.
        interval: length of a bar.
        bars: how many bars ahead both look.
        versions: the model versions, then and now.
        told_apart: whether the parts of width and version are known apart; else the part of the
            version is nothing, and those of direction and width hold it.
        parts: the change.
    """

    since: datetime
    interval: str
    bars: int
    versions: tuple[str, str]
    told_apart: bool
    parts: Parts


def change(difference: Difference) -> str:
    """The explanation: what changed in a line, and each part's share in a table that opens."""
    parts = difference.parts
    median = float(parts.quantiles[:, parts.quantiles.shape[1] // 2].sum())
    when = formatting.bar_end(difference.since, difference.interval)
    span = formatting.bars(difference.bars, difference.interval)
    line = (
        f"The median for {span} has moved by {_percent(float(np.expm1(median)))}, and the 90 % "
        f"interval, relative to the price, is {_width(parts)}.{_versions(difference)}"
    )
    return (
        f'<section class="bw-change"><h3>Since the forecast of {escape(when)}</h3>'
        f"<p>{escape(line)}</p><details><summary>Why does it differ?</summary>"
        f'{_table(difference)}<p class="bw-aside">{_NOTE}</p></details></section>'
    )


def not_on_record(days: int) -> str:
    """Instead of an explanation, where the log has no forecast before."""
    return _line(
        "Why it differs from the forecast before cannot be said: none that was made in the last "
        f"{days} days is on record."
    )


def not_known(trouble: str) -> str:
    """Instead of an explanation, where something keeps the page from looking."""
    return _line(f"Why it differs from the forecast before is not known now. {trouble}.")


def change_waiting() -> str:
    """Before the explanation has come."""
    return _line("Looking for the forecast before ...")


def _line(text: str) -> str:
    return f'<section class="bw-change"><p>{escape(text)}</p></section>'


def _width(parts: Parts) -> str:
    factor = float(np.expm1(parts.width.sum()))
    if abs(factor) < _SAME_WIDTH:
        return "as wide as it was"
    return f"{formatting.percent(abs(factor), 0)} {'wider' if factor > 0 else 'narrower'}"


def _versions(difference: Difference) -> str:
    then, now = difference.versions
    if then == now:
        return ""
    words = f" Then version {then} answered, now version {now}"
    if difference.told_apart:
        return f"{words}."
    return f"{words}; version {then} cannot be asked any more, so what is due to it stays in the width."


def _percent(value: float) -> str:
    return formatting.percent(float(value), 2, signed=True)


def _names(difference: Difference) -> dict[str, str]:
    """What to call each part; parts that are nothing by their nature are left out."""
    then, now = difference.versions
    names = {"price": "New price", "direction": "New direction", "width": "New width"}
    middle = difference.parts.quantiles.shape[1] // 2
    if abs(difference.parts.quantiles[PARTS.index("direction"), middle]) < _NO_CHANGE:
        del names["direction"]
    if then == now:
        return names
    if difference.told_apart:
        return names | {"version": f"New version, v{then} to v{now}"}
    names["width"] = f"New width and version, v{then} to v{now}"
    return names


def _table(difference: Difference) -> str:
    parts = difference.parts
    columns = [0, parts.quantiles.shape[1] // 2, parts.quantiles.shape[1] - 1]
    changes = np.column_stack((parts.quantiles[:, columns], parts.width))
    rows = [(name, changes[PARTS.index(part)]) for part, name in _names(difference).items()]
    rows.append(("In all", changes.sum(axis=0)))
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{_percent(value)}</td>" for value in values)
        + "</tr>"
        for name, values in rows
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("5 %", "Median", "95 %", "Width"))
    return (
        '<div class="bw-scroll" tabindex="0" role="region" aria-label="Parts of the change">'
        f'<table class="bw-table"><thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )
