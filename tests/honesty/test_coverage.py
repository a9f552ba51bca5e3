"""Intervals hold what they promise on real and on simulated prices; a smaller run of the page."""

import numpy as np
import pytest

from benchmarks.honesty.coverage import BAND, EXPERIMENT, POINTS
from benchmarks.honesty.experiment import Workers
from benchmarks.honesty.walk_counts import MARKETS, STEPS, Simulated, returns_of, simulated


@pytest.fixture(scope="module")
def outcome():
    return EXPERIMENT.run("small", Workers(), 0)


def test_ninety_per_cent_intervals_are_in_the_band_at_every_horizon(outcome):
    assert not outcome.broken
    for counted in outcome.data["bundled"].values():
        assert len(counted["points"]) == 30
        assert min(counted["points"]) >= POINTS
        shares = np.array(counted["coverage"]["0.05"])
        assert ((shares >= BAND[0]) & (shares <= BAND[1])).all()


def test_feedback_covers_closer_to_its_promise_than_none(outcome):
    for kind in ("bundled", "simulated"):
        for counted in outcome.data[kind].values():
            coverage = counted.get("coverage", counted)
            with_it, without = (
                np.abs(np.array(coverage[str(step)]) - 0.9).mean() for step in (0.05, 0.0)
            )
            assert with_it <= without + 0.001


def test_one_history_is_counted_whole():
    counted = simulated(Simulated("garch", 2_000, seed=5))
    assert set(counted.inside) == set(STEPS)
    assert counted.bins.sum() == counted.known.sum()
    inside = counted.inside[0.05].sum()
    assert counted.bins[1:5].sum() == inside
    assert counted.by_symbol["simulated"] == pytest.approx(inside / counted.known.sum())


@pytest.mark.parametrize("market", MARKETS)
def test_a_market_is_what_its_words_say(market):
    bars = np.abs(returns_of(Simulated(market, 4_000, seed=1)))
    assert np.array_equal(bars, np.abs(returns_of(Simulated(market, 4_000, seed=1))))
    assert 0.003 < bars.mean() < 0.05
    early, late = bars[:1_000].mean(), bars[-1_000:].mean()
    assert (late / early > 2) == (market in {"shift", "ramp"})
    tail = np.corrcoef(bars[1:], bars[:-1])[0, 1]
    assert (tail > 0.08) == (market != "fat tails")


def test_the_pictures_can_be_painted(outcome):
    from benchmarks.honesty.experiment import Plot
    from benchmarks.honesty.page import image

    plots = [piece for piece in outcome.story if isinstance(piece, Plot)]
    assert len(plots) == 2
    for plot in plots:
        assert len(image(plot)) > 5_000
