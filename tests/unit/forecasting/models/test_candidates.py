"""The candidates learn what is there, the same way every time, and export without a difference."""

import warnings

import numpy as np
import onnxruntime
import pytest

from forecasting.bundle.onnx_allowlist import inspect_onnx
from forecasting.bundle.onnx_writer import to_onnx
from forecasting.errors import InvalidSettings, ShortHistory
from forecasting.models.candidates import (
    CANDIDATES,
    DEFAULTS,
    EXTRAS,
    MOST_ROWS,
    NULLS,
    WINSOR,
    _require,
    cpu_share,
    make_forecaster,
)
from forecasting.models.quantiles import KNOTS

EVERY = (*CANDIDATES, *EXTRAS)
LEARNERS = tuple(kind for kind in EVERY if kind not in NULLS)
WIDTH = 12


@pytest.fixture(scope="module")
def lesson():
    """Features of which the third moves every horizon, under ten times as much noise."""
    random = np.random.default_rng(7)
    x = random.normal(size=(3_000, WIDTH)).astype(np.float32)
    z = 0.3 * np.tanh(x[:, [3]]) + random.standard_t(4, (3_000, len(KNOTS)))
    return x, z


@pytest.fixture(scope="module")
def fitted(lesson):
    return {kind: make_forecaster(kind, threads=2).fit(*lesson, seed=1) for kind in EVERY}


def run_onnx(content, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"features": x})[0]


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_candidate_finds_a_planted_signal(kind, fitted):
    x = np.random.default_rng(8).normal(size=(500, WIDTH)).astype(np.float32)
    located = fitted[kind].locate(x)
    assert located.shape == (500, len(KNOTS))
    assert located.dtype == np.float64
    for knot in range(len(KNOTS)):
        assert np.corrcoef(located[:, knot], np.tanh(x[:, 3]))[0, 1] > 0.7


def test_the_random_walk_expects_no_move(fitted):
    assert (fitted["random_walk"].locate(np.ones((4, WIDTH), np.float32)) == 0).all()


@pytest.mark.parametrize("kind", EVERY)
def test_threads_do_not_change_a_bit(kind, lesson, fitted):
    again = make_forecaster(kind, threads=1).fit(*lesson, seed=1)
    assert np.array_equal(again.locate(lesson[0]), fitted[kind].locate(lesson[0]))


def test_several_threads_leave_the_warning_filters_alone(lesson):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warnings.simplefilter("error", RuntimeWarning)
        before = list(warnings.filters)
        make_forecaster("random_forest", threads=2).fit(*lesson, seed=1)
        assert warnings.filters == before
    assert [str(one.message) for one in told] == []


@pytest.mark.parametrize("kind", ["random_forest", "xgboost"])
def test_another_seed_grows_other_trees(kind, lesson, fitted):
    other = make_forecaster(kind).fit(*lesson, seed=2)
    assert not np.array_equal(other.locate(lesson[0]), fitted[kind].locate(lesson[0]))


@pytest.mark.parametrize("kind", LEARNERS)
def test_rows_with_an_unknown_return_teach_nothing(kind, lesson):
    x, z = lesson[0][:800], lesson[1][:800].copy()
    z[500:, 7] = np.nan
    holed = make_forecaster(kind).fit(x, z, seed=1)
    cut = make_forecaster(kind).fit(x[:500], z[:500], seed=1)
    assert np.array_equal(holed.locate(x), cut.locate(x))


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_crash_teaches_no_more_than_the_winsor(kind, lesson):
    x, z = lesson[0][:800], np.clip(lesson[1][:800], -WINSOR, WINSOR)
    crash = np.where(z <= -WINSOR, -40.0, z)
    mild, wild = make_forecaster(kind), make_forecaster(kind)
    assert np.array_equal(mild.fit(x, z, seed=1).locate(x), wild.fit(x, crash, seed=1).locate(x))


def test_of_a_huge_panel_trees_see_evenly_spread_rows():
    most = MOST_ROWS["random_forest"]
    random = np.random.default_rng(12)
    x = random.normal(size=(most + 5_000, 3)).astype(np.float32)
    z = random.normal(size=(most + 5_000, len(KNOTS)))
    spread = np.linspace(0, len(x) - 1, most).astype(int)
    thinned, direct = (make_forecaster("random_forest", {"n_estimators": 2}) for _ in range(2))
    thinned.fit(x, z, seed=1)
    direct.fit(x[spread], z[spread], seed=1)
    assert np.array_equal(thinned.locate(x[:500]), direct.locate(x[:500]))


def test_nothing_known_is_refused(lesson):
    with pytest.raises(ShortHistory, match="0 of 3000"):
        make_forecaster("ridge").fit(lesson[0], lesson[1] * np.nan, seed=1)


@pytest.mark.parametrize("kind", EVERY)
def test_the_export_gives_the_models_locations(kind, fitted):
    x = np.random.default_rng(9).normal(size=(2_000, WIDTH)).astype(np.float32) * 2
    content = to_onnx(fitted[kind], WIDTH, range(WIDTH))
    inspect_onnx(content)
    assert np.abs(run_onnx(content, x) - fitted[kind].locate(x)).max() < 2e-6


@pytest.mark.parametrize("kind", EVERY)
def test_a_feature_on_a_threshold_takes_the_models_branch(kind):
    random = np.random.default_rng(10)
    x = random.integers(-3, 4, size=(1_500, WIDTH)).astype(np.float32) / 4
    z = x[:, [0]] + random.normal(size=(1_500, len(KNOTS)))
    model = make_forecaster(kind).fit(x, z, seed=1)
    between = np.unique(np.concatenate([x, x + np.float32(0.125)]), axis=0)
    content = to_onnx(model, WIDTH, range(WIDTH))
    assert np.abs(run_onnx(content, between) - model.locate(between)).max() < 2e-6


@pytest.mark.parametrize("kind", EVERY)
def test_the_export_of_a_selection_takes_all_features(kind, lesson):
    x, z = lesson
    columns = [1, 3, 8]
    model = make_forecaster(kind).fit(x[:, columns], z, seed=1)
    content = to_onnx(model, WIDTH, columns)
    assert np.abs(run_onnx(content, x) - model.locate(x[:, columns])).max() < 2e-6


@pytest.mark.parametrize("kind", EVERY)
def test_the_same_model_exports_to_the_same_bytes(kind, lesson, fitted):
    again = make_forecaster(kind, threads=1).fit(*lesson, seed=1)
    first = to_onnx(fitted[kind], WIDTH, range(WIDTH))
    assert to_onnx(again, WIDTH, range(WIDTH)) == first


def test_parameters_override_the_defaults_one_by_one():
    params = make_forecaster("xgboost", {"max_depth": 2}).params
    assert params == {**DEFAULTS["xgboost"], "max_depth": 2}


def test_an_unknown_candidate_is_refused_with_the_known_ones():
    with pytest.raises(
        InvalidSettings, match="random_walk, random_walk_drift, ridge, random_forest, xgboost"
    ):
        make_forecaster("oracle")


def test_an_unknown_parameter_is_refused_with_the_known_ones():
    with pytest.raises(InvalidSettings, match="takes the parameters alpha, width: unknown depth"):
        make_forecaster("ridge", {"depth": 3})


def test_a_candidate_whose_package_is_missing_names_the_extra():
    with pytest.raises(InvalidSettings, match=r"bellwether\[boost\]"):
        _require("a_package_nobody_has")


def test_the_share_of_cpus_is_at_least_one():
    assert cpu_share() >= 1
