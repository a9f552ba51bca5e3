"""The jobs: commands that the program has, and schedules that cannot run away."""

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from tests.chart.rendering import one, render

JOBS = ["training", "refresh", "drift", "quality"]


def job(name, *settings):
    return one(render("", *settings), "CronJob", f"bellwether-{name}")["spec"]


def containers(spec):
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_never_overlaps_never_hangs_and_is_cleaned_up(name):
    spec = job(name)
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] == 300
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
    assert spec["jobTemplate"]["spec"]["ttlSecondsAfterFinished"] > 0


@pytest.mark.parametrize("name", JOBS)
def test_a_job_calls_a_command_with_options_the_program_knows(name):
    for container in containers(job(name)):
        assert container["command"] == ["python", "-m", "bellwether"]
        words = [word for word in container["args"] if not word.startswith("--")]
        depth = 2 if words[0] == "rollout" else 1
        answer = CliRunner().invoke(app, [*words[:depth], "--help"], env={"COLUMNS": "300"})
        assert answer.exit_code == 0, answer.output
        for option in (word for word in container["args"] if word.startswith("--")):
            assert option in answer.output, f"{words[0]} has no {option}"


def test_a_training_is_followed_by_its_rollout():
    pod = job("training")["jobTemplate"]["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["initContainers"]] == ["train"]
    (rollout,) = pod["containers"]
    assert rollout["args"][:3] == ["rollout", "run", "champion"]
    release = ["--namespace", "bellwether", "--release", "bellwether"]
    # A training that promoted nothing leaves a rollout nothing to do, and nothing to wait for.
    assert rollout["args"][3:] == ["--when-due", *release]


@pytest.mark.parametrize("engine", ["job", "kfp"])
def test_what_users_get_is_judged_at_the_stated_error_rate_unless_the_value_is_false(engine):
    settings = (f"training.engine={engine}",)
    quality = job("quality", *settings)
    assert quality["jobTemplate"]["spec"]["backoffLimit"] == 0
    (container,) = containers(quality)
    words = ["rollout", "quality", "--step-back", "--error-rate", "0.05"]
    assert container["args"][:5] == words
    for off in ("rollout.quality.enabled=false", "training.rollout=false"):
        rendered = render("", *settings, off)
        assert "bellwether-quality" not in {o["metadata"]["name"] for o in rendered}


def test_every_revision_restores_what_served_before_and_waits_for_registry_and_database():
    made = one(render(), "Job", "bellwether-restore-1")
    assert "annotations" not in made["metadata"]  # no hook: what it finds fails no installation
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    release = ["--namespace", "bellwether", "--release", "bellwether"]
    assert container["args"] == ["rollout", "restore", "--ready-within", "900", *release]
    assert pod["serviceAccountName"] == "bellwether-rollout"
    answer = CliRunner().invoke(app, ["rollout", "restore", "--help"], env={"COLUMNS": "300"})
    assert "--ready-within" in answer.output


def test_a_rollout_that_fails_does_not_train_again():
    training = job("training")["jobTemplate"]["spec"]
    (rule,) = training["podFailurePolicy"]["rules"]
    assert rule == {
        "action": "FailJob",
        "onExitCodes": {"containerName": "rollout", "operator": "NotIn", "values": [137, 143]},
    }
    assert training["template"]["spec"]["restartPolicy"] == "Never"  # the policy asks for it
    assert training["backoffLimit"] > 0  # for the training itself
    alone = job("training", "training.rollout=false")["jobTemplate"]["spec"]
    assert "podFailurePolicy" not in alone


def test_training_and_refresh_use_the_same_prices():
    settings = ("training.source=yahoo", "training.symbols={AAPL,BTC-USD}",
                "networkPolicies.pricesEgress=true")  # fmt: skip
    prices = ["--source", "yahoo", "--interval", "1d", "--dataset", "yahoo-1d",
              "--symbols", "AAPL,BTC-USD"]  # fmt: skip
    for name in ("training", "refresh"):
        arguments = " ".join(containers(job(name, *settings))[0]["args"])
        assert " ".join(prices) in arguments


KFP = "training.engine=kfp"


def hook(*settings):
    return one(render("", KFP, *settings), "Job", "bellwether-submit")


def test_with_kubeflow_pipelines_its_recurring_runs_take_the_place_of_two_cronjobs():
    kinds = {(o["kind"], o["metadata"]["name"]) for o in render("", KFP)}
    jobs = {name for kind, name in kinds if kind == "CronJob"}
    assert jobs == {"bellwether-drift", "bellwether-quality", "bellwether-rollout"}
    jobs = {o["metadata"]["name"] for o in render() if o["kind"] == "Job"}
    assert jobs == {"bellwether-restore-1"}


def test_after_every_change_of_the_release_both_pipelines_are_submitted_and_scheduled():
    made = hook("training.schedule=0 7 * * 6", "refresh.suspend=true")
    when = made["metadata"]["annotations"]["helm.sh/hook"].split(",")
    assert when == ["post-install", "post-upgrade", "post-rollback"]
    pod = made["spec"]["template"]["spec"]
    assert [c["name"] for c in pod["initContainers"]] == ["submit", "schedule-refresh"]
    (training,) = pod["containers"]
    assert training["args"][:5] == ["pipeline", "schedule", "training", "--cron", "0 7 * * 6"]
    assert "--suspend" not in training["args"]
    assert pod["initContainers"][1]["args"][-1] == "--suspend"
    for container in [*pod["initContainers"], training]:
        environment = {e["name"]: e["value"] for e in container["env"]}
        assert environment["BELLWETHER_PIPELINE_IMAGE"] == container["image"]
        assert environment["BELLWETHER_PIPELINES_URL"] == (
            "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
        )


def test_the_hook_and_the_rollout_call_commands_with_options_the_program_knows():
    rollout = one(render("", KFP), "CronJob", "bellwether-rollout")["spec"]
    pod = hook("kubeflowPipelines.native=true", "training.suspend=true")["spec"]["template"]["spec"]
    found = [*containers(rollout), *pod["initContainers"], *pod["containers"]]
    found += hook()["spec"]["template"]["spec"]["initContainers"]
    for container in found:
        words = container["args"]
        answer = CliRunner().invoke(app, [*words[:2], "--help"], env={"COLUMNS": "300"})
        assert answer.exit_code == 0, answer.output
        for option in (word for word in words if word.startswith("--")):
            assert option in answer.output, f"{words[:2]} has no {option}"


def test_the_champion_is_rolled_out_by_a_job_of_its_own_that_may_find_nothing_to_do():
    spec = one(render("", KFP), "CronJob", "bellwether-rollout")["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/10 * * * *", "Forbid")
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    (container,) = containers(spec)
    assert container["args"][:4] == ["rollout", "run", "champion", "--when-due"]
    names = {o["metadata"]["name"] for o in render("", KFP, "training.rollout=false")
             if o["kind"] == "CronJob"}  # fmt: skip
    assert names == {"bellwether-drift"}


def test_the_drift_job_starts_trainings_unless_the_value_is_false():
    assert containers(job("drift", KFP))[0]["args"] == ["drift", "--exit-zero"]
    arguments = containers(job("drift", KFP, "drift.startsTraining=false"))[0]["args"]
    assert arguments == ["drift", "--exit-zero", "--no-start-training"]
