"""Versions and runs of Kubeflow Pipelines: each is made once, whoever asks at the same time."""

import threading
from datetime import timedelta

import kfp_server_api as kfp
import pytest

from forecasting.adapters.workflows import http
from forecasting.adapters.workflows.client import TRAINING, Workflows
from forecasting.adapters.workflows.schedules import Schedule
from forecasting.errors import (
    InvalidInput,
    UnknownWorkflow,
    WorkflowsUnavailable,
)
from tests.contract.kubeflow_pipelines import PACKAGE, START, requested_paths
from tests.contract.replay_server import late
from tests.time_limits import expires, seconds

# versions


def test_the_first_upload_makes_the_pipeline_and_a_version_named_by_its_content(workflows, cluster):
    version, fresh = workflows.upload(TRAINING, "0123456789ab", PACKAGE, description="Trains.")
    assert fresh
    assert (version.pipeline, version.name) == (TRAINING, "0123456789ab")
    assert [(one.name, one.description) for one in cluster.pipelines] == [(TRAINING, "Trains.")]
    (form,) = cluster.uploads
    assert b'name="uploadfile"; filename="bellwether-training.yaml"' in form
    assert PACKAGE.encode() in form


def test_an_upload_is_done_once_for_a_content(server, workflows, cluster):
    first, _ = workflows.upload(TRAINING, "0123456789ab", PACKAGE)
    server.asked.clear()
    again, fresh = workflows.upload(TRAINING, "0123456789ab", PACKAGE)
    assert (again, fresh) == (first, False)
    assert requested_paths(server, "POST") == []
    workflows.upload(TRAINING, "ba9876543210", PACKAGE + "# changed\n")
    assert [one.name for one in cluster.versions] == ["0123456789ab", "ba9876543210"]


def test_a_rival_who_makes_pipeline_and_version_first_is_found(workflows, cluster):
    def rival(one):
        if one.method == "POST":
            cluster.before = lambda _: None
            cluster.add_version(TRAINING, "0123456789ab")

    cluster.before = rival
    version, fresh = workflows.upload(TRAINING, "0123456789ab", PACKAGE)
    assert not fresh
    assert version.id == cluster.versions[0].pipeline_version_id
    assert (len(cluster.pipelines), len(cluster.versions)) == (1, 1)


def test_a_version_is_found_by_name_or_as_the_newest(workflows, cluster):
    for name in ("a", "b"):
        cluster.add_version(TRAINING, name)
    assert workflows.version(TRAINING).name == "b"
    assert workflows.version(TRAINING, "a").name == "a"
    with pytest.raises(UnknownWorkflow, match="has no bellwether-training c"):
        workflows.version(TRAINING, "c")
    with pytest.raises(UnknownWorkflow, match="bellwether pipeline submit"):
        workflows.version("bellwether-refresh")


# runs


def test_a_run_says_which_version_with_what_and_by_which_key(workflows, cluster, version):
    started = workflows.start(
        version, {"folds": 4, "candidates": ["ridge"]}, key="drift-2026-03-01"
    )
    assert started.fresh
    (run,) = cluster.runs
    assert started.run.id == run.run_id
    assert run.display_name == "bellwether-training drift-2026-03-01"
    assert run.pipeline_version_reference.pipeline_version_id == version.id
    assert run.pipeline_version_reference.pipeline_id == version.pipeline_id
    assert run.runtime_config.parameters == {"folds": 4, "candidates": ["ridge"]}


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED", "FAILED"])
def test_a_key_starts_one_run_whatever_came_of_it(workflows, cluster, version, state):
    first = workflows.start(version, {}, key="k")
    cluster.runs[0].state = state
    again = workflows.start(version, {}, key="k")
    assert (again.run.id, again.fresh, len(cluster.runs)) == (first.run.id, False, 1)
    assert workflows.start(version, {}, key="K").fresh, "a database may compare without case"


@pytest.mark.parametrize(("rivals_minutes", "first"), [(-1, False), (+1, True)])
def test_of_two_who_start_at_once_the_later_run_is_ended_by_its_own_caller(
    workflows, cluster, version, rivals_minutes, first
):
    def rival(one):
        if (one.method, one.path) == ("POST", "/apis/v2beta1/runs"):
            cluster.before = lambda _: None
            made = cluster.add_run(f"{TRAINING} k")
            made.created_at += timedelta(minutes=1 + rivals_minutes)

    cluster.before = rival
    started = workflows.start(version, {}, key="k")
    theirs, ours = cluster.runs
    assert started.fresh is first
    assert started.run.id == (ours if first else theirs).run_id
    assert theirs.state == "RUNNING", "the rival's is the rival's to end"
    assert ours.state == ("PENDING" if first else "CANCELING")


def test_two_callers_in_earnest_agree_on_one_run(server, cluster, version):
    meet = threading.Barrier(2, timeout=seconds(5))

    def both_have_looked(one):
        if (one.method, one.path) == ("POST", "/apis/v2beta1/runs"):
            meet.wait()

    cluster.before = both_have_looked
    found = []

    def call():
        with Workflows(server.address, timeout=seconds(20), settle_seconds=seconds(0.3)) as mine:
            found.append(mine.start(version, {}, key="k"))

    callers = [threading.Thread(target=call) for _ in range(2)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    assert len({one.run.id for one in found}) == 1
    assert sorted(one.fresh for one in found) == [False, True]
    assert sorted(one.state for one in cluster.runs) == ["CANCELING", "PENDING"]


def test_an_answer_that_never_came_is_asked_for_again_by_the_same_key(server, cluster, version):
    def late_once(one):
        if (one.method, one.path) == ("POST", "/apis/v2beta1/runs"):
            cluster.before = lambda _: None
            return late(cluster(one), 0.5)
        return cluster(one)

    server.answer = late_once
    with Workflows(server.address, timeout=expires(0.2), settle_seconds=0) as hasty:
        with pytest.raises(WorkflowsUnavailable, match=r"said nothing for 0\.2 s"):
            hasty.start(version, {}, key="k")
        server.answer = cluster
        assert not hasty.start(version, {}, key="k").fresh
    assert len(cluster.runs) == 1


@pytest.mark.parametrize("key", ["", "a b", "-a", "a/b", "a" * 81])
def test_a_key_that_the_name_of_a_run_cannot_bear_is_refused(workflows, version, key):
    with pytest.raises(InvalidInput, match="idempotency key"):
        workflows.start(version, {}, key=key)


def test_a_run_started_as_scheduled_is_of_the_schedules_version_with_its_parameters(
    workflows, cluster, version
):
    workflows.schedule(Schedule(version, "0 6 * * 6", {"source": "sample", "folds": 6}))
    workflows.upload(TRAINING, "newer0000000", PACKAGE)
    workflows.start_as_scheduled(TRAINING, key="k", changes={"symbols": "AAPL"})
    (run,) = cluster.runs
    assert run.runtime_config.parameters == {"source": "sample", "folds": 6, "symbols": "AAPL"}
    assert run.pipeline_version_reference.pipeline_version_id == version.id
    with pytest.raises(UnknownWorkflow, match="no recurring run bellwether-refresh"):
        workflows.start_as_scheduled("bellwether-refresh", key="k")


def test_a_run_is_read_with_its_state_times_and_steps(workflows, cluster):
    def task(name, second, state="SUCCEEDED"):
        return kfp.V2beta1PipelineTaskDetail(
            display_name=name, start_time=START + timedelta(seconds=second), state=state
        )

    tasks = [task("bellwether-training-x2k7p", 0, "FAILED"), task("root-driver", 1), task("root", 2),
             task("ingest-driver", 3), task("ingest", 4), task("executor", 5),
             task("exit-handler-1-driver", 1), task("exit-handler-1", 2, "FAILED"),
             task("iteration-item-driver", 5), task("iteration-item", 6, "FAILED"),
             task("features-driver", 6), task("features", 7, "FAILED")]  # fmt: skip
    made = cluster.add_run(
        "by hand",
        "FAILED",
        finished_at=START + timedelta(minutes=9),
        created_at=START,
        recurring_run_id="recurring-7",
        run_details=kfp.V2beta1RunDetails(task_details=tasks[::-1]),
    )
    run = workflows.run(made.run_id)
    assert (run.state, run.ended, run.recurring_run_id) == ("FAILED", True, "recurring-7")
    assert [(one.name, one.state) for one in run.steps] == [
        ("ingest", "SUCCEEDED"),
        ("features", "FAILED"),
    ]
    assert run.error == "step features failed"
    assert run.seconds(START + timedelta(hours=1)) == 540


def test_a_run_that_has_not_ended_has_no_end_and_one_that_says_why_is_quoted(workflows, cluster):
    running = cluster.add_run("a", "RUNNING", created_at=START)
    failed = cluster.add_run("b", "FAILED", error=kfp.GoogleRpcStatus(code=13, message="no room"))
    assert workflows.run(running.run_id).finished_at is None
    assert workflows.run(running.run_id).seconds(START + timedelta(seconds=5)) == 5
    assert workflows.run(failed.run_id).error == "no room"


def test_runs_come_newest_first_over_pages_and_of_one_pipeline(monkeypatch, workflows, cluster):
    monkeypatch.setattr(http, "PAGE", 2)
    reference = {}
    for name in (TRAINING, "bellwether-refresh"):
        made = cluster.add_version(name, "v")
        reference[name] = kfp.V2beta1PipelineVersionReference(
            pipeline_id=made.pipeline_id, pipeline_version_id=made.pipeline_version_id
        )
    for number in range(5):
        which = TRAINING if number % 2 else "bellwether-refresh"
        cluster.add_run(f"{number}", pipeline_version_reference=reference[which])
    assert [one.name for one in workflows.runs()] == ["4", "3", "2", "1", "0"]
    assert [one.name for one in workflows.runs(2)] == ["4", "3"]
    assert [one.name for one in workflows.runs(pipeline=TRAINING)] == ["3", "1"]
    assert workflows.runs(pipeline="unknown") == []


def test_a_link_leads_to_the_run_in_the_ui_where_it_has_an_address():
    assert Workflows("http://x").link("r") == ""
    with_ui = Workflows("http://x", public_url="https://kfp.example.org/")
    assert with_ui.link("r") == "https://kfp.example.org/#/runs/details/r"
