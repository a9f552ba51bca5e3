"""The status joins cluster, route and registry, and says what it could not see."""

import pytest

from forecasting.errors import RegistryUnavailable
from forecasting.rollout.asked import AskedPrices
from serving.rollout.status import read_status
from tests.unit.serving.rollout.release import DIGEST, Cluster, Connections


def test_versions_stand_with_their_weights_and_aliases(lines):
    cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
    status = read_status(cluster, Connections(champion="1"), lines.append)
    rows = [(v.version, v.weight, v.alias, v.digest, v.settled) for v in status.versions]
    assert rows == [(2, 10, "", DIGEST, True), (1, 90, "champion", DIGEST, True)]
    assert (status.stable, status.champion, status.remarks) == (1, "1", ())


def test_a_champion_that_does_not_serve_is_remarked(lines):
    cluster = Cluster(1, 2, weights={1: 100, 2: 0}, stable_history=(1,))
    status = read_status(cluster, Connections(champion="2"), lines.append)
    assert status.remarks == ("the evidence chose version 2 (champion); users get version 1 100 %",)


def test_what_cannot_be_seen_is_remarked(lines, monkeypatch):
    cluster = Cluster(1, weights={1: 90, 2: 10}, stable_history=(1,))
    connections = Connections()

    def away():
        raise RegistryUnavailable("MLflow must be reachable", "it is away")

    monkeypatch.setattr(connections, "registry", away)
    status = read_status(cluster, connections, lines.append)
    assert status.remarks == (
        "registry not seen: it is away",
        "version 2 is on the route and does not run",
    )
    assert status.champion == ""


def test_a_change_of_symbols_in_the_values_is_told_with_what_it_means(lines):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    connections = Connections(champion="1")
    connections.config.asked = AskedPrices(("aapl", "GOOG"), "default")
    new, dropped = read_status(cluster, connections, lines.append).remarks
    assert "GOOG, which champion v1 does not know: requests for it get 404" in new
    assert "no longer ask for MSFT" in dropped
    assert "it goes on answering for it" in dropped
    connections.config.asked = AskedPrices(("AAPL",), "elsewhere")
    (moved,) = read_status(cluster, connections, lines.append).remarks
    assert "champion v1 reads default, which no refresh keeps fresh" in moved


@pytest.mark.parametrize("settled", [True, False])
def test_trouble_is_told_of_versions_that_are_not_ready_alone(lines, settled):
    cluster = Cluster(1, weights={1: 100}, stable_history=(1,))
    cluster.states[1].settled = settled
    (version,) = read_status(cluster, Connections(), lines.append).versions
    assert version.trouble == ("" if settled else "its pods are starting")


def test_requests_that_the_evidence_did_not_earn_are_remarked(lines):
    cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
    connections = Connections(champion="1")
    connections.known.tags["2"] = {"rollout_despite_verdict": "ann: to compare"}
    status = read_status(cluster, connections, lines.append)
    assert status.remarks == ("version 2 has requests despite its verdict: ann: to compare",)


def test_a_version_that_was_deleted_from_the_registry_is_remarked(lines):
    cluster = Cluster(1, 2, weights={1: 75, 2: 25}, stable_history=(1,))
    status = read_status(cluster, Connections(champion="1", versions=("1",)), lines.append)
    assert status.remarks == ("version 2 has requests and is not in the registry any more",)
