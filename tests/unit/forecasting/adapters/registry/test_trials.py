"""Trials are written once, whoever weighs them again, and come back oldest first."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from forecasting.adapters.registry.trials import Trials
from forecasting.errors import Unavailable

RIDGE, TREES = '{"kind": "ridge"}', '{"kind": "xgboost"}'


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


def test_a_configuration_is_written_once_and_keeps_its_first_day(url, clock):
    with closing(Trials(url)) as trials:
        assert trials.of("m", "prices") == []
        first = trials.add("m", "prices", {RIDGE: 1}, periods=1_500)
        again = trials.add("m", "prices", {RIDGE: 1, TREES: 20}, periods=1_505)
        assert [trial.configuration for trial in again] == [TREES]
        assert trials.of("m", "prices") == first + again
    assert (first[0].periods, first[0].at, again[0].settings) == (1_500, clock.now, 20)


def test_models_and_data_sets_are_counted_apart(url):
    with closing(Trials(url)) as trials:
        trials.add("m", "prices", {RIDGE: 1}, periods=9)
        trials.add("m", "other", {RIDGE: 1}, periods=9)
        trials.add("n", "prices", {RIDGE: 1, TREES: 1}, periods=9)
        counts = [len(trials.of(*of)) for of in (("m", "prices"), ("m", "other"), ("n", "prices"))]
    assert counts == [1, 1, 2]


def test_what_two_trainings_write_at_once_counts_once(url):
    def write(periods):
        with closing(Trials(url)) as trials:
            trials.add("m", "prices", {RIDGE: 1, TREES: 1}, periods=periods)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with closing(Trials(url)) as trials:
        assert sorted(trial.configuration for trial in trials.of("m", "prices")) == [RIDGE, TREES]


def test_a_database_that_is_not_there_is_said(tmp_path):
    with closing(Trials(f"sqlite:///{tmp_path}")) as trials, pytest.raises(Unavailable):
        trials.of("m", "prices")
