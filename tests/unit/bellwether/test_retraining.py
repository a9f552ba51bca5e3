"""What the champion was trained on, as its tags or its manifest say it; options that vary it.

With the command: test_cli.py. With real trainings: tests/integration/test_own_demo.py.
"""

import pytest

from bellwether import retraining
from bellwether.retraining import champions_params, in_words, varied
from forecasting.adapters.registry.records import REQUEST, ModelVersion
from forecasting.errors import InvalidSettings
from forecasting.features.spec import FeatureSpec
from forecasting.settings import Settings
from pipelines.runs import TrainingParams

SPEC = FeatureSpec(symbols=("A", "B"), interval="1h")


@pytest.fixture
def champion(monkeypatch):
    """A registry whose champion has the tags it is called with, or that has none."""

    class Registry:
        tags = None

        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def champion(self):
            return self.tags and ModelVersion("3", "run", self.tags, ("champion",), 0)

        def specification(self, _):
            return SPEC

    monkeypatch.setattr(retraining, "RegistryReader", Registry)

    def with_tags(**tags):
        Registry.tags = tags or None
        return champions_params(Settings())

    return with_tags


def test_before_the_first_training_there_is_nothing_to_start_from(champion):
    assert champion() is None


def test_a_champion_of_the_cluster_or_of_before_is_read_from_tags_and_manifest(champion):
    version, params = champion(source="yahoo", dataset="mine")
    assert version == "3"
    assert (params.source, params.dataset) == ("yahoo", "mine")
    assert (params.symbols, params.interval) == (("A", "B"), "1h")


@pytest.mark.parametrize("tags", [{"source": "files"}, {"kind": "ridge"}])
def test_a_champion_that_does_not_say_from_which_prices_is_not_guessed_about(champion, tags):
    with pytest.raises(InvalidSettings, match="version 3 does not say from which"):
        champion(**tags)


def test_a_request_of_another_release_is_refused_and_not_guessed_about(champion):
    with pytest.raises(InvalidSettings, match="training_request"):
        champion(**{REQUEST: '{"symbols": "A", "colour": "green"}'})


def test_a_file_is_named_only_for_a_champion_of_files():
    with pytest.raises(InvalidSettings, match="trained from sample"):
        varied(TrainingParams(), {"files": "own.csv"})


def test_what_a_training_starts_from_is_said_shortly():
    many = TrainingParams(tuple(f"S{n}" for n in range(20)), "yahoo")
    assert in_words("3", many).endswith("yahoo, 1d, S0, S1, S2, S3, S4, S5, S6, S7 and 12 more")
    assert in_words("3", TrainingParams()).endswith("sample, 1d, all its symbols")
