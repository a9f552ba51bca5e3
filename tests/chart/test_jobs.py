"""The jobs: commands that the program has, and schedules that cannot run away."""

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from tests.chart.rendering import one, render

JOBS = ["training", "refresh", "drift"]


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
    assert rollout["args"][3:] == ["--namespace", "bellwether", "--release", "bellwether"]


def test_training_and_refresh_speak_of_the_same_prices():
    settings = ("training.source=yahoo", "training.symbols={AAPL,BTC-USD}",
                "networkPolicies.pricesEgress=true")  # fmt: skip
    prices = ["--source", "yahoo", "--interval", "1d", "--dataset", "yahoo-1d",
              "--symbols", "AAPL,BTC-USD"]  # fmt: skip
    for name in ("training", "refresh"):
        said = " ".join(containers(job(name, *settings))[0]["args"])
        assert " ".join(prices) in said
