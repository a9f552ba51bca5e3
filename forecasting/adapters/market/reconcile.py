"""Two providers on the same bars: how far they agree, and whether one may stand in for the other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE: Final = 0.001
"""Share of the price by which two providers' closes may differ: rounding, and a late trade."""

DIFFERING_SHARE: Final = 0.02
"""Share of a symbol's common bars whose close may differ by more, or that may be missing."""

FEWEST_BARS: Final = 20
"""Common bars of a symbol below which nothing is proved."""

VOLUME_RATIO: Final = 1.25
"""Factor by which the median volume may differ: another venue's volume is another feature."""

_CENT: Final = 0.0051  # a dividend may be rounded to cents


@dataclass(frozen=True)
class Agreement:
    """How far two providers agree on one symbol, between the first and last bar they share.

    Attributes:
        symbol: ticker.
        bars: bars that both have.
        differing: of these, how many closes differ by more than `TOLERANCE`.
        missing: bars of ours that they lack. Bars that only they have are no fault of theirs: ours
            may be in quarantine.
        actions: dividends and splits that differ, in words.
        volume_ratio: median of theirs over ours; NaN where neither counts volume.
        worst: largest relative difference of two closes.
    """

    symbol: str
    bars: int
    differing: int
    missing: int
    actions: tuple[str, ...]
    volume_ratio: float
    worst: float

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why the one may not stand in for the other; nothing when it may."""
        allowed = DIFFERING_SHARE * self.bars
        low, high = 1 / VOLUME_RATIO, VOLUME_RATIO
        found = {
            f"only {self.bars} common bars, {FEWEST_BARS} are needed": self.bars < FEWEST_BARS,
            f"{self.differing} of {self.bars} closes differ by more than {TOLERANCE:.1%}, at most "
            f"by {self.worst:.1%}": self.differing > allowed,
            f"{self.missing} bars are missing": self.missing > max(1.0, allowed),
            "; ".join(self.actions[:3]): bool(self.actions),
            f"volumes differ by a factor of {self.volume_ratio:.2f}": np.isfinite(self.volume_ratio)
            and not low <= self.volume_ratio <= high,
        }
        return tuple(f"{self.symbol}: {words}" for words, refused in found.items() if refused)


def compare(
    ours: "pd.DataFrame", theirs: "pd.DataFrame", interval: str, *, tolerance: float = TOLERANCE
) -> list[Agreement]:
    """Hold two providers' bars against each other, symbol by symbol, sorted.

    Args:
        ours: price columns of the provider that counts.
        theirs: price columns of the other, not judged.
        interval: daily bars are the same by session, others by close.
        tolerance: share of the price by which closes may differ.
    """
    from forecasting.schema import SESSION, SYMBOL, TIMESTAMP

    key = SESSION if interval == "1d" else TIMESTAMP
    found = []
    for symbol in sorted(set(ours[SYMBOL])):
        one = ours[ours[SYMBOL] == symbol].drop_duplicates(key).set_index(key).sort_index()
        other = theirs[theirs[SYMBOL] == symbol].drop_duplicates(key).set_index(key).sort_index()
        found.append(_of_symbol(str(symbol), one, other, tolerance))
    return found


def differing_share(agreements: list[Agreement]) -> float:
    """Share of all common bars whose close differs; NaN when there are none."""
    bars = sum(one.bars for one in agreements)
    return sum(one.differing for one in agreements) / bars if bars else float("nan")


def in_words(agreements: list[Agreement], ours: str, theirs: str) -> str:
    """What came of the comparison, as one sentence for the notes."""
    bars = sum(one.bars for one in agreements)
    if not bars:
        return f"{ours} and {theirs} have no bar in common: nothing was compared."
    differing = sum(one.differing for one in agreements)
    actions = [words for one in agreements for words in one.actions]
    sentence = (
        f"{ours} and {theirs} have {bars} bars in common; {differing} closes differ by more than "
        f"{TOLERANCE:.1%}, {len(actions)} dividends or splits differ"
    )
    refused = [words for one in agreements for words in one.refusals]
    return f"{sentence}: {'; '.join(refused[:5])}." if refused else f"{sentence}."


def _of_symbol(
    symbol: str, one: "pd.DataFrame", other: "pd.DataFrame", tolerance: float
) -> Agreement:
    both = one.index.intersection(other.index)
    if both.empty:
        return Agreement(symbol, 0, 0, 0, (), float("nan"), float("nan"))
    first, last = both[0], both[-1]
    one = one.loc[first:last]
    a, b = one.loc[both], other.loc[both]
    close, their_close = a["close"].to_numpy(np.float64), b["close"].to_numpy(np.float64)
    apart = np.abs(their_close - close) / close
    apart = np.where(np.isfinite(apart), apart, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = b["volume"].to_numpy(np.float64) / a["volume"].to_numpy(np.float64)
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    return Agreement(
        symbol=symbol,
        bars=len(both),
        differing=int(np.count_nonzero(apart > tolerance)),
        missing=len(one) - len(both),
        actions=tuple(_actions(symbol, a, b)),
        volume_ratio=float(np.median(ratios)) if len(ratios) else float("nan"),
        worst=float(apart.max()),
    )


def _actions(symbol: str, one: "pd.DataFrame", other: "pd.DataFrame") -> list[str]:
    """Dividends and splits that two frames of the same index have otherwise.

    A first bar's own action may be cut off on one side by how its provider counts, so it is left.
    """
    words = []
    for name in ("split", "dividend"):
        ours, theirs = (frame[name].to_numpy(np.float64) for frame in (one, other))
        allowed = 1e-6 if name == "split" else np.maximum(_CENT, 0.01 * np.abs(ours))
        differs = ~(np.abs(theirs - ours) <= allowed)
        differs[0] = False
        words += [
            f"{symbol} {name} on {one.index[at]:%Y-%m-%d}: {ours[at]:g} and {theirs[at]:g}"
            for at in np.flatnonzero(differs).tolist()
        ]
    return words
