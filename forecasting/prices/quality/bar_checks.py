"""Finds faults that a bar shows alone or beside its neighbours: numbers, copies, order, repeats."""

from datetime import datetime

import numpy as np
import pandas as pd

from forecasting.arrays import Codes, Floats, Instants, Mask
from forecasting.instants import to_nanoseconds
from forecasting.prices.quality.catalogue import COPIED_RUN, FEW_BARS, ROUNDING, STALE_RUN
from forecasting.prices.quality.marks import FaultMarks, RawBars
from forecasting.schema import OHLC, outside_range

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = range(5)


def judge_each(marks: FaultMarks, bars: RawBars, closes: Instants, now: datetime) -> None:
    """Faults that a bar shows on its own; `closes` are the closes after mending."""
    _, high, low, close, volume, dividend, split = bars.numbers.T
    marks.mark("missing_value", bars.unread)
    marks.mark("not_finite", np.asarray(~np.isfinite(bars.numbers).all(axis=1)))
    marks.mark("non_positive_price", np.asarray((bars.numbers[:, :4] <= 0).any(axis=1)))
    marks.mark("negative_volume", np.less(volume, 0))
    marks.mark("impossible_action", np.less(dividend, 0) | np.less_equal(split, 0))
    slack = ROUNDING * np.abs(close)
    marks.mark("high_below_low", np.less(high, low - slack))
    marks.mark("close_outside_range", outside_range(bars.numbers[:, :4], slack))
    marks.mark("future_bar", closes > to_nanoseconds(now))


def judge_copies(marks: FaultMarks, bars: RawBars, closes: Instants, interval: str) -> Mask:
    """Several bars where there can be one. Returns which of them are identical copies [n]."""
    copies = np.zeros(len(closes), dtype=bool)
    for times in (closes, bars.days) if interval == "1d" else (closes,):
        rows = np.flatnonzero(marks.sound)
        keys, codes = times[rows], bars.codes[rows]
        later = (codes[1:] == codes[:-1]) & (keys[1:] > keys[:-1])
        if (later | (codes[1:] > codes[:-1])).all():
            continue
        order = np.lexsort((rows, keys, codes))
        rows, keys = rows[order], keys[order]
        same = np.zeros(len(rows), dtype=bool)
        same[1:] = (bars.codes[rows][1:] == bars.codes[rows][:-1]) & (keys[1:] == keys[:-1])
        if not same.any():
            continue
        group = np.cumsum(~same) - 1
        first = rows[np.flatnonzero(~same)][group]
        differs = (bars.numbers[rows] != bars.numbers[first]).any(axis=1)
        differs |= closes[rows] != closes[first]
        disagree = np.bincount(group, weights=differs) > 0
        copies[rows[same & ~disagree[group]]] = True
        bad = np.zeros(len(closes), dtype=bool)
        bad[rows[same | disagree[group]]] = True
        marks.mark("duplicate_bar", bad)
    return copies


def sorted_order(sound: Mask, codes: Codes, closes: Instants) -> tuple[Codes, int]:
    """Sound rows by symbol and time, and how many of a symbol's closed before the row above.

    Symbols in another order than ours, or row by row in turns, are no blemish.
    """
    rows = np.flatnonzero(sound)
    if (codes[rows][1:] < codes[rows][:-1]).any():
        rows = rows[np.argsort(codes[rows], kind="stable")]
    owner, times = codes[rows], closes[rows]
    back = (owner[1:] == owner[:-1]) & (times[1:] < times[:-1])
    if back.any():
        rows = rows[np.lexsort((times, owner))]
    return rows, int(np.count_nonzero(back))


def judge_stillness(marks: FaultMarks, bars: RawBars, order: Codes, closes: Instants) -> None:
    """Runs of bars with the same four prices, and bars that repeat earlier ones with volume.

    Args:
        marks: what is known of the bars.
        bars: the bars.
        order: rows by symbol and time.
        closes: the closes after mending.
    """
    if not len(order):
        return
    prices, owner = bars.numbers[order, :4], bars.codes[order]
    repeats = np.zeros(len(order), dtype=bool)
    repeats[1:] = (owner[1:] == owner[:-1]) & (prices[1:] == prices[:-1]).all(axis=1)
    if repeats.any():
        run = np.cumsum(~repeats) - 1
        length = np.bincount(run)[run]
        whole = (length == np.bincount(owner)[owner]) & (length > FEW_BARS)
        bad = np.zeros(len(bars.codes), dtype=bool)
        bad[order[((length >= STALE_RUN) & repeats) | whole]] = True
        marks.mark("constant_price", bad)
    again, before = _copied(bars.numbers[order, :5], owner)
    bad = np.zeros(len(bars.codes), dtype=bool)
    bad[order[again]] = True
    fresh = marks.sound[order[again]]
    marks.mark("stale_repeat", bad)
    for row, source in zip(order[again[fresh]].tolist(), order[before[fresh]], strict=True):
        marks.details[row] = {"close": pd.Timestamp(int(closes[source]), tz="UTC")}


def _copied(numbers: Floats, owner: Codes) -> tuple[Codes, Codes]:
    """Places of bars that repeat an earlier one with its volume, and of the one repeated.

    The bar just before, or a run of `COPIED_RUN` bars at the same distance; there a bar counts
    only if its price moved, for a stock that trades at one tick may well repeat itself.
    """
    traded = numbers[:, _VOLUME] > 0
    bits = np.ascontiguousarray(numbers).view(np.int64)
    factors = np.array([3, 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], dtype=np.int64)
    with np.errstate(over="ignore"):
        keys = (bits * factors).sum(axis=1) * np.int64(0x5851F42D4C957F2D) + owner
    suspects = np.flatnonzero(pd.Index(keys).duplicated(keep=False) & traded)
    if not len(suspects):
        return suspects, suspects
    ordered = suspects[np.lexsort((suspects, keys[suspects]))]
    now, then = ordered[1:], ordered[:-1]
    equal = (owner[now] == owner[then]) & (numbers[now] == numbers[then]).all(axis=1)
    now, then = now[equal], then[equal]
    by_place = np.argsort(now)
    now, then = now[by_place], then[by_place]
    lag = now - then
    moved = numbers[now, _HIGH] > numbers[now, _LOW]
    goes_on = np.zeros(len(now), dtype=bool)
    goes_on[1:] = (np.diff(now) == 1) & (np.diff(lag) == 0) & moved[1:] & moved[:-1]
    run = np.cumsum(~goes_on) - 1
    long = np.bincount(run)[run] >= COPIED_RUN if len(run) else np.zeros(0, dtype=bool)
    stale = (lag == 1) | long
    return now[stale], then[stale]


def enclose(clean: pd.DataFrame) -> int:
    """Move highs and lows that miss the open or close by rounding. Returns how many bars."""
    ohlc = clean[[*OHLC]].to_numpy(dtype=np.float64)
    moved = outside_range(ohlc)
    if moved.any():
        clean["high"], clean["low"] = ohlc[:, [0, 1, 3]].max(axis=1), ohlc[:, [0, 2, 3]].min(axis=1)
    return int(np.count_nonzero(moved))
