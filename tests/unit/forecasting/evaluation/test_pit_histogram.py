"""The histogram of outcomes' ranks: counted one by one, and in its band as often as it says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from forecasting.evaluation.loss_sums import panel_of
from forecasting.evaluation.pit_histogram import BINS, pit_histograms, sum_ranks
from forecasting.models.knot_forecasts import UNKNOWN_RANK
from forecasting.models.quantiles import KNOTS
from forecasting.stats.significance import long_run_variance
from tests.unit.forecasting.evaluation.test_variance_forecasts import wandering


def histograms(forecasts, horizons=(1, 10, 30)):
    panel = panel_of({"random_walk": forecasts})
    return pit_histograms(sum_ranks(forecasts, panel, horizons), panel)


def test_outcomes_are_counted_in_twenty_bins_of_five_percent():
    forecasts = wandering(1, 0.2)
    forecasts.ranks[5:9, 0] = UNKNOWN_RANK
    for found in histograms(forecasts):
        ranks = forecasts.ranks[:, KNOTS.index(found.horizon)]
        counted = [sum(5 * bin_ <= rank < 5 * bin_ + 5 for rank in ranks) for bin_ in range(BINS)]
        assert found.forecasts == sum(counted)
        np.testing.assert_allclose(found.shares, np.array(counted) / sum(counted))


def test_horizons_between_the_knots_are_left_out():
    assert [found.horizon for found in histograms(wandering(1, 0.2), (1, 4, 30))] == [1, 30]


def test_counts_of_parts_of_the_rows_add_up():
    forecasts = wandering(1, 0.2)
    panel = panel_of({"random_walk": forecasts})
    parts = [
        sum_ranks(
            replace(
                forecasts,
                ranks=np.where(forecasts.codes[:, None] == code, forecasts.ranks, UNKNOWN_RANK),
            ),
            panel,
            (1, 30),
        ).count
        for code in range(3)
    ]
    np.testing.assert_array_equal(sum(parts), sum_ranks(forecasts, panel, (1, 30)).count)


def test_nineteen_of_twenty_bins_of_an_honest_distribution_are_in_the_band():
    outside = [
        np.abs(found.shares - 1 / BINS) > found.band
        for seed in range(60)
        for found in histograms(wandering(seed, 0.0, 600), (1, 5, 30))
    ]
    assert 0.02 < np.mean(outside) < 0.08


def test_the_band_is_wilsons_with_the_design_effect_of_every_bin():
    forecasts = wandering(4, 0.0, 600)
    panel = panel_of({"random_walk": forecasts})
    sums = sum_ranks(forecasts, panel, (5,))
    (found,) = pit_histograms(sums, panel)
    for place in range(BINS):
        inside, count = sums.count[:, 0, place], sums.count[:, 0].sum(axis=1)
        share = inside.sum() / count.sum()
        variance, freedom = long_run_variance(inside - share * count, 5)
        effect = max(1.0, variance / (share * (1 - share) * count.mean()))
        error = np.sqrt(0.05 * 0.95 * effect / count.sum())
        assert found.band[place] == pytest.approx(student.ppf(0.975, freedom) * error)


def test_a_distribution_too_narrow_is_a_valley_and_the_band_knows_of_overlap():
    forecasts = wandering(2, 0.0, 1_500)
    narrow = replace(
        forecasts,
        ranks=np.where(
            forecasts.ranks < 50, forecasts.ranks // 2, 99 - (99 - forecasts.ranks) // 2
        ).astype(np.uint8),
    )
    next_bar, far = histograms(narrow, (1, 30))
    assert next_bar.shares[[0, -1]].min() > 1 / BINS + next_bar.band[0]
    assert next_bar.shares[9:11].max() < 1 / BINS - next_bar.band[9]
    assert far.band.mean() > 2 * next_bar.band.mean()


def test_too_few_instants_have_no_band():
    (found,) = histograms(wandering(3, 0.0, 40), (30,))
    assert np.isnan(found.band).all()
    nothing = replace(wandering(3, 0.0, 40), ranks=np.full((120, 8), UNKNOWN_RANK, dtype=np.uint8))
    (empty,) = histograms(nothing, (1,))
    assert empty.forecasts == 0
    assert np.isnan(empty.shares).all()
