"""What a refresh logs is what a server would answer, once a version, symbol and bar.

Versions of a real registry are asked in tests/integration/test_training_pipeline.py.
"""

from contextlib import closing
from datetime import UTC, datetime

import numpy as np
import pytest

from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.prediction_log.rows import rows_of
from forecasting.adapters.refresh_forecasts import newest_forecasts
from forecasting.bundle.bundle import load_bundle
from forecasting.errors import Unavailable
from serving.inference import answer
from serving.request import ForecastRequest
from serving.state import AgeLimits, Features, Version
from tests.served_models import SYMBOLS, make_bundle, make_features

BEFORE = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "it"
    make_bundle(folder)
    return load_bundle(folder)


@pytest.fixture(scope="module")
def served():
    return make_features()


@pytest.fixture
def logged(bundle, served):
    return newest_forecasts(bundle, served, "3", stale_after=1e9)


def test_it_is_what_a_server_answers(bundle, served, logged):
    version = Version.of("3", "champion", "default", bundle, Features.of(served))
    request = ForecastRequest(list(SYMBOLS), bundle.max_horizon)
    limits = AgeLimits(1e9, 1e9)
    expected = answer(request, version, limits, served.fetched_at.timestamp(), baseline=False)
    assert logged.symbols == expected.symbols == list(SYMBOLS)  # NEW has too short a history
    np.testing.assert_array_equal(logged.quantiles, expected.quantiles)
    np.testing.assert_array_equal(logged.target_times, expected.targets)
    np.testing.assert_array_equal(logged.probability_of_rise, expected.rise)
    np.testing.assert_array_equal(logged.as_of, expected.origin.as_of)
    assert list(logged.signal) == expected.signals
    assert not logged.stale.any()
    assert newest_forecasts(bundle, served, "3", stale_after=-1).stale.all()


def test_a_refresh_that_is_repeated_logs_nothing_twice(tmp_path, bundle, served, logged):
    with closing(PredictionLog(f"sqlite:///{tmp_path / 'log.sqlite'}")) as log:
        again = newest_forecasts(bundle, served, "3", stale_after=1e9)
        assert log.keep(logged) == log.keep(again) == len(SYMBOLS)
        assert log.count() == len(SYMBOLS)
        log.keep(newest_forecasts(bundle, served, "4", stale_after=1e9))
        assert log.count() == 2 * len(SYMBOLS)


def test_live_figures_see_it_and_what_users_asked_does_not(tmp_path, logged):
    with closing(PredictionLog(f"sqlite:///{tmp_path / 'log.sqlite'}")) as log:
        log.keep(logged)
        assert {row.symbol for row in log.each_once(model_version="3")} == set(SYMBOLS)
        assert {row.protocol for row in log.each_once()} == {"refresh"}
        newest = datetime(2100, 1, 1, tzinfo=UTC)
        assert log.recent() == log.since(BEFORE) == log.earlier("AAPL", newest, BEFORE) == []
        assert log.versions_since(BEFORE) == []


def test_a_log_that_is_away_is_named(tmp_path, logged):
    rule = "the prediction log must take rows"
    with (
        closing(PredictionLog(f"sqlite:///{tmp_path}")) as log,
        pytest.raises(Unavailable, match=rule),
    ):
        log.keep(logged)


def test_rows_of_users_never_share_an_id(logged):
    asked = logged._replace(protocol="rest")
    assert {row[0] for row in rows_of(asked)}.isdisjoint(row[0] for row in rows_of(asked))
