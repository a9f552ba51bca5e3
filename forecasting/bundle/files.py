"""The files of a bundle: which there are, what each must hold, and how they are read and written.

Tested as part of whole bundles, in test_bundle.py, as are `onnx_writer` and `onnx_allowlist`.
"""

import hashlib
import io
import platform
from collections.abc import Iterable, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from forecasting.arrays import Floats
from forecasting.errors import BundleRejected, InvalidRequest
from forecasting.models.candidates import NULLS
from forecasting.models.quantiles import grid_columns
from forecasting.npz import load_npy, load_npz, unpacked_size
from forecasting.path_names import is_digest, is_plain_name
from forecasting.schema import MOST_HORIZON, QUANTILE_LEVELS

FORMAT: Final = "bellwether-bundle/2"
FORMAT_1: Final = "bellwether-bundle/1"
"""The format of before, still read: one grid, eight knots and 30 bars, whatever trainings make now."""

OUTERMOST: Final = (0.005, 0.995)
"""Levels that no calibration's grid passes."""

MANIFEST: Final = "manifest.json"
REQUIRED: Final = frozenset({"model.onnx", "calibration.npy", "baseline.npy", "selfcheck.npz"})
ALLOWED: Final = REQUIRED | {"model.ubj"}
OUTPUTS: Final = ("location", "log_width")
"""What a model's graph answers, each [n, K]; one that learns no width gives the first alone."""

PARITY: Final = 1e-5
"""Largest difference, in standardised returns, between a model and its export."""

REMEDY: Final = "Fetch the bundle again from the registry, or train again; do not serve this one"

_LARGEST: Final = 512 * 1024 * 1024
_FIELDS: Final[dict[str, type]] = {
    "kind": str,
    "params": dict,
    "feature_spec": dict,
    "feature_names": list,
    "selected_features": list,
    "knots": list,
    "max_horizon": int,
    "quantile_levels": list,
    "signal": dict,
    "training": dict,
    "versions": dict,
    "files": dict,
}
_FIELDS_2: Final[dict[str, type]] = {**_FIELDS, "grid": list, "feature_spec_digest": str}
_PACKAGES: Final = {
    **dict.fromkeys(NULLS, ()),
    "ridge": ("sklearn",),
    "random_forest": ("sklearn",),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "catboost": ("catboost",),
    "har": ("sklearn",),
    "har_boosted": ("xgboost",),
    "garch": ("scipy",),
    "har_combination": ("sklearn", "xgboost", "scipy"),
}


class Shape(NamedTuple):
    """What a bundle's arrays are made for.

    Attributes:
        grid: the G levels of its calibrations, rising.
        knots: the K horizons its model answers, rising from 1 to the longest.
        horizon: H, the longest it forecasts, in bars.
    """

    grid: tuple[float, ...]
    knots: tuple[int, ...]
    horizon: int


_SHAPE_1: Final = Shape(
    tuple(percent / 100 for percent in range(1, 100)), (1, 2, 3, 5, 10, 15, 20, 30), 30
)


def sha256(content: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(content).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON whose bytes depend on the content only."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)


def versions(kinds: Iterable[str]) -> dict[str, str]:
    """Versions of what made a model of these kinds."""
    packages = [package for kind in kinds for package in _PACKAGES.get(kind, ())]
    modules = ("numpy", "onnx", "onnxruntime", *packages)
    found = {module: str(import_module(module).__version__) for module in modules}
    return {"python": platform.python_version(), **found}


def read_file(path: Path) -> bytes:
    """Bytes of a regular file of the bundle.

    Raises:
        BundleRejected: it is missing, a link, a folder, too large or unreadable.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleRejected("a bundle holds regular files only", str(path), REMEDY)
        if path.stat().st_size > _LARGEST:
            raise BundleRejected(f"a bundle's file has at most {_LARGEST} bytes", path.name, REMEDY)
        return path.read_bytes()
    except OSError as fault:
        raise BundleRejected("a bundle's files must be readable", str(fault), REMEDY) from fault


def parse_manifest(raw: bytes) -> dict[str, Any]:
    """The manifest in its JSON, of this format or of the one before; `shape_of` tells what it holds.

    Raises:
        BundleRejected: it is no JSON, of another format, or a field is missing or wrong.
    """
    try:
        manifest = orjson.loads(raw)
    except orjson.JSONDecodeError as fault:
        raise BundleRejected("manifest.json must be JSON", str(fault), REMEDY) from fault
    found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
    if not isinstance(manifest, dict) or found not in (FORMAT, FORMAT_1):
        raise BundleRejected(
            f"a bundle's format must be {FORMAT} or {FORMAT_1}",
            repr(found),
            "Upgrade what reads the bundle: newer versions of Bellwether may write another format, "
            "and read this one",
        )
    fields = _FIELDS_2 if found == FORMAT else _FIELDS
    wrong = [name for name, kind in fields.items() if not isinstance(manifest.get(name), kind)]
    if wrong:
        raise BundleRejected(
            "the manifest's fields must be there and of their types", ", ".join(wrong), REMEDY
        )
    _check_shape(manifest)
    if not is_plain_name(manifest["kind"]):
        raise BundleRejected("a bundle's kind must be a plain name", manifest["kind"][:80], REMEDY)
    if not manifest["feature_names"]:
        raise BundleRejected("a model needs at least one feature", "0 feature_names", REMEDY)
    _check_files(manifest["files"])
    return manifest


def _check_shape(manifest: dict[str, Any]) -> None:
    fixed: dict[str, Any] = {"quantile_levels": list(QUANTILE_LEVELS)}
    if manifest["format"] == FORMAT_1:
        fixed |= {"knots": list(_SHAPE_1.knots), "max_horizon": _SHAPE_1.horizon}
    for name, value in fixed.items():
        if manifest[name] != value:
            raise BundleRejected(
                f"this version serves bundles whose {name} is {value}", str(manifest[name]), REMEDY
            )
    if manifest["format"] == FORMAT_1:
        return
    horizon, knots, grid = manifest["max_horizon"], manifest["knots"], manifest["grid"]
    # A number's type is compared, not its class: JSON's true would pass for a 1.
    if type(horizon) is not int or not 1 <= horizon <= MOST_HORIZON:
        raise BundleRejected(f"max_horizon must be 1 to {MOST_HORIZON} bars", str(horizon), REMEDY)
    if not _rise(knots, int) or (knots[0], knots[-1]) != (1, horizon):
        raise BundleRejected(
            "knots must be whole numbers that rise from 1 to max_horizon",
            f"{knots}, max_horizon {horizon}",
            REMEDY,
        )
    low, high = OUTERMOST
    if not _rise(grid, float) or grid[0] < low or grid[-1] > high:
        raise BundleRejected(
            f"grid must be levels that rise, within {low} and {high}", _shortened(grid), REMEDY
        )
    try:
        grid_columns(QUANTILE_LEVELS, grid)
    except InvalidRequest as fault:
        raise BundleRejected(
            "grid must contain the published levels", _shortened(grid), REMEDY
        ) from fault


def _rise(values: list[Any], kind: type) -> bool:
    """Whether there are values, all of one type, each above the one before; NaN is above nothing."""
    return (
        bool(values)
        and all(type(value) is kind for value in values)
        and all(after > before for before, after in pairwise(values))
    )


def _shortened(values: list[Any]) -> str:
    text = str(values)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(values)} values)"


def shape_of(manifest: dict[str, Any]) -> Shape:
    """What the arrays of a bundle are made for, from a manifest that `parse_manifest` read."""
    if manifest["format"] == FORMAT_1:
        return _SHAPE_1
    return Shape(tuple(manifest["grid"]), tuple(manifest["knots"]), manifest["max_horizon"])


def _check_files(files: dict[str, Any]) -> None:
    names = set(files)
    if not REQUIRED <= names <= ALLOWED:
        raise BundleRejected(
            f"a bundle holds {', '.join(sorted(REQUIRED))} and perhaps model.ubj",
            f"the manifest lists {', '.join(sorted(names))}",
            REMEDY,
        )
    if not all(is_digest(digest) for digest in files.values()):
        raise BundleRejected("the manifest gives a SHA-256 for every file", str(files), REMEDY)


def read_contents(directory: Path, files: dict[str, str]) -> dict[str, bytes]:
    """Every file of a bundle by name, read once, its digest checked.

    Raises:
        BundleRejected: a file is missing, foreign or not what the manifest says.
    """
    try:
        found = {path.name for path in directory.iterdir()}
    except OSError as fault:
        raise BundleRejected("a bundle is a readable folder", str(fault), REMEDY) from fault
    expected = {*files, MANIFEST}
    if found != expected:
        raise BundleRejected(
            "a bundle holds exactly the files its manifest lists",
            f"missing {sorted(expected - found)}, extra {sorted(found - expected)}",
            REMEDY,
        )
    contents = {name: read_file(directory / name) for name in files}
    for name, content in contents.items():
        if sha256(content) != files[name]:
            raise BundleRejected(
                "every file's SHA-256 must be the one in the manifest",
                f"{name} is {sha256(content)}, the manifest says {files[name]}",
                REMEDY,
            )
    return contents


def parse_calibration(content: bytes, name: str, made_for: Shape) -> Floats:
    """A calibration [H, G]: finite, and rising along its levels.

    Raises:
        BundleRejected: it is something else.
    """
    try:
        array = load_npy(content)
    except ValueError as fault:
        raise BundleRejected(f"{name} must be a plain .npy array", str(fault), REMEDY) from fault
    shape = (made_for.horizon, len(made_for.grid))
    if array.shape != shape or array.dtype != np.float64:
        raise BundleRejected(
            f"{name} must be float64 {shape}", f"{array.dtype} {array.shape}", REMEDY
        )
    if not np.isfinite(array).all() or (np.diff(array, axis=1) < 0).any():
        raise BundleRejected(
            f"{name} must be finite and rise with the level", "it is not, or does not", REMEDY
        )
    return np.ascontiguousarray(array)


def parse_selfcheck(
    content: bytes, width: int, knots: int, outputs: Sequence[str] = OUTPUTS[:1]
) -> tuple[NDArray[np.float32], ...]:
    """The rows [m, width] of the self-check and what each output must give for them, [m, K].

    Raises:
        BundleRejected: the file holds something else.
    """
    try:
        if unpacked_size(content) > _LARGEST:
            raise BundleRejected("selfcheck.npz must be small", "it unpacks large", REMEDY)
        arrays = load_npz(io.BytesIO(content), ("features", *outputs))
    except (ValueError, OSError) as fault:
        raise BundleRejected(
            f"selfcheck.npz must hold the plain arrays features, {', '.join(outputs)}",
            str(fault),
            REMEDY,
        ) from fault
    features, answers = arrays["features"], [arrays[name] for name in outputs]
    rows = len(features) if features.ndim else 0
    shapes = features.shape == (rows, width) and all(
        answer.shape == (rows, knots) for answer in answers
    )
    if not rows or not shapes or {one.dtype for one in arrays.values()} != {np.dtype(np.float32)}:
        raise BundleRejected(
            f"the self-check needs float32 rows [m, {width}] and answers [m, {knots}]",
            ", ".join(f"{name} {one.dtype} {one.shape}" for name, one in arrays.items()),
            REMEDY,
        )
    return features, *answers


def check_parity(found: NDArray[np.floating], expected: NDArray[np.floating], what: str) -> None:
    """Refuse answers [m, K] that differ from the expected ones, or are not finite.

    Raises:
        BundleRejected: the largest difference is above PARITY.
    """
    difference = float(np.abs(found - expected).max(initial=0.0))
    if not difference <= PARITY:  # a NaN is refused too
        raise BundleRejected(
            f"{what} must give the model's answers within {PARITY:g}",
            f"they differ by {difference:g}",
            REMEDY,
        )
