"""Matured forecasts: the join with prices, and the scores, against a slow twin."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from forecasting.live.outcomes import (
    ForecastRows,
    PricePath,
    forecast_rows,
    mature,
    price_paths,
)
from forecasting.live.scores import by_instant, score
from forecasting.schema import QUANTILE_LEVELS

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
        "last_close": close,
        "quantiles": [(close * np.exp(spread * np.sqrt(h + 1))).tolist() for h in range(horizon)],
        "target_times": [(bar + h + 1) * DAY for h in range(horizon)],
    }


def spread_table():
    z = np.array([-1.64, -0.67, 0.0, 0.67, 1.64])
    return z * np.sqrt(np.arange(1, H + 1))[:, None]


def test_scores_equal_those_of_a_slow_twin():
    paths = {"A": a_path(1), "B": a_path(2)}
    forecasts = [
        a_forecast(symbol, bar, version)
        for symbol in "AB"
        for bar in range(5, 70)
        for version in ("2", "10")
    ]
    rows, damaged = forecast_rows(forecasts, (1, 5, 20))
    scores = score(mature(rows, paths), {"2": spread_table()})

    assert damaged == 0
    assert [(s.model_version, s.horizon) for s in scores] == [
        (version, horizon) for version in ("2", "10") for horizon in (1, 5, 20)
    ]
    for found in scores:
        losses, baselines, held, held_half, dates = [], [], [], [], set()
        for f in forecasts:
            path = paths[f["symbol"]]
            bar = f["as_of"] // DAY
            if f["model_version"] != found.model_version or bar + found.horizon >= 80:
                continue
            outcome = path.log_prices[bar + found.horizon] - path.log_prices[bar]
            loss = theirs = 0.0
            quantiles = [np.log(q / f["last_close"]) for q in f["quantiles"][found.horizon - 1]]
            for level, q, z in zip(
                QUANTILE_LEVELS, quantiles, spread_table()[found.horizon - 1], strict=True
            ):
                for quantile, side in ((q, "ours"), (0.01 * z, "theirs")):
                    error = outcome - quantile
                    part = (level * error if error >= 0 else (level - 1) * error) / 5
                    loss, theirs = (
                        (loss + part, theirs) if side == "ours" else (loss, theirs + part)
                    )
            losses.append(loss)
            baselines.append(theirs)
            held.append(quantiles[0] <= outcome <= quantiles[4])
            held_half.append(quantiles[1] <= outcome <= quantiles[3])
            dates.add(bar)
        assert found.matured == len(losses)
        assert found.dates == len(dates)
        assert found.pinball == pytest.approx(np.mean(losses))
        assert found.coverage == pytest.approx(np.mean(held))
        assert found.coverage_50 == pytest.approx(np.mean(held_half))
        if found.model_version == "2":
            assert found.baseline_pinball == pytest.approx(np.mean(baselines))
            assert found.skill == pytest.approx(1 - np.mean(losses) / np.mean(baselines))
        else:
            assert found.baseline_pinball is None
            assert found.skill is None


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


def test_an_empty_log_gives_no_scores():
    rows, damaged = forecast_rows([])
    matured = mature(rows, {"A": a_path()})
    assert (len(rows), damaged) == (0, 0)
    assert score(matured, {}) == ()
    assert by_instant(matured, {}) == ()


def test_points_over_time_average_to_the_scores():
    forecasts = [a_forecast(symbol, bar) for symbol in "AB" for bar in range(5, 60)]
    rows, _ = forecast_rows(forecasts, (5,))
    matured = mature(rows, {"A": a_path(1), "B": a_path(2)})
    baselines = {"1": spread_table()}
    (overall,) = score(matured, baselines)
    points = by_instant(matured, baselines)
    assert [p.as_of for p in points] == [bar * DAY for bar in range(5, 60)]
    assert {p.matured for p in points} == {2}
    assert np.mean([p.pinball for p in points]) == pytest.approx(overall.pinball)
    assert np.mean([p.coverage for p in points]) == pytest.approx(overall.coverage)
    assert np.mean([p.baseline_pinball for p in points]) == pytest.approx(overall.baseline_pinball)
    assert len(by_instant(matured, baselines, newest=10)) == 10


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


def test_of_thousands_of_forecasts_each_is_judged_once():
    n = 50_000
    rng = np.random.default_rng(0)
    symbols = np.array([f"S{i}" for i in range(50)])
    rows = ForecastRows(
        symbols[rng.integers(0, 50, n)],
        np.array(["1", "2"])[rng.integers(0, 2, n)],
        rng.choice([1, 5, 10], n),
        rng.integers(0, 2_000, n) * DAY,
        rng.integers(2_000, 2_500, n) * DAY,
        np.sort(rng.normal(0, 0.01, (n, 5)), axis=1),
    )
    paths = {str(s): a_path(i, 2_500) for i, s in enumerate(symbols)}
    scores = score(mature(rows, paths), {"1": spread_table()})
    assert sum(s.matured for s in scores) == len(rows.once())
