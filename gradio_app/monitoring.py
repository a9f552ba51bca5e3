"""Monitoring: drift runs and realised scores to HTML. Pure; outside text is escaped."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Final

from forecasting.drift.config import CHANGE_OF
from forecasting.drift.summary import ColumnDrift, DriftSummary
from forecasting.live.scores import RealisedScore
from forecasting.schema import COVERAGE_BAND
from gradio_app import wording
from gradio_app.boards import link, table
from gradio_app.charts import strokes
from gradio_app.facts import Notice
from gradio_app.views import notice

_NEAREST: Final = 8
_SIGNS: Final = {"wasserstein": "below", "at_least": "at least", "at_most": "at most"}


def tiles(
    run: DriftSummary | None, report_url: str, age_seconds: float | None, horizon: int
) -> str:
    """The last drift run in four figures."""
    feature_age = "not known" if age_seconds is None else wording.duration(age_seconds)
    served = ("Age of the newest bar", feature_age, "served features, on the data's clock", "")
    if run is None:
        return _tiles([served])
    features = run.scope("features") if any(s.scope == "features" for s in run.scopes) else None
    share = features.share if features else None
    moved = [c.column for c in features.columns if c.drifted] if features else []
    names = ", ".join(moved[:3]) + (f" and {len(moved) - 3} more" if len(moved) > 3 else "")
    unmoved = "nothing could be measured" if share is None else "no column moved"
    score = _champion_score(run, horizon)
    shown = [
        (
            "Drift",
            "Found" if run.drifted else "None found" if share is not None else "Not measured",
            f"run of {wording.instant(datetime.fromisoformat(run.measured_at))}",
            "warn" if run.drifted else "ok" if share is not None else "",
        ),
        ("Features drifted", wording.percent(share, 0), names or unmoved, ""),
        _covered(score, horizon),
        served,
    ]
    return _tiles(shown) + _run_notes(run, report_url) + limits(run)


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
    heads = ("Watched", "Column", "Score", "Limit", "Verdict")
    return table("Nearest to their limits", heads, rows, left=(1,))


def _nearness(column: ColumnDrift) -> float:
    """1 at the limit, more beyond it."""
    far = column.score - column.threshold
    return 1 + (-far if column.method == "at_least" else far) / max(abs(column.threshold), 1e-9)


def _covered(score: RealisedScore | None, horizon: int) -> tuple[str, str, str, str]:
    title = f"90 % interval, {horizon} ahead"
    if score is None:
        return (title, wording.NOTHING, "no forecast has come due yet", "")
    kept = COVERAGE_BAND[0] <= score.coverage <= COVERAGE_BAND[1]
    detail = f"{score.matured:,} forecasts of v{score.model_version} came due"
    return (title, f"covered {wording.percent(score.coverage)}", detail, "ok" if kept else "warn")


def _champion_score(run: DriftSummary, horizon: int) -> RealisedScore | None:
    mine = [s for s in run.realised if s.horizon == horizon]
    return next((s for s in mine if s.model_version == run.model_version), None)


def _tiles(shown: Iterable[tuple[str, str, str, str]]) -> str:
    cells = "".join(
        f'<div class="bw-tile bw-{tone or "plain"}"><span>{escape(name)}</span>'
        f"<b>{escape(value)}</b><small>{escape(detail)}</small></div>"
        for name, value, detail, tone in shown
    )
    return f'<div class="bw-tiles">{cells}</div>'


def _run_notes(run: DriftSummary, report_url: str) -> str:
    notes = [escape(wording.sentence(note)) for note in run.notes]
    if run.waiting:
        notes.append(f"{run.waiting:,} forecasts wait for their day.")
    if run.retrain:
        notes.append(f"A training is due: {escape(run.retrain)}.")
    judged = [c.column for s in run.scopes if s.scope == "features" for c in s.columns]
    changes = [column for column in judged if column.startswith(CHANGE_OF)]
    if report_url and len(changes) < len(judged):
        notes.append(link(report_url, "Open the drift report"))
    if report_url and changes:
        latest = f"{report_url.rsplit('/', 1)[0]}/changes"
        notes.append(link(latest, "Open the report on the last few bars"))
    return f'<p class="bw-aside">{" ".join(notes)}</p>' if notes else ""


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


def nothing_due(run: DriftSummary) -> str:
    """What stands in the place of realised scores before any forecast has come due."""
    return notice(
        Notice(
            "No forecast has come due yet",
            f"{run.waiting:,} logged forecasts wait for their day.",
            "",
            "wait",
        )
    )


def realised(run: DriftSummary) -> str:
    """Realised scores per version and horizon."""
    rows = [
        f"<tr><th scope='row'>v{escape(s.model_version)}</th><td>{s.horizon}</td>"
        f"<td>{s.matured:,}</td><td>{s.dates:,}</td><td>{wording.percent(s.pinball, 3)}</td>"
        f"<td>{wording.percent(s.skill, 1, signed=True)}</td>"
        f"<td>{wording.percent(s.coverage)}</td><td>{wording.percent(s.coverage_50)}</td>"
        f"<td>{wording.percent(s.median_error, 2)}</td></tr>"
        for s in run.realised
    ]
    heads = (
        "Version", "Bars ahead", "Came due", "Dates", "Pinball loss", "Skill vs random walk",
        "90 % covers", "50 % covers", "Median off by",
    )  # fmt: skip
    return table("What became of the forecasts", heads, rows)
