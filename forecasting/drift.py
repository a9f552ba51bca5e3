"""Has the world moved away from what the champion learned? The rules, and the decision.

Statistics come from `forecasting.adapters.drift_report`; this module says which columns may be
compared, and what their scores mean.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from forecasting.drift_rules import CATEGORICAL, ColumnRule, DriftRules
from forecasting.errors import InvalidInput, ShortHistory
from forecasting.realised import RealisedScore

SCOPES: Final = ("features", "predictions", "realised")

INFINITE_DISTANCE: Final = 1e9
"""Score given when a distance overflows, so that JSON stays JSON and drift stays drift."""


@dataclass(frozen=True)
class ColumnDrift:
    """The verdict on one column (or on one realised figure): score against threshold."""

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool


@dataclass(frozen=True)
class NotMeasured:
    """A column without a score, and why: never counted as stable."""

    column: str
    reason: str


@dataclass(frozen=True)
class ScopeDrift:
    """The verdict on one scope: features, predictions or realised.

    Attributes:
        reference_rows, current_rows: rows compared; for realised, 0 and the matured forecasts.
        drifted: the scope as a whole; False when nothing could be measured (share is None then).
    """

    scope: str
    columns: tuple[ColumnDrift, ...]
    not_measured: tuple[NotMeasured, ...]
    reference_rows: int
    current_rows: int
    drifted: bool

    @property
    def share(self) -> float | None:
        """Share of measured columns that drifted; None when none could be measured."""
        if not self.columns:
            return None
        return sum(column.drifted for column in self.columns) / len(self.columns)


@dataclass(frozen=True)
class DriftSummary:
    """One run of the drift job, ready for JSON, metrics and plots.

    Attributes:
        measured_at: when the job ran (wall clock), aware ISO-8601, UTC.
        data_now: the present of the data: the close of the newest bar compared, aware ISO-8601.
        model_version: the champion whose training features are the reference.
        scopes: one entry per scope, in the order of SCOPES.
        realised: one entry per model version and horizon with matured forecasts.
        waiting: logged forecasts (per horizon) whose day has not come.
        unpriced: forecasts whose day has come but that prices held cannot judge.
        notes: what a reader should know, in sentences.
    """

    measured_at: str
    data_now: str
    model_version: str
    dataset: str
    snapshot: str
    source: str
    replay: bool
    synthetic: bool
    scopes: tuple[ScopeDrift, ...]
    realised: tuple[RealisedScore, ...]
    waiting: int = 0
    unpriced: int = 0
    notes: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether any scope drifted."""
        return any(scope.drifted for scope in self.scopes)

    def scope(self, name: str) -> ScopeDrift:
        """The verdict on one scope, by its name in SCOPES."""
        return next(scope for scope in self.scopes if scope.scope == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `drifted` and the shares are added for readers of the file."""
        plain = asdict(self)
        plain["drifted"] = self.drifted
        for scope, values in zip(self.scopes, plain["scopes"], strict=True):
            values["share"] = scope.share
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "DriftSummary":
        """The inverse of `to_dict`.

        Raises:
            InvalidInput: the mapping is not a drift summary.
        """
        try:
            values = {key: value for key, value in plain.items() if key != "drifted"}
            values["scopes"] = tuple(_scope(scope) for scope in values["scopes"])
            values["realised"] = tuple(RealisedScore(**score) for score in values["realised"])
            values["notes"] = tuple(values["notes"])
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInput("a drift summary must be complete", repr(error)) from error


@dataclass(frozen=True)
class Comparison:
    """Two frames that can be compared column by column without surprises.

    Attributes:
        reference, current: the measurable columns only; float64, not finite values as NaN.
        rules: the rule of every measurable column.
        categorical: measurable columns with few distinct values.
        not_measured: the other columns, each with its reason.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    rules: Mapping[str, ColumnRule]
    categorical: tuple[str, ...]
    not_measured: tuple[NotMeasured, ...]


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    rules: DriftRules,
    *,
    what: str = "served features",
) -> Comparison:
    """Pair the columns of two frames; name every column that cannot be measured.

    Args:
        reference: numeric columns [n, k], as learned.
        current: numeric columns [m, k'], as seen lately.
        rules: which columns to watch, and how.
        what: name of the current rows in messages.

    Raises:
        InvalidInput: the reference has too few rows, or no column at all can be measured.
        ShortHistory: there are too few current rows.
    """
    if len(reference) < rules.min_rows:
        raise InvalidInput(
            f"a drift reference needs at least {rules.min_rows} rows",
            f"{len(reference)} rows",
            "Train again, so that the champion's run holds its training features",
        )
    if len(current) < rules.min_rows:
        raise ShortHistory(
            f"measuring drift needs at least {rules.min_rows} current rows",
            f"{len(current)} rows of {what}",
            "Wait for more bars, or compare a longer window",
        )
    chosen: dict[str, ColumnRule] = {}
    categorical: list[str] = []
    not_measured: list[NotMeasured] = []
    kept: dict[str, dict[str, np.ndarray[Any, Any]]] = {"reference": {}, "current": {}}
    for column in dict.fromkeys((*map(str, reference.columns), *map(str, current.columns))):
        reason = _unwatched(column, reference, current, rules)
        if reason is None:
            before, now = _numbers(reference[column]), _numbers(current[column])
            reason = _incomparable(before, now, rules)
        if reason is not None:
            not_measured.append(NotMeasured(column, reason))
            continue
        few = np.unique(before[np.isfinite(before)]).size <= rules.few_values
        chosen[column] = rules.columns.get(column, rules.categorical if few else rules.numeric)
        if few and chosen[column].method in CATEGORICAL:
            categorical.append(column)
        kept["reference"][column], kept["current"][column] = before, now
    if not chosen:
        reasons = "; ".join(f"{entry.column}: {entry.reason}" for entry in not_measured[:5])
        raise InvalidInput(
            "measuring drift needs a column both sides hold and that varies",
            f"none of {len(not_measured)} columns ({reasons or 'there are none'})",
            "Check that the champion was trained on the features that are served",
        )
    return Comparison(
        pd.DataFrame(kept["reference"]),
        pd.DataFrame(kept["current"]),
        chosen,
        tuple(categorical),
        tuple(not_measured),
    )


def judge_columns(
    scope: str, compared: Comparison, scores: Mapping[str, float], *, share: float
) -> ScopeDrift:
    """Turn scores into a verdict: a column by its rule, the scope by its share of columns.

    A measurable column without a score, or with NaN, is named as not measured. An infinite
    distance is drift (as INFINITE_DISTANCE).
    """
    columns: list[ColumnDrift] = []
    not_measured = list(compared.not_measured)
    for column, rule in compared.rules.items():
        score = scores.get(column, float("nan"))
        if np.isnan(score):
            not_measured.append(NotMeasured(column, f"the {rule.method} statistic is undefined"))
            continue
        score = float(min(score, INFINITE_DISTANCE))
        columns.append(ColumnDrift(column, rule.method, score, rule.threshold, rule.drifted(score)))
    drifted = bool(columns) and sum(c.drifted for c in columns) / len(columns) >= share
    return ScopeDrift(
        scope,
        tuple(columns),
        tuple(not_measured),
        len(compared.reference),
        len(compared.current),
        drifted,
    )


def judge_realised(
    scores: tuple[RealisedScore, ...], rules: DriftRules, *, model_version: str
) -> ScopeDrift:
    """Hold the champion's matured forecasts against the smallest coverage and skill allowed.

    One failing figure is enough: each is a promise of the published intervals.
    """
    columns: list[ColumnDrift] = []
    not_measured: list[NotMeasured] = []
    mine = {score.horizon: score for score in scores if score.model_version == model_version}
    limits = {"coverage": rules.min_coverage, "skill": rules.min_skill}
    for horizon in rules.watched_horizons:
        score = mine.get(horizon)
        for name, limit in limits.items():
            column = f"{name}_h{horizon}"
            if score is None or score.dates < rules.min_dates:
                held = 0 if score is None else score.dates
                reason = f"matured forecasts of {held} instants, {rules.min_dates} are needed"
                not_measured.append(NotMeasured(column, reason))
                continue
            value = score.coverage if name == "coverage" else score.skill
            if value is None:
                reason = "the random walk of this version is not known"
                not_measured.append(NotMeasured(column, reason))
            else:
                columns.append(ColumnDrift(column, "at_least", value, limit, value < limit))
    return ScopeDrift(
        "realised",
        tuple(columns),
        tuple(not_measured),
        0,
        sum(score.matured for score in mine.values()),
        any(column.drifted for column in columns),
    )


def nothing_measured(scope: str, reason: str) -> ScopeDrift:
    """The verdict on a scope that could not be looked at, with its reason."""
    return ScopeDrift(scope, (), (NotMeasured("*", reason),), 0, 0, drifted=False)


def _scope(plain: Mapping[str, Any]) -> ScopeDrift:
    values = {key: value for key, value in plain.items() if key != "share"}
    values["columns"] = tuple(ColumnDrift(**column) for column in values["columns"])
    values["not_measured"] = tuple(NotMeasured(**entry) for entry in values["not_measured"])
    return ScopeDrift(**values)


def _numbers(column: "pd.Series[Any]") -> np.ndarray[Any, Any]:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values


def _unwatched(
    column: str, reference: pd.DataFrame, current: pd.DataFrame, rules: DriftRules
) -> str | None:
    if column.startswith(rules.ignored):
        return "not watched: it moves with the calendar or the number of symbols only"
    if column not in current.columns:
        return "missing now, though the model was trained on it"
    if column not in reference.columns:
        return "unknown to the champion's training features"
    return None


def _incomparable(
    before: np.ndarray[Any, Any], now: np.ndarray[Any, Any], rules: DriftRules
) -> str | None:
    for side, values in (("reference", before), ("current", now)):
        finite = int(np.isfinite(values).sum())
        missing = 1 - finite / values.size
        if missing > rules.max_missing:
            return f"{missing:.0%} of its {side} values are missing"
        if finite < rules.min_rows:
            return f"{finite} finite {side} values, {rules.min_rows} are needed"
    if np.nanmin(before) == np.nanmax(before):
        still = np.nanmin(now) == np.nanmax(now) == np.nanmin(before)
        return (
            f"constant in the reference ({np.nanmin(before):g})"
            f"{', and still' if still else ', but not any more'}"
        )
    return None
