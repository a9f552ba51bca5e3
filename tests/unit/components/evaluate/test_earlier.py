"""What earlier trainings weighed counts, but not what is only weighed again."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from components.evaluate.earlier import configurations, lifetime_of
from forecasting.adapters.registry.trials import Trial, digest_of
from forecasting.errors import Corrupted
from forecasting.evaluation.lifetime import Lifetime


@dataclass
class Artifact:
    metadata: dict
    path: str = ""


def trial(number, configuration, settings=1, periods=1_500):
    day = datetime(2026, 1, number, tzinfo=UTC)
    digest = digest_of(configuration)
    return Trial(number, "m", "prices", configuration, digest, settings, periods, day)


def test_the_challengers_are_trials_and_the_random_walks_are_none():
    forecasts = [
        Artifact({"kind": "ridge", "trials": 20, "configuration": "a"}),
        Artifact({"kind": "random_walk", "trials": 1}),
        Artifact({"kind": "random_walk_drift", "trials": 1}),
    ]
    assert configurations(forecasts) == {"a": 20}


@pytest.mark.parametrize("metadata", [{}, {"configuration": ""}, {"configuration": 3}])
def test_forecasts_that_do_not_say_what_they_are_of_are_refused(metadata):
    with pytest.raises(Corrupted, match="those of 'ridge' do not"):
        configurations([Artifact({"kind": "ridge", "trials": 1, **metadata})])


def test_the_first_training_has_nothing_before_it():
    assert lifetime_of([], {"a": 1}) == Lifetime()


def test_other_configurations_count_with_their_searches_and_the_same_again_does_not():
    known = [trial(5, "a"), trial(6, "b", settings=20, periods=1_600), trial(7, "c")]
    assert lifetime_of(known, {"a": 1}) == Lifetime(1_500, 21, "2026-01-05")
    assert lifetime_of(known, {"a": 1, "b": 20, "c": 1}) == Lifetime(1_500, 0, "2026-01-05")
