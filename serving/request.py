"""Reads a forecast request from V2 tensors: symbols the server holds, or the caller's own bars."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from forecasting.errors import InvalidRequest
from forecasting.inference_protocol.messages import Request
from forecasting.inference_protocol.tensors import Array, Tensor, quoted
from forecasting.instants import MILLISECOND, to_nanoseconds

_EARLIEST: Final = -2_208_988_800_000
_LATEST: Final = 7_258_118_400_000
"""The first instants of 1900 and of 2200 in milliseconds: a value outside is in another unit or an
error, and would not fit int64 nanoseconds."""


class ForecastRequest(NamedTuple):
    """What a V2 request asks for.

    Attributes:
        symbols: symbols to forecast; for own bars one name, or "".
        horizon: bars to look ahead, from 1 to the longest the version forecasts.
        as_of: answer as known at this instant, int64 ns since 1970; None for now.
        bars: own bars [t, 5], or None.
        timestamps: their closes [t], int64 ns since 1970, or None.
        all_or_nothing: whether one symbol that cannot be answered refuses them all.
    """

    symbols: list[str]
    horizon: int
    as_of: int | None = None
    bars: Array | None = None
    timestamps: Array | None = None
    all_or_nothing: bool = False


def read_forecast_request(request: Request, longest: int) -> ForecastRequest:
    """Check the tensors together and read what they ask for.

    Args:
        request: the tensors.
        longest: bars that the version which is to answer forecasts; asked for where none are named.

    Raises:
        InvalidRequest: names the rule that is broken, what was found, and the remedy.
    """
    inputs = request.inputs
    symbols = _symbols(inputs.get("symbols"))
    horizon = _horizon(inputs.get("horizon"), longest)
    as_of = _instant(inputs["as_of"]) if "as_of" in inputs else None
    bars, timestamps = inputs.get("bars"), inputs.get("timestamps")
    if bars is None and timestamps is None:
        if not symbols:
            raise InvalidRequest(
                "a request must name 'symbols' or bring 'bars' with 'timestamps'",
                f"only {', '.join(inputs)}",
            )
        return ForecastRequest(symbols, horizon, as_of, all_or_nothing=request.all_or_nothing)
    if bars is None or timestamps is None:
        raise InvalidRequest(
            "'bars' and 'timestamps' must come together",
            f"'{'timestamps' if bars is None else 'bars'}' alone",
        )
    if bars.shape[0] != timestamps.shape[0]:
        raise InvalidRequest(
            "'bars' and 'timestamps' must have the same length",
            f"{bars.shape[0]} bars, {timestamps.shape[0]} timestamps",
        )
    if len(symbols) > 1:
        raise InvalidRequest(
            "own bars are those of one symbol",
            f"{len(symbols)} symbols",
            "Send one request per symbol",
        )
    if as_of is not None:
        raise InvalidRequest(
            "'as_of' is for symbols the server holds",
            "'as_of' beside own bars",
            "Leave out the bars that were not known then",
        )
    return ForecastRequest(symbols or [""], horizon, None, _values(bars), _nanoseconds(timestamps))


def _symbols(tensor: Tensor | None) -> list[str]:
    if tensor is None:
        return []
    symbols = tensor.data
    assert isinstance(symbols, list)
    if len(symbols) > 1 and len(set(symbols)) != len(symbols):
        twice = next(symbol for place, symbol in enumerate(symbols) if symbol in symbols[:place])
        raise InvalidRequest(
            "a symbol may be asked for once in a request", f"{quoted(twice)} comes twice"
        )
    return symbols


def _horizon(tensor: Tensor | None, longest: int) -> int:
    if tensor is None:
        return longest
    horizon = int(_values(tensor)[0])
    if not 1 <= horizon <= longest:
        raise InvalidRequest(f"'horizon' must be 1..{longest} bars", str(horizon))
    return horizon


def _instant(tensor: Tensor) -> int:
    text = tensor.data[0]
    try:
        instant = to_nanoseconds(datetime.fromisoformat(text))
    except (ValueError, OverflowError, TypeError):  # TypeError: the instant has no zone
        raise InvalidRequest(
            "'as_of' must be an ISO-8601 instant with its zone",
            quoted(text),
            "Write it like 2026-01-30T21:00:00Z",
        ) from None
    if not _EARLIEST <= instant // MILLISECOND < _LATEST:
        raise InvalidRequest(
            "'as_of' must lie in the years 1900 to 2199, by UTC",
            quoted(text),
            "No prices are older; leave 'as_of' out to ask for the newest forecast",
        )
    return instant


def _nanoseconds(tensor: Tensor) -> Array:
    millis = _values(tensor)
    if millis.min() < _EARLIEST or millis.max() >= _LATEST:
        raise InvalidRequest(
            "'timestamps' must be unix milliseconds of the years 1900 to 2199",
            f"values from {millis.min()} to {millis.max()}",
        )
    nanoseconds: Array = millis * MILLISECOND
    return nanoseconds


def _values(tensor: Tensor) -> Any:
    return tensor.data
