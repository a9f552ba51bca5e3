"""Faults that are made on purpose, and undone whatever happens: parts gone, pods evicted or killed."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from tests.e2e.cluster import Cluster, Outcome, eventually


def labels_of(cluster: Cluster, deployment: str, *, namespace: str = "") -> str:
    """What selects a Deployment's pods."""
    found = cluster.get("deployment", deployment, namespace=namespace)
    return ",".join(f"{k}={v}" for k, v in found["spec"]["selector"]["matchLabels"].items())


@contextlib.contextmanager
def gone(cluster: Cluster, deployment: str, *, namespace: str = "") -> Iterator[None]:
    """In the block no pod of this Deployment is there; after it they are ready again."""
    labels = labels_of(cluster, deployment, namespace=namespace)
    wanted = cluster.get("deployment", deployment, namespace=namespace)["spec"]["replicas"]
    try:
        _scale(cluster, deployment, 0, namespace)
        eventually(
            f"no pod of {deployment} is left",
            lambda: not cluster.get("pods", namespace=namespace, labels=labels),
            seconds=60,
        )
        yield
    finally:
        # One that a run that was cut short has left at 0 comes back, too.
        _scale(cluster, deployment, wanted or 1, namespace)
        cluster.wait_for_rollout("deployment", deployment, namespace=namespace)


def _scale(cluster: Cluster, deployment: str, replicas: int, namespace: str) -> None:
    words = ("scale", f"deployment/{deployment}", f"--replicas={replicas}")
    cluster.kubectl(*words, namespace=namespace)


def evict(cluster: Cluster, pod: str) -> Outcome:
    """Ask for a pod to leave its node, as a drain and a node under pressure of ours would."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": cluster.namespace},
    }
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/eviction"
    return cluster.run("kubectl", "create", "--raw", path, "--filename", "-", text=json.dumps(body))


def evict_all(cluster: Cluster, labels: str, *, fewest: int = 1, seconds: float = 120) -> int:
    """Evict every pod with these labels, however often a budget refuses; how often it did.

    Returns when they are gone and so many others are ready.
    """
    before = set(cluster.ready_pods(labels))
    assert before, f"no pod is ready: {labels}"
    end = time.monotonic() + seconds
    refused = 0
    for pod in sorted(before):
        while (answer := evict(cluster, pod)).code:
            assert "disruption budget" in answer.output, answer.output
            assert time.monotonic() < end, answer.output
            refused += 1
            time.sleep(0.5)

    def replaced() -> bool:
        now = set(cluster.ready_pods(labels))
        return not now & before and len(now) >= fewest

    eventually(f"others than {before} are ready", replaced, seconds=seconds)
    return refused


def container_of(cluster: Cluster, pod: str, name: str) -> Any:
    """Status of one container."""
    containers = cluster.get("pod", pod)["status"]["containerStatuses"]
    return next(one for one in containers if one["name"] == name)


def kill(cluster: Cluster, pod: str, name: str, *, seconds: float = 90) -> Any:
    """SIGKILL a container, and wait until it is ready again; its status then."""
    assert cluster.node is not None, "SIGKILL needs the machine under the cluster"
    before = container_of(cluster, pod, name)
    cluster.node.kill(before["containerID"])

    def back() -> Any:
        now = container_of(cluster, pod, name)
        return now if now["ready"] and now["restartCount"] > before["restartCount"] else None

    return eventually(f"{name} of {pod} runs again and is ready", back, seconds=seconds)
