"""From scores and limits to verdicts: what drifted, scope by scope."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.drift.columns import Comparison
from forecasting.drift.config import METHOD, DriftRules
from forecasting.drift.summary import ColumnDrift, NotMeasured, ScopeDrift
from forecasting.drift.thresholds import Limits, TooShort
from forecasting.live.limits import coverage_limits, skill_limit
from forecasting.live.scores import RealisedPoint

INFINITE_DISTANCE: Final = 1e9
"""Score given when a distance overflows, so that JSON stays JSON and drift stays drift."""


@dataclass(frozen=True, eq=False)
class Looked:
    """One look at one scope.

    Attributes:
        compared: the columns of both sides.
        limits: their thresholds.
        scores: distance by column; NaN where it is undefined.
    """

    compared: Comparison
    limits: Limits
    scores: Mapping[str, float]


def judge_looks(scope: str, looks: Iterable[Looked | TooShort]) -> ScopeDrift:
    """The verdict on features or predictions: drifted if any column of any look did.

    A measurable column without a threshold or without a score is named as not measured. An
    infinite distance is drift (as INFINITE_DISTANCE).
    """
    columns: list[ColumnDrift] = []
    not_measured: dict[str, NotMeasured] = {}
    rows = [(0, 0)]
    false_alarms = 0.0
    for one in looks:
        if isinstance(one, TooShort):
            name = one.look.column("*")
            not_measured[name] = NotMeasured(name, one.reason)
            continue
        for entry in one.compared.not_measured:
            not_measured.setdefault(entry.column, entry)
        rows.append((len(one.compared.reference), len(one.compared.current)))
        false_alarms += one.limits.false_alarms
        for column in one.compared.columns:
            name, score = one.limits.look.column(column), one.scores.get(column, float("nan"))
            threshold = one.limits.thresholds.get(column)
            if threshold is None:
                reason = one.limits.unlimited.get(column, "it has no limit")
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
    verdicts = _Verdicts("error")
    share = rules.false_alarms / len(rules.watched_horizons)
    for horizon, mine in _by_horizon(points, rules, model_version):
        name = f"skill_h{horizon}"
        judged = [point for point in mine if point.baseline_pinball is not None]
        if mine and not judged:
            verdicts.skip(name, "the random walk of this version is not known")
        elif len(judged) < rules.min_dates:
            verdicts.too_few(name, len(judged), rules.min_dates)
        elif (found := skill_limit(judged, horizon, false_alarms=share)) is None:
            verdicts.too_short(name, len(judged), horizon)
        else:
            skill, limit = found
            verdicts.add(name, "at_least", skill, limit, drifted=skill < limit)
    return verdicts.scope(points, rules, model_version)


def judge_coverage(
    points: Iterable[RealisedPoint], rules: DriftRules, *, model_version: str
) -> ScopeDrift:
    """Whether the champion's 90 % intervals held the price too seldom or too often.

    Args:
        points: realised figures by as-of instant; those of other versions are left out.
        rules: which horizons, how many instants, how many false alarms.
        model_version: the champion.
    """
    verdicts = _Verdicts("coverage")
    share = rules.false_alarms / len(rules.watched_horizons)
    for horizon, mine in _by_horizon(points, rules, model_version):
        name = f"coverage_h{horizon}"
        if len(mine) < rules.min_dates:
            verdicts.too_few(name, len(mine), rules.min_dates)
        elif (found := coverage_limits(mine, horizon, false_alarms=share)) is None:
            verdicts.too_short(name, len(mine), horizon)
        else:
            coverage, low, high = found
            above = coverage > (low + high) / 2
            verdicts.add(
                name,
                "at_most" if above else "at_least",
                coverage,
                high if above else low,
                drifted=not low <= coverage <= high,
            )
    return verdicts.scope(points, rules, model_version)


class _Verdicts:
    """Collects the verdicts on realised figures."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._columns: list[ColumnDrift] = []
        self._not_measured: list[NotMeasured] = []

    def add(
        self, column: str, method: str, score: float, threshold: float, *, drifted: bool
    ) -> None:
        self._columns.append(ColumnDrift(column, method, score, threshold, drifted))

    def skip(self, column: str, reason: str) -> None:
        self._not_measured.append(NotMeasured(column, reason))

    def too_few(self, column: str, held: int, needed: int) -> None:
        self.skip(column, f"matured forecasts of {held} instants, {needed} are needed")

    def too_short(self, column: str, held: int, horizon: int) -> None:
        self.skip(
            column, f"matured forecasts of {held} instants are too few that overlap {horizon} bars"
        )

    def scope(
        self, points: Iterable[RealisedPoint], rules: DriftRules, model_version: str
    ) -> ScopeDrift:
        return ScopeDrift(
            self._scope,
            tuple(self._columns),
            tuple(self._not_measured),
            0,
            sum(point.matured for point in points if point.model_version == model_version),
            any(column.drifted for column in self._columns),
            rules.false_alarms if self._columns else None,
        )


def _by_horizon(
    points: Iterable[RealisedPoint], rules: DriftRules, model_version: str
) -> list[tuple[int, list[RealisedPoint]]]:
    mine = [point for point in points if point.model_version == model_version]
    return [
        (
            horizon,
            sorted((p for p in mine if p.horizon == horizon), key=lambda point: point.as_of),
        )
        for horizon in rules.watched_horizons
    ]
