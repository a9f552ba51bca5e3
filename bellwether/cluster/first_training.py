"""Starts the first training on a cluster and shows what it says, until it has ended."""

import json
import time
from typing import Any, Final

from bellwether.cluster.kubectl import Cluster, ask, lines, run
from bellwether.console import say
from bellwether.steps import Step
from forecasting.errors import Unavailable

POLL_SECONDS: Final = 2.0
START_SECONDS: Final = 600.0
# Written by libraries, of no use to whoever waits for a training.
NOISE: Final = ("WARNING", "DeprecationWarning", "FutureWarning")


def serves_already(cluster: Cluster, namespace: str) -> bool:
    """Whether a model version is ready.

    Raises:
        Unavailable: the cluster cannot be asked.
    """
    found = cluster.objects("inferenceservices.serving.kserve.io", "--namespace", namespace)
    return any(
        entry["type"] == "Ready" and entry["status"] == "True"
        for item in found["items"]
        for entry in item.get("status", {}).get("conditions", ())
    )


def train(cluster: Cluster, namespace: str, release: str, step: Step) -> None:
    """Run the training once, now, and roll its champion out; follow what is under way instead.

    Raises:
        Unavailable: the run failed, or did not start.
        BellwetherError: the same, of a run of Kubeflow Pipelines.
    """
    from bellwether.cluster.first_pipeline_run import train_there
    from bellwether.cluster.installation import Place
    from bellwether.cluster.pipelines_reach import pipelines_url

    url = pipelines_url(Place(cluster, namespace, release))
    if not url:
        step.outcome = f"job {_run_now(cluster, namespace, f'{release}-training', step)}"
        return
    made = train_there(cluster, url, step)
    step.outcome = f"run {made}"
    if cluster.there("cronjob", f"{release}-rollout", "--namespace", namespace):
        step.outcome += f", job {_run_now(cluster, namespace, f'{release}-rollout', step)}"


def _run_now(cluster: Cluster, namespace: str, cronjob: str, step: Step) -> str:
    """Run a CronJob's job to its end; the job's name."""
    job = running_job(cluster.objects("jobs", "--namespace", namespace), cronjob)
    if not job:
        job = f"{cronjob}-first-{int(time.time())}"
        run(
            cluster.kubectl(
                *("create", "job", job, f"--from=cronjob/{cronjob}"), *("--namespace", namespace)
            )
        )
    _follow(cluster, namespace, job, step)
    return job


def running_job(jobs: dict[str, Any], cronjob: str) -> str:
    """Name of a run of this CronJob that has not ended, or ""."""
    for job in jobs["items"]:
        owners = job["metadata"].get("ownerReferences", ())
        made_by = any(o["kind"] == "CronJob" and o["name"] == cronjob for o in owners)
        ended = {
            entry["type"]
            for entry in job.get("status", {}).get("conditions", ())
            if entry["status"] == "True"
        } & {"Complete", "Failed"}
        if made_by and not ended:
            return str(job["metadata"]["name"])
    return ""


def container_started(pod: dict[str, Any], container: str) -> bool:
    """Whether a container runs or has run, so that it has a log."""
    status = pod.get("status", {})
    states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return any(entry["name"] == container and not entry["state"].get("waiting") for entry in states)


def _follow(cluster: Cluster, namespace: str, job: str, step: Step) -> None:
    shown: set[tuple[str, str]] = set()
    place = ("--namespace", namespace)
    began = time.monotonic()
    while True:
        pods = cluster.objects("pods", *place, "--selector", f"batch.kubernetes.io/job-name={job}")
        for pod in pods["items"]:
            _show(cluster, pod, place, shown)
        ended = _ending(cluster.objects("job", job, *place))
        if ended == "Complete":
            return
        if ended == "Failed":
            raise Unavailable(
                "the training must succeed",
                f"job {job} failed",
                f"kubectl -n {namespace} logs job/{job} --all-containers",
            )
        if not shown and time.monotonic() - began > START_SECONDS:
            raise Unavailable(
                f"the training must start within {START_SECONDS / 60:.0f} minutes",
                _why(cluster, place, job),
                f"kubectl -n {namespace} describe job/{job}",
            )
        step.doing("the training runs" if shown else _why(cluster, place, job))
        time.sleep(POLL_SECONDS)


def _show(
    cluster: Cluster, pod: dict[str, Any], place: tuple[str, str], shown: set[tuple[str, str]]
) -> None:
    name = pod["metadata"]["name"]
    spec = pod["spec"]
    for entry in [*spec.get("initContainers", ()), *spec["containers"]]:
        container = entry["name"]
        if (name, container) in shown or not container_started(pod, container):
            continue
        shown.add((name, container))
        command = cluster.kubectl("logs", "--follow", name, "--container", container, *place)
        for line in lines(command):
            if line.strip() and not any(noise in line for noise in NOISE):
                say(f"      {line}", style="dim")


def _ending(job: dict[str, Any]) -> str:
    for entry in job.get("status", {}).get("conditions", ()):
        if entry["type"] in {"Complete", "Failed"} and entry["status"] == "True":
            return str(entry["type"])
    return ""


def _why(cluster: Cluster, place: tuple[str, str], job: str) -> str:
    from bellwether.cluster.installer import unready

    chosen = ("--selector", f"batch.kubernetes.io/job-name={job}", "--output", "json")
    answer = ask(cluster.kubectl("get", "pods", *place, *chosen))
    return unready(json.loads(answer.out)) if answer.code == 0 else "waiting for a pod"
