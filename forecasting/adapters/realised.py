"""Fetches what realised quality is judged on: a version's logged forecasts, another's, and prices."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.prediction_log.rows import for_outcomes
from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import ModelVersion
from forecasting.adapters.served_bundles import random_walks
from forecasting.arrays import Floats
from forecasting.errors import NotReady
from forecasting.instants import from_milliseconds
from forecasting.live.outcomes import (
    ForecastRows,
    forecast_rows,
    mature,
    price_paths,
)
from forecasting.live.quality import Compared

if TYPE_CHECKING:
    from forecasting.bundle.bundle import Bundle

SKEW: Final = timedelta(days=1)
"""How far the clocks of registry and model servers may be apart."""

MOST_SYMBOLS: Final = 64
"""Symbols that are judged by: they move together, so more of them say hardly more."""


@dataclass(frozen=True)
class Realised:
    """Realised forecasts of a version beside those of its reference.

    Attributes:
        compared: both, where the outcome is known.
        by_before: share of them whose reference is a logged forecast of the version before; the
            others' is the random walk of the version itself.
        unanswered: symbols among those judged by that the version has not yet been asked for at
            their newest bar.
        unanswered_before: the same of the version before; none where there is no such version.
    """

    compared: Compared
    by_before: float
    unanswered: tuple[str, ...]
    unanswered_before: tuple[str, ...]


def read_realised(
    log: PredictionLog,
    lake: Lake,
    registry: RegistryReader,
    version: str,
    before: str | None,
    *,
    since: datetime | None,
    horizons: tuple[int, ...],
    calibrations: Calibrations,
) -> Realised:
    """Join a version's forecasts with what came, and with what it is compared with.

    Only forecasts count that were made before their outcome, as of bars that the version did not
    learn from. The reference of a forecast is the one that
    the version before made of the same symbol, bar and horizon, if it is logged; else the random
    walk's in the version's bundle, stretched as it was when the forecast was made: it needs nothing
    but the bars. Forecasts under a calibration that is gone or damaged are left out.

    Args:
        log: what was answered.
        lake: prices of the version's data set.
        registry: of the release.
        version: the one that users get.
        before: the one they got before; None when there is none.
        since: only what the version answered from this instant on; None for all.
        horizons: in bars.
        calibrations: of the release.

    Raises:
        NotReady: the data set has no prices.
        UnknownVersion: the registry has not both versions.
        BundleRejected: the version's bundle is damaged.
        RegistryUnavailable, Unavailable: registry, lake or log cannot be reached.
    """
    record = registry.version(version)
    snapshot = lake.latest(record.dataset)
    bundle = _bundle(registry, record)
    symbols = bundle.spec.symbols
    judged_by = _judged_by(set(symbols) & set(snapshot.symbols))
    if not judged_by:
        raise NotReady(
            "realised quality needs prices of the version's symbols",
            f"data set {record.dataset!r} holds none of {', '.join(symbols)}",
            f"Refresh that data set: bellwether refresh --dataset {record.dataset}",
        )
    paths = price_paths(lake.read(snapshot, symbols=judged_by))
    newest = {(symbol, int(paths[symbol].timestamps[-1])) for symbol in judged_by}
    asked: set[tuple[str, int]] = set()
    asked_before = set() if before is not None else newest

    rows, _ = forecast_rows(
        _noting(_logged(log, record, judged_by, snapshot.source, since), asked), horizons
    )
    matured = mature(rows, paths)
    walks = random_walks(
        *(bundle, calibrations, np.unique(matured.rows.calibrations).tolist()),
        model=registry.model,
        version=version,
        keys=None,
        notes=[],
    )
    reachable = matured.rows.horizons <= bundle.max_horizon
    made_with = np.isin(matured.rows.calibrations, list(walks))
    known = np.flatnonzero(reachable & made_with & (matured.scale > 0))
    kept = matured.rows.take(known)
    reference = np.empty_like(kept.returns)
    for number, spread in walks.items():
        rows_of = kept.calibrations == number
        reference[rows_of] = spread[kept.horizons[rows_of] - 1]
    reference *= matured.scale[known, None]
    by_before = 0.0
    if before is not None:
        former = registry.version(before)
        logged = _noting(_logged(log, former, judged_by, snapshot.source), asked_before)
        theirs, _ = forecast_rows(logged, horizons)
        by_before = _replace(reference, kept, theirs.take(~theirs.late).once())
    compared = Compared(
        kept.symbols,
        kept.horizons,
        kept.as_of,
        kept.targets,
        kept.returns,
        reference,
        matured.realised[known],
        matured.units[known],
    )
    return Realised(compared, by_before, _missing(newest, asked), _missing(newest, asked_before))


def _judged_by(symbols: Collection[str]) -> list[str]:
    """At most so many symbols, the same ones every time, chosen by nothing but their names."""
    by_digest = sorted(symbols, key=lambda symbol: sha256(symbol.encode()).digest())
    return sorted(by_digest[:MOST_SYMBOLS])


def _logged(
    log: PredictionLog,
    record: ModelVersion,
    symbols: Collection[str],
    source: str,
    since: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """What a version answered from a source about bars that it did not learn from, by symbol and bar."""
    learned = record.tags.get("trained_until")
    until = datetime.fromisoformat(learned) if learned else None
    since = since or from_milliseconds(record.created_at) - SKEW
    for forecast in log.each_once(model_version=record.version, symbols=symbols, since=since):
        if forecast.source == source and (until is None or forecast.as_of > until):
            yield for_outcomes(forecast)


def _noting(
    forecasts: Iterator[dict[str, Any]], asked: set[tuple[str, int]]
) -> Iterator[dict[str, Any]]:
    """The same forecasts; their symbols and bars are added to `asked`."""
    for forecast in forecasts:
        asked.add((forecast["symbol"], forecast["as_of"]))
        yield forecast


def _missing(newest: set[tuple[str, int]], asked: set[tuple[str, int]]) -> tuple[str, ...]:
    return tuple(sorted(symbol for symbol, _ in newest - asked))


def _bundle(registry: RegistryReader, record: ModelVersion) -> "Bundle":
    from forecasting.bundle.bundle import load_bundle

    with TemporaryDirectory(prefix="bellwether-realised-") as folder:
        path = registry.download_bundle(record, Path(folder) / record.version)
        return load_bundle(path, expected_digest=record.checked_digest)


def _replace(reference: Floats, rows: ForecastRows, theirs: ForecastRows) -> float:
    """Put another version's quantiles where it has some; the share of the rows where it does."""
    places = {key: place for place, key in enumerate(_keys(theirs))}
    replaced = 0
    for place, key in enumerate(_keys(rows)):
        if (found := places.get(key)) is not None:
            reference[place] = theirs.returns[found]
            replaced += 1
    return replaced / len(rows) if len(rows) else 0.0


def _keys(rows: ForecastRows) -> Iterator[tuple[str, int, int]]:
    symbols, as_of, horizons = rows.symbols.tolist(), rows.as_of.tolist(), rows.horizons.tolist()
    return zip(symbols, as_of, horizons, strict=True)
