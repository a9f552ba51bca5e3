"""Missed and doubled splits, other units and spikes are told from news by how it was traded."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.adapters.market.providers.sample import SampleSource
from forecasting.adapters.market.providers.synthetic import SyntheticSource
from forecasting.errors import InvalidPrices
from forecasting.prices.quality.bar_checks import _copied
from forecasting.prices.quality.catalogue import HEAVY
from forecasting.prices.quality.judge import judge
from forecasting.prices.quality.jump_checks import LEAST, WINDOW, Series, _usual
from forecasting.schema import ACTIONS, OHLC, OHLCV

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def made(symbol: str = "AAPL", bars: int = 300) -> pd.DataFrame:
    source = SyntheticSource(seed=9, bars=bars)
    return source.fetch([symbol], None, date(2026, 5, 29), "1d").bars


def before(bars: pd.DataFrame, row: int, factor: float, *, shares: bool = False) -> pd.DataFrame:
    bars.loc[: row - 1, list(OHLC)] *= factor
    if shares:
        bars.loc[: row - 1, "volume"] /= factor
    return bars


@pytest.mark.parametrize(
    ("ratio", "words"), [(2.0, "2:1"), (1.5, "3:2"), (10.0, "10:1"), (0.1, "1:10"), (0.5, "1:2")]
)
def test_a_split_that_was_not_recorded_refuses_the_set(ratio: float, words: str) -> None:
    bars = before(made(), 150, ratio, shares=True)
    with pytest.raises(InvalidPrices, match=rf"like a split of {words} \(missed_split\)"):
        judge(bars, now=NOW)
    bars.loc[150, "split"] = ratio
    assert judge(bars, now=NOW).findings == ()


def test_a_split_that_is_recorded_and_not_in_the_prices_or_twice_refuses_the_set() -> None:
    bars = made()
    bars.loc[150, "split"] = 3.0
    with pytest.raises(InvalidPrices, match=r"a split of 3:1 on .* \(doubled_split\)"):
        judge(bars, now=NOW)
    with pytest.raises(InvalidPrices, match="doubled_split"):
        judge(before(bars, 150, 9.0, shares=True), now=NOW)


def test_a_split_recorded_a_day_late_costs_the_bar_between() -> None:
    bars = before(made(), 150, 2.0, shares=True)
    bars.loc[151, "split"] = 2.0
    judged = judge(bars, now=NOW)
    assert judged.quarantine["row"].tolist() == [150]
    assert judged.faults == {"price_spike": 1}


def test_the_same_jump_with_heavy_trading_is_news_and_stays() -> None:
    bars = before(made(), 150, 2.0)
    bars.loc[150, "volume"] *= 12
    judged = judge(bars, now=NOW)
    assert len(judged.clean) == 300
    assert [one.fault for one in judged.findings] == ["news_jump"]


def test_a_special_dividend_explains_its_jump() -> None:
    bars = before(made(), 150, 1.3)
    close = bars["close"].iloc[149]
    bars.loc[150, "dividend"] = close - bars["open"].iloc[150]
    assert judge(bars, now=NOW).findings == ()


@pytest.mark.parametrize("factor", [100.0, 0.01, 1000.0])
def test_another_unit_refuses_the_set_however_it_was_traded(factor: float) -> None:
    bars = before(made(), 150, factor)
    bars.loc[150, "volume"] *= 20
    with pytest.raises(InvalidPrices, match="unit_jump"):
        judge(bars, now=NOW)


def test_a_level_that_moves_for_no_reason_and_stays_is_told() -> None:
    judged = judge(before(made(), 150, 1.84), now=NOW)
    assert [one.fault for one in judged.findings] == ["level_shift"]
    assert len(judged.clean) == 300


@pytest.mark.parametrize("factor", [1.6, 0.5, 100.0])
@pytest.mark.parametrize("length", [1, 4])
def test_prices_that_leave_their_level_and_come_back_are_taken_out(
    factor: float, length: int
) -> None:
    bars = made()
    rows = list(range(150, 150 + length))
    bars.loc[rows, list(OHLC)] *= factor
    judged = judge(bars, now=NOW)
    assert judged.quarantine["row"].tolist() == rows
    assert set(judged.quarantine["fault"]) == {"price_spike"}


def test_a_close_or_an_open_at_another_level_is_a_spike_of_that_bar_alone() -> None:
    bars = made()
    bars.loc[150, ["close", "high"]] *= 1.7
    assert judge(bars, now=NOW).quarantine["row"].tolist() == [150]
    bars = made()
    bars.loc[150, ["open", "low"]] *= 0.6
    assert judge(bars, now=NOW).quarantine["row"].tolist() == [150]


def test_a_crash_in_a_market_that_never_closes_is_no_fault() -> None:
    bars = made("BTC-USD")
    bars.loc[150:, list(OHLC)] *= 0.5
    bars.loc[150, "open"] = bars["close"].iloc[149]
    bars.loc[150, "high"] = bars.loc[150, ["open", "high"]].max()
    assert judge(bars, now=NOW).findings == ()


def test_a_jump_between_the_bars_held_and_the_new_ones_is_seen() -> None:
    bars = made()
    stored = judge(bars[:200], now=NOW).clean
    fetched = bars[200:].reset_index(drop=True)
    assert judge(fetched, now=NOW, stored=stored).findings == ()
    fetched[list(OHLC)] /= 2
    fetched["volume"] *= 2
    assert judge(fetched, now=NOW).findings == ()
    with pytest.raises(InvalidPrices, match="missed_split"):
        judge(fetched, now=NOW, stored=stored)


def test_every_split_of_real_prices_taken_out_of_the_record_is_missed() -> None:
    bars = SampleSource(universe="classic").fetch(["AAPL", "MSFT"], None, None, "1d").bars
    assert {one.fault for one in judge(bars, now=NOW).findings} == {"news_jump"}
    with pytest.raises(InvalidPrices) as refusal:
        judge(bars.assign(split=1.0), now=NOW)
    assert str(refusal.value).count("like a split of 2:1") == 3
    for day in ("2000-06-21", "2005-02-28", "2003-02-18"):
        assert day in str(refusal.value)


def test_a_real_crash_to_half_the_price_is_news_and_no_split() -> None:
    bars = SampleSource(universe="classic").fetch(["AAPL"], None, None, "1d").bars
    told = judge(bars, now=NOW).findings
    assert [one.found for one in told] == [
        "AAPL opens on 2000-09-29 at 0.5269 times its last close"
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_usual_is_what_a_loop_over_the_bars_before_finds(seed: int) -> None:
    chance = np.random.default_rng(seed)
    owner = np.repeat([0, 1, 2], [150, 12, 90])
    numbers = np.exp(chance.normal(0, 0.2, (len(owner), 7)))
    numbers[:, 6] = 1.0
    same = np.concatenate([[False], owner[1:] == owner[:-1]])
    jump = np.where(same, chance.normal(0, 0.1, len(owner)), 0.0)
    series = Series(owner, np.arange(len(owner)), numbers, np.ones(len(owner), dtype=bool))
    rows = np.flatnonzero(same)
    usual = _usual(series, jump, same, rows, 0.5)
    for place, row in enumerate(rows.tolist()):
        mine = [other for other in np.flatnonzero(same).tolist() if owner[other] == owner[row]]
        earlier = [other for other in mine if row - WINDOW <= other < row]
        if row - np.flatnonzero(owner == owner[row])[0] <= LEAST:
            earlier = [other for other in mine if row < other <= row + WINDOW]
        scale = 1.4826 * float(np.median(np.abs(jump[earlier]))) if earlier else 0.0
        assert usual.sigma[place] == pytest.approx(
            scale if len(earlier) >= LEAST // 2 else max(scale, 0.03)
        )
        if earlier:
            shares = numbers[row, 4] / np.median(numbers[earlier, 4])
            money = numbers[row, 4] * numbers[row, 3]
            money /= np.median(numbers[earlier, 4] * numbers[earlier, 3])
            assert usual.heaviness[place] == pytest.approx(min(shares, money))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3), st.integers(0, 2)), max_size=25))
def test_repeated_bars_are_those_a_slow_reader_finds(rows: list[tuple[int, int, int]]) -> None:
    rows.sort(key=lambda row: row[0])
    owner = np.array([row[0] for row in rows], dtype=np.int64)
    numbers = np.array([[2.0, 2.0 + row[2], 1.0, 2.0, row[1]] for row in rows]).reshape(-1, 5)

    def previous(row: int) -> int:
        """The latest earlier bar with the same numbers, -1 if there is none."""
        same = [
            other
            for other in range(row)
            if owner[other] == owner[row] and (numbers[other] == numbers[row]).all()
        ]
        return max(same, default=-1)

    before = [previous(row) for row in range(len(rows))]
    expected = set()
    for row, source in enumerate(before):
        if source == row - 1 and source >= 0:
            expected.add(row)
        for start in range(max(row - 2, 0), row + 1):
            run = range(start, start + 3)
            if start + 3 <= len(rows) and all(
                before[i] >= 0 and i - before[i] == row - source and source >= 0 for i in run
            ):
                expected.add(row)
    found, sources = _copied(numbers, owner)
    assert set(found.tolist()) == expected
    assert [before[row] for row in found.tolist()] == sources.tolist()


def test_the_bars_told_from_splits_are_heavier_than_the_limit_on_real_prices() -> None:
    bars = SampleSource().fetch([], None, None, "1d").bars
    told = judge(bars, now=NOW).findings
    assert len(told) == 11
    for one in told:
        rows = bars[bars["symbol"] == one.symbol].reset_index(drop=True)
        day = one.found.split(" on ")[1][:10]
        at = int(np.flatnonzero(rows["session"] == pd.Timestamp(day))[0])
        recent = rows["volume"].iloc[max(0, at - WINDOW) : at]
        assert at <= LEAST or rows["volume"].iloc[at] > HEAVY * recent.median()


def test_the_columns_are_those_the_numbers_are_read_by() -> None:
    assert (*OHLCV, *ACTIONS) == ("open", "high", "low", "close", "volume", "dividend", "split")


def test_the_only_jump_of_two_bars_is_judged_without_an_overflow() -> None:
    bars = made(bars=2)
    bars.loc[0, list(OHLC)] = bars.loc[1, list(OHLC)].to_numpy() * 4 / 3
    with pytest.raises(InvalidPrices, match="missed_split"):
        judge(bars, now=NOW)
