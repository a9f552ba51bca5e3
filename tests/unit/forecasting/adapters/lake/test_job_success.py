"""What a job's success publishes for monitoring."""

from datetime import UTC, datetime

from forecasting.adapters.lake.feature_store import FeatureStore
from forecasting.adapters.lake.job_success import publish_success
from forecasting.features.spec import FeatureSpec
from forecasting.settings import Settings


def test_a_refresh_publishes_how_many_specifications_versions_in_use_need(tmp_path, monkeypatch):
    settings = Settings(lake_url=str(tmp_path / "lake"), state_dir=tmp_path / "state")
    specs = {symbol: FeatureSpec(symbols=(symbol,)) for symbol in ("AAPL", "MSFT", "NVDA")}
    idle = {"MSFT": datetime(2026, 11, 1, tzinfo=UTC)}
    monkeypatch.setattr(FeatureStore, "specifications", lambda self, dataset: specs)
    monkeypatch.setattr(FeatureStore, "idle_since", lambda self, dataset, one: idle.get(one))
    for job in ("refresh", "training"):
        assert publish_success(settings, job, "default") == ""
    text = settings.metrics_file("refresh").read_text()
    assert 'bellwether_feature_specifications{dataset="default"} 2.0' in text
    assert "feature_specifications" not in settings.metrics_file("training").read_text()
