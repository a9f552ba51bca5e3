"""Register: runs, versions and aliases in MLflow; promotion if the verdict says so."""

from typing import List  # noqa: UP035 - KFP reads List[Artifact] only

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def register(
    *,
    bundles: dsl.Input[List[dsl.Model]],  # noqa: UP006
    table: dsl.Input[dsl.Dataset],
    reference: dsl.Input[dsl.Dataset],
    evidence: dsl.Input[dsl.Artifact],
    report: dsl.Input[dsl.HTML],
    verdict: dsl.Input[dsl.Markdown],
    dataset: str,
    who: str,
    pipeline_run: str,
    registered: dsl.Output[dsl.Markdown],
) -> str:
    """Log every candidate's run, register the null model and the best other, move the aliases.

    Args:
        bundles: the candidates' bundles.
        table: features and horizon returns the candidates learned from.
        reference: the newest feature rows, kept beside the models for the drift job.
        evidence: scores, plots and the decision.
        report: the walk-forward report.
        verdict: promote or refuse, because.
        dataset: the data set in the lake.
        who: name written into the promotion's audit trail.
        pipeline_run: name of the pipeline run, kept as a tag.
        registered: what was registered, with links to MLflow.

    Returns:
        The outcome as JSON: runs, versions, champion, verdict and reasons.
    """
    from components.register.step import run

    return run(
        bundles=bundles,
        table=table,
        reference=reference,
        evidence=evidence,
        report=report,
        verdict=verdict,
        dataset=dataset,
        who=who,
        pipeline_run=pipeline_run,
        registered=registered,
    )
