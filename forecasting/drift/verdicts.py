"""Compares scores with their limits: which columns drifted, scope by scope."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from forecasting.drift.columns import Comparison
from forecasting.drift.config import METHOD, DriftRules
from forecasting.drift.summary import ColumnDrift, NotMeasured, ScopeDrift
from forecasting.drift.thresholds import Limits, TooShort
from forecasting.live.limits import coverage_limits, skill_limit
from forecasting.live.scores import RealisedPoint
from forecasting.live.variance import RealisedVariance, of_version

INFINITE_DISTANCE: Final = 1e9
"""Score given when a distance overflows, so that JSON stays JSON and drift stays drift."""


@dataclass(frozen=True, eq=False)
class MeasuredLook:
    """One comparison of windows in one scope.

    Attributes:
        compared: the columns of both sides.
        limits: their thresholds.
        scores: distance by column; NaN where it is undefined.
    """

    compared: Comparison
    limits: Limits
    scores: Mapping[str, float]


def judge_looks(scope: str, looks: Iterable[MeasuredLook | TooShort]) -> ScopeDrift:
    """The verdict on features or predictions: drifted if any column of any look did.

    A measurable column without a threshold or without a score is named as not measured. An
    infinite distance is drift (as INFINITE_DISTANCE).
    """
    columns: list[ColumnDrift] = []
    not_measured: dict[str, NotMeasured] = {}
    rows = [(0, 0)]
    false_alarms = 0.0
    for measured in looks:
        if isinstance(measured, TooShort):
            name = measured.look.column("*")
            not_measured[name] = NotMeasured(name, measured.reason)
            continue
        for entry in measured.compared.not_measured:
            not_measured.setdefault(entry.column, entry)
        rows.append((len(measured.compared.reference), len(measured.compared.current)))
        false_alarms += measured.limits.false_alarms
        for column in measured.compared.columns:
            name, score = (
                measured.limits.look.column(column),
                measured.scores.get(column, float("nan")),
            )
            threshold = measured.limits.thresholds.get(column)
            if threshold is None:
                reason = measured.limits.unlimited.get(column, "it has no limit")
                not_measured[name] = NotMeasured(name, reason)
            elif np.isnan(score):
                not_measured[name] = NotMeasured(name, f"the {METHOD} statistic is undefined")
            else:
                score = float(min(score, INFINITE_DISTANCE))
                columns.append(ColumnDrift(name, METHOD, score, threshold, score >= threshold))
    return ScopeDrift(
        scope,
        tuple(columns),
        tuple(not_measured.values()),
        max(reference for reference, _ in rows),
        max(current for _, current in rows),
        any(column.drifted for column in columns),
        false_alarms if columns else None,
    )


def judge_error(
    points: Iterable[RealisedPoint], rules: DriftRules, *, model_version: str
) -> ScopeDrift:
    """Whether the champion's matured forecasts are worse than the random walk's.

    Args:
        points: realised figures by as-of instant; those of other versions are left out.
        rules: which horizons, how many instants, how many false alarms.
        model_version: the champion.
    """

    def measure(points: Sequence[RealisedPoint], horizon: int, share: float) -> _Measured | None:
        skill_and_limit = skill_limit(points, horizon, false_alarms=share)
        if skill_and_limit is None:
            return None
        skill, limit = skill_and_limit
        return "at_least", skill, limit, skill < limit

    return _judge_realised(
        "error", "skill", points, rules, measure, model_version=model_version, needs_baseline=True
    )


def judge_coverage(
    points: Iterable[RealisedPoint], rules: DriftRules, *, model_version: str
) -> ScopeDrift:
    """Whether the champion's 90 % intervals covered the price too seldom or too often.

    Args:
        points: realised figures by as-of instant; those of other versions are left out.
        rules: which horizons, how many instants, how many false alarms.
        model_version: the champion.
    """

    def measure(points: Sequence[RealisedPoint], horizon: int, share: float) -> _Measured | None:
        limits = coverage_limits(points, horizon, false_alarms=share)
        if limits is None:
            return None
        covered, low, high = limits
        drifted = not low <= covered <= high
        above = covered > (low + high) / 2
        return ("at_most", covered, high, drifted) if above else ("at_least", covered, low, drifted)

    return _judge_realised(
        "coverage", "coverage", points, rules, measure, model_version=model_version
    )


def judge_variance(
    variances: Iterable[RealisedVariance],
    recent: Iterable[RealisedVariance],
    rules: DriftRules,
    *,
    model_version: str,
) -> ScopeDrift:
    """Whether prices moved further, or less far, than the champion said.

    Args:
        variances: realised over forecast variance with its limits, which were set for
            `rules.false_alarms_per_horizon`; those of other versions are left out.
        recent: the same over the short span.
        rules: which horizons, how many instants, how many false alarms.
        model_version: the champion.
    """
    own = [ratio for ratio in variances if ratio.model_version == model_version]
    recent = tuple(recent)
    columns: list[ColumnDrift] = []
    not_measured: list[NotMeasured] = []
    for horizon in rules.watched_horizons:
        name, found = f"variance_ratio_h{horizon}", of_version(own, model_version, horizon)
        instants = found.dates if found else 0
        if found is None or instants < rules.min_dates:
            not_measured.append(NotMeasured(name, _too_few(instants, rules)))
            continue
        column = _variance_column(name, found)
        if column is None:
            not_measured.append(NotMeasured(name, _too_few_that_overlap(instants, horizon)))
            continue
        columns.append(column)
        # None where the version is so young that the long span is no longer than the short one.
        newest = of_version(recent, model_version, horizon)
        if newest is not None and (column := _variance_column(f"recent_{name}", newest)):
            columns.append(column)
    matured = sum(ratio.matured for ratio in own)
    return _realised_scope("variance", columns, not_measured, matured, rules)


def _variance_column(name: str, found: RealisedVariance) -> ColumnDrift | None:
    """A ratio against the limit on its side of 1; None where it has no limits."""
    if found.low is None or found.high is None:
        return None
    method, limit = ("at_most", found.high) if found.ratio > 1 else ("at_least", found.low)
    return ColumnDrift(name, method, found.ratio, limit, found.off)


_Measured: TypeAlias = tuple[str, float, float, bool]
"""Method, score, threshold and whether it drifted, as in `ColumnDrift`."""


def _judge_realised(
    scope: str,
    figure: str,
    points: Iterable[RealisedPoint],
    rules: DriftRules,
    measure: Callable[[Sequence[RealisedPoint], int, float], _Measured | None],
    *,
    model_version: str,
    needs_baseline: bool = False,
) -> ScopeDrift:
    """The verdict on a realised figure of one version at every watched horizon.

    Args:
        scope: name of the scope.
        figure: name of the figure.
        points: realised figures by as-of instant, of any versions.
        rules: which horizons, how many instants, how many false alarms.
        measure: points of a horizon, oldest first, the horizon in bars and the false alarms
            allowed to what was measured; None where the points are too few.
        model_version: whose points are judged.
        needs_baseline: whether only points whose random walk is known can be measured.
    """
    own = [point for point in points if point.model_version == model_version]
    columns: list[ColumnDrift] = []
    not_measured: list[NotMeasured] = []
    for horizon in rules.watched_horizons:
        matured = sorted((p for p in own if p.horizon == horizon), key=lambda point: point.as_of)
        known = [p for p in matured if not needs_baseline or p.baseline_pinball is not None]
        if matured and not known:
            reason = "the random walk of this version is not known"
        elif len(known) < rules.min_dates:
            reason = _too_few(len(known), rules)
        elif (measured := measure(known, horizon, rules.false_alarms_per_horizon)) is None:
            reason = _too_few_that_overlap(len(known), horizon)
        else:
            columns.append(ColumnDrift(f"{figure}_h{horizon}", *measured))
            continue
        not_measured.append(NotMeasured(f"{figure}_h{horizon}", reason))
    came_due = sum(point.matured for point in own)
    return _realised_scope(scope, columns, not_measured, came_due, rules)


def _too_few(instants: int, rules: DriftRules) -> str:
    return f"matured forecasts of {instants} instants, {rules.min_dates} are needed"


def _too_few_that_overlap(instants: int, horizon: int) -> str:
    return f"matured forecasts of {instants} instants are too few that overlap {horizon} bars"


def _realised_scope(
    scope: str,
    columns: Sequence[ColumnDrift],
    not_measured: Sequence[NotMeasured],
    matured: int,
    rules: DriftRules,
) -> ScopeDrift:
    return ScopeDrift(
        scope,
        tuple(columns),
        tuple(not_measured),
        0,
        matured,
        any(column.drifted for column in columns),
        rules.false_alarms if columns else None,
    )
