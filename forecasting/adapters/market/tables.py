"""A table of prices as a user keeps it: its headers, numbers and times, with errors by cell."""

import gzip
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from forecasting.errors import InvalidPrices
from forecasting.prices.quality.catalogue import FAULTS

if TYPE_CHECKING:
    import pandas as pd

HEADERS: Final = {
    "date": ("date", "datetime", "timestamp", "time", "day", "session"),
    "symbol": ("symbol", "ticker", "instrument"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "close/last", "last"),
    "volume": ("volume", "vol", "v"),
    "dividend": ("dividend", "dividends"),
    "split": ("split", "splits", "stock_splits"),
}
"""Our column -> headers it is known by, in lower case with underscores for spaces."""

_AGAIN: Final = "Get the file again"
_NEEDED: Final = ("date", "open", "high", "low", "close", "volume")
_COLUMN_OF: Final = {header: column for column, known in HEADERS.items() for header in known}


@dataclass(frozen=True)
class Table:
    """One file.

    Attributes:
        file: where it is.
        headers: our column -> the file's header.
        rows: the columns we know, under our names, as read.
    """

    file: Path
    headers: dict[str, str]
    rows: "pd.DataFrame"

    def __contains__(self, column: str) -> bool:
        return column in self.headers

    def numbers(self, column: str, absent: float | None = None) -> "pd.Series[float]":
        """A column as float64; empty cells are NaN, or `absent` when it is given.

        Raises:
            InvalidPrices: names the first cell that is no number.
        """
        import pandas as pd

        if column not in self:
            return pd.Series(absent, index=self.rows.index, dtype="float64")
        cells = self.rows[column]
        numbers = pd.to_numeric(cells, errors="coerce").astype("float64")
        unread = (numbers.isna() & cells.notna()).to_numpy()
        if unread.any():
            raise self.bad_cell(
                f"{column} must be a number",
                int(unread.argmax()),
                column,
                f"{int(unread.sum())} cells of the column are none: write 1234.5, no separators",
            )
        return numbers if absent is None else numbers.fillna(absent)

    def times(self, date_format: str = "") -> "pd.DatetimeIndex":
        """The dates or times: in UTC if they carry a zone, else as they stand.

        Args:
            date_format: strptime format; ISO 8601 when empty.

        Raises:
            InvalidPrices: names the first cell that cannot be read or differs in carrying a zone.
        """
        import pandas as pd

        cells = self.rows["date"]
        if pd.api.types.is_datetime64_any_dtype(cells.dtype):
            return pd.DatetimeIndex(cells)
        there = cells.notna()
        text = cells.astype(str).where(there)
        zoned = text.str.contains(r"\d.*(?:Z|[+-]\d\d:?\d\d)$", na=False) & (text.str.len() > 10)
        if zoned.any() and not zoned[there].all():
            raise self.bad_cell(
                "times must all carry a time zone, or none",
                int((~zoned & there).to_numpy().argmax()),
                "date",
            )
        form = date_format or "ISO8601"
        moments = pd.to_datetime(text, format=form, errors="coerce", utc=bool(zoned.any()))
        unread = (moments.isna() & there).to_numpy()
        if unread.any():
            raise self.bad_cell(
                f"a time must be {date_format or 'ISO 8601, e.g. 2026-01-31'}",
                int(unread.argmax()),
                "date",
                "Name its format, e.g. date_format=%d/%m/%Y",
            )
        return pd.DatetimeIndex(moments)

    def bad_cell(self, rule: str, row: int, column: str, remedy: str = "") -> InvalidPrices:
        """The error about one cell; rows count as an editor or spreadsheet counts them."""
        line = row + (1 if self.file.suffix == ".parquet" else 2)
        cell: Any = self.rows[column].iloc[row]
        place = f"{self.file}, row {line}, column {self.headers[column]}"
        return InvalidPrices(rule, f"{place}: {cell!r}", remedy)


def read_table(file: Path) -> Table:
    """Read one CSV or Parquet file of prices.

    Raises:
        InvalidPrices: it is empty, unreadable, or lacks a column.
    """
    rows = _read(file)
    if rows.empty:
        raise InvalidPrices(FAULTS["empty_answer"].rule, f"{file} has only a header (empty_answer)")
    headers: dict[str, str] = {}
    for header in map(str, rows.columns):
        column = _column_of(header)
        if column in headers:
            raise InvalidPrices(
                f"a file must have one {column} column",
                f"{file} has {headers[column]!r} and {header!r}",
                "Drop one of them",
            )
        if column:
            headers[column] = header
    missing = [column for column in _NEEDED if column not in headers]
    if missing:
        raise InvalidPrices(
            f"a file of prices needs the columns {', '.join(_NEEDED)}",
            f"{file} lacks {', '.join(missing)}; it has {', '.join(map(str, rows.columns))} "
            "(renamed_column)",
            "Rename its columns",
        )
    column_of = {header: column for column, header in headers.items()}
    return Table(
        file, headers, rows[list(column_of)].rename(columns=column_of).reset_index(drop=True)
    )


def _column_of(header: str) -> str:
    return _COLUMN_OF.get(header.strip().lower().replace(" ", "_"), "")


def _read(file: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        if file.suffix == ".parquet":
            rows = pd.read_parquet(file)
            return rows if isinstance(rows.index, pd.RangeIndex) else rows.reset_index()
        _refuse_pages_and_stumps(file)
        headers = pd.read_csv(file, nrows=0).columns
        # A ticker of digits only, 0050, is no number.
        text: dict[Any, type[str]] = {h: str for h in headers if _column_of(h) == "symbol"}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(file, dtype=text, low_memory=False, index_col=False)
    except pd.errors.EmptyDataError as error:
        raise InvalidPrices(
            FAULTS["empty_answer"].rule, f"{file} is empty (empty_answer)"
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise InvalidPrices(
            "every row must have as many columns as the header", f"{file}: {error}"
        ) from error
    except (EOFError, zlib.error) as error:
        raise InvalidPrices(
            FAULTS["truncated_answer"].rule, f"{file}: {error} (truncated_answer)", _AGAIN
        ) from error
    except (OSError, ValueError) as error:  # UnicodeDecodeError and ArrowInvalid are ValueErrors
        raise InvalidPrices(
            "a file of prices must be readable CSV in UTF-8 or Parquet",
            f"{file}: {type(error).__name__}: {error}",
        ) from error


def _refuse_pages_and_stumps(file: Path) -> None:
    """Refuse a web page, and a CSV file whose last row stops before its line does.

    A number that was cut is still a number, so the missing end of the line is all there is to see.
    """
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rb") as data:
        text = data.read()
    if text.lstrip()[:1] == b"<":
        raise InvalidPrices(
            FAULTS["html_answer"].rule, f"{file} begins {text.lstrip()[:40]!r} (html_answer)"
        )
    if text.strip() and not text.endswith((b"\n", b"\r")):
        last = text.rsplit(b"\n", 1)[-1]
        raise InvalidPrices(
            FAULTS["truncated_answer"].rule,
            f"{file} ends within its last row, {last[-60:]!r} (truncated_answer)",
            "Get the file again; if that row is whole, end it with a line break",
        )
