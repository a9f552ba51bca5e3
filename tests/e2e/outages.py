"""Trainings that meet an outage, and what the registry holds before and after."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Cluster, eventually

UNAVAILABLE = 3
"""Exit code of a command that somebody else has to mend."""


@dataclass(frozen=True)
class Registered:
    """What the registry holds."""

    versions: tuple[int, ...]
    aliases: dict[str, str]


def registered(cluster: Cluster) -> Registered:
    model = cluster.registry("registered-models/get", name="bellwether")["registered_model"]
    aliases = {one["alias"]: one["version"] for one in model.get("aliases", [])}
    return Registered(tuple(sorted(cluster.versions())), aliases)


def training_alone(seed: int, *, retries: int = 0) -> Callable[[Any], None]:
    """Turn a training's job into one that rolls nothing out, and that no run before has done."""

    def change(manifest: Any) -> None:
        job = manifest["spec"]
        job["backoffLimit"] = retries
        pod = job["template"]["spec"]
        pod["containers"] = pod.pop("initContainers", pod["containers"])
        job.pop("podFailurePolicy", None)  # it names the rollout's container
        pod["containers"][0]["args"] += ["--seed", str(seed)]

    return change


def failed_training(cluster: Cluster, job: str, *, seconds: float) -> tuple[int, str]:
    """(exit code, last words) of a job's first pod that failed."""

    def ended() -> Any:
        pods = cluster.get("pods", labels=f"job-name={job}")
        states = [
            one.get("state", {}).get("terminated", {})
            for pod in pods
            for one in pod["status"].get("containerStatuses", [])
        ]
        return next((state for state in states if state.get("exitCode")), None)

    state = eventually(f"a pod of {job} fails", ended, seconds=seconds)
    return int(state["exitCode"]), cluster.job_logs(job)
