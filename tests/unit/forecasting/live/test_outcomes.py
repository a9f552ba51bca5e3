"""Forecasts whose horizon has elapsed are joined with the returns that were realised."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from forecasting.live.outcomes import (
    LeftOut,
    PricePath,
    forecast_rows,
    mature,
    price_paths,
)
from forecasting.live.scores import score

DAY = 86_400 * 10**9


H = 30


def a_path(seed=0, bars=80):
    rng = np.random.default_rng(seed)
    return PricePath(
        np.arange(bars, dtype=np.int64) * DAY,
        np.cumsum(rng.normal(0, 0.01, bars)),
        np.full(bars, 0.01),
    )


def a_forecast(symbol="A", bar=10, version="1", horizon=H, width=0.02, close=100.0):
    spread = np.array([-1.0, -0.4, 0.0, 0.4, 1.0]) * width
    return {
        "symbol": symbol,
        "model_version": version,
        "as_of": bar * DAY,
        "made_at": bar * DAY + 60 * 10**9,
        "last_close": close,
        "quantiles": [(close * np.exp(spread * np.sqrt(h + 1))).tolist() for h in range(horizon)],
        "target_times": [(bar + h + 1) * DAY for h in range(horizon)],
    }


def test_a_forecast_whose_day_has_not_come_waits():
    rows, _ = forecast_rows([a_forecast(bar=78)], (1, 5))
    matured = mature(rows, {"A": a_path()})
    assert len(matured.rows) == 1
    assert matured.waiting == 1
    assert matured.unpriced == 0


def test_a_forecast_that_prices_cannot_judge_is_counted():
    forecasts = [a_forecast(symbol="UNKNOWN"), a_forecast() | {"as_of": 10 * DAY + 1}]
    rows, _ = forecast_rows(forecasts, (1,))
    matured = mature(rows, {"A": a_path()})
    assert len(matured.rows) == 0
    assert matured.unpriced == 2


def test_a_forecast_whose_symbol_never_moved_has_no_unit_for_its_loss():
    still = PricePath(a_path().timestamps, np.zeros(80), np.concatenate([[np.nan], np.zeros(79)]))
    matured = mature(forecast_rows([a_forecast()], (1,))[0], {"A": still})
    assert (len(matured.rows), matured.unpriced) == (0, 1)


def test_a_target_without_a_bar_is_judged_by_the_bar_before():
    path = a_path()
    keep = np.arange(80) != 15
    holed = PricePath(path.timestamps[keep], path.log_prices[keep], path.scale[keep])
    rows, _ = forecast_rows([a_forecast(bar=10)], (5,))
    matured = mature(rows, {"A": holed})
    assert matured.realised[0] == path.log_prices[14] - path.log_prices[10]


def test_a_target_with_no_bar_since_the_forecast_is_not_judged_as_standing_still():
    path = a_path()
    keep = np.arange(80) != 11
    holed = PricePath(path.timestamps[keep], path.log_prices[keep], path.scale[keep])
    rows, _ = forecast_rows([a_forecast(bar=10)], (1,))
    matured = mature(rows, {"A": holed})
    assert len(matured.rows) == 0
    assert matured.unpriced == 1


def test_the_same_forecast_asked_twice_counts_once():
    rows, _ = forecast_rows([a_forecast()] * 50 + [a_forecast(bar=11)], (1,))
    assert len(mature(rows, {"A": a_path()}).rows) == 2


def test_a_forecast_made_when_its_outcome_could_be_known_is_counted_apart():
    late = a_forecast(bar=10) | {"made_at": 15 * DAY}
    rows, _ = forecast_rows([late, a_forecast(bar=11)], (1, 5, 10))
    matured = mature(rows, {"A": a_path()})
    assert [*zip(matured.rows.horizons, matured.rows.as_of // DAY, strict=True)] == [
        (10, 10),
        (1, 11),
        (5, 11),
        (10, 11),
    ]
    assert matured.left_out == (LeftOut("1", 1, 1, 0), LeftOut("1", 5, 1, 0))


def test_a_late_repeat_does_not_take_back_what_was_said_in_time():
    late = a_forecast(bar=10) | {"made_at": 60 * DAY}
    first, _ = forecast_rows([a_forecast(bar=10, horizon=1), late], (1, 5))
    matured = mature(first, {"A": a_path()})
    assert matured.rows.horizons.tolist() == [1]
    assert matured.left_out == (LeftOut("1", 5, 1, 0),)


def test_forecasts_of_bars_that_the_version_learned_from_change_no_figure():
    known = [a_forecast(bar=bar) for bar in range(10, 30)]
    fresh = [a_forecast(bar=bar) for bar in range(30, 40)]
    other = [a_forecast(bar=20, version="2")]
    paths, learned = {"A": a_path()}, {"1": 29 * DAY}
    with_known = mature(forecast_rows([*known, *fresh, *other], (1, 5))[0], paths, learned)
    without = mature(forecast_rows([*fresh, *other], (1, 5))[0], paths, learned)
    assert score(with_known, {}) == score(without, {})
    assert without.left_out == ()
    assert with_known.left_out == (LeftOut("1", 1, 0, 20), LeftOut("1", 5, 0, 20))


def test_what_was_late_of_a_bar_learned_from_is_counted_once():
    rows, _ = forecast_rows([a_forecast() | {"made_at": 60 * DAY}], (1,))
    matured = mature(rows, {"A": a_path()}, {"1": 10 * DAY})
    assert (matured.waiting, matured.unpriced) == (0, 0)
    assert matured.left_out == (LeftOut("1", 1, 0, 1),)


def test_forecasts_of_a_symbol_that_ended_are_counted_and_do_not_wait_for_ever():
    path = a_path()
    dead = PricePath(path.timestamps[:50], path.log_prices[:50], path.scale[:50])
    forecasts = [a_forecast("DEAD", bar) for bar in (30, 47, 49)]
    rows, _ = forecast_rows(forecasts, (1, 5, 30))
    matured = mature(rows, {"DEAD": dead, "A": path})
    assert [*zip(matured.rows.horizons, matured.rows.as_of // DAY, strict=True)] == [
        (1, 30),
        (5, 30),
        (1, 47),
    ]
    # Bars 47 + 30, 49 + 30 and 30 + 30 have passed by bar 79, too.
    assert matured.left_out == (
        LeftOut("1", 1, 0, 0, 1),
        LeftOut("1", 5, 0, 0, 2),
        LeftOut("1", 30, 0, 0, 3),
    )
    assert (matured.waiting, matured.unpriced) == (0, 0)


def test_a_symbol_without_bars_for_two_weeks_is_waited_for():
    path = a_path()
    paused = PricePath(path.timestamps[:66], path.log_prices[:66], path.scale[:66])
    rows, _ = forecast_rows([a_forecast("PAUSED", 64)], (1, 5, 30))
    matured = mature(rows, {"PAUSED": paused, "A": path})
    assert (len(matured.rows), matured.waiting, matured.left_out) == (1, 2, ())
    # A day later it has ended: bar 69 is past, bar 94 is not.
    later = mature(rows, {"PAUSED": paused}, now=80 * DAY)
    assert (later.waiting, later.left_out) == (1, (LeftOut("1", 5, 0, 0, 1),))


def test_horizons_beyond_what_was_asked_are_left_out():
    rows, damaged = forecast_rows([a_forecast(horizon=7)], (1, 5, 10))
    assert rows.horizons.tolist() == [1, 5]
    assert damaged == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"last_close": 0.0},
        {"last_close": float("nan")},
        {"last_close": None},
        {"quantiles": [[1.0, 2.0]]},
        {"quantiles": [[1.0, 2.0, -3.0, 4.0, 5.0]]},
        {"quantiles": [["a", 2.0, 3.0, 4.0, 5.0]]},
        {"quantiles": [None]},
    ],
)
def test_a_damaged_log_row_is_counted_and_left_out(fault):
    rows, damaged = forecast_rows([a_forecast() | fault, a_forecast(bar=11)], (1,))
    assert len(rows) == 1
    assert damaged == 1


def test_a_split_and_a_dividend_are_no_loss():
    days = pd.date_range("2020-01-01", periods=4, freq="D", tz="UTC").as_unit("ns")
    close = np.array([100.0, 50.0, 49.0, 49.0])
    prices = pd.DataFrame(
        {
            "symbol": "A",
            "timestamp": days,
            "session": days.tz_localize(None),
            **dict.fromkeys(("open", "high", "low", "close"), close),
            "volume": 1.0,
            "dividend": [0.0, 0.0, 1.0, 0.0],
            "split": [1.0, 2.0, 1.0, 1.0],
        }
    )
    path = price_paths(prices)["A"]
    assert path.timestamps[0] == int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    assert np.diff(path.log_prices) == pytest.approx([0.0, 0.0, 0.0])
    assert np.isnan(path.scale[0])
