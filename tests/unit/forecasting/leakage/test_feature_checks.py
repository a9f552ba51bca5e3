"""Feature checks find leaks that show in one stratum of the bars only, and clean features pass."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecasting.features.build import build_features
from forecasting.features.targets import horizon_returns
from forecasting.leakage.feature_checks import check_features
from tests.unit.forecasting.leakage.test_checks import PRICES, WIDE, describe
from tests.unit.panels import panel, walk

YEARS = panel(bars=1_500)
TOKYO = [walk("7203.T", 700, seed=9, start="2020-01-01 06:00", actions=False)]
NEW_YORK = [walk(f"U{each:02d}", 700, seed=each, actions=False) for each in range(11)]
VENUES = pd.concat([*TOKYO, *NEW_YORK], ignore_index=True)
HOURS = pd.concat(
    [
        walk(symbol, 2_000, seed=seed, start="2020-01-01 00:00", freq="h")
        for seed, symbol in enumerate(("AAA", "BBB"))
    ],
    ignore_index=True,
)


def with_column(name, leak):
    def leaky(prices):
        table = describe(prices)
        values = table.values.copy()
        values[:, table.names.index(name)] = leak(prices)
        return replace(table, values=values)

    return leaky


def test_honest_features_survive():
    assert [one.leaks for one in check_features(describe, PRICES)] == [False, False]


def test_a_feature_that_counts_the_bars_to_come_is_caught_though_it_reads_no_price():
    leaky = with_column(
        "month_sin", lambda prices: prices.groupby("symbol").cumcount(ascending=False)
    )
    truncated, perturbed = check_features(leaky, PRICES)
    assert truncated.leaks
    assert "month_sin" in truncated.found
    assert not perturbed.leaks  # the number of bars stays: only the cut tells


def test_a_feature_that_fills_gaps_from_the_future_is_caught_by_other_futures():
    leaky = with_column(
        "overnight_gap", lambda prices: prices.groupby("symbol")["close"].shift(-1).ffill()
    )
    assert [one.leaks for one in check_features(leaky, PRICES)] == [True, True]


def test_a_leak_in_the_scale_is_caught():
    def leaky(prices):
        table = describe(prices)
        return replace(table, scale=np.full_like(table.scale, np.nanmean(table.scale)))

    truncated, _ = check_features(leaky, PRICES)
    assert "scale in" in truncated.found


@pytest.mark.parametrize("name", ["variance_ratio_1", "squared_return_ratio_0.85"])
def test_the_variance_of_the_next_bar_is_caught(name):
    def leaky(prices):
        table = build_features(prices, WIDE)
        values = table.values.copy()
        column = table.names.index(name)
        values[:-1, column] = values[1:, column]
        return replace(table, values=values)

    assert any(finding.leaks for finding in check_features(leaky, PRICES))


def coming_return(prices):
    return horizon_returns(prices, [1])[:, 0]


def only_where(where):
    """The honest gap, and the next bar's return where a condition holds."""

    def leak(prices):
        gap = describe(prices)
        honest = gap.values[:, gap.names.index("overnight_gap")]
        coming = np.nan_to_num(coming_return(prices))
        return np.where(where(prices), coming, honest)

    return with_column("overnight_gap", leak)


def long_gaps(prices):
    """Drops three weeks a year of one symbol, so that a few steps are long."""
    return prices[~((prices["symbol"] == "BBB") & (prices["timestamp"].dt.dayofyear < 22))]


def found_in(prices, leaky):
    return [one.found for one in check_features(leaky, prices) if one.leaks]


@pytest.mark.parametrize(
    ("prices", "where"),
    [
        pytest.param(YEARS, lambda p: p["session"].dt.weekday == 0, id="on Mondays"),
        pytest.param(YEARS, lambda p: p["session"].dt.day <= 3, id="first days of a month"),
        pytest.param(YEARS, lambda p: p["session"] < "2023-01-01", id="old bars"),
        pytest.param(YEARS, lambda p: p["session"] >= "2024-01-01", id="new bars"),
        pytest.param(YEARS, lambda p: p["session"].dt.month == 3, id="in March"),
        pytest.param(YEARS, lambda p: p["symbol"] == "BBB", id="one symbol"),
        pytest.param(YEARS, lambda p: p["session"].dt.weekday == 4, id="a week's last bar"),
        pytest.param(HOURS, lambda p: p["timestamp"].dt.hour == 15, id="one hour"),
    ],
)
def test_the_next_return_is_found_though_it_shows_in_one_stratum_only(prices, where):
    assert found_in(prices, only_where(where))


def test_the_next_return_is_found_though_it_shows_at_splits_only():
    late = YEARS.copy()
    late.loc[[800, 2_700], "split"] = 2.0
    assert found_in(late, only_where(lambda prices: prices["split"] != 1.0))


def test_the_next_return_is_found_though_it_shows_after_long_gaps_only():
    gappy = long_gaps(YEARS).reset_index(drop=True)

    def after(prices):
        steps = prices.groupby("symbol")["timestamp"].diff()
        return steps > pd.Timedelta(days=7)

    assert found_in(gappy, only_where(after))


@pytest.mark.parametrize("how", ["rank", "mean"])
def test_a_rank_or_mean_by_date_is_found_though_one_symbol_of_twelve_closes_early(how):
    def by_date(prices):
        table = describe(prices)
        value = pd.Series(table.values[:, table.names.index("log_return_1")])
        return value.groupby(prices["session"]).transform(how)

    truncated, perturbed = check_features(with_column("rank_log_return_21", by_date), VENUES)
    assert truncated.leaks
    assert perturbed.leaks
    assert "7203.T of" in truncated.found


def test_a_finding_names_the_feature_the_stratum_and_a_row():
    (truncated, *_) = found_in(YEARS, only_where(lambda p: p["session"].dt.weekday == 0))
    assert "overnight_gap" in truncated
    assert "of Monday 20" in truncated


def test_honest_features_pass_on_several_venues_hours_and_gaps():
    for prices in (VENUES, HOURS, long_gaps(YEARS).reset_index(drop=True), YEARS):
        assert found_in(prices, describe) == []


def test_the_same_prices_are_checked_in_the_same_places():
    leaky = only_where(lambda prices: prices["session"].dt.weekday == 0)
    assert found_in(YEARS, leaky) == found_in(YEARS, leaky)


def test_a_description_at_hand_is_not_made_again():
    calls = []

    def counted(prices):
        calls.append(len(prices))
        return describe(prices)

    check_features(counted, PRICES, table=describe(PRICES))
    given = len(calls)
    check_features(counted, PRICES)
    assert len(calls) - given == given + 1
