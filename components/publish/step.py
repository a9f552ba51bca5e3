"""The publish step: the newest feature rows -> the lake, where predictors look."""

from datetime import UTC, datetime
from pathlib import Path

from components.artifacts import Artifact, listed_in
from components.report import reported
from forecasting.settings import Settings


@reported("publish")
def run(*, snapshot: str, dataset: str, table: Artifact) -> str:
    """Publish the newest rows of every symbol; see the component for the arguments.

    Raises:
        LeakFound: the checks of the features step found a leak, or were not made.
        Corrupted: what they found cannot be read.
        ShortHistory: no symbol has a usable row.
    """
    from components.training_table import TrainingTable
    from forecasting.adapters.lake.lake import Lake
    from forecasting.features.online import serve_features
    from forecasting.leakage.findings import LeakFinding, refuse_leaks
    from forecasting.prices.calendar import horizon_times

    refuse_leaks([LeakFinding.from_dict(finding) for finding in listed_in(table, "leaks")])
    lake = Lake(Settings().lake)
    price_snapshot = lake.snapshot(dataset, snapshot)
    record = lake.last_fetch(dataset)
    newest = lake.latest(dataset).id == price_snapshot.id
    described = TrainingTable.load(Path(table.path))
    served = serve_features(
        described.features,
        described.spec,
        snapshot_id=price_snapshot.id,
        dataset=price_snapshot.dataset,
        source=price_snapshot.source,
        replay=price_snapshot.replay,
        synthetic=price_snapshot.synthetic,
        fetched_at=price_snapshot.fetched_at,
        created_at=datetime.now(UTC),
        fallback=record.sentence if record and newest else "",
        horizon_times=lambda symbol, last: horizon_times(symbol, last, price_snapshot.interval),
    )
    return lake.publish_features(dataset, served)
