"""Leak checks of features, labels and forecasts: does anything known later reach them?

Every check takes the function it doubts and asks it twice: once with what there is, once with the
future cut off (truncate and recompute) or replaced (perturb the future). What was known before
must come out the same, bit for bit. The idea is freqtrade's lookahead analysis, carried from
signals to features, labels, walk-forward forecasts and the universe.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import ShortHistory
from forecasting.instants import minute_text, nanoseconds
from forecasting.leakage.echo import check_echo
from forecasting.leakage.feature_checks import Describe, check_features
from forecasting.leakage.findings import LeakFinding, finding
from forecasting.leakage.probes import (
    every_bar_raised,
    rows_that_differ,
    small_examples,
    with_another_future,
)
from forecasting.leakage.strata import Rows, spread_rows
from forecasting.leakage.survivorship import check_survivorship
from forecasting.schema import TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.training_set import Examples

Label = Callable[["pd.DataFrame"], NDArray[np.floating]]
"""Prices of n bars to log returns [n, H] over the next 1..H bars; NaN where not known."""

Train = Callable[["Examples"], "OutOfSample"]
"""Examples to walk-forward forecasts."""


_LABEL_TOLERANCE: Final = 1e-5
_LABEL_ROWS: Final = 3_200
_LABEL_SYMBOLS: Final = 50
_LABEL_BARS: Final = 100


def check_table(
    describe: Describe,
    label: Label,
    table: "FeatureTable",
    returns: NDArray[np.floating],
    prices: "pd.DataFrame",
    known: NDArray[np.int64],
    *,
    all_prices: "pd.DataFrame | None" = None,
    declared: str = "",
    hindsight: bool | None = None,
) -> list[LeakFinding]:
    """Every check of a training table; what is left to check is the training itself.

    Args:
        describe: the features function.
        label: the labels function.
        table: the features as they are handed to the training.
        returns: the labels as they are handed to the training, [n, H].
        prices: the price frame both were made from, n bars.
        known: when each bar was known as it stands, int64 ns [n].
        all_prices: all bars the data set holds, also those that are not used; default: `prices`.
        declared: how the universe was chosen, in its source's words; "" where nobody says.
        hindsight: whether that is a choice with hindsight; see `check_survivorship`.
    """
    return [
        *check_features(describe, prices, table=table),
        check_labels(label, prices),
        check_echo(table, returns),
        check_known_then(describe, table, prices, known),
        check_survivorship(
            prices if all_prices is None else all_prices,
            table.symbols,
            declared=declared,
            hindsight=hindsight,
        ),
    ]


def check_labels(
    label: Label, prices: "pd.DataFrame", *, cuts: int = 2, seed: int = 0
) -> LeakFinding:
    """Raise every price by a step of each bar so far, and see which labels notice which steps.

    A log return over the next h bars must grow by the steps of these bars exactly, and be known
    exactly if all of them have closed: that holds for no shifted, centred or same-bar label. No
    two bars have the same step, so every label is checked.

    Args:
        label: the labels function, horizons 1..H.
        prices: a validated price frame; of many symbols, a part is looked at that holds every
            venue and every age.
        cuts: how often the panel is cut off, to see which labels are known.
        seed: of the part and the steps.
    """
    random = np.random.default_rng(seed)
    rows = Rows.of(prices)
    chosen = spread_rows(rows, _LABEL_ROWS, _LABEL_SYMBOLS, _LABEL_BARS, random)
    panel = prices
    if len(chosen) < len(prices):
        panel = prices.iloc[chosen].reset_index(drop=True)
        rows = rows.take(chosen)
    base = label(panel)
    raised, height = every_bar_raised(panel, rows.codes, random)
    wrong = [
        _wrongly_known(panel, rows, base),
        _wrongly_spanned(panel, rows, label(raised) - base, height),
    ]
    instants = np.unique(rows.stamps)
    for instant in instants[np.linspace(0, len(instants) - 1, cuts + 2).astype(np.intp)[1:-1]]:
        past = np.flatnonzero(rows.stamps <= instant)
        closed = panel.iloc[past].reset_index(drop=True)
        wrong.append(_wrongly_known(closed, rows.take(past), label(closed)))
    looked = f"{base.shape[1]} horizons of {base.shape[0]:,} bars, a step in each, {cuts} cuts"
    return finding("labels_lie_ahead", wrong, looked)


def check_known_then(
    describe: Describe,
    table: "FeatureTable",
    prices: "pd.DataFrame",
    known: NDArray[np.int64],
    *,
    cuts: int = 3,
) -> LeakFinding:
    """Describe the prices as they were known before a late bar came, and compare.

    Args:
        describe: the features function.
        table: the features as they are handed to the training, one row per bar of `prices`.
        prices: the price frame they were made from.
        known: int64 ns [n], when each bar of `prices` was known as it stands: its close, or later.
        cuts: how many arrivals are looked at.
    """
    stamps = nanoseconds(prices[TIMESTAMP])
    late = known > stamps
    arrivals = np.unique(known[late])
    wrong = []
    used_early = late & table.usable
    if used_early.any():
        first = int(np.argmax(used_early))
        wrong.append(
            f"{int(used_early.sum())} bars stand for their close though they were known only "
            f"later, the first is {prices['symbol'].iloc[first]} of {minute_text(stamps[first])}"
        )
    chosen = np.linspace(0, len(arrivals) - 1, min(cuts, len(arrivals))).round().astype(np.intp)
    for place in np.unique(chosen):
        arrival = arrivals[place]
        begin = max(int(stamps[known == arrival].min()), int(arrivals[place - 1]) if place else 0)
        then = prices[known < arrival].reset_index(drop=True)
        if len(then):
            wrong.append(
                rows_that_differ(describe(then), table, int(arrival) - 1, begin, usable_only=True)
            )
    looked = f"{len(prices):,} bars as first held, {int(late.sum())} of them came late"
    return finding("prices_as_known_then", wrong, looked)


_FORECAST: Final = (
    "codes",
    "timestamps",
    "fold",
    "loc",
    "log_width",
    "quantiles",
    "probability_above_cost",
)
"""What of a forecast must not move."""


def check_forecasts(
    train: Train, examples: "Examples", *, seed: int = 0, rows: int = 1_400
) -> LeakFinding:
    """Give the rows and labels after the last fold began other values, and walk again.

    Whatever a fold takes from outside its training rows (the mean and deviation of a scaler, a
    calibration, a selection of features, labels that reach into the test span) moves a forecast.

    Args:
        train: the training function.
        examples: what it learns from; a small part is used.
        seed: of the other values.
        rows: about how many rows are used.

    Raises:
        ShortHistory: there are too few rows for the training function.
    """
    name = "forecasts_ignore_the_future"
    part = small_examples(examples, rows)
    try:
        before = train(part)
    except ShortHistory:
        part = examples  # many symbols with few bars each: it takes all of them
        before = train(part)
    start = int(before.timestamps[before.fold == before.fold.max()].min())
    after = train(with_another_future(part, start, np.random.default_rng(seed)))
    early, same = before.timestamps <= start, after.timestamps <= start
    wrong = [
        f"{each} of rows up to {minute_text(start)} changed"
        for each in _FORECAST
        if not np.array_equal(getattr(before, each)[early], getattr(after, each)[same])
    ]
    if np.array_equal(before.quantiles[~early], after.quantiles[~same]):
        wrong.append("no later forecast changed either: the other future did not reach the walk")
    looked = f"{int(early.sum())} forecasts of {before.kind} on {len(part):,} rows"
    return finding(name, wrong, looked)


def _wrongly_known(panel: "pd.DataFrame", rows: Rows, labels: NDArray[np.floating]) -> str:
    """Which labels are known too early or too late."""
    wrong = np.isfinite(labels) != _known(rows, labels.shape[1])
    return _told(panel, wrong, "are known before, or unknown after, their end")


def _wrongly_spanned(
    panel: "pd.DataFrame", rows: Rows, moved: NDArray[np.floating], height: Floats
) -> str:
    """Which labels notice a step they should not, or do not notice one they should."""
    reach = np.arange(len(height))[:, None] + np.arange(1, moved.shape[1] + 1)
    due = height[reach.clip(max=len(height) - 1)] - height[:, None]
    wrong = _known(rows, moved.shape[1]) & ~(np.abs(moved - due) <= _LABEL_TOLERANCE)
    return _told(panel, wrong, "do not span just their own bars")


def _known(rows: Rows, horizons: int) -> NDArray[np.bool_]:
    """Which labels' bars have all closed, bool [n, horizons]."""
    left = rows.bounds[1:][rows.codes] - 1 - np.arange(len(rows.codes))
    known: NDArray[np.bool_] = left[:, None] >= np.arange(1, horizons + 1)
    return known


def _told(panel: "pd.DataFrame", wrong: NDArray[np.bool_], what: str) -> str:
    if not wrong.any():
        return ""
    row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return (
        f"{int(wrong.sum()):,} labels {what}, the first is {panel['symbol'].iloc[int(row)]} of "
        f"{panel[TIMESTAMP].iloc[int(row)]:%A %Y-%m-%d}, {int(column) + 1} bars"
    )
