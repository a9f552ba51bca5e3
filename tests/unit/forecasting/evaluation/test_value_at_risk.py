"""Value at risk: Kupiec's table, Christoffersen's tests as those of a 2 x 2 table, symbol by symbol."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency

from forecasting.evaluation.loss_sums import panel_of
from forecasting.evaluation.value_at_risk import tail_test, tail_tests
from forecasting.testing import planted_forecasts


def hits(count, bars):
    below = np.zeros(bars, dtype=bool)
    below[np.linspace(0, bars - 1, count).astype(int)] = True
    assert below.sum() == count
    return below


@pytest.mark.parametrize(
    ("level", "bars", "fewest", "most"),
    [
        (0.01, 255, 0, 6), (0.01, 510, 2, 10), (0.01, 1_000, 5, 16),
        (0.05, 255, 7, 20), (0.05, 510, 17, 35), (0.05, 1_000, 38, 64),
    ],
)  # fmt: skip
def test_coverage_is_accepted_where_kupiecs_table_accepts_it(level, bars, fewest, most):
    accepted = [
        count
        for count in range(max(fewest - 3, 1), most + 4)
        if tail_test(hits(count, bars), level).coverage_p > 0.05
    ]
    assert accepted == list(range(max(fewest, 1), most + 1))


@pytest.mark.parametrize("level", [0.01, 0.05])
def test_independence_is_the_g_test_of_the_transitions_and_both_add_up(level):
    rng = np.random.default_rng(2)
    below = rng.random(1_500) < 0.05
    below[1:] |= below[:-1] & (rng.random(1_499) < 0.2)
    found = tail_test(below, level)
    table = np.zeros((2, 2))
    for before, after in pairwise(below):
        table[int(before), int(after)] += 1
    g_test = chi2_contingency(table, correction=False, lambda_="log-likelihood")
    assert found.independence_p == pytest.approx(g_test.pvalue)
    assert found.independence_p < 0.001
    # The joint statistic, as Christoffersen writes it: i.i.d. hits at the level against the chain.
    (n00, n01), (n10, n11) = table
    chance_01, chance_11 = n01 / (n00 + n01), n11 / (n10 + n11)
    null = (n00 + n10) * np.log(1 - level) + (n01 + n11) * np.log(level)
    chain = n00 * np.log(1 - chance_01) + n01 * np.log(chance_01)
    chain += n10 * np.log(1 - chance_11) + n11 * np.log(chance_11)
    assert found.joint_p == pytest.approx(chi2.sf(-2 * (null - chain), 2))


def test_about_one_in_twenty_honest_series_is_refused():
    rng = np.random.default_rng(5)
    tests = [tail_test(rng.random(1_500) < 0.05, 0.05) for _ in range(600)]
    for name in ("coverage_p", "independence_p", "joint_p"):
        assert 0.02 < np.mean([getattr(test, name) < 0.05 for test in tests]) < 0.10


def test_what_cannot_be_said_is_unknown():
    empty = tail_test(np.zeros(0, dtype=bool), 0.05)
    assert empty.forecasts == 0
    assert np.isnan([empty.share, empty.coverage_p, empty.joint_p]).all()
    never = tail_test(np.zeros(300, dtype=bool), 0.05)
    assert never.share == 0
    assert never.coverage_p < 0.001
    assert np.isnan([never.independence_p, never.joint_p]).all()


def test_each_symbol_is_backtested_on_its_own_bars_in_their_order():
    forecasts = planted_forecasts(signal=0, candidates=(), symbols=3, periods=400)["random_walk"]
    realised = forecasts.realised.copy()
    realised[400:800:7, 0] = -1.0
    realised[800:, 0] = np.nan
    mixed = np.random.default_rng(0).permutation(1_200)
    fields = ("codes", "timestamps", "fold", "close", "scale", "loc", "quantiles",
              "probability_above_cost")  # fmt: skip
    shuffled = replace(
        forecasts,
        realised=realised[mixed],
        **{field: getattr(forecasts, field)[mixed] for field in fields},
    )
    found = tail_tests(shuffled, panel_of({"random_walk": shuffled}))
    below = realised[:800, 0] < forecasts.quantiles[:800, 0, 0]
    assert found["SYM000"] == (tail_test(below[:400], 0.05),)
    assert found["SYM001"] == (tail_test(below[400:], 0.05),)
    assert found["SYM001"][0].independence_p < 0.05
    assert found["SYM002"][0].forecasts == 0
