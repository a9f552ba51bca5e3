"""Why a version is not ready, in the words of KServe, the scheduler, its pods and their logs.

Pure: the objects are read by `forecasting.adapters.cluster.cluster`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from forecasting.adapters.cluster.manifests import TEMPLATE

Object = Mapping[str, Any]

ReadLog = Callable[[str, str], str]
"""The last lines of the log of a pod's container."""

_SERVER: Final = "kserve-container"
_IMAGE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_BROKEN: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_SPEC: Final = (
    "NoSupportingRuntime",
    "RuntimeNotRecognized",
    "RuntimeDisabled",
    "InvalidPredictorSpec",
)


@dataclass(frozen=True)
class Trouble:
    """What keeps a version from being ready.

    Attributes:
        found: in one sentence.
        hopeless: whether waiting will not mend it.
        corrupted: whether the bundle is not what its digest promises.
    """

    found: str
    hopeless: bool = False
    corrupted: bool = False


@dataclass(frozen=True)
class VersionState:
    """What the cluster has of one version.

    Attributes:
        service: the InferenceService.
        deployment: its Deployment, or None.
        pods: its pods.
        endpoints: EndpointSlices of its Service.
    """

    service: Object
    deployment: Object | None
    pods: Sequence[Object]
    endpoints: Sequence[Object]

    @property
    def ready_endpoints(self) -> int:
        """Endpoints that take requests."""
        return sum(
            1
            for part in self.endpoints
            for endpoint in part.get("endpoints") or []
            if endpoint.get("conditions", {}).get("ready", True)
            and not endpoint.get("conditions", {}).get("terminating", False)
        )

    @property
    def restarts(self) -> int:
        """Restarts of all containers of its pods."""
        return sum(_restarts(pod) for pod in self.pods)

    @property
    def failures(self) -> dict[str, int]:
        """Restarts in each pod that is not ready, by its name."""
        return {
            str(pod["metadata"]["name"]): _restarts(pod)
            for pod in self.pods
            if condition(pod.get("status", {}), "Ready").get("status") != "True"
        }

    @property
    def settled(self) -> bool:
        """Whether it runs as its InferenceService wants it, everywhere, and takes requests.

        KServe's observedGeneration is not kept up to date, so its Deployment is asked: it must be
        made from this very template, and have replaced all its pods.
        """
        deployment = self.deployment
        if deployment is None or self.service["metadata"].get("deletionTimestamp"):
            return False
        status = deployment.get("status", {})
        template = deployment["spec"]["template"]["metadata"].get("annotations", {}).get(TEMPLATE)
        newest = self.service["metadata"].get("annotations", {}).get(TEMPLATE)
        replicas = status.get("replicas", 0)
        return bool(
            template == newest
            and status.get("observedGeneration") == deployment["metadata"].get("generation")
            and replicas > 0
            and status.get("updatedReplicas") == replicas
            and status.get("availableReplicas") == replicas
            and self.ready_endpoints > 0
            and condition(self.service.get("status", {}), "Ready").get("status") == "True"
        )


def condition(status: Object, kind: str) -> Object:
    """The condition of that type in an object's status; {} where there is none."""
    conditions = status.get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == kind), {})


def trouble(state: VersionState, read_log: ReadLog) -> Trouble:
    """The most telling thing that keeps a version from being ready."""
    return (_pods_trouble(state.pods, read_log) or [_makers_trouble(state)])[0]


def _makers_trouble(state: VersionState) -> Trouble:
    """What KServe and the Deployment say, when no pod says anything."""
    status = state.service.get("status", {})
    failure = status.get("modelStatus", {}).get("lastFailureInfo") or {}
    if failure.get("reason") in _SPEC:
        return Trouble(f"KServe says {failure['reason']}: {failure.get('message', '')}", True)
    deployment = state.deployment
    if deployment is not None:
        refused = condition(deployment.get("status", {}), "ReplicaFailure")
        if refused.get("status") == "True":
            return Trouble(f"no pod may be made: {refused.get('message', '')}", True)
    for kind in ("PredictorReady", "IngressReady", "Ready"):
        reported = condition(status, kind)
        # That too few replicas are there yet is no reason, it is what we ask the reason of.
        telling = reported.get("reason") != "MinimumReplicasUnavailable"
        if reported.get("status") == "False" and reported.get("message") and telling:
            return Trouble(f"KServe says {reported.get('reason', kind)}: {reported['message']}")
    missing = "KServe has made no Deployment yet" if deployment is None else "it has no pods yet"
    return Trouble("its pods are starting" if state.pods else missing)


def _pods_trouble(pods: Sequence[Object], read_log: ReadLog) -> list[Trouble]:
    """Newest pods first: an older one may still be well during an update."""
    by_age = sorted(
        pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True
    )
    reasons = []
    for pod in by_age:
        if (
            pod["metadata"].get("deletionTimestamp")
            or condition(pod.get("status", {}), "Ready").get("status") == "True"
        ):
            continue
        reason = _pod_trouble(pod, read_log)
        if reason is not None:
            reasons.append(reason)
    return sorted(reasons, key=lambda reason: not reason.hopeless)


def _pod_trouble(pod: Object, read_log: ReadLog) -> Trouble | None:
    """The first that is known: no node, a container that fails, one that is still at it."""
    name = str(pod["metadata"]["name"])
    scheduled = condition(pod.get("status", {}), "PodScheduled")
    if scheduled.get("status") == "False":
        return Trouble(f"pod {name} cannot be scheduled: {scheduled.get('message', '')}")
    reasons = [_failing(name, container, read_log) for container in _statuses(pod)]
    reasons += [_at_work(name, container, read_log) for container in _statuses(pod)]
    return next((reason for reason in reasons if reason is not None), None)


def _failing(pod: str, container: Object, read_log: ReadLog) -> Trouble | None:
    name, state = container["name"], container.get("state", {})
    waiting = state.get("waiting") or {}
    reason = str(waiting.get("reason", ""))
    if reason in _IMAGE or reason in _BROKEN:
        return Trouble(f"pod {pod}, {name}: {reason}: {waiting.get('message', '')}", True)
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated") or {}
    if not ended.get("exitCode"):
        return None
    text = str(ended.get("message") or "").strip() or read_log(pod, name)
    how = f"{ended.get('reason', 'ended')} with exit code {ended['exitCode']}"
    reason = f"pod {pod}, {name} {how}: {_tail(text)}"
    return Trouble(reason, int(container.get("restartCount", 0)) > 0, _about_bundle(reason))


def _at_work(pod: str, container: Object, read_log: ReadLog) -> Trouble | None:
    name, state = container["name"], container.get("state", {})
    if "running" not in state:
        return None
    text = _complaint(read_log(pod, name)) if name == _SERVER else ""
    if not text:
        return Trouble(f"pod {pod}, {name} runs and is not done yet")
    corrupted = _about_bundle(text)
    return Trouble(f"pod {pod} says: {text}", corrupted, corrupted)


def _restarts(pod: Object) -> int:
    return sum(int(container.get("restartCount", 0)) for container in _statuses(pod))


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]


def _complaint(log: str) -> str:
    """The last line that warns, without its time and place."""
    warning = [line for line in log.splitlines() if " WARNING " in line or " ERROR " in line]
    if not warning:
        return ""
    _, _, text = warning[-1].partition("] ")
    return (text or warning[-1]).strip()


def _about_bundle(text: str) -> bool:
    lowered = text.lower()
    return "bundle" in lowered and any(
        word in lowered
        for word in ("digest", "sha-256", "manifest", "format", "parity", "damaged", "model.onnx")
    )


def _tail(text: str, length: int = 300) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    tail = " / ".join(lines[-3:])
    return f"...{tail[-length:]}" if len(tail) > length else tail or "it said nothing"
