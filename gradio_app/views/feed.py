"""The live feed: the newest logged predictions."""

from collections.abc import Sequence
from html import escape

from forecasting.adapters.prediction_log.log import LoggedForecast
from gradio_app import formatting
from gradio_app.notices import Notice
from gradio_app.views.elements import notice, table


def feed_table(predictions: Sequence[LoggedForecast]) -> str:
    """The newest predictions, with what was asked and how long they took."""
    if not predictions:
        return notice(
            Notice(
                "No prediction has been logged yet",
                "Every answer of the model server appears here within a second or so.",
                "Ask for a forecast on the Forecast tab",
                "wait",
            )
        )
    rows = [_row(prediction) for prediction in predictions]
    heads = (
        "Made at", "Symbol", "As of", "Bars", "Version", "Signal", "P(rise)", "Last close",
        "Median", "90 % interval", "Asked", "Took",
    )  # fmt: skip
    return table(
        f"Last {len(rows)} predictions" if len(rows) > 1 else "Last prediction",
        heads,
        rows,
        left=(1, 2, 4, 5, 10),
        tall=True,
    )


def _row(prediction: LoggedForecast) -> str:
    low, _, median, _, high = prediction.quantiles[-1]
    question = [prediction.protocol.upper(), prediction.source]
    question += ["replay"] if prediction.replay else []
    question += ["stale"] if prediction.stale else []
    signal = prediction.signal if prediction.signal in {"buy", "sell"} else "hold"
    return (
        f"<tr><th scope='row' class='bw-nowrap'>{prediction.made_at:%m-%d %H:%M:%S}</th>"
        f'<td class="bw-left"><b>{escape(prediction.symbol)}</b></td>'
        f'<td class="bw-left bw-nowrap">{prediction.as_of:%Y-%m-%d %H:%M}</td><td>{prediction.horizon}</td>'
        f'<td class="bw-left bw-nowrap">v{escape(prediction.model_version)} '
        f"{escape(formatting.kind(prediction.model_kind))}</td>"
        f'<td class="bw-left bw-nowrap bw-{signal}">{formatting.signal(signal)}</td>'
        f"<td>{formatting.chance(prediction.probability_of_rise[-1])}</td>"
        f"<td>{formatting.price(prediction.last_close)}</td><td>{formatting.price(median)}</td>"
        f'<td class="bw-nowrap">{formatting.price(low)} to {formatting.price(high)}</td>'
        f'<td class="bw-left bw-nowrap">{escape(", ".join(filter(None, question)))}</td>'
        f'<td class="bw-nowrap">{formatting.duration(prediction.processing_seconds)}</td></tr>'
    )
