"""The contract of a price source: what it is asked, what it answers, how its symbols were chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

from forecasting.errors import InvalidSettings
from forecasting.schema import INTERVALS, SESSION

if TYPE_CHECKING:
    import pandas as pd

Choice = Literal["hindsight", "point in time", "named", "none", "undeclared"]

_MEANING: Final[dict[Choice, str]] = {
    "hindsight": "the symbols were chosen afterwards, so those that failed are missing and results "
    "look better than anybody could have had.",
    "point in time": "the symbols are those that could have been chosen then, failures included.",
    "named": "the symbols were named for this run; nothing is known of those that were not.",
    "none": "there is nothing here that could have failed and gone.",
    "undeclared": "the source does not say how its symbols were chosen; take them for survivors.",
}


@dataclass(frozen=True)
class Survivorship:
    """How the symbols of a universe were chosen, as the source declares it.

    Who picks today's winners and looks at their past finds a market in which nobody failed.

    Attributes:
        choice: how the symbols were chosen.
        why: what in particular makes that so, a sentence or nothing.
    """

    choice: Choice
    why: str = ""

    @property
    def declaration(self) -> str:
        """What the source declares, in words; "" where it declares nothing."""
        return "" if self.choice == "undeclared" else self._words

    @property
    def hindsight(self) -> bool | None:
        """Whether the symbols were chosen with hindsight; None where only their bars can tell."""
        if self.choice == "hindsight":
            return True
        return False if self.choice in {"point in time", "none"} else None

    @property
    def sentence(self) -> str:
        """For the notes that people read; there is always one."""
        return f"Survivorship: {self._words}"

    @property
    def _words(self) -> str:
        return f"{_MEANING[self.choice]} {self.why}".rstrip()


UNDECLARED: Final = Survivorship("undeclared")


@dataclass(frozen=True)
class FetchResult:
    """Bars as a source gave them.

    Attributes:
        bars: the price columns of `forecasting.schema`, not judged yet; only bars that closed.
        fetched_at: when they were fetched, aware UTC.
        notes: what else a reader should know about them, in sentences.
        fallback: whether they are the last good snapshot, because the source failed.
        provider: who gave them instead, when the source failed and another stood in; else "".
        survivorship: how the symbols were chosen.
    """

    bars: "pd.DataFrame"
    fetched_at: datetime
    notes: tuple[str, ...] = ()
    fallback: bool = False
    provider: str = ""
    survivorship: Survivorship = UNDECLARED


@runtime_checkable
class PriceSource(Protocol):
    """Somebody who has prices.

    Attributes:
        name: as in `forecasting.adapters.market.open.open_source`.
        replay: whether the prices are history, to be served as if its last bar were new.
        synthetic: whether the prices are made up, to be said wherever they are shown.
    """

    name: str
    replay: bool
    synthetic: bool

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Bars of all the symbols, or an error: never some of them, never none.

        Args:
            symbols: tickers; empty means the source's own choice, if it has one.
            start: first session; None means as far back as there is.
            end: last session, itself included; None means the newest.
            interval: one of `schema.INTERVALS`.

        Raises:
            UnknownSymbol: the source does not know a symbol.
            SourceUnavailable: it failed, or answered with nothing.
            RateLimited: it asks us to wait longer than we may.
            InvalidPrices: its bars cannot be read.
            InvalidSettings: it does not have such bars or options.
        """
        ...


def check_interval(name: str, interval: str, offered: Sequence[str] = tuple(INTERVALS)) -> None:
    """Refuse an interval that a source does not offer.

    Raises:
        InvalidSettings: lists those it offers.
    """
    if interval not in offered:
        raise InvalidSettings(
            f"the source {name} has bars of {', '.join(offered)}", f"{interval!r} was asked for"
        )


def within(bars: "pd.DataFrame", start: date | None, end: date | None) -> "pd.DataFrame":
    """Bars whose session lies between two dates, both included."""
    import pandas as pd

    if start is not None:
        bars = bars[bars[SESSION] >= pd.Timestamp(start)]
    if end is not None:
        bars = bars[bars[SESSION] <= pd.Timestamp(end)]
    return bars.reset_index(drop=True)
