"""What is wrong with these bars? Named faults, bar by bar, and a quarantine for what has them.

`judge` takes bars as a provider gave them and returns those that keep the price contract of
`forecasting.schema`, sorted, beside a quarantine in which every row names its fault. A bar has one
fault: the first of `forecasting.faults.FAULTS` that applies. Faults of the set as a whole, and a symbol that loses
too many bars, refuse everything: half a history is worse than none.

Two blemishes are mended and counted instead, because nothing is lost by it: bars out of order are
sorted, and a high or low that misses the open or close by rounding (1e-6 of the price) is moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecasting.calendar import nanoseconds
from forecasting.errors import InvalidPrices, InvalidSettings, ShortHistory
from forecasting.faults import FAULTS, FEW_BARS, ROUNDING, STALE_RUN
from forecasting.schema import (
    ACTIONS,
    OHLC,
    OHLCV,
    PRICE_COLUMNS,
    SESSION,
    SYMBOL,
    TIMESTAMP,
    validate_prices,
)

Mask: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Judgement:
    """Bars after judging.

    Attributes:
        clean: bars that keep the price contract, sorted by symbol and time.
        quarantine: the others as found (numbers that could not be read are NaN), with the columns
            fault (its name), detail (what was found) and row (place in the judged frame).
        repairs: how many bars were mended, by name of the blemish.
    """

    clean: pd.DataFrame
    quarantine: pd.DataFrame
    repairs: Mapping[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> dict[str, int]:
        """How many bars are in quarantine, by name of the fault."""
        counts = self.quarantine["fault"].value_counts()
        return {str(name): int(count) for name, count in counts.items()}


def judge(
    raw: pd.DataFrame, *, now: datetime, interval: str = "1d", max_fault_share: float = 0.05
) -> Judgement:
    """Part the bars that keep the price contract from those that do not.

    Args:
        raw: bars with the price columns; dividend and split may be absent (0 and 1).
        now: aware instant of the fetch; a bar that closes later cannot be known.
        interval: interval of the bars; daily ones are unique per session as well.
        max_fault_share: share of its bars a symbol may lose; `FEW_BARS` are always allowed,
            unless it is 0. Identical copies do not count as lost.

    Raises:
        InvalidPrices: a fault of the whole set, or a symbol that lost too many bars.
    """
    if now.tzinfo is None:
        raise InvalidSettings("`now` must carry a time zone", f"{now} has none")
    bars, unread = _typed(raw)
    numbers = bars[[*OHLCV, *ACTIONS]].to_numpy(dtype=np.float64)
    symbols = bars[SYMBOL].to_numpy()
    codes, names = pd.factorize(symbols, sort=True)
    verdict = _Verdict(len(bars))
    _judge_each(verdict, bars, numbers, unread, now)
    copies = _judge_copies(verdict, bars, numbers, codes, interval)
    order, out_of_order = _sorted_order(verdict.sound, codes, bars)
    _judge_stillness(verdict, numbers, codes, order)
    _refuse_losses(verdict, copies, codes, [str(name) for name in names], max_fault_share)

    order = order[verdict.sound[order]]
    clean = bars.take(order).reset_index(drop=True)
    rounded = _enclose(clean)
    repairs = {"unsorted": out_of_order, "range_rounding": rounded}
    return Judgement(
        clean=validate_prices(clean),
        quarantine=_quarantine(verdict, bars, raw, now),
        repairs={name: count for name, count in repairs.items() if count},
    )


def require_history(prices: pd.DataFrame, bars: int) -> pd.DataFrame:
    """Refuse prices in which a symbol has fewer bars than needed; return them otherwise.

    Raises:
        ShortHistory: names the symbols and how many bars each has.
    """
    counts = prices[SYMBOL].value_counts(sort=False)
    short = counts[counts < bars]
    if len(short):
        listed = ", ".join(f"{name} {count}" for name, count in short.head(10).items())
        more = f" and {len(short) - 10} more" if len(short) > 10 else ""
        raise ShortHistory(
            f"every symbol needs at least {bars} bars",
            f"{len(short)} of {len(counts)} symbols have fewer: {listed}{more}",
            "Ask for a longer history, or leave the symbol out",
        )
    return prices


class _Verdict:
    """The first fault found of each bar; 0 while it is sound."""

    names = tuple(FAULTS)

    def __init__(self, bars: int) -> None:
        self.codes = np.zeros(bars, dtype=np.int16)

    @property
    def sound(self) -> Mask:
        return np.equal(self.codes, 0)

    def mark(self, fault: str, bad: Mask) -> None:
        self.codes[np.logical_and(bad, self.sound)] = self.names.index(fault) + 1

    def name(self, row: int) -> str:
        return self.names[int(self.codes[row]) - 1]


def _typed(raw: pd.DataFrame) -> tuple[pd.DataFrame, Mask]:
    """The frame in the contract's types, and where a cell is absent or cannot be read."""
    needed = (SYMBOL, TIMESTAMP, SESSION, *OHLCV)
    missing = [column for column in needed if column not in raw.columns]
    if missing:
        raise InvalidPrices(
            FAULTS["missing_column"].rule,
            f"missing {', '.join(missing)}; there are {', '.join(map(str, raw.columns))}",
            "Rename your columns, or read the prices through a PriceSource",
        )
    if raw.empty:
        raise InvalidPrices(FAULTS["empty"].rule, "0 rows", "Check the symbols and dates asked for")
    absent = raw[SYMBOL].isna().to_numpy() | (raw[SYMBOL].astype(object) == "").to_numpy()
    symbols = raw[SYMBOL].astype(object).where(~absent, "")
    if pd.api.types.infer_dtype(symbols) != "string":
        symbols = symbols.astype(str).astype(object)
    times = _instants(raw[TIMESTAMP])
    sessions = pd.DatetimeIndex(pd.to_datetime(raw[SESSION], errors="coerce"))
    sessions = sessions.tz_localize(None).normalize().as_unit("ns")
    columns: dict[str, object] = {
        SYMBOL: symbols.to_numpy(),
        TIMESTAMP: times,
        SESSION: sessions,
    }
    unread = absent | np.asarray(times.isna()) | np.asarray(sessions.isna())
    for column in (*OHLCV, *ACTIONS):
        if column in raw.columns:
            values = pd.to_numeric(raw[column], errors="coerce").to_numpy(dtype=np.float64)
        else:
            values = np.full(len(raw), 1.0 if column == "split" else 0.0)
        columns[column] = values
        unread |= np.isnan(values)
    return pd.DataFrame(columns), unread


def _instants(stamps: "pd.Series[pd.Timestamp]") -> pd.DatetimeIndex:
    """Aware UTC instants; refuses stamps without a zone and stamps of several."""
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(stamps).tz_convert("UTC").as_unit("ns")
    zones: set[str | None] = {None}
    if stamps.dtype == object:
        present = [stamp for stamp in stamps if not pd.isna(stamp)]
        zones = {str(stamp.tzinfo) if getattr(stamp, "tzinfo", None) else None for stamp in present}
    if None in zones:
        raise InvalidPrices(
            FAULTS["naive_time"].rule,
            f"{'some have' if len(zones) > 1 else 'they have'} none (dtype {stamps.dtype})",
            "Localise them to the exchange's zone; see forecasting.calendar.session_closes",
        )
    if len(zones) > 1:
        raise InvalidPrices(
            FAULTS["mixed_time_zone"].rule,
            f"there are {', '.join(sorted(str(zone) for zone in zones))}",
            "Convert all of them to UTC",
        )
    return pd.DatetimeIndex(pd.to_datetime(stamps, utc=True)).as_unit("ns")


def _judge_each(
    verdict: _Verdict, bars: pd.DataFrame, numbers: Floats, unread: Mask, now: datetime
) -> None:
    """Faults that a bar shows on its own."""
    opened, high, low, close, volume, dividend, split = numbers.T
    verdict.mark("missing_value", unread)
    verdict.mark("not_finite", np.asarray(~np.isfinite(numbers).all(axis=1)))
    verdict.mark("non_positive_price", np.asarray((numbers[:, :4] <= 0).any(axis=1)))
    verdict.mark("negative_volume", np.less(volume, 0))
    verdict.mark("impossible_action", np.less(dividend, 0) | np.less_equal(split, 0))
    slack = ROUNDING * np.abs(close)
    verdict.mark("high_below_low", np.less(high, low - slack))
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    verdict.mark(
        "close_outside_range", np.less(high, top - slack) | np.greater(low, bottom + slack)
    )
    moment = pd.Timestamp(now).tz_convert("UTC").as_unit("ns").value
    verdict.mark("future_bar", nanoseconds(bars[TIMESTAMP]) > moment)


def _judge_copies(
    verdict: _Verdict, bars: pd.DataFrame, numbers: Floats, codes: Codes, interval: str
) -> Mask:
    """Several bars where there can be one. Returns which of them are identical copies."""
    copies = np.zeros(len(bars), dtype=bool)
    for column in (TIMESTAMP, SESSION) if interval == "1d" else (TIMESTAMP,):
        rows = np.flatnonzero(verdict.sound)
        keys = nanoseconds(bars[column])[rows]
        order = np.lexsort((rows, keys, codes[rows]))
        rows, keys = rows[order], keys[order]
        same = np.zeros(len(rows), dtype=bool)
        same[1:] = (codes[rows][1:] == codes[rows][:-1]) & (keys[1:] == keys[:-1])
        if not same.any():
            continue
        group = np.cumsum(~same) - 1
        first = rows[np.flatnonzero(~same)][group]
        differs = (numbers[rows] != numbers[first]).any(axis=1)
        differs |= nanoseconds(bars[TIMESTAMP])[rows] != nanoseconds(bars[TIMESTAMP])[first]
        disagree = np.bincount(group, weights=differs) > 0
        copies[rows[same & ~disagree[group]]] = True
        bad = np.zeros(len(bars), dtype=bool)
        bad[rows[same | disagree[group]]] = True
        verdict.mark("duplicate_bar", bad)
    return copies


def _sorted_order(sound: Mask, codes: Codes, bars: pd.DataFrame) -> tuple[Codes, int]:
    """Sound rows by symbol and time, and how many of a symbol's closed before the row above.

    Symbols in another order than ours, or row by row in turns, are no blemish.
    """
    rows = np.flatnonzero(sound)
    if (codes[rows][1:] < codes[rows][:-1]).any():
        rows = rows[np.argsort(codes[rows], kind="stable")]
    owner, times = codes[rows], nanoseconds(bars[TIMESTAMP])[rows]
    back = (owner[1:] == owner[:-1]) & (times[1:] < times[:-1])
    if back.any():
        rows = rows[np.lexsort((times, owner))]
    return rows, int(np.count_nonzero(back))


def _judge_stillness(verdict: _Verdict, numbers: Floats, codes: Codes, order: Codes) -> None:
    """Runs of bars with the same four prices."""
    if not len(order):
        return
    prices, owner = numbers[order, :4], codes[order]
    repeats = np.zeros(len(order), dtype=bool)
    repeats[1:] = (owner[1:] == owner[:-1]) & (prices[1:] == prices[:-1]).all(axis=1)
    run = np.cumsum(~repeats) - 1
    length = np.bincount(run)[run]
    whole = (length == np.bincount(owner)[owner]) & (length > FEW_BARS)
    bad = np.zeros(len(codes), dtype=bool)
    bad[order[((length >= STALE_RUN) & repeats) | whole]] = True
    verdict.mark("constant_price", bad)


def _refuse_losses(
    verdict: _Verdict, copies: Mask, codes: Codes, names: list[str], share: float
) -> None:
    lost = ~verdict.sound & ~copies
    bars = np.bincount(codes[~copies], minlength=len(names))
    losses = np.bincount(codes[lost], minlength=len(names))
    allowed = np.maximum(FEW_BARS if share else 0, np.floor(share * bars))
    ruined = np.flatnonzero((losses > allowed) | (losses == bars))
    if verdict.sound.any():
        # Rows without a symbol spoil nobody's history unless they are many.
        many = max(FEW_BARS if share else 0, share * len(codes))
        ruined = ruined[[bool(names[i]) or losses[i] > many for i in ruined]]
    if len(ruined):
        raise InvalidPrices(
            f"a symbol must not lose more than {share:.0%} of its bars",
            "; ".join(
                _loss(verdict, lost & (codes == i), int(bars[i]), names[i]) for i in ruined[:5]
            )
            + (f"; and {len(ruined) - 5} more symbols" if len(ruined) > 5 else ""),
            "Mend the data at its source, or leave the symbol out",
        )


def _loss(verdict: _Verdict, lost: Mask, bars: int, name: str) -> str:
    faults = np.bincount(verdict.codes[lost], minlength=len(FAULTS) + 1)
    listed = ", ".join(f"{verdict.names[i - 1]} {faults[i]}" for i in np.flatnonzero(faults))
    return f"{name or '(no symbol)'} lost {int(lost.sum())} of {bars} bars ({listed})"


def _enclose(clean: pd.DataFrame) -> int:
    """Move highs and lows that miss the open or close by rounding. Returns how many bars."""
    opened, high, low, close = (clean[column].to_numpy() for column in OHLC)
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    moved = (high < top) | (low > bottom)
    if moved.any():
        clean["high"], clean["low"] = np.maximum(high, top), np.minimum(low, bottom)
    return int(np.count_nonzero(moved))


def _quarantine(
    verdict: _Verdict, bars: pd.DataFrame, raw: pd.DataFrame, now: datetime
) -> pd.DataFrame:
    rows = np.flatnonzero(~verdict.sound)
    found = bars.take(rows).reset_index(drop=True)
    faults = [verdict.name(row) for row in rows.tolist()]
    details = [
        _detail(fault, raw, row, now) for fault, row in zip(faults, rows.tolist(), strict=True)
    ]
    found["fault"] = pd.Series(faults, dtype=object)
    found["detail"] = pd.Series(details, dtype=object)
    found["row"] = rows.astype(np.int64)
    return found


def _detail(fault: str, raw: pd.DataFrame, row: int, now: datetime) -> str:
    """What was found in one bar, in words."""
    bar = raw.iloc[row]
    shown = [column for column in PRICE_COLUMNS if column in raw.columns]
    if fault == "missing_value":
        cells = (SYMBOL, TIMESTAMP, SESSION, *OHLCV, *ACTIONS)
        return ", ".join(
            f"{name} is {bar[name]!r}"
            for name in shown
            if name in cells and _unread(name, bar[name])
        )
    if fault == "future_bar":
        return f"closes at {bar[TIMESTAMP]}, and it is {now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return ", ".join(f"{name} {bar[name]}" for name in shown if name not in (SYMBOL, SESSION))


def _unread(column: str, cell: object) -> bool:
    if pd.isna(cell) or cell == "":  # type: ignore[call-overload]
        return True
    if column == SYMBOL:
        return False
    if column in (TIMESTAMP, SESSION):
        return bool(pd.isna(pd.to_datetime(str(cell), errors="coerce")))
    return bool(np.isnan(pd.to_numeric(str(cell), errors="coerce")))
