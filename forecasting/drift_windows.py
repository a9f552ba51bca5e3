"""Which rows are the reference and which are current: of features, and of the model's answers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecasting.errors import InvalidInput
from forecasting.feature_spec import FeatureSpec
from forecasting.schema import QUANTILE_LEVELS, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    from forecasting.served import ServedFeatures


def feature_windows(
    reference: pd.DataFrame, served: "ServedFeatures", bars: int
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """The champion's training features and the newest served ones, of the symbols both hold.

    Args:
        reference: timestamp, symbol and feature columns; rows the champion was trained on.
        served: what the model server answers from.
        bars: newest served bars per symbol.

    Returns:
        Feature columns of the reference, of the current rows, and notes on what was left out.

    Raises:
        InvalidInput: no served symbol with rows is in the reference.
    """
    stops = served.offsets[1:]
    counts = np.minimum(np.diff(served.offsets), bars)
    codes = np.repeat(np.arange(len(counts)), counts)
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))
    rows = (stops - counts)[codes] + np.arange(codes.size) - first[codes]
    names = FeatureSpec.from_dict(served.spec).names
    values = np.take(served.values, rows, axis=0).astype(np.float64)
    current = pd.DataFrame(values, columns=list(names))
    symbols = np.asarray(served.symbols, dtype=object)[codes]
    known = reference[SYMBOL].astype(str).to_numpy(dtype=object)
    common = set(symbols) & set(known)
    if not common:
        raise InvalidInput(
            "served symbols must be among those the champion was trained on",
            f"served {', '.join(sorted(set(symbols))) or 'none'}; "
            f"trained on {', '.join(sorted(set(known)))}",
            "Train on the symbols that are served",
        )
    notes = []
    for what, left in (
        ("served but unknown to the champion", set(symbols) - common),
        ("trained on but not served", set(known) - common),
    ):
        if left:
            notes.append(f"{len(left)} symbols {what} are left out: {', '.join(sorted(left)[:10])}")
    mine = np.isin(symbols, list(common))
    seen = int((_nanoseconds(reference[TIMESTAMP]).max() >= served.timestamps[rows][mine]).sum())
    if seen:
        notes.append(
            f"{seen} of {int(mine.sum())} current feature rows lie in the champion's training span"
        )
    features = reference.drop(columns=[SYMBOL, TIMESTAMP])[np.isin(known, list(common))]
    return features.reset_index(drop=True), current[mine].reset_index(drop=True), tuple(notes)


def prediction_windows(
    forecasts: Sequence[Mapping[str, Any]], *, horizon: int, instants: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One model version's earlier answers, and its newest ones.

    The newest `instants` distinct as-of instants are current, or the newer half if there are
    fewer than twice as many; the instants before them are the reference. A forecast asked for
    more than once counts once.

    Args:
        forecasts: mappings with symbol, as_of (unix nanoseconds), last_close, quantiles [h, Q]
            (prices) and probability_of_rise [h].
        horizon: the horizon looked at, in bars; forecasts that do not reach it are left out.
        instants: most as-of instants that count as current.

    Returns:
        Reference and current, with the columns median_return, interval_width (log return of p95
        over p05) and probability_of_rise, at the horizon.
    """
    seen: dict[tuple[int, str], tuple[float, float, float]] = {}
    low, middle, high = (QUANTILE_LEVELS.index(level) for level in (0.05, 0.5, 0.95))
    for one in forecasts:
        if len(one["quantiles"]) < horizon or len(one["probability_of_rise"]) < horizon:
            continue
        quantiles = one["quantiles"][horizon - 1]
        seen[int(one["as_of"]), str(one["symbol"])] = (
            _log_ratio(quantiles[middle], one["last_close"]),
            _log_ratio(quantiles[high], quantiles[low]),
            float(one["probability_of_rise"][horizon - 1]),
        )
    columns = ["median_return", "interval_width", "probability_of_rise"]
    frame = pd.DataFrame(list(seen.values()), columns=columns, dtype=np.float64)
    as_of = np.array([instant for instant, _ in seen], dtype=np.int64)
    distinct = np.unique(as_of)
    newest = min(instants, distinct.size // 2)
    is_current = as_of >= distinct[distinct.size - newest] if newest else as_of < 0
    return (
        frame[~is_current].reset_index(drop=True),
        frame[is_current].reset_index(drop=True),
    )


def _nanoseconds(column: "pd.Series[Any]") -> np.ndarray[Any, np.dtype[np.int64]]:
    instants = pd.to_datetime(column, utc=True).astype("datetime64[ns, UTC]")
    return np.asarray(instants.astype("int64"), dtype=np.int64)


def _log_ratio(above: float, below: float) -> float:
    return float(np.log(above / below)) if above > 0 and below > 0 else float("nan")
