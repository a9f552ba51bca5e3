"""A user's own prices: CSV or Parquet files, with an error per file, row and column."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from forecasting.adapters.market.source import FetchResult, Survivorship, check_interval, within
from forecasting.adapters.market.tables import read_table
from forecasting.clock import utc_now
from forecasting.errors import InvalidPrices, InvalidSettings, SourceUnavailable, UnknownSymbol

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.settings import Settings

Stamp = Literal["start", "end"]

_ENDINGS: Final = (".csv", ".csv.gz", ".parquet")


class FilesSource:
    """Prices from CSV (.csv, .csv.gz) and Parquet files.

    A file without a symbol column holds one symbol: the option's, or the one its name says.
    Daily times count as the date they show; a time with a zone that is not midnight counts as the
    exchange's date at that moment.

    Args:
        settings: not used: the files are on this machine.
        path: a file, a folder, a glob pattern, or several of these.
        symbol: the symbol of files without a symbol column.
        timezone: IANA zone of intraday times that carry none, e.g. America/New_York.
        stamp: whether intraday times are the start or the end of their bars. If in doubt keep
            start: the wrong end would let the model see each bar before it closed.
        date_format: strptime format of dates that are not ISO 8601, e.g. %d/%m/%Y.
    """

    name = "files"
    replay = False
    synthetic = False

    def __init__(
        self,
        settings: "Settings | None" = None,
        *,
        path: str | Path | Sequence[str | Path],
        symbol: str = "",
        timezone: str = "",
        stamp: Stamp = "start",
        date_format: str = "",
    ) -> None:
        del settings
        if stamp not in get_args(Stamp):
            raise InvalidSettings("stamp is start or end", f"{stamp!r} was given")
        self.paths = [path] if isinstance(path, str | Path) else list(path)
        self.symbol, self.timezone, self.stamp = symbol, timezone, stamp
        self.date_format = date_format

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Bars of the files; see `PriceSource.fetch`."""
        import pandas as pd

        check_interval(self.name, interval)
        files = _matching_files(self.paths)
        frames = [self._read(file, interval) for file in files]
        bars = pd.concat(frames, ignore_index=True)
        there = set(bars["symbol"].dropna())
        unknown = sorted(set(symbols) - there)
        if unknown:
            raise UnknownSymbol(
                "the files must hold every symbol",
                f"{', '.join(unknown)} not among {', '.join(sorted(map(str, there)))}",
                f"Looked in {', '.join(file.name for file in files)}",
            )
        if symbols:
            bars = bars[bars["symbol"].isin(symbols)]
        bars = within(bars, start, end)
        if bars.empty:
            raise SourceUnavailable(
                "the files must have bars in the time asked for",
                f"none from {start or 'the start'} to {end or 'the end'}",
            )
        origin = f"Prices from {', '.join(file.name for file in files[:5])}" + (
            f" and {len(files) - 5} more files." if len(files) > 5 else "."
        )
        raw = "They are taken as traded prices: dividends and splits only from their own columns."
        return FetchResult(
            bars=bars,
            fetched_at=utc_now(),
            notes=(origin, raw),
            survivorship=Survivorship("named", "Whoever made the files chose them."),
        )

    def _read(self, file: Path, interval: str) -> "pd.DataFrame":
        """One file as price columns, not judged."""
        import pandas as pd

        table = read_table(file)
        bars = pd.DataFrame(index=table.rows.index)
        if "symbol" in table:
            bars["symbol"] = table.rows["symbol"].astype(object)
        else:
            bars["symbol"] = self.symbol or file.name.partition(".")[0].upper()
        for column in ("open", "high", "low", "close", "volume"):
            bars[column] = table.numbers(column)
        bars["dividend"] = table.numbers("dividend", absent=0.0)
        split = table.numbers("split", absent=1.0)
        bars["split"] = split.mask(split == 0, 1.0)  # providers write 0 for no split
        moments = table.times(self.date_format).to_series(index=bars.index)
        placed = [
            self._placed(str(symbol), moments[rows.index], interval, file)
            for symbol, rows in bars.groupby("symbol", sort=False, dropna=False)
        ]
        return bars.join(pd.concat(placed))

    def _placed(
        self, symbol: str, moments: "pd.Series[pd.Timestamp]", interval: str, file: Path
    ) -> "pd.DataFrame":
        """Close and session of one symbol's bars."""
        import pandas as pd

        from forecasting.prices import calendar

        stamps = pd.DatetimeIndex(moments)
        if interval == "1d":
            sessions = _dates(stamps, calendar.exchange_timezone(symbol))
            closes = calendar.session_closes(symbol, sessions)
        elif self.stamp == "start":
            closes, sessions = calendar.bar_closes(symbol, self._zoned(stamps, file), interval)
        else:
            closes = self._zoned(stamps, file).tz_convert("UTC").as_unit("ns")
            just_before = closes - pd.Timedelta(seconds=1)
            _, sessions = calendar.bar_closes(symbol, just_before, interval)
        return pd.DataFrame({"timestamp": closes, "session": sessions}, index=moments.index)

    def _zoned(self, stamps: "pd.DatetimeIndex", file: Path) -> "pd.DatetimeIndex":
        if stamps.tz is not None:
            return stamps
        if not self.timezone:
            raise InvalidPrices(
                "intraday times must carry a time zone",
                f"{file} has none, e.g. {stamps[0]}",
                "Name it, e.g. timezone=America/New_York",
            )
        try:
            zoned = stamps.tz_localize(self.timezone, ambiguous="NaT", nonexistent="NaT")
        except KeyError as error:  # zoneinfo's ZoneInfoNotFoundError is one
            raise InvalidSettings(
                "a time zone must have an IANA name", f"{self.timezone!r} was given"
            ) from error
        lost = np.asarray(zoned.isna()) & np.asarray(stamps.notna())
        if lost.any():
            raise InvalidPrices(
                f"every time must exist once in {self.timezone}",
                f"{file}: {stamps[lost][0]} falls on a clock change",
                "Write the times in UTC, or with their offset",
            )
        return zoned


def _matching_files(paths: Sequence[str | Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        place = Path(path).expanduser()
        if place.is_dir():
            files += sorted(file for file in place.iterdir() if file.name.endswith(_ENDINGS))
        elif place.is_file():
            files.append(place)
        elif any(sign in str(path) for sign in "*?["):
            files += sorted(Path(place.anchor).glob(str(place.relative_to(place.anchor))))
    if not files:
        raise SourceUnavailable(
            f"there must be files ending in {', '.join(_ENDINGS)}",
            f"none at {', '.join(map(str, paths))}",
            "Check the path",
        )
    return files


def _dates(stamps: "pd.DatetimeIndex", zone: str) -> "pd.DatetimeIndex":
    """Trading dates of daily bars: the date shown, or the exchange's if a moment is shown."""
    if stamps.tz is None:
        return stamps.normalize()
    at_midnight = stamps == stamps.normalize()
    shown = stamps.tz_localize(None)
    local = stamps.tz_convert(zone).tz_localize(None)
    return shown.where(at_midnight, local).normalize()
