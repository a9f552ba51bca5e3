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

from forecasting.errors import ShortHistory
from forecasting.instants import minute_text, nanoseconds
from forecasting.leakage.findings import ECHO, LeakFinding, finding
from forecasting.leakage.probes import (
    another_future,
    cut_instants,
    few_symbols,
    later_bars_raised,
    rows_that_differ,
    small_examples,
    with_another_future,
)
from forecasting.leakage.survivorship import check_survivorship
from forecasting.ranks import average_ranks
from forecasting.schema import TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.models.training_set import Examples

Describe = Callable[["pd.DataFrame"], "FeatureTable"]
"""Prices to features."""

Label = Callable[["pd.DataFrame"], NDArray[np.floating]]
"""Prices of n bars to log returns [n, H] over the next 1..H bars; NaN where not known."""

Train = Callable[["Examples"], "OutOfSample"]
"""Examples to walk-forward forecasts."""


_LABEL_TOLERANCE: Final = 1e-5
_PARTS: Final = 5
_ECHO_ROWS: Final = 5_000
_FEWEST_ROWS: Final = 100


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
        *check_features(describe, prices),
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


def check_features(
    describe: Describe, prices: "pd.DataFrame", *, cuts: int = 3, seed: int = 0
) -> list[LeakFinding]:
    """Truncate and recompute, and perturb the future, on a few symbols of a panel.

    Args:
        describe: the features function.
        prices: a validated price frame.
        cuts: instants at which past and future are told apart.
        seed: of the other future.

    Returns:
        Findings of `features_survive_truncation` and `features_ignore_the_future`.
    """
    panel = few_symbols(prices)
    stamps = nanoseconds(panel[TIMESTAMP])
    whole = describe(panel)
    random = np.random.default_rng(seed)
    truncated, perturbed = [], []
    instants = cut_instants(stamps, cuts)
    for cut in instants:
        past = panel[stamps <= cut].reset_index(drop=True)
        truncated.append(rows_that_differ(whole, describe(past), cut))
        other = another_future(panel, stamps > cut, random)
        perturbed.append(rows_that_differ(whole, describe(other), cut))
    looked = f"{len(whole.names)} features of {len(whole.symbols)} symbols, {len(instants)} cuts"
    return [
        finding("features_survive_truncation", truncated, looked),
        finding("features_ignore_the_future", perturbed, looked),
    ]


def check_labels(label: Label, prices: "pd.DataFrame", *, cuts: int = 3) -> LeakFinding:
    """Raise every price after an instant by a step, and see which labels notice.

    A log return over the next h bars must grow by the step's logarithm exactly if the instant
    lies within them, and be known exactly if all of them have closed: that holds for no shifted,
    centred or same-bar label.

    Args:
        label: the labels function, horizons 1..H.
        prices: a validated price frame.
        cuts: instants at which the step is placed.
    """
    panel = few_symbols(prices)
    stamps = nanoseconds(panel[TIMESTAMP])
    base = label(panel)
    wrong = [_wrong_labels(panel, stamps, base, int(stamps.max()))]
    instants = cut_instants(stamps, cuts)
    for cut in instants:
        past = stamps <= cut
        closed = panel[past].reset_index(drop=True)
        wrong.append(_wrong_labels(closed, stamps[past], label(closed), int(cut)))
        raised, step = later_bars_raised(panel, ~past)
        moved = label(raised) - base
        wrong.append(_wrong_labels(panel, stamps, base, int(cut), moved=moved, step=step))
    looked = f"{base.shape[1]} horizons of {base.shape[0]} bars, {len(instants)} steps"
    return finding("labels_lie_ahead", wrong, looked)


def check_echo(table: "FeatureTable", returns: NDArray[np.floating]) -> LeakFinding:
    """Look for features that tell what the coming bars bring.

    The returns of the next five single bars do not overlap, so honest features correlate with
    them by some hundredths. A column that holds one of them, however it came there, correlates
    fully.

    Args:
        table: the features as they are handed to the training.
        returns: [n, H] log returns over the next 1..H bars.
    """
    name = "labels_not_in_features"
    parts = np.diff(returns[:, :_PARTS], axis=1, prepend=0.0)
    rows = np.flatnonzero(table.usable & np.isfinite(parts).all(axis=1))
    if len(rows) < _FEWEST_ROWS:
        return LeakFinding(name, True, f"only {len(rows)} rows to look at")
    rows = rows[np.linspace(0, len(rows) - 1, min(_ECHO_ROWS, len(rows))).astype(np.intp)]
    coming = _standardised_ranks(parts[rows] / table.scale[rows, None])
    found = np.abs(_standardised_ranks(table.values[rows]).T @ coming) / len(rows)
    worst = np.unravel_index(int(np.argmax(found)), found.shape)
    sentence = (
        f"at most {found[worst]:.2f}, of {table.names[worst[0]]} with the bar "
        f"{int(worst[1]) + 1} ahead, in {len(rows):,} rows"
    )
    return LeakFinding(name, bool(found[worst] >= ECHO), sentence)


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


def _wrong_labels(
    panel: "pd.DataFrame",
    stamps: NDArray[np.int64],
    labels: NDArray[np.floating],
    cut: int,
    *,
    moved: NDArray[np.floating] | None = None,
    step: float = 0.0,
) -> str:
    """Which labels are known too early or too late, or notice a step they should not, or do not."""
    codes = np.unique(panel["symbol"].to_numpy(dtype=str), return_inverse=True)[1]
    first = np.flatnonzero(np.diff(codes, prepend=-1))
    place = np.arange(len(codes)) - np.repeat(first, np.diff(first, append=len(codes)))
    count = np.bincount(codes)[codes]
    past = np.bincount(codes, weights=stamps <= cut)[codes]
    reach = place[:, None] + np.arange(1, labels.shape[1] + 1)
    known = reach < count[:, None]
    if moved is None:
        wrong, what = np.isfinite(labels) != known, "are known before, or unknown after, their end"
    else:
        within = (place < past)[:, None] & (reach >= past[:, None])
        wrong = known & ~(np.abs(moved - np.where(within, step, 0.0)) <= _LABEL_TOLERANCE)
        what = f"do not span just their own bars (a step of prices after {minute_text(cut)})"
    if not wrong.any():
        return ""
    row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return (
        f"{int(wrong.sum()):,} labels {what}, the first is {panel['symbol'].iloc[int(row)]} of "
        f"{panel[TIMESTAMP].iloc[int(row)]:%Y-%m-%d}, {int(column) + 1} bars"
    )


def _standardised_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Columns as standardised ranks, zero where a column is constant."""
    ranks = np.stack([average_ranks(column) for column in values.T], axis=1)
    ranks -= ranks.mean(axis=0)
    deviation = ranks.std(axis=0)
    result: NDArray[np.float64] = ranks / np.where(deviation > 0, deviation, 1.0)
    return result
