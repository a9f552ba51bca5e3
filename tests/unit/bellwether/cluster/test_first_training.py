from types import SimpleNamespace
from typing import ClassVar

import pytest

from bellwether.cluster.first_training import (
    container_started,
    restoring,
    running_job,
    serves_already,
    train,
    train_on_pipelines,
    wait_restored,
)
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from forecasting.adapters.workflows.client import REFRESH, TRAINING
from forecasting.adapters.workflows.records import WorkflowRun
from forecasting.errors import Unavailable


def job(name, owner="bellwether-training", **ended):
    owners = [{"kind": "CronJob", "name": owner}]
    entries = [{"type": kind, "status": status} for kind, status in ended.items()]
    metadata = {"name": name, "ownerReferences": owners}
    return {"metadata": metadata, "status": {"conditions": entries}}


def test_a_training_under_way_is_followed_rather_than_doubled():
    jobs = [job("a", Complete="True"), job("b", "bellwether-drift"), job("c")]
    assert running_job({"items": jobs}, "bellwether-training") == "c"
    assert running_job({"items": jobs[:2]}, "bellwether-training") == ""


def test_what_served_before_is_waited_for_before_anything_is_trained(programs, step):
    jobs = [job("bellwether-restore-1"), job("bellwether-training-9"), job("other-restore-1")]
    assert restoring({"items": jobs}, "bellwether") == ["bellwether-restore-1"]
    ended = [job("bellwether-restore-1", Failed="True")]
    assert restoring({"items": ended}, "bellwether") == []
    programs.answer("get jobs", out={"items": ended})
    wait_restored(HERE, step)


def test_a_container_has_a_log_once_it_runs_or_has_run():
    states = [
        {"name": "train", "state": {"terminated": {}}},
        {"name": "other", "state": {"waiting": {}}},
    ]
    pod = {"status": {"initContainerStatuses": states}}
    assert container_started(pod, "train")
    assert not container_started(pod, "rollout")
    waiting = {"name": "rollout", "state": {"waiting": {"reason": "PodInitializing"}}}
    assert not container_started({"status": {"containerStatuses": [waiting]}}, "rollout")


HERE = Installation(Kubectl(), "bw", "bellwether")


def settings(url=""):
    return {"data": {"BELLWETHER_PIPELINES_URL": url}}


def test_a_version_that_is_ready_needs_no_first_training(programs):
    for status in ("False", "True"):
        entry = {"type": "Ready", "status": status}
        programs.answer(
            "get inferenceservices", out={"items": [{"status": {"conditions": [entry]}}]}
        )
        assert serves_already(HERE) is (status == "True")


def test_where_jobs_train_the_cronjobs_job_is_run_and_its_log_shown(programs, step, capsys):
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "training"}]},
        "status": {"containerStatuses": [{"name": "training", "state": {"running": {}}}]},
    }
    ended = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    programs.answer("get configmap bellwether-settings", out=settings())
    programs.answer("get jobs", out={"items": []})
    programs.answer("get pods", out={"items": [pod]})
    programs.answer("get job bellwether-training-first", out=ended)
    programs.answer("logs --follow p --container training", out="fold 1\nFutureWarning: x\n")
    train(HERE, step)
    (call,) = programs.calls("create job")
    assert "--from=cronjob/bellwether-training --namespace bw" in call
    assert step.outcome.startswith("job bellwether-training-first-")
    printed = capsys.readouterr().out
    assert "fold 1" in printed
    assert "FutureWarning" not in printed


def test_a_job_that_fails_is_an_error_with_the_way_to_its_log(programs, step):
    failed = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    programs.answer("get configmap bellwether-settings", out=settings())
    programs.answer("get jobs", out={"items": [job("now")]})
    programs.answer("get pods", out={"items": []})
    programs.answer("get job now", out=failed)
    with pytest.raises(Unavailable, match="job now failed"):
        train(HERE, step)
    assert programs.calls("create job") == []


class Workflows:
    """Kubeflow Pipelines with a training under way and no refresh yet; every run succeeds."""

    started: ClassVar[list] = []

    def __init__(self, url):
        self.url = url

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def wait(self, seconds, show):
        show("it starts")

    def runs(self, count, *, pipeline):
        running = {"run_id": "under-way", "display_name": TRAINING, "state": "RUNNING"}
        return [WorkflowRun.read(running)] if pipeline == TRAINING else []

    def start_as_scheduled(self, pipeline, *, key):
        self.started.append((pipeline, key))
        return SimpleNamespace(run=WorkflowRun.read({"run_id": "made", "state": "PENDING"}))

    def run(self, run_id):
        return WorkflowRun.read({"run_id": run_id, "state": "SUCCEEDED"})

    def link(self, run_id):
        return ""


def test_on_pipelines_what_is_under_way_is_followed_and_the_rest_is_started(step, monkeypatch):
    monkeypatch.setattr("forecasting.adapters.workflows.client.Workflows", Workflows)
    monkeypatch.setattr(Workflows, "started", [])
    assert train_on_pipelines(HERE, "http://127.0.0.1:8888", step) == "under-way"
    assert Workflows.started == [(REFRESH, "first-after-none")]
