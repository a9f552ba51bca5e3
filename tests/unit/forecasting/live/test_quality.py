"""Realised quality: healthy versions stay, degraded ones are found, and luck of any kind is bounded."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quality import CHAMPIONS, SOON, YEAR, forecasts, found_after
from forecasting.errors import InvalidInput, InvalidSettings
from forecasting.live.quality import (
    LOSS,
    NARROW,
    WIDE,
    Compared,
    QualityRules,
    judge_quality,
)

NORMAL = np.array([-1.6449, -0.6745, 0.0, 0.6745, 1.6449])
ONE_BAR = QualityRules(horizons={1: 1.0})


def compared(own, reference, outcomes, horizon=1):
    """Rows of quantiles [t, s, Q] and outcomes [t, s], a bar an instant."""
    bars, symbols = outcomes.shape
    as_of = np.repeat(np.arange(bars), symbols)
    return Compared(
        np.tile([f"S{s}" for s in range(symbols)], bars),
        np.full(bars * symbols, horizon),
        as_of,
        as_of + horizon,
        own.reshape(-1, 5),
        reference.reshape(-1, 5),
        outcomes.ravel(),
        np.ones(outcomes.size),
    )


def year(seed, *, width=1.0, reference=1.0, shift=0.0, bars=60, symbols=6, together=0.4):
    """Normal outcomes that symbols share in part; quantiles of the right width times `width`."""
    rng = np.random.default_rng(seed)
    common, own = rng.standard_normal((bars, 1)), rng.standard_normal((bars, symbols))
    mean = 0.3 * rng.standard_normal((bars, symbols))
    outcomes = mean * bool(shift) + np.sqrt(together) * common + np.sqrt(1 - together) * own
    right = np.broadcast_to(NORMAL, (bars, symbols, 5))
    location = (shift * mean + 0.05 * rng.standard_normal((bars, symbols)))[..., None]
    return compared(right * width + location, right * reference, outcomes)


@pytest.mark.parametrize(
    ("sick", "kind"), [({"width": 0.7}, NARROW), ({"width": 1.4}, WIDE), ({"shift": -1.0}, LOSS)]
)
def test_a_degraded_version_is_found_within_sixty_bars_and_it_is_said_what_is_wrong(sick, kind):
    judged = [judge_quality(year(seed, **sick), ONE_BAR) for seed in range(20)]
    assert sum(one.degraded_at is not None for one in judged) >= 18
    assert {one.kind for one in judged if one.degraded_at is not None} == {kind}


@pytest.mark.parametrize("market", ["independent", "garch", "regimes"])
def test_the_benchmarks_champions_are_told_apart_on_other_draws(market):
    by_name = {champion.name: champion for champion in CHAMPIONS}
    sound = by_name["healthy, locations of correlation 0.1"]
    assert all(found_after(forecasts(sound, market, seed)) > YEAR for seed in range(3))
    for name in ("width 0.7", "width 1.4", "wrong sign, correlation 0.3"):
        found = [found_after(forecasts(by_name[name], market, seed)) for seed in range(3)]
        assert sum(bars <= SOON for bars in found) >= 2, (name, found)


def test_healthy_versions_are_expected_to_gain_no_evidence_whenever_one_stops():
    stopped = []
    for seed in range(200):
        judged = judge_quality(year(seed, together=0.9), ONE_BAR)
        over = np.flatnonzero(judged.evidence >= 2)
        stopped.append(judged.evidence[over[0] if len(over) else -1])
    assert np.mean(stopped) <= 1 + 3 * np.std(stopped) / np.sqrt(len(stopped))


def test_a_version_is_not_given_up_for_one_that_is_as_far_off():
    for width in (0.7, 1.4):
        both = judge_quality(year(1, width=width, reference=width, bars=250), ONE_BAR)
        assert both.degraded_at is None


def test_the_same_forecasts_are_never_worse_than_themselves():
    rows = year(3, width=0.5, bars=250)
    judged = judge_quality(replace(rows, reference=rows.returns), ONE_BAR)
    assert judged.degraded_at is None
    assert judged.highest <= 1
    assert judged.loss_ratio == pytest.approx(1)


def test_figures_are_those_of_the_nearest_horizon():
    rows = year(4, width=1.4, bars=200)
    judged = judge_quality(rows, ONE_BAR)
    held = (rows.realised >= rows.returns[:, 0]) & (rows.realised <= rows.returns[:, -1])
    assert (judged.bars, judged.limit) == (200, pytest.approx(20))
    assert judged.coverage == pytest.approx(held.mean())
    assert judged.reference_coverage < judged.coverage
    assert judged.loss_ratio > 1


def test_the_ratio_of_losses_weighs_calm_and_wild_symbols_alike():
    rows = year(4, width=1.4, bars=200)
    wild = np.where(rows.symbols == "S0", 1_000.0, 1.0)
    scaled = replace(
        rows,
        returns=rows.returns * wild[:, None],
        reference=rows.reference * wild[:, None],
        realised=rows.realised * wild,
        units=rows.units * wild,
    )
    assert judge_quality(scaled, ONE_BAR).loss_ratio == pytest.approx(
        judge_quality(rows, ONE_BAR).loss_ratio
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000), st.randoms(use_true_random=False))
def test_the_order_of_symbols_and_rows_does_not_matter(seed, random):
    rows = year(seed, width=0.7)
    order = list(range(len(rows)))
    random.shuffle(order)
    mixed = Compared(*(getattr(rows, one.name)[order] for one in fields(Compared)))
    assert judge_quality(mixed).evidence == pytest.approx(judge_quality(rows).evidence)


def test_more_outcomes_only_add_to_the_end():
    rows, known = year(5, width=0.8), 6 * 40
    early = Compared(*(getattr(rows, one.name)[:known] for one in fields(Compared)))
    whole, part = judge_quality(rows), judge_quality(early)
    assert whole.evidence[: len(part.evidence)] == pytest.approx(part.evidence)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 5, 30]), st.sampled_from([1e-6, 1.0, 1e6]))
def test_no_forecast_and_no_outcome_makes_a_bet_lose_more_than_its_stake(seed, horizon, unit):
    rng = np.random.default_rng(seed)
    own, reference = (np.sort(rng.standard_cauchy((40, 3, 5)), axis=2) * unit for _ in range(2))
    own[rng.random(40) < 0.2] = 0.0
    outcomes = rng.standard_cauchy((40, 3)) * unit
    judged = judge_quality(compared(own, reference, outcomes, horizon))
    assert (judged.evidence >= 0).all()
    assert np.isfinite(judged.evidence).all()


def test_symbols_of_different_sessions_bet_only_with_what_has_been_paid():
    """Bars of two exchanges, twelve hours apart, whose outcomes come a day later."""
    rows = year(6, width=0.7, bars=120, symbols=1)
    hours = replace(rows, as_of=rows.as_of * 12, targets=rows.as_of * 12 + 24)
    slower, plain = judge_quality(hours, ONE_BAR), judge_quality(rows, ONE_BAR)
    assert slower.highest < plain.highest


def test_a_smaller_error_rate_asks_for_more_evidence():
    rows = year(7, width=0.7)
    loose, strict = (
        judge_quality(rows, replace(ONE_BAR, error_rate=rate)) for rate in (0.1, 0.001)
    )
    assert loose.degraded_at < strict.degraded_at


def test_without_outcomes_there_is_no_evidence():
    empty = Compared(*(getattr(year(1), one.name)[:0] for one in fields(Compared)))
    judged = judge_quality(empty)
    assert (judged.highest, judged.degraded_at, judged.kind, judged.bars) == (1.0, None, "", 0)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, float("nan")])
def test_an_error_rate_that_is_no_chance_is_refused(rate):
    with pytest.raises(InvalidSettings, match="between 0 and 1"):
        QualityRules(error_rate=rate)


def test_outcomes_that_are_not_known_are_refused():
    rows = year(1)
    with pytest.raises(InvalidInput, match="realised has others"):
        replace(rows, realised=np.full(len(rows), np.nan))
