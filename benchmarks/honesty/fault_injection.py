"""Puts one named fault into clean bars: the list of what can go wrong, as data.

Every injection takes a clean price frame sorted by symbol and time, and a generator that picks the
place, and returns a frame with one fault in it. The column `touched` of the frame collects, bit by
bit, which rows were changed or added, so that a test can ask what became of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from forecasting.schema import OHLC, OHLCV

Chance: TypeAlias = np.random.Generator
Inject: TypeAlias = Callable[[pd.DataFrame, Chance, int], pd.DataFrame]

TOUCHED: Final = "touched"
FIRST, LAST = 90, 40
"""Bars at a symbol's start and end where nothing is injected: what is usual must be known."""


@dataclass(frozen=True)
class Injection:
    """A way to spoil bars.

    Attributes:
        fault: the name it must be found under.
        put: (bars, chance, bit) -> spoiled bars, their changed rows marked with the bit.
        stage: injections of a pair are made in this order: 0 histories, 1 bars, 2 rows, 3 the set.
        also: other names that are as true of what is found.
        restates: whether it is a fault only beside what was fetched before.
    """

    fault: str
    put: Inject
    stage: int = 1
    also: tuple[str, ...] = ()
    restates: bool = False

    @property
    def names(self) -> frozenset[str]:
        """All names under which it counts as found."""
        return frozenset((self.fault, *self.also))


def marked(bars: pd.DataFrame) -> pd.DataFrame:
    """A copy of clean bars on which nothing was touched yet."""
    return bars.reset_index(drop=True).assign(**{TOUCHED: 0})


def rows_of(bars: pd.DataFrame, chance: Chance, *, least: int = FIRST + LAST + 20) -> Any:
    """Rows of one symbol that has bars enough, picked by chance."""
    groups = bars.groupby("symbol", sort=True).indices
    long = sorted(str(name) for name, rows in groups.items() if len(rows) >= least)
    return np.sort(groups[long[chance.integers(len(long))]])


def place_in(rows: Any, chance: Chance) -> int:
    """Position of one bar among a symbol's, away from both ends."""
    return int(chance.integers(FIRST, len(rows) - LAST))


def cell(column: str, value: Callable[[pd.Series], Any]) -> Inject:
    """One cell of one bar becomes something else."""

    def put(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
        rows = rows_of(bars, chance)
        row = rows[place_in(rows, chance)]
        bars.loc[row, column] = value(bars.loc[row])
        return _touch(bars, [row], bit)

    return put


def _touch(bars: pd.DataFrame, rows: Any, bit: int) -> pd.DataFrame:
    bars.loc[rows, TOUCHED] |= 1 << bit
    return bars


def _added(
    bars: pd.DataFrame, more: pd.DataFrame, bit: int, after: int | None = None
) -> pd.DataFrame:
    more = more.assign(**{TOUCHED: 1 << bit})
    if after is None:
        return pd.concat([bars, more], ignore_index=True)
    return pd.concat([bars[: after + 1], more, bars[after + 1 :]], ignore_index=True)


def _closed_day(*, weekend: bool) -> Inject:
    def put(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
        rows = rows_of(bars, chance)
        days = pd.DatetimeIndex(bars.loc[rows, "session"])
        inside = pd.date_range(days[FIRST], days[-LAST], freq="D")
        free = inside.difference(days)
        free = free[(free.dayofweek >= 5) == weekend]
        day = free[chance.integers(len(free))]
        before = int(rows[days.searchsorted(day) - 1])
        bar = bars.loc[[before]].copy()
        bar["timestamp"] += day - bar["session"]
        bar["session"] = day
        bar[list(OHLCV)] *= 1 + chance.normal(0, 0.003)
        return _added(bars, bar, bit, before)

    return put


def _future(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    rows = rows_of(bars, chance)
    bar = bars.loc[[rows[-1]]].copy()
    ahead = pd.Timedelta(days=364 * 80)
    bar["timestamp"] += ahead
    bar["session"] += ahead
    bar[list(OHLCV)] *= 1.001
    return _added(bars, bar, bit, int(rows[-1]))


def _midnight(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    rows = rows_of(bars, chance)
    row = rows[place_in(rows, chance)]
    bars.loc[row, "timestamp"] = bars.loc[row, "session"].tz_localize("UTC")
    return _touch(bars, [row], bit)


def _copy(*, other: bool) -> Inject:
    def put(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
        rows = rows_of(bars, chance)
        row = int(rows[place_in(rows, chance)])
        bar = bars.loc[[row]].copy()
        if other:
            bar[list(OHLCV)] *= 1.01
            _touch(bars, [row], bit)
        return _added(bars, bar, bit, row)

    return put


def _repeated(length: int, lag: int) -> Inject:
    """Numbers of earlier bars stand again in later ones."""

    def put(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
        rows = rows_of(bars, chance)
        at = place_in(rows, chance)
        later = rows[at : at + length]
        source = rows[np.maximum(np.arange(at, at + length) - lag, at - lag)]
        if lag == 0:
            source = np.full(length, rows[at - 1])
        bars.loc[later, list(OHLCV)] = bars.loc[source, list(OHLCV)].to_numpy()
        return _touch(bars, later, bit)

    return put


def _scaled(factor: float, length: int) -> Inject:
    """A few bars stand at another level."""

    def put(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
        rows = rows_of(bars, chance)
        at = place_in(rows, chance)
        bars.loc[rows[at : at + length], list(OHLC)] *= factor
        return _touch(bars, rows[at : at + length], bit)

    return put


def _level(factors: tuple[float, ...], *, shares: bool) -> Inject:
    """All bars before a place stand at another level; their volume too if shares were split."""

    def put(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
        rows = rows_of(bars, chance)
        at = place_in(rows, chance)
        factor = factors[chance.integers(len(factors))]
        bars.loc[rows[:at], list(OHLC)] *= factor
        if shares:
            bars.loc[rows[:at], "volume"] /= factor
        return _touch(bars, [rows[at]], bit)

    return put


def _split_recorded(*, twice: bool) -> Inject:
    def put(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
        rows = rows_of(bars, chance)
        at = place_in(rows, chance)
        ratio = (2.0, 3.0, 4.0, 1.5, 0.1)[chance.integers(5)]
        bars.loc[rows[at], "split"] *= ratio
        if twice:
            bars.loc[rows[:at], list(OHLC)] *= ratio**2
            bars.loc[rows[:at], "volume"] /= ratio**2
        return _touch(bars, [rows[at]], bit)

    return put


def _unsorted(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    rows = rows_of(bars, chance)
    at = place_in(rows, chance)
    order = np.arange(len(bars))
    order[[rows[at], rows[at + 5]]] = order[[rows[at + 5], rows[at]]]
    return _touch(bars, [rows[at], rows[at + 5]], bit).iloc[order].reset_index(drop=True)


def _half_day(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    """A half day's bar is stamped as if the exchange had stayed open."""
    from forecasting.instants import nanoseconds
    from forecasting.prices.calendar import exchange_of, sessions_of

    exchanges = bars["symbol"].map(exchange_of)
    candidates = []
    for exchange in sorted(exchanges.unique()):
        table = sessions_of(exchange)
        early = table.closes != table.full_closes
        full = dict(zip(table.days[early].tolist(), table.full_closes[early].tolist(), strict=True))
        days = nanoseconds(bars["session"])
        candidates += [
            (row, full[days[row]])
            for row in np.flatnonzero(exchanges == exchange).tolist()
            if int(days[row]) in full
        ]
    row, close = candidates[chance.integers(len(candidates))]
    bars.loc[row, "timestamp"] = pd.Timestamp(close, tz="UTC")
    return _touch(bars, [row], bit)


def _dst(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    """The closes of one season are read with the other season's clock."""
    rows = rows_of(bars, chance)
    at = place_in(rows, chance)
    these = rows[at : at + 30]
    bars.loc[these, "timestamp"] += pd.Timedelta(hours=1)
    return _touch(bars, these, bit)


def _without(share: float) -> Inject:
    def put(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
        rows = rows_of(bars, chance)
        inner = rows[FIRST : len(rows) - LAST]
        count = int(share * len(rows)) or 1
        missing = chance.choice(inner, size=count, replace=False)
        bars = _touch(bars, [rows[0]], bit)
        rest: pd.DataFrame = bars.drop(index=missing.tolist()).reset_index(drop=True)
        return rest

    return put


def _many_nan(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    rows = rows_of(bars, chance)
    these = chance.choice(rows, size=max(8, len(rows) // 8), replace=False)
    bars.loc[these, "close"] = np.nan
    return _touch(bars, these, bit)


def _delisted(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    rows = rows_of(bars, chance)
    missing = rows[len(rows) - 25 :]
    rest: pd.DataFrame = _touch(bars, rows[:1], bit).drop(index=missing).reset_index(drop=True)
    return rest


def _renamed(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    rows = rows_of(bars, chance)
    later = rows[len(rows) - 35 :]
    bars.loc[later, "symbol"] = "NEW" + bars.loc[later, "symbol"]
    bars = _touch(bars, later, bit)
    return bars.sort_values(["symbol", "timestamp"], kind="stable", ignore_index=True)


def _other_calendar(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    """A symbol rests on other days than its exchange: bars are moved to the day after or before."""
    rows = rows_of(bars, chance)
    days = pd.DatetimeIndex(bars.loc[rows, "session"])
    free = pd.date_range(days[0], days[-1], freq="D").difference(days)
    moves: list[tuple[Any, Any]] = []
    for at in chance.permutation(np.arange(5, len(rows) - 5)).tolist():
        for step in (pd.Timedelta(days=1), pd.Timedelta(days=-1)):
            if days[at] + step in free and len(moves) < max(8, len(rows) // 50):
                moves.append((rows[at], step))
                free = free.drop(days[at] + step)
                break
    for row, step in moves:
        bars.loc[row, "timestamp"] += step
        bars.loc[row, "session"] += step
    return _touch(bars, [row for row, _ in moves], bit)


def _naive(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    del chance
    bars["timestamp"] = pd.Series([moment.tz_localize(None) for moment in bars["timestamp"]])
    return _touch(bars, bars.index, bit)


def _zones(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    moments = list(bars["timestamp"])
    row = int(chance.integers(len(bars)))
    moments[row] = moments[row].tz_convert("Asia/Taipei")
    bars["timestamp"] = pd.Series(moments, dtype=object)
    return _touch(bars, [row], bit)


def _without_column(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    there = [name for name in OHLCV if name in bars.columns]
    column = there[chance.integers(len(there))]
    return _touch(bars, bars.index, bit).drop(columns=column)


def _renamed_column(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    there = [name for name in OHLCV if name in bars.columns]
    column = there[chance.integers(len(there))]
    return _touch(bars, bars.index, bit).rename(columns={column: f"{column}_price"})


def _nothing(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    del chance, bit
    return bars.iloc[:0]


def _dividend(bars: pd.DataFrame, chance: Chance, bit: int) -> pd.DataFrame:
    rows = rows_of(bars, chance)
    row = rows[place_in(rows, chance)]
    bars.loc[row, "dividend"] += 0.004 * bars.loc[row, "close"]
    return _touch(bars, [row], bit)


_COUNTED: Final = ("other_calendar",)
"""Its message counts the bars on closed days and the missing sessions."""

INJECTIONS: Final = {
    "NaN": Injection("missing_value", cell("close", lambda _: np.nan)),
    "infinite": Injection("not_finite", cell("high", lambda _: np.inf)),
    "zero price": Injection("non_positive_price", cell("low", lambda _: 0.0)),
    "negative price": Injection("non_positive_price", cell("open", lambda bar: -bar["open"])),
    "negative volume": Injection("negative_volume", cell("volume", lambda bar: -bar["volume"] - 1)),
    "negative dividend": Injection("impossible_action", cell("dividend", lambda _: -0.5)),
    "high below low": Injection("high_below_low", cell("high", lambda bar: 0.9 * bar["low"])),
    "close outside range": Injection(
        "close_outside_range", cell("close", lambda bar: 1.02 * bar["high"])
    ),
    "future bar": Injection("future_bar", _future, 2),
    "holiday bar": Injection("holiday_bar", _closed_day(weekend=False), 2, _COUNTED),
    "weekend bar": Injection("holiday_bar", _closed_day(weekend=True), 2, _COUNTED),
    "stamped at midnight": Injection("wrong_close_time", _midnight),
    "duplicate": Injection("duplicate_bar", _copy(other=False), 2),
    "contradicting duplicate": Injection("duplicate_bar", _copy(other=True), 2),
    "standing still": Injection("constant_price", _repeated(25, 0), also=("too_many_faults",)),
    "stale repeat": Injection("stale_repeat", _repeated(1, 0)),
    "copied week": Injection("stale_repeat", _repeated(5, 8)),
    "spike": Injection("price_spike", _scaled(1.6, 1)),
    "pence for three days": Injection("price_spike", _scaled(100.0, 3)),
    "unsorted": Injection("unsorted", _unsorted, 2),
    "rounding": Injection(
        "range_rounding", cell("high", lambda bar: max(bar["open"], bar["close"]) * (1 - 5e-7))
    ),
    "half day": Injection("half_day", _half_day),
    "DST night": Injection("dst_shift", _dst),
    "missing session": Injection("missing_session", _without(0.0), 2, _COUNTED),
    "many missing": Injection("sparse_history", _without(0.15), 2),
    "many NaN": Injection("too_many_faults", _many_nan, also=("missing_value",)),
    "other calendar": Injection("other_calendar", _other_calendar, 0),
    "missed split": Injection(
        "missed_split",
        _level((2.0, 3.0, 4.0, 10.0, 1.5, 0.5, 0.1), shares=True),
        0,
        also=("level_shift", "news_jump"),
    ),
    "split without jump": Injection("doubled_split", _split_recorded(twice=False), 0),
    "split applied twice": Injection("doubled_split", _split_recorded(twice=True), 0),
    "pence for pounds": Injection("unit_jump", _level((100.0, 0.01), shares=False), 0),
    "other currency": Injection(
        "level_shift",
        _level((1.35, 0.72, 7.8, 32.0, 155.0), shares=False),
        0,
        also=("missed_split", "news_jump"),
    ),
    "delisted": Injection("delisted", _delisted, 0),
    "renamed symbol": Injection("renamed_symbol", _renamed, 0),
    "restated dividend": Injection("restated_dividend", _dividend, 0, restates=True),
    "restated bar": Injection(
        "restated_bar", cell("low", lambda b: b["low"] * 0.99), restates=True
    ),
    "naive time": Injection("naive_time", _naive, 4),
    "mixed zones": Injection("mixed_time_zone", _zones, 3),
    "column missing": Injection("missing_column", _without_column, 5),
    "column renamed": Injection("missing_column", _renamed_column, 5),
    "no rows": Injection("empty", _nothing, 6),
}
"""What is injected, by a name a reader knows."""
