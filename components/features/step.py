"""The features step: snapshot -> features, horizon returns, drift reference, and a leak check.

Tested bit for bit against what is served, in tests/contract/test_parity.py.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

from components.artifacts import Artifact
from components.parameters import listed
from components.report import reported
from forecasting.errors import InvalidSettings
from forecasting.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.lake.snapshot import Snapshot
    from forecasting.features.build import FeatureSpec, FeatureTable

REFERENCE_ROWS = 20_000


@reported("features")
def run(
    *,
    snapshot: str,
    dataset: str,
    symbols: str,
    train_until: str,
    candidates: Sequence[str],
    width: str,
    table: Artifact,
    reference: Artifact,
) -> None:
    """Describe every bar of a snapshot; see the component for the arguments.

    Raises:
        UnknownSymbol: the snapshot does not hold a symbol that was asked for.
        ShortHistory: a symbol that was asked for by name has too few bars, or all have.
        InvalidSettings: `train_until` is no date, or lies before the first bar.
    """
    from components.training_table import TrainingTable
    from forecasting.adapters.lake.describe import describe_prices
    from forecasting.adapters.lake.lake import Lake
    from forecasting.models.parts import need_variance
    from forecasting.prices.quality.judge import require_history

    lake = Lake(Settings().lake)
    price_snapshot = lake.snapshot(dataset, snapshot)
    named = named_in(price_snapshot, symbols)
    prices = until(lake.read(price_snapshot, named), train_until)
    spec = specification(price_snapshot, named, variance=need_variance(candidates, width))
    if named:
        require_history(prices, spec.warmup_bars)
    described = describe_prices(
        lake,
        price_snapshot,
        prices,
        spec,
        all_prices=until(lake.read(price_snapshot), train_until) if named else None,
    )
    features = described.features
    origin = _origin(price_snapshot, features)
    TrainingTable(features, described.returns, spec, origin).save(Path(table.path))
    rows = _write_reference(features, spec, Path(reference.path))
    # Every pod that reads the artifact gets this metadata as arguments: a count, not a list.
    table.metadata.update(
        origin | {"symbols": len(features.symbols)},
        features=len(spec.names),
        spec_digest=spec.digest,
        leaks=[finding.to_dict() for finding in described.leaks],
    )
    reference.metadata.update(snapshot=price_snapshot.id, rows=rows)


def specification(
    snapshot: "Snapshot", named: Sequence[str], *, variance: bool = True
) -> "FeatureSpec":
    """The features that a training makes of a snapshot.

    Args:
        snapshot: the prices.
        named: symbols that were asked for by name; none for all.
        variance: whether to make those of variance, as a training does by default.
    """
    from forecasting.features.spec import FeatureSpec
    from forecasting.features.variance import DECAYS, WINDOWS

    return FeatureSpec(
        interval=snapshot.interval,
        symbols=tuple(sorted(named or snapshot.symbols)),
        variance=WINDOWS if variance else (),
        decays=DECAYS if variance else (),
    )


def named_in(snapshot: "Snapshot", symbols: str) -> tuple[str, ...]:
    """The symbols of a parameter as the snapshot writes them; none for all."""
    known = {symbol.upper(): symbol for symbol in snapshot.symbols}
    return tuple(known.get(symbol.upper(), symbol) for symbol in listed(symbols))


def until(prices: "pd.DataFrame", train_until: str) -> "pd.DataFrame":
    """Prices up to an ISO date (its whole session) or instant; all for "".

    Raises:
        InvalidSettings: it is neither, or no bar is left.
    """
    from forecasting.schema import SESSION, TIMESTAMP

    if not train_until:
        return prices
    rule = "train_until must be an ISO date or an ISO instant after the first bar"
    try:
        if len(train_until) <= len("2026-01-31"):
            last = datetime.combine(date.fromisoformat(train_until), time.max)
            chosen = prices[prices[SESSION] <= last]
        else:
            instant = datetime.fromisoformat(train_until)
            instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
            chosen = prices[prices[TIMESTAMP] <= instant]
    except ValueError as error:
        raise InvalidSettings(rule, f"{train_until!r}", "Write it like 2026-01-31") from error
    if chosen.empty:
        first = prices[TIMESTAMP].min().isoformat()
        raise InvalidSettings(rule, f"{train_until}; the first bar closed {first}")
    return chosen.reset_index(drop=True)


def _origin(snapshot: "Snapshot", table: "FeatureTable") -> dict[str, object]:
    """Where a training table comes from; see `TrainingTable`."""
    from components.training_table import iso

    return {
        **snapshot.facts(),
        "symbols": list(table.symbols),
        "first": iso(int(table.timestamps.min())),
        "last": iso(int(table.timestamps.max())),
        "rows": len(table.codes),
    }


def _write_reference(table: "FeatureTable", spec: "FeatureSpec", path: Path) -> int:
    """Write usable rows of whole histories as Parquet; how many?

    Symbols are left out, evenly, until REFERENCE_ROWS are left, but no date is: limits of drift
    come from windows of consecutive dates, and all that the model learned from is to be in it.
    """
    import numpy as np

    from forecasting.schema import SYMBOL, TIMESTAMP

    frame = table.to_frame()
    usable = frame[frame["usable"]].sort_values([TIMESTAMP, SYMBOL], kind="stable")
    symbols = np.sort(usable[SYMBOL].unique())
    count = min(max(REFERENCE_ROWS * len(symbols) // len(usable), 1), len(symbols))
    drawn = symbols[np.linspace(0, len(symbols) - 1, count).round().astype(int)]
    sample = usable[usable[SYMBOL].isin(drawn)]
    draft = path.with_name(f".{path.name}.part")
    sample[[TIMESTAMP, SYMBOL, *spec.names]].to_parquet(draft, index=False)
    draft.replace(path)
    return len(sample)
