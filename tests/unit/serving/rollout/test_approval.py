"""Where the chart asks for it, no version gets its first requests before the ledger says who let it."""

from contextlib import closing

import pytest

from forecasting.adapters.registry.approvals import Approvals
from forecasting.errors import BundleRejected, Forbidden, InvalidSettings, Unavailable
from forecasting.rollout.rules import Policy
from serving.rollout.approval import approve
from serving.rollout.due import nothing_to_do
from serving.rollout.progress import Pace
from serving.rollout.rollout import Rollout
from serving.rollout.status import read_status
from tests.unit.serving.rollout.release import DIGEST, Cluster, Connections

PACE = Pace(steps=(10, 100), step_seconds=1, hold_seconds=0)


@pytest.fixture
def approvals(tmp_path):
    with closing(Approvals(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as opened:
        yield opened


@pytest.fixture
def rollout(client, lines, approvals):
    """Of a release that asks for approvals; the evidence chose version 2."""

    def make(cluster, known=approvals, unknown="", champion="2"):
        client.cluster = cluster
        connections = Connections(champion=champion)
        connections.config.approval_required = True
        return Rollout(
            cluster, connections, lines.append, approvals=known, approvals_unknown=unknown
        )

    return make


def serving():
    return Cluster(1, weights={1: 100}, stable_history=(1,))


def give(approvals, version="2", digest=DIGEST):
    return approvals.give("bellwether", version, digest, who="ann", why="good", via="command")


@pytest.mark.parametrize(
    "act",
    [
        lambda rollout: rollout.start("2"),
        lambda rollout: rollout.run("2", PACE, Policy()),
        lambda rollout: rollout.run("champion", PACE, Policy()),
        lambda rollout: [rollout.start("2", 0), rollout.weight(2, 10)],
        lambda rollout: [rollout.start("2", 0), rollout.promote(2)],
    ],
    ids=["start", "run", "run champion", "weight", "promote"],
)
def test_no_command_gives_requests_to_a_version_that_nobody_approved(rollout, act):
    cluster = serving()
    with pytest.raises(Forbidden, match=r"after a person approved it.*rollout approve 2 --why"):
        act(rollout(cluster))
    assert cluster.traffic.serving == (1,)


def test_an_approved_version_is_rolled_out(rollout, approvals):
    cluster = serving()
    give(approvals)
    rollout(cluster).start("2")
    assert cluster.traffic.weights == {1: 90, 2: 10}


def test_other_files_under_the_same_number_are_not_approved(rollout, approvals):
    give(approvals, digest="e" * 64)
    with pytest.raises(Forbidden, match="digest dddd"):
        rollout(serving()).start("2")


def test_who_only_reaches_the_registry_approves_nothing(rollout):
    cluster = serving()
    refused = rollout(cluster)
    registry = refused.connections.known
    registry.set_champion("3")
    registry.tag("3", {"approved": "yes", "approval": "yes", "rollout_despite_verdict": "yes"})
    with pytest.raises(Forbidden):
        refused.start("3")
    assert "version 3 waits for a person's approval" in nothing_to_do(refused)


def test_the_scheduled_rollout_waits_and_says_for_what(rollout, approvals):
    waiting = rollout(serving())
    assert nothing_to_do(waiting) == (
        "version 2 waits for a person's approval. Approve it: bellwether rollout approve 2 "
        '--why "REASON", or on the page as operator'
    )
    give(approvals)
    assert nothing_to_do(waiting) == ""


def test_a_canary_that_has_requests_goes_on_though_approvals_are_asked_for_now(rollout):
    cluster = Cluster(1, 2, weights={1: 90, 2: 10}, stable_history=(1,))
    rollout(cluster).weight(2, 50)
    assert cluster.traffic.weights == {1: 50, 2: 50}
    assert nothing_to_do(rollout(cluster)) == ""


def test_the_way_back_waits_for_nobody(rollout):
    cluster = Cluster(1, 2, weights={2: 100, 1: 0}, stable_history=(2, 1))
    back = rollout(cluster)
    back.weight(1, 50)
    assert cluster.traffic.weights == {1: 50, 2: 50}
    back.rollback(1)
    assert cluster.traffic.weights[1] == 100


def test_a_version_that_was_withdrawn_waits_again(rollout):
    cluster = Cluster(1, 2, weights={2: 100, 1: 0}, stable_history=(2, 1))
    back = rollout(cluster)
    back.rollback()
    with pytest.raises(Forbidden, match="version 2"):
        back.weight(2, 10)


def test_a_shadow_needs_no_approval_for_nobody_gets_its_answers(rollout):
    cluster = serving()
    assert rollout(cluster).start("2", 0) == 2
    assert cluster.traffic.weights == {1: 100, 2: 0}


def test_where_the_ledger_is_not_known_no_version_gets_requests_and_it_is_said_why(rollout):
    refused = rollout(serving(), None, "no Secret here")
    with pytest.raises(InvalidSettings, match=r"no Secret here.*BELLWETHER_PREDICTION_LOG_URL"):
        refused.start("2")


def test_a_ledger_that_is_away_lets_nothing_through(rollout):
    with closing(Approvals("postgresql+psycopg://nobody@127.0.0.1:1/none")) as away:
        with pytest.raises(Unavailable):
            rollout(serving(), away).start("2")
        (remark,) = remarks_of_approval(rollout(serving(), away))
        assert "whether version 2 is approved is not seen" in remark


def remarks_of_approval(rollout):
    status = read_status(rollout.cluster, rollout.connections, rollout.log, rollout.gate)
    return [remark for remark in status.remarks if "approv" in remark]


def test_the_status_says_who_waits_and_then_who_approved(rollout, approvals):
    (waits,) = remarks_of_approval(rollout(serving()))
    assert waits.startswith("version 2 waits for a person's approval. Approve it: ")
    give(approvals)
    (approved,) = remarks_of_approval(rollout(serving()))
    assert "version 2 was approved by ann at" in approved
    assert approved.endswith(": good")
    served = Cluster(2, weights={2: 100}, stable_history=(2,))
    assert remarks_of_approval(rollout(served)) == []


def test_where_nobody_asks_for_approvals_nothing_waits(rollout):
    cluster = serving()
    free = rollout(cluster, None)
    free.connections.config.approval_required = False
    free.start("2")
    assert cluster.traffic.weights == {1: 90, 2: 10}


def test_an_approval_is_for_the_files_that_the_registry_promises(rollout, approvals):
    waiting = rollout(serving())
    registry = waiting.connections.known
    given = approve(registry, waiting.signed, approvals, 2, who="ann", why="good")
    assert (given.version, given.bundle_digest, given.via) == ("2", DIGEST, "command")
    registry.digests["3"] = ""
    with pytest.raises(BundleRejected):
        approve(registry, waiting.signed, approvals, 3, who="ann", why="good")
