"""Finds jumps between bars: splits missed or doubled, other units, spikes, and news.

What counts is the opening jump: the log ratio of a bar's open to the close before it, with the
bar's own split and dividend taken out (the return of `forecasting.prices.adjustment` at the open). A
market that never closes has none, so a crash in crypto is none of these faults. A jump is
suspicious if it is large and eight times what the symbol's jumps usually are (1.4826 times their
median size over the 60 bars before, which estimates a standard deviation and ignores the jumps
themselves; Rousseeuw & Croux, 1993). What tells a fault from news is the trading: after bad news
everybody trades, while a split or another unit leaves the volume as it was, in shares or in money.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from forecasting.arrays import Codes, Floats, Instants, Mask
from forecasting.instants import DAY, date_text
from forecasting.prices.quality.catalogue import (
    ENDED_DAYS,
    HEAVY,
    JUMP,
    JUMP_SIGMAS,
    SPIKE_BARS,
    FaultCount,
    fault_count,
)

WINDOW: Final = 60
"""Bars before a jump that tell what is usual."""

LEAST: Final = 20
"""Bars that are enough for it; the bars after the jump are taken where fewer are before it."""

UNKNOWN: Final = 0.03
"""Least scale that is taken for granted of a symbol with hardly any bars."""

_RATIOS: Final = {
    "5:4": 5 / 4, "4:3": 4 / 3, "3:2": 3 / 2, "5:3": 5 / 3, "2:1": 2.0, "5:2": 5 / 2, "3:1": 3.0,
    "4:1": 4.0, "5:1": 5.0, "6:1": 6.0, "7:1": 7.0, "8:1": 8.0, "10:1": 10.0, "12:1": 12.0,
    "15:1": 15.0, "20:1": 20.0, "25:1": 25.0, "30:1": 30.0, "40:1": 40.0, "50:1": 50.0,
}  # fmt: skip
"""Splits that companies make; each may be a reverse split too."""

_UNITS: Final = (100.0, 1000.0)
_NEAR: Final = 0.03
_NO_CHANCE: Final = np.log(5.0)
"""From here on a jump that comes back is no news, however heavily it was traded."""


@dataclass(frozen=True)
class Series:
    """Bars by symbol and time.

    Attributes:
        owner: whose each is [n].
        days: their sessions, nanoseconds [n].
        numbers: open, high, low, close, volume, dividend, split [n, 7].
        fresh: which are judged; the others were, and only stand before them [n].
    """

    owner: Codes
    days: Instants
    numbers: Floats
    fresh: Mask


@dataclass
class Jumps:
    """What was found.

    Attributes:
        spikes: places of bars to take out, with the factor by which they stand off.
        findings: jumps that are reported or refuse the set.
    """

    spikes: dict[int, float] = field(default_factory=dict)
    findings: list[FaultCount] = field(default_factory=list)


@dataclass(frozen=True)
class _Usual:
    """What is usual around some bars [k]."""

    sigma: Floats
    heaviness: Floats


def judge_jumps(series: Series, names: tuple[str, ...], interval: str) -> Jumps:
    """Name every jump that is too large for the symbol.

    Args:
        series: sound bars, by symbol and time.
        names: the symbols that `series.owner` counts.
        interval: volumes of intraday bars are compared with the busy tenth of the bars before,
            because every session opens busily.
    """
    found = Jumps()
    if len(series.owner) < 2:
        return found
    opened, _, _, close, _, dividend, split = series.numbers.T
    same = np.concatenate([[False], series.owner[1:] == series.owner[:-1]])
    jump = np.zeros(len(close))
    jump[1:] = np.log(split[1:] * (opened[1:] + dividend[1:]) / close[:-1])
    jump[~same] = 0.0
    recorded = np.abs(np.log(split))
    least = np.where(recorded > 0, np.minimum(JUMP, recorded / 2), JUMP)
    rows = np.flatnonzero((np.abs(jump) >= least) & series.fresh)
    if not len(rows):
        return found
    usual = _usual(series, jump, same, rows, 0.5 if interval == "1d" else 0.9)
    strange = np.abs(jump[rows]) >= JUMP_SIGMAS * usual.sigma
    rows, sigma = rows[strange], usual.sigma[strange]
    heavy = usual.heaviness[strange] > HEAVY
    spiked = _spikes(found, series, jump, rows, heavy)
    for row, scale, busy in zip(
        rows[~spiked].tolist(), sigma[~spiked].tolist(), heavy[~spiked].tolist(), strict=True
    ):
        found.findings.append(_named(series, names, jump, row, scale, heavy=busy))
    return found


def _usual(series: Series, jump: Floats, same: Mask, rows: Codes, level: float) -> _Usual:
    """Robust scale of the jumps, and the bar's volume over the usual one.

    The volume is the calmer of shares and money: a split changes the one, another unit the other.
    """
    starts = np.flatnonzero(~same)
    begin = starts[np.searchsorted(starts, rows, side="right") - 1]
    ends = np.append(starts[1:], len(jump))
    end = ends[np.searchsorted(starts, rows, side="right") - 1]
    few = rows - begin <= LEAST
    steps = np.arange(1, WINDOW + 1)
    sigma, heaviness = np.empty(len(rows)), np.empty(len(rows))
    volume = series.numbers[:, 4]
    money = volume * series.numbers[:, 3]
    for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 20_000)):
        at = rows[part, None] + np.where(few[part, None], steps, -steps)
        # A symbol's first bar has no jump.
        inside = (at > begin[part, None]) & (at < end[part, None])
        at = np.where(inside, at, rows[part, None])

        def over(values: Floats, quantile: float, at: Codes = at, inside: Mask = inside) -> Floats:
            return _quantile(np.where(inside, values[at], np.nan), quantile)

        scale = 1.4826 * over(np.abs(jump), 0.5)
        sigma[part] = np.where(inside.sum(axis=1) < LEAST // 2, np.maximum(scale, UNKNOWN), scale)
        ratios = [
            np.divide(values[rows[part]], usual, out=np.zeros(len(part)), where=usual > 0)
            for values, usual in ((values, over(values, level)) for values in (volume, money))
        ]
        heaviness[part] = np.minimum(*ratios)
    return _Usual(sigma, heaviness)


def _quantile(values: Floats, level: float) -> Floats:
    """Quantile of each row [k, w] without its NaNs, 0 where there is nothing else [k].

    NumPy's own goes row by row in Python once there is a NaN.
    """
    count = np.count_nonzero(~np.isnan(values), axis=1)
    ordered = np.sort(values, axis=1)  # NaNs come last
    place = level * np.maximum(count - 1, 0)
    below = np.floor(place).astype(np.int64)
    rows = np.arange(len(values))
    low, high = ordered[rows, below], ordered[rows, np.ceil(place).astype(np.int64)]
    answer: Floats = np.where(count > 0, low + (place - below) * (high - low), 0.0)
    return answer


def _spikes(found: Jumps, series: Series, jump: Floats, rows: Codes, heavy: Mask) -> Mask:
    """Find jumps that come back; returns which of the rows are explained by that."""
    explained = np.zeros(len(rows), dtype=bool)
    within = np.log(series.numbers[:, 3] / series.numbers[:, 0])
    place = {row: i for i, row in enumerate(rows.tolist())}
    for row, i in place.items():
        size = float(jump[row])
        if explained[i] or series.numbers[row, 6] != 1:
            continue
        believable = bool(heavy[i]) and abs(size) < _NO_CHANCE
        slack = max(0.06, 0.15 * abs(size))
        later = jump[row + 1 : row + 1 + SPIKE_BARS]
        same_symbol = series.owner[row + 1 : row + 1 + SPIKE_BARS] == series.owner[row]
        returns = row + 1 + np.flatnonzero(same_symbol & (np.abs(later + size) <= slack))
        if not believable and abs(within[row] + size) <= slack:
            found.spikes[row] = float(np.exp(size))  # its open is wrong
        elif not believable and abs(within[row - 1] + size) <= slack and series.fresh[row - 1]:
            found.spikes[row - 1] = float(np.exp(-size))  # the close before it is wrong
        elif len(returns):
            back = int(returns[0])
            # News that is denied trades heavily on both days.
            if believable and back in place and heavy[place[back]]:
                continue
            found.spikes.update(dict.fromkeys(range(row, back), float(np.exp(size))))
            if back in place:
                explained[place[back]] = True
        else:
            continue
        explained[i] = True
    return explained


def _named(
    series: Series, names: tuple[str, ...], jump: Floats, row: int, sigma: float, *, heavy: bool
) -> FaultCount:
    """What a jump that stays is."""
    size = float(jump[row])
    split = float(series.numbers[row, 6])
    opened, before = float(series.numbers[row, 0]), float(series.numbers[row - 1, 3])
    symbol = names[int(series.owner[row])]
    details: dict[str, object] = {
        "session": date_text(series.days[row]),
        "factor": f"{opened / before:.4g}",
    }
    near = max(_NEAR, min(3 * sigma, 2 * _NEAR))
    if split != 1:
        recorded = abs(np.log(split))
        if abs(abs(size) - recorded) <= max(near, 0.15 * recorded):
            return fault_count("doubled_split", symbol, 1, ratio=f"{split:g}:1", **details)
    if min(abs(abs(size) - np.log(unit)) for unit in _UNITS) <= 2 * _NEAR:
        return fault_count("unit_jump", symbol, 1, **details)
    if heavy:
        return fault_count("news_jump", symbol, 1, **details)
    ratio, distance = min(
        ((name, abs(abs(size) - np.log(value))) for name, value in _RATIOS.items()),
        key=lambda named: named[1],
    )
    paused = series.days[row] - series.days[row - 1] > ENDED_DAYS * DAY
    if distance <= near and not paused:
        ratio = ratio if size < 0 else ":".join(reversed(ratio.split(":")))
        return fault_count("missed_split", symbol, 1, ratio=ratio, **details)
    return fault_count("level_shift", symbol, 1, **details)
