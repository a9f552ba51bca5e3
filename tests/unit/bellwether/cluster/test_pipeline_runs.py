"""Parameters as a command gives them. Following a run: tests/contract/test_pipeline_commands.py."""

import pytest

from bellwether.cluster.pipeline_runs import changed, full_name
from forecasting.adapters.workflows.client import REFRESH, TRAINING
from forecasting.errors import InvalidSettings


def test_a_pipeline_has_a_short_name_and_a_long_one():
    assert [full_name(name) for name in ("training", TRAINING, "refresh")] == [
        TRAINING,
        TRAINING,
        REFRESH,
    ]
    with pytest.raises(InvalidSettings, match="Choose training or refresh"):
        full_name("serving")


def test_parameters_have_the_type_that_the_pipeline_declares():
    texts = ["folds=4", "alpha=1", "candidates=ridge, random_walk", "source=files"]
    assert changed(TRAINING, texts) == {
        "folds": 4,
        "alpha": 1,
        "candidates": ["ridge", "random_walk"],
        "source": "files",
    }


@pytest.mark.parametrize("text", ["folds", "fold=4", "folds=four", "folds=true", "folds=1.5"])
def test_parameters_that_are_unknown_or_of_another_type_are_refused(text):
    with pytest.raises(InvalidSettings):
        changed(TRAINING, [text])


def test_a_refresh_has_no_parameters_of_a_training():
    with pytest.raises(InvalidSettings, match="is one of the pipeline's"):
        changed(REFRESH, ["folds=4"])
