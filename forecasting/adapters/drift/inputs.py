"""All a drift run looks at, fetched: champion, training features, served features, log, prices."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.adapters.drift.reference import fetch_reference
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.prediction_log.rows import LoggedForecast, for_outcomes
from forecasting.adapters.registry.calibrations import Calibrations, verified
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.records import ModelVersion
from forecasting.adapters.served_bundles import random_walks
from forecasting.adapters.signing_keys import trusted_keys_of
from forecasting.bundle.calibration import Calibration
from forecasting.drift.windows import answer_columns
from forecasting.errors import BundleRejected, NotReady, UnknownVersion
from forecasting.instants import to_nanoseconds
from forecasting.live.outcomes import ForecastRows, Matured, forecast_rows, mature, price_paths
from forecasting.live.scores import Baselines
from forecasting.path_names import is_number

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.lake.snapshot import Snapshot
    from forecasting.arrays import Floats
    from forecasting.bundle.bundle import Bundle
    from forecasting.features.online import ServedFeatures
    from forecasting.settings import Settings

Answers = dict[tuple[int, str], tuple[float, float, float]]


@dataclass(frozen=True)
class DriftInputs:
    """What one run of the drift job measures.

    Attributes:
        champion: the version whose training features are the reference.
        snapshot: the newest prices.
        served: the features the champion answers from.
        reference: the champion's training features: timestamp, symbol, features.
        answers: the champion's logged forecasts at its own horizon, as `answer_panel` takes them.
        matured: logged forecasts whose horizon has elapsed, per horizon.
        bundles: by version, the verified bundles of the champion and of those that were logged.
        baselines: the random walks that these are held against.
        notes: what a reader should know; the job adds to them.
    """

    champion: ModelVersion
    snapshot: "Snapshot"
    served: "ServedFeatures"
    reference: "pd.DataFrame"
    answers: Answers
    matured: Matured
    bundles: Mapping[str, "Bundle"]
    baselines: Baselines
    notes: list[str]


def gather(
    settings: "Settings",
    work: Path,
    *,
    dataset: str,
    horizons: tuple[int, ...],
) -> DriftInputs:
    """Fetch everything a run needs; nothing is written but files below `work`.

    Args:
        settings: where lake, registry and prediction log are.
        work: an empty folder for downloads.
        dataset: data set in the lake; "" takes the one the champion was trained on.
        horizons: horizons to lay matured forecasts out for, in bars.

    Raises:
        NotReady: there is no champion, or no prices or features were published yet.
        InvalidInput: the champion's run holds no training features.
        RegistryUnavailable, Unavailable: registry, lake or log cannot be reached.
        Corrupted: an artifact is damaged.
    """
    with RegistryReader(settings.registry_url, settings.registered_model) as reader:
        return _gather(settings, reader, work, dataset=dataset, horizons=horizons)


def _gather(
    settings: "Settings",
    reader: RegistryReader,
    work: Path,
    *,
    dataset: str,
    horizons: tuple[int, ...],
) -> DriftInputs:
    notes: list[str] = []
    lake = Lake(settings.lake)
    champion = _champion(reader)
    dataset = dataset or champion.dataset
    snapshot = lake.latest(dataset)
    in_force = _Calibrations(settings, notes)
    reference = fetch_reference(settings.registry_url, in_force.reference_run(champion))
    learned: dict[str, int] = {}
    bundles = _bundles(reader, champion, [champion.version], work, notes, learned)
    answers: Answers = {}
    with closing(PredictionLog(settings.prediction_log)) as log:
        logged = _of_source(log.each_once(), snapshot.source, notes)
        horizon = bundles[champion.version].signal.horizon
        noted = _noting(logged, champion.version, horizon, answers)
        rows, damaged = forecast_rows(noted, horizons)
    logged_versions = sorted({*np.unique(rows.model_versions).tolist()} - {champion.version})
    bundles |= _bundles(reader, champion, logged_versions, work, notes, learned)
    baselines = in_force.baselines(rows, bundles)
    served = lake.served_features(dataset, bundles[champion.version].spec.digest)
    if damaged:
        notes.append(f"{damaged} logged forecasts hold no positive prices and are left out")
    symbols = sorted(set(np.unique(rows.symbols).tolist()) & set(snapshot.symbols))
    paths = price_paths(lake.read(snapshot, symbols=symbols)) if symbols else {}
    matured = mature(rows, paths, learned, now=to_nanoseconds(served.last_bar))
    notes.extend(_left_out(matured))
    return DriftInputs(
        *(champion, snapshot, served, reference, answers, matured, bundles, baselines, notes)
    )


def _champion(reader: RegistryReader) -> ModelVersion:
    champion = reader.champion()
    if champion is None:
        raise NotReady(
            "measuring drift needs a champion",
            f"the model {reader.model!r} has none",
            "Train first: bellwether train",
        )
    return champion


class _Calibrations:
    """Calibrations in force of the versions that are looked at; one that is damaged is noted."""

    def __init__(self, settings: "Settings", notes: list[str]) -> None:
        self._settings, self._notes = settings, notes

    def reference_run(self, champion: ModelVersion) -> str:
        """The run whose training features are the reference: of the newest training, if they fit.

        A training that promotes nothing has judged newer prices all the same: what differs from
        those the champion learned from, and not from these, asks for no further training.
        """
        found = self._of(champion.version)
        return (found.reference_run if found is not None else "") or champion.run_id

    def baselines(self, rows: ForecastRows, bundles: "Mapping[str, Bundle]") -> Baselines:
        """The random walk that each logged forecast is held against: stretched as it was then."""
        found: dict[tuple[str, int], Floats] = {}
        model, keys = self._settings.registered_model, trusted_keys_of(self._settings)
        with closing(Calibrations(self._settings.prediction_log)) as calibrations:
            for version, bundle in bundles.items():
                numbers = np.unique(rows.calibrations[rows.model_versions == version]).tolist()
                walks = random_walks(
                    *(bundle, calibrations, numbers),
                    model=model,
                    version=version,
                    keys=keys,
                    notes=self._notes,
                )
                found |= {(version, number): spread for number, spread in walks.items()}
        return found

    def _of(self, version: str) -> Calibration | None:
        model = self._settings.registered_model
        try:
            with closing(Calibrations(self._settings.prediction_log)) as calibrations:
                row = calibrations.current(model, version)
            return None if row is None else verified(row, model, trusted_keys_of(self._settings))
        except BundleRejected as error:
            self._notes.append(f"the calibration of version {version} is not known: {error}")
            return None


_WHY_LEFT_OUT: Final = {
    "late": "made when their outcome could be known",
    "learned": "of bars that their version had learned from",
    "ended": "their symbol ended before the close they forecast, unscored",
}


def _left_out(matured: Matured) -> Iterator[str]:
    for reason, why in _WHY_LEFT_OUT.items():
        if count := sum(one.by_reason[reason] for one in matured.left_out):
            yield f"{count:,} forecasts are left out: {why}"


def _of_source(
    logged: Iterator[LoggedForecast], source: str, notes: list[str]
) -> Iterator[LoggedForecast]:
    """The forecasts of a source's prices; how many are left out is noted at their end."""
    others = 0
    for forecast in logged:
        if forecast.source == source:
            yield forecast
        else:
            others += 1
    if others:
        notes.append(f"{others} logged forecasts of other sources are left out")


def _noting(
    logged: Iterator[LoggedForecast], version: str, horizon: int, answers: Answers
) -> Iterator[dict[str, Any]]:
    """The forecasts as `forecast_rows` takes them; what one version answered is added to `answers`.

    The log is read once, and of a forecast no more is kept than what is watched of it.
    """
    for forecast in logged:
        plain = for_outcomes(forecast)
        if forecast.model_version == version:
            columns = answer_columns(
                {**plain, "probability_of_rise": forecast.probability_of_rise}, horizon=horizon
            )
            if columns is not None:
                answers.setdefault((plain["as_of"], forecast.symbol), columns)
        yield plain


def _bundles(
    reader: RegistryReader,
    champion: ModelVersion,
    versions: Sequence[str],
    work: Path,
    notes: list[str],
    learned: dict[str, int],
) -> dict[str, "Bundle"]:
    """The verified bundles of some versions, as trained; the last bar each learned from in `learned`.

    They know the random walk their forecasts are held against. One that is gone from the registry
    or damaged is noted, and its skill is not known; the champion's own has to be whole.
    """
    from forecasting.bundle.bundle import load_bundle

    bundles = {}
    for version in versions:
        if not is_number(version):  # a server can be given a bundle that no registry knows
            notes.append(f"the skill of {version!r} is not known: no version of the registry")
            continue
        try:
            record = champion if version == champion.version else reader.version(version)
            folder = reader.download_bundle(record, work / "bundles" / version)
            bundle = load_bundle(folder, expected_digest=record.checked_digest)
            bundles[version] = bundle
            last = record.tags.get("trained_until") or bundle.manifest["training"].get("last")
            if last:
                learned[version] = to_nanoseconds(datetime.fromisoformat(str(last)))
            else:
                notes.append(
                    f"version {version} does not say until when it learned: its forecasts count "
                    "whether or not it had learned from their bars"
                )
        except (UnknownVersion, BundleRejected) as error:
            if version == champion.version:
                raise
            notes.append(f"the skill of version {version} is not known: {error}")
    return bundles
