"""Settings come from BELLWETHER_* variables, and go to other processes as the same ones."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from forecasting.errors import InvalidSettings
from forecasting.settings import Settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in Settings().as_variables():
        monkeypatch.delenv(name, raising=False)


def test_addresses_that_are_not_set_lie_in_the_state_folder():
    settings = Settings(state_dir=Path("/state"), registry_url="http://mlflow:5000")
    assert settings.lake == "/state/lake"
    assert settings.prediction_log == "sqlite:////state/predictions.sqlite"
    assert settings.batch_metrics_file == Path("/state/metrics/drift.prom")
    assert settings.metrics_file("ingest") == Path("/state/metrics/ingest.prom")
    assert settings.registry_link == "http://mlflow:5000"


def test_addresses_that_are_set_are_taken():
    settings = Settings(
        lake_url="s3://lake", prediction_log_url="postgresql://log", registry_public_url="https://m"
    )
    assert (settings.lake, settings.prediction_log) == ("s3://lake", "postgresql://log")
    assert settings.registry_link == "https://m"


def test_variables_are_read_and_empty_ones_are_not(monkeypatch):
    monkeypatch.setenv("BELLWETHER_HTTP_PORT", "9000")
    monkeypatch.setenv("BELLWETHER_REGISTRY_URL", "")
    assert Settings().http_port == 9000
    assert Settings().registry_url == "http://127.0.0.1:5000"


def test_another_process_reads_the_same_settings(monkeypatch, tmp_path):
    settings = Settings(state_dir=tmp_path / "x" / "..", page_trains=False, last_good_days=2.5)
    for name, value in settings.as_variables().items():
        monkeypatch.setenv(name, value)
    read = Settings()
    assert read.state_dir == tmp_path
    assert read == settings.model_copy(update={"state_dir": tmp_path})


@pytest.mark.parametrize(
    "values",
    [
        {"http_port": 0},
        {"grpc_port": -1},
        {"reload_seconds": 0},
        {"unknown": 1},
    ],
)
def test_values_that_make_no_sense_are_refused(values):
    with pytest.raises(ValidationError, match=next(iter(values))):
        Settings(**values)


@pytest.mark.parametrize("alpha", ["0.5", "0.0501", "0", "-1", "nan"])
def test_a_looser_level_of_promotion_is_refused_in_words(monkeypatch, alpha):
    monkeypatch.setenv("BELLWETHER_PROMOTION_ALPHA", alpha)
    with pytest.raises(InvalidSettings, match=r"BELLWETHER_PROMOTION_ALPHA .* at most 0.05: "):
        Settings()


def test_a_stricter_level_of_promotion_is_taken(monkeypatch):
    monkeypatch.setenv("BELLWETHER_PROMOTION_ALPHA", "0.01")
    assert Settings().promotion_alpha == 0.01


def test_tokens_are_not_shown():
    assert "secret" not in repr(Settings(tiingo_token="secret", tinvest_token="secret"))
