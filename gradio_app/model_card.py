"""A registered model version as the page shows it: the registry's record joined with its run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forecasting.adapters.registry.records import ModelVersion, RunRecord
from forecasting.evaluation.promotion_outcome import REASON_TAG, VERDICT_TAG
from forecasting.instants import from_milliseconds
from gradio_app import formatting


@dataclass(frozen=True)
class ModelCard:
    """A registered model version and its scores; None where a score was not recorded.

    Attributes:
        role: "champion" or "challenger".
        version: number in the registry.
        kind: kind of model, e.g. "ridge".
        skill: 1 - pinball loss / that of the random walk, walk-forward.
        p_value: Diebold-Mariano p-value of being better than the random walk.
        coverage: share of outcomes inside the 90 % interval, walk-forward.
        verdict: "promote", "refuse" or "default".
        reason: the verdict's reason, in words.
        trained_on: what it learned from, in words.
        digest: SHA-256 of the bundle's manifest.
        created: when it was registered, as recorded.
        run_url: its run in MLflow.
        report_url: its walk-forward report, as this page serves it.
        scores: every figure of its run, named as `forecasting.evaluation.record.metrics` does.
    """

    role: str
    version: str
    kind: str
    skill: float | None
    p_value: float | None
    coverage: float | None
    verdict: str
    reason: str
    trained_on: str
    digest: str
    created: str
    run_url: str
    report_url: str
    scores: Mapping[str, float] = field(default_factory=dict)


def card_of(
    role: str, record: ModelVersion, run: RunRecord | None, registry_url: str, prefix: str
) -> ModelCard:
    """A registered version with the scores of its run.

    Args:
        role: champion or challenger.
        record: the version.
        run: its run, or None when that is gone.
        registry_url: address of MLflow, for the link to the run.
        prefix: path the page is reached under, for the link to the report.
    """
    scores = run.metrics if run else {}
    root = registry_url.rstrip("/")
    created = from_milliseconds(record.created_at)
    return ModelCard(
        role=role,
        version=record.version,
        kind=record.kind,
        skill=_score(scores, record, "skill"),
        p_value=_score(scores, record, "p_value"),
        coverage=_score(scores, record, "coverage_90"),
        verdict=record.tags.get(VERDICT_TAG, ""),
        reason=record.tags.get(REASON_TAG, ""),
        trained_on=trained_on(record),
        digest=record.bundle_digest,
        created=formatting.instant(created) if record.created_at else "",
        run_url=f"{root}/#/experiments/{run.experiment_id}/runs/{run.run_id}" if run else "",
        report_url=f"{prefix}/reports/walk-forward/{record.version}",
        scores=scores,
    )


def trained_on(record: ModelVersion) -> str:
    """What a version learned from, in words."""
    tags = record.tags
    parts = [f"source {tags['source']}"] if tags.get("source") else []
    if tags.get("synthetic", "").lower() == "true":
        parts.append("SYNTHETIC")
    elif tags.get("replay", "").lower() == "true":
        parts.append("historical")
    if tags.get("data_snapshot"):
        parts.append(f"snapshot {tags['data_snapshot'][:16]}")
    if tags.get("git_revision"):
        parts.append(f"code {tags['git_revision'][:10]}")
    return ", ".join(parts)


def _score(scores: Mapping[str, float], record: ModelVersion, name: str) -> float | None:
    """A score as the run, or else the version's tags, recorded it; None where neither did."""
    try:
        return float(scores[name] if name in scores else record.tags[name])
    except (KeyError, ValueError):
        return None
