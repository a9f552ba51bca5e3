"""Evaluate: every candidate against the random walk and the champion, and the verdict."""

from typing import List  # noqa: UP035 - KFP reads List[Artifact] only

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def evaluate(
    *,
    out_of_sample: dsl.Input[List[dsl.Dataset]],  # noqa: UP006
    table: dsl.Input[dsl.Dataset],
    horizon: int,
    seed: int,
    report: dsl.Output[dsl.HTML],
    verdict: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    evidence: dsl.Output[dsl.Artifact],
) -> None:
    """Weigh the candidates on forecasts none of them had seen, and say promote or refuse.

    Args:
        out_of_sample: each candidate's walk-forward forecasts beside what really happened.
        table: features and horizon returns the candidates learned from.
        horizon: longest forecast that is weighed, in bars.
        seed: seed of the random numbers of the tests.
        report: the walk-forward report with plots, self-contained.
        verdict: promote or refuse, because.
        metrics: the scores of every candidate.
        confusion: signals of the best candidate against what really happened.
        evidence: scores, plots and the decision, read by the registration.
    """
    from components.evaluate.step import run

    run(
        out_of_sample=out_of_sample,
        table=table,
        horizon=horizon,
        seed=seed,
        report=report,
        verdict=verdict,
        metrics=metrics,
        confusion=confusion,
        evidence=evidence,
    )
