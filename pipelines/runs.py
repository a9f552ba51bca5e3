"""Parameters, events and outcomes of a local pipeline run."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from forecasting.errors import InvalidSettings
from forecasting.evaluation.promotion_outcome import GateOutcome, PromotionOutcome, joined
from forecasting.leakage.findings import check_name
from forecasting.models.candidates import DEFAULTS, NULL_MODEL, NULLS, WIDTHS
from forecasting.models.width import EWMA, named

REUSED: Final = "reused"
DEFAULT_CANDIDATES: Final = ("xgboost", "har_combination", "ridge", *reversed(NULLS))
"""What a training compares, the slowest first."""
DEFAULT_WIDTH: Final = "har"
"""What candidates that learn locations take for the width of their intervals."""

TRAINING_STEPS: Final = (
    "fetch",
    "ingest",
    "features",
    "train",
    "evaluate",
    "register",
    "recalibrate",
)
REFRESH_STEPS: Final = ("needs", "fetch", "ingest", "publish", "recalibrate", "forecast")


@dataclass(frozen=True)
class RefreshParams:
    """What a refresh is about.

    Attributes:
        symbols: tickers; none for all the source carries.
        source: name of the price source.
        source_options: the source's own options, e.g. {"path": "prices.csv"}.
        interval: bar interval.
        dataset: name of the data set in the lake.
        shards: how many processes fetch at the same time, each its share of the symbols.
    """

    symbols: tuple[str, ...] = ()
    source: str = "sample"
    source_options: Mapping[str, object] = field(default_factory=dict)
    interval: str = "1d"
    dataset: str = "default"
    shards: int = 1

    def __post_init__(self) -> None:
        """Refuse shards that cannot be."""
        if self.shards < 1 or (self.shards > 1 and not self.symbols):
            raise InvalidSettings(
                "prices are fetched in one shard, or in more of symbols that are named",
                f"{self.shards} shards, {len(self.symbols) or 'no'} symbols",
                "Name the symbols, or leave the shards out",
            )

    def refresh_arguments(self) -> dict[str, Any]:
        """The refresh pipeline's arguments, of a training's parameters, too."""
        names = {field.name for field in fields(RefreshParams)}
        return {name: value for name, value in self.arguments().items() if name in names}

    def arguments(self) -> dict[str, Any]:
        """The pipeline's arguments."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {
            "symbols": ",".join(self.symbols),
            "source_options": json.dumps(dict(self.source_options)),
            "shards": [f"{number}/{self.shards}" for number in range(1, self.shards + 1)],
        }


@dataclass(frozen=True)
class TrainingParams(RefreshParams):
    """What a training is about; the defaults are the pipeline's.

    Attributes:
        train_until: ISO date or instant; later bars are left out of the training.
        candidates: kinds of models to compare; random_walk must be one of them, and
            random_walk_drift is compared with in any case.
        width: width of the intervals of candidates that learn locations: ewma, or a candidate that
            learns widths.
        folds: test spans of the walk-forward.
        tuning_trials: Optuna trials per candidate; 0 for the defaults.
        select_features: whether features without permutation importance are dropped.
        combinatorial: spans of the combinatorial paths, at least 3; 0 for none.
        horizon: longest forecast that is weighed, bars.
        seed: seed of everything random.
        who: name written into the promotion's audit trail.
    """

    train_until: str = ""
    candidates: tuple[str, ...] = DEFAULT_CANDIDATES
    width: str = DEFAULT_WIDTH
    folds: int = 6
    tuning_trials: int = 0
    select_features: bool = False
    combinatorial: int = 0
    horizon: int = 30
    seed: int = 7
    who: str = "pipeline"

    def __post_init__(self) -> None:
        """Refuse candidates that cannot be compared."""
        super().__post_init__()
        named_once = len(set(self.candidates)) == len(self.candidates)
        if NULL_MODEL not in self.candidates or not named_once:
            raise InvalidSettings(
                "candidates are named once, and the random walk is one of them",
                ", ".join(self.candidates) or "none",
                f"Add {NULL_MODEL}: a model has to beat something",
            )
        self._refuse_unknown("a candidate", self.candidates, tuple(DEFAULTS))
        self._refuse_unknown("a width", (named(self.width)[0],), (EWMA, *WIDTHS))
        if self.combinatorial and self.combinatorial < 3:
            raise InvalidSettings(
                "combinatorial paths hold out 2 of at least 3 spans; 0 makes none",
                f"combinatorial {self.combinatorial}",
                "Ask for 6",
            )

    @staticmethod
    def _refuse_unknown(what: str, asked: tuple[str, ...], known: tuple[str, ...]) -> None:
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise InvalidSettings(f"{what} is one of {', '.join(known)}", ", ".join(unknown))

    def arguments(self) -> dict[str, Any]:
        """The pipeline's arguments."""
        return super().arguments() | {"candidates": list(self.candidates)}

    @classmethod
    def of_request(cls, text: str) -> Self:
        """What a training was asked for, as `components.provenance` wrote it from the arguments.

        Raises:
            InvalidSettings: it makes no sense, or is of another release.
        """
        try:
            asked: dict[str, Any] = json.loads(text)
            asked["symbols"] = tuple(filter(None, asked["symbols"].split(",")))
            asked["source_options"] = json.loads(asked["source_options"])
            asked["candidates"] = tuple(asked["candidates"])
            asked.pop(
                "alpha", None
            )  # in requests of before: a setting now, which a run cannot loosen
            return cls(**asked)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidSettings(
                "a version's tag training_request must hold a training's parameters",
                f"{type(error).__name__}: {error}",
                "Say what to train on: --source, --symbols, --dataset",
            ) from error


@dataclass(frozen=True)
class StepEvent:
    """How one step of a running pipeline fares.

    Attributes:
        step: name of the step, see TRAINING_STEPS and REFRESH_STEPS.
        label: tells parallel tasks of a step apart, e.g. the candidate; else "".
        state: "started", "progress", "done", "failed", or "reused" when an earlier run's result
            still holds.
        message: what is being done, in a few words; else "".
        seconds: how long the step took, when it has ended.
    """

    step: str
    label: str
    state: str
    message: str = ""
    seconds: float = 0.0


Progress = Callable[[StepEvent], None]


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training came to.

    Attributes:
        snapshot: content hash of the snapshot trained on.
        verdict: "promote" or "refuse".
        reasons: why, one sentence each.
        gates: every promotion gate that was judged.
        candidate: the best candidate besides the random walk, "" when there was none.
        promoted: whether the candidate became champion in this run.
        champion: version that is champion now.
        challenger: version that was put up against it, "" when there was none.
        versions: kind -> registered version, for what this run registered or found registered.
        runs: kind -> MLflow run.
        specification: digest of the feature specification that was trained with.
        report: the HTML report.
        log: the run's log.
        seconds: how long it all took.
    """

    snapshot: str
    verdict: str
    reasons: tuple[str, ...]
    gates: tuple[GateOutcome, ...]
    candidate: str
    promoted: bool
    champion: str
    challenger: str
    versions: dict[str, str]
    runs: dict[str, str]
    specification: str
    report: Path
    log: Path
    seconds: float

    @classmethod
    def read(cls, outputs: dict[str, Any], log: Path, seconds: float) -> Self:
        """The outcome in a pipeline's outputs."""
        outcome = json.loads(outputs["outcome"])
        outcome["reasons"] = tuple(outcome["reasons"])
        outcome["gates"] = tuple(
            GateOutcome(
                check_name(gate["name"]), gate["passed"], f"{gate['rule']}: {gate['found']}"
            )
            for gate in outcome["gates"]
        )
        return cls(
            **outcome,
            report=Path(outputs["report"]),
            log=log,
            seconds=seconds,
        )

    @property
    def promotion(self) -> PromotionOutcome:
        """What it decided, as the file outcome.json holds it."""
        return PromotionOutcome(
            "promoted" if self.promoted else "refused",
            self.challenger,
            joined(self.reasons),
            self.gates,
        )


@dataclass(frozen=True)
class RefreshOutcome:
    """What a refresh came to.

    Attributes:
        snapshot: content hash of the newest snapshot.
        features: SHA-256 of the features published for the champion.
        log: the run's log.
        seconds: how long it took.
    """

    snapshot: str
    features: str
    log: Path
    seconds: float
