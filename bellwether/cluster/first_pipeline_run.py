"""The first training on a cluster with Kubeflow Pipelines, and the refresh that it needs to serve."""

from contextlib import ExitStack
from functools import partial
from typing import Final

from bellwether.cluster.kubectl import Cluster
from bellwether.cluster.pipeline_runs import follow
from bellwether.cluster.pipelines_reach import reached
from bellwether.steps import Step
from forecasting.adapters.workflows.client import REFRESH, TRAINING, Workflows
from forecasting.adapters.workflows.records import WorkflowRun

LONGEST_SECONDS: Final = 3600.0


def train_there(cluster: Cluster, url: str, step: Step) -> str:
    """Run training and refresh as scheduled, now; follow what is under way instead.

    A training publishes no features, and without features nothing can be forecast.

    Args:
        cluster: where.
        url: address of Kubeflow Pipelines' API inside the cluster.
        step: told how the run fares.

    Returns:
        The training's run id.

    Raises:
        UnknownWorkflow: nothing is scheduled.
        BellwetherError: a run failed, or Kubeflow Pipelines is not there.
    """
    with ExitStack() as stack:
        workflows = stack.enter_context(Workflows(reached(cluster, url, stack)))
        workflows.wait(60.0, step.doing)
        # Side by side: neither waits for the other, and the refresh is the shorter one.
        runs = {pipeline: _under_way(workflows, pipeline) for pipeline in (TRAINING, REFRESH)}
        for pipeline, run_id in runs.items():
            told = partial(_tell, step, pipeline.removeprefix("bellwether-"))
            follow(workflows, run_id, told, timeout=LONGEST_SECONDS)
        return runs[TRAINING]


def _under_way(workflows: Workflows, pipeline: str) -> str:
    """The id of the run of a pipeline that is under way, else of one that is started now."""
    newest = next(iter(workflows.runs(1, pipeline=pipeline)), None)
    if newest is None or newest.ended:
        key = f"first-after-{newest.id if newest else 'none'}"
        newest = workflows.start_as_scheduled(pipeline, key=key).run
    return newest.id


def _tell(step: Step, what: str, run: WorkflowRun) -> None:
    step.doing(f"{what}: the run is {run.state.lower()}{': ' if run.doing else ''}{run.doing}")
