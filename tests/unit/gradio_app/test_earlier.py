"""The forecast before: which one it is, and what of the change its version would say."""

from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from forecasting.adapters.registry.ledger import Promotion
from forecasting.errors import Unavailable, UnknownVersion
from gradio_app import formatting
from gradio_app.earlier import LOOKED_BACK, Earlier, forecast_before
from gradio_app.handlers import _with_notice
from tests.unit.gradio_app.page_records import AS_OF, forecast, logged, text_of

DAY = timedelta(days=1)
YESTERDAY = AS_OF - DAY


def promotion(to_version, at, number=1):
    return Promotion(number, "bellwether", "", to_version, "pipeline", at, "better", "done")


def quantiles(close, width, bars):
    steps = np.sqrt(np.arange(1, bars + 1))[:, None]
    return close * np.exp(steps * width * np.array([-1.7, -0.6, 0.0, 0.6, 1.7]))


def was(close=170.0, width=0.02, bars=5, **changes):
    return logged(
        as_of=YESTERDAY, made_at=YESTERDAY, last_close=close, horizon=bars,
        quantiles=quantiles(close, width, bars).tolist(), **changes,
    )  # fmt: skip


def now(close=173.4, width=0.01, bars=5, **changes):
    return forecast(bars, last_close=close, quantiles=quantiles(close, width, bars), **changes)


class Data:
    """A log, a ledger and prices; an answer that is an error is raised."""

    def __init__(self, rows, promotions=(), forecasts=None, splits=()):
        self.rows, self.asked, self.forecasts = rows, [], forecasts or {}
        self.history = [promotion("2", YESTERDAY - DAY), *promotions]
        stamps = [YESTERDAY, AS_OF]
        self.table = pd.DataFrame(
            {"symbol": "AAPL", "timestamp": stamps, "split": splits or (1.0, 1.0)}
        )
        self.log = SimpleNamespace(earlier=self._earlier)

    def _earlier(self, symbol, as_of, since):
        self.asked.append((symbol, as_of, since))
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows

    def promotions(self):
        return sorted(self.history, key=lambda row: row.at, reverse=True)

    def prices(self, _):
        return self.table

    def forecast(self, symbol, days, version):
        self.asked.append((symbol, days, version))
        said = self.forecasts.get(version, UnknownVersion("a version must be served", version))
        if isinstance(said, Exception):
            raise said
        return said


def explained(answer, role="champion", **answers):
    data = Data(**answers)
    return text_of(Earlier(data, _with_notice).explain(answer, role)), data


def test_with_the_version_unchanged_price_and_width_are_the_whole_change(clock):
    said, data = explained(now(), rows=[was()])
    assert "Since the forecast of Wed 20 Sep 2023" in said
    assert "The median for 5 days has moved by +2.00 %" in said
    assert "90 % interval, relative to the price, is 50 % narrower." in said
    assert "version" not in said.replace("relative", "")
    assert "New price +1.98 % +1.98 % +1.98 % 0.00 %" in said
    assert data.asked == [("AAPL", AS_OF, clock.now - LOOKED_BACK)]


def test_a_new_version_is_told_from_the_width_by_what_the_old_one_says_now():
    data = Data([was(model_version="1")], forecasts={"1": now(width=0.03, model_version="1")})
    data.history = [promotion("1", YESTERDAY - DAY), promotion("2", YESTERDAY + DAY / 2, 2)]
    said = text_of(Earlier(data, _with_notice).explain(now(width=0.02), "champion"))
    said = said.replace(formatting.MINUS, "-")
    assert data.asked[1:] == [("AAPL", 5, "1")]
    assert "Then version 1 answered, now version 2." in said
    assert "New width -3.80 % 0.00 % +3.80 % +40.55 %" in said
    assert "New version, v1 to v2 +3.80 % 0.00 % -3.80 % -40.55 %" in said
    assert "In all +1.98 % +1.98 % +1.98 % 0.00 %" in said


@pytest.mark.parametrize("gone", [{}, {"1": forecast(5, as_of=YESTERDAY)}])
def test_a_version_that_cannot_be_asked_any_more_leaves_its_part_in_the_width_and_says_so(gone):
    data = Data([was(model_version="1")], forecasts=gone)
    data.history = [promotion("1", YESTERDAY - DAY)]
    said = text_of(Earlier(data, _with_notice).explain(now(), "champion"))
    assert "version 1 cannot be asked any more" in said
    assert "New width and version, v1 to v2" in said


def test_a_shorter_forecast_before_is_compared_as_far_as_it_goes():
    assert "The median for 3 days" in explained(now(bars=5), rows=[was(bars=3)])[0]


def test_a_split_between_the_two_is_no_change():
    said, _ = explained(now(close=43.35, width=0.02), rows=[was(close=173.4)], splits=(1.0, 4.0))
    assert "The median for 5 days has moved by 0.00 %" in said


def test_without_a_forecast_on_record_the_page_says_so():
    assert "none that was made in the last 30 days is on record" in explained(now(), rows=[])[0]
    others = explained(now(), role="challenger", rows=[was(model_version="1")])[0]
    assert "is on record" in others


def test_a_log_that_cannot_be_read_is_said_and_nothing_is_claimed_of_no_forecast():
    said, _ = explained(now(), rows=Unavailable("the log must be readable"))
    assert "is not known now. Not available right now." in said
    assert explained(None, rows=[])[0] == ""


def test_the_forecast_before_is_what_the_champion_of_then_said():
    champions = [promotion("2", AS_OF, 2), promotion("1", YESTERDAY - 2 * DAY)]
    rows = [was(model_version="2"), was(model_version="1"), was(model_version="9")]
    assert forecast_before(rows, "2", champions).model_version == "1"
    assert forecast_before(rows, "2", []).model_version == "2"
    assert forecast_before(rows[2:], "2", champions) is None
