"""Widths are learned from past variance, answered by one graph, and believed within bounds."""

import numpy as np
import onnxruntime
import pytest

from forecasting.bundle.onnx_writer import to_onnx
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.features.spec import FeatureSpec
from forecasting.features.variance import WINDOWS
from forecasting.models.candidates import make_forecaster
from forecasting.models.quantiles import GRID, KNOTS, MOST_WIDTH, QuantileTable
from forecasting.models.width import PARTS, columns_of, learns_width
from forecasting.schema import MAX_HORIZON

KINDS = tuple(PARTS)
WIDTH = 12
SMALL = {"n_estimators": 40}


@pytest.fixture(scope="module")
def lesson():
    """Features of which the third says how wide the next bars are, among as much noise."""
    random = np.random.default_rng(7)
    x = random.normal(size=(3_000, WIDTH)).astype(np.float32)
    y = 0.3 * np.tanh(x[:, [3]]) + random.normal(scale=0.3, size=(3_000, len(KNOTS)))
    return x, y


@pytest.fixture(scope="module")
def fitted(lesson):
    made = {}
    for kind in KINDS:
        params = SMALL if "xgboost" in PARTS[kind] else {}
        made[kind] = make_forecaster(kind, params).fit(*lesson, seed=1)
        made[kind].slopes = tuple(np.linspace(0.3, 1.0, len(KNOTS)))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_learns_how_wide_returns_will_be_and_nothing_of_their_direction(kind, fitted):
    x = np.random.default_rng(8).normal(size=(500, WIDTH)).astype(np.float32)
    learned = fitted[kind].log_width(x)
    assert learned.shape == (500, len(KNOTS))
    for knot in range(len(KNOTS)):
        assert np.corrcoef(learned[:, knot], np.tanh(x[:, 3]))[0, 1] > 0.9
    assert (fitted[kind].locate(x) == 0).all()


def test_the_combination_is_the_geometric_mean_of_its_parts(fitted, lesson):
    x = lesson[0][:200]
    parts = [fitted[kind].log_width(x) for kind in ("har", "har_boosted")]
    assert np.allclose(fitted["har_combination"].log_width(x), np.mean(parts, axis=0), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_one_run_of_the_export_gives_location_and_width(kind, fitted):
    columns = [2, 0, *range(3, WIDTH + 1)]  # of a table of 14 features
    x = np.random.default_rng(9).normal(size=(300, 14)).astype(np.float32)
    # The features were learned in the order 0, 1, ..: column 1 of the table is not among them.
    graph = to_onnx(fitted[kind], 14, columns)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    location, log_width = session.run(None, {"features": x})
    assert (location == 0).all()
    expected = fitted[kind].log_width(np.ascontiguousarray(x[:, columns]))
    assert np.abs(log_width - expected).max() < 2e-6


def test_rows_whose_volatility_is_not_known_teach_nothing(lesson):
    x, y = lesson[0], lesson[1].copy()
    y[500:, -1] = np.nan
    holed = make_forecaster("har").fit(x, y, seed=1)
    cut = make_forecaster("har").fit(x[:500], y[:500], seed=1)
    assert np.array_equal(holed.log_width(x), cut.log_width(x))
    with pytest.raises(ShortHistory, match="0 of 3000 rows"):
        make_forecaster("har").fit(x, y * np.nan, seed=1)


def test_widths_are_learned_from_variance_and_weekdays_and_locations_from_the_rest():
    names = FeatureSpec(symbols=("AAA",), variance=WINDOWS).names
    of_width = {names[column] for column in columns_of("har", names)}
    of_location = {names[column] for column in columns_of("ridge", names)}
    assert of_width | of_location == set(names)
    assert of_width & of_location == {"day_of_week_sin", "day_of_week_cos"}
    assert of_location == set(FeatureSpec(symbols=("AAA",)).names)


def test_a_table_without_features_of_variance_is_refused_with_the_remedy():
    with pytest.raises(InvalidSettings, match="Name har among the candidates"):
        columns_of("har", FeatureSpec().names)


def test_only_these_candidates_learn_a_width():
    assert [kind for kind in (*KINDS, "random_walk", "ridge", "xgboost") if learns_width(kind)] == [
        *KINDS
    ]


def test_quantiles_are_the_calibration_times_the_width_about_the_location():
    random = np.random.default_rng(2)
    calibration = np.sort(random.normal(size=(MAX_HORIZON, len(GRID))), axis=1)
    loc, log_width = random.normal(size=(4, len(KNOTS))), random.normal(size=(4, len(KNOTS)))
    log_width[0] = 9.0  # beyond belief
    scale = np.array([0.01, 0.02, 0.03, 0.04])
    table = QuantileTable.of(calibration)
    quantiles = table.returns(loc, scale, log_width=log_width)
    rise = table.rise(loc, log_width=log_width)
    above, below = table.beyond(loc, scale, 0.005, 7, log_width)
    grid = np.array(GRID)
    for row in range(4):
        for horizon in range(1, MAX_HORIZON + 1):
            centre = np.interp(horizon, KNOTS, loc[row])
            bounded = np.clip(log_width[row], -np.log(MOST_WIDTH), np.log(MOST_WIDTH))
            width = np.exp(np.interp(horizon, KNOTS, bounded))
            unit = scale[row] * np.sqrt(horizon)
            levels = calibration[horizon - 1]
            expected = unit * (centre + width * levels[[5, 25, 50, 75, 95]])
            assert np.allclose(quantiles[row, horizon - 1], expected)
            own = 1 - np.interp(0.0, centre + width * levels, grid)
            assert rise[row, horizon - 1] == pytest.approx(own)
            if horizon == 7:
                points = unit * (centre + width * levels)
                assert above[row] == pytest.approx(1 - np.interp(0.005, points, grid))
                assert below[row] == pytest.approx(np.interp(-0.005, points, grid))
