"""Sums of losses: the same in blocks and by hand, over periods that fit the market's hours."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.evaluation.loss_sums import horizon_weights, panel_of, sum_losses
from forecasting.evaluation.losses import inside, mean_pinball
from forecasting.testing import planted_forecasts

DAY = 86_400_000_000_000


@pytest.fixture(scope="module")
def candidates():
    planted = planted_forecasts(signal=0.1, candidates=("ridge",), symbols=3, periods=90)
    realised = planted["ridge"].realised.copy()
    realised[60:90, 10:] = np.nan
    return {name: replace(one, realised=realised) for name, one in planted.items()}


def test_sums_are_those_of_the_losses_written_out(candidates):
    forecasts, panel = candidates["ridge"], panel_of(candidates)
    sums = sum_losses(forecasts, panel)
    realised = forecasts.realised.astype(np.float64)
    unit = panel.scale[:, None] * np.sqrt(np.arange(1, 31))
    losses = mean_pinball(realised, forecasts.quantiles.astype(np.float64)) / unit
    for symbol in range(3):
        rows = panel.codes == symbol
        expected = np.nansum(losses[rows], axis=0)
        np.testing.assert_allclose(sums.symbol_pinball[symbol], expected, rtol=1e-4)
        held = inside(realised[rows], forecasts.quantiles[rows].astype(np.float64), 0.9).sum(axis=0)
        np.testing.assert_allclose(sums.symbol_inside[0.9][symbol], held, atol=1)
    np.testing.assert_allclose(sums.pinball.sum(axis=0), np.nansum(losses, axis=0), rtol=1e-4)
    assert sums.count.sum() == np.isfinite(realised).sum() == panel.known.sum()
    np.testing.assert_allclose(
        sums.series @ np.ones(90) / 90, _mean_series(losses, panel), rtol=1e-4
    )


def _mean_series(losses, panel):
    weights = np.where(np.isfinite(losses), horizon_weights(30), 0.0)
    total, weight = np.zeros(90), np.zeros(90)
    np.add.at(total, panel.periods, (np.nan_to_num(losses) * weights).sum(axis=1))
    np.add.at(weight, panel.periods, weights.sum(axis=1))
    return (total / weight).mean()


def test_blocks_of_rows_add_up_to_the_same_sums(candidates, monkeypatch):
    panel = panel_of(candidates)
    whole = sum_losses(candidates["ridge"], panel)
    monkeypatch.setattr("forecasting.evaluation.loss_sums.BLOCK", 37)
    parts = sum_losses(candidates["ridge"], panel)
    for name in ("pinball", "crps", "symbol_error", "below", "count", "period_inside"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-5)
    np.testing.assert_allclose(parts.row_pinball, whole.row_pinball, rtol=1e-5)


def test_exchanges_that_close_at_other_hours_share_a_date():
    candidates = planted_forecasts(signal=0, candidates=("ridge",), symbols=2, periods=60)
    shift = np.where(candidates["ridge"].codes == 1, -15 * DAY // 24, 0)
    moved = {k: replace(v, timestamps=v.timestamps + shift) for k, v in candidates.items()}
    panel = panel_of(moved)
    assert panel.instants.size == 60
    assert panel.stride == 1


def test_overlap_spans_the_dates_between_bars_of_a_symbol_that_trades_less_often():
    candidates = planted_forecasts(signal=0, candidates=("ridge",), symbols=2, periods=70)
    null = candidates["random_walk"]
    weekday = (null.timestamps // DAY) % 7 < 5
    kept = (null.codes == 0) | weekday
    fields = ("codes", "timestamps", "fold", "close", "scale", "loc", "quantiles",
              "probability_above_cost", "realised")  # fmt: skip
    panel = panel_of({"random_walk": replace(null, **{f: getattr(null, f)[kept] for f in fields})})
    assert panel.stride == pytest.approx(7 / 5, rel=0.02)
    assert panel.lags(5) == 7


def test_hourly_bars_are_periods_of_their_own():
    candidates = planted_forecasts(signal=0, candidates=("ridge",), symbols=2, periods=60)
    hourly = {
        k: replace(v, timestamps=v.timestamps.min() + (v.timestamps - v.timestamps.min()) // 24)
        for k, v in candidates.items()
    }
    assert panel_of(hourly).instants.size == 60


def test_frozen_prices_do_not_blow_losses_up():
    candidates = planted_forecasts(signal=0, candidates=("ridge",), symbols=2, periods=60)
    frozen = candidates["ridge"].scale.copy()
    frozen[10:20] = 1e-12
    panel = panel_of({k: replace(v, scale=frozen) for k, v in candidates.items()})
    assert panel.scale.min() == pytest.approx(0.001)
