"""How far two providers agree, and when the one may not stand in for the other."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.adapters.market.secondary import TOLERANCE, compare, differing_share, in_words
from forecasting.prices.calendar import session_closes


def bars(count: int = 60, symbol: str = "AAPL") -> pd.DataFrame:
    sessions = pd.bdate_range("2024-01-02", periods=count)
    close = 100 + np.arange(count) / 3
    return pd.DataFrame(
        {
            "symbol": symbol,
            "timestamp": session_closes(symbol, sessions),
            "session": sessions,
            "open": close, "high": close + 1, "low": close - 1, "close": close,
            "volume": 1_000.0 + np.arange(count), "dividend": 0.0, "split": 1.0,
        }
    )  # fmt: skip


def changed(column: str, at: int, value: float) -> pd.DataFrame:
    theirs = bars()
    theirs.loc[at, column] = value
    return theirs


def test_rounding_and_another_order_are_no_disagreement() -> None:
    theirs = bars().sample(frac=1, random_state=1)
    theirs["close"] = theirs["close"].round(2)
    theirs["volume"] *= 1.1
    (one,) = compare(bars(), theirs, "1d")
    assert (one.bars, one.differing, one.missing, one.actions) == (60, 0, 0, ())
    assert one.refusals == ()
    assert in_words([one], "yahoo", "tiingo") == (
        "yahoo and tiingo have 60 bars in common; 0 closes differ by more than 0.1%, "
        "0 dividends or splits differ."
    )


@given(st.lists(st.floats(0.98, 1.02), min_size=60, max_size=60))
def test_the_differing_closes_are_those_a_plain_loop_finds(factors: list[float]) -> None:
    ours, theirs = bars(), bars()
    theirs["close"] *= factors
    pairs = zip(ours["close"], theirs["close"], strict=True)
    expected = [abs(b - a) / a for a, b in pairs]
    (one,) = compare(ours, theirs, "1d")
    assert one.differing == sum(apart > TOLERANCE for apart in expected)
    assert one.worst == pytest.approx(max(expected))
    assert differing_share([one]) == one.differing / 60


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (bars().assign(close=lambda b: b["close"] * 1.01), "60 of 60 closes differ"),
        (changed("split", 30, 4.0), "split on 2024-02-13: 1 and 4"),
        (changed("dividend", 30, 0.25), "dividend on 2024-02-13: 0 and 0.25"),
        (bars().drop(index=range(10, 15)), "5 bars are missing"),
        (bars().assign(volume=lambda b: b["volume"] * 40), "volumes differ by a factor of 40"),
        (bars().tail(19), "only 19 common bars"),
        (bars().iloc[:0], "only 0 common bars"),
        (changed("close", 30, float("nan")).assign(close=float("nan")), "closes differ"),
    ],
)
def test_what_would_make_the_splice_a_move_nobody_paid_is_refused(
    theirs: pd.DataFrame, why: str
) -> None:
    (one,) = compare(bars(), theirs, "1d")
    assert any(why in words for words in one.refusals), one.refusals


def test_one_late_trade_or_one_missing_bar_is_told_and_not_refused() -> None:
    (one,) = compare(bars(), changed("close", 30, 105.0), "1d")
    assert (one.differing, one.refusals) == (1, ())
    (one,) = compare(bars(), bars().drop(index=30), "1d")
    assert (one.missing, one.refusals) == (1, ())


def test_a_dividend_rounded_to_cents_is_the_same_dividend() -> None:
    ours = bars()
    ours.loc[30, "dividend"] = 0.2475
    (one,) = compare(ours, changed("dividend", 30, 0.25), "1d")
    assert one.actions == ()


def test_only_the_span_both_have_counts_and_symbols_are_judged_one_by_one() -> None:
    ours = pd.concat([bars(), bars(symbol="MSFT")], ignore_index=True)
    theirs = pd.concat(
        [bars(90).tail(60), bars(symbol="MSFT").assign(close=1.0)], ignore_index=True
    )
    apple, microsoft = compare(ours, theirs, "1d")
    assert (apple.bars, apple.missing, apple.refusals) == (30, 0, ())
    assert microsoft.differing == 60
    assert "MSFT: 60 of 60 closes differ" in in_words([apple, microsoft], "yahoo", "tiingo")


def test_intraday_bars_are_the_same_by_their_close() -> None:
    ours = bars(2)
    hourly = pd.concat([ours] * 12, ignore_index=True)
    hourly["timestamp"] = pd.date_range("2024-01-02 15:00Z", periods=24, freq="h")
    (one,) = compare(hourly, hourly, "1h")
    assert one.bars == 24
