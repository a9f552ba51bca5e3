"""Where versions are signed, a rollout runs what a trusted key signed, and the ledger's champion."""

from contextlib import closing

import pytest

from forecasting.adapters.registry.ledger import Ledger
from forecasting.bundle.signature import Signer, Statement, new_key
from forecasting.errors import BundleRejected, InvalidSettings
from serving.rollout.rollout import Rollout
from serving.rollout.status import read_status
from tests.unit.serving.rollout.release import DIGEST, Cluster, Connections, manifest

SIGNER, STRANGER = Signer(new_key()), Signer(new_key())


def signature(version, signer=SIGNER, digest=DIGEST):
    statement = Statement("bellwether", version, digest, "default", "s", "r")
    return signer.sign(statement).to_text()


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")) as ledger:
        yield ledger


@pytest.fixture
def signed(client, lines, ledger):
    """A rollout of a release that trusts one key, which has signed version 1 and 2."""

    def make(cluster, *, ledger=ledger, champion="1"):
        client.cluster = cluster
        keys = SIGNER.public_pem().decode()
        connections = Connections(champion, trusted_keys=keys)
        for version in ("1", "2"):
            connections.known.tags[version]["bundle_signature"] = signature(version)
        return Rollout(cluster, connections, lines.append, ledger=ledger)

    return make


def test_a_signed_version_is_run_with_its_signature(signed):
    cluster = Cluster()
    wanted = []
    apply = cluster.apply_version
    cluster.apply_version = lambda config, one: (wanted.append(one), apply(config, one))
    assert signed(cluster).start("1") == 1
    assert [one.signature for one in wanted] == [signature("1")]


@pytest.mark.parametrize(
    ("tag", "sentence"),
    [
        ("", "must be signed: version 3 is not"),
        (signature("3", STRANGER), "must be signed by a trusted key"),
        (signature("2"), "of the version"),
        (signature("3", digest="e" * 64), "of the bundle_digest"),
        ("words", "must be readable"),
    ],
)
def test_a_version_that_the_key_did_not_sign_is_never_run(signed, tag, sentence):
    cluster = Cluster()
    rollout = signed(cluster)
    rollout.connections.known.tags["3"]["bundle_signature"] = tag
    with pytest.raises(BundleRejected, match=sentence):
        rollout.start("3")
    assert cluster.states == {}


def test_the_champion_is_the_ledgers_and_an_alias_that_was_moved_is_refused(signed, ledger):
    with pytest.raises(BundleRejected, match="the registry names version 1, the ledger none"):
        signed(Cluster()).number("champion")
    ledger.claim("bellwether", expected="", to_version="2", who="ada", why="skill")
    with pytest.raises(BundleRejected, match="the registry names version 1, the ledger 2"):
        signed(Cluster()).number("champion")
    assert signed(Cluster(), champion="2").number("champion") == 2


def test_without_the_ledgers_database_a_version_is_named_by_its_number(signed):
    rollout = signed(Cluster(), ledger=None)
    with pytest.raises(InvalidSettings, match="Name the version by its number"):
        rollout.number("champion")
    assert rollout.start("2") == 2


def test_a_version_that_ran_before_it_was_signed_gets_its_signature(signed):
    cluster = Cluster(1, 3)
    wanted = {}
    cluster.apply_version = lambda config, one: wanted.update({one.version: one.signature})
    with pytest.raises(BundleRejected, match="version 3 is not"):
        signed(cluster).sync()
    assert wanted == {1: signature("1")}


def test_a_version_whose_key_is_not_trusted_any_more_gets_its_new_signature_or_none(signed):
    cluster = Cluster(1, 2, 3)
    for version, signer in (("1", STRANGER), ("2", SIGNER), ("3", STRANGER)):
        service = manifest(version, signature=signature(version, signer))
        cluster.states[int(version)].service = service
    wanted = {}
    cluster.apply_version = lambda config, one: wanted.update({one.version: one.signature})
    rollout = signed(cluster)
    rollout.connections.known.tags["3"]["bundle_signature"] = signature("3", STRANGER)
    with pytest.raises(BundleRejected, match="version 3 is signed by"):
        rollout.sync()
    assert wanted == {1: signature("1"), 2: signature("2")}


def test_the_status_says_who_is_trusted_and_which_version_nobody_trusted_signed(signed):
    cluster = Cluster(1, 2, weights={1: 100}, stable_history=(1,))
    cluster.states[1].service = manifest(1, signature=signature("1"))
    cluster.states[2].service = manifest(2, signature=signature("2", STRANGER))
    rollout = signed(cluster)
    status = read_status(cluster, rollout.connections, rollout.log)
    assert status.signatures == f"verified by key {SIGNER.key[:16]}"
    (remark,) = status.remarks
    assert f"version 2 is signed by {STRANGER.key[:16]}" in remark
    assert "then bellwether rollout sync, or delete version 2" in remark
    assert read_status(cluster, Connections(), rollout.log).signatures == "not asked for"
