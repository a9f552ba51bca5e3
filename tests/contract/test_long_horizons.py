"""A version that forecasts 250 bars answers as far as it can, and is asked for no more."""

import numpy as np
import pytest

from forecasting.bundle.bundle import load_bundle
from tests.contract.test_v2_rest import Server, as_of, bars_inputs, horizon, symbols
from tests.long_models import BARS, make_long_bundle, make_long_features
from tests.served_models import SYMBOLS, make_features, own_bars, publish


@pytest.fixture(scope="module")
def features():
    return make_long_features()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, features):
    folder = tmp_path_factory.mktemp("long")
    make_long_bundle(folder / "bundle")
    publish(folder / "lake", features)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    return Server(folder)


@pytest.mark.parametrize("bars", [None, 1, 31, 100, BARS])
def test_known_symbols_are_forecast_to_the_versions_longest_horizon(server, folder, features, bars):
    asked = [] if bars is None else [horizon(bars)]
    outputs = server.outputs(symbols(*SYMBOLS), *asked)
    bars = bars or BARS
    rows = [features.last_row(symbol) for symbol in SYMBOLS]
    expected = load_bundle(folder / "bundle").forecast(
        features.values[rows], features.scale[rows], features.close[rows], bars
    )
    assert outputs["quantiles"].shape == (3, bars, 5)
    np.testing.assert_allclose(outputs["quantiles"], expected.quantiles, rtol=1e-9)
    np.testing.assert_allclose(outputs["probability_of_rise"], expected.probability_of_rise)
    assert np.array_equal(outputs["target_time"], features.target_times[:3, :bars] // 10**6)


def test_a_past_instant_is_answered_as_far(server, features):
    row = features.last_row("AAPL") - 3
    closed = np.datetime64(int(features.timestamps[row]), "ns").astype("datetime64[s]")
    outputs = server.outputs(symbols("AAPL"), as_of(f"{closed}+00:00"))
    assert outputs["quantiles"].shape == (1, BARS, 5)
    assert np.array_equal(outputs["target_time"][0], features.target_times_at("AAPL", row) // 10**6)


@pytest.mark.parametrize("bars", [None, 200])
def test_own_bars_are_forecast_as_far(server, bars):
    asked = [] if bars is None else [horizon(bars)]
    outputs = server.outputs(*bars_inputs(*own_bars()), *asked)
    assert outputs["quantiles"].shape == (1, bars or BARS, 5)
    assert (np.diff(outputs["target_time"][0]) > 0).all()


def test_the_metadata_say_how_far_and_more_is_refused_with_that_number(server):
    assert server.ask("GET", "/v2/models/bellwether").json()["max_horizon"] == BARS
    for inputs in ([symbols("AAPL")], bars_inputs(*own_bars())):
        answer = server.infer(*inputs, horizon(BARS + 1))
        assert answer.status_code == 400
        assert "'horizon' must be 1..250 bars: 251" in answer.json()["error"]


def test_features_that_reach_less_far_than_the_version_are_not_answered_from(folder, tmp_path):
    make_long_bundle(tmp_path / "bundle")
    publish(tmp_path / "lake", make_features())
    answer = Server(tmp_path).infer(symbols("AAPL"))
    assert answer.status_code == 503
    assert "tell when 30 bars ahead close, and the version forecasts 250" in answer.json()["error"]
