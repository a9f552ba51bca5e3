"""Scores against losses averaged by hand, each beside the random walk's."""

import numpy as np
import pytest

from forecasting.evaluation.loss_sums import horizon_weights, panel_of, sum_losses
from forecasting.evaluation.losses import mean_pinball
from forecasting.evaluation.scores import ratio, scores_of
from forecasting.testing import planted_forecasts


@pytest.fixture(scope="module")
def planted():
    return planted_forecasts(signal=0.2, candidates=("ridge",), symbols=3, periods=80)


@pytest.fixture(scope="module")
def scores(planted):
    panel = panel_of(planted)
    sums = {name: sum_losses(forecasts, panel) for name, forecasts in planted.items()}
    null = sums["random_walk"]
    return scores_of(sums["ridge"], null, null, panel, planted["ridge"].levels)


def losses(forecasts):
    unit = forecasts.scale[:, None] * np.sqrt(np.arange(1, 31))
    return mean_pinball(forecasts.realised, forecasts.quantiles) / unit


def test_skill_is_the_share_of_the_random_walks_loss_saved(planted, scores):
    own, null = losses(planted["ridge"]), losses(planted["random_walk"])
    weights = horizon_weights(30)
    expected = 1 - (own.mean(axis=0) @ weights) / (null.mean(axis=0) @ weights)
    assert scores.overall.skill == pytest.approx(expected, rel=1e-3)
    assert scores.overall.skill > 0
    for horizon in (1, 30):
        at = horizon - 1
        assert scores.by_horizon[horizon].skill == pytest.approx(
            1 - own[:, at].mean() / null[:, at].mean(), rel=1e-3
        )
    rows = planted["ridge"].codes == 1
    by_symbol = 1 - (own[rows].mean(axis=0) @ weights) / (null[rows].mean(axis=0) @ weights)
    assert scores.by_symbol["SYM001"].skill == pytest.approx(by_symbol, rel=1e-3)


def test_every_fold_has_its_skill_and_coverage(planted, scores):
    folds = {int(fold) for fold in planted["ridge"].fold}
    assert set(scores.skill_by_fold) == set(scores.coverage_by_fold) == folds
    assert all(0.7 < share <= 1 for share in scores.coverage_by_fold.values())


def test_a_ratio_to_nothing_is_unknown():
    assert ratio(1.0, 4.0) == 0.25
    assert np.isnan(ratio(0.0, 0.0))
