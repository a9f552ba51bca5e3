"""Describes prices of a snapshot: features as they were known, what came after, and checks for leaks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.adapters.lake.vintages import known_times
from forecasting.arrays import Singles
from forecasting.errors import ShortHistory
from forecasting.features.spec import FeatureSpec
from forecasting.leakage.findings import LeakFinding

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable


@dataclass(frozen=True, eq=False)
class Described:
    """Features of every bar beside what came after it.

    Attributes:
        features: n rows, one per bar.
        returns: float32 [n, MAX_HORIZON] log total returns, NaN where the future is not known.
        leaks: what every check for leaks found.
    """

    features: "FeatureTable"
    returns: Singles
    leaks: list[LeakFinding]


def describe_prices(
    lake: Lake,
    snapshot: Snapshot,
    prices: "pd.DataFrame",
    spec: FeatureSpec,
    *,
    all_prices: "pd.DataFrame | None" = None,
) -> Described:
    """Describe prices, and check the description for leaks.

    Args:
        lake: where the snapshot is kept.
        snapshot: the one the prices are from.
        prices: all or some of its bars.
        spec: which features.
        all_prices: all bars the symbols were chosen from, if they were chosen; default: `prices`.

    Raises:
        ShortHistory: no bar has a usable row.
        SnapshotCorrupted: a part of the snapshot is missing or damaged.
    """
    from forecasting.features.build import build_features
    from forecasting.features.point_in_time import describe_as_known
    from forecasting.features.targets import horizon_returns
    from forecasting.leakage.checks import check_table
    from forecasting.schema import MAX_HORIZON

    def describe(panel: "pd.DataFrame") -> "FeatureTable":
        return build_features(panel, spec)

    def label(panel: "pd.DataFrame") -> Singles:
        return horizon_returns(panel, range(1, MAX_HORIZON + 1)).astype(np.float32)

    known_at = known_times(lake, snapshot, prices)
    described = describe_as_known(describe, prices, known_at)
    if not described.usable.any():
        raise ShortHistory(
            f"a forecast needs {spec.warmup_bars} bars of a symbol, and prices that move",
            f"none of {len(described.symbols)} symbols has a usable row",
            "Ingest a longer history",
        )
    returns = label(prices)
    leaks = check_table(
        describe,
        label,
        described,
        returns,
        prices,
        known_at,
        all_prices=all_prices,
        declared=snapshot.survivorship.declaration,
        hindsight=snapshot.survivorship.hindsight,
    )
    return Described(described, returns, leaks)
