"""Opening sources, retrying them, standing in for them, and making prices up."""

import random
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.market.fallback import fetch_or_last_good
from forecasting.adapters.market.http.retry import with_retries
from forecasting.adapters.market.open import open_source, source_names
from forecasting.adapters.market.source import FetchResult, PriceSource, Survivorship
from forecasting.errors import InvalidSettings, RateLimited, SourceUnavailable, UnknownSymbol
from forecasting.prices.quality.judge import judge
from forecasting.schema import INTERVALS
from forecasting.settings import Settings
from tests.clock import NOW, Clock


def test_every_own_source_is_listed_and_keeps_the_protocol(tmp_path: Path) -> None:
    own = ("ccxt", "files", "sample", "synthetic", "tiingo", "tinvest", "yahoo")
    assert set(own) <= set(source_names())
    for name in own:
        options = {"path": tmp_path} if name == "files" else {}
        source = open_source(name, Settings(), **options)
        assert isinstance(source, PriceSource)
        assert source.name == name


def test_an_unknown_source_and_an_unknown_option_are_refused_with_what_there_is() -> None:
    with pytest.raises(
        InvalidSettings, match="ccxt, files, sample, synthetic, tiingo, tinvest, yahoo"
    ):
        open_source("bloomberg", Settings())
    with pytest.raises(InvalidSettings, match="takes the options: seed, count, bars"):
        open_source("synthetic", Settings(), colour="red")


PLUGIN = """
class Source:
    name, replay, synthetic = "theirs", False, False
    def __init__(self, settings, *, key=""):
        self.key = key
    def fetch(self, symbols, start, end, interval):
        raise NotImplementedError
not_a_source = lambda settings: 42
"""


def test_other_packages_add_sources_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(PLUGIN)
    (tmp_path / "broken_theirs.py").write_text("import a_package_nobody_has")
    metadata = tmp_path / "theirs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[bellwether.sources]\n"
        "theirs = theirs:Source\nwrong = theirs:not_a_source\nbroken = broken_theirs:Source\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "theirs" in source_names()
    assert open_source("theirs", Settings(), key="k").name == "theirs"
    with pytest.raises(InvalidSettings, match="gave a int"):
        open_source("wrong", Settings())
    with pytest.raises(SourceUnavailable, match="a_package_nobody_has"):
        open_source("broken", Settings())
    for name in ("theirs", "broken_theirs"):
        sys.modules.pop(name, None)


class Sleeper:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def failing(*failures: Exception):
    left = list(failures)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return call


def test_retries_wait_longer_each_time_with_jitter() -> None:
    clock = Sleeper()
    down = [SourceUnavailable("down") for _ in range(4)]
    answer = with_retries(
        failing(*down), deadline=60, sleep=clock.sleep, clock=clock, jitter=random.Random(1)
    )
    assert answer == "answer"
    for waited, longest in zip(clock.slept, (0.5, 1.0, 2.0, 4.0), strict=True):
        assert longest / 2 <= waited <= longest


def test_retries_end_with_the_attempts_or_the_deadline() -> None:
    clock = Sleeper()
    down = [SourceUnavailable(f"down {i}") for i in range(9)]
    with pytest.raises(SourceUnavailable, match="down 4"):
        with_retries(failing(*down), deadline=1e9, sleep=clock.sleep, clock=clock)
    clock = Sleeper()
    with pytest.raises(SourceUnavailable, match="down 0"):
        with_retries(failing(*down), deadline=0.1, sleep=clock.sleep, clock=clock)
    assert clock.slept == []


def test_an_attempt_that_the_deadline_cuts_short_does_not_hide_why_the_provider_failed() -> None:
    clock = Sleeper()
    limited = RateLimited("slow down", retry_after=3.0)

    def call() -> str:
        if not clock.slept:
            raise limited
        clock.sleep(5.0 - clock())
        raise SourceUnavailable("no answer in 2 s")

    with pytest.raises(RateLimited, match="slow down") as caught:
        with_retries(call, deadline=5.0, sleep=clock.sleep, clock=clock)
    assert str(caught.value.__cause__) == "no answer in 2 s"


def test_a_rate_limit_is_waited_for_as_long_as_it_asks_or_not_at_all() -> None:
    clock = Sleeper()
    limited = RateLimited("slow down", retry_after=7.0)
    assert with_retries(failing(limited), deadline=8, sleep=clock.sleep, clock=clock) == "answer"
    assert clock.slept == [7.0]
    with pytest.raises(RateLimited):
        with_retries(failing(limited), deadline=14, sleep=clock.sleep, clock=clock)


def test_what_the_caller_did_wrong_is_not_tried_again() -> None:
    clock = Sleeper()
    with pytest.raises(UnknownSymbol):
        with_retries(failing(UnknownSymbol("no such")), deadline=60, sleep=clock.sleep, clock=clock)
    assert clock.slept == []


def test_every_result_says_how_its_symbols_were_chosen_even_if_the_source_does_not() -> None:
    undeclared = FetchResult(pd.DataFrame(), NOW).survivorship
    assert "does not say how its symbols were chosen" in undeclared.sentence
    assert undeclared.declaration == ""
    declared = Survivorship("hindsight", "They did well.")
    assert declared.sentence == f"Survivorship: {declared.declaration}"
    assert declared.declaration.startswith("the symbols were chosen afterwards")
    assert declared.declaration.endswith("could have had. They did well.")
    chosen = ("hindsight", "point in time", "none", "named", "undeclared")
    assert [Survivorship(choice).hindsight for choice in chosen] == [True, False, False, None, None]
    made_up = open_source("synthetic", Settings()).fetch(["A"], None, None, "1d")
    assert "nothing here that could have failed" in made_up.survivorship.sentence


def test_the_processes_of_a_fetch_are_told_to_the_sources_that_share_a_limit() -> None:
    for name in ("ccxt", "tiingo", "tinvest"):
        assert vars(open_source(name, Settings(), 8))["processes"] == 8
    assert open_source("sample", Settings(), 8).name == "sample"


class Down:
    """A source that fails as it is told to."""

    name, replay, synthetic = "synthetic", False, True

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        raise self.failure


@pytest.fixture
def held(tmp_path: Path, clock: Clock) -> Lake:
    lake = Lake(str(tmp_path))
    fetched = open_source("synthetic", Settings(), bars=300).fetch(["AAPL"], None, None, "1d")
    lake.append(
        "default",
        judge(fetched.bars, now=fetched.fetched_at),
        source="synthetic",
        replay=False,
        synthetic=True,
        interval="1d",
        fetched_at=clock.now - timedelta(days=3),
        notes=(*fetched.notes, fetched.survivorship.sentence),
        survivorship=fetched.survivorship,
    )
    return lake


def stand_in(lake: Lake, **changes: object) -> FetchResult:
    source = Down(SourceUnavailable("the provider must answer", "HTTP 500", "Wait"))
    asked: dict[str, object] = {"symbols": ["AAPL"], "interval": "1d", "last_good_days": 7.0}
    return fetch_or_last_good(source, lake, "default", **(asked | changes))  # type: ignore[arg-type]


def test_the_last_good_snapshot_stands_in_and_says_why(held: Lake) -> None:
    result = stand_in(held)
    assert result.fallback
    assert len(result.bars) == 300
    assert result.fetched_at == held.latest("default").fetched_at
    assert "synthetic failed (the provider must answer: HTTP 500)" in result.notes[0]
    assert f"{result.fetched_at:%Y-%m-%d %H:%M}" in result.notes[0]
    assert result.survivorship == Survivorship("none")
    assert result.notes.count(result.survivorship.sentence) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"last_good_days": 2.0}, "at most 2 days old: it is 3.0"),
        ({"symbols": ["AAPL", "TSLA"]}, "TSLA not in"),
        ({"interval": "1h"}, "must hold 1h bars"),
    ],
)
def test_a_snapshot_that_does_not_fit_does_not_stand_in(
    held: Lake, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(SourceUnavailable, match=said) as caught:
        stand_in(held, **changes)
    assert "HTTP 500" in str(caught.value)


def test_with_no_snapshot_the_failure_is_told_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"HTTP 500.*Wait\. No snapshot stands in"):
        stand_in(Lake(str(tmp_path)))


def test_a_users_mistake_is_not_covered_up_by_a_snapshot(held: Lake) -> None:
    with pytest.raises(UnknownSymbol):
        fetch_or_last_good(
            Down(UnknownSymbol("no such")), held, "default", symbols=["AAPL"], last_good_days=7.0
        )


def make_up(symbols: Sequence[str] = (), interval: str = "1d", **options: object) -> pd.DataFrame:
    source = open_source("synthetic", Settings(), **options)
    return source.fetch(symbols, None, date(2026, 5, 29), interval).bars


@pytest.mark.parametrize("interval", sorted(INTERVALS))
def test_made_up_prices_keep_the_contract_at_every_interval(interval: str) -> None:
    bars = make_up(["AAPL", "BTC-USD", "EURUSD", "2330.TW"], interval, bars=400)
    judged = judge(bars, now=NOW, interval=interval)
    assert judged.quarantine.empty
    assert judged.clean["symbol"].value_counts().tolist() == [400] * 4


def test_made_up_prices_are_said_to_be_and_end_before_today(clock: Clock) -> None:
    source = open_source("synthetic", Settings(), seed=4)
    fetched = source.fetch([], None, None, "1d")
    assert source.synthetic
    assert "Synthetic prices (seed 4)" in fetched.notes[0]
    assert fetched.bars["symbol"].nunique() == 5
    assert fetched.bars["session"].max().date() == clock.now.date() - timedelta(days=1)


def test_the_same_seed_and_end_make_the_same_prices_whatever_else_is_asked() -> None:
    both = make_up(["AAPL", "MSFT"], bars=500)
    pd.testing.assert_frame_equal(both, make_up(["AAPL", "MSFT"], bars=500))
    alone = make_up(["MSFT"], bars=500)
    msft = both[both["symbol"] == "MSFT"].reset_index(drop=True)
    pd.testing.assert_frame_equal(msft, alone)
    assert not np.allclose(make_up(["MSFT"], bars=500, seed=1)["close"], alone["close"])


def test_a_later_end_only_adds_bars() -> None:
    source = open_source("synthetic", Settings(), bars=3_000)
    early = source.fetch(["AAPL"], date(2020, 1, 1), date(2024, 1, 31), "1d").bars
    late = source.fetch(["AAPL"], date(2020, 1, 1), date(2026, 1, 31), "1d").bars
    pd.testing.assert_frame_equal(early, late.iloc[: len(early)])


def test_made_up_returns_have_fat_tails_and_clustered_volatility() -> None:
    bars = make_up([f"S{i}" for i in range(20)], bars=4_000)
    wide = bars.pivot_table(index="session", columns="symbol", values="close")
    returns = np.log(wide).diff().iloc[1:]
    assert (returns.kurt() > 1).all()
    absolute = returns.abs()
    memory = [absolute[symbol].autocorr(5) for symbol in absolute]
    assert np.mean(memory) > 0.1
    assert abs(np.mean([returns[symbol].autocorr(1) for symbol in returns])) < 0.05
    assert 0.1 < returns.std().mean() * np.sqrt(252) < 0.5
    together = returns.corr().to_numpy()[np.triu_indices(20, 1)].mean()
    assert 0.2 < together < 0.7


def test_made_up_prices_do_not_begin_before_2010_nor_take_odd_options() -> None:
    source = open_source("synthetic", Settings())
    with pytest.raises(SourceUnavailable, match="2010-01-04"):
        source.fetch([], date(2001, 1, 1), date(2002, 1, 1), "1d")
    with pytest.raises(InvalidSettings, match="whole numbers"):
        open_source("synthetic", Settings(), seed="many")
    with pytest.raises(InvalidSettings, match="at least 1"):
        open_source("synthetic", Settings(), count=0)
