"""From the adapters' records to the page's: pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from forecasting.adapters.registry.reader import VersionRecord
from forecasting.adapters.registry.runs import RunRecord
from forecasting.errors import BellwetherError, ServerUnavailable, StaleData
from forecasting.instants import from_milliseconds
from gradio_app import wording
from gradio_app.facts import Forecast, ModelCard, Provenance

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.adapters.inference import SymbolForecast


def card_of(
    role: str, record: VersionRecord, run: RunRecord | None, registry_url: str, prefix: str
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
        skill=_first(scores, record, "skill"),
        p_value=_first(scores, record, "p_value"),
        coverage=_first(scores, record, "coverage_90"),
        verdict=record.tags.get("verdict", ""),
        reason=record.tags.get("verdict_reason", ""),
        trained_on=trained_on(record),
        digest=record.bundle_digest,
        created=wording.instant(created) if record.created_at else "",
        run_url=f"{root}/#/experiments/{run.experiment_id}/runs/{run.run_id}" if run else "",
        report_url=f"{prefix}/reports/walk-forward/{record.version}",
    )


def forecast_of(answer: "SymbolForecast", seconds: float) -> Forecast:
    """The client's answer as the page's record."""
    return Forecast(
        symbol=answer.symbol,
        as_of=answer.as_of,
        last_close=answer.last_close,
        target_times=tuple(answer.target_times),
        quantiles=np.asarray(answer.quantiles, dtype=np.float64),
        baseline=None if answer.baseline is None else np.asarray(answer.baseline, dtype=np.float64),
        probability_of_rise=np.asarray(answer.probability_of_rise, dtype=np.float64),
        signal=answer.signal,
        stale=answer.stale,
        version=answer.model_version,
        kind=answer.model_kind,
        provenance=Provenance(
            answer.source,
            answer.interval,
            answer.replay,
            answer.synthetic,
            answer.snapshot,
            answer.fallback,
        ),
        seconds=seconds,
    )


def split_adjusted(bars: "pd.DataFrame") -> "pd.DataFrame":
    """Timestamp and close of a symbol's bars, closes before a split divided by it."""
    from forecasting.schema import TIMESTAMP

    splits = bars["split"].to_numpy(dtype=np.float64)
    later = np.ones(len(splits))
    if len(splits):
        later[:-1] = np.cumprod(splits[:0:-1])[::-1]
    shown = bars[[TIMESTAMP]].reset_index(drop=True)
    shown["close"] = bars["close"].to_numpy(dtype=np.float64) / later
    return shown


def trained_on(record: VersionRecord) -> str:
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


def trouble_in_words(error: BellwetherError) -> str:
    """Why the model server does not serve, in a few words for the top of the page."""
    if isinstance(error, ServerUnavailable):
        return "the model server does not answer"
    if isinstance(error, StaleData):
        return "its prices are too old"
    return "the model server is getting ready"


def _first(scores: Mapping[str, float], record: VersionRecord, *names: str) -> float | None:
    """The first of these scores that the run or the version recorded."""
    for name in names:
        if name in scores:
            return float(scores[name])
    for name in names:
        try:
            return float(record.tags[name])
        except (KeyError, ValueError):
            continue
    return None
