"""Why a forecast differs from the one before: finds that one, and what its version says now."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import numpy as np

from forecasting.adapters.inference import SymbolForecast
from forecasting.adapters.prediction_log.log import LoggedForecast
from forecasting.adapters.registry.ledger import Promotion
from forecasting.adapters.registry.records import CHAMPION
from forecasting.clock import utc_now
from forecasting.errors import BellwetherError
from gradio_app.change import Shape, split_change
from gradio_app.data import PageData
from gradio_app.notices import Guard
from gradio_app.splits import shares_of_one
from gradio_app.views import change as view
from gradio_app.views.change import Difference

LOOKED_BACK: Final = timedelta(days=30)
"""How long ago the forecast before may have been made."""


class Earlier:
    """The handler of the explanation beside the forecast.

    Args:
        data: what the page asks.
        guard: makes a notice of whatever the handler raises.
    """

    def __init__(self, data: PageData, guard: Guard) -> None:
        self._data = data
        self.explain = guard(self._explain, lambda failure: view.not_known(failure.title))

    def _explain(self, answer: SymbolForecast | None, role: str) -> str:
        """Markup that explains the forecast that is shown; "" when none is.

        Args:
            answer: what is shown.
            role: as whose forecast it is shown: champion or challenger.
        """
        if answer is None:
            return ""
        rows = self._data.log.earlier(answer.symbol, answer.as_of, utc_now() - LOOKED_BACK)
        history = self._data.promotions() if role == CHAMPION else []
        before = forecast_before(rows, answer.model_version, history)
        if before is None:
            return view.not_on_record(LOOKED_BACK.days)
        bars = min(answer.horizon, before.horizon)
        same_version = self._now_of(before.model_version, answer, bars)
        shares = shares_of_one(self._data.prices(answer), answer.symbol, before.as_of, answer.as_of)
        newer = shape_of(answer, bars)
        parts = split_change(
            Shape(before.last_close / shares, np.array(before.quantiles[bars - 1]) / shares),
            newer if same_version is None else shape_of(same_version, bars),
            newer,
        )
        return view.change(
            Difference(
                since=before.as_of,
                interval=answer.interval,
                bars=bars,
                versions=(before.model_version, answer.model_version),
                told_apart=same_version is not None,
                parts=parts,
            )
        )

    def _now_of(self, version: str, answer: SymbolForecast, bars: int) -> SymbolForecast | None:
        """What a version says of the bar that `answer` is of; None where it cannot be asked."""
        if version == answer.model_version:
            return answer
        try:
            now = self._data.forecast(answer.symbol, bars, version)
        except BellwetherError:
            return None  # it is served no more: the view says that the two cannot be told apart
        return now if now.as_of == answer.as_of else None


def shape_of(forecast: SymbolForecast, bars: int) -> Shape:
    """A forecast at one horizon."""
    return Shape(forecast.last_close, forecast.quantiles[bars - 1])


def forecast_before(
    rows: Sequence[LoggedForecast], version: str, promotions: Sequence[Promotion]
) -> LoggedForecast | None:
    """The newest of these forecasts that a reader of this version's forecasts was shown.

    That is one of the version itself, or, with promotions, of the champion when it was made.

    Args:
        rows: the newest bar first.
        version: what answers now.
        promotions: the newest first; none where the forecast shown is not the champion's.
    """
    for row in rows:
        champion = next((p.to_version for p in promotions if p.at <= row.made_at), version)
        if row.model_version == champion:
            return row
    return None
