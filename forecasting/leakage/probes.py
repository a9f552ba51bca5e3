"""Builds the inputs of a leak check, such as other futures, and compares tables bit for bit."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants
from forecasting.instants import minute_text, to_datetime
from forecasting.models.cross_validation import label_ends
from forecasting.models.quantiles import KNOTS
from forecasting.schema import OHLC, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.build import FeatureTable
    from forecasting.models.training_set import Examples


def another_future(
    panel: "pd.DataFrame", future: NDArray[np.bool_], random: np.random.Generator
) -> "pd.DataFrame":
    """The panel with other prices, volumes, splits and dividends in some of its rows."""
    count = int(future.sum())
    noise = random.uniform(0.5, 2.0, count)
    acts = random.random(count) < 0.1
    price = panel["close"].to_numpy(dtype=np.float64)[future] * noise
    changed = {name: panel[name].to_numpy(dtype=np.float64)[future] * noise for name in OHLC}
    changed["volume"] = random.uniform(1.0, 1e7, count).round()
    changed["split"] = np.where(acts, 2.0, 1.0)
    changed["dividend"] = np.where(acts, 0.02 * price, 0.0)
    columns = {name: panel[name].to_numpy(dtype=np.float64, copy=True) for name in changed}
    for name, values in changed.items():
        columns[name][future] = values
    return panel.assign(**columns)


def mixed_future(
    panel: "pd.DataFrame",
    stamps: Instants,
    cut: int,
    ends: NDArray[np.bool_],
    random: np.random.Generator,
) -> "pd.DataFrame":
    """The panel with bars after an instant left out for some symbols, and others for the rest.

    Args:
        panel: a price frame of n bars.
        stamps: their closes, int64 ns [n].
        cut: last instant of the past, int64 ns.
        ends: whether the bar's symbol ends at the cut, bool [n].
        random: draws the other bars.
    """
    kept = (stamps <= cut) | ~ends
    some = panel if kept.all() else panel[kept].reset_index(drop=True)
    later = stamps[kept] > cut
    return another_future(some, later, random) if later.any() else some


def every_bar_raised(
    panel: "pd.DataFrame", codes: NDArray[np.int64], random: np.random.Generator
) -> tuple["pd.DataFrame", Floats]:
    """The panel with a step of its own in every bar, and what all steps so far add to log prices.

    Args:
        panel: a price frame of n bars.
        codes: number of each bar's symbol, int64 [n].
        random: draws the steps, 0.1 to 0.3 up or down.
    """
    steps = random.uniform(0.1, 0.3, len(panel)) * random.choice((-1.0, 1.0), len(panel))
    total = np.cumsum(steps)
    first = np.flatnonzero(np.diff(codes, prepend=-1))
    total -= np.repeat(total[first], np.diff(first, append=len(codes)))
    height = np.exp(total)
    raised = panel.assign(**{name: panel[name] * height for name in (*OHLC, "dividend")})
    return raised, total


def rows_that_differ(
    one: "FeatureTable",
    two: "FeatureTable",
    until: int,
    begin: int = 0,
    *,
    usable_only: bool = False,
) -> str:
    """How the rows from `begin` to `until` differ between two tables, in words; "" if they do not.

    Args:
        one: a table.
        two: another of the same features.
        until: last instant compared, int64 ns.
        begin: first instant compared.
        usable_only: leave out rows of either table that it calls unusable, and the variance of bars.
    """
    if one.names != two.names:
        return "other features come out"
    first, second = (_rows(table, begin, until, usable_only=usable_only) for table in (one, two))
    if not all(np.array_equal(first[key], second[key]) for key in (SYMBOL, TIMESTAMP)):
        return f"{len(first[SYMBOL])} rows up to {minute_text(until)} become {len(second[SYMBOL])}, or others"
    moved = {
        name: _other_bits(first["values"][:, column], second["values"][:, column])
        for column, name in enumerate(one.names)
    }
    # The variance of a bar is a label, like a return: of the bars as they are held in the end.
    for name in ("scale",) if usable_only else ("scale", "variance"):
        moved[name] = _other_bits(first[name], second[name])
    moved["usable"] = first["usable"] != second["usable"]
    counts = {name: int(rows.sum()) for name, rows in moved.items() if rows.any()}
    if not counts:
        return ""
    worst = sorted(counts, key=lambda name: -counts[name])
    listed = ", ".join(f"{name} in {counts[name]} rows" for name in worst[:3])
    more = f" and {len(counts) - 3} more" if len(counts) > 3 else ""
    last = int(np.flatnonzero(moved[worst[0]])[-1])
    where = f"{first[SYMBOL][last]} of {to_datetime(first[TIMESTAMP][last]):%A %Y-%m-%d %H:%M}"
    return f"up to {minute_text(until)} other values in {listed}{more}, the last row {where}"


def small_examples(examples: "Examples", rows: int, bars: int = 700) -> "Examples":
    """The newest rows of as few symbols as hold enough, those with the most rows first."""
    counts = np.bincount(examples.codes, minlength=len(examples.symbols))
    order = np.argsort(-counts, kind="stable")
    enough = int(np.searchsorted(np.cumsum(np.minimum(counts[order], bars)), rows)) + 1
    chosen = np.sort(order[:enough])
    newest = []
    for code in chosen:
        own = np.flatnonzero(examples.codes == code)
        newest.append(own[-bars:])
    place = np.concatenate(newest)
    return examples.rows(place)


def with_another_future(
    examples: "Examples", start: int, random: np.random.Generator
) -> "Examples":
    """Examples in which all that was not known at an instant is something else.

    Args:
        examples: rows to learn from.
        start: int64 ns; rows that closed later, and labels that end later, are replaced.
        random: draws what replaces them.
    """
    later = examples.timestamps > start
    count = int(later.sum())
    x, scale, close = examples.x.copy(), examples.scale.copy(), examples.close.copy()
    x[later] = 3.0 + 5.0 * random.standard_normal((count, x.shape[1])).astype(np.float32)
    scale[later] *= random.uniform(0.5, 2.0, count)
    close[later] *= random.uniform(0.5, 2.0, count)
    returns, log_widths = examples.returns.copy(), examples.log_widths.copy()
    columns = [(returns, column, column + 1) for column in range(returns.shape[1])]
    columns += [(log_widths, column, horizon) for column, horizon in enumerate(KNOTS)]
    for labels, column, horizon in columns:
        unknown = label_ends(examples.timestamps, examples.codes, horizon) > start
        unknown &= np.isfinite(labels[:, column])
        labels[unknown, column] = 0.2 * random.standard_normal(int(unknown.sum()))
    return replace(examples, x=x, scale=scale, close=close, returns=returns, log_widths=log_widths)


def _rows(
    table: "FeatureTable", begin: int, until: int, *, usable_only: bool
) -> Mapping[str, NDArray[Any]]:
    chosen = (table.timestamps >= begin) & (table.timestamps <= until)
    if usable_only:
        chosen &= table.usable
    names = np.array(table.symbols, dtype=object)[table.codes[chosen]]
    return {
        SYMBOL: names,
        TIMESTAMP: table.timestamps[chosen],
        "values": table.values[chosen],
        "scale": table.scale[chosen],
        "variance": table.variance[chosen],
        "usable": table.usable[chosen],
    }


def _other_bits(one: NDArray[np.floating], two: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where two columns differ in any bit; NaN is NaN."""
    kind = f"u{one.dtype.itemsize}"
    bits = np.ascontiguousarray(one).view(kind) != np.ascontiguousarray(two).view(kind)
    different: NDArray[np.bool_] = bits & ~(np.isnan(one) & np.isnan(two))
    return different
