"""A training with other symbols that promotes nothing takes no forecast away, and no new pod."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.faults import evict_all
from tests.e2e.figures import Figures
from tests.e2e.load import Load, ask
from tests.e2e.stage import DESPITE, ROLLED_BACK, Versions, alone, pods_of

OTHER = "NVDA"
LAKE = "bellwether/lake/features/sample-1d"


def asked_for_others(manifest: Any) -> None:
    """Edit a training's or a refresh's job: only one symbol, which no version knows alone."""
    pod = manifest["spec"]["template"]["spec"]
    container = (pod.get("initContainers") or pod["containers"])[0]
    container["args"] += ["--symbols", OTHER]


@pytest.fixture(scope="module")
def challenger_of_before(cluster: Cluster, versions: Versions) -> Iterator[None]:
    """Afterwards the challenger is the one of before, refreshed."""
    yield
    alias = {"name": "bellwether", "alias": "challenger", "version": str(versions.candidate)}
    cluster.change_registry("POST", "registered-models/alias", alias)
    cluster.start_job("bellwether-refresh", "e2e-refresh-again")
    cluster.finish_job("e2e-refresh-again")


@pytest.fixture
def champion_alone(cluster: Cluster, versions: Versions, challenger_of_before: None) -> Versions:
    """The champion serves alone."""
    alone(cluster, versions.stable)
    return versions


def published(cluster: Cluster) -> dict[str, str]:
    """Digest of the newest features of every specification."""
    pointers = [path for path in cluster.s3.find(LAKE) if path.endswith("/latest.json")]
    return {
        path.split("/")[-2]: json.loads(cluster.s3.cat(path))["sha256"]
        for path in pointers
        if "/specifications/" in path
    }


def test_a_training_with_other_symbols_and_the_refresh_after_it_fail_no_forecast_and_no_new_pod(
    cluster: Cluster, champion_alone: Versions, figures: Figures
) -> None:
    champion = champion_alone.stable
    before = published(cluster)
    with Load(cluster.forecasts) as load:
        with load.window("training"):
            cluster.start_job("bellwether-training", "e2e-others", change=asked_for_others)
            said = cluster.finish_job("e2e-others", seconds=420)
        with load.window("refresh"):
            cluster.start_job("bellwether-refresh", "e2e-refresh", change=asked_for_others)
            refreshed = cluster.finish_job("e2e-refresh")
        load.watch("after", 12)  # servers look for newer features meanwhile
    assert load.report.failed == 0, str(load.report)
    assert cluster.version_called("champion") == champion
    assert f"Nothing to do: version {champion} serves everything" in said
    assert "no longer ask for" in refreshed
    after = published(cluster)
    assert set(before) < set(after)
    assert all(after[specification] != digest for specification, digest in before.items())

    with Load(cluster.forecasts) as load:
        evict_all(cluster, pods_of(champion), fewest=2)
    figures.record("faults", "other symbols: failed forecasts", load.report.failed, wanted="0")
    assert load.report.failed == 0, str(load.report)
    answers = ask(cluster.forecasts, 200)
    assert (answers.failed, answers.share(champion)) == (0, 100), answers


def test_no_user_meets_a_canary_that_does_not_know_the_symbols(
    cluster: Cluster, champion_alone: Versions, figures: Figures
) -> None:
    champion = champion_alone.stable
    other = cluster.version_called("challenger")  # of the training before
    assert other not in {champion, champion_alone.candidate}
    with Load(cluster.forecasts, rate=30) as load:
        words = (str(other), "--steps", "10,100", "--minutes", "2", *DESPITE)
        ended = cluster.rollout("run", *words, seconds=400)
    failed = load.report.failed
    figures.record("canary", "other symbols: users' failed requests", failed, wanted="0")
    assert ended.code == ROLLED_BACK, ended.output
    assert "it must answer what the stable version answers" in ended.output, ended.output
    assert cluster.weights() == {champion: 100, other: 0}
    assert (failed, load.report.share(champion)) == (0, 100), str(load.report)
    cluster.rollout("delete", str(other)).expect()


def test_a_version_whose_features_are_gone_says_so_and_a_refresh_cures_it(
    cluster: Cluster, champion_alone: Versions
) -> None:
    champion = champion_alone.stable
    candidate = champion_alone.candidate
    for path in cluster.s3.find(LAKE):
        if path.endswith("latest.json"):
            cluster.s3.rm(path)
    started = cluster.rollout("start", str(candidate), "--weight", "0", "--timeout", "40")
    assert started.code, started.output
    assert "published features of its own specification" in started.output
    (told,) = [v for v in cluster.status()["versions"] if v["version"] == candidate]
    assert "bellwether refresh" in told["trouble"], told
    cluster.start_job("bellwether-refresh", "e2e-refresh-cures")
    cluster.finish_job("e2e-refresh-cures")
    cluster.rollout("start", str(candidate), "--weight", "0").expect()
    cluster.rollout("delete", str(candidate)).expect()
    assert ask(cluster.forecasts, 100).share(champion) == 100
