"""The drift job against real parts: lake, MLflow, prediction log, Evidently, Pushgateway."""

import json
import shutil
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import sqlalchemy

from forecasting.adapters.drift.history import DriftHistory
from forecasting.adapters.drift.job import DriftOptions, run_drift
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.market.open import open_source
from forecasting.adapters.prediction_log.log import Answered, PredictionLog
from forecasting.adapters.registry.calibrations import Calibrations
from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.registry import CandidateRun, Registry
from forecasting.bundle.bundle import load_bundle, write_bundle
from forecasting.bundle.calibration import Calibration
from forecasting.drift.config import DriftRules
from forecasting.errors import (
    EXIT_DRIFT,
    InvalidInput,
    NotReady,
    RegistryUnavailable,
    ShortHistory,
    Unavailable,
)
from forecasting.features.build import FeatureSpec, build_features
from forecasting.features.targets import SignalRule, horizon_returns
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.clock import machine_now
from tests.integration.test_pushgateway import gateway, scrape
from tests.ports import free_port
from tests.served_models import publish_snapshot

__all__ = ["gateway"]

pytestmark = pytest.mark.integration

REPLAYED = 60

FEW = {
    "returns": (1, 5),
    "sma": (21,),
    "ema": (),
    "extremes": (),
    "rsi": (14,),
    "bollinger": (),
    "atr": (),
    "volatility": (21,),
    "volume": (21,),
    "ranked": (),
}
"""A feature of every kind that is judged in its own way: Evidently draws each four times a run."""


def answer_the_past(log_url, bundle, served, version):
    """Log what the bundle says as of each of the last bars, through the real writer."""
    log = PredictionLog(log_url)
    log.start()
    for symbol in served.symbols:
        stop = served.last_row(symbol) + 1
        for row in range(stop - REPLAYED - 1, stop):
            said = bundle.forecast(
                served.values[row : row + 1],
                served.scale[row : row + 1],
                served.close[row : row + 1],
                30,
            )
            close = served.close[row : row + 1]
            assert log.offer(
                Answered(
                    request_id="",
                    symbols=[symbol],
                    as_of=served.timestamps[row : row + 1] // 10**6,
                    made_at=machine_now().timestamp(),
                    model_version=version,
                    model_kind=bundle.kind,
                    last_close=close,
                    quantiles=said.quantiles,
                    target_times=served.target_times_at(symbol, row)[None] // 10**6,
                    probability_of_rise=said.probability_of_rise,
                    signal=said.signals,
                    stale=np.zeros(1, dtype=bool),
                    source=served.source,
                    replay=True,
                    processing_seconds=0.001,
                    protocol="rest",
                    own_bars=False,
                )
            )
    log.close()


@pytest.fixture(scope="module")
def world(mlflow_url, tmp_path_factory):
    """Prices, a champion trained up to 60 bars before their end, and features up to the end."""
    folder = tmp_path_factory.mktemp("drift")
    settings = Settings(
        state_dir=folder,
        registry_url=mlflow_url,
        registered_model=f"drift-{uuid.uuid4().hex[:8]}",
    )
    fetched = open_source("sample", settings).fetch(
        ["AAPL", "AMZN", "NFLX"], date(2013, 1, 1), None, "1d"
    )
    now = machine_now()
    judged = judge(fetched.bars, now=now, interval="1d")
    lake = Lake(settings.lake)
    snapshot = lake.append(
        "default",
        judged,
        source="sample",
        replay=True,
        synthetic=False,
        interval="1d",
        fetched_at=now,
    )
    prices = lake.read(snapshot)
    spec = FeatureSpec(symbols=snapshot.symbols, **FEW)
    last = np.sort(prices["timestamp"].unique())[-REPLAYED - 1]
    training = prices[prices["timestamp"] <= last].reset_index(drop=True)
    table = build_features(training, spec)
    returns = horizon_returns(training, range(1, 31))
    trained = train_on_examples("ridge", Examples.of(table, returns), TrainingConfig(folds=3))
    info = write_bundle(
        folder / "bundle", trained, spec, training={"source": "sample"}, signal=SignalRule()
    )
    frame = table.to_frame()
    usable = frame[frame["usable"]]
    (folder / "out").mkdir()
    usable[["timestamp", "symbol", *spec.names]].to_parquet(folder / "out" / "reference.parquet")
    ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
    registry = Registry(settings.registry_url, settings.registered_model, ledger=ledger)
    run_id = registry.log_candidate(
        "drift",
        CandidateRun(
            name="ridge",
            params={},
            metrics={},
            tags={},
            files=((folder / "bundle", "bundle"), (folder / "out", "reference")),
            dataset="default",
            snapshot=snapshot.id,
        ),
    )
    tags = {"bundle_digest": info.digest, "kind": "ridge", "dataset": "default"}
    tags["trained_until"] = training["timestamp"].max().isoformat()
    version = registry.register(run_id, tags).version
    registry.promote(version, expected_champion=None, who="test", why="first")
    registry.close()
    ledger.close()
    publish_snapshot(lake, snapshot, build_features(prices, spec), spec)
    answer_the_past(
        settings.prediction_log,
        load_bundle(folder / "bundle", expected_digest=info.digest),
        lake.served_features("default", spec.digest),
        version,
    )
    return settings, version


@pytest.fixture
def settings(world, tmp_path):
    """The world with a lake of its own, so that a test can break it."""
    shutil.copytree(world[0].lake, tmp_path / "lake")
    return world[0].model_copy(update={"lake_url": str(tmp_path / "lake"), "state_dir": tmp_path})


@pytest.fixture
def settings_with_log(world, settings):
    return settings.model_copy(update={"prediction_log_url": world[0].prediction_log})


def runs(settings):
    folder = DriftHistory(settings.lake)
    return folder.summaries()


def history_of(settings):
    return DriftHistory(settings.lake)


def columns_of(history):
    """What Evidently's own figures say of every column."""
    metrics = json.loads(history.report("report.json"))["metrics"]
    return [one for one in metrics if "column" in one["config"]]


def test_a_run_measures_every_scope_and_keeps_its_report(settings_with_log, world, gateway):
    settings = settings_with_log.model_copy(update={"pushgateway_url": gateway})
    outcome = run_drift(settings)
    summary = outcome.summary

    assert summary.model_version == world[1]
    assert (summary.source, summary.replay, summary.synthetic) == ("sample", True, False)
    features = summary.scope("features")
    assert features.share is not None
    assert features.current_rows == 3 * 60
    assert {c.method for c in features.columns} == {"wasserstein"}
    names = {c.column for c in features.columns}
    assert {"intraday_range", "change of intraday_range"} <= names
    assert 0.05 <= features.false_alarms <= 0.1
    watched = {entry.column for entry in features.not_measured}
    assert {"month_sin", "symbol_AAPL"} <= watched
    predictions = summary.scope("predictions")
    assert predictions.share is None
    assert {entry.column for entry in predictions.not_measured} == {"*", "change of *"}
    assert "19 are needed" in predictions.not_measured[-1].reason
    assert {c.column for c in summary.scope("error").columns} == {"skill_h1", "skill_h5"}
    assert {c.column for c in summary.scope("coverage").columns} == {"coverage_h1", "coverage_h5"}
    variance = summary.scope("variance")
    assert {c.column for c in variance.columns} == {"variance_ratio_h1", "variance_ratio_h5"}
    assert outcome.exit_code == (EXIT_DRIFT if summary.drifted else 0)
    assert not [note for note in summary.notes if "training span" in note]
    judged = {entry["config"]["column"]: entry for entry in columns_of(history_of(settings))}
    by_name = {c.column: c for c in features.columns}
    for shown, entry in judged.items():
        column = by_name[shown.split(" (x ")[0]]
        assert entry["value"] == pytest.approx(column.score)
        assert entry["config"]["threshold"] == pytest.approx(column.threshold)

    by_horizon = {score.horizon: score for score in summary.realised}
    assert set(by_horizon) == {1, 5, 10, 20, 30}
    assert {h: s.matured for h, s in by_horizon.items()} == {
        h: 3 * (REPLAYED - h) for h in by_horizon
    }
    # Those of the last bar of the training.
    assert [(one.horizon, one.late, one.learned) for one in summary.left_out] == [
        (h, 0, 3) for h in sorted(by_horizon)
    ]
    assert "15 forecasts are left out: of bars that their version had learned from" in summary.notes
    assert all(0.1 < s.pinball < 0.8 and 0 <= s.coverage <= 1 for s in by_horizon.values())
    assert all(s.skill is not None and s.skill < 0.5 for s in by_horizon.values())
    ratios = {ratio.horizon: ratio for ratio in summary.variances}
    assert {h: (r.model_version, r.matured) for h, r in ratios.items()} == {
        h: (world[1], s.matured) for h, s in by_horizon.items()
    }
    assert {c.column: c.score for c in variance.columns} == {
        f"variance_ratio_h{h}": ratios[h].ratio for h in (1, 5)
    }
    assert summary.waiting == 3 * sum(by_horizon)
    assert summary.unpriced == 0

    history = DriftHistory(settings.lake)
    assert history.summaries() == [summary]
    points = history.by_instant()
    assert len([p for p in points if p.horizon == 1]) == REPLAYED - 1
    page = history.report()
    assert page.startswith(b"\n<!DOCTYPE html>") or b"<html" in page[:2000]
    assert b"<html" in history.report("changes.html")[:2000]
    assert f"{ratios[1].ratio:.2f}" in history.report("realised.html").decode()
    assert json.loads(history.report("report.json"))["metrics"]
    lines = scrape(gateway)
    assert any(line.startswith("bellwether_drift_share") for line in lines)
    coverage = next(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("bellwether_realised_coverage") and 'horizon="5"' in line
    )
    assert coverage == pytest.approx(by_horizon[5].coverage)
    pushed = {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines)
        if name.startswith("bellwether_realised_variance_ratio") and 'horizon="5"' in name
    }
    assert sorted(pushed.values()) == pytest.approx(
        sorted((ratios[5].low, ratios[5].ratio, ratios[5].high))
    )
    assert any(line.startswith("bellwether_job_last_success_timestamp_seconds") for line in lines)


def test_realised_figures_equal_those_of_a_naive_loop(settings_with_log):
    settings = settings_with_log
    outcome = run_drift(settings, DriftOptions(horizons=(5,)))
    lake = Lake(settings.lake)
    prices = lake.read(lake.latest("default"))
    hits = total = 0
    moves = []
    logged = PredictionLog(settings.prediction_log).recent(10_000)
    learned_from = min(one.as_of for one in logged)
    for one in logged:
        bars = prices[prices["symbol"] == one.symbol].set_index("timestamp")
        later = bars[(bars.index > one.as_of) & (bars.index <= one.target_times[4])]
        if one.target_times[4] > bars.index[-1] or one.as_of == learned_from:
            continue
        growth = (later["split"] * (1 + later["dividend"] / later["close"])).prod()
        value = later["close"].iloc[-1] * growth
        low, _, median, _, high = one.quantiles[4]
        hits += low <= value <= high
        total += 1
        moves.append(np.log(value / median) * 2 * 1.6448536 / np.log(high / low))
    (score,) = outcome.summary.realised
    assert score.matured == total
    assert score.coverage == pytest.approx(hits / total)
    (found,) = outcome.summary.variances
    counted = np.minimum(np.square(moves) / found.ratio, 9.0)
    assert counted.mean() == pytest.approx(0.99501, abs=1e-5)


def test_an_empty_prediction_log_is_named_and_features_are_still_measured(settings):
    outcome = run_drift(settings)
    assert outcome.summary.realised == outcome.summary.variances == ()
    assert DriftHistory(settings.lake).report("realised.html") is None
    assert outcome.summary.scope("features").share is not None
    assert outcome.summary.scope("predictions").share is None
    assert "0 rows" in outcome.summary.scope("predictions").not_measured[0].reason
    text = settings.batch_metrics_file.read_text()
    assert 'bellwether_drift_share{scope="features"}' in text
    assert 'scope="predictions"' not in text
    assert 'bellwether_drift_threshold{column="intraday_range",scope="features"}' in text
    assert "bellwether_retraining_due 0.0" in text
    assert "bellwether_realised" not in text.replace("# HELP", "").split("bellwether_job")[0]
    assert outcome.published == str(settings.batch_metrics_file)


def test_prices_from_another_world_are_drift_with_its_own_exit_code(settings):
    lake = Lake(settings.lake)
    (specification,) = lake.specifications("default")
    served = lake.served_features("default", specification)
    moved = replace(served, values=(served.values * 5 + 3).astype(np.float32))
    lake.publish_features("default", moved)
    outcome = run_drift(settings)
    assert outcome.summary.scope("features").drifted
    assert outcome.exit_code == EXIT_DRIFT == 11
    assert 'bellwether_drift_detected{scope="features"} 1.0' in (
        settings.batch_metrics_file.read_text()
    )


def test_the_share_of_false_alarms_is_the_callers(settings):
    strict = run_drift(settings, DriftOptions(rules=DriftRules(false_alarms=0.01))).summary
    lax = run_drift(settings, DriftOptions(rules=DriftRules(false_alarms=0.5))).summary
    limits = [
        {c.column: c.threshold for c in one.scope("features").columns} for one in (strict, lax)
    ]
    assert all(limits[0][name] > limits[1][name] for name in limits[0])
    assert len(runs(settings)) == 2


def test_a_champion_with_a_short_reference_gets_reasons_instead_of_limits(settings, monkeypatch):
    from forecasting.adapters.drift import inputs

    fetched = inputs.fetch_reference
    monkeypatch.setattr(
        inputs,
        "fetch_reference",
        lambda *given: fetched(*given).sort_values("timestamp").tail(3 * 150),
    )
    features = run_drift(settings).summary.scope("features")
    assert (features.columns, features.drifted, features.false_alarms) == ((), False, None)
    assert "150 bars of history" in features.not_measured[-1].reason


def calibrate(settings, **changed):
    """Put a calibration of the champion in force."""
    with closing(RegistryReader(settings.registry_url, settings.registered_model)) as registry:
        champion = registry.champion()
    facts = {
        "model": settings.registered_model,
        "version": champion.version,
        "bundle_digest": champion.bundle_digest,
        "dataset": "default",
        "data_snapshot": "5" * 16,
        "until": "2026-01-02T21:00:00+00:00",
        "log_stretch": (0.0,) * 30,
        "baseline_log_stretch": (0.0,) * 30,
        **changed,
    }
    with closing(Calibrations(settings.prediction_log)) as calibrations:
        calibrations.add(
            lambda number: Calibration(number=number, **facts),
            model=settings.registered_model,
            who="test",
            why="due",
        )


def test_drift_is_measured_against_what_the_newest_training_saw(settings, monkeypatch):
    from forecasting.adapters.drift import inputs

    asked, fetched = [], inputs.fetch_reference

    def noted(url, run):
        asked.append(run)
        return fetched(url, own[0])

    with closing(RegistryReader(settings.registry_url, settings.registered_model)) as registry:
        own = [registry.champion().run_id]
    monkeypatch.setattr(inputs, "fetch_reference", noted)
    run_drift(settings)
    calibrate(settings)
    run_drift(settings)
    calibrate(settings, reference_run="of-the-newest-training")
    run_drift(settings)
    assert asked == [*own, *own, "of-the-newest-training"]


def test_each_forecast_is_held_against_the_random_walk_as_it_was_stretched_then(world, settings):
    log = settings.state_dir / "predictions.sqlite"
    shutil.copyfile(world[0].state_dir / "predictions.sqlite", log)

    def skills():
        return [one.skill for one in run_drift(settings).summary.realised]

    before = skills()
    calibrate(settings, baseline_log_stretch=(1.0,) * 30)
    assert skills() == before
    engine = sqlalchemy.create_engine(settings.prediction_log)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE predictions SET calibration = 1"))
    worse = skills()
    assert before
    assert all(later > earlier for earlier, later in zip(before, worse, strict=True))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE predictions SET calibration = 7"))
    engine.dispose()
    summary = run_drift(settings).summary
    assert {one.skill for one in summary.realised} == {None}
    assert any("calibration 7 of version 1 is gone" in note for note in summary.notes)


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        ({"registered_model": "nobody"}, {}, NotReady, "needs a champion"),
        ({"registry_url": "dead"}, {}, RegistryUnavailable, "MLflow server must"),
        ({}, {"dataset": "elsewhere"}, NotReady, "elsewhere"),
        ({"pushgateway_url": "dead"}, {}, Unavailable, "Pushgateway"),
        (
            {"prediction_log_url": "sqlite:////proc/no/log.sqlite"},
            {},
            Unavailable,
            "ledger's database must answer",
        ),
    ],
)
def test_a_part_that_is_missing_is_named_and_no_success_is_claimed(
    settings, change, options, error, match
):
    dead = f"http://127.0.0.1:{free_port()}"
    change = {key: dead if value == "dead" else value for key, value in change.items()}
    settings = settings.model_copy(update=change)
    with pytest.raises(error, match=match) as caught:
        run_drift(settings, DriftOptions(**options))
    assert caught.value.exit_code in (2, 3)
    assert not settings.batch_metrics_file.exists()


def test_too_few_served_bars_are_a_short_history_and_leave_nothing(settings):
    with pytest.raises(ShortHistory, match="6 rows of served features"):
        run_drift(settings, DriftOptions(rules=DriftRules(level_bars=2)))
    assert runs(settings) == []
    assert not settings.batch_metrics_file.exists()


def test_a_champion_that_never_saw_the_served_symbols_is_refused(settings):
    lake = Lake(settings.lake)
    (specification,) = lake.specifications("default")
    served = lake.served_features("default", specification)
    lake.publish_features("default", replace(served, symbols=("X", "Y", "Z")))
    with pytest.raises(InvalidInput, match="served X, Y, Z; trained on AAPL, AMZN, NFLX"):
        run_drift(settings)
    assert runs(settings) == []


def test_a_champion_without_its_training_features_is_refused(settings, world, tmp_path):
    from mlflow import MlflowClient

    client = MlflowClient(settings.registry_url, settings.registry_url)
    model = f"bare-{uuid.uuid4().hex[:8]}"
    run = client.create_run(client.create_experiment(model))
    client.log_artifacts(run.info.run_id, str(world[0].state_dir / "bundle"), "bundle")
    client.create_registered_model(model)
    made = client.create_model_version(model, f"runs:/{run.info.run_id}/bundle", run.info.run_id)
    client.set_registered_model_alias(model, "champion", made.version)
    with pytest.raises(InvalidInput, match=r"has no reference/reference\.parquet"):
        run_drift(settings.model_copy(update={"registered_model": model}))
