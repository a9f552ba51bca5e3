"""A price source of your own: daily bars from a SQLite database, as a package of its own.

    .venv/bin/uv pip install --no-deps ./examples/custom_source
    .venv/bin/python examples/custom_source/sqlite_source.py prices.sqlite   # writes made-up prices
    BELLWETHER_SQLITE_PRICES=prices.sqlite .venv/bin/bellwether ingest --source sqlite --symbols ACME

After that, `--source sqlite` works wherever a source is named: ingest, train, refresh and demo.
pyproject.toml beside this file names the class under the entry point `bellwether.sources`.
"""

import csv
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import pandas as pd

from forecasting.adapters.market.source import FetchResult, Survivorship, check_interval
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, SourceUnavailable, UnknownSymbol
from forecasting.prices.calendar import session_closes
from forecasting.settings import Settings

VARIABLE = "BELLWETHER_SQLITE_PRICES"
MADE_UP_PRICES = Path(__file__).parents[1] / "acme.csv"
TABLE = "bars (symbol TEXT, day TEXT, open REAL, high REAL, low REAL, close REAL, volume REAL)"


class SqliteSource:
    """Daily bars from the table `bars` of a SQLite database.

    Args:
        settings: Bellwether's settings; a source with a web service finds addresses there.
        path: the database; default: the environment variable BELLWETHER_SQLITE_PRICES.
    """

    name = "sqlite"
    replay = False  # True: history that is served as if its last bar had just closed
    synthetic = False  # True: made-up prices; every surface then says so

    def __init__(self, settings: Settings, *, path: str = "") -> None:
        del settings
        self.path = path or os.environ.get(VARIABLE, "")

    def fetch(
        self, symbols: Sequence[str], start: date | None, end: date | None, interval: str
    ) -> FetchResult:
        """Bars of all the symbols, or an error; see `PriceSource.fetch`."""
        check_interval(self.name, interval, ["1d"])
        bars = self._read(start or date.min, end or date.max)
        unknown = sorted(set(symbols) - set(bars["symbol"]))
        if unknown:
            raise UnknownSymbol(
                "the database must hold every symbol",
                f"{', '.join(unknown)} not in {self.path}",
                "Ask for a symbol that the table bars holds",
            )
        if symbols:
            bars = bars[bars["symbol"].isin(symbols)].reset_index(drop=True)
        if bars.empty:
            raise SourceUnavailable("the database must hold bars of the time asked for", "none")

        bars["session"] = pd.to_datetime(bars.pop("day")).astype("datetime64[ns]")
        # A bar is known from its close on: the exchange's calendar says when that was.
        for symbol, rows in bars.groupby("symbol"):
            closes = session_closes(str(symbol), pd.DatetimeIndex(rows["session"]))
            bars.loc[rows.index, "timestamp"] = closes
        return FetchResult(
            bars=bars.assign(dividend=0.0, split=1.0),
            fetched_at=utc_now(),
            notes=(f"Prices from {Path(self.path).name}.",),
            survivorship=Survivorship("named", "Whoever filled the database chose them."),
        )

    def _read(self, start: date, end: date) -> pd.DataFrame:
        """Rows of the table `bars` between two days, both included."""
        if not Path(self.path).is_file():
            raise InvalidSettings(
                "the source sqlite needs a database",
                f"{self.path!r} is no file",
                f"Set {VARIABLE} to one",
            )
        query = "SELECT * FROM bars WHERE day BETWEEN ? AND ? ORDER BY symbol, day"
        with closing(sqlite3.connect(self.path)) as database:
            return pd.read_sql_query(query, database, params=[str(start), str(end)])


def write_made_up_prices(path: Path, symbol: str = "ACME") -> int:
    """Write the bars of examples/acme.csv as a database; returns how many."""
    with MADE_UP_PRICES.open() as file:
        rows = [(symbol, *row.values()) for row in csv.DictReader(file)]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE {TABLE}")
        database.executemany("INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return len(rows)


if __name__ == "__main__":
    print(f"{write_made_up_prices(Path(sys.argv[1])):,} bars written to {sys.argv[1]}")
