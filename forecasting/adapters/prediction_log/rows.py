"""Rows of the prediction log: as the server offers them, as the table holds them, as they read back.

Instants are stored as unix milliseconds (BIGINT) and come back as aware UTC datetimes; the lists
per horizon are JSON text, of seven significant digits: the log is most of what the server writes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from random import getrandbits
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid5

import numpy as np
import orjson
from numpy.typing import NDArray

from forecasting.instants import from_milliseconds, to_nanoseconds

if TYPE_CHECKING:
    from sqlalchemy import RowMapping, Table


REFRESH: Final = "refresh"
"""Protocol of a forecast that a refresh logged: nobody asked for it."""

_OF_REFRESHES: Final = UUID("5b1f3b56-6c0b-4b7e-9b55-6a4a0f0c6d31")


class Answered(NamedTuple):
    """One answer as the server offers it: n symbols, h horizons. Arrays are not copied.

    Attributes:
        request_id: the caller's id, or "".
        symbols: [n].
        as_of: [n] close of the last bar used, unix milliseconds.
        made_at: unix seconds.
        model_version, model_kind: what answered.
        last_close: [n].
        quantiles: [n, h, 5] prices.
        target_times: [n, h] unix milliseconds.
        probability_of_rise: [n, h].
        signal: [n] buy, hold or sell.
        stale: [n].
        source: name of the price source.
        replay: whether the prices are historical.
        processing_seconds: from the request's last byte to the answer.
        protocol: rest, grpc or refresh.
        own_bars: whether the caller brought the bars.
        renderings: a memory for the rows' JSON, of an answer that is given again; else None.
        gateway_id: the gateway's id of a request, while a version gets copies of requests; else "".
        shadow: whether the request was such a copy.
        calibration: number of the calibration in force; 0 for the one of the version's bundle.
    """

    request_id: str
    symbols: Sequence[str]
    as_of: NDArray[np.int64]
    made_at: float
    model_version: str
    model_kind: str
    last_close: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    target_times: NDArray[np.int64]
    probability_of_rise: NDArray[np.float64]
    signal: Sequence[str]
    stale: NDArray[np.bool_]
    source: str
    replay: bool
    processing_seconds: float
    protocol: str
    own_bars: bool
    renderings: dict[Any, Any] | None = None
    gateway_id: str = ""
    shadow: bool = False
    calibration: int = 0


@dataclass(frozen=True)
class LoggedForecast:
    """One row of the log, read back.

    Attributes:
        id: uuid of the row.
        request_id: the caller's id, or "".
        symbol: what was forecast.
        as_of: close of the last bar known to the forecast.
        made_at: when the answer was given.
        model_version, model_kind: what answered.
        horizon: how many bars ahead.
        last_close: price at `as_of`.
        quantiles: horizon rows of p05 p25 p50 p75 p95, prices.
        target_times: when each horizon's bar closes.
        probability_of_rise: per horizon.
        signal: buy, hold or sell.
        stale: whether the answer said its data were old.
        source: name of the price source.
        replay: whether the prices are historical.
        processing_seconds: from the request's last byte to the answer.
        protocol: rest, grpc or refresh.
        own_bars: whether the caller brought the bars.
        gateway_id: the gateway's id of the request, while a version got copies of requests; else "".
        shadow: whether the request was such a copy, whose answer nobody got.
        calibration: number of the calibration in force; 0 for the one of the version's bundle, and
            in rows of before.
    """

    id: str
    request_id: str
    symbol: str
    as_of: datetime
    made_at: datetime
    model_version: str
    model_kind: str
    horizon: int
    last_close: float
    quantiles: list[list[float]]
    target_times: list[datetime]
    probability_of_rise: list[float]
    signal: str
    stale: bool
    source: str
    replay: bool
    processing_seconds: float
    protocol: str
    own_bars: bool
    gateway_id: str = ""
    shadow: bool = False
    calibration: int = 0


def for_outcomes(forecast: LoggedForecast) -> dict[str, Any]:
    """A logged forecast as `forecasting.live.outcomes.forecast_rows` takes it."""
    as_of = to_nanoseconds(forecast.as_of)
    return {
        "symbol": forecast.symbol,
        "model_version": forecast.model_version,
        "as_of": as_of,
        # Replayed prices end in the past, so every forecast of theirs would be late by the wall
        # clock. Theirs stands at the bar that is forecast from.
        "made_at": as_of if forecast.replay else to_nanoseconds(forecast.made_at),
        "calibration": forecast.calibration,
        "last_close": forecast.last_close,
        "quantiles": forecast.quantiles,
        "target_times": [to_nanoseconds(instant) for instant in forecast.target_times],
    }


@cache
def table() -> "Table":
    """The table, described once."""
    from sqlalchemy import (
        BigInteger,
        Boolean,
        Column,
        Double,
        Integer,
        MetaData,
        String,
        Table,
        Text,
    )

    return Table(
        "predictions",
        MetaData(),
        Column("id", String(36), primary_key=True),
        Column("request_id", String(256), nullable=False),
        Column("symbol", String(64), nullable=False),
        Column("as_of", BigInteger, nullable=False),
        Column("made_at", BigInteger, nullable=False, index=True),
        Column("model_version", String(64), nullable=False),
        Column("model_kind", String(64), nullable=False),
        Column("horizon", Integer, nullable=False),
        Column("last_close", Double, nullable=False),
        Column("first_target", BigInteger, nullable=False),
        Column("quantiles", Text, nullable=False),
        Column("target_times", Text, nullable=False),
        Column("probability_of_rise", Text, nullable=False),
        Column("signal", String(8), nullable=False),
        Column("stale", Boolean, nullable=False),
        Column("source", String(64), nullable=False),
        Column("replay", Boolean, nullable=False),
        Column("processing_seconds", Double, nullable=False),
        Column("protocol", String(8), nullable=False),
        Column("own_bars", Boolean, nullable=False),
        # Added later: nullable, so that an earlier release still writes its rows.
        Column("gateway_id", String(64)),
        Column("shadow", Boolean),
        Column("calibration", Integer),
    )


def rows_of(answer: Answered) -> Iterator[tuple[Any, ...]]:
    """The rows of an answer, in the order of the table's columns."""
    horizon = answer.quantiles.shape[1]
    made_at = int(answer.made_at * 1_000)
    for i, symbol in enumerate(answer.symbols):
        texts = _texts(answer, i)
        yield (
            _refresh_id(answer, i) if answer.protocol == REFRESH else _row_id(made_at),
            answer.request_id,
            symbol,
            int(answer.as_of[i]),
            made_at,
            answer.model_version,
            answer.model_kind,
            horizon,
            float(answer.last_close[i]),
            int(answer.target_times[i, 0]),
            *texts,
            answer.signal[i],
            bool(answer.stale[i]),
            answer.source,
            answer.replay,
            answer.processing_seconds,
            answer.protocol,
            answer.own_bars,
            answer.gateway_id or None,
            answer.shadow or None,
            answer.calibration or None,
        )


def forecast_of(row: "RowMapping") -> LoggedForecast:
    """A row of the table, read back."""
    fields = {key: value for key, value in row.items() if key != "first_target"}
    fields["gateway_id"] = fields["gateway_id"] or ""
    fields["shadow"] = bool(fields["shadow"])
    fields["calibration"] = fields["calibration"] or 0
    fields["as_of"] = from_milliseconds(fields["as_of"])
    fields["made_at"] = from_milliseconds(fields["made_at"])
    fields["quantiles"] = orjson.loads(fields["quantiles"])
    fields["target_times"] = [
        from_milliseconds(milliseconds) for milliseconds in orjson.loads(fields["target_times"])
    ]
    fields["probability_of_rise"] = orjson.loads(fields["probability_of_rise"])
    return LoggedForecast(**fields)


def _texts(answer: Answered, i: int) -> tuple[str, str, str]:
    """Quantiles, target times and probabilities of one symbol as JSON."""
    memory = answer.renderings
    texts: tuple[str, str, str] | None = memory.get(("log", i)) if memory is not None else None
    if texts is None:
        texts = (
            _json(answer.quantiles[i], np.float32),
            _json(answer.target_times[i], np.int64),
            _json(answer.probability_of_rise[i], np.float32),
        )
        if memory is not None:
            memory["log", i] = texts
    return texts


def _json(values: NDArray[Any], dtype: type[np.generic]) -> str:
    plain = np.ascontiguousarray(values, dtype)
    return orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _refresh_id(answer: Answered, i: int) -> str:
    """The same for the same version, symbol, bar and source, so that it is logged once."""
    facts = (answer.model_version, answer.symbols[i], str(int(answer.as_of[i])), answer.source)
    return str(uuid5(_OF_REFRESHES, "\n".join(facts)))


def _row_id(made_at: int) -> str:
    """A version 7 uuid: random, but in the order of time, so that the key's index grows at its end."""
    low = (2 << 62) | getrandbits(62)
    return str(UUID(int=(made_at << 80) | (7 << 76) | (getrandbits(12) << 64) | low))
