"""Parameters as a command gives them, and a run that is watched to its end."""

import pytest

from bellwether.cluster.pipeline_runs import changed, follow, full_name
from forecasting.adapters.workflows.client import REFRESH, TRAINING
from forecasting.adapters.workflows.records import WorkflowRun
from forecasting.errors import BellwetherError, InvalidSettings, WorkflowsUnavailable


def test_a_pipeline_has_a_short_name_and_a_long_one():
    assert [full_name(name) for name in ("training", TRAINING, "refresh")] == [
        TRAINING,
        TRAINING,
        REFRESH,
    ]
    with pytest.raises(InvalidSettings, match="Choose training or refresh"):
        full_name("serving")


def test_parameters_have_the_type_that_the_pipeline_declares():
    texts = ["folds=4", "candidates=ridge, random_walk", "source=files"]
    assert changed(TRAINING, texts) == {
        "folds": 4,
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


class Workflows:
    """Answers with these states in turn, the last one again and again; None is no answer."""

    def __init__(self, *states):
        self.states = list(states)

    def run(self, run_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            raise WorkflowsUnavailable("Kubeflow Pipelines must answer", "it is away")
        return WorkflowRun.read({"run_id": run_id, "display_name": "training k", "state": state})

    def link(self, run_id):
        return f"http://pipelines/{run_id}"


def followed(*states, timeout=60.0, patience=60.0, monkeypatch):
    monkeypatch.setattr("bellwether.cluster.pipeline_runs._PATIENCE_SECONDS", patience)
    shown = []
    run = follow(Workflows(*states), "r", shown.append, timeout=timeout, poll_seconds=0.001)
    return run.state, [run.state for run in shown]


def test_a_run_is_watched_to_its_end_though_the_server_is_away_for_a_moment(monkeypatch):
    assert followed("PENDING", None, "RUNNING", "SUCCEEDED", monkeypatch=monkeypatch) == (
        "SUCCEEDED",
        ["PENDING", "RUNNING", "SUCCEEDED"],
    )


def test_a_run_that_fails_is_an_error_with_the_way_to_its_logs(monkeypatch):
    with pytest.raises(BellwetherError, match="training k is failed") as ended:
        followed("RUNNING", "FAILED", monkeypatch=monkeypatch)
    assert "http://pipelines/r" in str(ended.value)


def test_watching_ends_when_the_server_stays_away_or_the_time_is_over(monkeypatch):
    with pytest.raises(WorkflowsUnavailable, match="it is away"):
        followed(None, patience=0.0, monkeypatch=monkeypatch)
    with pytest.raises(WorkflowsUnavailable, match="must end within 0 s"):
        followed("RUNNING", timeout=0.0, monkeypatch=monkeypatch)
