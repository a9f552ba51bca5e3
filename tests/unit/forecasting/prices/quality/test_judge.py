"""Every fault is named, quarantined or refused, and never reaches the clean bars."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InvalidPrices, InvalidSettings, ShortHistory
from forecasting.prices.calendar import session_bars
from forecasting.prices.quality.catalogue import FAULTS, QUARANTINE_COLUMNS
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
