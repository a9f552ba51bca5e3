"""`bellwether pipeline`, the drift job and the page start what they should on Kubeflow Pipelines."""

import json
from dataclasses import replace
from datetime import timedelta

import kfp_server_api as kfp
import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from bellwether.cluster.first_training import train_on_pipelines
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl
from bellwether.cluster.pipeline_runs import changed, follow
from bellwether.jobs import start_training_if_due
from forecasting.adapters.drift.history import DriftHistory
from forecasting.adapters.workflows.client import REFRESH, TRAINING, Workflows
from forecasting.adapters.workflows.schedules import Schedule
from forecasting.drift.summary import DriftSummary
from forecasting.errors import BellwetherError, InvalidInput, InvalidSettings, Unavailable
from forecasting.evaluation.promotion_outcome import PromotionOutcome
from forecasting.settings import Settings
from gradio_app.pipeline_retraining import PipelineRetraining
from gradio_app.views.retrain import training_state as shown
from pipelines.compile import package
from pipelines.contents import content_hash
from tests.clock import machine_now
from tests.contract.kubeflow_pipelines import START
from tests.contract.replay_server import AWAY
from tests.time_limits import expires, seconds

IMAGE = "registry.example.org/bellwether/pipeline:1"


@pytest.fixture
def bellwether(server, monkeypatch):
    """The command, with the cluster's address, and the steps' image in its environment."""
    made = Workflows.__init__

    def at_once(self, *words, **named):
        made(self, *words, **{**named, "settle_seconds": 0})

    monkeypatch.setattr(Workflows, "__init__", at_once)

    def call(*words, **variables):
        environment = {
            "BELLWETHER_PIPELINES_URL": server.address,
            "BELLWETHER_PIPELINE_IMAGE": IMAGE,
            "BELLWETHER_PIPELINES_PUBLIC_URL": "https://kfp.example.org",
            "COLUMNS": "200",
            **variables,
        }
        return CliRunner().invoke(app, [*words], env=environment)

    return call


@pytest.fixture
def scheduled(workflows, cluster):
    """A training that is scheduled."""
    version, _ = workflows.upload(TRAINING, "0123456789ab", "x: 1")
    wanted = Schedule(version, "0 6 * * 6", {"source": "sample", "symbols": "META", "folds": 6})
    workflows.schedule(wanted)
    return wanted


# commands


def test_both_pipelines_are_submitted_by_their_content_and_again_is_harmless(bellwether, cluster):
    first = bellwether("pipeline", "submit")
    assert first.exit_code == 0, first.output
    assert [one.name for one in cluster.pipelines] == [TRAINING, REFRESH]
    compiled = {one: content_hash(package(one, image=IMAGE)) for one in (TRAINING, REFRESH)}
    assert [one.name for one in cluster.versions] == list(compiled.values())
    assert all(IMAGE.encode() in form for form in cluster.uploads)
    again = json.loads(bellwether("pipeline", "submit", "--json").output)
    assert [(one["pipeline"], one["name"], one["fresh"]) for one in again] == [
        (name, digest, False) for name, digest in compiled.items()
    ]
    bellwether("pipeline", "submit", BELLWETHER_PIPELINE_IMAGE=f"{IMAGE}1")
    assert len(cluster.versions) == 4, "another image is another version"


def test_a_schedule_is_of_the_submitted_version_with_the_options_as_parameters(bellwether, cluster):
    refused = bellwether("pipeline", "schedule", "training", "--cron", "0 6 * * 6")
    assert refused.exit_code == 2
    assert "bellwether pipeline submit" in refused.output
    bellwether("pipeline", "submit")
    done = bellwether("pipeline", "schedule", "training", "--cron", "0 6 * * 6", "--candidates",
                      "ridge,random_walk", "--folds", "4", "--source", "yahoo", "--symbols", "AAPL,META",
                      "--shards", "2")  # fmt: skip
    assert done.exit_code == 0, done.output
    (made,) = cluster.recurring
    assert made.pipeline_version_reference.pipeline_version_id == (
        cluster.versions[0].pipeline_version_id
    )
    parameters = made.runtime_config.parameters
    assert (parameters["symbols"], parameters["dataset"]) == ("AAPL,META", "yahoo-1d")
    assert (parameters["candidates"], parameters["folds"]) == (["ridge", "random_walk"], 4)
    assert parameters["shards"] == ["1/2", "2/2"]
    assert (
        bellwether("pipeline", "schedule", "refresh", "--cron", "@daily", "--suspend").exit_code
        == 0
    )
    assert [(one.display_name, one.status) for one in cluster.recurring] == [
        (TRAINING, "ENABLED"),
        (REFRESH, "DISABLED"),
    ]
    assert "folds" not in cluster.recurring[1].runtime_config.parameters
    assert bellwether("pipeline", "unschedule", "refresh").exit_code == 0
    assert [one.display_name for one in cluster.recurring] == [TRAINING]
    gone = bellwether("pipeline", "unschedule", "training", "refresh")
    assert gone.exit_code == 0
    assert f"{TRAINING}: 1 schedule deleted" in gone.output
    assert cluster.recurring == []
    assert bellwether("pipeline", "unschedule", "training").exit_code == 0


def test_whoever_uninstalls_need_not_have_kubeflow_pipelines_any_more(bellwether):
    away = {"BELLWETHER_PIPELINES_URL": "http://127.0.0.1:1"}
    assert bellwether("pipeline", "unschedule", "training", **away).exit_code == 3
    content = bellwether("pipeline", "unschedule", "training", "--if-there", **away)
    assert content.exit_code == 0
    assert "stay" in content.output
    wrong = bellwether("pipeline", "unschedule", "evaluation", "--if-there", **away)
    assert wrong.exit_code == 2


def test_a_run_is_the_schedules_with_what_differs_and_the_same_key_is_one_run(
    bellwether, cluster, scheduled
):
    words = ("pipeline", "run", "training", "--param", "folds=4", "--key", "k", "--json")
    first, again = (json.loads(bellwether(*words).output) for _ in range(2))
    assert (first["fresh"], again["fresh"], first["id"]) == (True, False, again["id"])
    assert first["link"] == f"https://kfp.example.org/#/runs/details/{first['id']}"
    (run,) = cluster.runs
    assert run.runtime_config.parameters == {"source": "sample", "symbols": "META", "folds": 4}
    bellwether("pipeline", "run", "training", "--version", "newest")
    assert cluster.runs[-1].runtime_config.parameters == {}
    assert len({one.display_name for one in cluster.runs}) == 2, "without a key each is a new run"


@pytest.mark.parametrize(("state", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELED", 1)])
def test_a_run_that_is_waited_for_ends_with_what_came_of_it(
    bellwether, cluster, scheduled, state, code
):
    def ended(asked):
        if asked.method == "GET" and cluster.runs:
            cluster.runs[0].state = state
            cluster.runs[0].run_details = kfp.V2beta1RunDetails(
                task_details=[
                    kfp.V2beta1PipelineTaskDetail(display_name=name, state=state, start_time=START)
                    for name in ("ingest-driver", "ingest")
                ]
            )

    cluster.before = ended
    answer = bellwether("pipeline", "run", "training", "--wait")
    assert answer.exit_code == code, answer.output
    if state == "FAILED":
        assert "step ingest failed" in answer.output
        assert "https://kfp.example.org/#/runs/details/" in answer.output


def test_what_there_is_is_listed_for_people_and_for_machines(bellwether, cluster, scheduled):
    cluster.add_run("nightly", "FAILED", error=kfp.GoogleRpcStatus(code=13, message="no room"))
    answer = bellwether("pipeline", "list")
    assert answer.exit_code == 0, answer.output
    for word in (TRAINING, "0 0 6 * * 6", "nightly", "failed", "no room"):
        assert word in answer.output
    found = json.loads(bellwether("pipeline", "list", "--json").output)
    assert [one["name"] for one in found["schedules"]] == [TRAINING]
    assert [(one["name"], one["state"], one["error"]) for one in found["runs"]] == [
        ("nightly", "FAILED", "no room")
    ]


@pytest.mark.parametrize(
    ("words", "variables", "code", "says"),
    [
        (["list"], {"BELLWETHER_PIPELINES_URL": "", "PATH": ""}, 2, "BELLWETHER_PIPELINES_URL"),
        (["list"], {"BELLWETHER_PIPELINES_URL": "http://127.0.0.1:1"}, 3, "must be reachable"),
        (["submit"], {"BELLWETHER_PIPELINE_IMAGE": ""}, 2, "--image"),
        (["run", "evaluation"], {}, 2, "Choose training or refresh"),
        (["run", "training"], {}, 2, "bellwether pipeline schedule"),
        (["run", "training", "--param", "flods=3"], {}, 2, "bellwether-training has symbols"),
        (["run", "training", "--version", "newest", "--key", "a b"], {}, 2, "bellwether pipeline submit"),
        (["schedule", "training", "--cron", "weekly"], {}, 2, "five fields"),
        (["schedule", "training", "--cron", "@daily", "--source", "yahoo"], {}, 2, "needs symbols"),
        (["schedule", "refresh", "--cron", "@daily", "--shards", "8"], {}, 2, "one shard"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_words_with_its_exit_code(
    bellwether, cluster, words, variables, code, says
):
    answer = bellwether("pipeline", *words, **variables)
    assert (answer.exit_code, says in " ".join(answer.output.split())) == (code, True), (
        answer.output
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("folds=4", 4), ("select_features=true", True),
     ("symbols=AAPL,META", "AAPL,META"), ("candidates=ridge, random_walk", ["ridge", "random_walk"])],
)  # fmt: skip
def test_a_parameter_has_the_type_its_pipeline_declares(text, value):
    assert list(changed(TRAINING, [text]).values()) == [value]


@pytest.mark.parametrize(
    "text", ["alpha=0.5", "folds=many", "folds=4.5", "folds=true", "select_features=1", "folds"]
)
def test_a_parameter_of_another_type_is_refused(text):
    with pytest.raises(InvalidSettings):
        changed(TRAINING, [text])


def test_following_bears_a_server_that_is_away_for_a_moment(server, workflows, cluster):
    made = cluster.add_run("x", "SUCCEEDED")
    server.faults = [AWAY, AWAY]
    seen = []
    run = follow(workflows, made.run_id, seen.append, timeout=seconds(9), poll_seconds=0.01)
    assert (run.state, len(seen)) == ("SUCCEEDED", 1)
    made.state = "RUNNING"
    with pytest.raises(BellwetherError, match=r"within 0\.02 s"):
        follow(workflows, made.run_id, seen.append, timeout=expires(0.02), poll_seconds=0.01)


@pytest.fixture
def kubectl(tmp_path):
    """A kubectl that knows one release's settings, and writes down what it is asked."""

    def says(url):
        settings = json.dumps({"data": {"BELLWETHER_PIPELINES_URL": url}})
        program = tmp_path / "kubectl"
        program.write_text(f"#!/bin/sh\necho \"$@\" >>{tmp_path}/asked\necho '{settings}'\n")
        program.chmod(0o755)
        return {"BELLWETHER_PIPELINES_URL": "", "PATH": f"{tmp_path}:/usr/bin:/bin"}

    return says


def test_without_an_address_the_release_says_where_kubeflow_pipelines_is(
    bellwether, kubectl, server, scheduled, tmp_path
):
    variables = kubectl(server.address)
    words = ("--context", "there", "--namespace", "ours", "--release", "mine")
    answer = bellwether("pipeline", *words, "list", **variables)
    assert answer.exit_code == 0, answer.output
    assert TRAINING in answer.output
    assert (tmp_path / "asked").read_text().split() == [
        *("--context", "there", "get", "configmap", "mine-settings"),
        *("--namespace", "ours", "--output", "json"),
    ]


def test_where_jobs_train_the_command_for_one_is_named(bellwether, kubectl):
    answer = bellwether("pipeline", "list", **kubectl(""))
    assert answer.exit_code == 2
    assert "create job --from=cronjob/bellwether-training now" in " ".join(answer.output.split())


# the drift job


@pytest.fixture
def drifted(tmp_path, server):
    """Starts what is due after drift runs of (hours before now, reason to retrain)."""
    now = START + timedelta(days=20, hours=19)  # an hour after midnight
    settings = Settings(state_dir=tmp_path, pipelines_url=server.address)
    history = DriftHistory(settings.lake)

    def after(*runs):
        for hours, why in runs:
            at = (now - timedelta(hours=hours)).isoformat()
            made = DriftSummary(at, at, "3", "default", "s", "sample", False, False, (), ())
            history.record(replace(made, retrain=why), (), {})
        return start_training_if_due(settings, now=now)

    return after


def test_lasting_drift_starts_one_training_for_the_day_it_was_asked_for(
    drifted, cluster, scheduled
):
    run = drifted((3, ""), (2, "drift of features lasted 3 bars"), (1, ""))
    assert [one.display_name for one in cluster.runs] == [f"{TRAINING} drift-2026-03-21"]
    assert cluster.runs[0].runtime_config.parameters["who"] == "drift"
    assert drifted((0.5, "")) == run
    assert len(cluster.runs) == 1


def test_no_training_is_started_without_a_reason_or_for_one_of_long_ago(drifted, cluster):
    assert drifted((2, ""), (1, "")) == ""
    assert drifted((25, "drift of features lasted 3 bars"), (0.5, "")) == ""
    assert cluster.runs == []


# the page


@pytest.fixture
def page(workflows):
    return PipelineRetraining(workflows)


def test_the_page_starts_what_the_schedule_runs_in_the_name_of_who_asks(page, cluster, scheduled):
    assert page.current() is None
    started = page.start([" AAPL", "AAPL", ""], "as scheduled", "ann")
    (run,) = cluster.runs
    assert run.runtime_config.parameters == {
        "source": "sample", "symbols": "AAPL", "folds": 6, "who": "ann",
    }  # fmt: skip
    assert (started.state, started.source, started.symbols) == ("running", "sample", ("AAPL",))
    with pytest.raises(InvalidInput, match="symbol"):
        page.start(["$(reboot)"], "as scheduled", "ann")


def test_the_page_starts_nothing_while_a_training_runs_whoever_started_it(
    page, workflows, cluster, scheduled
):
    workflows.start_as_scheduled(TRAINING, key="drift-2026-03-01")
    with pytest.raises(Unavailable, match="only one training may run"):
        page.start([], "as scheduled", "ann")
    cluster.runs[0].state = "FAILED"
    page.start([], "as scheduled", "ann")
    assert len(cluster.runs) == 2


def test_two_replicas_of_the_page_asked_at_once_start_one_training(
    page, workflows, cluster, scheduled
):
    other = PipelineRetraining(workflows)

    def other_presses_too(asked):
        if asked.path.endswith("/recurringruns") and not cluster.runs:
            cluster.before = lambda _: None
            other.start([], "as scheduled", "bob")

    cluster.before = other_presses_too
    page.start([], "as scheduled", "ann")
    assert [one.runtime_config.parameters["who"] for one in cluster.runs] == ["bob"]


@pytest.mark.parametrize(
    ("state", "told"),
    [("PENDING", "Training"), ("SUCCEEDED", "The training is done"), ("FAILED", "The training failed")],
)  # fmt: skip
def test_the_page_tells_how_a_run_fares_and_where_it_is_seen(
    server, cluster, scheduled, state, told
):
    opened = Workflows(server.address, public_url="https://kfp.example.org/", settle_seconds=0)
    with opened:
        page = PipelineRetraining(opened)
        page.start([], "as scheduled", "ann")
        cluster.runs[0].state = state
        page._read_at = float("-inf")
        seen = shown(page.current())
    assert f"<h3>{told}" in seen
    assert 'href="https://kfp.example.org/#/runs/details/run-' in seen
    assert "javascript" not in seen


@pytest.mark.parametrize(
    ("outcome", "title", "why"),
    [("promoted", "A new champion was promoted", "Promoted, because p = 0.01."),
     ("refused", "Nothing was promoted", "Nothing was promoted, because p = 0.01.")],
)  # fmt: skip
def test_a_run_whose_version_the_registry_knows_says_its_outcome_and_why(
    workflows, cluster, scheduled, outcome, title, why
):
    decided = PromotionOutcome(outcome, "3", "p = 0.01")
    page = PipelineRetraining(workflows, {"run-1": decided}.get)
    started = page.start([], "as scheduled", "ann")
    assert (started.state, started.outcome) == ("running", None)
    cluster.runs[0].run_id, cluster.runs[0].state = "run-1", "SUCCEEDED"
    page._read_at = float("-inf")
    assert page.current().outcome == decided
    seen = shown(page.current())
    assert f"<h3>{title}</h3>" in seen
    assert why in seen


def test_the_page_asks_the_cluster_no_more_than_every_few_seconds(server, page, cluster, scheduled):
    page.start([], "as scheduled", "ann")
    server.asked.clear()
    for _ in range(5):
        assert page.current().state == "running"
    assert server.asked == []


def test_a_link_that_is_no_web_address_is_not_shown(page, cluster, scheduled):
    started = replace(page.start([], "", "ann"), link="javascript:alert(1)")
    assert "javascript" not in shown(started)
    assert started.started_at < machine_now()


# the first training of `bellwether cluster up`


class Told:
    """What a step of `bellwether cluster up` is told."""

    def __init__(self):
        self.said = []

    def doing(self, what):
        self.said.append(what)


def test_the_first_training_and_refresh_follow_what_runs_and_else_start_it(
    server, workflows, cluster, scheduled
):
    version, _ = workflows.upload(REFRESH, "0123456789ab", "x: 1")
    workflows.schedule(Schedule(version, "0 5 * * *", {"source": "sample"}))

    def ends_when_looked_at(asked):
        for one in cluster.runs:
            if asked.path.endswith(one.run_id):
                one.state = "SUCCEEDED"

    def started():
        return [one.display_name.split()[0] for one in cluster.runs]

    cluster.before = ends_when_looked_at
    here = Installation(Kubectl(), "bellwether", "bellwether")
    first = train_on_pipelines(here, server.address, Told())
    assert (first, started()) == (cluster.runs[0].run_id, [TRAINING, REFRESH])
    second = train_on_pipelines(here, server.address, Told())
    assert (second, len(cluster.runs)) == (cluster.runs[2].run_id, 4)
    cluster.runs[2].state = "RUNNING"
    told = Told()
    assert train_on_pipelines(here, server.address, told) == second
    assert started() == [TRAINING, REFRESH, TRAINING, REFRESH, REFRESH]
    assert told.said == ["training: the run is succeeded", "refresh: the run is succeeded"]
