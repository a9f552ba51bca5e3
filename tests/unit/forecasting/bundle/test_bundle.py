"""Bundles: the same bytes every time, and nothing of a wrong one is ever run."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper

from forecasting.bundle.bundle import load_bundle, read_manifest, write_bundle
from forecasting.bundle.files import canonical_json, parse_manifest, sha256
from forecasting.bundle.onnx_allowlist import inspect_onnx
from forecasting.bundle.onnx_writer import to_onnx
from forecasting.errors import BundleRejected
from forecasting.features.build import FeatureSpec
from forecasting.features.targets import SignalRule
from forecasting.features.variance import DECAYS, WINDOWS
from forecasting.models.candidates import CANDIDATES, DEFAULTS, EXTRAS, WIDTHS
from forecasting.models.quantiles import GRID, KNOTS, QuantileTable, signals
from forecasting.models.training import TrainingConfig, train_on_examples
from forecasting.models.training_set import Examples
from forecasting.npz import npy_bytes, npz_bytes
from forecasting.schema import MAX_HORIZON
from tests.hostile_names import HOSTILE_NAMES
from tests.long_models import KNOTS as LONG_KNOTS
from tests.long_models import make_long_bundle
from tests.unit.oracles import probability_above

SPEC = FeatureSpec(symbols=("AAA", "BBB"))
WIDTH = len(SPEC.names)
ROOT = Path(__file__).parents[4]
SMALL = {
    "random_forest": {"n_estimators": 8},
    "xgboost": {"n_estimators": 8},
    "lightgbm": {"n_estimators": 8},
    "catboost": {"iterations": 8},
}


def examples_of(spec=SPEC, bars=300):
    random = np.random.default_rng(0)
    rows = 2 * bars
    returns = random.normal(scale=0.02, size=(rows, MAX_HORIZON)).astype(np.float32)
    return Examples(
        symbols=("AAA", "BBB"),
        names=tuple(spec.names),
        codes=np.repeat(np.arange(2, dtype=np.int32), bars),
        timestamps=np.tile(np.arange(bars, dtype=np.int64) * 86_400 * 10**9, 2),
        close=np.full(rows, 100.0),
        scale=np.full(rows, 0.02),
        x=random.normal(size=(rows, len(spec.names))).astype(np.float32),
        returns=returns,
        log_widths=random.normal(scale=0.3, size=(rows, len(KNOTS))).astype(np.float32),
    )


def train(kind, *, threads=None, **options):
    return train_on_examples(
        kind,
        examples_of(),
        TrainingConfig(folds=2, params=SMALL.get(kind, {}), **options),
        threads=threads,
    )


def write(directory, trained, **training):
    training = {"snapshot": "abc", "source": "synthetic", **training}
    return write_bundle(directory, trained, SPEC, training=training, signal=SignalRule())


@pytest.fixture(scope="module")
def trained():
    return {kind: train(kind) for kind in (*CANDIDATES, *EXTRAS)}


@pytest.fixture
def bundle(tmp_path, trained):
    directory = tmp_path / "bundle"
    return directory, write(directory, trained["xgboost"]).digest


def sign(directory, **changes):
    """What a forger does: new digests for changed files. Returns the new digest."""
    manifest = orjson.loads((directory / "manifest.json").read_bytes())
    manifest |= changes
    for name in manifest["files"]:
        if (directory / name).is_file():
            manifest["files"][name] = sha256((directory / name).read_bytes())
    raw = canonical_json(manifest)
    (directory / "manifest.json").write_bytes(raw)
    return sha256(raw)


@pytest.mark.parametrize("kind", [*CANDIDATES, *EXTRAS])
def test_a_bundle_forecasts_what_the_trained_candidate_forecasts(kind, tmp_path, trained):
    info = write(tmp_path / kind, trained[kind])
    loaded = load_bundle(tmp_path / kind, expected_digest=info.digest)
    x, model = examples_of().x[:50], trained[kind]
    scale, close = np.full(50, 0.02), np.linspace(50, 150, 50)
    loc = model.locate(x)
    assert np.allclose(loaded.locate(x), loc, atol=1e-5)
    forecast = loaded.forecast(x, scale, close)
    expected = QuantileTable.of(model.calibration).prices(loc, scale, close)
    assert np.allclose(forecast.quantiles, expected, rtol=1e-5)
    rise = probability_above(loc, scale, model.calibration)
    assert np.allclose(forecast.probability_of_rise, rise, atol=1e-4)
    assert set(forecast.signals) <= {"buy", "hold", "sell"}
    assert loaded.forecast(x, scale, close, 3).quantiles.shape == (50, 3, 5)
    assert (loaded.kind, loaded.spec, loaded.signal) == (kind, SPEC, SignalRule())
    assert loaded.digest == info.digest
    assert loaded.manifest["training"] == {
        "seed": 0,
        "trials": 1,
        "snapshot": "abc",
        "source": "synthetic",
    }


WIDE = FeatureSpec(symbols=("AAA", "BBB"), variance=WINDOWS, decays=DECAYS)


@pytest.mark.parametrize("kind", WIDTHS)
def test_a_bundle_of_a_learned_width_forecasts_what_the_candidate_forecasts(kind, tmp_path):
    params = {"n_estimators": 60} if "n_estimators" in DEFAULTS[kind] else {}
    examples = examples_of(WIDE)
    model = train_on_examples(kind, examples, TrainingConfig(folds=2, params=params))
    model.forecaster.slopes = (0.7,) * len(KNOTS)
    info = write_bundle(tmp_path / "b", model, WIDE, training={}, signal=SignalRule())
    loaded = load_bundle(tmp_path / "b", expected_digest=info.digest)
    x, scale, close = examples.x[:50], np.full(50, 0.02), np.linspace(50, 150, 50)
    log_width = model.log_width(x)
    assert np.ptp(log_width) > 0.01
    location, width = loaded.predict(x)
    assert (location == 0).all()
    assert np.allclose(width, log_width, atol=1e-5)
    forecast = loaded.forecast(x, scale, close)
    table = QuantileTable.of(model.calibration)
    expected = table.prices(location, scale, close, log_width=log_width)
    assert np.allclose(forecast.quantiles, expected, rtol=1e-5)
    assert not np.allclose(forecast.quantiles, table.prices(location, scale, close), rtol=1e-3)
    assert np.allclose(forecast.probability_of_rise, 0.5, atol=1e-6)


@pytest.mark.parametrize("kind", ["ridge", "xgboost"])
def test_a_bundle_of_a_location_and_a_width_answers_both_in_one_run(kind, tmp_path):
    examples = examples_of(WIDE)
    few = {"n_estimators": 30} if kind == "xgboost" else {}
    params = {"width": "har_combination", **few}
    model = train_on_examples(kind, examples, TrainingConfig(folds=2, params=params))
    for part in (model.forecaster.location, model.forecaster.width):
        part.slopes = (0.7,) * len(KNOTS)
    info = write_bundle(tmp_path / "b", model, WIDE, training={}, signal=SignalRule())
    loaded = load_bundle(tmp_path / "b", expected_digest=info.digest)
    location, width = loaded.predict(examples.x[:50])
    assert np.ptp(location) > 0.001
    assert np.ptp(width) > 0.01
    assert np.allclose(location, model.locate(examples.x[:50]), atol=1e-5)
    assert np.allclose(width, model.log_width(examples.x[:50]), atol=1e-5)
    assert {"sklearn", "xgboost"} <= info.manifest["versions"].keys()
    assert ("model.ubj" in info.manifest["files"]) == (kind == "xgboost")


def test_a_width_that_is_not_the_models_is_refused(tmp_path):
    model = train_on_examples("har", examples_of(WIDE), TrainingConfig(folds=2))
    write_bundle(tmp_path / "b", model, WIDE, training={}, signal=SignalRule())
    path = tmp_path / "b" / "selfcheck.npz"
    arrays = dict(np.load(path))
    arrays["log_width"] = arrays["log_width"] + np.float32(0.01)
    np.savez(path, **arrays)
    sign(tmp_path / "b")
    with pytest.raises(BundleRejected, match="answers"):
        load_bundle(tmp_path / "b")


def test_the_baseline_of_a_bundle_is_the_random_walk(bundle, trained, tmp_path):
    loaded = load_bundle(bundle[0])
    scale, close = np.array([0.02, 0.01]), np.array([100.0, 7.0])
    prices = loaded.baseline_prices(scale, close, 12)
    assert prices.shape == (2, 12, 5)
    assert (prices[:, :, 2] == close[:, None]).all()
    write(tmp_path / "walk", trained["random_walk"])
    walk = load_bundle(tmp_path / "walk")
    x = np.zeros((2, len(SPEC.names)), np.float32)
    assert np.array_equal(walk.forecast(x, scale, close, 12).quantiles, prices)


def test_a_bundle_of_selected_features_takes_them_all(tmp_path):
    chosen = train_on_examples(
        "ridge", examples_of(bars=420), TrainingConfig(folds=2, select_features=True)
    )
    assert 0 < len(chosen.columns) < len(SPEC.names)
    info = write(tmp_path / "b", chosen)
    assert info.manifest["selected_features"] == list(chosen.selected_features)
    assert info.manifest["part_features"] == [list(chosen.selected_features)]
    x = examples_of().x[:9]
    assert np.allclose(load_bundle(tmp_path / "b").locate(x), chosen.locate(x), atol=1e-5)


WRITER = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from pathlib import Path
import test_bundle as subject
from forecasting.models.training import TrainingConfig, train_on_examples
for kind in ("random_walk", "ridge", "random_forest", "xgboost"):
    trained = subject.train(kind, threads=int(sys.argv[3]), seed=5)
    print(kind, subject.write(Path(sys.argv[4]) / kind, trained).digest)
"""


def run_python(code, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    ).stdout


def test_two_processes_write_the_same_digest(tmp_path):
    here = Path(__file__).parent
    first, second = (
        run_python(WRITER, ROOT, here, threads, tmp_path / str(threads), PYTHONHASHSEED=seed)
        for threads, seed in ((1, "1"), (2, "2"))
    )
    assert first == second
    assert len(set(first.split()[1::2])) == 4


LOADER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from forecasting.bundle.bundle import load_bundle
import numpy as np
bundle = load_bundle(Path(sys.argv[2]), expected_digest=sys.argv[3])
x = np.zeros((1, len(bundle.spec.names)), np.float32)
bundle.forecast(x, np.array([0.01]), np.array([100.0]))
heavy = {"catboost", "lightgbm", "mlflow", "onnx", "optuna", "pandas", "pyarrow", "scipy",
         "sklearn", "skl2onnx", "xgboost"}
print(sorted(heavy & set(sys.modules)))
"""


def test_loading_needs_no_training_library(bundle):
    assert run_python(LOADER, ROOT, *bundle).strip() == "[]"


def test_writing_again_replaces_the_bundle_and_leaves_nothing_else(tmp_path, trained):
    directory = tmp_path / "bundle"
    first = write(directory, trained["xgboost"])
    (directory / "stray.txt").write_text("x")
    second = write(directory, trained["ridge"])
    assert first.digest != second.digest
    assert load_bundle(directory, expected_digest=second.digest).kind == "ridge"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_that_holds_something_else_is_never_replaced(tmp_path, trained):
    directory = tmp_path / "bundle"
    for folder in (directory, tmp_path / ".bundle.part", tmp_path / ".bundle.old"):
        folder.mkdir()
        (folder / "notes.txt").write_text("of somebody")
    with pytest.raises(BundleRejected, match=r"holds notes\.txt"):
        write(directory, trained["ridge"])
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*") if path.is_file()}
    assert found == {f"{name}/notes.txt" for name in ("bundle", ".bundle.part", ".bundle.old")}


@given(HOSTILE_NAMES)
def test_an_expected_digest_that_is_none_is_refused_before_a_file_is_opened(name):
    with pytest.raises(BundleRejected, match="64 lower-case hexadecimal digits"):
        read_manifest(Path("/nowhere"), expected_digest=name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOSTILE_NAMES)
def test_a_manifest_whose_names_lead_elsewhere_is_refused(bundle, name):
    manifest = orjson.loads((bundle[0] / "manifest.json").read_bytes())
    files = manifest["files"]
    for change in (
        {"kind": name},
        {"files": {**files, name: files["model.onnx"]}},
        {"files": {**files, "model.onnx": name}},
    ):
        with pytest.raises(BundleRejected):
            parse_manifest(orjson.dumps({**manifest, **change}))


def test_xgboosts_own_file_lies_beside_and_is_the_model_before_it_is_shrunk(bundle, trained):
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray((bundle[0] / "model.ubj").read_bytes()))
    x = examples_of().x[:20]
    own = booster.inplace_predict(x) * trained["xgboost"].forecaster.slopes
    assert max(trained["xgboost"].forecaster.slopes) > 0
    assert np.allclose(own, trained["xgboost"].locate(x), atol=1e-6)


def test_a_specification_with_other_features_is_refused(tmp_path, trained):
    other = FeatureSpec(symbols=("AAA", "CCC"))
    with pytest.raises(BundleRejected, match="trained on"):
        write_bundle(tmp_path / "b", trained["ridge"], other, training={}, signal=SignalRule())
    assert not list(tmp_path.iterdir())


def test_another_digest_than_the_registrys_is_refused(bundle):
    with pytest.raises(BundleRejected, match="the one the registry holds"):
        load_bundle(bundle[0], expected_digest="0" * 64)


def test_a_manifest_can_be_read_alone(bundle):
    digest, manifest = read_manifest(bundle[0], expected_digest=bundle[1])
    assert digest == bundle[1]
    assert manifest["kind"] == "xgboost"
    assert (manifest["format"], manifest["max_horizon"]) == ("bellwether-bundle/2", MAX_HORIZON)
    assert (manifest["grid"], manifest["knots"]) == (list(GRID), list(KNOTS))
    assert manifest["feature_spec_digest"] == SPEC.digest


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.ubj", "calibration.npy", "baseline.npy", "selfcheck.npz"]
)
def test_a_flipped_byte_anywhere_is_refused(bundle, name):
    path = bundle[0] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleRejected, match=name.replace(".", r"\.")):
        load_bundle(bundle[0], expected_digest=bundle[1])


def test_a_flipped_byte_in_the_manifest_is_refused(bundle):
    path = bundle[0] / "manifest.json"
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleRejected, match="SHA-256"):
        load_bundle(bundle[0], expected_digest=bundle[1])


@pytest.mark.parametrize("name", ["model.onnx", "calibration.npy", "manifest.json"])
def test_a_missing_file_is_refused(bundle, name):
    (bundle[0] / name).unlink()
    with pytest.raises(BundleRejected, match=name.replace(".", r"\.")):
        load_bundle(bundle[0])


@pytest.mark.parametrize("name", ["extra.txt", "model.pkl", ".hidden"])
def test_an_extra_file_is_refused(bundle, name):
    (bundle[0] / name).write_bytes(b"x")
    with pytest.raises(BundleRejected, match="extra"):
        load_bundle(bundle[0], expected_digest=bundle[1])


def test_a_link_is_refused(bundle, tmp_path):
    path = bundle[0] / "model.onnx"
    (tmp_path / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleRejected, match="regular files only"):
        load_bundle(bundle[0], expected_digest=bundle[1])


def test_no_folder_at_all_is_refused(tmp_path):
    with pytest.raises(BundleRejected, match="regular files only"):
        load_bundle(tmp_path / "nowhere")


def test_a_bundle_of_250_bars_forecasts_by_its_own_knots_grid_and_signal(tmp_path):
    digest = make_long_bundle(tmp_path / "long")
    loaded = load_bundle(tmp_path / "long", expected_digest=digest)
    assert (loaded.max_horizon, loaded.signal.horizon) == (250, 60)
    x = np.random.default_rng(8).normal(size=(6, len(loaded.spec.names))).astype(np.float32)
    scale, close = np.linspace(0.01, 0.03, 6), np.linspace(10, 90, 6)
    location, log_width = loaded.predict(x)
    assert location.shape == log_width.shape == (6, len(LONG_KNOTS))
    forecast = loaded.forecast(x, scale, close)
    assert forecast.quantiles.shape == (6, 250, 5)
    assert forecast.probability_of_rise.shape == (6, 250)
    for row, horizon in ((0, 1), (3, 30), (5, 100), (2, 250)):
        centre, width = (np.interp(horizon, LONG_KNOTS, one[row]) for one in (location, log_width))
        quantiles = np.exp(width) * loaded.calibration[horizon - 1, [5, 25, 50, 75, 95]]
        expected = close[row] * np.exp(scale[row] * np.sqrt(horizon) * (centre + quantiles))
        np.testing.assert_allclose(forecast.quantiles[row, horizon - 1], expected, rtol=1e-12)
    above, below = loaded.table.beyond(location, scale, 0.001, 60, log_width)
    assert forecast.signals == signals(above, below, 0.55)
    assert loaded.baseline_prices(scale, close).shape == (6, 250, 5)


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", ["calibration.npy", "selfcheck.npz", "model.onnx"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pickle_is_refused_and_never_executed(bundle, tmp_path, name, wrapped):
    marker = tmp_path / "executed"
    path = bundle[0] / name
    if wrapped:
        with path.open("wb") as file:
            np.save(file, np.array([Payload(marker)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Payload(marker)))
    digest = sign(bundle[0])
    with pytest.raises(BundleRejected):
        load_bundle(bundle[0], expected_digest=digest)
    assert not marker.exists()


def test_a_manifest_that_lists_a_foreign_file_is_refused(bundle):
    (bundle[0] / "model.pkl").write_bytes(b"x")
    files = orjson.loads((bundle[0] / "manifest.json").read_bytes())["files"]
    digest = sign(bundle[0], files={**files, "model.pkl": "0" * 64})
    with pytest.raises(BundleRejected, match=r"model\.pkl"):
        load_bundle(bundle[0], expected_digest=digest)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"format": "bellwether-bundle/3"},
            "or bellwether-bundle/1: 'bellwether-bundle/3'. Upgrade",
        ),
        ({"format": ["bellwether-bundle/2"]}, "format must be bellwether-bundle/2"),
        ({"format": "bellwether-bundle/1", "knots": [1, 30]}, "whose knots is"),
        ({"format": "bellwether-bundle/1", "max_horizon": 60}, "whose max_horizon is"),
        ({"format": "bellwether-bundle/1"}, r"calibration.npy must be float64 \(30, 99\)"),
        ({"knots": [1, 2]}, "knots must be whole numbers that rise from 1 to max_horizon"),
        ({"knots": [2, *KNOTS[1:]]}, "knots must be"),
        ({"knots": [True, *KNOTS[1:]]}, "knots must be"),
        ({"knots": [1, 2, 2, 30]}, "knots must be"),
        ({"knots": []}, "knots must be"),
        ({"knots": [1, 2, 30]}, r"give location \[n, 3\]"),
        ({"max_horizon": 60}, "knots must be"),
        ({"max_horizon": 0}, "max_horizon must be 1 to 250 bars"),
        ({"max_horizon": 251}, "max_horizon must be 1 to 250 bars"),
        ({"max_horizon": True}, "max_horizon must be 1 to 250 bars"),
        ({"max_horizon": 20, "knots": [1, 20]}, r"must be float64 \(20, 101\)"),
        ({"grid": [*GRID[:-1], 0.999]}, "grid must be levels that rise, within 0.005 and 0.995"),
        ({"grid": [0.001, *GRID[1:]]}, "grid must be levels"),
        ({"grid": [*GRID[:7], 0.01, *GRID[8:]]}, "grid must be levels"),
        ({"grid": [*GRID[:-1], 1]}, "grid must be levels"),
        ({"grid": []}, "grid must be levels"),
        ({"grid": [0.05, 0.5, 0.95]}, "grid must contain the published levels"),
        ({"grid": [0.05, 0.25, 0.5, 0.75, 0.95]}, r"must be float64 \(30, 5\)"),
        ({"feature_spec_digest": "0" * 16}, "must have the digest that the manifest gives"),
        ({"feature_spec_digest": None}, "of their types: feature_spec_digest"),
        ({"quantile_levels": [0.5]}, "whose quantile_levels is"),
        ({"kind": None}, "of their types: kind"),
        ({"feature_names": []}, "at least one feature"),
        ({"feature_names": ["other"]}, "those of feature_spec"),
        ({"part_features": [["other"]]}, "together be the selected_features"),
        ({"part_features": 3}, "ones this version knows"),
        ({"feature_spec": {"interval": "7m"}}, "feature_spec and signal"),
        ({"signal": {"horizon": 31}}, "31 bars, max_horizon 30"),
        ({"signal": {"horizon": 251}}, "feature_spec and signal"),
        ({"signal": {"secret": 1}}, "feature_spec and signal"),
    ],
)
def test_a_manifest_this_version_does_not_know_is_refused(bundle, changes, words):
    digest = sign(bundle[0], **changes)
    with pytest.raises(BundleRejected, match=words):
        load_bundle(bundle[0], expected_digest=digest)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"null", b"\xff"])
def test_a_manifest_that_is_no_object_is_refused(bundle, raw):
    (bundle[0] / "manifest.json").write_bytes(raw)
    with pytest.raises(BundleRejected, match=r"manifest\.json|format"):
        load_bundle(bundle[0])


def nan_calibration(good):
    return np.where(np.arange(len(GRID)) == 40, np.nan, good)


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("calibration.npy", nan_calibration, "finite and rise"),
        ("baseline.npy", lambda good: good[:, ::-1], "finite and rise"),
        ("calibration.npy", lambda good: good[:10], "must be float64"),
        ("baseline.npy", lambda good: good.ravel(), "must be float64"),
    ],
)
def test_a_calibration_that_is_none_is_refused(bundle, name, spoil, words):
    path = bundle[0] / name
    path.write_bytes(npy_bytes(spoil(np.load(path))))
    digest = sign(bundle[0])
    with pytest.raises(BundleRejected, match=words):
        load_bundle(bundle[0], expected_digest=digest)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x, loc: {"features": x, "location": loc + np.float32(0.01)}, "differ by 0.01"),
        (lambda x, loc: {"features": x, "location": loc * np.float32(np.nan)}, "differ by nan"),
        (lambda x, loc: {"features": x[:, :3], "location": loc}, "the self-check needs"),
        (lambda x, loc: {"features": x[:0], "location": loc[:0]}, "the self-check needs"),
        (lambda x, _: {"features": x}, "plain arrays"),
    ],
)
def test_a_self_check_that_does_not_hold_is_refused(bundle, spoil, words):
    path = bundle[0] / "selfcheck.npz"
    with np.load(path) as file:
        path.write_bytes(npz_bytes(spoil(file["features"], file["location"])))
    digest = sign(bundle[0])
    with pytest.raises(BundleRejected, match=words):
        load_bundle(bundle[0], expected_digest=digest)


def graph_of(nodes, width=WIDTH, tensors=(), domains=("", "ai.onnx.ml"), outputs=8):
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("location", TensorProto.FLOAT, [None, outputs])],
        initializer=list(tensors),
    )
    opsets = [helper.make_opsetid(domain, 3 if domain else 17) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def outside_tensor():
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def with_function():
    model = graph_of([helper.make_node("Sub", ["features", "features"], ["location"])])
    body = [helper.make_node("Sub", ["a", "a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], body, opsets))
    return model


def nested():
    inner = helper.make_graph(
        [], "inner", [], [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)]
    )
    return graph_of([helper.make_node("Concat", ["features"], ["location"], axis=0, then=inner)])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (graph_of([helper.make_node("Loop", ["features"], ["location"])]), "operators .*'Loop'"),
        (
            graph_of([helper.make_node("Sub", ["features"], ["location"], domain="evil")]),
            "domains .*'evil'",
        ),
        (
            graph_of(
                [helper.make_node("Sub", ["features", "w"], ["location"])],
                domains=("", "com.microsoft"),
            ),
            "domains .*'com.microsoft'",
        ),
        (
            graph_of(
                [helper.make_node("Sub", ["features", "w"], ["location"])],
                tensors=[outside_tensor()],
            ),
            "lie in the file itself",
        ),
        (with_function(), "must not define functions"),
        (nested(), "must not hold a graph"),
    ],
)
def test_a_graph_with_foreign_parts_is_refused_before_it_is_opened(bundle, model, words):
    (bundle[0] / "model.onnx").write_bytes(model.SerializeToString())
    digest = sign(bundle[0])
    with pytest.raises(BundleRejected, match=words):
        load_bundle(bundle[0], expected_digest=digest)


@pytest.mark.parametrize(
    "model",
    [
        graph_of([helper.make_node("Sub", ["features", "features"], ["location"])], outputs=44),
        graph_of([helper.make_node("Sub", ["features", "features"], ["location"])], width=8),
    ],
)
def test_a_graph_of_another_shape_is_refused(bundle, model):
    (bundle[0] / "model.onnx").write_bytes(model.SerializeToString())
    digest = sign(bundle[0])
    with pytest.raises(BundleRejected, match="must take features"):
        load_bundle(bundle[0], expected_digest=digest)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x3a\xff\x01x", b"\xff" * 40, b"<html>"])
def test_bytes_that_are_no_model_are_refused(bundle, content):
    (bundle[0] / "model.onnx").write_bytes(content)
    digest = sign(bundle[0])
    with pytest.raises(BundleRejected, match=r"model\.onnx"):
        load_bundle(bundle[0], expected_digest=digest)


def test_what_the_guard_reads_is_what_onnx_reads(trained):
    for kind in trained:
        content = to_onnx(trained[kind].forecaster, len(SPEC.names), trained[kind].columns)
        inspect_onnx(content)
        model = onnx.load_from_string(content)
        assert {opset.domain for opset in model.opset_import} == {"", "ai.onnx.ml"}
        for cut in (1, len(content) // 2, len(content) - 1):
            with pytest.raises(BundleRejected):
                inspect_onnx(content[:cut])
