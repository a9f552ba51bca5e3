"""Answers follow from the version's rows, and a cached one is the computed one.

Answers to the caller's own bars and to past instants: tests/contract/test_v2_rest.py.
"""

import numpy as np
import pytest

from forecasting.errors import InvalidRequest, StaleData, UnknownSymbol
from serving import inference
from serving.inference import answer, cached_answer
from serving.request import ForecastRequest
from serving.state import AgeLimits

LIMITS = AgeLimits(stale_after=60.0, refuse_after=3_600.0)


@pytest.fixture
def now(served):
    return served.features.age_from + 1.0


def test_an_answer_is_what_the_bundle_says_of_the_newest_row(served, version, now):
    got = answer(ForecastRequest(["AAPL"], 5), version, LIMITS, now, baseline=True)
    row, table = served.features.find("AAPL").row, served.features.served
    values, scale, close = (t[row : row + 1] for t in (table.values, table.scale, table.close))
    forecast = served.bundle.forecast(values, scale, close, 5)
    assert np.array_equal(got.quantiles, forecast.quantiles)
    assert np.array_equal(got.baseline, served.bundle.baseline_prices(scale, close, 5))
    assert got.signals == forecast.signals
    assert got.targets.shape == (1, 5)
    assert np.array_equal(got.moves, got.quantiles[:, 4, 2] - close)


def test_many_symbols_are_answered_as_each_alone(version, now):
    symbols = ["BTC-USD", "AAPL", "MSFT"]
    together = answer(ForecastRequest(symbols, 3), version, LIMITS, now, baseline=False)
    for place, symbol in enumerate(symbols):
        alone = answer(ForecastRequest([symbol], 3), version, LIMITS, now, baseline=False)
        assert np.array_equal(alone.quantiles[0], together.quantiles[place])
        assert alone.origin.as_of[0] == together.origin.as_of[place]
    assert together.baseline is None


def test_tensors_are_those_asked_for_in_their_order(version, now):
    got = answer(ForecastRequest(["AAPL"], 2), version, LIMITS, now, baseline=False)
    tensors = got.tensors(("signal", "quantiles"))
    assert [(t.name, t.datatype, t.shape) for t in tensors] == [
        ("signal", "BYTES", (1,)),
        ("quantiles", "FP64", (1, 2, 5)),
    ]


def test_an_answer_is_stale_past_the_first_limit_and_refused_past_the_second(served, version):
    asked = ForecastRequest(["AAPL"], 2)
    at = served.features.age_from
    for compute in (cached_answer, lambda *words: answer(*words, baseline=False)):
        stale = [compute(asked, version, LIMITS, at + age).origin.stale[0] for age in (60, 61)]
        assert stale == [False, True]
        with pytest.raises(StaleData):
            compute(asked, version, LIMITS, at + 3_601)


def test_a_cached_answer_is_computed_once_and_the_same(version, now, monkeypatch):
    asked = ForecastRequest(["AAPL"], 4)
    first = cached_answer(asked, version, LIMITS, now)
    computed = answer(asked, version, LIMITS, now, baseline=False)
    assert np.array_equal(first.quantiles, computed.quantiles)
    assert (first.renderings, computed.renderings) == ({}, None)
    monkeypatch.setattr(inference, "answer", None)
    assert cached_answer(asked, version, LIMITS, now) is first


def test_the_cache_is_bounded(version, now, monkeypatch):
    monkeypatch.setattr(inference, "CACHED_BARS", 2 * 30)
    for horizon in (1, 2, 3, 4):
        cached_answer(ForecastRequest(["AAPL"], horizon), version, LIMITS, now)
        assert len(version.answers) <= 2


def test_what_the_version_does_not_hold_is_refused(served, version, now):
    with pytest.raises(UnknownSymbol):
        cached_answer(ForecastRequest(["NOPE"], 1), version, LIMITS, now)
    tomorrow = int((now + 86_400 * 400) * 1e9)
    with pytest.raises(InvalidRequest, match="must not lie in the future"):
        answer(ForecastRequest(["AAPL"], 1, tomorrow), version, LIMITS, now, baseline=False)
