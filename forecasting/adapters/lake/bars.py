"""Bars on their way into and out of the lake: what is new, what was restated, and Parquet."""

import hashlib
from io import BytesIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecasting.adapters.lake.snapshot import Origin, content_digest
from forecasting.arrays import Codes
from forecasting.errors import InvalidPrices
from forecasting.instants import nanoseconds
from forecasting.prices.quality.catalogue import FAULTS, FEW_BARS, QUARANTINE_COLUMNS, ROUNDING
from forecasting.schema import ACTIONS, OHLC, OHLCV, PRICE_COLUMNS, SESSION, SYMBOL, TIMESTAMP

RESTATED_SHARE = 0.05
"""Share of a symbol's held bars whose prices a provider may restate; more is another history."""

_NUMBERS = (*OHLCV, *ACTIONS)
_PRICES = [_NUMBERS.index(name) for name in (*OHLC, "split")]
_ACTIONS = [_NUMBERS.index(name) for name in ACTIONS]


def snapshot_id(prices: pd.DataFrame, origin: Origin) -> str:
    """First 16 hex digits of the SHA-256 over the bars and where they are from."""
    return hashlib.sha256(f"{origin};{content_digest(prices)}".encode()).hexdigest()[:16]


def in_order(prices: pd.DataFrame) -> pd.DataFrame:
    """Bars by symbol, then time, in the contract's columns."""
    codes, _ = pd.factorize(prices[SYMBOL].to_numpy(), sort=True)
    times = nanoseconds(prices[TIMESTAMP])
    columns = prices[list(PRICE_COLUMNS)]
    same, later = codes[1:] == codes[:-1], times[1:] > times[:-1]
    if np.where(same, later, codes[1:] > codes[:-1]).all():
        return columns.reset_index(drop=True)
    return columns.take(np.lexsort((times, codes))).reset_index(drop=True)


def new_and_restated(
    stored: pd.DataFrame, fetched: pd.DataFrame, interval: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part fetched bars into those not held yet and those held with other values.

    Args:
        stored: bars of the lake, unique per symbol and close (and session if daily).
        fetched: bars just fetched, unique likewise.
        interval: daily bars are recognised by their session, others by their close.

    Returns:
        New bars, and restated ones as quarantine rows (`faults.QUARANTINE_COLUMNS`).

    Raises:
        InvalidPrices: so many bars of a symbol were restated that it is another history.
    """
    if stored.equals(fetched):
        return fetched.iloc[:0], pd.DataFrame(columns=list(QUARANTINE_COLUMNS))
    both = pd.concat([stored, fetched], ignore_index=True)
    codes, _ = pd.factorize(both[SYMBOL].to_numpy())
    keys = nanoseconds(both[SESSION if interval == "1d" else TIMESTAMP])
    rows = np.arange(len(both))
    order = np.lexsort((rows, keys, codes))
    met = (codes[order][1:] == codes[order][:-1]) & (keys[order][1:] == keys[order][:-1])
    old, again = order[:-1][met], order[1:][met]
    numbers = both[list(_NUMBERS)].to_numpy(dtype=np.float64)
    times = nanoseconds(both[TIMESTAMP])
    changed = ~np.isclose(numbers[again], numbers[old], rtol=ROUNDING, atol=1e-9)
    moved = times[again] != times[old]
    _refuse_other_history(both[SYMBOL].to_numpy()[again], changed[:, _PRICES].any(axis=1))
    restated = changed.any(axis=1) | moved

    is_new = np.ones(len(both), dtype=bool)
    is_new[: len(stored)] = False
    is_new[again] = False
    quarantine = both.take(again[restated]).reset_index(drop=True)
    of_actions = changed[:, _ACTIONS].any(axis=1) & (
        changed.sum(axis=1) == changed[:, _ACTIONS].sum(axis=1)
    )
    names = np.where(of_actions & ~moved, "restated_dividend", "restated_bar")[restated]
    quarantine["fault"] = pd.Series(names, dtype=object)
    quarantine["detail"] = pd.Series(
        [
            _difference(numbers[before], numbers[after], flags)
            for before, after, flags in zip(
                old[restated], again[restated], changed[restated], strict=True
            )
        ],
        dtype=object,
    )
    quarantine["row"] = again[restated] - len(stored)
    return both[is_new].reset_index(drop=True), quarantine


def not_among(bars: pd.DataFrame, others: pd.DataFrame, interval: str) -> pd.DataFrame:
    """Bars of which `others` hold no bar of the same symbol and session (close, if intraday)."""
    key = [SYMBOL, SESSION if interval == "1d" else TIMESTAMP]
    there = pd.MultiIndex.from_frame(bars[key]).isin(pd.MultiIndex.from_frame(others[key]))
    return bars[~there].reset_index(drop=True)


def new_faults(known: pd.DataFrame, others: list[pd.DataFrame]) -> pd.DataFrame:
    """Quarantine rows that were not met before; the place in their frame does not matter."""
    frames = [frame for frame in (known, *others) if not frame.empty]
    if not frames:
        return pd.DataFrame(columns=list(QUARANTINE_COLUMNS))
    rows = pd.concat(frames, ignore_index=True)
    same = [*PRICE_COLUMNS, "fault"]
    repeated = rows.duplicated(subset=same).to_numpy()
    repeated[: len(known)] = True
    return rows[~repeated].reset_index(drop=True)


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Parquet bytes of bars or quarantine rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    written = BytesIO()
    pq.write_table(table, written, compression="zstd", use_dictionary=[SYMBOL])
    return written.getvalue()


def from_parquet(data: bytes) -> pd.DataFrame | None:
    """Bars or quarantine rows from Parquet bytes, or None when they are damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame: pd.DataFrame = pq.read_table(pa.BufferReader(data)).to_pandas()
    except (pa.ArrowException, OSError, ValueError):
        return None
    return frame


def _refuse_other_history(symbols: NDArray[np.object_], repriced: NDArray[np.bool_]) -> None:
    codes, names = pd.factorize(symbols)
    bars = np.bincount(codes, minlength=len(names))
    changes = np.bincount(codes[repriced], minlength=len(names))
    rewritten = np.flatnonzero(changes > np.maximum(FEW_BARS, RESTATED_SHARE * bars))
    if len(rewritten):
        listed = ", ".join(f"{names[i]} {changes[i]} of {bars[i]}" for i in rewritten[:5])
        raise InvalidPrices(
            f"a provider must not rewrite more than {RESTATED_SHARE:.0%} of a symbol's history; "
            + FAULTS["restated_bar"].rule,
            f"bars with other prices than those held: {listed}",
            "If the new history is the right one, fetch it into another data set",
        )


def _difference(before: NDArray[np.float64], after: NDArray[np.float64], at: Codes) -> str:
    pairs = zip(_NUMBERS, before, after, at, strict=True)
    listed = [
        FAULTS["restated_bar"].message.format(column=name, before=f"{was:g}", after=f"{now:g}")
        for name, was, now, differs in pairs
        if differs
    ]
    return ", ".join(listed) or "closes at another time than the bar held"
