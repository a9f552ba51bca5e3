"""A shadow by command: begun, ended whatever happens, and reported as tables or JSON."""

import json
import os
import signal
import time
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from bellwether.cli import app
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.clock import utc_now
from forecasting.rollout.traffic import Shadow
from serving.rollout.shadow import Shadowing
from tests import time_limits
from tests.unit.forecasting.adapters.prediction_log.test_log import answered
from tests.unit.serving.rollout import release

WEIGHTS = {1: 100, 2: 0}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """A release with two versions, and a log in which both answered one request."""
    made = release.Cluster(1, 2, weights=WEIGHTS, stable_history=(1,))
    made.context, made.release, made.close = "here", "bellwether", lambda: None

    class Opened(release.Connections):
        def __init__(self, cluster):
            super().__init__()
            self.config.ledger_url = ""

        def __enter__(self):
            return self

        def __exit__(self, *raised):
            pass

    monkeypatch.setattr("bellwether.cluster.connections.Connections", Opened)
    monkeypatch.setattr("forecasting.adapters.cluster.cluster.Cluster", lambda *_, **__: made)
    monkeypatch.setattr("serving.rollout.rollout.SETTLE_SECONDS", 0.0)
    url = f"sqlite:///{tmp_path / 'log.sqlite'}"
    monkeypatch.setenv("BELLWETHER_PREDICTION_LOG_URL", url)

    def wait(self, shadow, minutes):
        log = PredictionLog(url)
        log.start()
        now = utc_now().timestamp()
        log.offer(answered("AAPL", made_at=now, gateway_id="a", model_version="1"))
        copy = {"gateway_id": "a", "model_version": "2", "shadow": True}
        log.offer(answered("AAPL", made_at=now, **copy))
        log.close()
        assert made.traffic.shadow == shadow
        return ""

    monkeypatch.setattr(Shadowing, "wait", wait)
    return made


def shadow(*words):
    return CliRunner().invoke(app, ["rollout", "shadow", *words], env={"COLUMNS": "200"})


def test_a_shadow_ends_with_its_command_and_is_reported(cluster):
    done = shadow("2", "--percent", "50", "--minutes", "1")
    assert done.exit_code == 0, done.output
    assert "Version 2 had copies of 50 % of the requests" in done.output
    assert "1 requests were answered by both it and version 1" in done.output
    assert "AAPL" in done.output
    assert "refusals, failures and CPU were not counted: no Prometheus" in done.output
    assert cluster.traffic.shadow is None
    assert cluster.traffic.weights == WEIGHTS


def test_a_report_for_machines_is_nothing_but_json(cluster):
    done = shadow("2", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["version"], report["percent"], report["cost"]) == (2, 100, None)
    assert report["comparison"]["joined"] == 1
    assert [one["horizon"] for one in report["comparison"]["differences"]] == [1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_told_to_end_takes_the_copies_away_first(cluster, monkeypatch, number):
    # What a shell starts in the background is born ignoring SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def wait(self, shadow, minutes):
        os.kill(os.getpid(), number)
        # Python runs the handler soon after, not at once.
        time.sleep(time_limits.seconds(10))
        raise AssertionError

    monkeypatch.setattr(Shadowing, "wait", wait)
    try:
        done = shadow("2")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.exit_code == 0, done.output
    assert "ended before its time: the command was interrupted" in done.output
    assert cluster.traffic.shadow is None


def test_stop_ends_what_a_killed_command_left_and_reports_on_it(cluster):
    assert "No version gets copies" in shadow("--stop").output
    left = Shadow(2, 25, utc_now(), utc_now(), "ann")
    cluster.traffic = cluster.traffic.mirrored(left, {1, 2})
    done = shadow("--stop")
    assert done.exit_code == 0, done.output
    assert "Version 2 had copies of 25 %" in done.output
    assert cluster.traffic.shadow is None


def test_the_scheduled_rollout_ends_what_a_killed_command_left(cluster):
    cluster.traffic = cluster.traffic.mirrored(Shadow(2, 25, LONG_AGO, LONG_AGO, "ann"), {1, 2})
    done = CliRunner().invoke(app, ["rollout", "run", "champion", "--when-due"])
    assert done.exit_code == 0, done.output
    assert "its command did not end it" in done.output
    assert "version 1 serves everything" in done.output
    assert cluster.traffic.shadow is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("2", "--stop"), "begun with a version, or ended with --stop"),
        ((), "begun with a version, or ended with --stop"),
        (("2", "--minutes", "0"), "more than 0 minutes"),
        (("2", "--percent", "0"), "--percent"),
        (("1",), "version 1 has 100 %"),
    ],
)
def test_a_shadow_that_makes_no_sense_is_refused_before_anything_is_copied(cluster, words, said):
    done = shadow(*words)
    assert done.exit_code == 2
    assert said in done.output
    assert all(weights == WEIGHTS for weights, _ in cluster.written)
    assert cluster.traffic.shadow is None


def test_a_log_that_nobody_can_find_costs_the_comparison_and_says_how_to_get_it(
    cluster, monkeypatch
):
    monkeypatch.delenv("BELLWETHER_PREDICTION_LOG_URL")
    done = shadow("2", "--minutes", "1")
    assert done.exit_code == 0, done.output
    assert "the answers were not compared" in done.output
    assert "BELLWETHER_PREDICTION_LOG_URL" in done.output
