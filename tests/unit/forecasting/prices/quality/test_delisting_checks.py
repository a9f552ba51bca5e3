"""A symbol that ends, goes on under another name, or stands twice is told."""

from datetime import UTC, date, datetime

import pandas as pd

from forecasting.adapters.market.providers.synthetic import SyntheticSource
from forecasting.prices.quality.judge import judge

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def made(bars: int = 200) -> pd.DataFrame:
    source = SyntheticSource(seed=2, bars=bars)
    return source.fetch(["AAPL", "FB", "MSFT"], None, date(2026, 5, 29), "1d").bars


def told(bars: pd.DataFrame, stored: pd.DataFrame | None = None) -> list[tuple[str, str]]:
    return [(one.fault, one.found) for one in judge(bars, now=NOW, stored=stored).findings]


def without_newest(bars: pd.DataFrame, symbol: str, count: int) -> pd.DataFrame:
    newest = bars.groupby("symbol").cumcount(ascending=False)
    return bars[(bars["symbol"] != symbol) | (newest >= count)].reset_index(drop=True)


def test_a_symbol_that_ends_weeks_before_the_others_is_told() -> None:
    bars = without_newest(made(), "FB", 12)
    assert told(bars) == [("delisted", "FB ends on 2026-05-12, the others on 2026-05-29")]
    assert told(without_newest(made(), "FB", 8)) == []


def test_a_symbol_that_goes_on_under_another_name_is_told() -> None:
    bars = made()
    newest = bars.groupby("symbol").cumcount(ascending=False)
    bars.loc[(bars["symbol"] == "FB") & (newest < 40), "symbol"] = "META"
    assert told(bars)[1] == (
        "renamed_symbol",
        "FB ends on 2026-04-01, and META begins on 2026-04-02 at its price",
    )


def test_a_newcomer_at_another_price_is_no_new_name() -> None:
    bars = made()
    newest = bars.groupby("symbol").cumcount(ascending=False)
    late = (bars["symbol"] == "FB") & (newest < 40)
    bars.loc[late, ["open", "high", "low", "close"]] *= 1.5
    bars.loc[late, "symbol"] = "IPO"
    assert [fault for fault, _ in told(bars)] == ["delisted"]


def test_a_new_name_is_found_by_what_is_held_of_the_old_one() -> None:
    bars = made()
    newest = bars.groupby("symbol").cumcount(ascending=False)
    new = (bars["symbol"] == "FB") & (newest < 40)
    stored = judge(bars[~new], now=NOW).clean
    fetched = bars.assign(symbol=bars["symbol"].mask(new, "META"))
    fetched = fetched[fetched["symbol"] != "FB"]
    assert told(fetched) == []
    assert told(fetched, stored) == [
        ("renamed_symbol", "FB ends on 2026-04-01, and META begins on 2026-04-02 at its price")
    ]


def test_the_same_bars_under_two_names_are_told() -> None:
    bars = made()
    twin = bars[bars["symbol"] == "FB"].assign(symbol="META")
    assert told(pd.concat([bars, twin], ignore_index=True)) == [
        ("renamed_symbol", "FB ends on 2026-05-29, and META has the same bar")
    ]
