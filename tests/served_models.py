"""Real bundles and real served features for the serving tests, trained on small random walks."""

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from prometheus_client import CollectorRegistry

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.lake.publish import served_of
from forecasting.adapters.lake.snapshot import Snapshot
from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.bundle.bundle import write_bundle
from forecasting.features.build import FeatureSpec, FeatureTable, build_features
from forecasting.features.online import ServedFeatures, serve_features
from forecasting.features.targets import SignalRule, horizon_returns
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.schema import MAX_HORIZON, OHLCV
from forecasting.settings import Settings
from serving.loader import Loader
from serving.predictor import Predictor
from serving.telemetry import Telemetry
from tests.clock import NOW, machine_now
from tests.unit.panels import walk

SYMBOLS = ("AAPL", "MSFT", "BTC-USD")
SPEC = FeatureSpec(symbols=SYMBOLS)
DATASET = "default"


def prices(bars: int = 900) -> pd.DataFrame:
    """Daily bars of three symbols and of one, NEW, with too short a history."""
    walks = [walk(symbol, bars, seed=seed) for seed, symbol in enumerate(SYMBOLS)]
    young = walk("NEW", 40, seed=9)
    return pd.concat([*walks, young], ignore_index=True)


def make_bundle(folder: Path, *, kind: str = "ridge", seed: int = 0, spec: FeatureSpec = SPEC):
    """Train a candidate and write its bundle; returns its BundleInfo."""
    frame = prices()
    table = build_features(frame, spec)
    returns = horizon_returns(frame, range(1, MAX_HORIZON + 1))
    params = {"n_estimators": 20, "max_depth": 3} if kind == "xgboost" else {}
    trained = train_on_examples(
        kind, Examples.of(table, returns), TrainingConfig(params=params, seed=seed, folds=3)
    )
    training = {"snapshot": "0" * 16, "source": "test", "seed_of_prices": seed}
    return write_bundle(folder, trained, spec, training=training, signal=SignalRule())


def make_features(
    *,
    age: timedelta = timedelta(0),
    replay: bool = True,
    spec: FeatureSpec = SPEC,
    snapshot_id: str = "5" * 16,
) -> ServedFeatures:
    """Served features whose newest bar counts as `age` old."""
    now = machine_now()  # servers read it themselves
    frame = prices()
    served = serve_features(
        build_features(frame, spec),
        spec,
        snapshot_id=snapshot_id,
        dataset=DATASET,
        source="test",
        replay=True,
        synthetic=True,
        fetched_at=now - age,
        created_at=now,
        horizon_times=_business_days,
    )
    if replay:
        return served
    shift = int((now - age - served.last_bar).total_seconds()) * 10**9
    return dataclasses.replace(
        served,
        replay=False,
        last_bar=served.last_bar + timedelta(seconds=shift // 10**9),
        timestamps=served.timestamps + shift,
        target_times=np.where(served.target_times > 0, served.target_times + shift, 0),
    )


def _business_days(_symbol: str, last: datetime) -> list[datetime]:
    days = pd.bdate_range(last, periods=MAX_HORIZON + 1, normalize=False)[1:]
    return [day.to_pydatetime() for day in days]


def publish(lake: Path, served: ServedFeatures) -> str:
    """Make these the lake's features; returns their id."""
    return Lake(str(lake)).publish_features(DATASET, served)


def publish_snapshot(
    lake: Lake, snapshot: Snapshot, table: FeatureTable, spec: FeatureSpec
) -> None:
    """Publish the features of a price snapshot, as the pipeline's publish step does."""
    lake.publish_features(snapshot.dataset, served_of(lake, snapshot, table, spec))


def make_predictor(settings: Settings) -> Predictor:
    """A predictor that has looked once for what the settings name; nothing runs in threads."""
    log = PredictionLog(settings.prediction_log)
    predictor = Predictor(settings, Telemetry(CollectorRegistry()), log)
    load_into(predictor, settings)
    return predictor


def load_into(predictor: Predictor, settings: Settings) -> None:
    """Look once for something newer."""
    loader = Loader(settings, lambda *_: None)
    predictor.reload(loader)
    loader.close()


def own_bars(bars: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """Timestamps in unix milliseconds [t] and OHLCV [t, 5] of a caller's daily bars."""
    frame = walk("OWN", bars, seed=5, actions=False)
    end = pd.Timestamp(NOW).normalize() - pd.Timedelta(hours=3)
    stamps = pd.bdate_range(end=end, periods=bars)
    millis = stamps.as_unit("ms").asi8
    return millis, frame[list(OHLCV)].to_numpy()
