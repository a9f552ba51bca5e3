"""Combinatorial splits against a slow check of every label, and skill on many paths."""

from itertools import combinations as choices

import numpy as np
import pytest

import forecasting.evaluation.combinatorial_cv as combinatorial
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.evaluation.combinatorial_cv import combinations, skill_over_paths
from forecasting.models.quantiles import KNOTS
from forecasting.models.training_set import Examples
from forecasting.schema import MAX_HORIZON

DAY = 86_400 * 10**9


def clocks(lengths=(400, 150), gaps=(1, 2)):
    """A coin that trades daily beside a share that trades every other day."""
    times = [
        (10_000 - gap * np.arange(length, 0, -1, dtype=np.int64)) * DAY
        for length, gap in zip(lengths, gaps, strict=True)
    ]
    codes = [np.full(len(own), code, dtype=np.int32) for code, own in enumerate(times)]
    return np.concatenate(times), np.concatenate(codes)


def slow_reach(times, codes, bars):
    """Per row the close of the bar so many of its own symbol's bars away; None if there is none."""
    reach = [None] * len(times)
    for row in range(len(times)):
        if 0 <= row + bars < len(times) and codes[row + bars] == codes[row]:
            reach[row] = times[row + bars]
    return reach


@pytest.mark.parametrize(("purge", "embargo"), [(0, 0), (5, 0), (8, 3)])
def test_no_training_label_shares_a_bar_with_a_label_held_out(purge, embargo):
    times, codes = (part.tolist() for part in clocks())
    combined = combinations(*clocks(), spans=5, held_out=2, purge_bars=purge, embargo_bars=embargo)
    labels = slow_reach(times, codes, purge)
    closes = slow_reach(times, codes, purge + embargo)
    begins = slow_reach(times, codes, -embargo)
    for split in combined.splits:
        free = set(range(len(times)))
        for span in split.test_spans:
            test = combined.spans[span].tolist()
            first = min(times[row] for row in test)
            last = max(max(times[row], labels[row] or 0) for row in test)
            free = {
                row
                for row in free
                if (times[row] < first and closes[row] is not None and closes[row] < first)
                or (begins[row] is not None and begins[row] > last)
            }
        assert split.train.tolist() == sorted(free)


def test_every_path_takes_every_span_once_and_every_forecast_is_used_once():
    combined = combinations(*clocks(), spans=6, held_out=2)
    assert [split.test_spans for split in combined.splits] == list(choices(range(6), 2))
    assert combined.paths.shape == (5, 6)
    used = [(int(split), span) for path in combined.paths for span, split in enumerate(path)]
    assert len(set(used)) == len(used) == 30
    assert all(span in combined.splits[split].test_spans for split, span in used)
    rows = np.concatenate(combined.spans)
    assert sorted(rows) == list(range(550))


def examples_of(signal, seed=0, bars=1_200, symbols=2):
    random = np.random.default_rng(seed)
    x = random.normal(size=(symbols, bars, 4)).astype(np.float32)
    steps = random.normal(size=(symbols, bars))
    steps[:, 1:] += signal * x[:, :-1, 0]
    path = 0.01 * np.cumsum(steps, axis=1)
    returns = np.full((symbols, bars, MAX_HORIZON), np.nan, dtype=np.float32)
    for h in range(1, MAX_HORIZON + 1):
        returns[:, :-h, h - 1] = path[:, h:] - path[:, :-h]
    return Examples(
        symbols=tuple(f"S{number}" for number in range(symbols)),
        names=("a", "b", "c", "d"),
        codes=np.repeat(np.arange(symbols, dtype=np.int32), bars),
        timestamps=np.tile(np.arange(bars, dtype=np.int64) * DAY, symbols),
        close=np.exp(path).ravel(),
        scale=np.full(bars * symbols, 0.01),
        x=x.reshape(-1, 4),
        returns=returns.reshape(-1, MAX_HORIZON),
        log_widths=np.zeros((bars * symbols, len(KNOTS)), dtype=np.float32),
    )


def test_a_planted_signal_has_skill_on_every_path_and_noise_on_none():
    found = skill_over_paths("ridge", examples_of(signal=1.5))
    assert found.skills.shape == (5,)
    assert found.fits == 15
    assert (found.skills > 0.01).all()
    noise = skill_over_paths("ridge", examples_of(signal=0.0))
    assert (noise.skills < 0.01).all()


def test_only_the_features_that_a_part_takes_are_learned_from():
    examples = examples_of(signal=1.5)
    assert (skill_over_paths("ridge", examples, features=(("b", "c"),)).skills < 0.01).all()
    assert (skill_over_paths("ridge", examples, features=(("a",),)).skills > 0.01).all()


def test_the_random_walk_has_no_skill_against_itself():
    assert np.allclose(skill_over_paths("random_walk", examples_of(0.0)).skills, 0.0, atol=1e-12)


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(combinatorial, "find_spec", lambda _: None)
    with pytest.raises(InvalidSettings, match=r"bellwether\[combinatorial\]"):
        combinations(*clocks())


def test_a_history_too_short_is_refused():
    with pytest.raises(ShortHistory, match="leaves none"):
        combinations(*clocks((60,), (1,)), spans=3, held_out=2)
    with pytest.raises(ShortHistory, match="instants"):
        combinations(*clocks((10,), (1,)))


@pytest.mark.parametrize("wrong", [{"held_out": 1}, {"spans": 2}, {"purge_bars": -1}])
def test_a_senseless_choice_is_refused(wrong):
    with pytest.raises(InvalidSettings, match="hold out at least 2"):
        combinations(*clocks(), **wrong)
