"""Calibrates drift thresholds from the history itself, for a given rate of false alarms.

The null is a moving-block bootstrap (Kuensch, 1989) with one block: "a window of this length,
drawn from this history". A block is a run of consecutive dates with all symbols of each, as long
as the window that is judged; so it has the window's autocorrelation, its cross-section and its
numbers of rows. Blocks are not drawn at random, all of them are taken (subsampling; Politis,
Romano and Wolf, 1999, chapter 3), so that limits do not depend on a seed. A block is compared
with what the real window is compared with: the rest of the history, or the bars just before it.

The decision is one over all columns. Logs of the distances are made comparable column by column,
the largest is taken in every block, and its quantile q gives every column the threshold
exp(mean + q * deviation): at least one column passes its own in as few blocks as was asked for
(single-step maxT; Westfall and Young, 1993, section 2.3).

Blocks overlap, and persist. The history counts as bars / max(length, tau) independent blocks,
tau the autocorrelation time of the largest distance (Sokal, 1997, section 3). A quantile of m
draws is passed by the next draw more often than its level says, so the level is raised to
(1 - alpha) (1 + 1/m). Where that exceeds 1 the limit is the largest distance of the history,
which the next draw passes once in m + 1. Below MIN_BLOCKS there is no limit, but a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.arrays import Floats, Instants
from forecasting.drift.config import Look
from forecasting.drift.wasserstein import distances_between, distances_to_rest
from forecasting.drift.windows import ABSENT, DriftPanel

MIN_BLOCKS: Final = 19
"""Fewest independent blocks that can set a limit: 1 / (19 + 1) is 5 %."""

_MOST_BLOCKS: Final = 600
_MOST_VALUES: Final = 400_000  # rows of all blocks together: a fifth of a CPU-second per column
_FEWEST_BLOCKS: Final = 120
_OFFSET: Final = 1e-3  # of a standard deviation: keeps the log of no distance finite
_STILL: Final = 1e-9  # deviation of a log that rounding alone can make
_WHITE: Final = 0.05  # autocorrelation that counts as none


@dataclass(frozen=True)
class Limits:
    """What a look may find when nothing has changed.

    Attributes:
        look: the look that was calibrated.
        thresholds: by column, the distance at which it counts as drifted.
        blocks: blocks of the history that were measured.
        independent: how many independent ones they are worth.
        false_alarms: share of looks in which at least one column reaches its threshold although
            nothing has changed.
        unlimited: columns without a threshold, and why.
    """

    look: Look
    thresholds: Mapping[str, float]
    unlimited: Mapping[str, str]
    blocks: int
    independent: float
    false_alarms: float


@dataclass(frozen=True)
class TooShort:
    """No limits could be set, and why."""

    look: Look
    reason: str


def calibrate(
    history: DriftPanel, look: Look, columns: Sequence[str], *, false_alarms: float
) -> Limits | TooShort:
    """Thresholds of every column from the history's own windows.

    Args:
        history: the champion's training features (or its earlier answers); nothing of the window
            that will be judged.
        look: which windows.
        columns: those that will be judged together.
        false_alarms: share of looks that may be wrong, over all columns together.

    Returns:
        The limits; or why the history is too short for any.
    """
    most = min(history.bars / look.newest, history.bars - look.bars + 1.0)
    if most < MIN_BLOCKS:
        return TooShort(look, f"no limit can be set: {_short(history, look, max(most, 0.0))}")
    ends = _ends(history, look)
    spacing = history.bars / len(history.distinct) * float(np.diff(ends).mean())
    logs = np.log(block_distances(history, look, columns, ends) + _OFFSET)
    logs = logs[np.isfinite(logs).all(axis=1)]
    if len(logs) < MIN_BLOCKS:
        return TooShort(look, f"no limit can be set: {_short(history, look, len(logs))}")

    def independent(series: Floats) -> float:
        return history.bars / max(look.newest, spacing * autocorrelation_time(series))

    worths = np.array([independent(series) for series in logs.T])
    varies = logs.std(axis=0) > _STILL
    unlimited = {
        name: "its distance never varied in the reference"
        for name, moves in zip(columns, varies, strict=True)
        if not moves
    }
    # The most persistent columns go first, until what is left has blocks enough.
    limited = [int(place) for place in np.argsort(-worths, kind="stable") if varies[place]]
    while limited:
        mean, deviation = logs[:, limited].mean(axis=0), logs[:, limited].std(axis=0)
        largest = ((logs[:, limited] - mean) / deviation).max(axis=1)
        worth = independent(largest)
        if min(worth, worths[limited[-1]]) >= MIN_BLOCKS:
            break
        last = limited.pop()
        reason = _short(history, look, min(worth, worths[last]))
        unlimited[columns[last]] = f"it persists too long for a limit: {reason}"
    else:
        return TooShort(look, f"no limit can be set: {_short(history, look, worths.max())}")
    level = (1 - false_alarms) * (1 + 1 / worth)
    critical = float(np.quantile(largest, min(level, 1.0)))
    thresholds = np.exp(mean + critical * deviation) - _OFFSET
    return Limits(
        look,
        {
            columns[place]: float(threshold)
            for place, threshold in zip(limited, thresholds, strict=True)
        },
        unlimited,
        len(logs),
        worth,
        false_alarms if level <= 1 else 1 / (worth + 1),
    )


def block_distances(
    history: DriftPanel, look: Look, columns: Sequence[str], ends: Instants
) -> Floats:
    """Distance of every block and column, [W, k]: to the rest of the history, or to before it."""
    newest, before = history.windows(ends, look)
    filled = (newest != ABSENT).any(axis=1)
    newest, before = newest[filled], before[filled]
    place = {name: number for number, name in enumerate(history.names)}
    distances = [
        distances_between(history.values[:, place[name]], newest, before)
        if look.before
        else distances_to_rest(history.values[:, place[name]], newest)
        for name in columns
    ]
    return np.stack(distances, axis=1)


def autocorrelation_time(series: Floats) -> float:
    """1 + 2 * the sum of autocorrelations up to the first that is white, in steps of the series.

    As many steps of the series are worth one independent draw (Sokal, 1997, equation 3.16).
    """
    moved = series - series.mean()
    power = float(moved @ moved)
    if power == 0:
        return 1.0
    size = 1 << (2 * len(moved) - 1).bit_length()
    spectrum = np.fft.rfft(moved, size)
    lags = np.fft.irfft(np.abs(spectrum) ** 2, size)[1 : len(moved) // 2] / power
    white = np.flatnonzero(lags < _WHITE)
    return 1.0 + 2.0 * float(lags[: white[0] if white.size else len(lags)].sum())


def _ends(history: DriftPanel, look: Look) -> Instants:
    """Places of the blocks' ends, evenly spread over the history, oldest first."""
    rows = max(len(history.symbols) * look.bars, 1)
    most = max(_FEWEST_BLOCKS, min(_MOST_BLOCKS, _MOST_VALUES // rows))
    last = len(history.distinct) - 1
    first = min(look.bars - 1, last)
    return np.unique(np.linspace(first, last, min(most, last - first + 1)).round().astype(np.int64))


def _short(history: DriftPanel, look: Look, worth: float) -> str:
    return (
        f"{history.bars} bars of history are worth {worth:.0f} independent windows of "
        f"{look.newest} bars, {MIN_BLOCKS} are needed"
    )
