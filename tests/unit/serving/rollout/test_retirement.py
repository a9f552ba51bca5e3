"""Old versions end by the chart's rule, and an eleventh champion finds room."""

from contextlib import closing
from datetime import timedelta

import pytest

from forecasting.adapters.registry.rollout_history import RolloutHistory
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, RegistryUnavailable
from forecasting.rollout.traffic import Traffic
from serving.rollout.retirement import retire_old
from serving.rollout.rollout import MAX_LIVE, Rollout
from tests.unit.serving.rollout.release import Cluster, Connections


@pytest.fixture
def release(client, lines, clock, tmp_path):
    """Ten versions of which the newest serves."""
    numbers = range(1, MAX_LIVE + 1)
    weights = {**dict.fromkeys(numbers, 0), MAX_LIVE: 100}
    client.cluster = cluster = Cluster(*numbers, weights=weights, stable_history=(10, 9, 8, 7))
    connected = Connections("10", versions=[str(number) for number in range(1, 13)])
    with closing(RolloutHistory(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as history:
        made = Rollout(cluster, connected, lines.append, history=history, who="ada")
        yield made


def started(release, days):
    for version, state in release.cluster.states.items():
        at = utc_now() - timedelta(days=days) + timedelta(hours=version)
        state.service["metadata"]["creationTimestamp"] = at.isoformat()


def test_old_versions_end_but_for_those_that_serve_go_back_or_have_a_name(release, lines):
    started(release, 100)
    release.connections.known._aliases["challenger"] = "2"
    assert retire_old(release) == [1, 3, 4, 5, 6, 7, 8]
    assert set(release.cluster.states) == {2, 9, 10}
    assert release.cluster.traffic == Traffic({10: 100, 9: 0, 2: 0}, (10, 9))
    why = "version 1 retired: it is not among the 3 versions that are kept and was not used for 7"
    assert any(line.startswith(why) for line in lines)
    assert any(change.why.startswith(why) for change in release.history.changes("bellwether"))
    assert release.connections.known.tags["1"]["runs"] == "no"


def test_a_version_that_had_requests_within_its_days_stays(release):
    started(release, 100)
    week = utc_now() - timedelta(days=6)
    for split, at in (({3: 100}, week - timedelta(days=50)), ({10: 100}, week)):
        release.history.add("bellwether", Traffic(split), who="ada", why="", at=at)
    assert retire_old(release) == [1, 2, 4, 5, 6, 7, 8]


def test_young_versions_stay_until_an_eleventh_needs_the_place(release):
    started(release, 1)
    assert retire_old(release) == []
    release.prepare("11", evidence=False)
    assert release.cluster.deleted == [1]
    assert len(release.cluster.states) == MAX_LIVE


def test_where_all_are_needed_an_eleventh_is_refused(release):
    release.connections.config.keep_versions = MAX_LIVE
    with pytest.raises(InvalidSettings, match=r"at most 10 versions .* and all are needed"):
        release.prepare("11", evidence=False)
    assert release.cluster.deleted == []


def test_where_nobody_can_say_which_are_needed_none_ends(release, monkeypatch, lines):
    def away():
        raise RegistryUnavailable("MLflow must be reachable", "it is away")

    started(release, 100)
    monkeypatch.setattr(release.connections, "registry", away)
    assert retire_old(release) == []
    assert release.cluster.deleted == []
    assert lines == ["warning: old versions were not retired: it is away"]
