"""The fetch step: what a shard holds, and what is refused before a provider is asked."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from components.fetch.step import run
from forecasting.adapters.market.parts import FetchedPart
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


def test_a_part_says_which_shard_it_is_and_how_much_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLWETHER_LAKE_URL", str(tmp_path / "lake"))
    rows = []
    for shard, symbols in (("1/2", 1), ("2/2", 1)):
        part = SimpleNamespace(path=str(tmp_path / shard.replace("/", "-")), metadata={})
        run(
            symbols="AAA,BBB",
            source="synthetic",
            source_options='{"bars": 80}',
            interval="1d",
            dataset="default",
            shard=shard,
            bars=part,
        )
        loaded = FetchedPart.load(Path(part.path))
        rows.append(len(loaded.bars))
        assert part.metadata == {
            "shard": shard, "symbols": symbols, "rows": rows[-1], "failure": "",
        }  # fmt: skip
    assert rows == [80, 80]
