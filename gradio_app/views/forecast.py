"""The forecast tab: banner, legend, signal, quantiles and their download."""

import base64
import csv
import io
from datetime import UTC
from html import escape
from typing import Final

from forecasting.adapters.inference import SymbolForecast
from forecasting.adapters.registry.records import CHALLENGER
from forecasting.features.targets import SignalRule
from forecasting.models.candidates import NULL_MODEL
from gradio_app import formatting
from gradio_app.charts import random_walk_beside
from gradio_app.model_card import ModelCard
from gradio_app.views.added import added

SIGNAL_BARS: Final = SignalRule().horizon
"""Horizon of the trading signal, in bars."""
SIGNAL_MEANING: Final = {
    "buy": f"A rise beyond costs within {SIGNAL_BARS} bars is likely enough.",
    "sell": f"A fall beyond costs within {SIGNAL_BARS} bars is likely enough.",
    "hold": f"No move beyond costs within {SIGNAL_BARS} bars is likely enough.",
}


def banner(forecast: SymbolForecast) -> str:
    """Warnings about the data, shown above the numbers; "" when there are none."""
    lines = []
    when = formatting.day(forecast.as_of)
    if forecast.synthetic:
        lines.append(("warn", "SYNTHETIC PRICES", "They were generated, and belong to no market."))
    elif forecast.replay:
        lines.append(
            (
                "info",
                "Historical replay",
                f"Real prices that end on {when}, shown as if that bar had just closed.",
            )
        )
    if forecast.fallback:
        lines.append(("warn", "Fallback", forecast.fallback))
    if forecast.stale:
        lines.append(("warn", "Stale", f"The newest bar is of {when}. Newer prices are overdue."))
    return "".join(
        f'<p class="bw-banner bw-{tone}" role="note"><b>{title}.</b> {escape(text)}</p>'
        for tone, title, text in lines
    )


def old(asked_at: str) -> str:
    """The line above a forecast that cannot be asked for anew.

    Args:
        asked_at: when it was made, in words.
    """
    return (
        '<p class="bw-banner bw-warn" role="note"><b>Old.</b> This forecast was made at '
        f"{escape(asked_at)}; the model server gives no newer one.</p>"
    )


def banner_waiting() -> str:
    """The banner before the first answer, as high as it will mostly be."""
    return '<p class="bw-banner">Asking the model server ...</p>'


def answer_waiting(what: str) -> str:
    """Empty space of the height that the chart's title or the table will take."""
    height = {"key": 27, "table": 474}[what]
    return f'<div style="min-height:{height}px"></div>'


def legend(forecast: SymbolForecast) -> str:
    """The chart's title, and the legend of its lines and bands."""
    null = (
        '<span><i class="bw-band bw-null"></i>random walk, 5-95 %</span>'
        if random_walk_beside(forecast) is not None
        else ""
    )
    span = formatting.bars(forecast.horizon, forecast.interval)
    return (
        f'<div class="bw-key"><h2>{escape(forecast.symbol)}<small>next {span}</small></h2>'
        '<div><span><i class="bw-line bw-ink"></i>close</span>'
        '<span><i class="bw-line bw-accent"></i>median</span>'
        '<span><i class="bw-band bw-inner"></i>25-75 %</span>'
        f'<span><i class="bw-band bw-outer"></i>5-95 %</span>{null}</div></div>'
    )


def signal_panel(
    forecast: SymbolForecast, seconds: float, card: ModelCard | None, age_seconds: float | None
) -> str:
    """The signal, the chance of a rise, and where the answer comes from.

    Args:
        forecast: the answer.
        seconds: from sending the question to having read the answer.
        card: the version that answered, or None when the registry does not say.
        age_seconds: age of the last bar on the data's clock, or None when not known.
    """
    interval = forecast.interval
    near = min(SIGNAL_BARS, forecast.horizon)
    rises = [(near, float(forecast.probability_of_rise[near - 1]))]
    if forecast.horizon > near:
        rises.append((forecast.horizon, float(forecast.probability_of_rise[-1])))
    low, median, high = (float(forecast.quantiles[-1, place]) for place in (0, 2, 4))
    change = median / forecast.last_close - 1.0
    signal = forecast.signal if forecast.signal in {"buy", "sell"} else "hold"
    version = f"v{forecast.model_version} \N{MIDDLE DOT} {formatting.kind(forecast.model_kind)}"
    freshness = "not known" if age_seconds is None else formatting.age(age_seconds)
    if forecast.stale:
        freshness += " (stale)"
    rows = [
        ("Last close", formatting.price(forecast.last_close)),
        (
            f"Median in {formatting.bars(forecast.horizon, interval)}",
            f"{formatting.price(median)} ({formatting.percent(change, signed=True)})",
        ),
        ("90 % interval", f"{formatting.price(low)} to {formatting.price(high)}"),
        ("As of", formatting.instant(forecast.as_of)),
        ("Freshness", freshness),
        ("Model", version + (f" ({card.role})" if card else "")),
        ("Answered in", formatting.duration(seconds)),
    ]
    if forecast.snapshot:
        rows.append(("Snapshot", forecast.snapshot[:16]))
    facts = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in rows)
    return (
        f'<section class="bw-panel" aria-label="Forecast for {escape(forecast.symbol)}">'
        f'<div class="bw-signal bw-{signal}"><span>{formatting.signal(signal)}</span>'
        f"<small>{SIGNAL_MEANING[signal]}</small></div>"
        f"{''.join(_gauge(count, chance, interval) for count, chance in rises)}"
        f'<dl class="bw-facts">{facts}</dl>{added(forecast, card)}{_note(forecast, card)}</section>'
    )


def _gauge(count: int, chance: float, interval: str) -> str:
    return (
        f'<div class="bw-gauge"><span>P(rise) in {formatting.bars(count, interval)}</span>'
        f"<b>{formatting.chance(chance)}</b>"
        f'<div aria-hidden="true"><i style="width:{min(max(chance, 0), 1) * 100:.1f}%"></i></div>'
        "</div>"
    )


def _note(forecast: SymbolForecast, card: ModelCard | None) -> str:
    if forecast.model_kind == NULL_MODEL:
        note = (
            "This version is the random walk: nothing has beaten it on these data yet, so the "
            "median is the last close. What can be trusted is the interval."
        )
    elif card is not None and card.role == CHALLENGER and card.verdict == "refuse":
        note = (
            "This challenger was refused: it did not prove to be better than the random walk. "
            "Its signal is shown for comparison, and is not what the platform stands by."
        )
    else:
        return ""
    return f'<p class="bw-aside">{note}</p>'


def quantile_table(forecast: SymbolForecast) -> str:
    """Quantiles per horizon, with a link that downloads them as CSV."""
    interval = forecast.interval
    heads = ["Bar", "Closes", "5 %", "25 %", "Median", "75 %", "95 %", "P(rise)"]
    null = random_walk_beside(forecast)
    if null is not None:
        heads += ["Random walk 5 %", "Random walk 95 %"]
    body = []
    for bar, closes in enumerate(forecast.target_times):
        cells = [formatting.price(float(v)) for v in forecast.quantiles[bar]]
        cells.append(formatting.chance(float(forecast.probability_of_rise[bar])))
        if null is not None:
            cells += [formatting.price(float(null[bar, c])) for c in (0, 4)]
        numbers = "".join(
            f'<td class="{"bw-strong" if column == 2 else ""}">{cell}</td>'
            for column, cell in enumerate(cells)
        )
        body.append(
            f'<tr><th scope="row">{bar + 1}</th><td class="bw-left">'
            f"{formatting.bar_end(closes, interval)}</td>{numbers}</tr>"
        )
    head = "".join(
        f'<th scope="col"{" class=bw-left" if column == 1 else ""}>{title}</th>'
        for column, title in enumerate(heads)
    )
    link = base64.b64encode(quantile_csv(forecast).encode()).decode()
    name = escape(f"{forecast.symbol}-{forecast.as_of:%Y-%m-%d}-v{forecast.model_version}.csv")
    return (
        '<section class="bw-block"><div class="bw-title"><h2>Quantiles per bar</h2>'
        f'<a class="bw-button" download="{name}" href="data:text/csv;base64,{link}">'
        "Download CSV</a></div>"
        '<div class="bw-scroll bw-tall" tabindex="0" role="region" aria-label="Quantiles per bar">'
        f'<table class="bw-table"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody>'
        "</table></div></section>"
    )


def quantile_csv(forecast: SymbolForecast) -> str:
    """The table as CSV: full precision, ISO instants, and where the numbers come from."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = ["p05", "p25", "p50", "p75", "p95", "probability_of_rise"]
    if forecast.baseline is not None:
        columns += [f"random_walk_{c}" for c in ("p05", "p25", "p50", "p75", "p95")]
    provenance = ["source", "replay", "synthetic", "model_version", "model_kind"]
    writer.writerow(["symbol", "as_of", "last_close", "bar", "target_time", *columns, *provenance])
    for bar, closes in enumerate(forecast.target_times):
        values = [*forecast.quantiles[bar], forecast.probability_of_rise[bar]]
        if forecast.baseline is not None:
            values += [*forecast.baseline[bar]]
        writer.writerow(
            [
                _plain(forecast.symbol),
                forecast.as_of.astimezone(UTC).isoformat(),
                repr(float(forecast.last_close)),
                bar + 1,
                closes.astimezone(UTC).isoformat(),
                *(repr(float(v)) for v in values),
                forecast.source,
                str(forecast.replay).lower(),
                str(forecast.synthetic).lower(),
                forecast.model_version,
                forecast.model_kind,
            ]
        )
    return out.getvalue()


def _plain(text: str) -> str:
    """A text that no spreadsheet runs as a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
