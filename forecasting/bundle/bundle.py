"""A trained model on disk: non-executable bytes, a manifest, and a digest for every file.

    manifest.json     what it is, how it was made, and the SHA-256 of every other file
    model.onnx        features [n, k] -> locations [n, K] of the standardised return, and for a model
                      that learns them logs [n, K] of its width
    model.ubj         the XGBoost booster in its own format, for that kind only, before its locations
                      are shrunk; never loaded here
    calibration.npy   float64 [H, G] quantiles of the standardised residual
    baseline.npy      float64 [H, G] the random walk's
    selfcheck.npz     a few rows and what the exporter got for them

The manifest says which G levels, K knots and H bars these are (`files.Shape`); what reads a bundle
takes them from there. Its digest is the SHA-256 of manifest.json. Loading needs NumPy and onnxruntime only.
Nothing is parsed before its digest holds, every file is read once, and no pickle is ever read.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.bundle import files as form
from forecasting.bundle.onnx_allowlist import inspect_onnx
from forecasting.errors import BundleRejected, InvalidInput
from forecasting.features.build import FeatureSpec
from forecasting.features.targets import SignalRule
from forecasting.models.quantiles import GRID, KNOTS, QuantileTable, signals
from forecasting.npz import npy_bytes, npz_bytes
from forecasting.path_names import require_digest
from forecasting.schema import MAX_HORIZON, QUANTILE_LEVELS

if TYPE_CHECKING:
    from forecasting.models.training import TrainedCandidate


@dataclass(frozen=True)
class BundleInfo:
    """What `write_bundle` wrote.

    Attributes:
        digest: SHA-256 of manifest.json, hex.
        manifest: its content.
    """

    digest: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class BundleForecast:
    """Forecasts for n rows.

    Attributes:
        quantiles: float64 [n, horizon, Q] prices.
        probability_of_rise: float64 [n, horizon].
        signals: buy, hold or sell for every row.
    """

    quantiles: Floats
    probability_of_rise: Floats
    signals: list[str]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle, ready to forecast; safe to share between threads.

    Attributes:
        digest: SHA-256 of its manifest, hex.
        manifest: the manifest.
        spec: how the features it takes are built.
        kind: the candidate.
        table: its calibration.
        baseline: the random walk's calibration.
        signal: when a forecast is worth a trade.
        session: the onnxruntime session.
        calibrated: number of the calibration in force; 0 for the one that it brings.
        calibrated_until: close of the last bar that it has learned from, ISO 8601; "" of its own.
    """

    digest: str
    manifest: dict[str, Any]
    spec: FeatureSpec
    kind: str
    table: QuantileTable
    baseline: QuantileTable
    signal: SignalRule
    session: Any
    calibrated: int = 0
    calibrated_until: str = ""

    @property
    def levels(self) -> tuple[float, ...]:
        """The Q published quantile levels."""
        return self.table.levels

    @property
    def calibration(self) -> Floats:
        """Quantiles [H, G] of the standardised residual."""
        return self.table.calibration

    @property
    def max_horizon(self) -> int:
        """H, the longest forecast, in bars."""
        return len(self.table.calibration)

    def locate(self, x: NDArray[np.float32]) -> Floats:
        """Locations [n, K] for features [n, k], columns as in the manifest's feature_names."""
        return self.predict(x)[0]

    def predict(self, x: NDArray[np.float32]) -> tuple[Floats, Floats | None]:
        """Locations [n, K], and logs of widths [n, K], None where the model learned none.

        One run answers both.
        """
        outputs = self.session.run(None, {"features": x})
        loc: Floats = outputs[0].astype(np.float64)
        return loc, outputs[1].astype(np.float64) if len(outputs) > 1 else None

    def forecast(
        self, x: NDArray[np.float32], scale: Floats, close: Floats, horizon: int | None = None
    ) -> BundleForecast:
        """Price quantiles, probabilities of a rise and signals.

        Args:
            x: float32 [n, k] features, finite.
            scale: float64 [n] volatility of one bar's log return.
            close: float64 [n] last closes, raw.
            horizon: bars to look ahead, 1..H; None for H.
        """
        loc, log_width = self.predict(x)
        rule, table = self.signal, self.table
        prices, rise, (above, below) = table.forecast(
            loc, scale, close, horizon, log_width, cost=rule.cost, signal_horizon=rule.horizon
        )
        return BundleForecast(
            quantiles=prices,
            probability_of_rise=rise,
            signals=signals(above, below, rule.threshold),
        )

    def baseline_prices(self, scale: Floats, close: Floats, horizon: int | None = None) -> Floats:
        """Price quantiles [n, horizon, Q] of the random walk, from the same origin."""
        nowhere = np.zeros((len(scale), len(self.baseline.knots)))
        return self.baseline.prices(nowhere, scale, close, horizon)


def write_bundle(
    directory: Path,
    trained: "TrainedCandidate",
    spec: FeatureSpec,
    *,
    training: dict[str, Any],
    signal: SignalRule,
) -> BundleInfo:
    """Write a candidate as a bundle, whole or not at all.

    The same data, seed and packages give the same digest: put nothing into `training` that
    differs between two such runs, such as the time of day.

    Args:
        directory: where the bundle is to be; a bundle that is there, or an empty folder, is
            replaced.
        trained: the candidate.
        spec: how its features were built.
        training: where it comes from: snapshot, source, symbols, first, last, git revision, ...
        signal: the signal rule to serve.

    Raises:
        BundleRejected: the export differs from the model, or would be refused when loaded, or
            something else than a bundle is there already.
    """
    from forecasting.bundle.onnx_writer import to_onnx
    from forecasting.models.candidates import Learner
    from forecasting.models.parts import LocationAndWidth, parts_of

    if tuple(spec.names) != trained.feature_names:
        raise BundleRejected(
            "a bundle's feature specification must name the features the model was trained on",
            f"{len(spec.names)} names, trained on {len(trained.feature_names)}, or another order",
            "Pass the specification the feature table was built with",
        )
    model = to_onnx(trained.forecaster, len(trained.feature_names), trained.columns)
    inspect_onnx(model)
    exported = _open(model).run(None, {"features": trained.sample})
    learned = (trained.locate(trained.sample), trained.log_width(trained.sample))
    for found, expected in zip(exported, learned, strict=False):
        form.check_parity(found, expected, "the export of the trained model")
    selfcheck = dict(zip(form.OUTPUTS, exported, strict=False))
    content = {
        "model.onnx": model,
        "calibration.npy": npy_bytes(trained.calibration),
        "baseline.npy": npy_bytes(trained.baseline),
        "selfcheck.npz": npz_bytes({"features": trained.sample, **selfcheck}),
    }
    fitted = trained.forecaster
    location = fitted.location if isinstance(fitted, LocationAndWidth) else fitted
    if isinstance(location, Learner) and location.kind == "xgboost":
        content["model.ubj"] = bytes(location.estimator.get_booster().save_raw("ubj"))
    manifest = {
        "format": form.FORMAT,
        "kind": trained.kind,
        "params": trained.params,
        "feature_spec": spec.to_dict(),
        "feature_spec_digest": spec.digest,
        "feature_names": trained.feature_names,
        "selected_features": trained.selected_features,
        "part_features": trained.part_features,
        "grid": GRID,
        "knots": KNOTS,
        "max_horizon": MAX_HORIZON,
        "quantile_levels": QUANTILE_LEVELS,
        "signal": asdict(signal),
        "training": {"seed": trained.seed, "trials": trained.trials, **training},
        "versions": form.versions(part.kind for part in parts_of(trained.kind, trained.params)),
        "files": {name: form.sha256(data) for name, data in content.items()},
    }
    content[form.MANIFEST] = form.canonical_json(manifest)
    digest = form.sha256(content[form.MANIFEST])
    _place(directory, content, digest)
    return BundleInfo(digest, form.parse_manifest(content[form.MANIFEST]))


def read_manifest(
    directory: Path, *, expected_digest: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Digest and content of a bundle's manifest, checked, with no other file opened.

    Raises:
        BundleRejected: there is none, its digest is another, or it breaks the format.
    """
    if expected_digest is not None:
        require_digest(expected_digest, "the digest a bundle is expected to have")
    raw = form.read_file(directory / form.MANIFEST)
    digest = form.sha256(raw)
    if expected_digest is not None and digest != expected_digest:
        raise BundleRejected(
            "the manifest's SHA-256 must be the one the registry holds",
            f"{digest}, expected {expected_digest}",
            form.REMEDY,
        )
    return digest, form.parse_manifest(raw)


def load_bundle(directory: Path, *, expected_digest: str | None = None) -> Bundle:
    """Verify a bundle and make it ready to forecast.

    Order: the manifest against `expected_digest`, the folder against the manifest, every file
    against its digest; only then are arrays and the graph parsed, and the graph must give the
    self-check's answers.

    Args:
        directory: the bundle.
        expected_digest: SHA-256 its manifest must have; without it only the files are checked
            against the manifest, which protects from damage but not from a forger.

    Raises:
        BundleRejected: says which rule is broken; nothing of the bundle is kept.
    """
    digest, manifest = read_manifest(directory, expected_digest=expected_digest)
    content = form.read_contents(directory, manifest["files"])
    shape = form.shape_of(manifest)
    spec, rule = _spec_and_rule(manifest, shape.horizon)
    width, knots = len(manifest["feature_names"]), len(shape.knots)
    table, baseline = (
        QuantileTable.of(
            form.parse_calibration(content[name], name, shape), grid=shape.grid, knots=shape.knots
        )
        for name in ("calibration.npy", "baseline.npy")
    )
    inspect_onnx(content["model.onnx"])
    session = _open(content["model.onnx"])
    outputs = _check_signature(session, width, knots)
    features, *answers = form.parse_selfcheck(content["selfcheck.npz"], width, knots, outputs)
    bundle = Bundle(
        digest=digest,
        manifest=manifest,
        spec=spec,
        kind=manifest["kind"],
        table=table,
        baseline=baseline,
        signal=rule,
        session=session,
    )
    for found, expected in zip(bundle.predict(features), answers, strict=False):
        if found is not None:
            form.check_parity(found, expected, "the loaded model")
    return bundle


def _place(directory: Path, content: dict[str, bytes], digest: str) -> None:
    """Write the files beside `directory`, load them as a server would, then put them there."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    # A folder of our own: only it, and the bundle that gives way into it, is ever removed.
    with TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name[:40]}.") as own:
        draft, old = Path(own) / "new", Path(own) / "old"
        draft.mkdir()
        for name, data in content.items():
            (draft / name).write_bytes(data)
        load_bundle(draft, expected_digest=digest)
        if directory.exists():
            _refuse_other_files(directory)
            directory.replace(old)
        draft.replace(directory)


def _refuse_other_files(directory: Path) -> None:
    """Refuse to replace what is neither empty nor a bundle."""
    found = {path.name for path in directory.iterdir()} if directory.is_dir() else {"a file"}
    if found and form.MANIFEST not in found:
        raise BundleRejected(
            "a bundle is written where nothing, or another bundle, is",
            f"{directory} holds {', '.join(sorted(found)[:5])}",
            "Name another folder",
        )


def _open(model: bytes) -> Any:
    """An onnxruntime session that keeps to the calling thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as fault:  # onnxruntime's errors have no common root
        raise BundleRejected(
            "onnxruntime must accept model.onnx", str(fault).splitlines()[0], form.REMEDY
        ) from fault


def _check_signature(session: Any, width: int, knots: int) -> tuple[str, ...]:
    """Names of the outputs: the location, and perhaps the log of the width."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = [(end.name, end.type, end.shape[1:]) for end in (*inputs, *outputs)]
    names = form.OUTPUTS[: max(len(outputs), 1)]
    expected = [
        ("features", "tensor(float)", [width]),
        *((name, "tensor(float)", [knots]) for name in names),
    ]
    if found != expected or len(inputs) != 1:
        raise BundleRejected(
            f"model.onnx must take features [n, {width}] and give location [n, {knots}], "
            "and perhaps log_width of the same shape",
            str(found),
            form.REMEDY,
        )
    return names


def _spec_and_rule(manifest: dict[str, Any], longest: int) -> tuple[FeatureSpec, SignalRule]:
    try:
        spec = FeatureSpec.from_dict(manifest["feature_spec"])
        rule = SignalRule(**manifest["signal"])
        selected = set(manifest["selected_features"])
        # Older bundles say what their parts take together alone.
        in_parts = set().union(*manifest.get("part_features", [selected]))
    except (InvalidInput, TypeError, ValueError, KeyError) as fault:
        raise BundleRejected(
            "feature_spec and signal must be ones this version knows", str(fault), form.REMEDY
        ) from fault
    names = manifest["feature_names"]
    if list(spec.names) != names or not selected <= set(names):
        raise BundleRejected(
            "feature_names must be those of feature_spec, and selected_features among them",
            f"{len(names)} names",
            form.REMEDY,
        )
    if in_parts != selected:
        raise BundleRejected(
            "part_features must together be the selected_features",
            f"{len(in_parts ^ selected)} are in one of them only",
            form.REMEDY,
        )
    promised = manifest["feature_spec_digest"] if manifest["format"] == form.FORMAT else spec.digest
    if spec.digest != promised:
        raise BundleRejected(
            "feature_spec must have the digest that the manifest gives: else its features would be "
            "built in another way than the model learned from",
            f"{spec.digest}, the manifest says {promised[:80]}",
            form.REMEDY,
        )
    if rule.horizon > longest:
        raise BundleRejected(
            "a signal's horizon must be one that the bundle forecasts",
            f"{rule.horizon} bars, max_horizon {longest}",
            form.REMEDY,
        )
    return spec, rule
