"""Two providers in a row: the second stands in for the first where the two have agreed.

A data set holds the history of one source. Bars of another provider continue it only if that
provider gives the same closes, actions, sessions and volume for the bars before: otherwise the
splice itself would be a price move that nobody paid. They are kept apart in the lake, under the
provider's name, until the source has those bars itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from forecasting.adapters.market.reconcile import Agreement, compare, in_words
from forecasting.adapters.market.source import FetchResult, PriceSource
from forecasting.adapters.market.survivorship import MARK

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.lake.lake import Lake
    from forecasting.adapters.lake.snapshot import Snapshot

OVERLAP: Final = 60
"""Bars of each symbol that the two providers are compared on, the newest held."""


class Chained:
    """A price source that another provider may stand in for.

    It is the first provider wherever it is asked for bars; `fetch_or_last_good`, which knows the
    bars that are held, asks the second.

    Args:
        first: whose bars the data set holds.
        second: who may stand in.
        compares: whether the second's bars are looked at although the first answered.
    """

    def __init__(self, first: PriceSource, second: PriceSource, *, compares: bool) -> None:
        self.first, self.second, self.compares = first, second, compares
        self.name, self.replay, self.synthetic = first.name, first.replay, first.synthetic

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """The first provider's bars; see `PriceSource.fetch`."""
        return self.first.fetch(symbols, start, end, interval)

    def agreements(
        self, own: "pd.DataFrame", interval: str, end: date | None = None
    ) -> tuple[list[Agreement], FetchResult]:
        """How the second provider agrees on the first's newest bars, and what it gave.

        Raises:
            BellwetherError: the second provider failed.
        """
        newest = own.groupby("symbol", sort=False).tail(OVERLAP)
        since = newest["session"].min().date()
        symbols = tuple(sorted(set(newest["symbol"])))
        theirs = self.second.fetch(symbols, since, end, interval)
        return compare(newest, theirs.bars, interval), theirs

    def stand_in(
        self, lake: "Lake", held: "Snapshot", symbols: Sequence[str], end: date | None
    ) -> "StandIn":
        """What the second provider has to offer after the bars that are held.

        Raises:
            BellwetherError: the second provider failed.
        """
        asked = tuple(symbols) or held.symbols
        own = lake.own_bars(held)
        agreements, theirs = self.agreements(own[own["symbol"].isin(asked)], held.interval, end)
        refusals = [words for one in agreements for words in one.refusals]
        last = lake.read(held, asked).groupby("symbol")["timestamp"].max()
        newer = theirs.bars["timestamp"] > theirs.bars["symbol"].map(last)
        bars = theirs.bars[newer].reset_index(drop=True)
        if refusals:
            return StandIn(agreements, f"it does not agree: {'; '.join(refusals[:5])}")
        if bars.empty:
            return StandIn(agreements, f"it has no bar after {held.last:%Y-%m-%d %H:%M} UTC")
        told = (
            f"{len(bars)} bars from {bars['session'].min():%Y-%m-%d} on are {self.second.name}'s.",
            in_words(agreements, self.name, self.second.name),
            *(note for note in theirs.notes if not note.startswith(MARK)),
            *(note for note in held.notes if note.startswith(MARK)),
        )
        fetched = FetchResult(
            bars=bars, fetched_at=theirs.fetched_at, notes=told, provider=self.second.name
        )
        return StandIn(agreements, "", fetched)


@dataclass(frozen=True)
class StandIn:
    """What a second provider has to offer.

    Attributes:
        agreements: how it agrees with the bars that are held.
        refusal: why its bars may not follow them; "" when they may.
        fetched: the bars that follow, if they may.
    """

    agreements: list[Agreement]
    refusal: str
    fetched: FetchResult | None = None
