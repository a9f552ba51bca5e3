"""Which rows are reference and which are current."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from forecasting.drift_windows import feature_windows, prediction_windows
from forecasting.errors import InvalidInput
from forecasting.feature_spec import FeatureSpec
from forecasting.served import ServedFeatures

DAY = 86_400 * 10**9
SPEC = FeatureSpec(symbols=("A", "B"))
NAMES = SPEC.names


def served(symbols=("A", "B", "C"), rows=(90, 0, 40)):
    """Features whose every value is its row number."""
    total = sum(rows)
    instant = datetime(2020, 1, 1, tzinfo=UTC)
    return ServedFeatures(
        spec=SPEC.to_dict(),
        spec_digest=SPEC.digest,
        snapshot_id="s",
        dataset="default",
        source="sample",
        interval="1d",
        replay=True,
        synthetic=False,
        fetched_at=instant,
        last_bar=instant,
        created_at=instant,
        symbols=symbols,
        offsets=np.concatenate(([0], np.cumsum(rows))),
        timestamps=np.concatenate([np.arange(n) * DAY for n in rows]).astype(np.int64),
        values=np.tile(np.arange(total, dtype=np.float32)[:, None], (1, len(NAMES))),
        close=np.ones(total),
        scale=np.ones(total),
        bars_held=np.array(rows),
        target_times=np.zeros((len(symbols), 30), dtype=np.int64),
    )


def a_reference(symbols, until):
    frame = pd.DataFrame(0.0, index=range(len(symbols)), columns=list(NAMES))
    frame["symbol"] = symbols
    frame["timestamp"] = pd.to_datetime([until * DAY] * len(symbols), utc=True)
    return frame


def test_current_rows_are_the_newest_of_every_symbol_that_has_any():
    _, current, notes = feature_windows(a_reference(["A", "C"], -1), served(), 60)
    assert current[NAMES[0]].tolist() == [*range(30, 90), *range(90, 130)]
    assert list(current.columns) == list(NAMES)
    assert notes == ()


def test_symbols_of_one_side_only_are_left_out_and_named():
    reference, current, notes = feature_windows(a_reference(["A", "A", "Z"], -1), served(), 5)
    assert len(reference) == 2
    assert current[NAMES[0]].tolist() == [85, 86, 87, 88, 89]
    assert notes == (
        "1 symbols served but unknown to the champion are left out: C",
        "1 symbols trained on but not served are left out: Z",
    )


def test_current_rows_of_the_training_span_are_counted():
    _, _, notes = feature_windows(a_reference(["A", "C"], 87), served(), 5)
    assert notes == ("8 of 10 current feature rows lie in the champion's training span",)


def test_no_common_symbol_is_refused():
    with pytest.raises(InvalidInput, match="served A, C; trained on Z"):
        feature_windows(a_reference(["Z"], 0), served(), 5)


def a_forecast(day, symbol="A", median=101.0, horizon=5):
    return {
        "symbol": symbol,
        "as_of": day * DAY,
        "last_close": 100.0,
        "quantiles": [[90.0, 95.0, median, 105.0, 110.0]] * horizon,
        "probability_of_rise": [0.6] * horizon,
    }


def test_the_newest_answers_are_compared_with_the_earlier_ones():
    answers = [a_forecast(day, median=100.0 + day) for day in range(50)]
    earlier, newest = prediction_windows(answers, horizon=5, instants=20)
    assert (len(earlier), len(newest)) == (30, 20)
    assert newest["median_return"].tolist() == pytest.approx(np.log(1 + np.arange(30, 50) / 100))
    assert newest["interval_width"].iloc[0] == pytest.approx(np.log(110 / 90))
    assert set(newest["probability_of_rise"]) == {0.6}


def test_a_short_log_is_split_in_half():
    answers = [a_forecast(day) for day in range(11)]
    earlier, newest = prediction_windows(answers, horizon=5, instants=20)
    assert (len(earlier), len(newest)) == (6, 5)


def test_repeated_and_shorter_forecasts_do_not_count():
    answers = [a_forecast(1)] * 9 + [a_forecast(2), a_forecast(3, horizon=4)]
    earlier, newest = prediction_windows(answers, horizon=5, instants=20)
    assert (len(earlier), len(newest)) == (1, 1)


@pytest.mark.parametrize("answers", [[], [a_forecast(1)]])
def test_a_log_of_one_instant_has_no_current_half(answers):
    earlier, newest = prediction_windows(answers, horizon=5, instants=20)
    assert len(earlier) == len(answers)
    assert newest.empty
