"""What the tensors of a V2 request ask for together."""

import numpy as np
import pytest

from forecasting.errors import InvalidRequest
from forecasting.inference_protocol.messages import Request
from forecasting.inference_protocol.tensors import Tensor
from serving.request import read_forecast_request


def request(**inputs):
    return Request("", {name: tensor(name, value) for name, value in inputs.items()})


def tensor(name, value):
    if isinstance(value, np.ndarray):
        return Tensor(name, "FP64", value.shape, value)
    if isinstance(value, int):
        return Tensor(name, "INT64", (1,), np.array([value]))
    return Tensor(name, "BYTES", (len(value),), value)


BARS = np.ones((3, 5))
MILLIS = np.array([1_700_000_000_000, 1_700_086_400_000, 1_700_172_800_000])


def test_symbols_are_forecast_over_the_longest_horizon_unless_one_is_given():
    asked = read_forecast_request(request(symbols=["AAPL", "META"]), 250)
    assert (asked.symbols, asked.horizon, asked.as_of) == (["AAPL", "META"], 250, None)
    assert read_forecast_request(request(symbols=["AAPL"], horizon=5), 30).horizon == 5
    assert read_forecast_request(request(symbols=["AAPL"], horizon=250), 250).horizon == 250


def test_an_instant_is_read_in_nanoseconds():
    asked = read_forecast_request(
        request(symbols=["AAPL"], as_of=["1970-01-02T01:00:00+01:00"]), 30
    )
    assert asked.as_of == 86_400 * 10**9


def test_the_callers_bars_come_with_their_closes_in_nanoseconds():
    asked = read_forecast_request(request(bars=BARS, timestamps=MILLIS), 30)
    assert asked.symbols == [""]
    assert asked.bars is BARS
    assert asked.timestamps.tolist() == [milli * 1_000_000 for milli in MILLIS.tolist()]
    named = read_forecast_request(request(symbols=["X"], bars=BARS, timestamps=MILLIS), 30)
    assert named.symbols == ["X"]


@pytest.mark.parametrize(
    ("inputs", "rule"),
    [
        ({"horizon": 5}, "must name 'symbols' or bring 'bars'"),
        ({"symbols": ["A", "B", "A"]}, "'A' comes twice"),
        ({"symbols": ["A"], "horizon": 0}, "'horizon' must be 1..30 bars: 0"),
        ({"symbols": ["A"], "horizon": 31}, "'horizon' must be 1..30 bars: 31"),
        ({"symbols": ["A"], "as_of": ["yesterday"]}, "ISO-8601 instant"),
        ({"symbols": ["A"], "as_of": ["2026-01-30T21:00:00"]}, "with its zone"),
        ({"symbols": ["A"], "as_of": ["1800-01-01T00:00:00Z"]}, "1900 to 2199"),
        ({"symbols": ["A"], "as_of": ["0001-01-01T00:00:00Z"]}, "1900 to 2199"),
        ({"bars": BARS}, "'bars' alone"),
        ({"timestamps": MILLIS}, "'timestamps' alone"),
        ({"bars": BARS, "timestamps": MILLIS[:2]}, "3 bars, 2 timestamps"),
        ({"bars": BARS, "timestamps": MILLIS * 1_000}, "must be unix milliseconds"),
        ({"symbols": ["A", "B"], "bars": BARS, "timestamps": MILLIS}, "those of one symbol"),
        (
            {"as_of": ["2026-01-30T21:00:00Z"], "bars": BARS, "timestamps": MILLIS},
            "for symbols the server holds",
        ),
    ],
)
def test_what_makes_no_sense_together_is_refused(inputs, rule):
    with pytest.raises(InvalidRequest, match=rule):
        read_forecast_request(request(**inputs), 30)


def test_more_bars_than_the_version_forecasts_are_refused_with_its_number():
    for longest in (1, 30, 250):
        with pytest.raises(InvalidRequest, match=rf"must be 1\.\.{longest} bars: {longest + 1}"):
            read_forecast_request(request(symbols=["A"], horizon=longest + 1), longest)
