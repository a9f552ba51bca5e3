"""Answers a forecast request: looks the rows up, runs the model, makes quantiles and signals."""

import math
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from forecasting.bundle.bundle import Bundle
from forecasting.errors import (
    BellwetherError,
    InvalidPrices,
    InvalidRequest,
    ShortHistory,
    StaleData,
    UnknownSymbol,
)
from forecasting.features.build import features_of_bars
from forecasting.inference_protocol.tensors import Array, Tensor
from forecasting.instants import MILLISECOND, SECOND, second_text
from serving.caller_bars import check_bars, import_indicators, next_closes
from serving.request import ForecastRequest
from serving.state import AgeLimits, Features, Version, refuse_if_old

CACHED_BARS: Final = 4_096 * 30
"""Bars ahead that the answers in a version's cache may have together, each counted as the longest;
about 4 kB for 30 of them."""


_OF_A_SYMBOL: Final = (UnknownSymbol, ShortHistory, StaleData, InvalidRequest)
"""Errors that may concern one symbol of a batch alone; the last by an 'as_of' before its bars."""


class Origin(NamedTuple):
    """Where n forecasts start from.

    Attributes:
        x: features float32 [n, k].
        scale, close: float64 [n].
        as_of: closes of the last bars, unix milliseconds [n].
        targets: closes of the bars ahead, unix milliseconds [n, T], T at least the horizon.
        stale: bool [n].
    """

    x: NDArray[np.float32]
    scale: NDArray[np.float64]
    close: NDArray[np.float64]
    as_of: NDArray[np.int64]
    targets: NDArray[np.int64]
    stale: NDArray[np.bool_]


class Refusal(NamedTuple):
    """A symbol of a batch that cannot be answered, and why."""

    symbol: str
    error: BellwetherError


class Answer(NamedTuple):
    """Forecasts of n symbols, h horizons.

    Attributes:
        symbols: [n].
        origin: where they start from.
        quantiles: prices [n, h, 5].
        targets: closes of the bars ahead, unix milliseconds [n, h].
        rise: probability of a rise [n, h].
        signals: [n].
        moves: median less last close at the signal's horizon [n], or at the last one asked for.
        baseline: the random walk's price quantiles [n, h, 5], or None.
        renderings: its encodings for the wire and the log, if it is cached; else None.
        refused: symbols asked for beside these that could not be answered.
    """

    symbols: list[str]
    origin: Origin
    quantiles: NDArray[np.float64]
    targets: NDArray[np.int64]
    rise: NDArray[np.float64]
    signals: list[str]
    moves: NDArray[np.float64]
    baseline: NDArray[np.float64] | None
    renderings: dict[Any, Any] | None = None
    refused: tuple[Refusal, ...] = ()

    def tensors(self, names: tuple[str, ...]) -> list[Tensor]:
        """The named outputs, as tensors."""
        n, horizon, levels = self.quantiles.shape
        every: dict[str, tuple[str, tuple[int, ...], Array | list[str] | None]] = {
            "symbol": ("BYTES", (n,), self.symbols),
            "quantiles": ("FP64", (n, horizon, levels), self.quantiles),
            "target_time": ("INT64", (n, horizon), self.targets),
            "probability_of_rise": ("FP64", (n, horizon), self.rise),
            "signal": ("BYTES", (n,), self.signals),
            "last_close": ("FP64", (n,), self.origin.close),
            "as_of": ("INT64", (n,), self.origin.as_of),
            "stale": ("BOOL", (n,), self.origin.stale),
            "baseline": ("FP64", (n, horizon, levels), self.baseline),
        }
        return [Tensor(name, *every[name]) for name in names]  # type: ignore[arg-type]


def cached_answer(
    request: ForecastRequest, version: Version, limits: AgeLimits, wall: float
) -> Answer:
    """The answer for one symbol's newest row, computed once per version, horizon and staleness.

    A forecast depends on the version and its features alone, so computing it again for every
    caller would give the same numbers. Arguments and errors as in `answer`.
    """
    bundle, features = version.fitted()
    symbol = request.symbols[0]
    refuse_if_old(features.age_from, limits, wall, "the newest bar")
    newest = features.find(symbol)
    refuse_if_old(newest.age_from, limits, wall, f"that of {symbol}")
    key = (symbol, request.horizon, wall - newest.age_from > limits.stale_after)
    cached: Answer | None = version.answers.get(key)
    if cached is None:
        if (len(version.answers) + 1) * bundle.max_horizon > CACHED_BARS:
            version.answers.clear()
        cached = answer(request, version, limits, wall, baseline=False)._replace(renderings={})
        version.answers[key] = cached
    return cached


def answer(
    request: ForecastRequest, version: Version, limits: AgeLimits, wall: float, *, baseline: bool
) -> Answer:
    """Answer a request from one version.

    Args:
        request: the request.
        version: what answers.
        limits: how old the last bar may be.
        wall: now, unix seconds.
        baseline: whether to add the random walk's quantiles.

    Raises:
        NotReady: the version has no verified bundle or no features.
        StaleData: the last bar is past the second limit.
        UnknownSymbol, ShortHistory, InvalidPrices, InvalidRequest: the request cannot be answered.
            Of several symbols those are answered that can be, unless the request wants all or
            nothing; errors of symbols are raised when none can be.
    """
    bundle, _ = version.fitted()
    refused: tuple[Refusal, ...] = ()
    try:
        origin = _origin(request, version, limits, wall)
    except _OF_A_SYMBOL:
        if len(request.symbols) == 1 or request.all_or_nothing:
            raise
        request, refused = answerable(request, version, limits, wall)
        origin = _origin(request, version, limits, wall)
    horizon = request.horizon
    scale, close = origin.scale, origin.close
    forecast = bundle.forecast(origin.x, scale, close, horizon)
    quantiles = forecast.quantiles
    if not math.isfinite(quantiles.sum()):
        raise InvalidPrices(
            "prices must lead to finite forecasts",
            f"volatility per bar up to {scale.max():g}",
            "Check the bars for jumps",
        )
    median = quantiles[:, min(horizon, bundle.signal.horizon) - 1, len(bundle.levels) // 2]
    return Answer(
        symbols=request.symbols,
        origin=origin,
        quantiles=quantiles,
        targets=np.ascontiguousarray(origin.targets[:, :horizon]),  # as JSON is written from
        rise=forecast.probability_of_rise,
        signals=forecast.signals,
        moves=median - close,
        baseline=bundle.baseline_prices(scale, close, horizon) if baseline else None,
        refused=refused,
    )


def _origin(request: ForecastRequest, version: Version, limits: AgeLimits, wall: float) -> Origin:
    bundle, features = version.fitted()
    if request.bars is not None:
        return caller_origin(request, bundle, limits, wall)
    if request.as_of is not None:
        return past_origin(request, features, limits, wall)
    return newest_origin(request.symbols, features, limits, wall)


def answerable(
    request: ForecastRequest, version: Version, limits: AgeLimits, wall: float
) -> tuple[ForecastRequest, tuple[Refusal, ...]]:
    """A batch without the symbols that cannot be answered, and what is wrong with these.

    Raises:
        UnknownSymbol, ShortHistory, StaleData, InvalidRequest: the first symbol's error, when none
            is left.
    """
    kept, refused = [], []
    for symbol in request.symbols:
        try:
            _origin(request._replace(symbols=[symbol]), version, limits, wall)
        except _OF_A_SYMBOL as error:
            refused.append(Refusal(symbol, error))
        else:
            kept.append(symbol)
    if not kept:
        raise refused[0].error
    return request._replace(symbols=kept), tuple(refused)


def refusals(refused: tuple[Refusal, ...]) -> str:
    """As an answer's parameter tells them: a JSON list of symbol, status, kind and error.

    A parameter of the protocol holds text, a number, true or false, and no list.
    """
    rows = [
        {
            "symbol": symbol,
            "status": error.status,
            "kind": type(error).__name__,
            "error": str(error),
        }
        for symbol, error in refused
    ]
    return orjson.dumps(rows).decode()


def newest_origin(symbols: list[str], features: Features, limits: AgeLimits, wall: float) -> Origin:
    """The newest rows of symbols the server holds."""
    served = features.served
    refuse_if_old(features.age_from, limits, wall, "the newest bar")
    if len(symbols) == 1:
        newest = features.find(symbols[0])
        refuse_if_old(newest.age_from, limits, wall, f"that of {symbols[0]}")
        row = slice(newest.row, newest.row + 1)
        stale = np.array([wall - newest.age_from > limits.stale_after])
        return Origin(
            served.values[row],
            served.scale[row],
            served.close[row],
            newest.as_of,
            newest.targets,
            stale,
        )
    newest_rows = [features.find(symbol) for symbol in symbols]
    oldest = min(range(len(symbols)), key=lambda place: newest_rows[place].age_from)
    refuse_if_old(newest_rows[oldest].age_from, limits, wall, f"that of {symbols[oldest]}")
    rows = np.array([newest.row for newest in newest_rows])
    age_from = np.array([newest.age_from for newest in newest_rows])
    return Origin(
        served.values[rows],
        served.scale[rows],
        served.close[rows],
        np.concatenate([newest.as_of for newest in newest_rows]),
        np.concatenate([newest.targets for newest in newest_rows]),
        wall - age_from > limits.stale_after,
    )


def past_origin(
    request: ForecastRequest, features: Features, limits: AgeLimits, wall: float
) -> Origin:
    """Rows as they were known at an instant of the past."""
    served, instant = features.served, request.as_of
    assert instant is not None
    present = served.clock.now(datetime.fromtimestamp(wall, UTC)).timestamp()
    if instant > present * SECOND:
        raise InvalidRequest(
            "'as_of' must not lie in the future",
            f"{second_text(instant)}, the data's present is {second_text(int(present * SECOND))}",
        )
    rows, targets = [], []
    for symbol in request.symbols:
        features.find(symbol)
        rows.append(served.row_at(symbol, instant))
        targets.append(served.target_times_at(symbol, rows[-1]))
    closes = served.timestamps[rows]
    ages = (instant - closes) / SECOND
    oldest = int(np.argmax(ages))
    refuse_if_old(
        instant / SECOND - float(ages[oldest]),
        limits,
        instant / SECOND,
        f"that of {request.symbols[oldest]} at 'as_of'",
    )
    return Origin(
        served.values[rows],
        served.scale[rows],
        served.close[rows],
        closes // MILLISECOND,
        np.stack(targets) // MILLISECOND,
        ages > limits.stale_after,
    )


def caller_origin(
    request: ForecastRequest, bundle: Bundle, limits: AgeLimits, wall: float
) -> Origin:
    """The last of the caller's own bars."""
    bars: Any = request.bars
    timestamps: Any = request.timestamps
    interval = bundle.spec.interval
    check_bars(timestamps, bars, interval, int(wall * SECOND))
    import_indicators()
    row, scale, close = features_of_bars(timestamps, bars, bundle.spec, request.symbols[0])
    return Origin(
        row[None, :],
        np.array([scale]),
        np.array([close]),
        timestamps[-1:] // MILLISECOND,
        next_closes(timestamps, interval, request.horizon)[None, :] // MILLISECOND,
        np.array([wall - timestamps[-1] / SECOND > limits.stale_after]),
    )
