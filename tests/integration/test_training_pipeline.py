"""The whole training pipeline, for real: sample prices in, versions in a real registry out."""

import json
import os
import shutil
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forecasting.adapters.prediction_log.log import PredictionLog
from forecasting.adapters.registry.calibrations import Calibrations, verified
from forecasting.adapters.registry.ledger import Ledger
from forecasting.adapters.registry.reader import RegistryReader
from forecasting.adapters.registry.registry import Registry
from forecasting.adapters.registry.trials import Trials
from forecasting.adapters.signing_keys import make_keys, signer_of, trusted_keys_of
from forecasting.errors import (
    BundleRejected,
    InvalidSettings,
    NotReady,
    PromotionConflict,
    RegistryUnavailable,
    ShortHistory,
    UnknownSymbol,
)
from forecasting.settings import Settings
from pipelines.local import RefreshParams, TrainingParams, run_refresh, run_training
from tests.ports import free_port
from tests.time_limits import seconds, wait_until

pytestmark = pytest.mark.integration

PARAMS = TrainingParams(
    symbols=("AAPL", "NVDA"),
    candidates=("ridge", "random_walk"),
    width="ewma",
    folds=3,
    train_until="2022-12-30",
    combinatorial=4,
    who="the test",
)


@dataclass
class Trained:
    settings: Settings
    outcome: object
    events: list = field(default_factory=list)

    @cached_property
    def registry(self):
        ledger = Ledger(self.settings.prediction_log)
        return Registry(self.settings.registry_url, self.settings.registered_model, ledger=ledger)


@pytest.fixture(scope="module")
def trained(mlflow_url, tmp_path_factory):
    """One training, run from a folder that holds a package named like ours."""
    stand = tmp_path_factory.mktemp("stand")
    (stand / "forecasting").mkdir()
    (stand / "forecasting" / "__init__.py").write_text("raise SystemExit('not ours')")
    settings = Settings(
        state_dir=tmp_path_factory.mktemp("state"),
        registry_url=mlflow_url,
        registered_model="trained",
    )
    make_keys(settings.state_dir / "keys")
    events = []
    before = Path.cwd()
    os.chdir(stand)
    try:
        outcome = run_training(settings, PARAMS, events.append)
    finally:
        os.chdir(before)
    assert [path.name for path in stand.iterdir()] == ["forecasting"]
    trained = Trained(settings, outcome, events)
    yield trained
    trained.registry.close()
    trained.registry.ledger.close()


def test_the_first_training_makes_the_random_walk_champion_and_puts_up_the_best_other(trained):
    registry, outcome = trained.registry, trained.outcome
    champion, challenger = registry.champion(), registry.challenger()
    assert (champion.kind, champion.tags["verdict"]) == ("random_walk", "default")
    assert (challenger.kind, challenger.version) == ("ridge", outcome.challenger)
    assert challenger.tags["verdict"] == outcome.verdict
    if outcome.verdict == "refuse":
        assert outcome.champion == champion.version
        assert not outcome.promoted
    assert outcome.reasons
    assert set(outcome.versions) == set(outcome.runs) == {"ridge", "random_walk"}
    assert registry.ledger.history(registry.model)[-1].who == "the test"


def test_every_version_is_signed_and_the_ledger_says_by_whom(trained):
    keys, signer = trusted_keys_of(trained.settings), signer_of(trained.settings)
    for version in trained.registry.versions():
        statement = keys.verified(
            version.signature,
            model="trained",
            version=version.version,
            digest=version.checked_digest,
        )
        assert statement.data_snapshot == trained.outcome.snapshot
        assert (statement.dataset, statement.run_id) == ("default", version.run_id)
    head = trained.registry.ledger.head("trained")
    assert (head.bundle_digest, head.signer) == (
        trained.registry.champion().bundle_digest,
        signer.key,
    )


def test_a_version_says_where_it_comes_from(trained):
    tags = trained.registry.version(trained.outcome.challenger).tags
    assert tags["data_snapshot"] == trained.outcome.snapshot
    assert (tags["source"], tags["replay"], tags["synthetic"]) == ("sample", "true", "false")
    assert tags["dataset"] == "default"
    assert tags["verdict_reason"] == "; ".join(trained.outcome.reasons)
    assert float(tags["skill"]) < 1
    assert tags["git_revision"]
    assert tags["created_at"].startswith("20")
    assert tags["pipeline_run"].startswith("bellwether-training-")


def test_a_run_keeps_parameters_scores_pictures_and_the_drift_reference(trained, tmp_path):
    import pandas as pd
    from mlflow import MlflowClient

    client = MlflowClient(trained.settings.registry_url)
    run_id = trained.outcome.runs["ridge"]
    run = client.get_run(run_id)
    assert run.data.params["kind"] == "ridge"
    assert run.data.params["seed"] == "7"
    assert run.data.params["model.alpha"]
    assert 0.5 < run.data.metrics["coverage_90"] <= 1
    assert "crps" in run.data.metrics
    assert run.data.tags["version.numpy"]
    assert run.inputs.dataset_inputs[0].dataset.digest == trained.outcome.snapshot
    folders = {file.path for file in client.list_artifacts(run_id)}
    assert folders == {"bundle", "reference", "report", "plots"}
    plots = {file.path for file in client.list_artifacts(run_id, "plots")}
    assert plots == {"plots/calibration.png", "plots/equity.png", "plots/pit.png"}
    kept = client.download_artifacts(run_id, "reference/reference.parquet", str(tmp_path))
    reference = pd.read_parquet(kept)
    assert list(reference.columns[:2]) == ["timestamp", "symbol"]
    assert 1_000 < len(reference) <= 20_000
    assert reference["timestamp"].max() <= pd.Timestamp("2022-12-31", tz="UTC")
    span = reference["timestamp"].max() - reference["timestamp"].min()
    assert span > pd.Timedelta(days=5 * 365)  # drawn from all of the training, not its end
    assert reference.notna().all(axis=None)


def test_the_registered_bundle_is_whole_and_can_forecast(trained, tmp_path):
    from forecasting.bundle.bundle import load_bundle

    registry = trained.registry
    challenger = registry.challenger()
    folder = registry.download_bundle(challenger, tmp_path / "bundle")
    bundle = load_bundle(folder, expected_digest=challenger.bundle_digest)
    assert bundle.kind == "ridge"
    assert bundle.spec.symbols == ("AAPL", "NVDA")
    assert bundle.manifest["training"]["snapshot"] == trained.outcome.snapshot
    assert bundle.manifest["training"]["last"].startswith("2022-12-30")


def verdict_of(trained):
    """The Markdown verdict of a local run."""
    outputs = json.loads((trained.outcome.log.parent / "outcome.json").read_text())
    return Path(outputs["verdict"]).read_text()


def test_the_report_and_the_verdict_are_files_people_can_open(trained):
    assert trained.outcome.report.read_text().lstrip().lower().startswith("<!doctype html")
    verdict = verdict_of(trained)
    assert trained.outcome.verdict in verdict.splitlines()[0].lower()


def test_skill_on_combinatorial_paths_is_beside_the_verdict_and_in_the_report(trained):
    evidence = trained.outcome.report.parent / "evidence" / "decision.json"
    paths = json.loads(evidence.read_text())["paths"]
    assert set(paths) == {"ridge"}
    assert len(paths["ridge"]) == 3
    assert all(-0.2 < skill < 0.2 for skill in paths["ridge"])
    assert "Skill on combinatorial paths" in trained.outcome.report.read_text()


def test_too_few_spans_for_paths_are_refused_before_anything_runs():
    with pytest.raises(InvalidSettings, match="2 of at least 3 spans"):
        TrainingParams(combinatorial=2)


def test_every_leak_check_is_a_gate_of_the_verdict_and_only_hindsight_bars_the_direction(trained):
    from forecasting.leakage.findings import RULES

    evidence = trained.outcome.report.parent / "evidence" / "decision.json"
    gates = {gate["name"]: gate for gate in json.loads(evidence.read_text())["verdict"]["gates"]}
    assert set(RULES) <= set(gates)
    assert [name for name in RULES if not gates[name]["passed"]] == ["survivorship_free"]
    evaluation = json.loads(evidence.read_text())["evaluation"]
    assert set(evaluation["candidates"]) == {"ridge", "random_walk", "random_walk_drift"}
    assert evaluation["candidates"]["ridge"]["split"]["overall"]["drift_p"] is not None
    verdict = verdict_of(trained)
    assert all(rule in verdict for rule in RULES.values())
    assert "Survivorship" not in gates["survivorship_free"]["found"]
    assert "declared: " in gates["survivorship_free"]["found"]


def test_every_step_is_seen_to_start_and_to_end(trained):
    seen = [(event.step, event.label, event.state) for event in trained.events]
    for step, label in (
        ("fetch", "1/1"),
        ("ingest", ""),
        ("features", ""),
        ("train", "ridge"),
        ("train", "random_walk"),
        ("evaluate", ""),
        ("register", ""),
        ("recalibrate", ""),
    ):
        assert seen.index((step, label, "started")) < seen.index((step, label, "done"))
    assert ("train", "ridge", "progress") in seen


def test_the_same_again_trains_nothing_and_registers_nothing_twice(trained):
    registry = trained.registry
    before = [version.version for version in registry.versions()]
    events = []
    again = run_training(trained.settings, PARAMS, events.append)
    assert again.versions["ridge"] == trained.outcome.versions["ridge"]
    assert again.runs == trained.outcome.runs
    assert again.champion == trained.outcome.champion
    assert [version.version for version in registry.versions()] == before
    reused = [(event.step, event.label) for event in events if event.state == "reused"]
    assert reused == [("features", ""), ("train", "ridge"), ("train", "random_walk")]


def test_the_ledger_has_the_trial_once_and_the_gate_says_since_when(trained):
    with closing(Trials(trained.settings.prediction_log)) as trials:
        (trial,) = trials.of(trained.settings.registered_model, "default")
    asked = json.loads(trial.configuration)
    assert (asked["kind"], asked["seed"], asked["folds"]) == ("ridge", 7, 3)
    assert (asked["params"]["width"], asked["interval"], trial.settings) == ("ewma", "1d", 1)
    assert trial.periods > 500
    reseeded = run_training(trained.settings, replace(PARAMS, seed=8))
    (gate,) = [one for one in reseeded.gates if one.name == "survives_trials"]
    assert f"1 other trial in trainings since {trial.at.date()}" in gate.because
    with closing(Trials(trained.settings.prediction_log)) as trials:
        assert len(trials.of(trained.settings.registered_model, "default")) == 2


def test_whatever_the_verdict_what_is_served_is_recalibrated_and_signed(trained):
    settings, registry = trained.settings, trained.registry
    keys = trusted_keys_of(settings)
    with closing(Calibrations(settings.prediction_log)) as calibrations:
        for number in trained.outcome.versions.values():
            record = registry.version(number)
            row = calibrations.history(registry.model, record.version)[-1]
            made = verified(row, registry.model, keys)
            assert (made.bundle_digest, made.version) == (record.bundle_digest, record.version)
            assert (made.data_snapshot, made.until[:4]) == (trained.outcome.snapshot, "2023")
            assert made.reference_run == trained.outcome.runs["random_walk"]
            assert row.who == "training"
            assert all(made.log_stretch)
        champion = registry.champion()
        own = calibrations.history(registry.model, champion.version)[-1].calibration()
        # Its own method is the baseline of its bundle.
        assert own.log_stretch == own.baseline_log_stretch


def test_a_recalibration_by_hand_of_the_same_prices_finds_nothing_newer(trained, monkeypatch):
    from bellwether.cli import app

    def rows():
        with closing(Calibrations(trained.settings.prediction_log)) as calibrations:
            return calibrations.history("trained")

    for name, value in trained.settings.as_variables().items():
        monkeypatch.setenv(name, value)
    before = rows()
    done = CliRunner().invoke(app, ["calibration", "run"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "unchanged; 90 % interval covered" in done.stdout
    assert rows() == before


def test_a_refresh_publishes_features_the_champion_understands(trained, tmp_path):
    from forecasting.adapters.lake.lake import Lake
    from forecasting.bundle.bundle import read_manifest

    params = RefreshParams(symbols=PARAMS.symbols)
    outcome = run_refresh(trained.settings, params)
    lake = Lake(trained.settings.lake)
    spec = trained.registry.specification(trained.registry.champion())
    served = lake.served_features("default", spec.digest)
    assert lake.served_id("default", spec.digest) == outcome.features
    assert outcome.snapshot == trained.outcome.snapshot == served.snapshot_id
    assert served.symbols == ("AAPL", "NVDA")
    assert served.last_bar.year == 2023
    registry = trained.registry
    folder = registry.download_bundle(registry.champion(), tmp_path / "bundle")
    assert read_manifest(folder)[1]["feature_spec_digest"] == served.spec_digest


def test_a_refresh_logs_one_forecast_of_every_symbol_by_every_version_in_use(trained):
    run_refresh(trained.settings, RefreshParams(symbols=PARAMS.symbols))
    run_refresh(trained.settings, RefreshParams(symbols=PARAMS.symbols))
    with closing(PredictionLog(trained.settings.prediction_log)) as log:
        logged = list(log.each_once())
        assert log.count() == len(logged)
        assert log.recent() == []
    served = {trained.registry.champion().version, trained.registry.challenger().version}
    assert served <= {row.model_version for row in logged}
    of_one = [row for row in logged if row.model_version == trained.registry.champion().version]
    assert sorted(row.symbol for row in of_one) == ["AAPL", "NVDA"]
    assert {(row.protocol, row.horizon, row.as_of.year) for row in of_one} == {
        ("refresh", 30, 2023)
    }
    assert all(row.calibration > 0 for row in of_one)


@dataclass
class Artifact:
    """What KFP hands a step, as a plain object."""

    path: str
    metadata: dict


def test_the_champions_method_is_forecast_beside_the_candidates_unless_one_of_them_is_it(
    trained, monkeypatch
):
    from components.evaluate.incumbent import incumbent_of
    from forecasting.models.out_of_sample import OutOfSample

    monkeypatch.setenv("BELLWETHER_REGISTRY_URL", trained.settings.registry_url)
    monkeypatch.setenv("BELLWETHER_REGISTERED_MODEL", trained.settings.registered_model)
    left = trained.outcome.report.parent.parent
    table = Artifact(str(left / "features" / "table"), {})
    walks = [OutOfSample.load(path) for path in left.rglob("out_of_sample") if path.is_file()]
    forecasts = {walk.kind: walk for walk in walks}
    champion, ridge = trained.registry.champion(), trained.registry.challenger()

    def beside(version, candidates):
        return incumbent_of(version, candidates, table, seed=PARAMS.seed)

    for version, name in ((champion, "random_walk"), (ridge, "ridge")):
        found = beside(version, forecasts)
        assert (found.name, found.forecasts, found.absence) == (name, None, "")
    found = beside(ridge, {"random_walk": forecasts["random_walk"]})
    walked = found.forecasts
    assert found.name == "ridge"
    assert walked.params == forecasts["ridge"].params
    assert (walked.fold == forecasts["ridge"].fold).all()
    searched = replace(forecasts["ridge"], params={"alpha": 12_345.0})
    assert beside(ridge, {**forecasts, "ridge": searched}).name == f"ridge_v{ridge.version}"
    swapped = replace(ridge, tags={**ridge.tags, "bundle_digest": "0" * 64})
    with pytest.raises(BundleRejected):
        beside(swapped, forecasts)


@pytest.fixture
def registration(trained, monkeypatch, tmp_path):
    """The register step on what the training left, with the verdict the test wants."""
    from components.register.step import run

    left = trained.outcome.report.parent.parent
    monkeypatch.setenv("BELLWETHER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BELLWETHER_REGISTRY_URL", trained.settings.registry_url)
    monkeypatch.setenv(
        "BELLWETHER_LAKE_URL", str(shutil.copytree(trained.settings.lake, tmp_path / "lake"))
    )
    facts = {
        "snapshot": trained.outcome.snapshot,
        "source": "sample",
        "replay": True,
        "synthetic": False,
        "interval": "1d",
    }

    def register(model, *, word, champion, digest=None):
        monkeypatch.setenv("BELLWETHER_REGISTERED_MODEL", model)
        evidence = tmp_path / f"evidence-{time.monotonic_ns()}"
        shutil.copytree(left / "evaluate" / "evidence", evidence)
        decision = json.loads((evidence / "decision.json").read_text())
        decision |= {"word": word, "champion": champion, "reasons": ["it was better"]}
        (evidence / "decision.json").write_text(json.dumps(decision))
        words = {"digest": digest} if digest else {}
        folders = sorted(left.glob("for-loop-*/train/bundle"))
        bundles = [Artifact(str(path), words) for path in folders]
        assert len(bundles) == 2
        return json.loads(
            run(
                bundles=bundles,
                table=Artifact(str(left / "features" / "table"), facts),
                reference=Artifact(str(left / "features" / "reference"), {}),
                evidence=Artifact(str(evidence), {}),
                report=Artifact(str(left / "evaluate" / "report"), {}),
                verdict=Artifact(str(left / "evaluate" / "verdict"), {}),
                dataset="default",
                who="the test",
                pipeline_run="by hand",
                registered=Artifact(str(tmp_path / "registered"), {}),
            )
        )

    ledger = Ledger(f"sqlite:///{tmp_path / 'state' / 'predictions.sqlite'}")
    with ExitStack() as stack:
        stack.callback(ledger.close)
        yield (
            register,
            lambda model: stack.enter_context(
                Registry(trained.settings.registry_url, model, ledger=ledger)
            ),
        )


def test_a_candidate_that_passes_the_gates_becomes_champion_after_the_random_walk(registration):
    register, open_registry = registration
    outcome = register("promoting", word="promote", champion="")
    registry = open_registry("promoting")
    assert outcome["promoted"]
    assert registry.champion().kind == "ridge"
    assert registry.champion().tags["verdict"] == "promote"
    history = registry.ledger.history("promoting")
    assert [(row.from_version, row.to_version, row.why) for row in history] == [
        ("1", "2", "it was better"),
        ("", "1", "the honest default: nothing has beaten it"),
    ]
    again = register("promoting", word="promote", champion="2")
    assert again["promoted"]
    assert len(registry.ledger.history("promoting")) == 2
    assert len(registry.versions()) == 2


def test_a_training_that_cannot_sign_where_versions_are_signed_registers_nothing(
    trained, registration, tmp_path
):
    register, open_registry = registration
    make_keys(tmp_path / "state" / "keys")
    (tmp_path / "state" / "keys" / "signing.pem").unlink()
    with pytest.raises(InvalidSettings, match="Set BELLWETHER_SIGNING_KEY"):
        register("unsigned", word="promote", champion="")
    assert open_registry("unsigned").versions() == []


def test_a_bundle_that_its_training_step_did_not_write_is_not_registered(registration):
    register, open_registry = registration
    with pytest.raises(BundleRejected, match="must be the one the registry holds"):
        register("swapped", word="promote", champion="", digest="e" * 64)
    assert open_registry("swapped").versions() == []


def test_mlflow_leads_to_the_pipeline_run_and_the_pipelines_page_to_mlflow(
    trained, registration, monkeypatch, tmp_path
):
    monkeypatch.setenv("BELLWETHER_PIPELINE_RUN", "0c9e-run")
    monkeypatch.setenv("BELLWETHER_PIPELINES_PUBLIC_URL", "http://pipelines.example.org/")
    monkeypatch.setenv("BELLWETHER_REGISTRY_PUBLIC_URL", "http://mlflow.example.org")
    register, open_registry = registration
    outcome = register("linked", word="promote", champion="")
    registry = open_registry("linked")
    page = "http://pipelines.example.org/#/runs/details/0c9e-run"
    tags = registry.champion().tags
    assert (tags["kfp_run_id"], tags["kfp_run_url"]) == ("0c9e-run", page)
    from mlflow import MlflowClient

    run = MlflowClient(trained.settings.registry_url).get_run(outcome["runs"]["ridge"])
    assert run.data.tags["kfp_run_url"] == page
    told = (tmp_path / "registered").read_text()
    assert "## Promoted: version 2" in told
    experiment = run.info.experiment_id
    link = f"http://mlflow.example.org/#/experiments/{experiment}/runs/{run.info.run_id}"
    assert f"[{run.info.run_id}]({link})" in told
    assert "[2](http://mlflow.example.org/#/models/linked/versions/2) (champion)" in told


def test_a_verdict_against_an_old_champion_promotes_nothing_and_registers_nothing(registration):
    register, open_registry = registration
    register("conflicting", word="refuse", champion="")
    registry = open_registry("conflicting")
    before = registry.champion().version
    with pytest.raises(PromotionConflict, match="version 9 was weighed"):
        register("conflicting", word="promote", champion="9")
    assert registry.champion().version == before
    assert len(registry.versions()) == 2


def _fails(trained, tmp_path, expected, **changes):
    settings = trained.settings.model_copy(
        update={"state_dir": tmp_path / "state", "registered_model": f"failing-{tmp_path.name}"}
    )
    events = []
    with pytest.raises(expected) as caught:
        run_training(settings, replace(PARAMS, **changes), events.append)
    assert events[-1].state == "failed"
    with RegistryReader(settings.registry_url, settings.registered_model) as registry:
        assert registry.versions() == []
    return settings, caught.value


def test_a_symbol_that_does_not_exist_is_said_so_and_nothing_is_stored(trained, tmp_path):
    from forecasting.adapters.lake.lake import Lake

    settings, error = _fails(trained, tmp_path, UnknownSymbol, symbols=("AAPL", "NOSUCH"))
    assert "NOSUCH" in str(error)
    with pytest.raises(NotReady):
        Lake(settings.lake).latest("default")


def test_too_short_a_history_is_said_so_and_nothing_is_registered(trained, tmp_path):
    _, error = _fails(trained, tmp_path, ShortHistory, train_until="2013-06-28")
    assert error.exit_code == 2
    assert "AAPL" in str(error)


def test_a_date_that_is_none_is_said_so(trained, tmp_path):
    _, error = _fails(trained, tmp_path, InvalidSettings, train_until="last week")
    assert "last week" in str(error)


def test_a_training_without_the_random_walk_is_refused_before_it_starts():
    with pytest.raises(InvalidSettings, match="random walk is one of them"):
        TrainingParams(candidates=("ridge",))


def test_with_the_registry_down_a_training_ends_at_once_and_writes_nothing(tmp_path):
    settings = Settings(
        state_dir=tmp_path / "state", registry_url=f"http://127.0.0.1:{free_port()}"
    )
    started = time.monotonic()
    with pytest.raises(RegistryUnavailable):
        run_training(settings, PARAMS)
    assert time.monotonic() - started < seconds(5)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_training_leaves_no_process_behind(trained, tmp_path):
    settings = trained.settings.model_copy(update={"state_dir": tmp_path / "state"})

    class Interrupted(Exception):
        pass

    def interrupt(event):
        if event.step == "train":
            raise Interrupted

    with pytest.raises(Interrupted):
        run_training(settings, PARAMS, interrupt)
    mark = str(tmp_path / "state").encode()
    wait_until(
        lambda: not [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark in _read(path)],
        5,
    )
    assert threading.active_count() < 50


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_training_with_other_symbols_takes_nothing_from_the_versions_in_use(trained):
    """The outage of one pointer a data set: every pod that started after this refresh was not ready."""
    from forecasting.adapters.lake.lake import Lake
    from serving.loader import Loader
    from serving.state import ServingState

    lake, registry = Lake(trained.settings.lake), trained.registry
    champion = registry.champion()
    spec = registry.specification(champion)
    held = lake.served_id("default", spec.digest)
    others = replace(PARAMS, symbols=("NVDA",), combinatorial=0)
    outcome = run_training(trained.settings, others)
    assert outcome.champion == champion.version
    assert lake.served_id("default", spec.digest) == held
    own = registry.specification(registry.version(outcome.challenger))
    untold = lake.served_features("default", own.digest)
    assert (untold.symbols, untold.last_bar.year) == (("NVDA",), 2023)
    run_refresh(trained.settings, RefreshParams(symbols=("NVDA",)))
    served = lake.served_features("default", spec.digest)
    assert served.id != held
    assert served.symbols == ("AAPL", "NVDA")
    assert lake.differing_symbols("default") == 1
    fresh_pod = Loader(trained.settings, lambda *_: None)
    state = fresh_pod.next_state(ServingState())
    fresh_pod.close()
    for number, symbols in ((champion.version, spec.symbols), (outcome.challenger, ("NVDA",))):
        _, features = state.find(number).fitted()
        assert features.served.symbols == symbols
