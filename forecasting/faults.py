"""Every fault a bar or a set of bars can have: its name, its rule and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from forecasting.schema import PRICE_COLUMNS

ROUNDING: Final = 1e-6
"""Share of the price by which providers' highs and lows may miss the open or close."""

STALE_RUN: Final = 20
"""So many bars in a row with the same four prices are a feed that stands still."""

FEW_BARS: Final = 3
"""A symbol may always lose this many bars, unless the tolerance is zero."""

QUARANTINE_COLUMNS: Final = (*PRICE_COLUMNS, "fault", "detail", "row")


@dataclass(frozen=True)
class Fault:
    """One thing that can be wrong.

    Attributes:
        rule: what has to hold.
        action: quarantine the bar, repair it and count it, or refuse the whole set.
    """

    rule: str
    action: Literal["quarantine", "repair", "refuse"]


FAULTS: Final[Mapping[str, Fault]] = {
    # of one bar, in the order they are looked for
    "missing_value": Fault("symbol, times and numbers must all be there", "quarantine"),
    "not_finite": Fault("every number must be finite", "quarantine"),
    "non_positive_price": Fault("a price must be positive", "quarantine"),
    "negative_volume": Fault("volume must not be negative", "quarantine"),
    "impossible_action": Fault(
        "a dividend must not be negative and a split must be positive", "quarantine"
    ),
    "high_below_low": Fault("the high must not be below the low", "quarantine"),
    "close_outside_range": Fault("open and close must lie between low and high", "quarantine"),
    "future_bar": Fault("a bar must have closed before it was fetched", "quarantine"),
    "duplicate_bar": Fault(
        "a symbol has one bar per close, and per session if daily: of identical copies the first "
        "stays, of copies that disagree none does",
        "quarantine",
    ),
    "constant_price": Fault(
        f"prices must move: not the same four for {STALE_RUN} bars, nor for a whole symbol",
        "quarantine",
    ),
    "restated_bar": Fault("a bar that is held does not change: the first stays", "quarantine"),
    # mended
    "unsorted": Fault("bars stand by symbol, then time: they are sorted", "repair"),
    "range_rounding": Fault(
        "high and low must enclose open and close: moved if only rounding is missing", "repair"
    ),
    # of the whole set
    "empty": Fault("there must be at least one bar", "refuse"),
    "missing_column": Fault("every column of the price contract must be there", "refuse"),
    "naive_time": Fault("bar closes must carry a time zone", "refuse"),
    "mixed_time_zone": Fault("bar closes must all carry the same time zone", "refuse"),
    "too_many_faults": Fault("a symbol must not lose more than its tolerance", "refuse"),
}
"""Every fault by name, with what becomes of it."""
