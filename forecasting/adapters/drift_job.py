"""One run of the drift job: fetch, measure, keep, publish. What a CronJob calls."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from forecasting import metrics
from forecasting.adapters.batch_metrics import Sample, publish
from forecasting.adapters.drift_history import KEPT_REPORTS, DriftHistory
from forecasting.adapters.drift_inputs import DriftInputs, gather
from forecasting.adapters.lake import Lake
from forecasting.drift import (
    Comparison,
    DriftSummary,
    ScopeDrift,
    compare,
    judge_columns,
    judge_realised,
    nothing_measured,
)
from forecasting.drift_rules import DriftRules
from forecasting.drift_windows import feature_windows, prediction_windows
from forecasting.errors import EXIT_DRIFT, InvalidInput, InvalidSettings
from forecasting.maturity import SCORED_HORIZONS
from forecasting.realised import RealisedPoint, RealisedScore, by_instant, score

if TYPE_CHECKING:
    from forecasting.settings import Settings

JOB: Final = "drift"


@dataclass(frozen=True)
class DriftOptions:
    """What one run looks at.

    Attributes:
        dataset: data set in the lake; "" takes the one the champion was trained on.
        current_bars: newest bars per symbol that count as current (90 are kept at most).
        horizons: horizons, in bars, whose matured forecasts are scored.
        log_rows: newest rows of the prediction log that are read.
        rules: thresholds.
        kept_reports: runs whose HTML pages are kept.
    """

    dataset: str = ""
    current_bars: int = 60
    horizons: tuple[int, ...] = SCORED_HORIZONS
    log_rows: int = 50_000
    rules: DriftRules = field(default_factory=DriftRules)
    kept_reports: int = KEPT_REPORTS

    def __post_init__(self) -> None:
        if min(self.current_bars, self.log_rows, self.kept_reports, *self.horizons) < 1:
            raise InvalidSettings(
                "current_bars, log_rows, kept_reports and horizons must be at least 1", str(self)
            )


@dataclass(frozen=True)
class DriftOutcome:
    """What a run left behind.

    Attributes:
        summary: its verdicts.
        folder: the run's folder in the lake, with report.html, report.json and summary.json.
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

    Three scopes. *features*: the champion's training features against the newest served bars, of
    the symbols both hold. *predictions*: the champion's newest logged forecasts against its
    earlier ones (they say that its answers change, not that they differ from training, where a
    model that has seen its rows is too sure of itself). *realised*: forecasts whose day has come
    against prices, per model version and horizon.

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
    now = now or datetime.now(UTC)
    with TemporaryDirectory(prefix="bellwether-drift-") as folder:
        work = Path(folder)
        seen = gather(
            settings,
            work,
            dataset=options.dataset,
            horizons=options.horizons,
            log_rows=options.log_rows,
        )
        reports: dict[str, Path] = {}
        scopes, scores, points = _measure(seen, options, work, reports)
        summary = DriftSummary(
            measured_at=now.astimezone(UTC).isoformat(),
            data_now=seen.served.last_bar.astimezone(UTC).isoformat(),
            model_version=seen.champion.version,
            dataset=seen.snapshot.dataset,
            snapshot=seen.snapshot.id,
            source=seen.snapshot.source,
            replay=seen.snapshot.replay,
            synthetic=seen.snapshot.synthetic,
            scopes=scopes,
            realised=scores,
            waiting=seen.matured.waiting,
            unpriced=seen.matured.unpriced,
            notes=tuple(seen.notes),
        )
        faults = Lake(settings.lake).quarantine(seen.snapshot)["fault"].value_counts()
        kept = DriftHistory(settings.lake).record(
            summary, points, reports, kept_reports=options.kept_reports
        )
    samples = list(summary_samples(summary))
    samples += [Sample(metrics.QUARANTINED, (str(k),), float(n)) for k, n in faults.items()]
    published = publish(
        JOB,
        samples,
        gateway_url=settings.pushgateway_url,
        file=settings.batch_metrics_file,
        succeeded_at=now.timestamp(),
    )
    return DriftOutcome(summary, kept, published)


def summary_samples(summary: DriftSummary) -> Iterable[Sample]:
    """The metrics of a run; what was not measured has no sample rather than a zero."""
    for scope in summary.scopes:
        if scope.share is not None:
            yield Sample(metrics.DRIFT_SHARE, (scope.scope,), scope.share)
            yield Sample(metrics.DRIFT_DETECTED, (scope.scope,), float(scope.drifted))
        for column in scope.columns:
            yield Sample(metrics.DRIFT_SCORE, (scope.scope, column.column), column.score)
    for entry in summary.realised:
        labels = (entry.model_version, str(entry.horizon))
        yield Sample(metrics.REALISED_ERROR, labels, entry.pinball)
        yield Sample(metrics.REALISED_COVERAGE, labels, entry.coverage)
        yield Sample(metrics.MATURED, labels, float(entry.matured))
        if entry.skill is not None:
            yield Sample(metrics.REALISED_SKILL, labels, entry.skill)


def _measure(
    seen: DriftInputs, options: DriftOptions, work: Path, reports: dict[str, Path]
) -> tuple[tuple[ScopeDrift, ...], tuple[RealisedScore, ...], tuple[RealisedPoint, ...]]:
    """Judge the three scopes; files to keep are added to `reports`, notes to `seen.notes`."""
    rules, version = options.rules, seen.champion.version
    reference, current, notes = feature_windows(seen.reference, seen.served, options.current_bars)
    seen.notes.extend(notes)
    compared = compare(reference, current, rules)
    features = _judged("features", compared, options, work, reports, name="report")
    earlier, newest = prediction_windows(
        [one for one in seen.answers if one["model_version"] == version],
        horizon=seen.bundles[version].signal.horizon,
        instants=options.current_bars,
    )
    try:
        compared = compare(earlier, newest, rules, what="logged forecasts")
    except InvalidInput as error:
        predictions = nothing_measured("predictions", f"{error.rule}: {error.found}")
    else:
        predictions = _judged("predictions", compared, options, work, reports, name="predictions")
    baselines = {one: bundle.baseline.spread for one, bundle in seen.bundles.items()}
    scores = score(seen.matured, baselines)
    realised = judge_realised(scores, rules, model_version=version)
    return (features, predictions, realised), scores, by_instant(seen.matured, baselines)


def _judged(
    scope: str,
    compared: Comparison,
    options: DriftOptions,
    work: Path,
    reports: dict[str, Path],
    *,
    name: str,
) -> ScopeDrift:
    from forecasting.adapters.drift_report import measure

    html, figures = work / f"{name}.html", work / f"{name}.json"
    share = options.rules.share
    scores = measure(compared, share=share, html=html, json_file=figures)
    reports |= {html.name: html, figures.name: figures}
    return judge_columns(scope, compared, scores, share=share)
