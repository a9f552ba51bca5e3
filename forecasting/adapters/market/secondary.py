"""A second price provider: how far it agrees with the source, and when its bars may follow.

A data set holds the history of one source. Bars of another provider continue it only if that
provider gives the same closes, actions, sessions and volume for the bars before: otherwise the
splice itself would be a price move that nobody paid. They are kept apart in the lake, under the
provider's name, until the source has those bars itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.adapters.market.source import FetchResult, PriceSource

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.lake.snapshot import Snapshot

OVERLAP: Final = 60
"""Bars of each symbol that the two providers are compared on, the newest held."""

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
        refusal_by_reason = {
            f"only {self.bars} common bars, {FEWEST_BARS} are needed": self.bars < FEWEST_BARS,
            f"{self.differing} of {self.bars} closes differ by more than {TOLERANCE:.1%}, at most "
            f"by {self.worst:.1%}": self.differing > allowed,
            f"{self.missing} bars are missing": self.missing > max(1.0, allowed),
            "; ".join(self.actions[:3]): bool(self.actions),
            f"volumes differ by a factor of {self.volume_ratio:.2f}": np.isfinite(self.volume_ratio)
            and not low <= self.volume_ratio <= high,
        }
        return tuple(
            f"{self.symbol}: {reason}" for reason, refused in refusal_by_reason.items() if refused
        )


class Secondary:
    """A provider that may stand in for the source of a data set.

    Args:
        provider: whose bars may follow the source's.
        compares: whether its bars are looked at although the source answered.
    """

    def __init__(self, provider: PriceSource, *, compares: bool) -> None:
        self.provider, self.name, self.compares = provider, provider.name, compares

    def agreements(self, own: "pd.DataFrame", interval: str) -> tuple[list[Agreement], FetchResult]:
        """How the provider agrees on the source's newest bars, and what it gave.

        Args:
            own: bars of the source, price columns of `forecasting.schema`.
            interval: bar interval.

        Raises:
            BellwetherError: the provider failed.
        """
        newest = own.groupby("symbol", sort=False).tail(OVERLAP)
        since = newest["session"].min().date()
        symbols = tuple(sorted(set(newest["symbol"])))
        fetched_bars = self.provider.fetch(symbols, since, None, interval)
        return compare(newest, fetched_bars.bars, interval), fetched_bars

    def offer(self, lake: "Lake", snapshot: "Snapshot", symbols: Sequence[str]) -> "Offer":
        """What the provider has to offer after the bars that are held.

        Args:
            lake: where the snapshot is.
            snapshot: the newest snapshot of the data set.
            symbols: tickers asked for; all that are held when empty.

        Raises:
            BellwetherError: the provider failed.
        """
        requested = tuple(symbols) or snapshot.symbols
        own = lake.own_bars(snapshot)
        agreements, fetched_bars = self.agreements(
            own[own["symbol"].isin(requested)], snapshot.interval
        )
        refusals = [refusal for agreement in agreements for refusal in agreement.refusals]
        last = lake.read(snapshot, requested).groupby("symbol")["timestamp"].max()
        newer = fetched_bars.bars["timestamp"] > fetched_bars.bars["symbol"].map(last)
        bars = fetched_bars.bars[newer].reset_index(drop=True)
        if refusals:
            return Offer(agreements, f"it does not agree: {'; '.join(refusals[:5])}")
        if bars.empty:
            return Offer(agreements, f"it has no bar after {snapshot.last:%Y-%m-%d %H:%M} UTC")
        notes = (
            f"{len(bars)} bars from {bars['session'].min():%Y-%m-%d} on are {self.name}'s.",
            in_words(agreements, snapshot.source, self.name),
            *fetched_bars.notes,
        )
        fetched = FetchResult(
            bars=bars,
            fetched_at=fetched_bars.fetched_at,
            notes=notes,
            provider=self.name,
            survivorship=snapshot.survivorship,
        )
        return Offer(agreements, "", fetched)


@dataclass(frozen=True)
class Offer:
    """What a second provider has to offer.

    Attributes:
        agreements: how it agrees with the bars that are held.
        refusal: why its bars may not follow them; "" when they may.
        fetched: the bars that follow, if they may.
    """

    agreements: list[Agreement]
    refusal: str
    fetched: FetchResult | None = None


def compare(
    primary: "pd.DataFrame", other: "pd.DataFrame", interval: str, *, tolerance: float = TOLERANCE
) -> list[Agreement]:
    """Hold two providers' bars against each other, symbol by symbol, sorted.

    Args:
        primary: price columns of the provider that counts.
        other: price columns of the other, not judged.
        interval: daily bars are the same by session, others by close.
        tolerance: share of the price by which closes may differ.
    """
    from forecasting.schema import SESSION, SYMBOL, TIMESTAMP

    key = SESSION if interval == "1d" else TIMESTAMP

    def of_symbol(bars: "pd.DataFrame", symbol: str) -> "pd.DataFrame":
        return bars[bars[SYMBOL] == symbol].drop_duplicates(key).set_index(key).sort_index()

    return [
        _agreement(str(symbol), of_symbol(primary, symbol), of_symbol(other, symbol), tolerance)
        for symbol in sorted(set(primary[SYMBOL]))
    ]


def differing_share(agreements: list[Agreement]) -> float:
    """Share of all common bars whose close differs; NaN when there are none."""
    bars = sum(agreement.bars for agreement in agreements)
    differing = sum(agreement.differing for agreement in agreements)
    return differing / bars if bars else float("nan")


def in_words(agreements: list[Agreement], primary: str, other: str) -> str:
    """What came of the comparison, as one sentence for the notes."""
    bars = sum(agreement.bars for agreement in agreements)
    if not bars:
        return f"{primary} and {other} have no bar in common: nothing was compared."
    differing = sum(agreement.differing for agreement in agreements)
    actions = [action for agreement in agreements for action in agreement.actions]
    sentence = (
        f"{primary} and {other} have {bars} bars in common; {differing} closes differ by more than "
        f"{TOLERANCE:.1%}, {len(actions)} dividends or splits differ"
    )
    refused = [refusal for agreement in agreements for refusal in agreement.refusals]
    return f"{sentence}: {'; '.join(refused[:5])}." if refused else f"{sentence}."


def _agreement(
    symbol: str, primary: "pd.DataFrame", other: "pd.DataFrame", tolerance: float
) -> Agreement:
    both = primary.index.intersection(other.index)
    if both.empty:
        return Agreement(symbol, 0, 0, 0, (), float("nan"), float("nan"))
    span = primary.loc[both[0] : both[-1]]
    primary, other = span.loc[both], other.loc[both]
    close, other_close = primary["close"].to_numpy(np.float64), other["close"].to_numpy(np.float64)
    apart = np.abs(other_close - close) / close
    apart = np.where(np.isfinite(apart), apart, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = other["volume"].to_numpy(np.float64) / primary["volume"].to_numpy(np.float64)
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    return Agreement(
        symbol=symbol,
        bars=len(both),
        differing=int(np.count_nonzero(apart > tolerance)),
        missing=len(span) - len(both),
        actions=tuple(_differing_actions(symbol, primary, other)),
        volume_ratio=float(np.median(ratios)) if len(ratios) else float("nan"),
        worst=float(apart.max()),
    )


def _differing_actions(symbol: str, primary: "pd.DataFrame", other: "pd.DataFrame") -> list[str]:
    """Dividends and splits that differ between two frames of the same index, in words.

    A first bar's own action may be cut off on one side by how its provider counts, so it is left.
    """
    differences = []
    for name in ("split", "dividend"):
        primary_values, other_values = (
            frame[name].to_numpy(np.float64) for frame in (primary, other)
        )
        allowed = 1e-6 if name == "split" else np.maximum(_CENT, 0.01 * np.abs(primary_values))
        differs = ~(np.abs(other_values - primary_values) <= allowed)
        differs[0] = False
        differences += [
            f"{symbol} {name} on {primary.index[row]:%Y-%m-%d}: "
            f"{primary_values[row]:g} and {other_values[row]:g}"
            for row in np.flatnonzero(differs).tolist()
        ]
    return differences
