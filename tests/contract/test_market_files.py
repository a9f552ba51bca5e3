"""The files source: a user's CSV and Parquet, and an error for every cell that is wrong."""

import gzip
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from forecasting.adapters.market.open import open_source
from forecasting.errors import InvalidPrices, InvalidSettings, SourceUnavailable, UnknownSymbol
from forecasting.prices.quality.judge import judge
from forecasting.settings import Settings
from tests.clock import NOW

GOOD = """\
Date,Ticker,Open,High,Low,Close,Volume,Dividends,Stock Splits
2025-11-26,AAPL,100,102,99,101,1000,0,0
2025-11-28,AAPL,101,103,100,102,1100,0.25,0
2025-12-01,AAPL,51,52,50,51.5,2000,0,2
2025-11-26,2330.TW,900,910,890,905,500,,
"""


def written(folder: Path, text: str, name: str = "prices.csv") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def fetch(path: object, interval: str = "1d", symbols: tuple[str, ...] = (), **options: object):
    source = open_source("files", Settings(), path=path, **options)
    assert not source.replay
    assert not source.synthetic
    return source.fetch(list(symbols), None, None, interval)


def test_daily_rows_become_bars_of_their_exchanges(tmp_path: Path) -> None:
    fetched = fetch(written(tmp_path, GOOD))
    bars = judge(fetched.bars, now=NOW).clean.set_index(["symbol", "session"])
    assert bars.loc[("AAPL", "2025-11-28"), "timestamp"] == pd.Timestamp("2025-11-28 18:00Z")
    assert bars.loc[("2330.TW", "2025-11-26"), "timestamp"] == pd.Timestamp("2025-11-26 05:30Z")
    assert bars.loc[("AAPL", "2025-11-28"), "dividend"] == 0.25
    assert bars["split"].tolist() == [1.0, 1.0, 1.0, 2.0]
    assert "prices.csv" in fetched.notes[0]


def test_parquet_gzip_folders_globs_and_lists_are_read(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    frame = pd.read_csv(tmp_path / "prices.csv")
    frame["Date"] = pd.to_datetime(frame["Date"]).dt.tz_localize("America/New_York")
    frame[frame["Ticker"] == "AAPL"].assign(Ticker="MSFT").to_parquet(tmp_path / "msft.parquet")
    (tmp_path / "ko.csv.gz").write_bytes(gzip.compress(GOOD.replace("AAPL", "KO").encode()))
    (tmp_path / "notes.txt").write_text("not prices")
    whole = fetch(tmp_path).bars
    assert set(whole["symbol"]) == {"AAPL", "2330.TW", "MSFT", "KO"}
    msft = whole[whole["symbol"] == "MSFT"]
    assert msft["timestamp"].iloc[1] == pd.Timestamp("2025-11-28 18:00Z")
    assert set(fetch(str(tmp_path / "*.parquet")).bars["symbol"]) == {"MSFT"}
    both = [tmp_path / "msft.parquet", tmp_path / "ko.csv.gz"]
    assert set(fetch(both, symbols=("KO",)).bars["symbol"]) == {"KO"}


def test_a_file_without_a_symbol_column_is_named_by_the_file_or_the_option(
    tmp_path: Path,
) -> None:
    text = "date,open,high,low,close,volume\n2025-11-26,1,2,1,2,3\n"
    written(tmp_path, text, "tsla.csv")
    assert fetch(tmp_path / "tsla.csv").bars["symbol"].tolist() == ["TSLA"]
    assert fetch(tmp_path / "tsla.csv", symbol="0050.TW").bars["symbol"].tolist() == ["0050.TW"]


def test_a_ticker_of_digits_keeps_its_zeros(tmp_path: Path) -> None:
    file = written(tmp_path, "date,Symbol,open,high,low,close,volume\n2025-11-26,0050,1,2,1,2,3\n")
    assert fetch(file).bars["symbol"].tolist() == ["0050"]


def test_dates_cut_and_unknown_symbols_are_named(tmp_path: Path) -> None:
    source = open_source("files", Settings(), path=written(tmp_path, GOOD))
    assert len(source.fetch(["AAPL"], date(2025, 11, 27), None, "1d").bars) == 2
    with pytest.raises(UnknownSymbol, match=r"TSLA not among 2330\.TW, AAPL"):
        source.fetch(["AAPL", "TSLA"], None, None, "1d")
    with pytest.raises(SourceUnavailable, match="none from 2026-01-01"):
        source.fetch([], date(2026, 1, 1), None, "1d")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an answer must hold bars"),
        ("date,symbol,open,high,low,close,volume\n", "only a header"),
        ("date,symbol,open,high,low\n2025-11-26,A,1,2,1\n", "lacks close, volume"),
        (GOOD.replace("Ticker", "Close "), "one close column"),
        (GOOD.replace(",102,99", ",1O2,99"), r"row 2, column High: '1O2'"),
        (GOOD.replace("1100", '"1,100"'), r"row 3, column Volume: '1,100'"),
        (GOOD.replace("2025-12-01", "12/01/2025"), r"row 4, column Date: '12/01/2025'"),
        (GOOD.replace("2025-12-01", "2025-12-01T00:00:00Z"), "must all carry a time zone"),
        (GOOD.replace("101,1000", "101,1000,1,2,3"), "as many columns as the header"),
    ],
    ids=[
        "empty",
        "header only",
        "missing columns",
        "two close columns",
        "letter in a number",
        "thousands separator",
        "American date",
        "zone on some",
        "ragged row",
    ],
)
def test_what_is_wrong_is_named_by_file_row_and_column(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InvalidPrices, match=said) as caught:
        fetch(written(tmp_path, text))
    assert "prices.csv" in str(caught.value)


def test_another_date_format_can_be_named(tmp_path: Path) -> None:
    text = GOOD.replace("2025-11-26", "26/11/2025").replace("2025-11-28", "28/11/2025")
    file = written(tmp_path, text.replace("2025-12-01", "01/12/2025"))
    got = fetch(file, date_format="%d/%m/%Y").bars
    assert got["session"].max() == pd.Timestamp("2025-12-01")


def test_bytes_that_are_no_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00date")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 not really")
    for name in ("a.csv", "b.parquet"):
        with pytest.raises(InvalidPrices, match=name):
            fetch(tmp_path / name)


def test_an_empty_cell_is_left_to_the_judge(tmp_path: Path) -> None:
    fetched = fetch(written(tmp_path, GOOD.replace("101,103,100", "101,,100")))
    assert judge(fetched.bars, now=NOW).faults == {"missing_value": 1}


HOURLY = """\
time,symbol,open,high,low,close,volume
2025-11-28 09:30,AAPL,1,2,1,2,3
2025-11-28 12:30,AAPL,1,2,1,2,3
"""


def test_intraday_times_without_a_zone_need_one(tmp_path: Path) -> None:
    file = written(tmp_path, HOURLY)
    with pytest.raises(InvalidPrices, match="timezone=America/New_York"):
        fetch(file, "1h")
    bars = fetch(file, "1h", timezone="America/New_York").bars
    assert bars["timestamp"].dt.strftime("%H:%M").tolist() == ["15:30", "18:00"]  # a half day
    with pytest.raises(InvalidSettings, match="IANA"):
        fetch(file, "1h", timezone="Mars/Olympus")


def test_an_hour_that_exists_twice_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, HOURLY.replace("2025-11-28 09:30", "2025-11-02 01:30"))
    with pytest.raises(InvalidPrices, match="exist once"):
        fetch(file, "1h", timezone="America/New_York")


def test_times_with_offsets_and_times_of_a_bars_end_are_understood(tmp_path: Path) -> None:
    zoned = HOURLY.replace("09:30", "09:30-05:00").replace("12:30", "12:30-05:00")
    file = written(tmp_path, zoned)
    assert fetch(file, "1h").bars["timestamp"].dt.hour.tolist() == [15, 18]
    ended = fetch(file, "1h", stamp="end").bars
    assert ended["timestamp"].dt.strftime("%H:%M").tolist() == ["14:30", "17:30"]
    with pytest.raises(InvalidSettings, match="start or end"):
        fetch(file, "1h", stamp="middle")


def test_a_path_with_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="none at"):
        fetch(tmp_path / "nothing.csv")
    with pytest.raises(InvalidSettings, match="takes the options: path"):
        open_source("files", Settings())
