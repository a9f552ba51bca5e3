"""The forecast side of the page: records to HTML. Pure, and every text from outside is escaped."""

import base64
import csv
import io
from datetime import UTC
from html import escape
from typing import Final

import numpy as np

from forecasting.features.targets import SignalRule
from gradio_app import wording
from gradio_app.facts import Forecast, ModelCard, Notice, Provenance, Status

ADVICE: Final = (
    "Not investment advice. Bellwether shows what a statistical model says, and how far it has "
    "been right; it knows nothing about you, and most of the time prices know more than it does."
)
SIGNAL_BARS: Final = SignalRule().horizon
"""Horizon of the trading signal, in bars."""

_MARK: Final = (
    '<svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" fill="none" '
    'stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">'
    '<path d="M2.5 15.5 7 10l3 3 2.5-3"/><path d="M12.5 10 21.5 4.5"/>'
    '<path d="M12.5 10 21.5 15.5" opacity=".55"/><path d="M12.5 10h9" opacity=".8"/></svg>'
)
_THEME_SWITCH: Final = (
    '<button type="button" class="bw-theme" aria-label="Switch between light and dark" '
    'title="Light / dark" onclick="bellwetherTheme()">'
    '<svg viewBox="0 0 24 24" width="16" height="16" aria-hidden="true">'
    '<circle cx="12" cy="12" r="8.5" fill="none" stroke="currentColor" stroke-width="1.8"/>'
    '<path d="M12 3.5a8.5 8.5 0 0 1 0 17z" fill="currentColor"/></svg></button>'
)


def header(status: Status) -> str:
    """Name, and one line of truth about the server and its data."""
    tone, word = ("ok", "Serving") if status.ready else ("wrong", "Not serving")
    parts = [
        f'<span class="bw-chip bw-{tone}"><i aria-hidden="true"></i>{word}</span>',
        f"<span>{escape(status.detail)}</span>",
    ]
    if status.last_bar is not None:
        parts.append(f"<span>last bar {wording.instant(status.last_bar)}</span>")
    if status.age_seconds is not None:
        parts.append(f"<span>{wording.age(status.age_seconds)}</span>")
    if status.provenance is not None:
        parts.append(_source(status.provenance))
    return (
        f'<header class="bw-head"><div class="bw-name">{_MARK}<h1>Bellwether</h1></div>'
        f'<div class="bw-status" role="status">{"".join(parts)}</div>{_THEME_SWITCH}</header>'
    )


def header_waiting() -> str:
    """The head before the first answer, as high as it will be."""
    return (
        f'<header class="bw-head"><div class="bw-name">{_MARK}<h1>Bellwether</h1></div>'
        f'<div class="bw-status" role="status"><span>asking the model server</span></div>'
        f"{_THEME_SWITCH}</header>"
    )


def _source(provenance: Provenance) -> str:
    tags = ""
    if provenance.synthetic:
        tags = ' <b class="bw-tag bw-warn">SYNTHETIC</b>'
    elif provenance.replay:
        tags = ' <b class="bw-tag">REPLAY</b>'
    if provenance.fallback:
        tags += f' <b class="bw-tag bw-warn" title="{escape(provenance.fallback)}">FALLBACK</b>'
    return f"<span>source {escape(provenance.source)}{tags}</span>"


def banner(forecast: Forecast | None) -> str:
    """What has to be known before a number is read; empty when there is nothing."""
    if forecast is None:
        return ""
    lines = []
    when = wording.day(forecast.as_of)
    if forecast.provenance.synthetic:
        lines.append(("warn", "SYNTHETIC PRICES", "They were generated, and belong to no market."))
    elif forecast.provenance.replay:
        lines.append(
            (
                "info",
                "Historical replay",
                f"Real prices that end on {when}, shown as if that bar had just closed.",
            )
        )
    if forecast.provenance.fallback:
        lines.append(("warn", "Fallback", forecast.provenance.fallback))
    if forecast.stale:
        lines.append(("warn", "Stale", f"The newest bar is of {when}. Newer prices are overdue."))
    return "".join(
        f'<p class="bw-banner bw-{tone}" role="note"><b>{title}.</b> {escape(text)}</p>'
        for tone, title, text in lines
    )


def banner_waiting() -> str:
    """The banner before the first answer, as high as it will mostly be."""
    return '<p class="bw-banner">Asking the model server ...</p>'


def answer_waiting(what: str) -> str:
    """Empty space of the height that the chart's title or the table will take."""
    height = {"key": 27, "table": 474}[what]
    return f'<div style="min-height:{height}px"></div>'


def notice(shown: Notice) -> str:
    """A friendly state, in the place of what cannot be shown."""
    body = f"<p>{escape(shown.body)}</p>" if shown.body else ""
    remedy = f'<p class="bw-remedy">{escape(wording.sentence(shown.remedy))}</p>'
    return (
        f'<section class="bw-notice bw-{escape(shown.tone)}" role="status">'
        f"<h3>{escape(shown.title)}</h3>{body}{remedy if shown.remedy else ''}</section>"
    )


def chart_key(forecast: Forecast) -> str:
    """The chart's title and the legend of its lines and bands."""
    null = (
        '<span><i class="bw-line bw-dash"></i>random walk, with its 5-95 %</span>'
        if forecast.baseline is not None
        else ""
    )
    span = wording.bars(forecast.horizon, forecast.provenance.interval)
    return (
        f'<div class="bw-key"><h2>{escape(forecast.symbol)}<small>next {span}</small></h2>'
        '<div><span><i class="bw-line bw-ink"></i>close</span>'
        '<span><i class="bw-line bw-accent"></i>median</span>'
        '<span><i class="bw-band bw-inner"></i>25-75 %</span>'
        f'<span><i class="bw-band bw-outer"></i>5-95 %</span>{null}</div></div>'
    )


def signal_panel(forecast: Forecast, card: ModelCard | None, age_seconds: float | None) -> str:
    """The signal, the chance of a rise, and where the answer comes from.

    Args:
        forecast: the answer.
        card: the version that answered, or None when the registry does not say.
        age_seconds: age of the last bar on the data's clock, or None when not known.
    """
    interval = forecast.provenance.interval
    near = min(SIGNAL_BARS, forecast.horizon)
    rises = [(near, float(forecast.probability_of_rise[near - 1]))]
    if forecast.horizon > near:
        rises.append((forecast.horizon, float(forecast.probability_of_rise[-1])))
    low, median, high = (float(forecast.quantiles[-1, place]) for place in (0, 2, 4))
    change = median / forecast.last_close - 1.0
    signal = forecast.signal if forecast.signal in {"buy", "sell"} else "hold"
    version = f"v{forecast.version} \N{MIDDLE DOT} {wording.kind(forecast.kind)}"
    freshness = NO_AGE if age_seconds is None else wording.age(age_seconds)
    if forecast.stale:
        freshness += " (stale)"
    rows = [
        ("Last close", wording.price(forecast.last_close)),
        (
            f"Median in {wording.bars(forecast.horizon, interval)}",
            f"{wording.price(median)} ({wording.percent(change, signed=True)})",
        ),
        ("90 % interval", f"{wording.price(low)} to {wording.price(high)}"),
        ("As of", wording.instant(forecast.as_of)),
        ("Freshness", freshness),
        ("Model", version + (f" ({card.role})" if card else "")),
        ("Answered in", wording.duration(forecast.seconds)),
    ]
    if forecast.provenance.snapshot:
        rows.append(("Snapshot", forecast.provenance.snapshot[:16]))
    facts = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows)
    return (
        f'<section class="bw-panel" aria-label="Forecast for {escape(forecast.symbol)}">'
        f'<div class="bw-signal bw-{signal}"><span>{wording.signal(signal)}</span>'
        f"<small>{SIGNAL_MEANING[signal]}</small></div>"
        f"{''.join(_gauge(count, chance, interval) for count, chance in rises)}"
        f'<dl class="bw-facts">{facts}</dl>{_note(forecast, card)}</section>'
    )


NO_AGE: Final = "not known"
SIGNAL_MEANING: Final = {
    "buy": f"A rise beyond costs within {SIGNAL_BARS} bars is likely enough.",
    "sell": f"A fall beyond costs within {SIGNAL_BARS} bars is likely enough.",
    "hold": f"No move beyond costs within {SIGNAL_BARS} bars is likely enough.",
}


def _gauge(count: int, chance: float, interval: str) -> str:
    return (
        f'<div class="bw-gauge"><span>P(rise) in {wording.bars(count, interval)}</span>'
        f"<b>{wording.chance(chance)}</b>"
        f'<div aria-hidden="true"><i style="width:{min(max(chance, 0), 1) * 100:.1f}%"></i></div>'
        "</div>"
    )


def _note(forecast: Forecast, card: ModelCard | None) -> str:
    if forecast.kind == "random_walk":
        note = (
            "This version is the random walk: nothing has beaten it on these data yet, so the "
            "median is the last close. What can be trusted is the interval."
        )
    elif card is not None and card.role == "challenger" and card.verdict == "refuse":
        note = (
            "This challenger was refused: it did not prove to be better than the random walk. "
            "Its signal is shown for comparison, and is not what the platform stands by."
        )
    else:
        return ""
    return f'<p class="bw-aside">{note}</p>'


def quantile_table(forecast: Forecast) -> str:
    """Quantiles per horizon, with a link that downloads them as CSV."""
    interval = forecast.provenance.interval
    heads = ["Bar", "Closes", "5 %", "25 %", "Median", "75 %", "95 %", "P(rise)"]
    if forecast.baseline is not None:
        heads += ["Random walk 5 %", "Random walk 95 %"]
    body = []
    for place, closes in enumerate(forecast.target_times):
        cells = [wording.price(float(v)) for v in forecast.quantiles[place]]
        cells.append(wording.chance(float(forecast.probability_of_rise[place])))
        if forecast.baseline is not None:
            cells += [wording.price(float(forecast.baseline[place, c])) for c in (0, 4)]
        numbers = "".join(
            f'<td class="{"bw-strong" if column == 2 else ""}">{cell}</td>'
            for column, cell in enumerate(cells)
        )
        body.append(
            f'<tr><th scope="row">{place + 1}</th><td class="bw-left">'
            f"{wording.bar_end(closes, interval)}</td>{numbers}</tr>"
        )
    head = "".join(f'<th scope="col"{LEFT if n == 1 else ""}>{h}</th>' for n, h in enumerate(heads))
    link = base64.b64encode(quantile_csv(forecast).encode()).decode()
    name = escape(f"{forecast.symbol}-{forecast.as_of:%Y-%m-%d}-v{forecast.version}.csv")
    return (
        '<section class="bw-block"><div class="bw-title"><h2>Quantiles per bar</h2>'
        f'<a class="bw-button" download="{name}" href="data:text/csv;base64,{link}">'
        "Download CSV</a></div>"
        '<div class="bw-scroll bw-tall" tabindex="0" role="region" aria-label="Quantiles per bar">'
        f'<table class="bw-table"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody>'
        "</table></div></section>"
    )


LEFT: Final = ' class="bw-left"'


def quantile_csv(forecast: Forecast) -> str:
    """The table as CSV: full precision, ISO instants, and where the numbers come from."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = ["p05", "p25", "p50", "p75", "p95", "probability_of_rise"]
    if forecast.baseline is not None:
        columns += [f"random_walk_{c}" for c in ("p05", "p25", "p50", "p75", "p95")]
    origin = ["source", "replay", "synthetic", "model_version", "model_kind"]
    writer.writerow(["symbol", "as_of", "last_close", "bar", "target_time", *columns, *origin])
    where = forecast.provenance
    for place, closes in enumerate(forecast.target_times):
        values = [*forecast.quantiles[place], forecast.probability_of_rise[place]]
        if forecast.baseline is not None:
            values += [*forecast.baseline[place]]
        writer.writerow(
            [
                _plain(forecast.symbol),
                forecast.as_of.astimezone(UTC).isoformat(),
                repr(float(forecast.last_close)),
                place + 1,
                closes.astimezone(UTC).isoformat(),
                *(repr(float(v)) for v in np.asarray(values)),
                where.source,
                str(where.replay).lower(),
                str(where.synthetic).lower(),
                forecast.version,
                forecast.kind,
            ]
        )
    return out.getvalue()


def _plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def advice() -> str:
    """The note under every page."""
    return f'<footer class="bw-advice">{escape(ADVICE)}</footer>'


def loading(what: str) -> str:
    """What stands where something is on its way, at the size it will have."""
    return f'<div class="bw-loading" role="status">{escape(what)}</div>'


def version_label(card: ModelCard) -> str:
    """A model version in the selection box."""
    return f"{card.role.capitalize()} \N{MIDDLE DOT} v{card.version} {wording.kind(card.kind)}"
