"""The result of one run of the drift job: verdicts by scope and column, ready for JSON.

Which columns are compared: `drift.columns`. Limits: `drift.thresholds`, `live.limits`. Verdicts:
`drift.verdicts`. Scores: `forecasting.adapters.drift.report`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from forecasting.errors import InvalidInput
from forecasting.live.outcomes import LeftOut
from forecasting.live.scores import RealisedScore
from forecasting.live.variance import RealisedVariance

SCOPES: Final = ("features", "predictions", "error", "coverage", "variance")
"""What is watched, each with an alarm of its own: what the model sees, what it forecasts, how its loss
compares with the random walk's, how often its intervals covered the price, and how far prices moved
against how far it said. Runs that were kept before the last was watched lack it."""


@dataclass(frozen=True)
class ColumnDrift:
    """The verdict on one column (or on one realised figure): score against threshold.

    Attributes:
        method: "wasserstein": drifted at or above the threshold. "at_least", "at_most": drifted
            on the other side of it.
    """

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
    """The verdict on one scope.

    Attributes:
        reference_rows, current_rows: rows compared; for realised figures, 0 and the matured
            forecasts.
        drifted: whether any column did, which their thresholds together allow for in
            `false_alarms` of the runs; False when nothing could be measured (share is None then).
        false_alarms: share of runs in which the scope is flagged though nothing has changed; None
            when nothing could be measured.
    """

    scope: str
    columns: tuple[ColumnDrift, ...]
    not_measured: tuple[NotMeasured, ...]
    reference_rows: int
    current_rows: int
    drifted: bool
    false_alarms: float | None = None

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
        waiting: logged forecasts (per horizon) whose horizon has not elapsed.
        unpriced: forecasts whose horizon has elapsed, without a realised return.
        notes: what a reader should know, in sentences.
        retrain: why a training is due now; "" when none is (`forecasting.drift.retraining`).
        variances: realised over forecast variance, per model version and horizon likewise; none in runs
            kept before it was measured.
        recent_variances: the same over a shorter span, of versions that have been judged for longer.
        left_out: forecasts that no realised figure counts, per model version and horizon.
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
    retrain: str = ""
    variances: tuple[RealisedVariance, ...] = ()
    recent_variances: tuple[RealisedVariance, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

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
            for span in ("variances", "recent_variances"):
                values[span] = tuple(RealisedVariance(**ratio) for ratio in values.get(span, ()))
            values["left_out"] = tuple(LeftOut(**one) for one in values.get("left_out", ()))
            values["notes"] = tuple(values["notes"])
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInput("a drift summary must be complete", repr(error)) from error


def _scope(plain: Mapping[str, Any]) -> ScopeDrift:
    values = {key: value for key, value in plain.items() if key != "share"}
    values["columns"] = tuple(ColumnDrift(**column) for column in values["columns"])
    values["not_measured"] = tuple(NotMeasured(**entry) for entry in values["not_measured"])
    return ScopeDrift(**values)
