"""Realised over forecast variance: against a slow twin, free of scale, and unmoved by one crash."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from forecasting.live.outcomes import PricePath, forecast_rows, mature
from forecasting.live.variance import (
    RECENT_INSTANTS,
    in_words,
    of_version,
    over_both_spans,
    ratio_limits,
    realised_variances,
    variance_ratio,
)
from tests.unit.forecasting.live.test_outcomes import a_forecast, a_path

EXPECTED = integrate.quad(lambda z: min(z * z, 9.0) * stats.norm.pdf(z), -40, 40, points=(-3, 3))[0]


def ratio_of_a_loop(moves):
    """The root found by bisection, every mean a plain sum."""

    def too_much(log_ratio):
        counted = [min(move * move / math.exp(log_ratio), 9.0) for move in moves]
        return sum(counted) / len(counted) - EXPECTED

    return math.exp(optimize.brentq(too_much, -60, 60, xtol=1e-13))


def matured_of(paths, *, versions=("1",), bars=range(5, 70), horizons=(1, 5), **changes):
    forecasts = [
        a_forecast(symbol, bar, version, **changes)
        for symbol in paths
        for bar in bars
        for version in versions
    ]
    return mature(forecast_rows(forecasts, horizons)[0], paths)


def market(seed, instants, horizon, *, symbols=6, tails=6):
    """Overlapping moves [instants, symbols] whose forecast variance is right; they share the market."""
    rng = np.random.default_rng(seed)
    bars = instants + horizon - 1
    shared, own = rng.standard_normal((bars, 1)), rng.standard_normal((bars, symbols))
    fat = np.sqrt(tails / rng.chisquare(tails, (bars, 1)))
    steps = np.cumsum((np.sqrt(0.4) * shared + np.sqrt(0.6) * own) * fat, axis=0)
    steps = np.concatenate([np.zeros((1, symbols)), steps])
    moves = steps[horizon:] - steps[:-horizon]
    # Half the 90 % interval of a single bar's law, and of the law of five bars' sum (of 6 degrees), simulated.
    ends = {1: stats.t.ppf(0.95, tails), 5: 4.462}[horizon]
    return moves * stats.norm.ppf(0.95) / ends


def limits_of(moves, horizon, false_alarms=0.05):
    flat, as_of = moves.ravel(), np.repeat(np.arange(len(moves)), moves.shape[1])
    ratio = variance_ratio(flat)
    return ratio, ratio_limits(flat, as_of, ratio, horizon, false_alarms=false_alarms)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.floats(-1e3, 1e3, allow_nan=False).filter(lambda move: abs(move) > 1e-3),
        min_size=1,
        max_size=40,
    )
)
def test_the_ratio_is_the_root_that_a_plain_loop_finds(moves):
    assert variance_ratio(np.array(moves)) == pytest.approx(ratio_of_a_loop(moves), rel=1e-6)


@pytest.mark.parametrize("factor", [0.25, 2.0, 1e6])
def test_a_variance_so_many_times_as_large_is_a_ratio_so_many_times_as_large(factor):
    moves = np.random.default_rng(0).standard_t(4, 500)
    assert variance_ratio(moves * np.sqrt(factor)) == pytest.approx(factor * variance_ratio(moves))


@pytest.mark.parametrize("tails", [3, 4, 6, 12, 1_000])
def test_fat_tails_alone_do_not_move_the_ratio(tails):
    chances = (np.arange(200_000) + 0.5) / 200_000
    moves = stats.t.ppf(chances, tails) * stats.norm.ppf(0.95) / stats.t.ppf(0.95, tails)
    assert variance_ratio(moves) == pytest.approx(1.0, abs=0.004)


def test_every_version_and_horizon_equals_a_loop_over_its_forecasts():
    paths = {"A": a_path(1), "B": a_path(2)}
    matured = matured_of(paths, versions=("2", "10"))
    found = realised_variances(matured, false_alarms=0.025)
    assert [(v.model_version, v.horizon) for v in found] == [
        (version, horizon) for version in ("2", "10") for horizon in (1, 5)
    ]
    for one in found:
        moves = []
        for symbol in "AB":
            for bar in range(5, 70):
                forecast = a_forecast(symbol, bar)["quantiles"][one.horizon - 1]
                low, _, median, _, high = (math.log(price / 100.0) for price in forecast)
                log_prices = paths[symbol].log_prices
                outcome = log_prices[bar + one.horizon] - log_prices[bar]
                moves.append((outcome - median) / ((high - low) / (2 * 1.6448536)))
        assert (one.matured, one.dates) == (2 * 65, 65)
        assert one.ratio == pytest.approx(ratio_of_a_loop(moves), rel=1e-6)
        assert one.low < 1 < one.high
        assert one.low + one.high == pytest.approx(2.0)


def test_limits_equal_those_of_a_loop_over_instants():
    moves = market(3, 60, 1)
    ratio, (low, high) = limits_of(moves, 1)
    instants = [np.mean([min(m * m / ratio, 9.0) for m in row]) - EXPECTED for row in moves]
    waves = int(0.4 * 60 ** (2 / 3))
    coefficients = [
        math.sqrt(2 / 60) * sum(math.cos(math.pi * j * (t + 0.5) / 60) * x for t, x in enumerate(instants))
        for j in range(1, waves + 1)
    ]  # fmt: skip
    error = math.sqrt(sum(c * c for c in coefficients) / waves / 60)
    slope = np.mean([m * m / ratio if m * m < 9.0 * ratio else 0.0 for m in moves.ravel()])
    margin = stats.t.ppf(0.975, waves) * error / slope
    assert (low, high) == (pytest.approx(1 - margin), pytest.approx(1 + margin))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 1e4), st.integers(0, 1_000))
def test_the_unit_of_prices_changes_nothing(unit, seed):
    path = a_path(seed)
    dearer = PricePath(path.timestamps, path.log_prices + math.log(unit), path.scale)
    plain = realised_variances(matured_of({"A": path}), false_alarms=0.025)
    scaled = realised_variances(matured_of({"A": dearer}, close=100.0 * unit), false_alarms=0.025)
    assert len(plain) == 2
    for one, other in zip(plain, scaled, strict=True):
        assert other.ratio == pytest.approx(one.ratio, rel=1e-6)
        assert other.high == pytest.approx(one.high, rel=1e-6)


def test_a_version_without_matured_forecasts_has_no_ratio():
    assert realised_variances(matured_of({}), false_alarms=0.025) == ()
    waiting = matured_of({"A": a_path()}, bars=range(79, 80))
    assert waiting.waiting == 2
    assert realised_variances(waiting, false_alarms=0.025) == ()


def test_forecasts_without_a_width_and_prices_that_never_move_say_nothing_of_a_variance():
    assert realised_variances(matured_of({"A": a_path()}, width=0.0), false_alarms=0.025) == ()
    still = replace(a_path(), log_prices=np.zeros(80))
    assert realised_variances(matured_of({"A": still}), false_alarms=0.025) == ()
    assert variance_ratio(np.array([2.0] + [0.0] * 9)) == 0.0
    assert variance_ratio(np.array([2.0] + [0.0] * 8)) > 0.0


def test_only_the_newest_instants_count():
    path = a_path(4)
    calm = replace(
        path, log_prices=np.concatenate([path.log_prices[:40] * 30, path.log_prices[40:]])
    )
    (all_of_it,) = realised_variances(matured_of({"A": calm}, horizons=(1,)), false_alarms=0.05)
    (newest,) = realised_variances(
        matured_of({"A": calm}, horizons=(1,)), false_alarms=0.05, newest=25
    )
    assert (newest.dates, newest.matured) == (25, 25)
    assert all_of_it.ratio > 5 * newest.ratio


@pytest.mark.parametrize("horizon", [1, 5])
@pytest.mark.parametrize("instants", [60, 250])
def test_right_variances_are_seldom_called_off(instants, horizon):
    runs, off = 400, 0
    for seed in range(runs):
        ratio, (low, high) = limits_of(market(seed, instants, horizon), horizon)
        off += not low <= ratio <= high
    # 5 % asked for; 8 % is past the 99.5 % point of 400 runs at 5 %.
    assert off / runs <= 0.08


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_variance_twice_or_half_as_large_is_called_off(factor):
    found = 0
    for seed in range(50):
        ratio, (low, high) = limits_of(market(seed, 120, 1) * np.sqrt(factor), 1, 0.025)
        found += ratio > high if factor > 1 else ratio < low
    assert found == 50


@pytest.mark.parametrize(("horizon", "instants"), [(1, 60), (1, 250), (5, 250)])
def test_one_crash_of_all_symbols_raises_no_alarm(horizon, instants):
    off, rises = 0, []
    for seed in range(100):
        moves = market(seed, instants, horizon)
        crashed = moves.copy()
        crashed[instants // 2 : instants // 2 + horizon] = -30.0
        ratio, (_, high) = limits_of(crashed, horizon, 0.025)
        off += ratio > high
        rises.append(ratio / variance_ratio(moves.ravel()))
    assert off <= 8  # 2.5 % asked for; past the 99.8 % point
    if (horizon, instants) == (1, 60):
        assert max(rises) <= 1.25


def test_few_instants_have_no_limits():
    assert limits_of(market(0, 10, 5), 5)[1] is None
    assert limits_of(market(0, 2, 1), 1)[1] is None


def test_no_limit_lies_below_zero():
    low, high = limits_of(market(0, 20, 1), 1, 1e-6)[1]
    assert low == 0.0
    assert high > 10


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1.2, "20 % further than said"),
        (0.8, "20 % less far than said"),
        (1.004, "as far as said"),
        (3.0, "200 % further than said"),
    ],
)
def test_a_ratio_is_said_in_words(ratio, words):
    assert in_words(ratio) == words


def test_a_version_is_found_by_its_name_and_horizon():
    found = realised_variances(matured_of({"A": a_path()}, versions=("1", "2")), false_alarms=0.05)
    assert of_version(found, "2", 5) is found[3]
    assert of_version(found, "2", 30) is None


def test_a_ratio_without_limits_is_never_off():
    (found, _) = realised_variances(matured_of({"A": a_path()}), false_alarms=0.05)
    assert not replace(found, low=0.5, high=10.0).off
    assert replace(found, ratio=11.0, low=0.5, high=10.0).off
    assert replace(found, ratio=0.4, low=0.5, high=10.0).off
    assert not replace(found, ratio=11.0, low=None, high=None).off


def test_both_spans_share_the_false_alarms_and_a_young_version_has_one():
    paths = {"A": a_path(1, 100)}
    matured = matured_of(paths, bars=range(5, 90), horizons=(1,))
    (whole,), (recent,) = over_both_spans(matured, false_alarms=0.05)
    assert (whole.dates, recent.dates) == (85, RECENT_INSTANTS)
    assert (whole,) == realised_variances(matured, false_alarms=0.025)
    assert (recent,) == realised_variances(matured, false_alarms=0.025, newest=RECENT_INSTANTS)
    young = matured_of(paths, bars=range(5, 5 + RECENT_INSTANTS), horizons=(1,))
    (whole,), recents = over_both_spans(young, false_alarms=0.05)
    assert (whole.dates, recents) == (RECENT_INSTANTS, ())
