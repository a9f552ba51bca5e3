"""What is replayed must be out of sample: a version that has seen the bars is left alone."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from bellwether.demo.backfill import unaware_of
from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.registry import CandidateRun, Registry

pytestmark = pytest.mark.integration

HELD_OUT_FROM = datetime(2023, 6, 27, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("trained_until", "replayed"),
    [
        ("2023-06-27T20:00:00+00:00", True),
        ("2023-06-28T20:00:00+00:00", False),
        ("2023-09-21T20:00:00+00:00", False),
        (None, False),
    ],
)
def test_only_a_version_that_has_not_seen_the_bars_is_replayed(
    mlflow_url, tmp_path, trained_until, replayed
):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    name = f"replayed-{uuid4().hex[:8]}"  # the registry is shared by all test processes
    registry = Registry(mlflow_url, name, ledger=ledger)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    candidate = CandidateRun(
        name="ridge",
        params={"kind": "ridge"},
        metrics={"skill": 0.0},
        tags={},
        files=((bundle, "bundle"),),
        dataset="sample-1d",
        snapshot="0123456789abcdef",
    )
    run = registry.log_candidate(name, candidate)
    tags = {"bundle_digest": "d", "kind": "ridge", "data_snapshot": "s"}
    made = registry.register(
        run, tags | ({"trained_until": trained_until} if trained_until else {})
    )
    registry.promote(made.version, expected_champion=None, who="test", why="to be served")
    registry.close()
    ledger.close()
    reader = RegistryReader(mlflow_url, name)
    try:
        assert unaware_of(HELD_OUT_FROM, reader) == ([made.version] if replayed else [])
    finally:
        reader.close()
