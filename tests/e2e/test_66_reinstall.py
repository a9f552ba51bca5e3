"""The release is uninstalled and installed again over the same data: users get what served last.

Meanwhile they are told to come back, by a 503 with a body; a canary that was under way does not return.
"""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.figures import Figures
from tests.e2e.installation import RELEASE, install
from tests.e2e.load import Target, ask
from tests.e2e.stage import DESPITE, Versions, alone, inference_services
from tests.e2e.testbed import Images
from tests.time_limits import seconds

CANARY = 25


@pytest.fixture
def canary(cluster: Cluster, versions: Versions) -> Iterator[Versions]:
    """The champion serves, and the candidate has a quarter of the requests."""
    alone(cluster, versions.stable)
    cluster.rollout("start", str(versions.candidate), "--weight", str(CANARY), *DESPITE).expect()
    yield versions
    alone(cluster, versions.stable)


def asked(target: Target) -> httpx.Response:
    """One question, whatever the gateway answers."""
    return httpx.post(
        f"http://127.0.0.1:{target.port}{target.path}",
        content=target.body,
        headers={"host": target.host, "content-type": "application/json"},
        timeout=seconds(30),
    )


def test_a_release_installed_again_over_the_same_data_serves_what_served_last(
    cluster: Cluster, images: Images, canary: Versions, figures: Figures
) -> None:
    stable, candidate = canary.stable, canary.candidate
    before = json.loads(cluster.rollout("history", "--json").expect().output)
    assert before[0]["traffic"]["weights"] == {str(candidate): CANARY, str(stable): 100 - CANARY}
    assert f"started with {CANARY} %" in before[0]["why"]

    cluster.helm("uninstall", RELEASE, "--wait", "--timeout", "3m").expect()
    remove = ("delete", "inferenceservices,pods", "-l", "app.kubernetes.io/part-of=bellwether")
    cluster.kubectl(*remove)
    began = time.monotonic()
    install(cluster, images)

    statuses: list[int] = []

    def served() -> bool:
        answer = asked(cluster.forecasts)
        statuses.append(answer.status_code)
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "30"
            assert "no model version serves" in answer.json()["error"]
        return answer.status_code == 200

    eventually("forecasts are served again", served, seconds=300)
    figures.record("reinstall", "install to the first forecast", time.monotonic() - began, "s")
    assert set(statuses) <= {200, 503}, statuses
    said = cluster.finish_job(f"{RELEASE}-restore-1", seconds=300)
    assert f"Version {stable} has all requests again" in said
    assert f"version {candidate} was being rolled out at {CANARY} %" in said
    assert cluster.weights() == {stable: 100}
    assert inference_services(cluster) == [stable]
    answers = ask(cluster.forecasts, 200)
    figures.record("reinstall", "failed forecasts afterwards", answers.failed, wanted="0")
    assert (answers.failed, answers.share(stable)) == (0, 100), answers

    after = json.loads(cluster.rollout("history", "--json").expect().output)
    assert "restored after a new installation" in after[0]["why"]
    # The newest are listed, and some are newer now.
    kept = [one["number"] for one in after if one["number"] <= before[0]["number"]]
    assert kept
    assert kept == [one["number"] for one in before][: len(kept)]
    elsewhere = cluster.page_request("/", host=cluster.forecasts.host, login=False)
    assert (elsewhere.status_code, "/v2" in elsewhere.text) == (404, True)
