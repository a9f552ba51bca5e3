"""What no row can mend is refused before bars are judged."""

import pandas as pd
import pytest

from forecasting.errors import InvalidPrices
from forecasting.prices.quality.judge import judge
from tests.unit.forecasting.prices.quality.test_judge import NOW, bars


def test_times_without_a_zone_are_refused() -> None:
    frame = bars()
    frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
    with pytest.raises(InvalidPrices, match="must carry a time zone"):
        judge(frame, now=NOW)


def test_times_of_several_zones_are_refused() -> None:
    frame = bars()
    moments = list(frame["timestamp"])
    moments[3] = moments[3].tz_convert("Asia/Taipei")
    frame["timestamp"] = pd.Series(moments, dtype=object)
    with pytest.raises(InvalidPrices, match=r"same time zone.*Asia/Taipei, UTC"):
        judge(frame, now=NOW)
    moments[3] = moments[3].tz_localize(None)
    frame["timestamp"] = pd.Series(moments, dtype=object)
    with pytest.raises(InvalidPrices, match="some have none"):
        judge(frame, now=NOW)


def test_times_of_another_zone_become_utc() -> None:
    frame = bars()
    frame["timestamp"] = frame["timestamp"].dt.tz_convert("America/New_York")
    assert judge(frame, now=NOW).clean["timestamp"].equals(bars()["timestamp"])


def test_an_empty_frame_and_a_missing_column_are_refused() -> None:
    with pytest.raises(InvalidPrices, match="at least one bar"):
        judge(bars().iloc[:0], now=NOW)
    with pytest.raises(InvalidPrices, match="missing high, low"):
        judge(bars().drop(columns=["high", "low"]), now=NOW)


def test_dividends_and_splits_may_be_absent() -> None:
    judged = judge(bars().drop(columns=["dividend", "split"]), now=NOW)
    assert (judged.clean["dividend"] == 0).all()
    assert (judged.clean["split"] == 1).all()
