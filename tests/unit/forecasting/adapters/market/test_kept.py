"""A symbol that nobody asks for any more takes nothing from those that are asked for."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecasting.adapters.ingest import ingest_prices
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.market.kept import fetch_with_kept, judge_with_kept
from forecasting.adapters.market.parts import Gathered, Shard, fetch_part
from forecasting.adapters.market.providers.synthetic import SyntheticSource
from forecasting.errors import InvalidPrices, SourceUnavailable, UnknownSymbol
from forecasting.prices.quality.judge import judge
from tests.clock import machine_now
from tests.unit.panels import walk

ASKED, KEPT = ("AAPL", "MSFT"), ("GONE", "HALT")


class Delisting(SyntheticSource):
    """A source that no longer knows some symbols; it notes what it is asked."""

    def __init__(self, *gone: str) -> None:
        super().__init__(bars=80)
        self.gone, self.requests = set(gone), []

    def fetch(self, symbols: Any, start: Any, end: Any, interval: str) -> Any:
        self.requests.append(tuple(symbols))
        if unknown := self.gone & set(symbols):
            raise UnknownSymbol("the source knows the symbol", ", ".join(unknown))
        return super().fetch(symbols, start, end, interval)


def test_kept_symbols_come_in_the_same_request_while_they_can_be_had() -> None:
    source = Delisting()
    got, missing = fetch_with_kept(source, ASKED, KEPT, "1d")
    assert got is not None
    assert set(got.bars["symbol"]) == {*ASKED, *KEPT}
    assert (missing, source.requests) == ((), [(*ASKED, *KEPT)])


def test_one_that_is_gone_is_told_and_the_others_come() -> None:
    source = Delisting("GONE")
    got, (missing,) = fetch_with_kept(source, ASKED, KEPT, "1d")
    assert got is not None
    assert set(got.bars["symbol"]) == {*ASKED, "HALT"}
    assert missing.startswith("GONE could not be fetched, and keeps its bars of before")
    assert fetch_with_kept(source, (), ("GONE",), "1d")[0] is None


def test_what_is_asked_for_fails_as_without_any_kept() -> None:
    with pytest.raises(UnknownSymbol, match="AAPL"):
        fetch_with_kept(Delisting("AAPL"), ASKED, KEPT, "1d")


@pytest.mark.parametrize("count", [1, 3, 4])
def test_shards_share_kept_symbols_out_and_one_of_them_may_have_nothing(
    count: int, tmp_path: Path
) -> None:
    lake, source = Lake(str(tmp_path / "lake")), Delisting("GONE")
    options: dict[str, Any] = {"symbols": ASKED, "interval": "1d", "kept": KEPT}
    parts = []
    for number in range(1, count + 1):
        part = fetch_part(source, Shard(number, count), may_fail=False, **options)
        part.save(tmp_path / str(number))
        parts.append(type(part).load(tmp_path / str(number)))
    done = ingest_prices(Gathered(source, parts), lake, "default", last_good_days=7, **options)
    assert done.snapshot.symbols == ("AAPL", "HALT", "MSFT")
    assert any("GONE could not be fetched" in note for note in done.notes)


def test_of_history_that_is_replayed_nothing_is_fetched_besides() -> None:
    source = Delisting()
    source.replay = True
    part = fetch_part(source, Shard(1, 1), symbols=ASKED, kept=KEPT, interval="1d", may_fail=False)
    assert (source.requests, part.requested) == ([ASKED], (*ASKED, *KEPT))


def test_a_source_that_is_away_is_away_for_all() -> None:
    class Away(Delisting):
        def fetch(self, *_: Any) -> Any:
            raise SourceUnavailable("a source answers", "it was silent")

    with pytest.raises(SourceUnavailable):
        fetch_with_kept(Away(), ASKED, KEPT, "1d")


def test_a_kept_symbol_that_is_refused_keeps_its_bars_and_the_rest_is_judged() -> None:
    bars = pd.concat([walk(name, 80, seed=seed) for seed, name in enumerate((*ASKED, *KEPT))])
    bars = bars.reset_index(drop=True)
    ruined = (bars["symbol"] == "HALT") & (np.arange(len(bars)) % 2 == 0)
    bars.loc[ruined, "close"] = -1.0
    judged = partial(judge, now=machine_now())
    with pytest.raises(InvalidPrices):
        judged(bars)
    clean, (refused,) = judge_with_kept(bars, KEPT, judged)
    assert set(clean.clean["symbol"]) == {*ASKED, "GONE"}
    assert refused.startswith("HALT is refused, and keeps its bars of before")
    with pytest.raises(InvalidPrices, match="HALT"):
        judge_with_kept(bars, ("GONE",), judged)
