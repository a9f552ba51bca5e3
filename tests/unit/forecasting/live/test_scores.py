"""Matured forecasts: the join with prices, and the scores, against a slow twin."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.evaluation.loss_sums import panel_of, sum_losses
from forecasting.live.outcomes import (
    ForecastRows,
    forecast_rows,
    mature,
)
from forecasting.live.scores import by_instant, score
from forecasting.models.out_of_sample import OutOfSample
from forecasting.schema import QUANTILE_LEVELS
from tests.unit.forecasting.live.test_outcomes import DAY, H, a_forecast, a_path


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
    scores = score(mature(rows, paths), {("2", 0): spread_table()})

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
            unit = 0.01 * found.horizon**0.5
            losses.append(loss / unit)
            baselines.append(theirs / unit)
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


def test_a_wild_symbol_weighs_no_more_than_a_calm_one():
    calm, wild = a_path(1), a_path(2)
    wild = replace(wild, log_prices=8 * wild.log_prices, scale=8 * wild.scale)
    skills = []
    for symbols in ("A", "B", "AB"):
        # Right about the calm one, twice too wide about the other.
        forecasts = [
            a_forecast(symbol, bar, width=0.0164 if symbol == "A" else 8 * 0.0328)
            for symbol in symbols
            for bar in range(5, 60)
        ]
        matured = mature(forecast_rows(forecasts, (1,))[0], {"A": calm, "B": wild})
        (found,) = score(matured, {("1", 0): spread_table()})
        skills.append((found.pinball, found.baseline_pinball))
    (ours_a, null_a), (ours_b, null_b), (ours, null) = skills
    assert ours == pytest.approx((ours_a + ours_b) / 2)
    assert null == pytest.approx((null_a + null_b) / 2)


def test_live_losses_are_those_of_an_evaluation():
    rng = np.random.default_rng(5)
    n, bars = 40, 60
    path = a_path(3, bars)
    scale = np.concatenate([rng.uniform(0.005, 0.03, n), np.full(bars - n, np.nan)])
    scale[7] = 1e-6  # as of frozen prices: the loss is divided by the symbol's floor
    path = replace(path, scale=scale)
    forecasts = [a_forecast(bar=bar, horizon=5) for bar in range(n)]
    live = score(mature(forecast_rows(forecasts, (1, 2, 3, 4, 5))[0], {"A": path}), {})
    ahead = path.log_prices[np.arange(n)[:, None] + np.arange(1, 6)]
    nothing = np.zeros((n, 0))
    offline = OutOfSample(
        kind="ridge",
        params={},
        symbols=("A",),
        codes=np.zeros(n, dtype=np.int32),
        timestamps=np.arange(n, dtype=np.int64) * DAY,
        fold=np.full(n, 2, dtype=np.int16),
        close=np.full(n, 100.0),
        scale=scale[:n],
        loc=nothing,
        log_width=nothing,
        quantiles=np.log(np.array([f["quantiles"] for f in forecasts]) / 100).astype(np.float32),
        variance=nothing.astype(np.float32),
        ranks=nothing.astype(np.uint8),
        probability_above_cost=np.full((n, 2), 0.5, dtype=np.float32),
        realised=(ahead - path.log_prices[:n, None]).astype(np.float32),
    )
    sums = sum_losses(offline, panel_of({"ridge": offline}))
    np.testing.assert_allclose(
        [one.pinball for one in live], sums.pinball.sum(axis=0) / sums.count.sum(axis=0), rtol=1e-5
    )


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
    baselines = {("1", 0): spread_table()}
    (overall,) = score(matured, baselines)
    points = by_instant(matured, baselines)
    assert [p.as_of for p in points] == [bar * DAY for bar in range(5, 60)]
    assert {p.matured for p in points} == {2}
    assert np.mean([p.pinball for p in points]) == pytest.approx(overall.pinball)
    assert np.mean([p.coverage for p in points]) == pytest.approx(overall.coverage)
    assert np.mean([p.baseline_pinball for p in points]) == pytest.approx(overall.baseline_pinball)
    assert len(by_instant(matured, baselines, newest=10)) == 10


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
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.int64),
    )
    paths = {str(s): a_path(i, 2_500) for i, s in enumerate(symbols)}
    scores = score(mature(rows, paths), {("1", 0): spread_table()})
    assert sum(s.matured for s in scores) == len(rows.once())
