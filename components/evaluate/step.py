"""The evaluate step: out-of-sample forecasts -> report, verdict, and the evidence behind it.

Tested on real prices and a real registry, in tests/integration/test_training_pipeline.py.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.artifacts import Artifact, ConfusionMetrics, ScalarMetrics, listed_in
from components.report import reported
from forecasting.errors import Corrupted
from forecasting.path_names import is_plain_name
from forecasting.settings import Settings

if TYPE_CHECKING:
    from forecasting.adapters.registry.records import ModelVersion
    from forecasting.evaluation.evaluate import Evaluation
    from forecasting.models.out_of_sample import OutOfSample
    from forecasting.report.page import ReportMeta

DECISION: Final = "decision.json"
PLOTS: Final = "plots"

_HORIZONS = (1, 5, 10, 20)
_SHOWN = (
    *("skill", "p_value", "skill_width", "width_p", "skill_direction", "direction_p", "drift_p"),
    *("anytime_p", "deflated_p", "crps", "relative_mae", "coverage_50", "coverage_90"),
    *("sharpe_delay_1", "deflated_sharpe"),
)


@reported("evaluate")
def run(
    *,
    out_of_sample: Sequence[Artifact],
    table: Artifact,
    horizon: int,
    seed: int,
    report: Artifact,
    verdict: Artifact,
    metrics: ScalarMetrics,
    confusion: ConfusionMetrics,
    evidence: Artifact,
) -> None:
    """Weigh the candidates and decide; see the component for the arguments.

    Raises:
        InvalidInput: the random walk is not among the candidates, or their rows differ.
        Corrupted: what the leak checks found cannot be read.
        InvalidSettings: the champion learned from another data set.
        BundleRejected: the champion's manifest is not the one the registry promises.
        ShortHistory: no outcome is known yet.
        RegistryUnavailable: MLflow, which knows the champion, cannot be reached.
        Unavailable: the ledger's database, which knows the earlier trials, cannot be reached.
    """
    from components.evaluate.drift import with_drift
    from components.evaluate.earlier import configurations, lifetime_of
    from components.evaluate.incumbent import incumbent_of
    from components.evaluate.leak_gates import leak_gates
    from forecasting.adapters.registry.records import require_champions_dataset
    from forecasting.adapters.registry.trials import Trials
    from forecasting.evaluation.evaluate import evaluate
    from forecasting.evaluation.gates import PromotionPolicy, decide
    from forecasting.evaluation.record import metrics as figures_of
    from forecasting.evaluation.record import record
    from forecasting.models.candidates import NULL_MODEL
    from forecasting.models.quantiles import SIGNALS
    from forecasting.report.page import html_report, verdict_markdown

    settings = Settings()
    champion = champion_now(settings)
    require_champions_dataset(
        champion, str(table.metadata["dataset"]), may_change=settings.dataset_may_change
    )
    forecasts, trials, paths = _read(out_of_sample)
    forecasts = with_drift(forecasts, table, seed=seed)
    rival = incumbent_of(champion, forecasts, table, seed=seed) if champion else None
    if rival and rival.forecasts:
        forecasts[rival.name] = rival.forecasts
    policy = PromotionPolicy(alpha=settings.promotion_alpha)
    own, of_dataset = (
        configurations(out_of_sample),
        (settings.registered_model, str(table.metadata["dataset"])),
    )
    with closing(Trials(settings.prediction_log)) as ledger:
        evaluation = evaluate(
            forecasts,
            alpha=policy.alpha,
            horizons=(*(h for h in _HORIZONS if h < horizon), horizon),
            trials=trials,
            lifetime=lifetime_of(ledger.of(*of_dataset), own),
            seed=seed,
            incumbent=rival.name if rival and rival.forecasts else "",
        )
        # Before anybody can see what came of them: a run that breaks off has weighed them, too.
        ledger.add(*of_dataset, own, periods=evaluation.periods)
    decided = decide(
        evaluation,
        rival.name if rival else None,
        policy,
        absence=rival.absence if rival else "",
        further=leak_gates(table, out_of_sample),
    )
    meta = _report_meta(table, seed)
    Path(report.path).write_text(html_report(evaluation, decided, forecasts, meta, policy, paths))
    Path(verdict.path).write_text(verdict_markdown(decided, evaluation))
    figures = {kind: figures_of(evaluation, kind) for kind in evaluation.candidates}
    for kind, values in figures.items():
        for name in _SHOWN:
            if name in values:
                metrics.log_metric(f"{kind}_{name}", values[name])
    judged = evaluation.candidates[decided.candidate or NULL_MODEL]
    # We count forecasts in rows and outcomes in columns; a run page wants it the other way round.
    confusion.log_confusion_matrix(list(SIGNALS), judged.confusion.T.tolist())
    folder = Path(evidence.path)
    _draw(evaluation, folder / PLOTS)
    decision = {
        "verdict": decided.to_dict(),
        "word": decided.word,
        "reasons": list(decided.reasons),
        "champion": champion.version if champion else "",
        "metrics": figures,
        "paths": paths,
        "evaluation": record(evaluation),
    }
    (folder / DECISION).write_text(json.dumps(decision, sort_keys=True, allow_nan=False))
    evidence.metadata.update(verdict=decided.word, candidate=decided.candidate or "")


def _read(
    out_of_sample: Sequence[Artifact],
) -> "tuple[dict[str, OutOfSample], dict[str, int], dict[str, list[float]]]":
    """Forecasts, trials and skill per combinatorial path (if there are) of every candidate."""
    from forecasting.models.out_of_sample import OutOfSample

    forecasts, trials, paths = {}, {}, {}
    for artifact in sorted(out_of_sample, key=lambda artifact: str(artifact.metadata["kind"])):
        kind = str(artifact.metadata["kind"])
        if not is_plain_name(kind):  # pictures are kept under it
            raise Corrupted(
                "a candidate's kind must be a plain name", repr(kind[:80]), "Train again"
            )
        forecasts[kind] = OutOfSample.load(Path(artifact.path))
        trials[kind] = int(artifact.metadata["trials"])
        if skills := listed_in(artifact, "paths"):
            paths[kind] = [float(skill) for skill in skills]
    return forecasts, trials, paths


def _report_meta(table: Artifact, seed: int) -> "ReportMeta":
    from components.provenance import git_revision
    from forecasting.report.page import ReportMeta

    return ReportMeta(
        **{key: table.metadata[key] for key in ("source", "snapshot", "dataset", "interval")},
        replay=bool(table.metadata["replay"]),
        synthetic=bool(table.metadata["synthetic"]),
        seed=seed,
        git_revision=git_revision(),
    )


def champion_now(settings: Settings) -> "ModelVersion | None":
    """The version that is champion, or None before the first training.

    Raises:
        RegistryUnavailable: MLflow cannot be reached.
    """
    from forecasting.adapters.registry.reader import RegistryReader

    with RegistryReader(settings.registry_url, settings.registered_model) as registry:
        return registry.champion()


def _draw(evaluation: "Evaluation", folder: Path) -> None:
    """Pictures of every candidate: calibration, histogram of outcomes, and account."""
    from forecasting.report import plots

    for kind in evaluation.candidates:
        pictures: Mapping[str, Any] = {
            "calibration": plots.calibration(evaluation, kind),
            "pit": plots.pit_histogram(evaluation, kind),
            "equity": plots.equity(evaluation, kind),
        }
        (folder / kind).mkdir(parents=True)
        for name, painter in pictures.items():
            image = plots.png(painter, plots.LIGHT, height=3.4, dpi=100)
            (folder / kind / f"{name}.png").write_bytes(image)
