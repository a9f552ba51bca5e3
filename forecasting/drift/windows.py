"""The panel of rows that drift is measured on, and its reference and current windows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from forecasting.arrays import Floats, Instants, Mask
from forecasting.drift.columns import Sample
from forecasting.drift.config import Look
from forecasting.errors import InvalidInput
from forecasting.features.spec import FeatureSpec
from forecasting.instants import nanoseconds
from forecasting.schema import QUANTILE_LEVELS, SYMBOL, TIMESTAMP

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.features.online import ServedFeatures


ABSENT = -1
"""In a table of rows: no row here."""

ANSWER_COLUMNS: Final = ("median_return", "interval_width", "probability_of_rise")
"""What is watched of an answer: log return of the median, log return of p95 over p05, probability."""


@dataclass(frozen=True, eq=False)
class DriftPanel:
    """Rows of several symbols, ordered by symbol, then time.

    Attributes:
        symbols: names, in the order of their rows.
        bounds: first row of each symbol, and n: int64 [S + 1].
        instants: unix nanoseconds, rising within a symbol, int64 [n].
        values: float64 [n, k].
        names: names of the k columns.
    """

    symbols: tuple[str, ...]
    bounds: Instants
    instants: Instants
    values: Floats
    names: tuple[str, ...]

    @classmethod
    def of_rows(
        cls,
        symbols: Sequence[str] | NDArray[Any],
        instants: Sequence[int] | Instants,
        values: Floats,
        names: Sequence[str],
    ) -> "DriftPanel":
        """A panel of rows in any order.

        Args:
            symbols: symbol of every row [n].
            instants: unix nanoseconds of every row [n].
            values: float64 [n, k].
            names: names of the k columns.
        """
        labels = np.asarray(symbols, dtype=np.str_)
        times = np.asarray(instants, dtype=np.int64)
        order = np.lexsort((times, labels))
        known, first = np.unique(labels[order], return_index=True)
        return cls(
            tuple(known.tolist()),
            np.concatenate((first, [labels.size])).astype(np.int64),
            times[order],
            np.ascontiguousarray(values[order], dtype=np.float64),
            tuple(names),
        )

    def of_symbols(self, symbols: Collection[str]) -> "DriftPanel":
        """The rows of some symbols."""
        return self._of(np.isin(self.labels, sorted(symbols)))

    def before(self, instant: int) -> "DriftPanel":
        """The rows before an instant."""
        return self._of(self.instants < instant)

    def _of(self, rows: Mask) -> "DriftPanel":
        return DriftPanel.of_rows(
            self.labels[rows], self.instants[rows], self.values[rows], self.names
        )

    def __len__(self) -> int:
        return len(self.instants)

    @property
    def labels(self) -> NDArray[np.str_]:
        """Symbol of every row."""
        return np.repeat(np.array(self.symbols, dtype=np.str_), np.diff(self.bounds))

    @property
    def bars(self) -> int:
        """Rows of the symbol that has the most."""
        return int(np.diff(self.bounds).max(initial=0))

    @cached_property
    def distinct(self) -> Instants:
        """Instants at which any symbol has a row, rising."""
        return np.unique(self.instants)

    def windows(self, ends: Instants, look: Look) -> tuple[Instants, Instants]:
        """Rows of a look as it would have been at earlier instants.

        Whole dates move together: a window holds every symbol's newest bars up to its end. A
        symbol with fewer bars than the look needs, or without any in the window's newest span
        (not listed any more), is absent.

        Args:
            ends: places in `distinct` [W].
            look: how many bars.

        Returns:
            Rows of the newest bars int64 [W, S * newest], and of those before them
            [W, S * before]; ABSENT where there is none.
        """
        times = self.distinct[ends]
        oldest = self.distinct[np.maximum(ends - look.newest + 1, 0)]
        parts = []
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            closes = self.instants[start:stop]
            known = np.searchsorted(closes, times, side="right")
            fresh = closes[np.maximum(known - 1, 0)] >= oldest
            rows = start + known[:, None] - 1 - np.arange(look.bars)
            rows[~(fresh & (known >= look.bars))] = ABSENT
            parts.append(rows)
        table = np.stack(parts, axis=1) if parts else np.empty((len(ends), 0, look.bars), np.int64)
        newest = table[:, :, : look.newest].reshape(len(ends), -1)
        return newest, table[:, :, look.newest :].reshape(len(ends), -1)

    def span(self, look: Look) -> tuple[int, int]:
        """First and last instant of the look at the last instant; (0, 0) if no symbol has one."""
        if not len(self):
            return 0, 0
        first, second = self.windows(np.array([len(self.distinct) - 1]), look)
        rows = np.concatenate((first[0], second[0]))
        instants = self.instants[rows[rows != ABSENT]]
        return (int(instants.min()), int(instants.max())) if instants.size else (0, 0)

    def newest(self, look: Look) -> tuple[Floats, Floats]:
        """Values of the look at the last instant: newest [m, k], and before them [n, k]."""
        last = np.array([len(self.distinct) - 1])
        if last[0] < 0:
            return self.values[:0], self.values[:0]
        first, second = (rows[0] for rows in self.windows(last, look))
        return self.values[first[first != ABSENT]], self.values[second[second != ABSENT]]


@dataclass(frozen=True, eq=False)
class View:
    """One look at a panel.

    Attributes:
        look: which bars.
        reference: what the newest bars are compared with: the whole history, or the bars before.
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
        shared = int(((history.instants >= first) & (history.instants <= last)).sum())
        if shared and not look.before:
            notes.append(
                f"the newest {look.newest} bars reach into the champion's training span, whose "
                f"{shared} rows of those dates are left out of the reference"
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


def answer_columns(
    forecast: Mapping[str, Any], *, horizon: int
) -> tuple[float, float, float] | None:
    """What is watched of one answer, in the order of `ANSWER_COLUMNS`.

    Args:
        forecast: a mapping with last_close, quantiles [h, Q] (prices) and probability_of_rise [h].
        horizon: the horizon looked at, in bars.

    Returns:
        The values at that horizon, or None where the forecast does not reach it.
    """
    low, middle, high = (QUANTILE_LEVELS.index(level) for level in (0.05, 0.5, 0.95))
    probabilities = forecast["probability_of_rise"]
    if len(forecast["quantiles"]) < horizon or len(probabilities) < horizon:
        return None
    quantiles = forecast["quantiles"][horizon - 1]
    return (
        _log_ratio(quantiles[middle], forecast["last_close"]),
        _log_ratio(quantiles[high], quantiles[low]),
        float(probabilities[horizon - 1]),
    )


def answer_panel(answers: Mapping[tuple[int, str], tuple[float, float, float]]) -> DriftPanel:
    """A model's forecasts, one row per symbol and as-of instant.

    Args:
        answers: by as-of instant (unix nanoseconds) and symbol, what `answer_columns` says.
    """
    return DriftPanel.of_rows(
        [symbol for _, symbol in answers],
        [instant for instant, _ in answers],
        np.array(list(answers.values()), dtype=np.float64).reshape(-1, len(ANSWER_COLUMNS)),
        ANSWER_COLUMNS,
    )


def _numbers(frame: "pd.DataFrame") -> Floats:
    import pandas as pd

    columns = [pd.to_numeric(frame[name], errors="coerce") for name in frame.columns]
    return np.stack([column.to_numpy(dtype=np.float64) for column in columns], axis=1)


def _log_ratio(above: float, below: float) -> float:
    return float(np.log(above / below)) if above > 0 and below > 0 else float("nan")
