"""Every fault is named, quarantined or refused, and never reaches the clean bars."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InvalidPrices, InvalidSettings, ShortHistory
from forecasting.prices.calendar import session_bars
from forecasting.prices.quality.catalogue import FAULTS, QUARANTINE_COLUMNS, STALE_RUN
from forecasting.prices.quality.judge import judge, require_history
from forecasting.schema import PRICE_COLUMNS, validate_prices

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def bars(symbols: tuple[str, ...] = ("AAPL", "MSFT"), count: int = 100) -> pd.DataFrame:
    chance = np.random.default_rng(7)
    closes, days = session_bars("AAPL", date(2015, 1, 2), date(2026, 5, 29), "1d")
    first = int(days.searchsorted(pd.Timestamp("2025-06-02"))) if count < 200 else 0
    closes, days = closes[first : first + count], days[first : first + count]
    frames = []
    for symbol in symbols:
        close = 100 * np.exp(chance.normal(0, 0.01, count).cumsum())
        opened = close * np.exp(chance.normal(0, 0.004, count))
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "timestamp": closes,
                    "session": days,
                    "open": opened,
                    "high": np.maximum(opened, close) * 1.004,
                    "low": np.minimum(opened, close) * 0.996,
                    "close": close,
                    "volume": 1e6 * np.exp(chance.normal(0, 0.3, count)).round(3),
                    "dividend": 0.0,
                    "split": 1.0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def with_cell(row: int, column: str, value: object) -> pd.DataFrame:
    frame = bars()
    if not isinstance(value, int | float):
        frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


def test_sound_bars_pass_unchanged() -> None:
    frame = bars()
    judged = judge(frame, now=NOW)
    pd.testing.assert_frame_equal(judged.clean, frame[list(PRICE_COLUMNS)])
    assert judged.quarantine.empty
    assert tuple(judged.quarantine.columns) == QUARANTINE_COLUMNS
    assert judged.repairs == {}


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("close", float("nan"), "missing_value"),
        ("close", "abc", "missing_value"),
        ("symbol", None, "missing_value"),
        ("symbol", "", "missing_value"),
        ("timestamp", pd.NaT, "missing_value"),
        ("session", pd.NaT, "missing_value"),
        ("volume", None, "missing_value"),
        ("high", float("inf"), "not_finite"),
        ("volume", float("inf"), "not_finite"),
        ("low", 0.0, "non_positive_price"),
        ("open", -3.0, "non_positive_price"),
        ("volume", -1.0, "negative_volume"),
        ("dividend", -0.5, "impossible_action"),
        ("split", 0.0, "impossible_action"),
        ("high", 1.0, "high_below_low"),
        ("close", 500.0, "close_outside_range"),
        ("open", 1.0, "close_outside_range"),
        ("timestamp", pd.Timestamp("2026-06-02", tz="UTC"), "future_bar"),
    ],
)
def test_a_faulty_bar_is_quarantined_with_the_name_of_its_fault(
    column: str, value: object, fault: str
) -> None:
    judged = judge(with_cell(42, column, value), now=NOW)
    assert judged.faults == {fault: 1}
    assert len(judged.clean) == 199
    row = judged.quarantine.iloc[0]
    assert row["row"] == 42
    assert row["detail"]
    assert column in row["detail"] or fault == "future_bar"


def test_a_missing_cell_is_shown_as_it_was_found() -> None:
    judged = judge(with_cell(42, "close", "abc"), now=NOW)
    assert judged.quarantine["detail"].iloc[0] == "close is 'abc'"


def test_of_identical_copies_the_first_stays() -> None:
    frame = bars()
    judged = judge(pd.concat([frame, frame.iloc[[5, 6]]], ignore_index=True), now=NOW)
    assert judged.faults == {"duplicate_bar": 2}
    assert judged.quarantine["row"].tolist() == [200, 201]
    pd.testing.assert_frame_equal(judged.clean, frame[list(PRICE_COLUMNS)])


def test_of_copies_that_disagree_none_stays() -> None:
    frame = bars()
    other = frame.iloc[[5]].assign(volume=7.0)
    judged = judge(pd.concat([frame, other], ignore_index=True), now=NOW)
    assert judged.faults == {"duplicate_bar": 2}
    assert sorted(judged.quarantine["row"]) == [5, 200]
    assert len(judged.clean) == 199


def test_two_bars_of_one_session_are_duplicates_if_daily_and_not_if_hourly() -> None:
    frame = bars()
    later = frame.iloc[[5]].assign(
        timestamp=frame["timestamp"].iloc[5] - pd.Timedelta(minutes=9), volume=7.0
    )
    both = pd.concat([frame, later], ignore_index=True)
    assert judge(both, now=NOW).faults == {"duplicate_bar": 2}
    assert judge(both, now=NOW, interval="1h").faults == {}


def test_a_faulty_copy_does_not_take_the_good_bar_with_it() -> None:
    frame = bars()
    copy = frame.iloc[[5]].assign(close=float("nan"))
    judged = judge(pd.concat([frame, copy], ignore_index=True), now=NOW)
    assert judged.faults == {"missing_value": 1}
    assert len(judged.clean) == 200


def test_a_whole_file_given_twice_loses_nothing() -> None:
    frame = bars()
    judged = judge(pd.concat([frame, frame], ignore_index=True), now=NOW)
    assert len(judged.clean) == 200
    assert judged.faults == {"duplicate_bar": 200}


def test_bars_out_of_order_are_sorted_and_counted() -> None:
    frame = bars()
    swapped = frame.iloc[[1, 0, *range(2, 200)]].reset_index(drop=True)
    judged = judge(swapped, now=NOW)
    pd.testing.assert_frame_equal(judged.clean, frame[list(PRICE_COLUMNS)])
    assert judged.repairs == {"unsorted": 1}


def test_symbols_row_by_row_in_turns_are_no_blemish() -> None:
    by_time = bars().sort_values(["timestamp", "symbol"], ascending=[True, False])
    judged = judge(by_time, now=NOW)
    pd.testing.assert_frame_equal(judged.clean, bars()[list(PRICE_COLUMNS)])
    assert judged.repairs == {}


def test_a_high_that_misses_the_close_by_rounding_is_moved_and_counted() -> None:
    frame = bars()
    frame.loc[3, "high"] = max(frame.loc[3, "open"], frame.loc[3, "close"]) * (1 - 5e-7)
    frame.loc[4, "low"] = min(frame.loc[4, "open"], frame.loc[4, "close"]) * (1 + 5e-7)
    judged = judge(frame, now=NOW)
    assert judged.quarantine.empty
    assert judged.repairs == {"range_rounding": 2}


def test_a_symbol_that_never_moves_is_refused() -> None:
    frame = bars()
    frame.loc[frame["symbol"] == "MSFT", ["open", "high", "low", "close"]] = 50.0
    with pytest.raises(InvalidPrices, match=r"MSFT lost 100 of 100 bars \(constant_price 100\)"):
        judge(frame, now=NOW)


def test_a_feed_that_stands_still_loses_its_repeats() -> None:
    frame = bars(("AAPL",), 1_000)
    stale = slice(500, 500 + STALE_RUN - 1)
    frame.loc[stale, ["open", "high", "low", "close"]] = frame.loc[500, "close"]
    judged = judge(frame, now=datetime(2035, 1, 1, tzinfo=UTC))
    assert judged.faults == {"constant_price": STALE_RUN - 1}
    assert 500 not in judged.quarantine["row"].tolist()
    a_little_shorter = slice(500, 500 + STALE_RUN - 2)
    frame = bars(("AAPL",), 1_000)
    frame.loc[a_little_shorter, ["open", "high", "low", "close"]] = frame.loc[500, "close"]
    assert judge(frame, now=datetime(2035, 1, 1, tzinfo=UTC)).faults == {}


def test_a_symbol_that_loses_more_than_its_tolerance_is_refused_with_the_counts() -> None:
    frame = bars()
    frame.loc[frame.index[:4], "close"] = float("nan")
    frame.loc[frame.index[4:6], "high"] = 1.0
    with pytest.raises(
        InvalidPrices,
        match=r"AAPL lost 6 of 100 bars \(missing_value 4, high_below_low 2\)",
    ):
        judge(frame, now=NOW)
    assert len(judge(frame, now=NOW, max_fault_share=0.1).clean) == 194
    with pytest.raises(InvalidPrices, match="lost 1 of 100"):
        judge(with_cell(42, "close", float("nan")), now=NOW, max_fault_share=0.0)


def test_times_without_a_zone_are_refused() -> None:
    frame = bars()
    frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
    with pytest.raises(InvalidPrices, match="must carry a time zone"):
        judge(frame, now=NOW)


def test_times_of_several_zones_are_refused() -> None:
    frame = bars()
    moments = list(frame["timestamp"])
    moments[3] = moments[3].tz_convert("Asia/Taipei")
    frame["timestamp"] = pd.Series(moments, dtype=object)
    with pytest.raises(InvalidPrices, match=r"same time zone.*Asia/Taipei, UTC"):
        judge(frame, now=NOW)
    moments[3] = moments[3].tz_localize(None)
    frame["timestamp"] = pd.Series(moments, dtype=object)
    with pytest.raises(InvalidPrices, match="some have none"):
        judge(frame, now=NOW)


def test_times_of_another_zone_become_utc() -> None:
    frame = bars()
    frame["timestamp"] = frame["timestamp"].dt.tz_convert("America/New_York")
    assert judge(frame, now=NOW).clean["timestamp"].equals(bars()["timestamp"])


def test_an_empty_frame_and_a_missing_column_are_refused() -> None:
    with pytest.raises(InvalidPrices, match="at least one bar"):
        judge(bars().iloc[:0], now=NOW)
    with pytest.raises(InvalidPrices, match="missing high, low"):
        judge(bars().drop(columns=["high", "low"]), now=NOW)


def test_dividends_and_splits_may_be_absent() -> None:
    judged = judge(bars().drop(columns=["dividend", "split"]), now=NOW)
    assert (judged.clean["dividend"] == 0).all()
    assert (judged.clean["split"] == 1).all()


def test_a_present_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidSettings):
        judge(bars(), now=datetime(2026, 6, 1))  # noqa: DTZ001 - the fault under test


def test_too_short_a_history_is_refused_by_name() -> None:
    frame = pd.concat([bars(("AAPL",), 100), bars(("IPO",), 20)], ignore_index=True)
    assert require_history(frame, 20) is frame
    with pytest.raises(ShortHistory, match="1 of 2 symbols have fewer: IPO 20"):
        require_history(frame, 21)


def test_every_fault_has_a_rule_and_a_known_action() -> None:
    assert all(fault.rule for fault in FAULTS.values())
    assert {fault.action for fault in FAULTS.values()} == {
        "quarantine",
        "repair",
        "report",
        "refuse",
    }


INJECTED = {
    "missing_value": ("close", float("nan")),
    "not_finite": ("low", float("-inf")),
    "non_positive_price": ("high", -1.0),
    "negative_volume": ("volume", -5.0),
    "impossible_action": ("split", -2.0),
    "high_below_low": ("low", 1e6),
    "close_outside_range": ("close", 1e6),
    "future_bar": ("timestamp", pd.Timestamp("2027-01-01", tz="UTC")),
}


@settings(max_examples=60, deadline=None)
@given(
    faults=st.dictionaries(
        st.integers(0, 199), st.sampled_from(sorted(INJECTED)), min_size=0, max_size=3
    ),
    copied=st.sets(st.integers(0, 199), max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_any_injected_fault_is_named_and_never_reaches_the_clean_bars(
    faults: dict[int, str], copied: set[int], order: object
) -> None:
    sound = bars()
    frame = sound.copy()
    frame["mark"] = range(200)
    copies = frame[frame["mark"].isin(copied - set(faults))]
    for row, fault in faults.items():
        column, value = INJECTED[fault]
        frame.loc[row, column] = value
    frame = pd.concat([frame, copies], ignore_index=True)
    places = list(range(len(frame)))
    order.shuffle(places)  # type: ignore[attr-defined]
    frame = frame.iloc[places].reset_index(drop=True)

    judged = judge(frame, now=NOW)

    validate_prices(judged.clean)
    expected = sound.drop(index=sorted(faults)).reset_index(drop=True)
    pd.testing.assert_frame_equal(judged.clean, expected[list(PRICE_COLUMNS)])
    found = judged.quarantine.assign(mark=frame["mark"].to_numpy()[judged.quarantine["row"]])
    named = found[found["fault"] != "duplicate_bar"]
    assert dict(zip(named["mark"], named["fault"], strict=True)) == faults
    assert (found["fault"] == "duplicate_bar").sum() == len(copies)
    assert len(judged.clean) + len(judged.quarantine) == len(frame)
