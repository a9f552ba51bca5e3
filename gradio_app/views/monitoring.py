"""The monitoring tab: the newest drift run, realised scores, and the titles of the charts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Final

from forecasting.drift.config import CHANGE_OF
from forecasting.drift.summary import ColumnDrift, DriftSummary
from forecasting.live.scores import RealisedScore
from forecasting.live.variance import RealisedVariance, in_words, of_version
from forecasting.schema import COVERAGE_BAND
from gradio_app import formatting
from gradio_app.charts import strokes
from gradio_app.notices import Notice
from gradio_app.views.elements import link, notice, table

_NEAREST: Final = 8
_VARIANCE_IN_WORDS: Final = (
    '<p class="bw-aside">Variance vs forecast: at 1.20 prices moved 20 % further, in variance, than the '
    "version said; at 0.80, 20 % less far. Outside what chance explains it is bold.</p>"
)
_SIGNS: Final = {"wasserstein": "below", "at_least": "at least", "at_most": "at most"}


def tiles(
    run: DriftSummary | None, report_url: str, age_seconds: float | None, horizon: int
) -> str:
    """The newest drift run and the served features in four figures."""
    feature_age = "not known" if age_seconds is None else formatting.duration(age_seconds)
    served_features = (
        "Age of the newest bar",
        feature_age,
        "served features, on the data's clock",
        "",
    )
    if run is None:
        return _tiles([served_features])
    features = run.scope("features") if any(s.scope == "features" for s in run.scopes) else None
    share = features.share if features else None
    drifted = [c.column for c in features.columns if c.drifted] if features else []
    names = ", ".join(drifted[:3])
    if len(drifted) > 3:
        names += f" and {len(drifted) - 3} more"
    no_drift = "nothing could be measured" if share is None else "no column drifted"
    score = _champion_score(run, horizon)
    figures = [
        (
            "Drift",
            "Found" if run.drifted else "None found" if share is not None else "Not measured",
            f"run of {formatting.instant(datetime.fromisoformat(run.measured_at))}",
            "warn" if run.drifted else "ok" if share is not None else "",
        ),
        ("Features drifted", formatting.percent(share, 0), names or no_drift, ""),
        _covered(score, horizon),
        _moved(run, horizon),
        served_features,
    ]
    return _tiles(figures) + _run_notes(run, report_url) + limits(run)


def limits(run: DriftSummary) -> str:
    """Scores beside their calibrated limits: what passed, then what came nearest."""
    entries = [(scope.scope, column) for scope in run.scopes for column in scope.columns]
    entries.sort(key=lambda entry: (not entry[1].drifted, -_nearness(entry[1])))
    rows = [
        f"<tr><th scope='row'>{escape(scope)}</th><td class='bw-left'>{escape(column.column)}</td>"
        f"<td>{column.score:.3f}</td><td>{_SIGNS[column.method]} {column.threshold:.3f}</td>"
        f"<td>{'past it' if column.drifted else 'within'}</td></tr>"
        for scope, column in entries[:_NEAREST]
        if column.method in _SIGNS
    ]
    if not rows:
        return ""
    heads = ("Scope", "Column", "Score", "Limit", "Verdict")
    return table("Nearest to their limits", heads, rows, left=(1,))


def _nearness(column: ColumnDrift) -> float:
    """1 at the limit, more beyond it."""
    excess = column.score - column.threshold
    return 1 + (-excess if column.method == "at_least" else excess) / max(
        abs(column.threshold), 1e-9
    )


def _covered(score: RealisedScore | None, horizon: int) -> tuple[str, str, str, str]:
    title = f"90 % interval, {horizon} ahead"
    if score is None:
        return (title, formatting.NOTHING, "no forecast has come due yet", "")
    in_band = COVERAGE_BAND[0] <= score.coverage <= COVERAGE_BAND[1]
    detail = f"{score.matured:,} forecasts of v{score.model_version} came due"
    return (
        title,
        f"covered {formatting.percent(score.coverage)}",
        detail,
        "ok" if in_band else "warn",
    )


def _moved(run: DriftSummary, horizon: int) -> tuple[str, str, str, str]:
    """How far prices moved against what the champion said, with what chance explains.

    The short span is told where it alone is past a limit.
    """
    title = f"Prices moved, {horizon} ahead"
    ratio, recent = (
        of_version(span, run.model_version, horizon)
        for span in (run.variances, run.recent_variances)
    )
    if ratio is None:
        return (title, formatting.NOTHING, "against the forecast variance", "")
    if recent is not None and recent.off and not ratio.off:
        ratio = recent
    detail = f"in variance, by v{ratio.model_version} on {ratio.dates:,} dates; {_chance(ratio)}"
    tone = "" if ratio.low is None else "warn" if ratio.off else "ok"
    return (title, in_words(ratio.ratio), detail, tone)


def _chance(ratio: RealisedVariance) -> str:
    """What chance explains of a ratio, as a share more or less than said."""
    if ratio.low is None or ratio.high is None:
        return "too few dates to say what chance explains"
    low, high = (formatting.percent(one - 1, 0, signed=True) for one in (ratio.low, ratio.high))
    return f"chance explains {low} to {high}"


def _champion_score(run: DriftSummary, horizon: int) -> RealisedScore | None:
    """Realised score of the version that was champion at the run, at one horizon."""
    champion = (run.model_version, horizon)
    return next((s for s in run.realised if (s.model_version, s.horizon) == champion), None)


def _tiles(figures: Iterable[tuple[str, str, str, str]]) -> str:
    cells = "".join(
        f'<div class="bw-tile bw-{tone or "plain"}"><span>{escape(name)}</span>'
        f"<b>{escape(value)}</b><small>{escape(detail)}</small></div>"
        for name, value, detail, tone in figures
    )
    return f'<div class="bw-tiles">{cells}</div>'


def _run_notes(run: DriftSummary, report_url: str) -> str:
    notes = [escape(formatting.sentence(note)) for note in run.notes]
    links = []
    if report_url and run.realised:
        realised = f"{report_url.rsplit('/', 1)[0]}/realised"
        links.append(link(realised, "Open the report on forecasts that have come due"))
    if run.waiting:
        notes.append(f"{run.waiting:,} forecasts are not due yet.")
    if run.retrain:
        notes.append(f"A training is due: {escape(run.retrain)}.")
    judged = [c.column for s in run.scopes if s.scope == "features" for c in s.columns]
    changes = [column for column in judged if column.startswith(CHANGE_OF)]
    if report_url and len(changes) < len(judged):
        links.append(link(report_url, "Open the drift report"))
    if report_url and changes:
        latest = f"{report_url.rsplit('/', 1)[0]}/changes"
        links.append(link(latest, "Open the report on the last few bars"))
    text = " ".join([*notes, " · ".join(links)]).strip()
    return f'<p class="bw-aside">{text}</p>' if text else ""


def chart_title(title: str, detail: str, names: Sequence[str]) -> str:
    """A chart's title and the key of its lines."""
    key = "".join(
        f'<span><svg width="26" height="6" aria-hidden="true"><line x1="0" y1="3" x2="26" y2="3" '
        f'stroke="{colour}" stroke-width="2.2" stroke-dasharray="{pattern}"/></svg>'
        f"{escape(name)}</span>"
        for name, (colour, pattern) in zip(names, strokes(len(names)), strict=True)
    )
    return (
        f'<div class="bw-chart-title"><h3>{escape(title)} <small>{escape(detail)}</small></h3>'
        f"<div>{key}</div></div>"
    )


def no_realised_scores(run: DriftSummary) -> str:
    """The notice in the place of realised scores before any forecast's horizon has elapsed."""
    return notice(
        Notice(
            "No forecast has come due yet",
            f"{run.waiting:,} logged forecasts are not due yet.",
            "",
            "wait",
        )
    )


def realised_table(run: DriftSummary) -> str:
    """Realised scores per version and horizon, coverage beside how far prices moved."""
    ratios = {(v.model_version, v.horizon): v for v in run.variances}
    left_out = {(one.model_version, one.horizon): one.in_words for one in run.left_out}
    rows = [
        f"<tr><th scope='row'>v{escape(s.model_version)}</th><td>{s.horizon}</td>"
        f"<td>{s.matured:,}</td><td>{s.dates:,}</td>"
        f"<td>{left_out.get((s.model_version, s.horizon), formatting.NOTHING)}</td>"
        f"<td>{s.pinball:.4f}</td>"
        f"<td>{formatting.percent(s.skill, 1, signed=True)}</td>"
        f"<td>{formatting.percent(s.coverage)}</td><td>{formatting.percent(s.coverage_50)}</td>"
        f"{_variance_cells(ratios.get((s.model_version, s.horizon)))}"
        f"<td>{formatting.percent(s.median_error, 2)}</td></tr>"
        for s in run.realised
    ]
    heads = (
        "Version", "Bars ahead", "Came due", "Dates", "Left out", "Scaled pinball loss", "Skill vs random walk",
        "90 % covers", "50 % covers", "Variance vs forecast", "By chance", "Median off by",
    )  # fmt: skip
    return table("Realised scores", heads, rows) + (_VARIANCE_IN_WORDS if ratios else "")


def _variance_cells(ratio: RealisedVariance | None) -> str:
    """Realised against forecast variance, and what it stays within by chance."""
    if ratio is None:
        return f"<td>{formatting.NOTHING}</td>" * 2
    limits = formatting.NOTHING
    if ratio.low is not None and ratio.high is not None:
        limits = f"{ratio.low:.2f} to {ratio.high:.2f}"
    # Bold beside the limits: a reader who sees no colour is told as well.
    value = f"<b>{ratio.ratio:.2f}</b>" if ratio.off else f"{ratio.ratio:.2f}"
    return f"<td>{value}</td><td>{limits}</td>"
