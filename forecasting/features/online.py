"""Online features: the last rows of every symbol that a model server forecasts from, as one file.

The predictor loads it, so it is numpy only, and nothing in it can be executed: an .npz of plain
arrays whose bytes depend on the content alone, so that equal content has an equal SHA-256.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.clock import DataClock
from forecasting.errors import (
    InvalidRequest,
    InvalidSettings,
    ShortHistory,
    SnapshotCorrupted,
    UnknownSymbol,
)
from forecasting.features.spec import FeatureSpec
from forecasting.instants import to_datetime, to_nanoseconds
from forecasting.npz import read_arrays, write_arrays
from forecasting.schema import MAX_HORIZON, MOST_HORIZON

if TYPE_CHECKING:
    from forecasting.features.build import FeatureTable

KEEP: Final = 90
"""Usable rows kept of each symbol, so that a forecast "as of" an earlier bar can be answered."""

_FORMAT: Final = "bellwether-served/1"
_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "header": np.dtype("|u1"),
    "offsets": np.dtype("<i8"),
    "timestamps": np.dtype("<i8"),
    "values": np.dtype("<f4"),
    "close": np.dtype("<f8"),
    "scale": np.dtype("<f8"),
    "bars_held": np.dtype("<i8"),
    "target_times": np.dtype("<i8"),
}
_TEXTS: Final = ("spec_digest", "snapshot_id", "dataset", "source", "interval")
_FLAGS: Final = ("replay", "synthetic")
_TIMES: Final = ("fetched_at", "last_bar", "created_at")


@dataclass(frozen=True, eq=False)
class ServedFeatures:
    """The last usable rows of every symbol, with what is needed to answer from them.

    S symbols, r rows in all, k features, T bars ahead whose closes are told, 1 to MOST_HORIZON.
    Arrays of a loaded file are read-only.

    Attributes:
        spec: `FeatureSpec.to_dict()`.
        spec_digest: `FeatureSpec.digest`.
        snapshot_id: the price snapshot the rows were made from.
        dataset, source, interval: of that snapshot.
        replay, synthetic: whether prices are historical and replayed; whether they are made up.
        fetched_at, last_bar, created_at: aware UTC; last_bar is the newest kept row's close.
        symbols: names, in the order of `offsets`.
        offsets: first row of each symbol, and r: int64 [S + 1]. A symbol with too short a
            history has no rows.
        timestamps: closes of the bars, int64 ns since 1970 UTC [r], rising within a symbol.
        values: float32 [r, k].
        close: raw closes, float64 [r].
        scale: volatility per bar, float64 [r].
        bars_held: bars behind each symbol's features, int64 [S].
        target_times: closes of the T bars that follow each symbol's last row, int64 ns [S, T];
            zeros for a symbol without rows.
        fallback: who stood in because the price source failed, a sentence; "" when nobody did.
    """

    spec: dict[str, Any]
    spec_digest: str
    snapshot_id: str
    dataset: str
    source: str
    interval: str
    replay: bool
    synthetic: bool
    fetched_at: datetime
    last_bar: datetime
    created_at: datetime
    symbols: tuple[str, ...]
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float32]
    close: NDArray[np.float64]
    scale: NDArray[np.float64]
    bars_held: NDArray[np.int64]
    target_times: NDArray[np.int64]
    fallback: str = ""

    @property
    def bars_ahead(self) -> int:
        """T, the bars ahead whose closes are told."""
        return int(self.target_times.shape[1])

    @property
    def clock(self) -> DataClock:
        """What time it is for these data."""
        return DataClock(self.fetched_at, self.last_bar, self.replay)

    @cached_property
    def id(self) -> str:
        """SHA-256 of the bytes, hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @cached_property
    def index(self) -> dict[str, int]:
        """Place of every symbol in `symbols`."""
        return {symbol: place for place, symbol in enumerate(self.symbols)}

    def last_row(self, symbol: str) -> int:
        """Row of the symbol's newest features.

        Raises:
            UnknownSymbol: the symbol is not served.
            ShortHistory: it is, but has too few bars for a row.
        """
        start, stop = self._span(symbol)
        if start == stop:
            raise ShortHistory(
                f"{symbol} has too few bars for a forecast",
                f"{int(self.bars_held[self.index[symbol]])} bars",
                "Ingest a longer history",
            )
        return stop - 1

    def row_at(self, symbol: str, instant: int) -> int:
        """Row of what was known of the symbol at an instant: the last bar closed by then.

        Args:
            symbol: a served symbol.
            instant: int64 ns since 1970 UTC.

        Raises:
            UnknownSymbol: the symbol is not served.
            ShortHistory: it is, but has too few bars for a row.
            InvalidRequest: the instant lies before the oldest kept row.
        """
        last = self.last_row(symbol)
        start, stop = self._span(symbol)
        row = start - 1 + int(self.timestamps[start:stop].searchsorted(instant, side="right"))
        if row < start:
            raise InvalidRequest(
                f"as_of must not lie before the oldest row kept of {symbol}",
                f"{to_datetime(instant).isoformat()} is before {to_datetime(int(self.timestamps[start])).isoformat()}",
                f"{last - start + 1} bars are kept, the newest of {to_datetime(self.timestamps[last]).isoformat()}",
            )
        return row

    def target_times_at(self, symbol: str, row: int) -> NDArray[np.int64]:
        """Closes of the T bars that follow a row of the symbol, int64 ns [T].

        Those that have closed by now are the kept rows' own.
        """
        _, stop = self._span(symbol)
        ahead = self.target_times[self.index[symbol]]
        return np.concatenate((self.timestamps[row + 1 : stop], ahead))[: self.bars_ahead]

    def to_bytes(self) -> bytes:
        """The .npz file; equal content gives equal bytes."""
        header = {
            "format": _FORMAT,
            "spec": self.spec,
            "symbols": list(self.symbols),
            **{name: getattr(self, name) for name in (*_TEXTS, *_FLAGS)},
            **{name: getattr(self, name).astimezone(UTC).isoformat() for name in _TIMES},
        }
        if self.fallback:
            header["fallback"] = self.fallback
        text = json.dumps(header, sort_keys=True, separators=(",", ":"))
        arrays: dict[str, NDArray[Any]] = {"header": np.frombuffer(text.encode(), dtype=np.uint8)}
        arrays |= {name: getattr(self, name) for name in _DTYPES if name != "header"}
        return write_arrays(arrays, _DTYPES)

    @classmethod
    def from_bytes(cls, data: bytes, *, expected_id: str | None = None) -> "ServedFeatures":
        """Read and check what `to_bytes` wrote.

        Args:
            data: the whole file.
            expected_id: SHA-256 the bytes must have, hex.

        Raises:
            SnapshotCorrupted: the digest differs, or anything in the file is damaged, missing,
                extra, of another shape or type, or out of order.
        """
        digest = hashlib.sha256(data).hexdigest()
        if expected_id is not None and digest != expected_id:
            raise _corrupted(f"SHA-256 {digest}, expected {expected_id}")
        try:
            arrays: dict[str, Any] = dict(read_arrays(data, _DTYPES))
            header = json.loads(arrays.pop("header").tobytes())
            served = cls(**_read_header(header), **arrays)
            spec = FeatureSpec.from_dict(served.spec)
        except (ValueError, TypeError, RecursionError, InvalidSettings) as error:
            raise _corrupted(str(error)) from error
        if (served.spec_digest, served.values.shape[1:]) != (spec.digest, (len(spec.names),)):
            raise _corrupted("features are not those of the specification beside them")
        fault = served._shape_fault() or served._content_fault()
        if fault:
            raise _corrupted(fault)
        # The content is sound; now every remaining byte of the container must be, too.
        if served.to_bytes() != data:
            raise _corrupted("bytes outside the arrays differ from what was written")
        return served

    def _span(self, symbol: str) -> tuple[int, int]:
        place = self.index.get(symbol)
        if place is None:
            raise UnknownSymbol(
                "a forecast needs a symbol the server has prices of",
                f"{symbol!r} is not among its {len(self.symbols)}",
                "Ask for a served symbol, or send your own bars",
            )
        return int(self.offsets[place]), int(self.offsets[place + 1])

    def _shape_fault(self) -> str:
        """The first array whose shape does not fit the others, or nothing."""
        count, rows = len(self.symbols), len(self.timestamps)
        shapes: dict[str, tuple[int, ...]] = {
            "offsets": (count + 1,),
            "timestamps": (rows,),
            "values": (rows, *self.values.shape[1:2]),
            "close": (rows,),
            "scale": (rows,),
            "bars_held": (count,),
            "target_times": (count, *self.target_times.shape[1:2]),
        }
        for name, shape in shapes.items():
            actual = getattr(self, name).shape
            if actual != shape or actual[0] == 0:
                return f"{name} has the shape {actual}, expected {shape}"
        if not 1 <= self.bars_ahead <= MOST_HORIZON:
            return f"target_times tells {self.bars_ahead} bars ahead, not 1 to {MOST_HORIZON}"
        starts = self.offsets
        if starts[0] != 0 or starts[-1] != rows or (np.diff(starts) < 0).any():
            return "offsets do not divide the rows"
        return ""

    def _content_fault(self) -> str:
        """The first rule that the numbers break, or nothing."""
        filled = np.diff(self.offsets) > 0
        same = np.ones(len(self.timestamps), dtype=np.bool_)
        same[self.offsets[:-1][filled]] = False
        newest = self.timestamps[self.offsets[1:][filled] - 1]
        ahead = np.column_stack((newest, self.target_times[filled]))
        numbers = (self.values, self.close, self.scale)
        rules = {
            "a symbol stands twice": len(self.index) == len(self.symbols),
            "timestamps do not rise": (np.diff(self.timestamps)[same[1:]] > 0).all(),
            "target times do not follow the last row": (np.diff(ahead, axis=1) > 0).all(),
            "a number is not finite": all(np.isfinite(part).all() for part in numbers),
            "a close is not positive": (self.close > 0).all(),
            "a scale is not positive": (self.scale > 0).all(),
            "last_bar is not the newest row": to_datetime(newest.max()) == self.last_bar,
        }
        return next((fault for fault, holds in rules.items() if not holds), "")


def serve_features(
    table: "FeatureTable",
    spec: FeatureSpec,
    *,
    snapshot_id: str,
    dataset: str,
    source: str,
    replay: bool,
    synthetic: bool,
    fetched_at: datetime,
    created_at: datetime,
    horizon_times: Callable[[str, datetime], Sequence[datetime]],
    fallback: str = "",
    keep: int = KEEP,
) -> ServedFeatures:
    """Keep the last usable rows of every symbol for the model server.

    Args:
        table: features of the whole panel, made with `spec`.
        spec: the specification.
        snapshot_id: the price snapshot the table was made from.
        dataset: of that snapshot.
        source: of that snapshot.
        replay: whether its prices are historical and replayed.
        synthetic: whether its prices are made up.
        fetched_at: when its prices were fetched, aware.
        created_at: now, aware UTC.
        horizon_times: (symbol, close of its last usable bar) to the closes of the MAX_HORIZON
            bars that follow, aware; `forecasting.prices.calendar.horizon_times` with the interval bound.
        fallback: who stood in because the price source failed, a sentence, or "".
        keep: rows kept of each symbol.

    Raises:
        ShortHistory: no symbol has a usable row.
    """
    symbols = len(table.symbols)
    rows = np.flatnonzero(table.usable)
    if rows.size == 0:
        raise ShortHistory(
            f"a forecast needs {spec.warmup_bars} bars of a symbol, and prices that move",
            f"none of {symbols} symbols has a usable row",
            "Ingest a longer history",
        )
    codes = table.codes[rows]
    counts = np.bincount(codes, minlength=symbols)
    stops = np.cumsum(counts)
    rows = rows[np.arange(rows.size) >= (stops - keep)[codes]]
    rows_of_symbol = np.minimum(counts, keep)
    offsets = np.concatenate(([0], np.cumsum(rows_of_symbol))).astype(np.int64)
    timestamps = table.timestamps[rows]
    ahead = np.zeros((symbols, MAX_HORIZON), dtype=np.int64)
    for place in np.flatnonzero(rows_of_symbol).tolist():
        last = to_datetime(timestamps[offsets[place + 1] - 1])
        times = list(horizon_times(table.symbols[place], last))[:MAX_HORIZON]
        ahead[place] = [to_nanoseconds(time) for time in times]
    return ServedFeatures(
        spec=spec.to_dict(),
        spec_digest=spec.digest,
        snapshot_id=snapshot_id,
        dataset=dataset,
        source=source,
        interval=spec.interval,
        replay=replay,
        synthetic=synthetic,
        fetched_at=fetched_at,
        last_bar=to_datetime(timestamps.max()),
        created_at=created_at,
        symbols=table.symbols,
        offsets=offsets,
        timestamps=timestamps,
        values=table.values[rows],
        close=table.close[rows],
        scale=table.scale[rows],
        bars_held=np.bincount(table.codes, minlength=symbols).astype(np.int64),
        target_times=ahead,
        fallback=fallback,
    )


def _read_header(header: Any) -> dict[str, Any]:
    """The header's fields, each of the type it must have."""
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ValueError(f"the header is not that of {_FORMAT}")
    expected: dict[str, type] = {"spec": dict, "symbols": list, "format": str}
    expected |= dict.fromkeys((*_TEXTS, *_TIMES), str)
    expected |= dict.fromkeys(_FLAGS, bool)
    if isinstance(header.get("fallback"), str):
        expected["fallback"] = str
    if set(header) != set(expected):
        raise ValueError(f"the header differs in {sorted(set(header) ^ set(expected))}")
    for name, kind in expected.items():
        if not isinstance(header[name], kind):
            raise TypeError(f"{name} is not a {kind.__name__}")
    if not all(isinstance(symbol, str) for symbol in header["symbols"]):
        raise TypeError("a symbol is not a text")
    times = {name: datetime.fromisoformat(header[name]) for name in _TIMES}
    if any(time.tzinfo is None for time in times.values()):
        raise ValueError("a time has no zone")
    read = {name: header[name] for name in ("spec", *_TEXTS, *_FLAGS)}
    read["fallback"] = header.get("fallback", "")
    return {**read, **times, "symbols": tuple(header["symbols"])}


def _corrupted(found: str) -> SnapshotCorrupted:
    return SnapshotCorrupted(
        "served features must be what was published", found, "Publish them anew: run refresh"
    )
