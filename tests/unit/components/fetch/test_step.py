"""What the fetch step refuses before it asks a provider for anything."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from components.fetch.step import run
from forecasting.errors import InvalidSettings


@pytest.mark.parametrize("fallback", ["bloomberg", "sample"])
def test_a_second_provider_that_cannot_stand_in_is_refused_before_the_fetch(
    fallback: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLWETHER_LAKE_URL", str(tmp_path / "lake"))
    monkeypatch.setenv("BELLWETHER_FALLBACK_SOURCE", fallback)
    part = SimpleNamespace(path=str(tmp_path / "part"), metadata={})
    with pytest.raises(InvalidSettings, match=fallback):
        run(
            symbols="AAPL",
            source="tiingo",
            source_options="{}",
            interval="1d",
            dataset="default",
            shard="1/1",
            bars=part,
        )
    assert not Path(part.path).exists()
