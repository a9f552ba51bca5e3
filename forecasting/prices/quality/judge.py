"""Separates bars that keep the price contract from faulty ones, which go to a quarantine by fault.

`judge` takes bars as a provider gave them and returns those that keep the price contract of
`forecasting.schema`, sorted, beside a quarantine in which every row names its fault. A bar has one
fault: the first of `forecasting.prices.quality.catalogue.FAULTS` that applies. What may be right is reported and
stays; faults of the set as a whole, and a symbol that loses too many bars, refuse everything: half a
history is worse than none. docs/data-faults.md lists every fault.

A few blemishes are mended and counted instead, because nothing is lost by it: bars out of order
are sorted, a high or low that misses the open or close by rounding (1e-6 of the price) is moved,
and so is the close of a daily bar that is off by a clock change or a half day.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from forecasting.arrays import Codes, Mask
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.instants import nanoseconds, utc_index
from forecasting.prices.quality.bar_checks import (
    enclose,
    judge_copies,
    judge_each,
    judge_stillness,
    sorted_order,
)
from forecasting.prices.quality.calendar_checks import calendars_that_ended, judge_sessions
from forecasting.prices.quality.catalogue import (
    FAULTS,
    FEW_BARS,
    FaultCount,
    fault_count,
    refused_together,
    sentences,
)
from forecasting.prices.quality.delisting_checks import judge_life
from forecasting.prices.quality.jump_checks import Series, judge_jumps
from forecasting.prices.quality.marks import NAMES, FaultMarks, RawBars, quarantine
from forecasting.prices.quality.parsing import read_bars
from forecasting.schema import ACTIONS, OHLCV, SESSION, SYMBOL, TIMESTAMP, validate_prices


@dataclass(frozen=True)
class CleanedBars:
    """Bars after judging.

    Attributes:
        clean: bars that keep the price contract, sorted by symbol and time.
        quarantine: the others as found (numbers that could not be read are NaN), with the columns
            fault (its name), detail (what was found) and row (place in the judged frame).
        repairs: how many bars were mended, by name of the blemish.
        findings: what is reported of bars that stay among the clean ones.
    """

    clean: pd.DataFrame
    quarantine: pd.DataFrame
    repairs: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[FaultCount, ...] = ()

    @property
    def faults(self) -> dict[str, int]:
        """How many bars are in quarantine, by name of the fault."""
        counts = self.quarantine["fault"].value_counts()
        return {str(name): int(count) for name, count in counts.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """The findings in sentences."""
        return sentences(self.findings)


def judge(
    raw: pd.DataFrame,
    *,
    now: datetime,
    interval: str = "1d",
    max_fault_share: float = 0.05,
    stored: pd.DataFrame | None = None,
) -> CleanedBars:
    """Separate the bars that keep the price contract from those that do not.

    Args:
        raw: bars with the price columns; dividend and split may be absent (0 and 1).
        now: aware instant of the fetch; a bar that closes later cannot be known.
        interval: interval of the bars; daily ones are unique per session as well.
        max_fault_share: share of its bars a symbol may lose; `FEW_BARS` are always allowed,
            unless it is 0. Identical copies do not count as lost.
        stored: clean bars of earlier fetches, if there are: what lies before the new bars, and
            which symbols there were. Whether they were restated is found where bars are appended.

    Raises:
        InvalidPrices: a fault of the whole set, or a symbol that lost too many bars.
    """
    if now.tzinfo is None:
        raise InvalidSettings("`now` must carry a time zone", f"{now} has none")
    bars = read_bars(raw)
    marks = FaultMarks(np.zeros(len(raw), dtype=np.int16))
    calendar = judge_sessions(bars, interval)
    closes = calendar.closes
    judge_each(marks, bars, closes, now)
    marks.mark("holiday_bar", calendar.closed)
    marks.mark("wrong_close_time", calendar.wrong_close)
    copies = judge_copies(marks, bars, closes, interval)
    order, out_of_order = sorted_order(marks.sound, bars.codes, closes)
    judge_stillness(marks, bars, order, closes)
    order = order[marks.sound[order]]
    findings = [
        *calendar.findings,
        *calendars_that_ended(bars, calendar.beyond & marks.sound),
        *_judge_series(marks, bars, order, stored, interval),
    ]
    findings += _losses(marks, copies, bars, max_fault_share)
    refusing = [count for count in findings if FAULTS[count.fault].action == "refuse"]
    if refusing:
        raise refused_together(refusing, "Mend the data at its source, or leave the symbol out")

    order = order[marks.sound[order]]
    clean = bars.frame.take(order).reset_index(drop=True)
    mended = calendar.half_day | calendar.dst_shift
    if mended[order].any():
        clean[TIMESTAMP] = utc_index(closes[order])
    repairs = {
        "unsorted": out_of_order,
        "range_rounding": enclose(clean),
        "half_day": int(np.count_nonzero(calendar.half_day & marks.sound)),
        "dst_shift": int(np.count_nonzero(calendar.dst_shift & marks.sound)),
    }
    return CleanedBars(
        clean=validate_prices(clean),
        quarantine=quarantine(marks, bars, raw, now),
        repairs={name: count for name, count in repairs.items() if count},
        findings=tuple(findings),
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


def _judge_series(
    marks: FaultMarks,
    bars: RawBars,
    order: Codes,
    stored: pd.DataFrame | None,
    interval: str,
) -> list[FaultCount]:
    """Jumps between bars, and symbols that end, with the stored bars before them."""
    fresh = np.ones(len(order), dtype=bool)
    series = Series(bars.codes[order], bars.days[order], bars.numbers[order], fresh)
    rows, names = order, bars.names
    if stored is not None and len(stored) and len(order):
        series, rows, names = _after_stored(series, bars, order, stored)
    jumps = judge_jumps(series, names, interval)
    bad = np.zeros(len(bars.codes), dtype=bool)
    for place, factor in jumps.spikes.items():
        row = int(rows[place])
        bad[row] = True
        marks.details[row] = {"factor": f"{factor:.4g}"}
    marks.mark("price_spike", bad)
    return [*jumps.findings, *judge_life(series, names)]


def _after_stored(
    series: Series, bars: RawBars, order: Codes, stored: pd.DataFrame
) -> tuple[Series, Codes, tuple[str, ...]]:
    """The series with the stored bars before it, their rows (-1 if stored), and all names."""
    names = tuple(sorted({*bars.names, *map(str, stored[SYMBOL].unique())}))
    place = {name: i for i, name in enumerate(names)}
    owner = np.array([place[name] for name in bars.names], dtype=np.int64)[series.owner]
    codes, symbols = pd.factorize(stored[SYMBOL].to_numpy())
    stored_owner = np.array([place[str(name)] for name in symbols], dtype=np.int64)[codes]
    times, days = nanoseconds(stored[TIMESTAMP]), nanoseconds(stored[SESSION])
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, owner, series.days)
    before = days < first[stored_owner]
    numbers = stored[[*OHLCV, *ACTIONS]].to_numpy(dtype=np.float64)[before]
    owner = np.concatenate([stored_owner[before], owner])
    sort = np.lexsort((np.concatenate([times[before], bars.times[order]]), owner))
    joined = Series(
        owner[sort],
        np.concatenate([days[before], series.days])[sort],
        np.concatenate([numbers, series.numbers])[sort],
        np.concatenate([np.zeros(len(numbers), dtype=bool), series.fresh])[sort],
    )
    return joined, np.concatenate([np.full(len(numbers), -1), order])[sort], names


def _losses(marks: FaultMarks, copies: Mask, bars: RawBars, share: float) -> list[FaultCount]:
    """Symbols that lost more bars than they may."""
    lost = ~marks.sound & ~copies
    counts = np.bincount(bars.codes[~copies], minlength=len(bars.names))
    losses = np.bincount(bars.codes[lost], minlength=len(bars.names))
    allowed = np.maximum(FEW_BARS if share else 0, np.floor(share * counts))
    ruined = np.flatnonzero((losses > allowed) | (losses == counts))
    if marks.sound.any():
        # Rows without a symbol spoil nobody's history unless they are many.
        many = max(FEW_BARS if share else 0, share * len(bars.codes))
        ruined = ruined[[bool(bars.names[i]) or losses[i] > many for i in ruined]]
    return [
        fault_count(
            "too_many_faults",
            bars.names[i] or "(no symbol)",
            int(losses[i]),
            count=losses[i],
            bars=counts[i],
            faults=_faults(marks, lost & (bars.codes == i)),
            share=f"{share:.0%}",
        )
        for i in ruined.tolist()
    ]


def _faults(marks: FaultMarks, lost: Mask) -> str:
    counts = np.bincount(marks.codes[lost], minlength=len(NAMES) + 1)
    return ", ".join(f"{NAMES[i - 1]} {counts[i]}" for i in np.flatnonzero(counts))
