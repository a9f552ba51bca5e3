"""Coverage in calm and storm: counted as by hand, tested as its law says, blind to the future."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import rankdata, ttest_ind_from_stats

from forecasting.evaluation.conditional_coverage import (
    THIRDS,
    Estimate,
    conditional_coverage,
    scale_thirds,
    share_inside,
    sum_coverage,
)
from forecasting.evaluation.loss_sums import panel_of
from forecasting.instants import DAY, HOUR
from forecasting.stats.significance import holm
from forecasting.testing import planted_forecasts, with_wandering_volatility

HORIZONS = (1, 5, 30)


def volatile(seed, *, swing, periods=500):
    """Three symbols of constant volatility whose published one wanders; the width by `swing`."""
    planted = planted_forecasts(signal=0, candidates=(), symbols=3, periods=periods, seed=seed)
    return with_wandering_volatility(planted["random_walk"], swing=swing, seed=seed)


def found_in(forecasts, horizons=HORIZONS):
    panel = panel_of({"random_walk": forecasts})
    thirds = scale_thirds(forecasts.scale, forecasts.codes, forecasts.timestamps)
    return conditional_coverage(sum_coverage(forecasts, panel, thirds, horizons), panel)


def deviation(inside, count, *, overlap):
    return share_inside(inside, count, overlap=overlap).p_value(0.9)


def slow_thirds(scale, codes, timestamps):
    """One row at a time, its year ranked by scipy."""
    thirds = np.full(len(scale), -1)
    for row in range(len(scale)):
        own = codes == codes[row]
        ago = timestamps[row] - timestamps
        year = np.flatnonzero(own & (ago >= 0) & (ago < 365 * DAY))
        if timestamps[row] - timestamps[own].min() >= 91 * DAY:
            rank = rankdata(scale[year])[np.flatnonzero(year == row)[0]]
            thirds[row] = sum(
                (rank - 0.5) / year.size >= border - 1e-12 for border in (1 / 3, 2 / 3)
            )
    return thirds


@pytest.mark.parametrize("spacing", [DAY, 7 * HOUR])
def test_a_rows_third_is_its_rank_within_its_symbols_last_year(spacing):
    rng = np.random.default_rng(3)
    codes = np.repeat([0, 1, 2], [500, 700, 40])
    gaps = rng.integers(1, 4, codes.size) * spacing
    timestamps = 10**18 + np.cumsum(gaps)
    scale = np.round(np.exp(rng.standard_normal(codes.size)), 1)  # many ties
    mixed = rng.permutation(codes.size)
    found = scale_thirds(scale[mixed], codes[mixed], timestamps[mixed])
    np.testing.assert_array_equal(found, slow_thirds(scale, codes, timestamps)[mixed])
    assert set(found.tolist()) == {-1, 0, 1, 2}


@given(st.integers(1, 599), st.floats(0.001, 100))
def test_a_rows_third_does_not_change_with_what_comes_later(cut, factor):
    rng = np.random.default_rng(cut)
    codes = np.repeat([0, 1], 300)
    timestamps = np.tile(np.arange(300) * DAY, 2)
    scale = np.exp(rng.standard_normal(600))
    later = timestamps > timestamps[cut]
    before = scale_thirds(scale, codes, timestamps)
    after = scale_thirds(np.where(later, scale * factor, scale), codes, timestamps)
    np.testing.assert_array_equal(before[~later], after[~later])


def test_outcomes_are_counted_per_third_as_one_by_one():
    forecasts = volatile(1, swing=0.3)
    realised = forecasts.realised.copy()
    realised[-20:, 4] = np.nan
    forecasts = replace(forecasts, realised=realised)
    thirds = scale_thirds(forecasts.scale, forecasts.codes, forecasts.timestamps)
    for cell in found_in(forecasts).cells:
        counted = held = 0
        for row in np.flatnonzero(thirds == THIRDS.index(cell.third)):
            outcome = realised[row, cell.horizon - 1]
            low, *_, high = forecasts.quantiles[row, cell.horizon - 1]
            counted += bool(np.isfinite(outcome))
            held += bool(low <= outcome <= high)
        assert cell.forecasts == counted > 100
        assert cell.coverage == held / counted


def test_counts_of_parts_of_the_rows_add_up_in_blocks_of_any_size(monkeypatch):
    forecasts = volatile(2, swing=0.3)
    panel = panel_of({"random_walk": forecasts})
    thirds = scale_thirds(forecasts.scale, forecasts.codes, forecasts.timestamps)
    whole = sum_coverage(forecasts, panel, thirds, HORIZONS)
    monkeypatch.setattr("forecasting.evaluation.conditional_coverage.BLOCK", 37)
    parts = [
        sum_coverage(forecasts, panel, np.where(forecasts.codes == code, thirds, -1), HORIZONS)
        for code in range(3)
    ]
    np.testing.assert_array_equal(whole.count, sum(part.count for part in parts))
    np.testing.assert_array_equal(whole.inside, sum(part.inside for part in parts))


def test_a_width_that_swings_with_the_volatility_while_the_market_does_not_is_found():
    found = found_in(volatile(4, swing=0.3, periods=1_000))
    cells = {(cell.third, cell.horizon): cell for cell in found.cells}
    calm, storm = cells["calm", 1], cells["storm", 1]
    assert calm.coverage < 0.85
    assert storm.coverage > 0.93
    assert calm.adjusted_p < 0.01
    assert storm.adjusted_p < 0.01


def test_gaps_are_storm_less_calm_and_all_tests_are_corrected_together():
    found = found_in(volatile(4, swing=0.05, periods=1_000))
    cells = {(cell.third, cell.horizon): cell for cell in found.cells}
    for gap, horizon in zip(found.gaps, HORIZONS, strict=True):
        assert gap.horizon == horizon
        difference = cells["storm", horizon].coverage - cells["calm", horizon].coverage
        assert gap.gap == pytest.approx(difference)
    assert found.adjusted == tuple(
        holm([*(cell.p_value for cell in found.cells), *(gap.p_value for gap in found.gaps)])
    )


def test_a_gap_shows_what_neither_calm_nor_storm_shows_alone():
    calm, storm = Estimate(0.88, 900, 0.0105, 20), Estimate(0.92, 900, 0.0105, 20)
    assert min(calm.p_value(0.9), storm.p_value(0.9)) > 0.05
    assert storm.minus(calm).p_value(0.0) < 0.015


def test_the_p_value_of_a_difference_is_welchs():
    low, high = Estimate(0.87, 900, 0.012, 14), Estimate(0.93, 400, 0.020, 6)
    welch = ttest_ind_from_stats(0.93, 0.02 * 7**0.5, 7, 0.87, 0.012 * 15**0.5, 15, equal_var=False)
    assert high.minus(low).p_value(0.0) == pytest.approx(welch.pvalue)
    assert np.isnan(high.minus(Estimate(0.9, 3, float("nan"), 0)).p_value(0.0))


def test_one_in_twenty_tests_of_honest_intervals_has_a_p_value_below_five_per_cent():
    p_values, adjusted = [], []
    for seed in range(60):
        found = found_in(volatile(seed, swing=0), (1, 10, 30))
        p_values.append([one.p_value for one in (*found.cells, *found.gaps)])
        adjusted.append(found.adjusted)
    below = (np.array(p_values) < 0.05).mean()
    assert 0.02 < below < 0.09
    assert (np.array(adjusted) < 0.05).any(axis=1).mean() < 0.15


def test_symbols_that_say_the_same_are_one_observation():
    rng = np.random.default_rng(7)
    path = np.cumsum(rng.standard_normal((605, 5)), axis=0)
    held = (np.abs(path[5:] - path[:-5]) < np.sqrt(5) * ndtri(0.93)).astype(float)
    one, count = held[:, 0], np.ones(600)
    alone = deviation(one, count, overlap=5)
    assert deviation(5 * one, 5 * count, overlap=5) == pytest.approx(alone)
    assert deviation(held.sum(axis=1), 5 * count, overlap=5) < 0.1 * alone


def test_the_p_value_of_independent_outcomes_is_that_of_the_binomial_law():
    from scipy.stats import binom

    count = 3_000
    for missed in (250, 270, 330):
        inside = np.ones(count)
        inside[np.random.default_rng(missed).choice(count, missed, replace=False)] = 0
        tail = binom.cdf(missed, count, 0.1) if missed < 300 else binom.sf(missed - 1, count, 0.1)
        found = deviation(inside, np.ones(count), overlap=1)
        assert found == pytest.approx(2 * tail, abs=0.05)


def test_few_overlapping_outcomes_without_a_miss_prove_nothing():
    assert deviation(np.ones(240), np.ones(240), overlap=30) > 0.1
    assert deviation(np.ones(2_000), np.ones(2_000), overlap=1) < 1e-6


def test_what_is_too_short_to_be_tested_has_no_p_value():
    assert np.isnan(deviation(np.zeros(0), np.zeros(0), overlap=1))
    assert np.isnan(deviation(np.ones(40), np.ones(40), overlap=30))
    young = found_in(volatile(5, swing=0.3, periods=80))
    assert {cell.forecasts for cell in young.cells} == {0}
    assert all(np.isnan([cell.coverage, cell.p_value]).all() for cell in young.cells)
    assert all(np.isnan([gap.gap, gap.p_value]).all() for gap in young.gaps)
    assert np.isnan(young.adjusted).all()
