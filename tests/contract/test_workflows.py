"""Kubeflow Pipelines' adapter against documented answers and faults, by the official models."""

import socket
import threading
from dataclasses import replace
from datetime import timedelta

import kfp_server_api as kfp
import pytest

from forecasting.adapters.workflows import http
from forecasting.adapters.workflows.client import TRAINING, Workflows
from forecasting.adapters.workflows.schedules import Schedule, six_fields
from forecasting.errors import (
    InvalidInput,
    InvalidRequest,
    InvalidSettings,
    UnknownWorkflow,
    WorkflowsUnavailable,
)
from tests.contract.kubeflow_pipelines import START, read, refused, written
from tests.contract.replay_server import AWAY, BROKEN, HTML, Answer, data, late
from tests.time_limits import expires, seconds

PACKAGE = "pipelineInfo: {name: bellwether-training}\n"


@pytest.fixture
def version(workflows):
    return workflows.upload(TRAINING, "0123456789ab", PACKAGE)[0]


def asked(server, method):
    return [one.path.removeprefix("/apis/v2beta1") for one in server.asked if one.method == method]


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
    assert asked(server, "POST") == []
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


# recurring runs


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
    wanted = Schedule(version, "@weekly", {"folds": 6, "candidates": ["ridge"], "alpha": 0.05})
    workflows.schedule(wanted)
    server.asked.clear()
    assert workflows.schedule(wanted)[0] == "kept"
    assert asked(server, "POST") == asked(server, "DELETE") == []


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
    assert asked(server, "POST") == [f"/recurringruns/{old}:disable", "/recurringruns"]


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


# the official client


def test_our_requests_are_the_official_clients(server, cluster, workflows, version):
    """Method, path, query, body: as `kfp_server_api` itself writes them."""
    reference = kfp.V2beta1PipelineVersionReference(
        pipeline_id=version.pipeline_id, pipeline_version_id=version.id
    )
    runtime = kfp.V2beta1RuntimeConfig(parameters={"folds": 6})
    schedule = Schedule(version, "0 6 * * 6", {"folds": 6})
    _, recurring = workflows.schedule(schedule)
    made = cluster.recurring[-1]
    run = cluster.add_run("x").run_id

    with kfp.ApiClient(kfp.Configuration(host=server.address)) as client:
        runs, pipelines = kfp.RunServiceApi(client), kfp.PipelineServiceApi(client)
        schedules, health = kfp.RecurringRunServiceApi(client), kfp.HealthzServiceApi(client)
        listed = {"page_size": 100, "sort_by": "created_at desc"}
        for ours, theirs in (
            (workflows.check, health.healthz_service_get_healthz),
            (workflows.runs, lambda: runs.run_service_list_runs(**listed)),
            (
                workflows.schedules,
                lambda: schedules.recurring_run_service_list_recurring_runs(**listed),
            ),
            (lambda: workflows.run(run), lambda: runs.run_service_get_run(run)),
            (
                lambda: workflows.api.post(f"/runs/{run}:terminate"),
                lambda: runs.run_service_terminate_run(run),
            ),
            (
                lambda: workflows.api.post("/recurringruns", schedule.body()),
                lambda: schedules.recurring_run_service_create_recurring_run(
                    kfp.V2beta1RecurringRun(
                        display_name=TRAINING,
                        description=made.description,
                        pipeline_version_reference=reference,
                        runtime_config=runtime,
                        max_concurrency="1",
                        trigger=kfp.V2beta1Trigger(
                            cron_schedule=kfp.V2beta1CronSchedule(cron="0 0 6 * * 6")
                        ),
                        mode=kfp.RecurringRunMode.ENABLE,
                        no_catchup=True,
                    )
                ),
            ),
            (
                lambda: workflows.api.post(f"/recurringruns/{recurring}:disable"),
                lambda: schedules.recurring_run_service_disable_recurring_run(recurring),
            ),
            (
                lambda: workflows.api.delete(
                    f"/recurringruns/{recurring}", propagation_policy="ORPHAN"
                ),
                lambda: schedules.recurring_run_service_delete_recurring_run(
                    recurring, propagation_policy=kfp.V2beta1DeletePropagationPolicy.ORPHAN
                ),
            ),
        ):
            server.asked.clear()
            ours()
            theirs()
            mine, their = server.asked
            assert (mine.method, mine.path, mine.query, mine.body) == (
                their.method, their.path, their.query, their.body,
            )  # fmt: skip
        server.asked.clear()
        workflows.version(TRAINING, version.name)
        filtered = {**listed, "filter": server.asked[-1].query["filter"]}
        pipelines.pipeline_service_list_pipeline_versions(version.pipeline_id, **filtered)
        assert server.asked[-1].query == server.asked[-2].query
        assert server.asked[-1].path == server.asked[-2].path


def test_our_upload_is_the_official_clients(server, cluster, workflows, tmp_path, version):
    file = tmp_path / "bellwether-training.yaml"
    file.write_text(PACKAGE)
    server.asked.clear()
    workflows.upload(TRAINING, "ours", PACKAGE)
    with kfp.ApiClient(kfp.Configuration(host=server.address)) as client:
        kfp.PipelineUploadServiceApi(client).upload_pipeline_version(
            str(file), name="theirs", display_name="theirs", pipelineid=version.pipeline_id
        )
    mine, their = (one for one in server.asked if one.method == "POST")
    assert (mine.path, set(mine.query)) == (their.path, set(their.query))
    for form in (mine.form, their.form):
        assert b'name="uploadfile"; filename="bellwether-training.yaml"' in form
        assert PACKAGE.encode() in form


# faults


def everything(workflows):
    """One call of each kind, by name."""
    return {
        "check": workflows.check,
        "upload": lambda: workflows.upload(TRAINING, "a", PACKAGE),
        "run": lambda: workflows.run("r"),
        "runs": workflows.runs,
        "schedules": workflows.schedules,
        "unschedule": lambda: workflows.unschedule(TRAINING),
    }


@pytest.mark.parametrize("call", ["check", "upload", "run", "runs", "schedules", "unschedule"])
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (BROKEN, "the address must be that of Kubeflow Pipelines' API"),
        (refused(500, 13, "Internal error: no database"), "500: Internal error: no database"),
        (AWAY, "must not fail"),
        (HTML, "port 8888"),
        (data([]), "answered"),
        (Answer(401, b'{"code":16,"message":"no"}'), "single-user mode"),
        (Answer(404, b'{"code":5,"message":"Not Found"}'), "API v2beta1"),
    ],
    ids=["plain 500", "500", "503", "HTML", "a list", "401", "no such path"],
)
def test_faults_are_told_in_words(server, workflows, call, fault, says):
    server.answer = lambda _: fault
    with pytest.raises(WorkflowsUnavailable) as raised:
        everything(workflows)[call]()
    assert says in str(raised.value)
    assert raised.value.remedy
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("call", ["check", "upload", "run", "runs", "schedules", "unschedule"])
def test_a_server_that_is_slow_or_away_is_told_in_words(server, call):
    server.answer = lambda _: late(data({}), 0.4)
    with (
        Workflows(server.address, timeout=expires(0.1)) as slow,
        pytest.raises(WorkflowsUnavailable, match=r"said nothing for 0\.1 s"),
    ):
        everything(slow)[call]()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    with (
        Workflows(f"http://127.0.0.1:{port}") as away,
        pytest.raises(WorkflowsUnavailable, match="Connection refused"),
    ):
        everything(away)[call]()


def test_what_the_server_does_not_know_is_the_callers_matter(workflows):
    with pytest.raises(UnknownWorkflow, match="Run r not found") as raised:
        workflows.run("r")
    assert (raised.value.status, raised.value.exit_code) == (404, 2)


def test_a_conflict_whose_cause_is_nowhere_is_told(server, workflows, cluster):
    def conflicting(one):
        return refused(409, 6, "taken") if one.method == "POST" else cluster(one)

    server.answer = conflicting
    with pytest.raises(InvalidInput, match="409: taken"):
        workflows.upload(TRAINING, "a", PACKAGE)


@pytest.mark.parametrize(
    ("health", "says"),
    [({"tag_name": "2.16.1"}, "2.17 or newer"), ({"multi_user": True}, "single-user mode")],
)
def test_a_server_we_cannot_speak_to_is_refused(workflows, cluster, health, says):
    cluster.health |= health
    with pytest.raises(WorkflowsUnavailable, match=says):
        workflows.check()


@pytest.mark.parametrize(
    ("tag", "version"), [("2.17.0", "2.17.0"), ("v2.18.1", "v2.18.1"), ("unknown", "")]
)
def test_a_server_says_its_version_if_it_knows_it(workflows, cluster, tag, version):
    cluster.health["tag_name"] = tag
    assert workflows.check() == version


def test_a_server_is_waited_for_while_it_comes_up(server, workflows):
    server.faults = [AWAY, AWAY]
    said = []
    assert workflows.wait(seconds(20), said.append) == "2.17.0"
    assert len(said) == 1, "the same trouble is told once"
    server.answer = lambda _: AWAY
    with pytest.raises(WorkflowsUnavailable):
        workflows.wait(0, said.append)


def test_an_address_that_is_none_is_refused():
    with pytest.raises(InvalidSettings, match="BELLWETHER_PIPELINES_URL"):
        Workflows("ml-pipeline:8888")


def test_the_stand_in_finds_a_field_that_the_api_does_not_have():
    body = written(kfp.V2beta1Run(display_name="x")) | {"idempotency_key": "k"}
    with pytest.raises(AssertionError, match="V2beta1Run is not"):
        read(body, "V2beta1Run")
