"""What a price source is, and how one is opened by its name."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from forecasting.adapters.market.survivorship import MARK, UNDECLARED, Survivorship
from forecasting.errors import InvalidSettings, SourceUnavailable
from forecasting.schema import INTERVALS, SESSION

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.settings import Settings

ENTRY_POINTS: Final = "bellwether.sources"
"""Entry-point group of other packages' sources: a callable (settings, **options) -> PriceSource."""

_OWN: Final = {
    "ccxt": "forecasting.adapters.market.providers.crypto:CryptoSource",
    "files": "forecasting.adapters.market.providers.files:FilesSource",
    "sample": "forecasting.adapters.market.providers.sample:SampleSource",
    "synthetic": "forecasting.adapters.market.providers.synthetic:SyntheticSource",
    "tiingo": "forecasting.adapters.market.providers.tiingo:TiingoSource",
    "tinvest": "forecasting.adapters.market.providers.tinvest:TInvestSource",
    "yahoo": "forecasting.adapters.market.providers.yahoo:YahooSource",
}


@dataclass(frozen=True)
class FetchResult:
    """Bars as a source gave them.

    Attributes:
        bars: the price columns of `forecasting.schema`, not judged yet; only bars that closed.
        fetched_at: when they were fetched, aware UTC.
        notes: what a reader should know about them, in sentences; how the symbols were chosen is
            always among them.
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

    def __post_init__(self) -> None:
        """Say how the symbols were chosen, unless the notes say it already."""
        if not any(note.startswith(MARK) for note in self.notes):
            object.__setattr__(self, "notes", (*self.notes, self.survivorship.sentence))


@runtime_checkable
class PriceSource(Protocol):
    """Somebody who has prices.

    Attributes:
        name: as in `open_source`.
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


def source_names() -> tuple[str, ...]:
    """Names of all sources that can be opened, sorted."""
    others = {entry.name for entry in entry_points(group=ENTRY_POINTS)}
    return tuple(sorted(others | set(_OWN)))


def open_source(name: str, settings: "Settings", **options: object) -> PriceSource:
    """Open a price source by name; nothing is fetched yet.

    Args:
        name: one of `source_names`.
        settings: where things are; with `fallback_source` set, a source of live prices comes with
            that second provider.
        options: the source's own, e.g. path= for files, universe= for sample, seed= for synthetic.

    Raises:
        InvalidSettings: no such source, or it does not take such options.
        SourceUnavailable: another package's source cannot be loaded.
    """
    build = _own(name) or _of_others(name)
    if build is None:
        raise InvalidSettings(
            f"a price source is one of {', '.join(source_names())}",
            f"{name!r} was given",
            f"Install the package that offers it under the entry point {ENTRY_POINTS}",
        )
    source = _built(name, build, settings, options)
    if not settings.fallback_source or source.replay or source.synthetic:
        return source
    return _with_second(source, settings)


def _with_second(first: PriceSource, settings: "Settings") -> PriceSource:
    """A source with the second provider that the settings name.

    Raises:
        InvalidSettings: the second is the first, or no live source.
    """
    from forecasting.adapters.market.chain import Chained

    if settings.fallback_source == first.name:
        return first
    theirs = settings.model_copy(
        update={"fallback_source": "", "source_base_url": settings.fallback_base_url}
    )
    second = open_source(settings.fallback_source, theirs)
    if second.replay or second.synthetic:
        raise InvalidSettings(
            "a fallback source must have live prices",
            f"{settings.fallback_source!r} was given",
            "Set BELLWETHER_FALLBACK_SOURCE to e.g. tiingo, or leave it empty",
        )
    return Chained(first, second, compares=settings.compare_sources)


def _built(
    name: str, build: Callable[..., object], settings: "Settings", options: dict[str, object]
) -> PriceSource:
    signature = inspect.signature(build)
    try:
        signature.bind(settings, **options)
    except TypeError as error:
        taken = ", ".join(list(signature.parameters)[1:]) or "none"
        raise InvalidSettings(
            f"the source {name} takes the options: {taken}", str(error), "Leave the others out"
        ) from error
    source = build(settings, **options)
    if not isinstance(source, PriceSource):
        raise InvalidSettings(
            "a price source has name, replay, synthetic and fetch",
            f"the entry point {name!r} gave a {type(source).__name__}",
        )
    return source


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


def _own(name: str) -> Callable[..., object] | None:
    if name not in _OWN:
        return None
    module, _, attribute = _OWN[name].partition(":")
    build: Callable[..., object] = getattr(import_module(module), attribute)
    return build


def _of_others(name: str) -> Callable[..., object] | None:
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == name:
            try:
                build: Callable[..., object] = entry.load()
            except Exception as error:  # whatever another package's import raises
                raise SourceUnavailable(
                    "a source's package must be importable",
                    f"{entry.value}: {type(error).__name__}: {error}",
                    "Repair or remove the package",
                ) from error
            return build
    return None
