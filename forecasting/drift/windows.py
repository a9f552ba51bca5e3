"""What is held against what: of the features, and of the model's answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forecasting.drift.columns import Sample
from forecasting.drift.config import Look
from forecasting.drift.panel import DriftPanel
from forecasting.errors import InvalidInput
from forecasting.features.spec import FeatureSpec
from forecasting.instants import nanoseconds
from forecasting.schema import QUANTILE_LEVELS, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.online import ServedFeatures


@dataclass(frozen=True, eq=False)
class View:
    """One look at a panel.

    Attributes:
        look: which bars.
        reference: what the newest bars are held against: the whole history, or the bars before.
        current: the newest bars.
        history: where the limits come from; it holds nothing of the window that is judged.
    """

    look: Look
    reference: Sample
    current: Sample
    history: DriftPanel


def feature_panels(
    reference: "pd.DataFrame", served: "ServedFeatures"
) -> tuple[DriftPanel, DriftPanel, tuple[str, ...]]:
    """The champion's training features and the served ones, of the symbols both hold.

    Args:
        reference: timestamp, symbol and feature columns; rows the champion was trained on.
        served: what the model server answers from.

    Returns:
        The history, the served rows, and notes on what was left out.

    Raises:
        InvalidInput: no served symbol with rows is in the reference.
    """
    counts = np.diff(served.offsets)
    recent = DriftPanel.of_rows(
        np.repeat(np.asarray(served.symbols, dtype=np.str_), counts),
        served.timestamps,
        np.asarray(served.values, dtype=np.float64),
        FeatureSpec.from_dict(served.spec).names,
    )
    features = reference.drop(columns=[SYMBOL, TIMESTAMP])
    history = DriftPanel.of_rows(
        reference[SYMBOL].to_numpy(dtype=np.str_),
        nanoseconds(reference[TIMESTAMP]),
        _numbers(features),
        [str(name) for name in features.columns],
    )
    common = set(recent.symbols) & set(history.symbols)
    if not common:
        raise InvalidInput(
            "served symbols must be among those the champion was trained on",
            f"served {', '.join(recent.symbols) or 'none'}; "
            f"trained on {', '.join(history.symbols)}",
            "Train on the symbols that are served",
        )
    notes = []
    for what, left in (
        ("served but not in the champion's reference", set(recent.symbols) - common),
        ("in the champion's reference but not served", set(history.symbols) - common),
    ):
        if left:
            named = ", ".join(sorted(left)[:10])
            notes.append(f"{len(left)} symbols {what} are not compared: {named}")
    history, recent = history.of_symbols(common), recent.of_symbols(common)
    return history, recent, tuple(notes)


def feature_views(
    history: DriftPanel, recent: DriftPanel, looks: Sequence[Look]
) -> tuple[list[View], tuple[str, ...]]:
    """Every look at the served features, and notes on it.

    Args:
        history: the champion's training features.
        recent: the served ones.
        looks: at levels and at changes.
    """
    views = []
    notes: list[str] = []
    for look in looks:
        newest, before = recent.newest(look)
        first, last = recent.span(look)
        earlier = history.before(first)
        seen = int(((history.instants >= first) & (history.instants <= last)).sum())
        if seen and not look.before:
            notes.append(
                f"the newest {look.newest} bars reach into the champion's training span, whose "
                f"{seen} rows of those dates are left out of the reference"
            )
        reference = Sample(recent.names, before)
        if not look.before:
            reference = Sample(history.names, earlier.values)
        views.append(View(look, reference, Sample(recent.names, newest), earlier))
    return views, tuple(notes)


def answer_views(answers: DriftPanel, looks: Sequence[Look]) -> list[View]:
    """Every look at a model's answers: the newest against earlier ones.

    Limits come from the answers before the window that is judged, so a short log has none.

    Args:
        answers: the answers of one version, from `answer_panel`.
        looks: at levels and at changes.
    """
    views = []
    for look in looks:
        newest, before = answers.newest(look)
        history = answers.before(answers.span(look)[0])
        reference = Sample(answers.names, before if look.before else history.values)
        views.append(View(look, reference, Sample(answers.names, newest), history))
    return views


def answer_panel(forecasts: Sequence[Mapping[str, Any]], *, horizon: int) -> DriftPanel:
    """What a model said, one row per symbol and as-of instant; asked again counts once.

    Args:
        forecasts: mappings with symbol, as_of (unix nanoseconds), last_close, quantiles [h, Q]
            (prices) and probability_of_rise [h].
        horizon: the horizon looked at, in bars; forecasts that do not reach it are left out.

    Returns:
        The columns median_return, interval_width (log return of p95 over p05) and
        probability_of_rise, at the horizon.
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
    return DriftPanel.of_rows(
        [symbol for _, symbol in seen],
        [instant for instant, _ in seen],
        np.array(list(seen.values()), dtype=np.float64).reshape(len(seen), 3),
        ("median_return", "interval_width", "probability_of_rise"),
    )


def _numbers(frame: "pd.DataFrame") -> np.ndarray[Any, np.dtype[np.float64]]:
    import pandas as pd

    columns = [pd.to_numeric(frame[name], errors="coerce") for name in frame.columns]
    return np.stack([column.to_numpy(dtype=np.float64) for column in columns], axis=1)


def _log_ratio(above: float, below: float) -> float:
    return float(np.log(above / below)) if above > 0 and below > 0 else float("nan")
