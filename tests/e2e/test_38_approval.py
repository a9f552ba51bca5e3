"""A release that asks for a person: no requests before the ledger has his approval, and then at once."""

import json

import pytest

from tests.e2e.load import Load
from tests.e2e.stage import DESPITE, alone

WHY = "looked at by the tests"


@pytest.fixture
def asked(cluster, versions):
    """Only the stable version runs, and the rollout asks for approvals as the chart's value does."""
    alone(cluster, versions.stable)
    written = cluster.get("configmap", "bellwether-rollout")["data"]["rollout.json"]

    def patch(text):
        data = json.dumps({"data": {"rollout.json": text}})
        cluster.kubectl("patch", "configmap", "bellwether-rollout", f"--patch={data}")

    patch(json.dumps({**json.loads(written), "approvalRequired": True}))
    yield versions
    patch(written)


def test_a_version_gets_its_first_requests_after_a_person_approved_it(cluster, asked, figures):
    candidate = str(asked.candidate)
    with Load(cluster.forecasts) as load:
        refused = cluster.rollout("start", candidate, "--weight", "10", *DESPITE).expect(2)
        assert "after a person approved it" in refused.output
        assert f"bellwether rollout approve {candidate}" in refused.output
        assert cluster.weights().get(asked.candidate, 0) == 0
        given = cluster.rollout("approve", candidate, "--why", WHY, "--who", "tests").expect()
        figures.record("approval", "command", given.seconds, "s")
        cluster.rollout("start", candidate, "--weight", "10", *DESPITE).expect()
        assert cluster.weights() == {asked.stable: 90, asked.candidate: 10}
        cluster.rollout("rollback", "--why", "an exercise").expect()
    assert load.report.failed == 0, str(load.report)
    (row,) = cluster.database_query(
        f"SELECT who, why, via, bundle_digest FROM approvals WHERE version = '{candidate}'"
    )
    digest = cluster.versions()[asked.candidate]["tags"]["bundle_digest"]
    assert (row["who"], row["why"], row["via"]) == ("tests", WHY, "command")
    assert row["bundle_digest"] == digest
