"""The registry against a real MLflow server: versions, aliases, promotion, repair, outage."""

import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from forecasting.adapters.registry.ledger import DONE, PENDING, Ledger
from forecasting.adapters.registry.registry import CandidateRun, Registry
from forecasting.errors import PromotionConflict, RegistryUnavailable, UnknownVersion
from tests.ports import free_port
from tests.time_limits import expires, seconds

pytestmark = pytest.mark.integration


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    yield ledger
    ledger.close()


@pytest.fixture
def registry(mlflow_url, ledger):
    with Registry(mlflow_url, f"model-{uuid.uuid4().hex[:8]}", ledger=ledger) as registry:
        yield registry


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "some-bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"format": "bellwether-bundle/1"}')
    (folder / "model.onnx").write_bytes(b"\x00onnx" * 100)
    return folder


def _candidate(bundle, kind="ridge"):
    report = bundle.parent / "report.html"
    report.write_text("<h1>walk-forward</h1>")
    return CandidateRun(
        name=kind,
        params={"kind": kind, "seed": 7, "folds": 6},
        metrics={"crps": 0.5, "coverage_90": 0.91},
        tags={"git_revision": "abc", "bellwether.kind": kind},
        files=((bundle, "bundle"), (report, "report")),
        dataset="default",
        snapshot="0123456789abcdef",
        dataset_source="/lake",
        profile={"rows": 10},
    )


def _registered(registry, bundle, digest, kind="ridge"):
    run = registry.log_candidate("bellwether", _candidate(bundle, kind))
    tags = {"bundle_digest": digest, "kind": kind, "data_snapshot": "s1", "verdict": "refuse"}
    return registry.register(run, tags)


def test_a_new_registry_has_no_champion_no_challenger_and_no_versions(registry):
    assert registry.champion() is None
    assert registry.challenger() is None
    assert registry.versions() == []


def test_a_run_keeps_parameters_metrics_dataset_and_files(registry, bundle, mlflow_url):
    from mlflow import MlflowClient

    run_id = registry.log_candidate("bellwether", _candidate(bundle))
    run = MlflowClient(mlflow_url).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"kind": "ridge", "seed": "7", "folds": "6"}
    assert run.data.metrics == {"crps": 0.5, "coverage_90": 0.91}
    assert run.data.tags["git_revision"] == "abc"
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("default", "0123456789abcdef")
    names = {file.path for file in MlflowClient(mlflow_url).list_artifacts(run_id)}
    assert names == {"bundle", "report"}


def test_a_registered_bundle_comes_back_byte_for_byte(registry, bundle, tmp_path):
    made = _registered(registry, bundle, "d" * 64)
    assert made.bundle_digest == "d" * 64
    assert made.kind == "ridge"
    copy = registry.download_bundle(made, tmp_path / "copy" / made.version)
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == {
        file.name: file.read_bytes() for file in bundle.iterdir()
    }
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [made.version]


def test_a_bundle_of_a_snapshot_is_found_again_so_that_it_is_not_registered_twice(registry, bundle):
    made = _registered(registry, bundle, "e" * 64)
    assert registry.find("e" * 64, "s1").version == made.version
    assert registry.find("e" * 64, "s2") is None
    assert registry.find("f" * 64, "s1") is None


def test_an_unknown_version_is_an_unknown_version(registry, bundle):
    _registered(registry, bundle, "1" * 64)
    for version in ("99", "not-a-number"):
        with pytest.raises(UnknownVersion, match=f"has no version '{version}'"):
            registry.version(version)
    with pytest.raises(UnknownVersion):
        registry.promote("99", expected_champion=None, who="ada", why="a guess")
    assert registry.champion() is None
    assert registry.ledger.history(registry.model) == []


def test_promotion_moves_the_alias_and_leaves_who_when_and_why(registry, bundle):
    first = _registered(registry, bundle, "1" * 64, "random_walk")
    second = _registered(registry, bundle, "2" * 64)
    registry.set_challenger(second.version)
    registry.promote(first.version, expected_champion=None, who="ada", why="the default")
    assert registry.champion().version == first.version
    registry.promote(second.version, expected_champion=first.version, who="bob", why="CRPS -2 %")
    assert registry.champion().version == second.version
    assert registry.challenger().version == second.version
    trail = registry.ledger.history(registry.model)
    assert [(row.from_version, row.to_version, row.who, row.why, row.state) for row in trail] == [
        (first.version, second.version, "bob", "CRPS -2 %", DONE),
        ("", first.version, "ada", "the default", DONE),
    ]


def test_a_verdict_of_yesterdays_champion_is_refused(registry, bundle):
    first, second, third = (_registered(registry, bundle, str(n) * 64) for n in range(3))
    registry.promote(first.version, expected_champion=None, who="ada", why="default")
    registry.promote(second.version, expected_champion=first.version, who="ada", why="better")
    with pytest.raises(PromotionConflict):
        registry.promote(third.version, expected_champion=first.version, who="bob", why="late")
    assert registry.champion().version == second.version


def test_of_many_promoters_at_once_exactly_one_wins_and_the_alias_is_its(
    registry, bundle, mlflow_url, tmp_path
):
    versions = [_registered(registry, bundle, f"{n:064d}").version for n in range(4)]
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    barrier = threading.Barrier(16, timeout=seconds(30))

    def rival(number):
        ledger = Ledger(url)
        barrier.wait()
        try:
            with Registry(mlflow_url, registry.model, ledger=ledger) as own:
                own.promote(
                    versions[number % 4], expected_champion=None, who=str(number), why="race"
                )
        except PromotionConflict:
            return None
        finally:
            ledger.close()
        return versions[number % 4]

    with ThreadPoolExecutor(16) as pool:
        winners = [won for won in pool.map(rival, range(16)) if won]
    assert len(winners) == 1
    assert registry.champion().version == winners[0]
    assert [row.to_version for row in registry.ledger.history(registry.model)] == winners


def test_a_promoter_that_died_before_the_alias_moved_is_completed_by_the_next(registry, bundle):
    first, second, third = (_registered(registry, bundle, str(n) * 64) for n in range(3))
    registry.promote(first.version, expected_champion=None, who="ada", why="default")
    registry.ledger.claim(
        registry.model, expected=first.version, to_version=second.version, who="ada", why="died"
    )
    assert registry.champion().version == first.version
    assert registry.ledger.history(registry.model)[0].state == PENDING
    registry.promote(third.version, expected_champion=second.version, who="bob", why="next")
    assert registry.champion().version == third.version
    assert [row.state for row in registry.ledger.history(registry.model)] == [DONE, DONE, DONE]


def test_an_alias_moved_by_hand_is_put_back_by_repair(registry, bundle, mlflow_url):
    from mlflow import MlflowClient

    first, second = (_registered(registry, bundle, str(n) * 64) for n in range(2))
    registry.promote(first.version, expected_champion=None, who="ada", why="default")
    MlflowClient(mlflow_url).set_registered_model_alias(registry.model, "champion", second.version)
    registry.repair()
    assert registry.champion().version == first.version


def test_a_new_ledger_adopts_the_champion_it_finds(registry, bundle, mlflow_url, tmp_path):
    first, second = (_registered(registry, bundle, str(n) * 64) for n in range(2))
    registry.promote(first.version, expected_champion=None, who="ada", why="default")
    other = Ledger(f"sqlite:///{tmp_path / 'other.sqlite'}")
    with Registry(mlflow_url, registry.model, ledger=other) as anew:
        anew.promote(second.version, expected_champion=first.version, who="bob", why="better")
    assert [row.who for row in other.history(anew.model)] == ["bob", "ledger"]
    other.close()


def test_a_champion_the_registry_has_lost_is_written_off(registry, bundle):
    registry.ledger.settle(
        registry.ledger.claim(registry.model, expected="", to_version="77", who="ada", why="old")
    )
    first = _registered(registry, bundle, "1" * 64)
    registry.promote(first.version, expected_champion=None, who="bob", why="default")
    assert registry.champion().version == first.version
    assert [row.to_version for row in registry.ledger.history(registry.model)] == [
        first.version,
        "",
        "77",
    ]


def test_a_registry_that_is_down_says_so_at_once_and_nothing_is_written(ledger):
    down = Registry(f"http://127.0.0.1:{free_port()}", "model", ledger=ledger)
    started = time.monotonic()
    with pytest.raises(RegistryUnavailable, match="must be reachable") as caught:
        down.promote("1", expected_champion=None, who="ada", why="hope")
    assert time.monotonic() - started < seconds(5)
    assert caught.value.exit_code == 3
    assert ledger.history("model") == []


def test_a_registry_that_never_answers_is_given_up_after_seconds(ledger):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable):
            Registry(url, "model", ledger=ledger, timeout_seconds=expires(2)).champion()
        assert time.monotonic() - started < seconds(8)


def test_an_address_that_is_no_address_is_refused(ledger):
    with pytest.raises(RegistryUnavailable, match="unsupported protocol"):
        Registry("sqlite:///mlflow.db", "model", ledger=ledger).champion()
