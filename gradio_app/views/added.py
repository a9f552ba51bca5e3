"""What a version adds to the random walk, in words: its interval's width, its record, its median."""

from collections.abc import Mapping
from html import escape
from typing import Final

from forecasting.adapters.inference import SymbolForecast
from forecasting.arrays import Floats
from gradio_app import formatting
from gradio_app.charts import random_walk_beside
from gradio_app.model_card import ModelCard

AS_OFTEN: Final = 0.01
"""Difference of two coverages that is called none."""

_SAME_WIDTH: Final = 0.005
_SAME_MEDIAN: Final = 0.00005
"""Differences that would be written as 0 %, and 0.00 %."""


def added(forecast: SymbolForecast, card: ModelCard | None) -> str:
    """What the version adds at the last horizon of a forecast; "" where there is nothing to claim.

    Args:
        forecast: with the random walk's quantiles beside its own.
        card: the version that answered, for its record; None when the registry does not say.
    """
    null = random_walk_beside(forecast)
    if null is None:
        return ""
    scores = card.scores if card is not None else {}
    record = _record(scores, forecast.horizon)
    words = f"{_width(forecast, null)}{record}. {_median(forecast, null)}"
    return f'<p class="bw-aside bw-added">{escape(words)}</p>'


def _width(forecast: SymbolForecast, null: Floats) -> str:
    own = forecast.quantiles[-1]
    change = float((own[-1] - own[0]) / (null[-1, -1] - null[-1, 0])) - 1.0
    span = formatting.bars(forecast.horizon, forecast.interval)
    if abs(change) < _SAME_WIDTH:
        differs = "as wide as"
    else:
        size = formatting.percent(abs(change), 0)
        differs = f"{size} {'wider' if change > 0 else 'narrower'} than"
    return f"The 90 % interval for {span} is {differs} the random walk's today"


def _record(scores: Mapping[str, float], horizon: int) -> str:
    """How often the version was right in its walk-forward test, at that horizon if it is reported."""
    at = f"coverage_90_h{horizon:02d}"
    name, subject = (at, "it was") if at in scores else ("coverage_90", "its intervals were")
    own, null = scores.get(name), scores.get(f"baseline_{name}")
    if own is None:
        return ""
    if null is None:
        return f"; over the test years {subject} right {formatting.percent(own)} of the time"
    often = "as" if abs(own - null) <= AS_OFTEN else "more" if own > null else "less"
    against = f"({formatting.percent(own)} against {formatting.percent(null)})"
    return f"; over the test years {subject} {often} often right {against}{_loss(scores)}"


def _loss(scores: Mapping[str, float]) -> str:
    skill = scores.get("skill")
    if skill is None:
        return ""
    lower = "lower" if skill >= 0 else "higher"
    return f", with a pinball loss {formatting.percent(abs(skill))} {lower} over all horizons"


def _median(forecast: SymbolForecast, null: Floats) -> str:
    middle = len(forecast.levels) // 2
    change = float(forecast.quantiles[-1, middle] / null[-1, middle]) - 1.0
    if abs(change) < _SAME_MEDIAN:
        return "Its median is the random walk's, the last close: it claims no direction."
    where = "above" if change > 0 else "below"
    return f"Its median lies {formatting.percent(abs(change), 2)} {where} the random walk's."
