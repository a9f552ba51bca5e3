"""Coin test of features: prices of tossed coins, and features that know a coin before it is tossed.

Every instant of a panel gets three fair coins: one says which way all bars that close then go, one
whether they move half or one and a half as far, one whether they trade half or double. All else of
the bars is kept: their calendar, gaps, splits, and the size and order of their moves, so that what
shows under some condition only still does. A feature of a row may depend on the coins up to its
close, so its products with a later coin are martingale differences: over their root sum of squares
their sum is of size 1, and above `LIMIT` in one of a billion cases (Hoeffding, 1963; the
signs are those of a wild bootstrap, Wu, 1986). A single recomputation so looks at every row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Instants, Singles
from forecasting.instants import minute_text
from forecasting.leakage.strata import Levels, Rows
from forecasting.prices.adjustment import multipliers
from forecasting.schema import OHLC

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable

LIMIT: Final = 6.5
"""Root sums of squares that no honest feature is off by; 2 exp(-6.5^2 / 2) is 1e-9."""

COINS: Final = ("direction", "size", "volume")
"""What each coin decides."""

_AHEAD: Final = 2
"""Bars ahead whose coins are looked for; leaks from further ahead are found at cuts."""

_CLOSES_LATER: Final = 4
"""Closes ahead, of any venue, whose coins are looked for where a date has several closes."""

_CLIP: Final = 4.0
"""Usual deviations at which a feature is cut off, so that no single bar carries a sum."""

_FEWEST: Final = 50
"""Instants of a stratum below which no sum can reach the limit: it is at most their root."""

_LONG_STEP: Final = 1.5
"""Median steps of a symbol from which a step between bars counts as a gap."""


@dataclass(frozen=True, eq=False)
class Tossed:
    """A panel of tossed coins.

    Attributes:
        prices: as the panel, with other prices and volumes.
        instants: distinct closes, int64 ns [T].
        place: of each row's close in `instants`, int64 [n].
        coins: of every instant, -1 or 1, float32 [3, T]; see COINS.
    """

    prices: "pd.DataFrame"
    instants: Instants
    place: NDArray[np.int64]
    coins: Singles


def toss(panel: "pd.DataFrame", rows: Rows, random: np.random.Generator) -> Tossed:
    """Prices whose bars go where coins say.

    A bar's log distances from the close before, splits and dividends worked in, are multiplied by
    one factor; by a negative one, high and low change places.

    Args:
        panel: a validated price frame of n bars.
        rows: its rows.
        random: tosses the coins.
    """
    instants, place = np.unique(rows.stamps, return_inverse=True)
    coins = random.choice(np.array([-1.0, 1.0], dtype=np.float32), (len(COINS), len(instants)))
    opening, high, low, close = (np.log(panel[name].to_numpy(dtype=np.float64)) for name in OHLC)
    split, dividend = (panel[name].to_numpy(dtype=np.float64) for name in ("split", "dividend"))
    factors, shift = np.empty(len(panel)), np.empty(len(panel))
    for start, stop in zip(rows.bounds[:-1].tolist(), rows.bounds[1:].tolist(), strict=True):
        own = slice(start, stop)
        worth = close[own] + np.log(multipliers(np.exp(close[own]), dividend[own], split[own])[0])
        moves = np.diff(worth, prepend=worth[0])
        far = 1.0 + 0.5 * coins[1, place[own]]
        factors[own] = np.where(moves < 0.0, -1.0, 1.0) * coins[0, place[own]] * far
        shift[own] = np.cumsum((factors[own] - 1.0) * moves)
    up, down = factors * (high - close), factors * (low - close)
    logs = {
        "open": factors * (opening - close),
        "high": np.maximum(up, down),
        "low": np.minimum(up, down),
        "close": np.zeros(len(panel)),
    }
    changed = {name: np.exp(close + shift + logs[name]) for name in OHLC}
    changed["dividend"] = dividend * np.exp(shift)
    changed["volume"] = panel["volume"].to_numpy(dtype=np.float64) * 2.0 ** coins[2, place]
    return Tossed(panel.assign(**changed), instants, place.astype(np.int64), coins)


def known_coins(tossed: Tossed, rows: Rows, table: "FeatureTable", real: "FeatureTable") -> str:
    """Which feature knows a coin before it is tossed, of which bars, in words; "" if none does.

    Args:
        tossed: the panel that was described.
        rows: its rows.
        table: its description.
        real: the description of the panel before coins were tossed; says what is usual of a
            feature, without knowing a coin.
    """
    values = _standardised(table, real)
    levels = Levels.of_instants(tossed.instants)
    holds = levels.members()
    worst, found = LIMIT, ""
    for group in _groups(tossed, rows, real):
        sums, known = _sums(values, group, tossed, holds if group.by_level else holds[:1])
        coin, level, column = (int(each) for each in np.unravel_index(sums.argmax(), sums.shape))
        if sums[coin, level, column] <= worst:
            continue
        worst = float(sums[coin, level, column])
        name = [*table.names, "scale"][column]
        where = ", ".join(each for each in (group.name, levels.names[level]) if each)
        last = group.rows[holds[level, tossed.place[group.rows]] > 0][-1]
        found = (
            f"{name} knows the {COINS[coin]} of {group.ahead}{where and f' ({where})'} before it is "
            f"drawn: {worst:.1f} standard errors from none in {known[level]:,} instants, the last "
            f"row {rows.symbols[rows.codes[last]]} of {minute_text(rows.stamps[last])}"
        )
    return found


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows that are looked at together.

    Attributes:
        name: which rows, "" for all.
        ahead: whose coins they may not know.
        rows: their numbers, int64 [m].
        targets: the instant of that coin, for every row, int64 [m].
        by_level: whether every stratum of instants is looked at, too.
    """

    name: str
    ahead: str
    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    by_level: bool


def _standardised(table: "FeatureTable", real: "FeatureTable") -> Singles:
    """Features and scale in usual deviations from what is usual, zero where unknown, [n, k + 1]."""
    values, usual = (
        np.column_stack([each.values, each.scale.astype(np.float32)]) for each in (table, real)
    )
    some = usual[np.linspace(0, len(usual) - 1, min(len(usual), 2_000)).astype(np.intp)]
    known = np.isfinite(some)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, some, 0).sum(axis=0) / count
    deviation = np.sqrt(np.where(known, np.square(some - mean), 0).sum(axis=0) / count)
    values -= mean.astype(np.float32)
    values /= np.where(deviation > 0, deviation, 1).astype(np.float32)
    np.nan_to_num(values, copy=False, nan=0.0)
    return np.clip(values, -_CLIP, _CLIP, out=values)


def _groups(tossed: Tossed, rows: Rows, real: "FeatureTable") -> Iterator[_Group]:
    """Rows of all and of every kind, with the coins of their own next bars, and of other venues'."""
    everyone = np.arange(len(tossed.place))
    for ahead in range(1, _AHEAD + 1):
        there = everyone[: max(len(everyone) - ahead, 0)]
        there = there[rows.codes[there] == rows.codes[there + ahead]]
        targets = tossed.place[there + ahead]
        what = f"the bar {ahead} ahead"
        yield _Group("", what, there, targets, by_level=ahead == 1)
        if ahead == 1:
            for name, holds in _kinds(rows, real, there):
                yield _Group(name, what, there[holds], targets[holds], by_level=False)
    several = np.unique(rows.venues).tolist()
    if len(several) < 2:
        return
    for later in range(1, min(len(several), _CLOSES_LATER) + 1):
        for venue in several:
            own = rows.venues[rows.codes] == venue
            there = np.flatnonzero(own & (tossed.place + later < len(tossed.instants)))
            first = rows.symbols[int(np.argmax(rows.venues == venue))]
            what = f"all bars {later} {'close' if later == 1 else 'closes'} later"
            targets = tossed.place[there] + later
            yield _Group(f"where {first} trades", what, there, targets, by_level=later == 1)


def _kinds(
    rows: Rows, real: "FeatureTable", there: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Groups of rows that a leak may be confined to: symbols, calm and storm, gaps."""
    codes = rows.codes[there]
    if len(rows.symbols) > 1:
        for number, symbol in enumerate(rows.symbols):
            yield f"of {symbol}", codes == number
    third = np.zeros(len(real.scale), dtype=np.int64)
    for start, stop in zip(rows.bounds[:-1].tolist(), rows.bounds[1:].tolist(), strict=True):
        edges = np.nanquantile(real.scale[start:stop], (1 / 3, 2 / 3)) if stop - start > 1 else 0
        third[start:stop] = np.searchsorted(edges, real.scale[start:stop])
    for number, called in enumerate(("in calm", "between calm and storm", "in storm")):
        yield called, third[there] == number
    steps = np.diff(rows.stamps, append=rows.stamps[-1:])
    usual = np.array(
        [np.median(steps[a:b]) for a, b in zip(rows.bounds, rows.bounds[1:], strict=False)]
    )
    wide = steps > _LONG_STEP * usual[rows.codes]
    yield "before a gap", wide[there]
    yield "after a gap", np.where(there > 0, wide[there - 1], False)


def _sums(
    values: Singles, group: _Group, tossed: Tossed, holds: Singles
) -> tuple[Singles, NDArray[np.int64]]:
    """Standardised sums of features times coins [3, L, k], and instants of each stratum [L].

    Rows that wait for the same coin are added before they are squared, for they share it.
    """
    shape = (len(COINS), len(holds), values.shape[1])
    if len(group.rows) < _FEWEST:
        return np.zeros(shape, dtype=np.float32), np.zeros(len(holds), dtype=np.int64)
    order = np.argsort(group.targets, kind="stable")
    ordered = group.targets[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    waiting = values[group.rows[order]]
    if len(starts) < len(ordered):
        waiting = np.add.reduceat(waiting, starts, axis=0)
    at = ordered[starts]
    members = holds[:, tossed.place[group.rows[order[starts]]]]
    known = members.sum(axis=1).astype(np.int64)
    signed = (members * tossed.coins[:, None, at]).reshape(-1, len(at)) @ waiting
    squares = members @ np.square(waiting)
    enough = (known >= _FEWEST)[:, None] & (squares > 0)
    result = np.abs(signed.reshape(shape)) / np.sqrt(np.where(enough, squares, np.inf))
    return result.astype(np.float32), known
