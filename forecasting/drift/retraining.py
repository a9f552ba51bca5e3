"""Decides when drift calls for retraining: if it persists, and within a budget of trainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from forecasting.drift.summary import DriftSummary
from forecasting.errors import InvalidSettings

WEEK: Final = timedelta(days=7)


@dataclass(frozen=True)
class RetrainingPolicy:
    """How patient, and how generous.

    Attributes:
        persist: bars in a row whose newest run found drift. Runs on the same newest bar count
            once: a job that runs every hour on daily bars has seen one thing many times.
        cooldown: least time between two trainings.
        weekly: most trainings in any seven days.
    """

    persist: int = 3
    cooldown: timedelta = timedelta(days=2)
    weekly: int = 2

    def __post_init__(self) -> None:
        if self.persist < 1 or self.weekly < 0 or self.cooldown < timedelta(0):
            raise InvalidSettings(
                "persist must be at least 1, cooldown and weekly at least 0", str(self)
            )


def reason_to_retrain(
    runs: Sequence[DriftSummary], policy: RetrainingPolicy, *, now: datetime
) -> str:
    """Why a training is due now; "" when none is.

    Args:
        runs: drift runs of the last week or more, oldest first, this one last. Those whose
            `retrain` is set are the trainings already asked for.
        policy: patience and budget.
        now: the wall clock, aware.
    """
    requested = [datetime.fromisoformat(run.measured_at) for run in runs if run.retrain]
    if requested and now - max(requested) < policy.cooldown:
        return ""
    if sum(now - instant < WEEK for instant in requested) >= policy.weekly:
        return ""
    persisted = _bars_in_a_row(runs)
    if len(persisted) < policy.persist:
        return ""
    scopes = [scope.scope for scope in persisted[0].scopes if scope.drifted]
    return (
        f"drift of {', '.join(scopes)} lasted {len(persisted)} bars of version "
        f"{persisted[0].model_version}"
    )


def _bars_in_a_row(runs: Sequence[DriftSummary]) -> list[DriftSummary]:
    """The newest run of each newest bar, newest first, while all found drift of one version."""
    recent: list[DriftSummary] = []
    for run in reversed(runs):
        if recent and run.data_now == recent[-1].data_now:
            continue
        # What was asked for on earlier drift is settled by that training.
        if (
            not run.drifted
            or run.retrain
            or (recent and run.model_version != recent[0].model_version)
        ):
            break
        recent.append(run)
    return recent
