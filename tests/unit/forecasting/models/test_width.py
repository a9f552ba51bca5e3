"""Widths are learned from past variance, answered by one graph, and believed within bounds."""

import numpy as np
import onnxruntime
import pytest

from forecasting.bundle.onnx_allowlist import inspect_onnx
from forecasting.bundle.onnx_writer import to_onnx
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.features.spec import FeatureSpec
from forecasting.features.variance import DECAYS, WINDOWS, state_names
from forecasting.models.candidates import make_forecaster
from forecasting.models.quantiles import GRID, KNOTS, MOST_WIDTH, QuantileTable
from forecasting.models.width import PARTS, columns_of, kept_columns, learns_width
from forecasting.schema import MAX_HORIZON

KINDS = tuple(PARTS)
NAMES = (*(f"variance_ratio_{place + 1}" for place in range(9)), *state_names((0.9,)))
WIDTH = len(NAMES)
SMALL = {"n_estimators": 40}


def features(rows, seed):
    """Features of which the third, and the state of a recursion, say how wide the next bars are."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, WIDTH)).astype(np.float32)
    x[:, 9:] *= 0.1
    x[:, 10] += 0.6 * np.tanh(x[:, 3])
    x[:, 11] += 0.6 * np.tanh(x[:, 3]) - np.log(2)
    return x


def columns_named(kind):
    columns = columns_of(kind, NAMES)
    return columns, [NAMES[column] for column in columns]


@pytest.fixture(scope="module")
def lesson():
    """Features, logs of realised volatility among as much noise, and returns of that volatility."""
    random = np.random.default_rng(7)
    x = features(3_000, 7)
    true = 0.3 * np.tanh(x[:, [3]])
    realised = true + random.normal(scale=0.3, size=(3_000, len(KNOTS)))
    return x, np.hstack([realised, np.exp(true) * random.normal(size=(3_000, len(KNOTS)))])


@pytest.fixture(scope="module")
def fitted(lesson):
    made = {}
    for kind in KINDS:
        params = SMALL if "xgboost" in PARTS[kind] else {}
        columns, names = columns_named(kind)
        made[kind] = make_forecaster(kind, params, names=names)
        made[kind].fit(lesson[0][:, columns], lesson[1], seed=1)
        made[kind].slopes = tuple(np.linspace(0.3, 1.0, len(KNOTS)))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_learns_how_wide_returns_will_be_and_nothing_of_their_direction(kind, fitted):
    x = features(500, 8)
    own = x[:, columns_of(kind, NAMES)]
    learned = fitted[kind].log_width(own)
    assert learned.shape == (500, len(KNOTS))
    for knot in range(len(KNOTS)):
        assert np.corrcoef(learned[:, knot], np.tanh(x[:, 3]))[0, 1] > 0.9
    assert (fitted[kind].locate(own) == 0).all()


def test_the_combination_is_the_geometric_mean_of_its_parts_the_recursion_counting_half(
    fitted, lesson
):
    x = lesson[0][:200]
    parts = {
        part: fitted[kind].log_width(x[:, columns_of(kind, NAMES)])
        for part, kind in (("ridge", "har"), ("xgboost", "har_boosted"), ("garch", "garch"))
    }
    whole = (2 * parts["ridge"] + 2 * parts["xgboost"] + parts["garch"]) / 5
    assert np.allclose(fitted["har_combination"].log_width(x), whole, atol=1e-9)
    two = make_forecaster("har_combination", {"members": "garch+ridge"}, names=NAMES)
    two.fit(*lesson, seed=1).slopes = fitted["garch"].slopes
    expected = (2 * parts["ridge"] + parts["garch"]) / 3
    assert np.allclose(two.log_width(x), expected, atol=1e-9)


@pytest.mark.parametrize("members", ["lasso", "ridge+ridge", "ridge,garch", "+"])
def test_members_that_a_combination_does_not_have_are_refused(members):
    with pytest.raises(InvalidSettings, match="some of ridge, xgboost, garch"):
        make_forecaster("har_combination", {"members": members})


@pytest.mark.parametrize("kind", KINDS)
def test_one_run_of_the_export_gives_location_and_width(kind, fitted):
    columns, _ = columns_named(kind)
    moved = [2, 0, *range(3, WIDTH + 1)]  # where the features stand in a table of two more
    x = np.random.default_rng(9).normal(size=(300, WIDTH + 2)).astype(np.float32)
    graph = to_onnx(fitted[kind], WIDTH + 2, [moved[column] for column in columns])
    inspect_onnx(graph)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    location, log_width = session.run(None, {"features": x})
    assert (location == 0).all()
    expected = fitted[kind].log_width(np.ascontiguousarray(x[:, moved][:, columns]))
    assert np.abs(log_width - expected).max() < 2e-6


def test_the_export_of_a_recursion_bears_the_least_and_the_largest_variances(fitted):
    random = np.random.default_rng(4)
    least, most = np.log(1e-4), np.log((0.5 / 1e-5) ** 2)
    x = random.uniform(least, most, size=(500, 3)).astype(np.float32)
    x[0], x[1] = least, most
    graph = to_onnx(fitted["garch"], 3, range(3))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    log_width = session.run(None, {"features": x})[1]
    assert np.isfinite(log_width).all()
    assert np.abs(log_width - fitted["garch"].log_width(x)).max() < 5e-6


def test_rows_whose_volatility_is_not_known_teach_nothing(lesson):
    columns, _ = columns_named("har")
    x, y = lesson[0][:, columns], lesson[1].copy()
    y[500:, len(KNOTS) - 1] = np.nan
    holed = make_forecaster("har").fit(x, y, seed=1)
    cut = make_forecaster("har").fit(x[:500], y[:500], seed=1)
    assert np.array_equal(holed.log_width(x), cut.log_width(x))
    with pytest.raises(ShortHistory, match="0 of 3000 rows"):
        make_forecaster("har").fit(x, y * np.nan, seed=1)


def test_widths_are_learned_from_variance_and_weekdays_and_locations_from_the_rest():
    names = FeatureSpec(symbols=("AAA",), variance=WINDOWS, decays=DECAYS).names
    of = {
        kind: {names[column] for column in columns_of(kind, names)}
        for kind in ("har", "har_boosted", "garch", "har_combination", "ridge")
    }
    assert of["har"] | of["garch"] == of["har_boosted"] == of["har_combination"]
    assert of["garch"] == set(state_names(DECAYS))
    assert not of["har"] & of["garch"]
    assert of["har_combination"] | of["ridge"] == set(names)
    assert of["har_combination"] & of["ridge"] == {"day_of_week_sin", "day_of_week_cos"}
    assert of["ridge"] == set(FeatureSpec(symbols=("AAA",)).names)


def test_a_table_without_the_features_it_needs_is_refused_with_the_remedy():
    with pytest.raises(InvalidSettings, match="Name har among the candidates"):
        columns_of("har", FeatureSpec().names)
    for kind in ("har_boosted", "garch", "har_combination"):
        with pytest.raises(InvalidSettings, match=f"Name {kind} among .* decays"):
            columns_of(kind, FeatureSpec(variance=WINDOWS).names)


def test_a_selection_of_features_keeps_the_state_of_a_recursion_that_is_a_member():
    chosen, state = np.array([1, 4]), [9, 10, 11]
    for kind, members, kept in (
        ("har", "", [1, 4]),
        ("ridge", "", [1, 4]),
        ("garch", "", [1, 4, *state]),
        ("har_combination", "ridge+garch", [1, 4, *state]),
        ("har_combination", "ridge+xgboost", [1, 4]),
    ):
        assert kept_columns(chosen, kind, {"members": members}, NAMES).tolist() == kept


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
