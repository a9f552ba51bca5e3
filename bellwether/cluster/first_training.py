"""Runs the first training of an installation now, as a Job or on Kubeflow Pipelines, to its end."""

import json
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bellwether.cluster.helmfile import unready
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import ask, holds, lines, run
from bellwether.console import Step, say
from forecasting.errors import Unavailable

if TYPE_CHECKING:
    from forecasting.adapters.workflows.client import Workflows
    from forecasting.adapters.workflows.records import WorkflowRun

POLL_SECONDS: Final = 2.0
START_SECONDS: Final = 600.0
RESTORE_SECONDS: Final = 900.0
LONGEST_SECONDS: Final = 3600.0
# Written by libraries, of no use to whoever waits for a training.
NOISE: Final = ("WARNING", "DeprecationWarning", "FutureWarning")


def serves_already(installation: Installation) -> bool:
    """Whether a model version is ready.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    services = installation.objects("inferenceservices.serving.kserve.io")
    return any(holds(service, "Ready") for service in services["items"])


def wait_restored(installation: Installation, step: Step) -> None:
    """Wait for the Job that gives back what served before this installation, if it is at work.

    What it found stands in its log; whether a version serves now is for the caller to see.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    began = time.monotonic()
    while jobs := restoring(installation.objects("jobs"), installation.release):
        if time.monotonic() - began > RESTORE_SECONDS:
            return
        step.doing(f"job {jobs[0]} starts what served before, if anything did")
        time.sleep(POLL_SECONDS)


def restoring(jobs: dict[str, Any], release: str) -> list[str]:
    """Names of a release's Jobs that restore weights and have not ended."""
    return [
        str(job["metadata"]["name"])
        for job in jobs["items"]
        if job["metadata"]["name"].startswith(f"{release}-restore-") and not _ending(job)
    ]


def train(installation: Installation, step: Step) -> None:
    """Run the training once, now, and roll its champion out; follow what is under way instead.

    Raises:
        Unavailable: the run failed, or did not start.
        BellwetherError: the same, of a run of Kubeflow Pipelines.
    """
    from bellwether.cluster.connections import pipelines_url

    release = installation.release
    url = pipelines_url(installation)
    if not url:
        step.outcome = f"job {_run_now(installation, f'{release}-training', step)}"
        return
    step.outcome = f"run {train_on_pipelines(installation, url, step)}"
    if installation.exists("cronjob", f"{release}-rollout"):
        step.outcome += f", job {_run_now(installation, f'{release}-rollout', step)}"


def train_on_pipelines(installation: Installation, url: str, step: Step) -> str:
    """Run training and refresh as scheduled, now; follow what is under way instead.

    A training publishes features of its own specification; a refresh those of every version in use.

    Args:
        installation: whose cluster.
        url: address of Kubeflow Pipelines' API inside the cluster.
        step: shows the runs' progress.

    Returns:
        The training's run id.

    Raises:
        UnknownWorkflow: nothing is scheduled.
        BellwetherError: a run failed, or Kubeflow Pipelines is not there.
    """
    from bellwether.cluster.connections import reached
    from bellwether.cluster.pipeline_runs import follow
    from forecasting.adapters.workflows.client import REFRESH, TRAINING, Workflows

    with ExitStack() as stack:
        workflows = stack.enter_context(Workflows(reached(installation, url, stack)))
        workflows.wait(60.0, step.doing)
        # Side by side: neither waits for the other, and the refresh is the shorter one.
        runs = {pipeline: _under_way(workflows, pipeline) for pipeline in (TRAINING, REFRESH)}
        for pipeline, run_id in runs.items():
            show = partial(_show_run, step, pipeline.removeprefix("bellwether-"))
            follow(workflows, run_id, show, timeout=LONGEST_SECONDS)
        return runs[TRAINING]


def _under_way(workflows: "Workflows", pipeline: str) -> str:
    """The id of the run of a pipeline that is under way, else of one that is started now."""
    newest = next(iter(workflows.runs(1, pipeline=pipeline)), None)
    if newest is None or newest.ended:
        key = f"first-after-{newest.id if newest else 'none'}"
        newest = workflows.start_as_scheduled(pipeline, key=key).run
    return newest.id


def _show_run(step: Step, what: str, run: "WorkflowRun") -> None:
    step.doing(
        f"{what}: the run is {run.state.lower()}{': ' if run.running_steps else ''}{run.running_steps}"
    )


def _run_now(installation: Installation, cronjob: str, step: Step) -> str:
    """Run a CronJob's job to its end; return the job's name."""
    job = running_job(installation.objects("jobs"), cronjob)
    if not job:
        job = f"{cronjob}-first-{int(time.time())}"
        run(installation.command("create", "job", job, f"--from=cronjob/{cronjob}"))
    _follow_job(installation, job, step)
    return job


def running_job(jobs: dict[str, Any], cronjob: str) -> str:
    """Name of a run of this CronJob that has not ended, or ""."""
    for job in jobs["items"]:
        owners = job["metadata"].get("ownerReferences", ())
        made_by = any(o["kind"] == "CronJob" and o["name"] == cronjob for o in owners)
        if made_by and not _ending(job):
            return str(job["metadata"]["name"])
    return ""


def container_started(pod: dict[str, Any], container: str) -> bool:
    """Whether a container runs or has run, so that it has a log."""
    status = pod.get("status", {})
    states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return any(entry["name"] == container and not entry["state"].get("waiting") for entry in states)


def _follow_job(installation: Installation, job: str, step: Step) -> None:
    shown: set[tuple[str, str]] = set()
    namespace = installation.namespace
    began = time.monotonic()
    while True:
        pods = installation.objects("pods", "--selector", f"batch.kubernetes.io/job-name={job}")
        for pod in pods["items"]:
            _show_logs(installation, pod, shown)
        ending = _ending(installation.objects("job", job))
        if ending == "Complete":
            return
        if ending == "Failed":
            raise Unavailable(
                "the training must succeed",
                f"job {job} failed",
                f"kubectl -n {namespace} logs job/{job} --all-containers",
            )
        if not shown and time.monotonic() - began > START_SECONDS:
            raise Unavailable(
                f"the training must start within {START_SECONDS / 60:.0f} minutes",
                _why_waiting(installation, job),
                f"kubectl -n {namespace} describe job/{job}",
            )
        step.doing("the training runs" if shown else _why_waiting(installation, job))
        time.sleep(POLL_SECONDS)


def _show_logs(
    installation: Installation, pod: dict[str, Any], shown: set[tuple[str, str]]
) -> None:
    """Print the logs of containers that have started, each once, to its end."""
    name = pod["metadata"]["name"]
    spec = pod["spec"]
    for entry in [*spec.get("initContainers", ()), *spec["containers"]]:
        container = entry["name"]
        if (name, container) in shown or not container_started(pod, container):
            continue
        shown.add((name, container))
        command = installation.command("logs", "--follow", name, "--container", container)
        for line in lines(command):
            if line.strip() and not any(noise in line for noise in NOISE):
                say(f"      {line}", style="dim")


def _ending(job: dict[str, Any]) -> str:
    """Complete or Failed once the job has ended, else ""."""
    return next((kind for kind in ("Complete", "Failed") if holds(job, kind)), "")


def _why_waiting(installation: Installation, job: str) -> str:
    selector = ("--selector", f"batch.kubernetes.io/job-name={job}", "--output", "json")
    pods = ask(installation.command("get", "pods", *selector))
    return unready(json.loads(pods.out)) if pods.code == 0 else "waiting for a pod"
