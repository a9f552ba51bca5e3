"""Marks the fault of each bar, and describes it in the quarantine."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecasting.arrays import Codes, Floats, Instants, Mask
from forecasting.prices.calendar import exchange_of, session_closes
from forecasting.prices.quality.catalogue import FAULTS
from forecasting.schema import ACTIONS, OHLCV, PRICE_COLUMNS, SESSION, SYMBOL, TIMESTAMP

NAMES: Final = tuple(FAULTS)


@dataclass(frozen=True)
class RawBars:
    """Bars as they were given, in the contract's types; all arrays have one entry a row [n].

    Attributes:
        frame: the price columns; what could not be read is NaN, NaT or "".
        unread: rows in which something could not be read.
        placed: rows whose symbol and times could be read, whatever their numbers.
        numbers: open, high, low, close, volume, dividend, split [n, 7].
        codes: whose bar each is, a place in `names`.
        names: the symbols, sorted.
        times: closes, UTC nanoseconds.
        days: sessions, nanoseconds.
    """

    frame: pd.DataFrame
    unread: Mask
    placed: Mask
    numbers: Floats
    codes: Codes
    names: tuple[str, ...]
    times: Instants
    days: Instants


@dataclass
class FaultMarks:
    """The first fault found of each bar.

    Attributes:
        codes: 0 while a bar is sound, else the fault's place in `NAMES` + 1 [n].
        details: words for a row's fault that the bar alone does not show.
    """

    codes: NDArray[np.int16]
    details: dict[int, dict[str, object]] = field(default_factory=dict)

    @property
    def sound(self) -> Mask:
        """Which bars have no fault yet [n]."""
        return np.equal(self.codes, 0)

    def mark(self, fault: str, bad: Mask) -> None:
        """Give a fault to the bars of a mask [n] that have none yet."""
        self.codes[np.logical_and(bad, self.sound)] = NAMES.index(fault) + 1

    def name(self, row: int) -> str:
        """The fault of a row that has one."""
        return NAMES[int(self.codes[row]) - 1]


def quarantine(marks: FaultMarks, bars: RawBars, raw: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """The faulty bars: their columns, and fault, detail (what was found) and row (its place)."""
    rows = np.flatnonzero(~marks.sound)
    found = bars.frame.take(rows).reset_index(drop=True)
    faults = [marks.name(row) for row in rows.tolist()]
    details = [
        _detail(fault, raw, row, now, marks.details.get(row, {}))
        for fault, row in zip(faults, rows.tolist(), strict=True)
    ]
    found["fault"] = pd.Series(faults, dtype=object)
    found["detail"] = pd.Series(details, dtype=object)
    found["row"] = rows.astype(np.int64)
    return found


def _detail(
    fault: str, raw: pd.DataFrame, row: int, now: datetime, details: dict[str, object]
) -> str:
    """What was found in one bar, in words."""
    bar = raw.iloc[row]
    shown = [column for column in PRICE_COLUMNS if column in raw.columns]
    message = FAULTS[fault].message
    if fault == "missing_value":
        cells = (SYMBOL, TIMESTAMP, SESSION, *OHLCV, *ACTIONS)
        return ", ".join(
            message.format(column=name, value=repr(bar[name]))
            for name in shown
            if name in cells and _unread(name, bar[name])
        )
    if fault == "future_bar":
        return message.format(close=bar[TIMESTAMP], now=f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
    if fault in {"holiday_bar", "wrong_close_time"}:
        day = pd.Timestamp(bar[SESSION]).tz_localize(None).normalize()
        expected = session_closes(str(bar[SYMBOL]), pd.DatetimeIndex([day]))[0]
        return message.format(
            exchange=exchange_of(str(bar[SYMBOL])),
            session=f"{day:%Y-%m-%d}",
            close=bar[TIMESTAMP],
            expected=expected,
        )
    if details:
        return message.format(**details)
    return message.format(
        the_bar=", ".join(f"{name} {bar[name]}" for name in shown if name not in (SYMBOL, SESSION))
    )


def _unread(column: str, cell: object) -> bool:
    if pd.isna(cell) or cell == "":  # type: ignore[call-overload]
        return True
    if column == SYMBOL:
        return False
    if column in (TIMESTAMP, SESSION):
        return bool(pd.isna(pd.to_datetime(str(cell), errors="coerce")))
    return bool(np.isnan(pd.to_numeric(str(cell), errors="coerce")))
