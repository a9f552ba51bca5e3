"""Parses a provider's bars into the contract's types; refuses what no row can mend."""

import numpy as np
import pandas as pd

from forecasting.instants import nanoseconds
from forecasting.prices.quality.catalogue import refused
from forecasting.prices.quality.marks import RawBars
from forecasting.schema import ACTIONS, OHLCV, SESSION, SYMBOL, TIMESTAMP


def read_bars(raw: pd.DataFrame) -> RawBars:
    """The bars in the contract's types; cells that cannot be read are marked, not guessed.

    Args:
        raw: bars with the price columns; dividend and split may be absent (0 and 1).

    Raises:
        InvalidPrices: missing_column, empty, naive_time or mixed_time_zone.
    """
    needed = (SYMBOL, TIMESTAMP, SESSION, *OHLCV)
    missing = [column for column in needed if column not in raw.columns]
    if missing:
        raise refused(
            "missing_column",
            "Rename your columns, or read the prices through a PriceSource",
            columns=", ".join(missing),
            others=", ".join(map(str, raw.columns)),
        )
    if raw.empty:
        raise refused("empty", "Check the symbols and dates asked for")
    absent = raw[SYMBOL].isna().to_numpy() | (raw[SYMBOL].astype(object) == "").to_numpy()
    symbols = raw[SYMBOL].astype(object).where(~absent, "")
    if pd.api.types.infer_dtype(symbols) != "string":
        symbols = symbols.astype(str).astype(object)
    times = _instants(raw[TIMESTAMP])
    sessions = pd.DatetimeIndex(pd.to_datetime(raw[SESSION], errors="coerce"))
    sessions = sessions.tz_localize(None).normalize().as_unit("ns")
    columns: dict[str, object] = {SYMBOL: symbols.to_numpy(), TIMESTAMP: times, SESSION: sessions}
    placed = ~absent & np.asarray(times.notna()) & np.asarray(sessions.notna())
    unread = ~placed
    for column in (*OHLCV, *ACTIONS):
        if column in raw.columns:
            values = pd.to_numeric(raw[column], errors="coerce").to_numpy(dtype=np.float64)
        else:
            values = np.full(len(raw), 1.0 if column == "split" else 0.0)
        columns[column] = values
        unread |= np.isnan(values)
    frame = pd.DataFrame(columns)
    codes, names = pd.factorize(frame[SYMBOL].to_numpy(), sort=True)
    return RawBars(
        frame=frame,
        unread=unread,
        placed=placed,
        numbers=frame[[*OHLCV, *ACTIONS]].to_numpy(dtype=np.float64),
        codes=codes,
        names=tuple(str(name) for name in names),
        times=nanoseconds(times),
        days=nanoseconds(sessions),
    )


def _instants(stamps: "pd.Series[pd.Timestamp]") -> pd.DatetimeIndex:
    """Aware UTC instants; refuses stamps without a zone and stamps of several."""
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(stamps).tz_convert("UTC").as_unit("ns")
    zones: set[str | None] = {None}
    if stamps.dtype == object:
        present = [stamp for stamp in stamps if not pd.isna(stamp)]
        zones = {str(stamp.tzinfo) if getattr(stamp, "tzinfo", None) else None for stamp in present}
    if None in zones:
        raise refused(
            "naive_time",
            "Localise them to the exchange's zone; see forecasting.prices.calendar.session_closes",
            how_many="some" if len(zones) > 1 else "they",
            dtype=stamps.dtype,
        )
    if len(zones) > 1:
        raise refused(
            "mixed_time_zone",
            "Convert all of them to UTC",
            zones=", ".join(sorted(str(zone) for zone in zones)),
        )
    return pd.DatetimeIndex(pd.to_datetime(stamps, utc=True)).as_unit("ns")
