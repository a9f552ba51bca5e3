"""Strata of a panel's bars, and samples that meet them all: venues, weekdays, months, ages, hours.

A leak may show on some bars only: on Mondays, in the first days of a month, in one venue, before
some year. Samples are therefore drawn by stratum, from the whole history, never by position. Every
choice comes from a seed and the calendar, so that the same prices are checked in the same places.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Instants
from forecasting.instants import DAY, HOUR, date_text, nanoseconds
from forecasting.prices.adjustment import symbol_bounds
from forecasting.prices.calendar import exchange_of
from forecasting.schema import SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

AGES: Final = 8
"""Parts of equally many instants that a history is divided into."""

_MONTH_DAYS: Final = (1, 4, 8, 13, 18, 23, 27, 29)
"""First days of the parts of a month; turns of the month, where effects are claimed, are parts."""

_WEEKDAYS: Final = (
    "Mondays",
    "Tuesdays",
    "Wednesdays",
    "Thursdays",
    "Fridays",
    "Saturdays",
    "Sundays",
)
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_THURSDAY: Final = 3  # 1970-01-01
_NEAR: Final = 15
"""Instants of a venue within which the cuts of a window lie."""

_RARE_FIRST: Final = 10
"""Strata that a rare event counts as: only cuts find a leak about it, the coin test sees too few."""

_USUAL_STEPS: Final = 0.995
"""Share of steps between bars that no gap is longer than."""

_FEW_HOURS: Final = 4
"""Up to so many closing hours a day belong to venues and to summer time, not to intraday bars."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Where the bars of a panel stand.

    Attributes:
        symbols: symbols in the order of their rows [S].
        bounds: first row of every symbol, and the number of rows, int64 [S + 1].
        stamps: closes of the bars, int64 ns [n].
        venues: number of each symbol's venue: its exchange, and the time of day at which it
            closes, int64 [S].
    """

    symbols: tuple[str, ...]
    bounds: Instants
    stamps: Instants
    venues: NDArray[np.int64]

    @classmethod
    def of(cls, prices: "pd.DataFrame") -> "Rows":
        """Of a validated price frame."""
        bounds = symbol_bounds(prices)
        stamps = nanoseconds(prices[TIMESTAMP])
        symbols = tuple(str(each) for each in prices[SYMBOL].to_numpy(dtype=object)[bounds[:-1]])
        keys = []
        for symbol, start, stop in zip(symbols, bounds[:-1], bounds[1:], strict=True):
            # Three hours wide: summer time does not make a venue of its own.
            closing = int(np.median((stamps[start:stop] - 1) % DAY)) // (3 * HOUR)
            keys.append(f"{exchange_of(symbol)} {closing}")
        return cls(symbols, bounds, stamps, np.unique(keys, return_inverse=True)[1].astype(int))

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """Number of each row's symbol, int64 [n]."""
        return np.repeat(np.arange(len(self.symbols)), np.diff(self.bounds))

    def take(self, chosen: NDArray[np.int64]) -> "Rows":
        """Of a part of the panel, by rising row numbers; symbols without a row are left out."""
        codes = self.codes[chosen]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        kept = codes[starts]
        return Rows(
            tuple(self.symbols[code] for code in kept.tolist()),
            np.append(starts, len(chosen)).astype(np.int64),
            self.stamps[chosen],
            self.venues[kept],
        )

    def by_venue(self, random: np.random.Generator) -> NDArray[np.int64]:
        """All symbols in an order whose every beginning holds as many venues as it can."""
        shuffled = random.permutation(len(self.symbols))
        order = shuffled[np.argsort(self.venues[shuffled], kind="stable")]
        venue = self.venues[order]
        starts = np.searchsorted(venue, venue)
        turn: NDArray[np.int64] = order[np.argsort(np.arange(len(order)) - starts, kind="stable")]
        return turn


@dataclass(frozen=True, eq=False)
class Levels:
    """Strata of instants: every partition of them, and what its parts are called.

    Attributes:
        names: of every stratum [L]; the first, "", holds all instants.
        of: partitions, each with the number of every instant's stratum, int64 [P, T].
    """

    names: tuple[str, ...]
    of: NDArray[np.int64]

    @classmethod
    def of_instants(cls, instants: Instants) -> "Levels":
        """Weekday, part of the month, month, age and, of intraday bars, hour.

        Args:
            instants: closes, int64 ns [T], rising.
        """
        last = instants - 1  # a bar that closes at midnight belongs to the day that it ends
        days = (last // DAY).view("datetime64[D]")
        months = days.astype("datetime64[M]")
        day = (days - months).view(np.int64) + 1
        age = np.arange(len(instants)) * AGES // max(len(instants), 1)
        bounds = instants[np.searchsorted(age, np.arange(AGES)).clip(max=len(instants) - 1)]
        ends = (*_MONTH_DAYS[1:], 32)
        parts = tuple(
            f"days {a} to {b - 1} of a month" for a, b in zip(_MONTH_DAYS, ends, strict=True)
        )
        ages = tuple(
            f"eighth {number} of the history, from {date_text(each)} on"
            for number, each in enumerate(bounds, start=1)
        )
        kinds = [
            ((days.view(np.int64) + _THURSDAY) % 7, _WEEKDAYS),
            (np.searchsorted(_MONTH_DAYS, day, side="right") - 1, parts),
            (months.view(np.int64) % 12, _MONTHS),
            (age, ages),
        ]
        hours = last % DAY // HOUR
        if len(np.unique(hours)) > _FEW_HOURS:
            kinds.append((hours, tuple(f"closes after {hour:02d}:00 UTC" for hour in range(24))))
        names: tuple[str, ...] = ("",)
        numbers = [np.zeros(len(instants), dtype=np.int64)]
        for codes, called in kinds:
            present, place = np.unique(codes, return_inverse=True)
            numbers.append(place + len(names))
            names += tuple(called[each] for each in present.tolist())
        return cls(names, np.stack(numbers))

    def members(self) -> NDArray[np.float32]:
        """Which stratum holds which instant, float32 [L, T] of zeros and ones."""
        members = np.zeros((len(self.names), self.of.shape[1]), dtype=np.float32)
        for partition in self.of:
            members[partition, np.arange(partition.size)] = 1.0
        return members


@dataclass(frozen=True)
class Cut:
    """An instant between past and future, and the symbols it is looked at with.

    Attributes:
        instant: last instant of the past, int64 ns.
        symbols: numbers of the symbols, rising.
        window: which cuts share their bars; of one window, all have the same symbols.
    """

    instant: int
    symbols: tuple[int, ...]
    window: int


def spread_rows(
    rows: Rows, most: int, symbols: int, least: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of a part of a panel that holds every venue and every age.

    Args:
        rows: of the panel.
        most: rows, about, that the part has; more only if `least` asks for it.
        symbols: most symbols of it.
        least: bars in a row that each symbol has at least, if it has so many.
        random: draws symbols of a venue.

    Returns:
        Rising row numbers. Symbols whose history is cut give windows that begin, from symbol to
        symbol, at other ages, the first symbol's at the oldest bar and the last one's at the newest.
    """
    chosen = np.sort(rows.by_venue(random)[:symbols])
    counts = np.diff(rows.bounds)[chosen]
    length = max(most // len(chosen), least)
    spare = np.maximum(counts - length, 0)
    share = random.permutation(len(chosen)) / max(len(chosen) - 1, 1)
    starts = rows.bounds[chosen] + np.rint(spare * share).astype(np.int64)
    return np.concatenate(
        [np.arange(a, a + min(length, n)) for a, n in zip(starts, counts, strict=True)]
    )


def rare_bars(rows: Rows, split: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bars about which something is rare: before a split 1, at it 2, before a long gap 3, after it 4.

    Args:
        rows: of the panel.
        split: new shares per old share from each bar on [n].

    Returns:
        int64 [n]; 0 for all other bars. A gap is long if 1 of 200 steps, or fewer, are as long.
    """
    kinds = np.zeros(len(split), dtype=np.int64)
    same = rows.codes[1:] == rows.codes[:-1]
    steps = np.where(same, np.diff(rows.stamps), 0)
    usual = np.median(steps[same]) if same.any() else 0
    long = steps > max(usual, np.quantile(steps, _USUAL_STEPS) if len(steps) else 0)
    kinds[1:][long], kinds[:-1][long] = 4, 3
    acts = same & (split[1:] != 1.0)
    kinds[1:][acts], kinds[:-1][acts] = 2, 1
    return kinds


def stratified_cuts(
    rows: Rows,
    rare: NDArray[np.int64],
    random: np.random.Generator,
    *,
    windows: int,
    each: int,
    symbols: int,
    past: int,
) -> list[Cut]:
    """Cuts that meet as many strata as so few can: greedily, each the most that are not yet met.

    Every window has symbols of its own, one of each venue at least if there is room. Its first cut
    may lie anywhere in the history, the others near it.

    Args:
        rows: of the panel.
        rare: kind of every bar about which something is rare, 0 for the others, int64 [n].
        random: draws symbols, and among cuts that are as good.
        windows: how many groups of cuts share their bars.
        each: cuts of a window.
        symbols: most symbols of a window.
        past: bars that a symbol needs before the first cut.
    """
    order = rows.by_venue(random)
    per_venue = len(np.unique(rows.venues))
    met = {"", "event 0"}
    cuts: list[Cut] = []
    for window in range(windows):
        # Go on where the window before ended, but let every window hold the venues' first symbols.
        turn = np.roll(order, -window * min(symbols, len(order)))
        turn = turn[np.argsort(_turn_in_venue(rows.venues[turn]), kind="stable")]
        chosen = np.sort(turn[: max(symbols, min(per_venue, 2 * symbols))])
        instants, venue, event = _closes(rows, rare, chosen)
        levels = Levels.of_instants(instants)
        allowed = np.zeros(len(instants), dtype=np.bool_)
        begin = min(past * len(np.unique(venue)), len(instants) // 2)
        allowed[begin : len(instants) - 1] = True
        for number in range(each):
            if not allowed.any():
                break
            gain = random.random(len(instants)) + _gain(levels, venue, event, met)
            place = int(np.argmax(np.where(allowed, gain, -1.0)))
            met.update(_strata_at(levels, venue, event, place))
            cuts.append(Cut(int(instants[place]), tuple(chosen.tolist()), window))
            allowed[place] = False
            if number == 0:
                near = _NEAR * len(np.unique(venue))
                allowed[: max(place - near, 0)] = False
                allowed[place + near + 1 :] = False
    return cuts


def _strata_at(
    levels: Levels, venue: NDArray[np.int64], event: NDArray[np.int64], place: int
) -> set[str]:
    """Names of the strata of one instant; of its age, without the date."""
    names = {levels.names[level].partition(",")[0] for level in levels.of[:, place].tolist()}
    return names | {f"venue {venue[place]}", f"event {event[place]}"}


def _gain(
    levels: Levels, venue: NDArray[np.int64], event: NDArray[np.int64], met: set[str]
) -> NDArray[np.int64]:
    """How many strata of every instant are not yet met, int64 [T]; rare events go first."""
    new = np.array([name.partition(",")[0] not in met for name in levels.names])
    gain: NDArray[np.int64] = new[levels.of].sum(axis=0)
    for called, numbers, weight in (("venue", venue, 1), ("event", event, _RARE_FIRST)):
        unmet = [each for each in np.unique(numbers).tolist() if f"{called} {each}" not in met]
        gain += weight * np.isin(numbers, unmet)
    return gain


def _turn_in_venue(venues: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the same venue stand before, in the order given."""
    turn = np.zeros(len(venues), dtype=np.int64)
    for venue in np.unique(venues):
        own = venues == venue
        turn[own] = np.arange(int(own.sum()))
    return turn


def _closes(
    rows: Rows, rare: NDArray[np.int64], chosen: NDArray[np.int64]
) -> tuple[Instants, NDArray[np.int64], NDArray[np.int64]]:
    """When some symbols close, rising [T], a venue that does, and the event that is rarest [T]."""
    some = np.flatnonzero(np.isin(rows.codes, chosen))
    instants, first, place = np.unique(rows.stamps[some], return_index=True, return_inverse=True)
    event = np.zeros(len(instants), dtype=np.int64)
    told = some[rare[some] > 0]
    event[place[rare[some] > 0]] = rare[told]
    return instants, rows.venues[rows.codes[some[first]]], event
