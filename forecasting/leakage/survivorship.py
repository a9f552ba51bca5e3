"""Checks a universe for survivorship bias: symbols left out because they were delisted."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.instants import DAY, minute_text, nanoseconds
from forecasting.leakage.findings import OF_UNIVERSE, LeakFinding
from forecasting.prices.calendar import WEEKDAYS, exchange_of
from forecasting.schema import MAX_HORIZON, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

YEARLY_EXITS: Final = 0.01
"""Share of symbols that end in a year, at the least: deliberately far below what exchanges see,
where takeovers and failures end several in a hundred."""

_CHANCE: Final = 0.05
_YEAR: Final = 365.25 * DAY


def check_survivorship(
    prices: "pd.DataFrame",
    used: Collection[str],
    *,
    declared: str = "",
    hindsight: bool | None = None,
) -> LeakFinding:
    """Look for symbols that were left out because they ended, or that cannot all have survived.

    A symbol has ended if the longest horizon's worth of the panel's instants follow its last bar.
    With exits at 1 % a year, y symbol-years pass without any with probability exp(-0.01 y).

    Args:
        prices: all bars the data set holds, used or not.
        used: symbols that are learned from.
        declared: how the universe was chosen, in the source's words, shown with what was found.
        hindsight: whether the source declares a choice with hindsight; None where it declares
            neither that nor that there was none, so that the bars have to tell.
    """
    stamps = nanoseconds(prices[TIMESTAMP])
    instants = np.unique(stamps)
    end = int(instants[max(len(instants) - 1 - MAX_HORIZON, 0)])
    symbols = prices[SYMBOL].to_numpy()
    bounds = np.flatnonzero(symbols[1:] != symbols[:-1])
    starts, stops = np.concatenate(([0], bounds + 1)), np.concatenate((bounds, [len(symbols) - 1]))
    first = dict(zip(symbols[starts], stamps[starts].tolist(), strict=True))
    last = dict(zip(symbols[stops], stamps[stops].tolist(), strict=True))
    ended = sorted(symbol for symbol in last if last[symbol] < end)
    left_out = [symbol for symbol in ended if symbol not in used]
    ended_used = len(ended) - len(left_out)
    years = (
        sum(last[symbol] - first[symbol] for symbol in used if symbol in last and _can_end(symbol))
        / _YEAR
    )
    chance = float(np.exp(-YEARLY_EXITS * years))
    found = f"{len(used)} symbols, {ended_used} of them ended before the last bar"
    if hindsight is None and left_out:
        listed = ", ".join(
            f"{symbol} (last bar {minute_text(last[symbol])})" for symbol in left_out[:5]
        )
        found += f"; {len(left_out)} that ended are left out: {listed}"
        hindsight = True
    elif hindsight is None and not ended_used and chance < _CHANCE:
        found += (
            f", in {years:,.0f} symbol-years: even at {YEARLY_EXITS:.0%} a year the chance of that "
            f"is {chance:.1%}"
        )
        found += "" if declared else ", and nobody declares how they were chosen"
        hindsight = True
    found += f"; declared: {declared}" if declared else ""
    return LeakFinding(OF_UNIVERSE, False, found, bool(hindsight))


def _can_end(symbol: str) -> bool:
    """Whether a symbol can end at all: indices, currencies and futures roll on."""
    return not symbol.startswith("^") and exchange_of(symbol) not in {WEEKDAYS, "us_futures"}
