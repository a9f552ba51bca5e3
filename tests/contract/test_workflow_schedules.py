"""Recurring runs of Kubeflow Pipelines: one at a time, replaced without two at once."""

from dataclasses import replace

import pytest

from forecasting.adapters.workflows.client import TRAINING
from forecasting.adapters.workflows.schedules import Schedule, six_fields
from forecasting.errors import (
    InvalidRequest,
    InvalidSettings,
)
from tests.contract.kubeflow_pipelines import PACKAGE, refused, requested_paths


def test_a_schedule_is_one_at_a_time_without_catching_up_and_with_seconds_first(
    workflows, cluster, version
):
    outcome, made = workflows.schedule(Schedule(version, "0 6 * * 6", {"folds": 6}))
    (one,) = cluster.recurring
    assert (outcome, made) == ("created", one.recurring_run_id)
    assert one.display_name == TRAINING
    assert one.trigger.cron_schedule.cron == "0 0 6 * * 6"
    assert (one.no_catchup, one.max_concurrency, one.mode) == (True, "1", "ENABLE")
    assert one.pipeline_version_reference.pipeline_version_id == version.id
    assert one.runtime_config.parameters == {"folds": 6}


def test_a_schedule_that_is_as_it_should_be_is_left_alone(server, workflows, version):
    wanted = Schedule(version, "@weekly", {"folds": 6, "candidates": ["ridge"], "horizon": 30})
    workflows.schedule(wanted)
    server.asked.clear()
    assert workflows.schedule(wanted)[0] == "kept"
    assert requested_paths(server, "POST") == requested_paths(server, "DELETE") == []


@pytest.mark.parametrize(
    "change",
    [{"cron": "0 7 * * 6"}, {"parameters": {"folds": 7}}, {"version": None}],
    ids=["another time", "other parameters", "another version"],
)
def test_an_outdated_schedule_is_replaced_without_a_moment_with_two_and_its_runs_go_on(
    server, workflows, cluster, version, change
):
    wanted = Schedule(version, "0 6 * * 6", {"folds": 6})
    _, old = workflows.schedule(wanted)
    if "version" in change:
        change = {"version": workflows.upload(TRAINING, "ba9876543210", PACKAGE)[0]}
    server.asked.clear()
    outcome, new = workflows.schedule(replace(wanted, **change))
    assert (outcome, [one.recurring_run_id for one in cluster.recurring]) == ("replaced", [new])
    assert cluster.deleted == [(old, "ORPHAN")]
    assert requested_paths(server, "POST") == [f"/recurringruns/{old}:disable", "/recurringruns"]


def test_a_schedule_that_is_refused_leaves_the_old_one_running(server, workflows, cluster, version):
    workflows.schedule(Schedule(version, "0 6 * * 6", {}))

    def refusing(one):
        if (one.method, one.path) == ("POST", "/apis/v2beta1/recurringruns"):
            return refused(400, 3, "unknown parameter flods")
        return cluster(one)

    server.answer = refusing
    with pytest.raises(InvalidRequest, match="unknown parameter flods"):
        workflows.schedule(Schedule(version, "0 6 * * 6", {"flods": 3}))
    assert [one.status for one in cluster.recurring] == ["ENABLED"]
    assert cluster.deleted == []


def test_a_schedule_is_suspended_and_taken_up_again_without_being_made_anew(
    workflows, cluster, version
):
    wanted = Schedule(version, "0 6 * * 6", {})
    for enabled, status in ((False, "DISABLED"), (True, "ENABLED"), (False, "DISABLED")):
        workflows.schedule(replace(wanted, enabled=enabled))
        assert [one.status for one in cluster.recurring] == [status]
    assert cluster.deleted == []
    assert [(one.name, one.enabled, one.cron) for one in workflows.schedules()] == [
        (TRAINING, False, "0 0 6 * * 6")
    ]


def test_copies_of_a_schedule_are_removed_and_others_schedules_are_not_ours(
    workflows, cluster, version
):
    wanted = Schedule(version, "0 6 * * 6", {})
    for name in (TRAINING, TRAINING, "somebody's"):
        body = {**wanted.body(), "display_name": name}
        workflows.api.post("/recurringruns", body)
    assert workflows.schedule(wanted)[0] == "kept"
    assert sorted(one.display_name for one in cluster.recurring) == [TRAINING, "somebody's"]
    assert workflows.unschedule(TRAINING) == 1
    assert [one.display_name for one in cluster.recurring] == ["somebody's"]


@pytest.mark.parametrize(
    ("cron", "six"),
    [("0 6 * * 6", "0 0 6 * * 6"), ("*/10 * * * *", "0 */10 * * * *"), ("@daily", "@daily")],
)
def test_kubernetes_schedules_are_written_with_seconds_first(cron, six):
    assert six_fields(cron) == six


@pytest.mark.parametrize(
    "cron", ["", "0 0 6 * * 6", "weekly", "TZ=Asia/Tokyo 0 6 * *", "@every 1h"]
)
def test_what_is_no_schedule_is_refused_before_anything_is_asked(cron):
    with pytest.raises(InvalidSettings, match="five fields"):
        six_fields(cron)
