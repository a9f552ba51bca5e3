"""Finds symbols that end before the others, and those that go on under another name."""

from typing import Final

import numpy as np
import pandas as pd

from forecasting.arrays import Codes
from forecasting.instants import DAY, date_text
from forecasting.prices.quality.catalogue import ENDED_DAYS, FaultCount, fault_count
from forecasting.prices.quality.jump_checks import Series

_SOON: Final = 7 * DAY
_ALIKE: Final = 0.08
"""A log ratio between one symbol's last close and another's first open that a night explains."""


def judge_life(series: Series, names: tuple[str, ...]) -> list[FaultCount]:
    """Count the symbols that ended, and under which name they go on.

    Args:
        series: sound bars, by symbol and time. A symbol without fresh bars was not asked for now:
            it is not reported as ended, but may be found to go on under another name.
        names: the symbols that `series.owner` counts.
    """
    if not len(series.owner):
        return []
    edges = np.flatnonzero(np.diff(series.owner)) + 1
    begins = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [len(series.owner)]]) - 1
    symbols = series.owner[begins]
    first, last = series.days[begins], series.days[ends]
    end, start = int(last.max()), int(first.min())
    ended = end - last > ENDED_DAYS * DAY
    counts: list[FaultCount] = []
    for i in np.flatnonzero(ended).tolist():
        if series.fresh[ends[i]]:
            counts.append(
                fault_count(
                    "delisted",
                    names[int(symbols[i])],
                    1,
                    last=date_text(last[i]),
                    end=date_text(end),
                )
            )
        after = (first > last[i]) & (first - last[i] <= _SOON) & (first - start > _SOON)
        ratio = np.abs(np.log(series.numbers[begins, 0] / series.numbers[ends[i], 3]))
        counts += [
            fault_count(
                "renamed_symbol",
                names[int(symbols[i])],
                1,
                last=date_text(last[i]),
                other=names[int(symbols[j])],
                goes_on=f"begins on {date_text(first[j])} at its price",
            )
            for j in np.flatnonzero(after & (ratio <= _ALIKE)).tolist()
        ]
    counts += _twins(series, names, ends)
    return counts


def _twins(series: Series, names: tuple[str, ...], ends: Codes) -> list[FaultCount]:
    """Symbols whose last bar is another's bar of the same day, volume included."""
    counts = []
    moved = series.numbers[ends, 1] > series.numbers[ends, 2]
    traded = series.numbers[ends, 4] > 0
    lasts = ends[moved & traded]
    for day in np.unique(series.days[lasts]).tolist():
        rows = np.flatnonzero(series.days == day)
        bars = pd.DataFrame(series.numbers[rows, :5])
        groups = bars.groupby(list(bars.columns), sort=False).indices
        for group in groups.values():
            twins = rows[group]
            ending = np.intersect1d(twins, lasts)
            others = np.setdiff1d(series.owner[twins], series.owner[ending[:1]])
            if len(ending) and len(others):
                counts.append(
                    fault_count(
                        "renamed_symbol",
                        names[int(series.owner[ending[0]])],
                        1,
                        last=date_text(day),
                        other=names[int(others[0])],
                        goes_on="has the same bar",
                    )
                )
    return counts
