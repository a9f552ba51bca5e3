"""Record: whether a run on a cluster did what it was for, and if not, why."""

from kfp import dsl

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)  # type: ignore[untyped-decorator]
def record(
    *,
    job: str,
    last_step: str,
    dataset: str,
    outcome: dsl.Output[dsl.Markdown],
) -> None:
    """Say how a run ended, in the words of the step that failed, and publish a success.

    Args:
        job: what the run is in the metrics: training or refresh.
        last_step: the step without which the run is no success.
        dataset: the data set in the lake.
        outcome: done, or failed, because.
    """
    from components.record.step import run

    run(job=job, last_step=last_step, dataset=dataset, outcome=outcome)
