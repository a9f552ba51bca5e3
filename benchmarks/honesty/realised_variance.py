"""The watch on realised against forecast variance, counted: false alarms a year, and bars until it hears.

Part of the drift experiment. A random walk with the EWMA width, its 90 % interval calibrated on eight
years, forecasts six GARCH symbols day by day; after each bar the newest 250 dates that have come due are
judged by the drift job's own rule, and so are the newest 60.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty.experiment import Finding, Size, Table, Workers
from benchmarks.honesty.garch import garch_moves
from benchmarks.honesty.shares import share
from forecasting.drift.config import DriftRules
from forecasting.features.indicators import ewma_volatility
from forecasting.live.limits import coverage_limits
from forecasting.live.scores import NEWEST_INSTANTS, RealisedPoint
from forecasting.live.variance import RECENT_INSTANTS, ratio_limits, variance_ratio

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

YEAR: Final = 252
HORIZONS: Final = DriftRules().watched_horizons
DOUBLED: Final = 2.0
"""By what the variance of the market is multiplied."""

KEEPS: Final = "keeps its width"
FOLLOWS: Final = "follows with EWMA(0.94)"
"""What the forecast's width does when the market's variance doubles."""

_LEARNED: Final = 8 * YEAR
_WARM_UP: Final = 100
_SYMBOLS: Final = 6
_NORMAL_95: Final = 1.6448536


@dataclass(frozen=True)
class Watched:
    """What the watch said of one market, by horizon.

    Attributes:
        variance, coverage: whether the ratio of variances, and the coverage, was past a limit at each bar of two
            calm years, the first with a version that is new.
        heard: by what the width does, whether the ratio was past its upper limit at each bar of the
            year after the variance doubled.
    """

    variance: dict[int, Flags]
    coverage: dict[int, Flags]
    heard: dict[str, dict[int, Flags]]


def measure(seed: np.random.SeedSequence) -> Watched:
    """Watch one market: two calm years, and a second year of doubled variance instead."""
    returns = garch_moves(seed, _LEARNED + 2 * YEAR, _SYMBOLS).sum(axis=2)
    shift = _LEARNED + YEAR
    doubled = returns.copy()
    doubled[shift:] *= np.sqrt(DOUBLED)
    scale = _scale(returns)
    calm = {h: _moves(returns, scale, h) for h in HORIZONS}
    after = {
        KEEPS: {h: _moves(doubled, scale, h) for h in HORIZONS},
        FOLLOWS: {h: _moves(doubled, _scale(doubled), h) for h in HORIZONS},
    }
    return Watched(
        {h: _by_bar(calm[h], h, _LEARNED, _variance_off) for h in HORIZONS},
        {h: _by_bar(calm[h], h, _LEARNED, _coverage_off) for h in HORIZONS},
        {
            name: {h: _by_bar(moves[h], h, shift, _moved_further) for h in HORIZONS}
            for name, moves in after.items()
        },
    )


def _scale(returns: Floats) -> Floats:
    """The EWMA volatility [T, S] known at each bar."""
    first = np.full((1, returns.shape[1]), np.nan)
    moves = np.concatenate([first, returns[1:]])
    return np.stack([ewma_volatility(column) for column in moves.T], axis=1)


def _moves(returns: Floats, scale: Floats, horizon: int) -> Floats:
    """Returns over the horizon in forecast deviations, by the bar of the forecast [T - h, S]."""
    prices = np.cumsum(returns, axis=0)
    moves: Floats = (prices[horizon:] - prices[:-horizon]) / scale[:-horizon]
    learned = np.abs(moves[_WARM_UP : _LEARNED - horizon])
    return moves * (_NORMAL_95 / float(np.quantile(learned, 0.9)))


def _by_bar(
    moves: Floats, horizon: int, start: int, off: Callable[[Floats, int, float], bool]
) -> Flags:
    """Whether a figure is past its limit at each bar from `start` on [bars]."""
    rules = DriftRules()
    flags = []
    for bar in range(start, len(moves) + horizon):
        due = bar - horizon + 1
        window = moves[max(_LEARNED, due - NEWEST_INSTANTS) : max(_LEARNED, due)]
        flags.append(
            len(window) >= rules.min_dates and off(window, horizon, rules.false_alarms_per_horizon)
        )
    return np.array(flags, dtype=np.bool_)


def _past(window: Floats, horizon: int, false_alarms: float) -> tuple[bool, bool]:
    """Whether the ratio of either span is past its low limit, and past its high one."""
    low = high = False
    spans = [window, window[-RECENT_INSTANTS:]] if len(window) > RECENT_INSTANTS else [window]
    for span in spans:
        moves, as_of = span.ravel(), np.repeat(np.arange(len(span)), span.shape[1])
        ratio = variance_ratio(moves)
        limits = ratio_limits(moves, as_of, ratio, horizon, false_alarms=false_alarms / 2)
        if limits is not None:
            low, high = low or ratio < limits[0], high or ratio > limits[1]
    return low, high


def _variance_off(window: Floats, horizon: int, false_alarms: float) -> bool:
    return any(_past(window, horizon, false_alarms))


def _moved_further(window: Floats, horizon: int, false_alarms: float) -> bool:
    return _past(window, horizon, false_alarms)[1]


def _coverage_off(window: Floats, horizon: int, false_alarms: float) -> bool:
    covered = (np.abs(window) <= _NORMAL_95).mean(axis=1)
    points = [
        RealisedPoint("1", horizon, bar, window.shape[1], 0.0, None, float(one))
        for bar, one in enumerate(covered)
    ]
    limits = coverage_limits(points, horizon, false_alarms=false_alarms)
    return limits is not None and not limits[1] <= limits[0] <= limits[2]


@dataclass(frozen=True)
class Counts:
    """Figures of many markets.

    Attributes:
        alarms: by figure and horizon, alarms (spells past a limit) per calm year.
        bars: by figure and horizon, share of the calm bars past a limit.
        within: by what the width does and horizon, markets heard within a year of the doubling.
        median: likewise, median bars until then; a year and a bar where it was not heard.
    """

    markets: int
    alarms: dict[str, dict[int, float]]
    bars: dict[str, dict[int, float]]
    within: dict[str, dict[int, int]]
    median: dict[str, dict[int, float]]

    @classmethod
    def of(cls, markets: list[Watched]) -> "Counts":
        """Count the markets."""
        calm = {
            "variance": {h: np.array([one.variance[h] for one in markets]) for h in HORIZONS},
            "coverage": {h: np.array([one.coverage[h] for one in markets]) for h in HORIZONS},
        }
        delays = {
            name: {h: np.array([_delay(one.heard[name][h]) for one in markets]) for h in HORIZONS}
            for name in (KEEPS, FOLLOWS)
        }
        return cls(
            len(markets),
            {name: {h: _spells_a_year(flags) for h, flags in of.items()} for name, of in calm.items()},
            {name: {h: float(flags.mean()) for h, flags in of.items()} for name, of in calm.items()},
            {name: {h: int((d <= YEAR).sum()) for h, d in of.items()} for name, of in delays.items()},
            {name: {h: float(np.median(d)) for h, d in of.items()} for name, of in delays.items()},
        )  # fmt: skip


def _delay(flags: Flags) -> int:
    """Bars to the first flag; a year and a bar for none."""
    return int(np.argmax(flags)) + 1 if flags.any() else YEAR + 1


def _spells_a_year(flags: Flags) -> float:
    """How often flags [markets, bars] begin, per market and year."""
    begun = np.diff(flags.astype(np.int8), axis=1, prepend=0) == 1
    return float(begun.sum() / flags.size * YEAR)


def count(size: Size, workers: Workers, seed: int) -> Counts:
    """Watch markets of their own seeds."""
    markets = 200 if size == "full" else 4
    seeds = np.random.SeedSequence((seed, 21)).spawn(markets)
    return Counts.of(workers.map(measure, seeds, "variance watched"))


def findings(counts: Counts) -> list[Finding]:
    """What is promised of the watch, and what is only reported."""
    kept = counts.within[KEEPS]
    return [
        Finding(
            f"doubled variance heard within a year by a forecast that {KEEPS}, {h} ahead",
            f"{share(kept[h], counts.markets)}; median {counts.median[KEEPS][h]:.0f} bars",
            "at least 90 %",
            kept[h] >= 0.9 * counts.markets,
        )
        for h in HORIZONS
    ] + [
        Finding(
            f"calm bars at which realised variance is past a limit, {h} ahead, nominal 2.5 %",
            f"{counts.bars['variance'][h]:.1%}; {counts.alarms['variance'][h]:.2f} alarms a year",
            "at most 5 %",
            counts.bars["variance"][h] <= 0.05,
        )
        for h in HORIZONS
    ]


def table(counts: Counts) -> Table:
    """A row a horizon."""
    heads = [
        "bars ahead", ">calm: bars past a limit", ">alarms a year", ">the same of coverage", ">alarms a year",
        f">doubled, forecast {KEEPS}: heard", ">median bars", f">forecast {FOLLOWS}: heard", ">median bars",
    ]  # fmt: skip
    rows = [
        [
            str(h),
            f"{counts.bars['variance'][h]:.1%}",
            f"{counts.alarms['variance'][h]:.2f}",
            f"{counts.bars['coverage'][h]:.1%}",
            f"{counts.alarms['coverage'][h]:.2f}",
            *(
                cell
                for name in (KEEPS, FOLLOWS)
                for cell in (
                    f"{counts.within[name][h]} of {counts.markets}",
                    f"{counts.median[name][h]:.0f}" if counts.median[name][h] <= YEAR else "-",
                )
            ),
        ]
        for h in HORIZONS
    ]
    return Table(heads, rows)


STORY: Final = """Forecasts that have come due are watched, too: realised over forecast variance, of the newest \
250 dates and of the newest 60, against what chance explains (2.5 % of the runs at each horizon). Six GARCH symbols are forecast by a random \
walk with the EWMA width, whose 90 % interval was calibrated on the eight years before. Two calm years are judged \
at every bar, the first with a version that is new; and a second year in which the market's variance is twice \
as large. A width that follows the market is off for some fifteen bars only, so its doubling is rightly \
mostly not called: what the watch hears is a width that does not follow."""
