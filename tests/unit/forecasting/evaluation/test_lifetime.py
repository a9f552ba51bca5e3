"""Evidence over all trainings of a data set: what was seen before makes the next p-value larger."""

import numpy as np
import pytest

from forecasting.evaluation.lifetime import Lifetime
from forecasting.models.cross_validation import INITIAL
from forecasting.stats.anytime import anytime_p_value


def test_the_first_training_is_its_own_first_look():
    assert Lifetime().p_value(0.01, 1_500) == anytime_p_value(0.01, 1.0)
    assert Lifetime(1_500, 0, "2026-01-05").p_value(0.01, 1_500) == anytime_p_value(0.01, 1.0)


def test_fewer_periods_count_like_as_many_times_more():
    lifetime = Lifetime(1_000, 0, "2026-01-05")
    assert lifetime.p_value(0.001, 2_000) == pytest.approx(lifetime.p_value(0.001, 500), rel=1e-9)
    assert lifetime.p_value(0.001, 2_000) > lifetime.p_value(0.001, 1_100)


def test_means_over_spans_whose_ends_both_move_forget_as_fast_as_is_counted():
    rng = np.random.default_rng(0)
    bars, step = 2_000, 1.02
    later = int(bars * step)
    sums = np.cumsum(rng.standard_normal((20_000, later)), axis=1)

    def statistic(until):
        start = int(INITIAL * until)
        return (sums[:, until - 1] - sums[:, start - 1]) / np.sqrt(until - start)

    lost = 1 - np.corrcoef(statistic(bars), statistic(later))[0, 1]
    counted = np.log(step) / 2 * (1 + INITIAL) / (1 - INITIAL)
    assert lost == pytest.approx(counted, rel=0.05)


@pytest.mark.parametrize(
    ("lifetime", "words"),
    [
        (Lifetime(), "none weighed before"),
        (Lifetime(9, 0, "2026-01-05"), "no other trial in trainings since 2026-01-05"),
        (Lifetime(9, 1, "2026-01-05"), "1 other trial in trainings since 2026-01-05"),
        (Lifetime(9, 7, "2026-01-05"), "7 other trials in trainings since 2026-01-05"),
    ],
)
def test_what_was_weighed_before_is_said_in_words(lifetime, words):
    assert lifetime.words == words
