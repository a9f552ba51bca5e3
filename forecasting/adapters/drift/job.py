"""One run of the drift job: fetch, measure, keep, publish. What a CronJob calls."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from forecasting import prometheus_metrics
from forecasting.adapters.drift.history import KEPT_REPORTS, REALISED_PAGE, DriftHistory
from forecasting.adapters.drift.inputs import DriftInputs, gather
from forecasting.adapters.lake.lake import Lake
from forecasting.adapters.monitoring.pushed import Sample, publish
from forecasting.clock import utc_now
from forecasting.drift.columns import compare
from forecasting.drift.config import DriftRules
from forecasting.drift.realised_page import realised_page
from forecasting.drift.retraining import RetrainingPolicy, reason_to_retrain
from forecasting.drift.summary import DriftSummary, ScopeDrift
from forecasting.drift.thresholds import TooShort, calibrate
from forecasting.drift.verdicts import (
    MeasuredLook,
    judge_coverage,
    judge_error,
    judge_looks,
    judge_variance,
)
from forecasting.drift.windows import (
    View,
    answer_panel,
    answer_views,
    feature_panels,
    feature_views,
)
from forecasting.errors import EXIT_DRIFT, InvalidInput, InvalidSettings, ShortHistory
from forecasting.live.outcomes import SCORED_HORIZONS
from forecasting.live.scores import RealisedPoint, RealisedScore, by_instant, score
from forecasting.live.variance import RealisedVariance, over_both_spans

if TYPE_CHECKING:
    from forecasting.settings import Settings

JOB: Final = "drift"

FEATURE_PAGES: Final = ("report", "changes")
ANSWER_PAGES: Final = ("predictions", "prediction-changes")
"""Evidently's pages of a run: levels, then changes."""

_RUNS_REMEMBERED: Final = 24 * 8
"""Runs the retraining policy looks back on: a week of hourly ones, and a day."""


@dataclass(frozen=True)
class DriftOptions:
    """What one run looks at.

    Attributes:
        dataset: data set in the lake; "" takes the one the champion was trained on.
        horizons: horizons, in bars, whose matured forecasts are scored.
        rules: what is watched (90 bars a symbol are served at most), and how often a run may be
            wrong.
        retraining: when drift asks for a training.
        kept_reports: runs whose HTML pages are kept.
    """

    dataset: str = ""
    horizons: tuple[int, ...] = SCORED_HORIZONS
    rules: DriftRules = field(default_factory=DriftRules)
    retraining: RetrainingPolicy = field(default_factory=RetrainingPolicy)
    kept_reports: int = KEPT_REPORTS

    def __post_init__(self) -> None:
        if min(self.kept_reports, *self.horizons) < 1:
            raise InvalidSettings("kept_reports and horizons must be at least 1", str(self))


@dataclass(frozen=True)
class DriftOutcome:
    """What a run left behind.

    Attributes:
        summary: its verdicts.
        folder: the run's folder in the lake, with report.html, report.json,
            realised.html where forecasts have come due, and summary.json.
        published: where the metrics went: the Pushgateway's address or a file.
    """

    summary: DriftSummary
    folder: str
    published: str

    @property
    def exit_code(self) -> int:
        """0: no drift. EXIT_DRIFT (11): drift was found. Failures raise and carry their own."""
        return EXIT_DRIFT if self.summary.drifted else 0


def run_drift(
    settings: "Settings", options: DriftOptions | None = None, *, now: datetime | None = None
) -> DriftOutcome:
    """Measure drift and realised error once, keep the report, publish the metrics.

    Five scopes. *features*: the newest served bars against the champion's training features, and
    the last few of them against those just before, of the symbols both hold. *predictions*: the
    same of the champion's logged forecasts, against its earlier ones (they say that its answers
    change, not that they differ from training, where a model that has seen its rows is too sure
    of itself). *error*, *coverage* and *variance*: the champion's forecasts whose horizon has
    elapsed, against the random walk's, against what its intervals promise, and how far prices
    moved against how far it said.

    The run is kept in the lake first and published last, so a job that fails has neither a half
    of a run nor a time of success.

    Args:
        settings: where lake, registry, prediction log and Pushgateway are.
        options: what to look at; default options by default.
        now: the wall clock, aware; the present by default.

    Raises:
        NotReady: there is no champion, or no prices or features were published yet.
        ShortHistory: too few bars are served.
        InvalidInput: champion and served features have no measurable column in common.
        RegistryUnavailable, Unavailable: registry, lake, log or Pushgateway cannot be reached.
        Corrupted: an artifact is damaged.
    """
    options = options or DriftOptions()
    now = now or utc_now()
    with TemporaryDirectory(prefix="bellwether-drift-") as folder:
        work = Path(folder)
        inputs = gather(
            settings,
            work,
            dataset=options.dataset,
            horizons=options.horizons,
        )
        reports: dict[str, Path] = {}
        figures = _measure(inputs, options, work, reports)
        summary = DriftSummary(
            measured_at=now.astimezone(UTC).isoformat(),
            data_now=inputs.served.last_bar.astimezone(UTC).isoformat(),
            model_version=inputs.champion.version,
            dataset=inputs.snapshot.dataset,
            snapshot=inputs.snapshot.id,
            source=inputs.snapshot.source,
            replay=inputs.snapshot.replay,
            synthetic=inputs.snapshot.synthetic,
            scopes=figures.scopes,
            realised=figures.scores,
            waiting=inputs.matured.waiting,
            unpriced=inputs.matured.unpriced,
            notes=tuple(inputs.notes),
            variances=figures.variances,
            recent_variances=figures.recent,
            left_out=inputs.matured.left_out,
        )
        history = DriftHistory(settings.lake)
        earlier = history.summaries(newest=_RUNS_REMEMBERED)
        why = reason_to_retrain([*earlier, summary], options.retraining, now=now)
        summary = replace(summary, retrain=why)
        if summary.realised:
            page = work / REALISED_PAGE
            page.write_text(realised_page(summary))
            reports[page.name] = page
        faults = Lake(settings.lake).quarantine(inputs.snapshot)["fault"].value_counts()
        folder_url = history.record(
            summary, figures.points, reports, kept_reports=options.kept_reports
        )
    samples = list(summary_samples(summary))
    samples += [
        Sample(prometheus_metrics.QUARANTINED, (str(k),), float(n)) for k, n in faults.items()
    ]
    published = publish(
        JOB,
        samples,
        gateway_url=settings.pushgateway_url,
        file=settings.batch_metrics_file,
        succeeded_at=now.timestamp(),
    )
    return DriftOutcome(summary, folder_url, published)


def summary_samples(summary: DriftSummary) -> Iterable[Sample]:
    """The metrics of a run; what was not measured has no sample rather than a zero."""
    for scope in summary.scopes:
        if scope.share is not None:
            yield Sample(prometheus_metrics.DRIFT_SHARE, (scope.scope,), scope.share)
            yield Sample(prometheus_metrics.DRIFT_DETECTED, (scope.scope,), float(scope.drifted))
        for column in scope.columns:
            labels = (scope.scope, column.column)
            yield Sample(prometheus_metrics.DRIFT_SCORE, labels, column.score)
            yield Sample(prometheus_metrics.DRIFT_THRESHOLD, labels, column.threshold)
    yield Sample(prometheus_metrics.RETRAINING_DUE, (), float(bool(summary.retrain)))
    yield from _realised_samples(summary)


def _realised_samples(summary: DriftSummary) -> Iterable[Sample]:
    for entry in summary.realised:
        labels = (entry.model_version, str(entry.horizon))
        yield Sample(prometheus_metrics.REALISED_ERROR, labels, entry.pinball)
        yield Sample(prometheus_metrics.REALISED_COVERAGE, labels, entry.coverage)
        yield Sample(prometheus_metrics.MATURED, labels, float(entry.matured))
        if entry.skill is not None:
            yield Sample(prometheus_metrics.REALISED_SKILL, labels, entry.skill)
    for left in summary.left_out:
        for reason, count in left.by_reason.items():
            where = (left.model_version, str(left.horizon), reason)
            yield Sample(prometheus_metrics.LEFT_OUT, where, float(count))
    for ratio in summary.variances:
        labels = (ratio.model_version, str(ratio.horizon))
        yield Sample(prometheus_metrics.REALISED_VARIANCE_RATIO, labels, ratio.ratio)
        for side, limit in (("low", ratio.low), ("high", ratio.high)):
            if limit is not None:
                where = (*labels, side)
                yield Sample(prometheus_metrics.REALISED_VARIANCE_RATIO_LIMIT, where, limit)


@dataclass(frozen=True)
class _Figures:
    """What a run measured: its verdicts, and the realised figures of every version."""

    scopes: tuple[ScopeDrift, ...]
    scores: tuple[RealisedScore, ...]
    variances: tuple[RealisedVariance, ...]
    recent: tuple[RealisedVariance, ...]
    points: tuple[RealisedPoint, ...]


def _measure(
    inputs: DriftInputs, options: DriftOptions, work: Path, reports: dict[str, Path]
) -> _Figures:
    """Judge the five scopes; files to keep are added to `reports`, notes to `seen.notes`."""
    rules, version = options.rules, inputs.champion.version
    looks = (rules.level, rules.change)
    history, recent, notes = feature_panels(inputs.reference, inputs.served)
    views, more = feature_views(history, recent, looks)
    inputs.notes.extend((*notes, *more))
    feature_drift = [
        _looked(view, rules, work / name, reports, what="served features")
        for view, name in zip(views, FEATURE_PAGES, strict=True)
    ]
    answers = answer_panel(inputs.answers)
    forecast_drift = [
        _looked_if_enough(view, rules, work / name, reports)
        for view, name in zip(answer_views(answers, looks), ANSWER_PAGES, strict=True)
    ]
    points = by_instant(inputs.matured, inputs.baselines)
    variances, newest = over_both_spans(inputs.matured, false_alarms=rules.false_alarms_per_horizon)
    scopes = (
        judge_looks("features", feature_drift),
        judge_looks("predictions", forecast_drift),
        judge_error(points, rules, model_version=version),
        judge_coverage(points, rules, model_version=version),
        judge_variance(variances, newest, rules, model_version=version),
    )
    return _Figures(scopes, score(inputs.matured, inputs.baselines), variances, newest, points)


def _looked(
    view: View, rules: DriftRules, page: Path, reports: dict[str, Path], *, what: str
) -> MeasuredLook | TooShort:
    """Calibrate one look, and let Evidently score the columns that have a limit."""
    from forecasting.adapters.drift.report import measure

    compared = compare(view.reference, view.current, rules, what=what)
    # Half of the false alarms for each of the two looks (Bonferroni).
    limits = calibrate(
        view.history, view.look, compared.columns, false_alarms=rules.false_alarms / 2
    )
    if isinstance(limits, TooShort):
        return limits
    html, figures = page.with_suffix(".html"), page.with_suffix(".json")
    limited = compared.of([name for name in compared.columns if name in limits.thresholds])
    scores = measure(limited, limits.thresholds, html=html, json_file=figures)
    reports |= {html.name: html, figures.name: figures}
    return MeasuredLook(compared, limits, scores)


def _looked_if_enough(
    view: View, rules: DriftRules, page: Path, reports: dict[str, Path]
) -> MeasuredLook | TooShort:
    """Look at logged answers; a young log, or one of answers that never vary, is no failure."""
    try:
        return _looked(view, rules, page, reports, what="logged forecasts")
    except (InvalidInput, ShortHistory) as error:
        return TooShort(view.look, f"{error.rule}: {error.found}")
