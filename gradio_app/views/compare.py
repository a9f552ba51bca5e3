"""The comparison of versions: their forecasts of the same symbol as columns of one table."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from forecasting.adapters.inference import SymbolForecast
from forecasting.adapters.registry.records import ModelVersion
from gradio_app import formatting
from gradio_app.notices import Notice
from gradio_app.views.elements import notice

_HEADS: Final = ("5 %", "Median", "95 %", "P(rise)")


@dataclass(frozen=True)
class Opinion:
    """What a version says, or why it says nothing.

    Attributes:
        version: its number.
        forecast: its forecast, or None.
        failure: why there is none, or None.
    """

    version: str
    forecast: SymbolForecast | None
    failure: Notice | None = None


def label(number: str, record: ModelVersion | None, alias: str) -> str:
    """A version in the selection: number, kind and role, as far as the registry tells them."""
    kind = f" {formatting.kind(record.kind)}" if record is not None else ""
    return f"v{number}{kind}" + (f" \N{MIDDLE DOT} {alias}" if alias else "")


def detail(forecast: SymbolForecast) -> str:
    """What the chart shows, behind the symbol's name."""
    span = formatting.bars(forecast.horizon, forecast.interval)
    return f"next {span}: median, and 5 to 95 % as an area"


def refusals(opinions: Sequence[Opinion]) -> str:
    """Notices of the versions that gave no forecast; "" when all did."""
    return "".join(
        notice(
            Notice(
                f"v{opinion.version}: {opinion.failure.title}",
                opinion.failure.body,
                opinion.failure.remedy,
                opinion.failure.tone,
            )
        )
        for opinion in opinions
        if opinion.failure is not None
    )


def comparison_table(opinions: Sequence[Opinion]) -> str:
    """Signals, and quantiles per bar, one group of columns for each version that answered."""
    said = [(o.version, o.forecast) for o in opinions if o.forecast is not None]
    groups = "".join(
        f'<th scope="colgroup" colspan="{len(_HEADS)}">v{escape(number)} '
        f"{escape(formatting.kind(forecast.model_kind))}</th>"
        for number, forecast in said
    )
    heads = "".join(f'<th scope="col">{head}</th>' for _ in said for head in _HEADS)
    facts = [
        ("Signal", [formatting.signal(forecast.signal) for _, forecast in said]),
        ("As of", [formatting.instant(forecast.as_of) for _, forecast in said]),
    ]
    rows = [
        f'<tr><th scope="row">{name}</th>'
        + "".join(f'<td colspan="{len(_HEADS)}">{escape(cell)}</td>' for cell in cells)
        + "</tr>"
        for name, cells in facts
    ]
    bars = min(forecast.horizon for _, forecast in said)
    for bar in range(bars):
        cells = "".join(_cells(forecast, bar) for _, forecast in said)
        rows.append(f'<tr><th scope="row">{bar + 1}</th>{cells}</tr>')
    return (
        '<section class="bw-block"><div class="bw-title"><h2>Quantiles per bar, by version</h2>'
        '</div><div class="bw-scroll bw-tall" tabindex="0" role="region" '
        'aria-label="Quantiles per bar, by version"><table class="bw-table bw-versions"><thead>'
        f"<tr><td></td>{groups}</tr><tr><th scope='col'>Bar</th>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _cells(forecast: SymbolForecast, bar: int) -> str:
    low, median, high = (formatting.price(float(forecast.quantiles[bar, n])) for n in (0, 2, 4))
    rise = formatting.chance(float(forecast.probability_of_rise[bar]))
    return f'<td>{low}</td><td class="bw-strong">{median}</td><td>{high}</td><td>{rise}</td>'
