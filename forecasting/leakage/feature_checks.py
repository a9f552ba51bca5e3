"""Leak checks of a features function: cuts that meet every stratum, and coins that meet every row.

A cut is exact: bars after it are left out for some symbols and replaced for the others, and the
rows before must come out the same, bit for bit. It is met by few rows, so the cuts are chosen to
meet every venue, weekday, part of the month and age, and rare events. The coin test looks at every
row at once, but sees only what shows in some fifty instants.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.leakage.coins import known_coins, toss
from forecasting.leakage.findings import LeakFinding, finding
from forecasting.leakage.probes import another_future, mixed_future, rows_that_differ
from forecasting.leakage.strata import Cut, Rows, rare_bars, spread_rows, stratified_cuts

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable

Describe = Callable[["pd.DataFrame"], "FeatureTable"]
"""Prices to features."""

_WINDOWS: Final = 3
_CUTS: Final = 2
"""Of a window; they share the description of what really came."""

_SYMBOLS: Final = 3
"""Of a window; more where there are more venues."""

_FUTURE: Final = 30
"""Bars of a window after its last cut: more than the trading days of a month."""

_OF_ROWS: Final = (
    "codes",
    "timestamps",
    "sessions",
    "close",
    "scale",
    "variance",
    "values",
    "usable",
)
_SPARE: Final = 10
_UNKNOWN_WARMUP: Final = 252
_COIN_ROWS: Final = 6_400
_COIN_SYMBOLS: Final = 10
_COIN_BARS: Final = 640
_ATTRIBUTED: Final = 2
"""Cuts at which a leak is told apart into what a cut shows and what other bars show."""


def check_features(
    describe: Describe,
    prices: "pd.DataFrame",
    *,
    table: "FeatureTable | None" = None,
    seed: int = 0,
) -> list[LeakFinding]:
    """Truncate and recompute, perturb the future, and toss coins, in every stratum of a panel.

    Args:
        describe: the features function.
        prices: a validated price frame.
        table: its description of `prices`, if it is at hand; one description is saved.
        seed: of the strata's samples, the other futures and the coins.

    Returns:
        Findings of `features_survive_truncation` and `features_ignore_the_future`.
    """
    rows = Rows.of(prices)
    random = np.random.default_rng(seed)
    chosen = spread_rows(rows, _COIN_ROWS, _COIN_SYMBOLS, _COIN_BARS, random)
    part = _Part(prices, rows)
    if len(chosen) < len(prices):
        frame = prices.iloc[chosen].reset_index(drop=True)
        part = _Part(frame, rows.take(chosen))
        table = describe(frame) if table is None else _rows_of(table, chosen)
    elif table is None:
        table = describe(prices)
    tossed = toss(part.prices, part.rows, random)
    told = known_coins(tossed, part.rows, describe(tossed.prices), table)
    cuts = stratified_cuts(
        rows,
        rare_bars(rows, prices["split"].to_numpy(dtype=np.float64)),
        random,
        windows=_WINDOWS,
        each=_CUTS,
        symbols=_SYMBOLS,
        past=(past := _warm_up(table, part.rows) + _SPARE),
    )
    truncated, perturbed = [], [told]
    for _, window in groupby(cuts, key=lambda cut: cut.window):
        few = _window(prices, rows, list(window), past)
        for one, two in _differences(describe, few, random):
            truncated.append(one)
            perturbed.append(two)
    symbols = {symbol for cut in cuts for symbol in cut.symbols}
    looked = f"{len(table.names)} features of {len(symbols)} symbols, {len(cuts)} cuts"
    tosses = f", {len(tossed.instants):,} instants of tossed coins"
    return [
        finding("features_survive_truncation", truncated, looked),
        finding("features_ignore_the_future", perturbed, looked + tosses),
    ]


@dataclass(frozen=True, eq=False)
class _Part:
    """Some bars of a panel, where they stand, and the cuts that they are looked at."""

    prices: "pd.DataFrame"
    rows: Rows
    cuts: tuple[int, ...] = ()


def _rows_of(table: "FeatureTable", chosen: NDArray[np.int64]) -> "FeatureTable":
    """Some rows of a table; its symbols and their codes stay."""
    return replace(
        table,
        **{name: getattr(table, name)[chosen] for name in _OF_ROWS},
    )


def _warm_up(table: "FeatureTable", rows: Rows) -> int:
    """Bars before the first usable row of the symbol that has it earliest."""
    places = [
        int(np.argmax(table.usable[a:b]))
        for a, b in zip(rows.bounds[:-1].tolist(), rows.bounds[1:].tolist(), strict=True)
        if table.usable[a:b].any()
    ]
    return min(places, default=_UNKNOWN_WARMUP)


def _window(prices: "pd.DataFrame", rows: Rows, cuts: list[Cut], past: int) -> _Part:
    """The bars about some cuts: enough before to warm up, and what came after."""
    instants = sorted(cut.instant for cut in cuts)
    chosen = []
    for symbol in cuts[0].symbols:
        start, stop = int(rows.bounds[symbol]), int(rows.bounds[symbol + 1])
        first, last = np.searchsorted(rows.stamps[start:stop], instants, side="right")[[0, -1]]
        chosen.append(
            np.arange(max(start, start + first - past), min(stop, start + last + _FUTURE))
        )
    some = np.concatenate(chosen)
    return _Part(prices.iloc[some].reset_index(drop=True), rows.take(some), tuple(instants))


def _differences(
    describe: Describe, few: _Part, random: np.random.Generator
) -> list[tuple[str, str]]:
    """What differs, cut by cut, where later bars are left out and where they are others."""
    whole, stamps = describe(few.prices), few.rows.stamps
    found: list[tuple[str, str]] = []
    for number, cut in enumerate(few.cuts):
        ends = _ending(few.rows, number, random)[few.rows.codes]
        mixed = describe(mixed_future(few.prices, stamps, cut, ends, random))
        differs = rows_that_differ(whole, mixed, cut)
        one = two = ""
        if differs and len(found) < _ATTRIBUTED:
            past = few.prices[stamps <= cut].reset_index(drop=True)
            one = rows_that_differ(whole, describe(past), cut)
            other = another_future(few.prices, stamps > cut, random)
            two = rows_that_differ(whole, describe(other), cut)
        found.append((one, two) if one or two else (differs, ""))
    return found


def _ending(rows: Rows, number: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Which symbols end at a cut: half of them; of one symbol, every other time."""
    count = len(rows.symbols)
    turn = random.permutation(count) + number
    ending: NDArray[np.bool_] = turn % 2 == 0
    return ending
