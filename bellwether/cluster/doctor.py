"""Uses every connection of an installation on a cluster, and says what to do about what fails."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import uuid4

from bellwether.cluster.installation import Place
from bellwether.cluster.kubectl import Cluster, ask, run
from bellwether.doctor import Finding
from bellwether.steps import Step
from forecasting.errors import BellwetherError, Unavailable

INSIDE_SECONDS: Final = 180.0
POLL_SECONDS: Final = 1.0
AUTOSCALER_SECONDS: Final = 120
"""Pods have figures a minute after they are ready, and an autoscaler looks every 15 s."""

# The drift job runs every hour; two missed runs are a fault.
DRIFT_HOURS: Final = 3.0
PROBE: Final = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "spec": {
        "predictor": {
            "model": {"modelFormat": {"name": "bellwether"}, "storageUri": "s3://bellwether/doctor"}
        }
    },
}


def examine_cluster(place: Place, step: Step) -> list[Finding]:
    """Try everything from the outside in; nothing is left behind."""
    checks: list[tuple[str, Callable[[Place], str]]] = [
        ("release", _release),
        ("pods", _pods),
        ("gateway", _gateway),
        ("models", _models),
        ("KServe's webhook", _webhook),
        ("certificates", _certificates),
        ("autoscaling: metrics", _autoscaling),
        ("drift CronJob", _drift),
        ("Prometheus: query", _prometheus),
    ]
    findings = []
    for what, check in checks:
        step.doing(what)
        findings.append(_tried(what, check, place))
    step.doing("connections, from a pod")
    return [*findings, *_inside(place)]


def judge_autoscalers(found: Mapping[str, Any], now: datetime) -> str:
    """Say that autoscalers read their metrics; one just made has had nothing to read yet.

    Raises:
        BellwetherError: one does not though it had the time.
    """
    blind, young = [], 0
    for item in found["items"]:
        conditions = {
            entry["type"]: entry for entry in item.get("status", {}).get("conditions", ())
        }
        active = conditions.get("ScalingActive", {})
        made = datetime.fromisoformat(item["metadata"]["creationTimestamp"])
        if active.get("status") == "True":
            continue
        if (now - made).total_seconds() < AUTOSCALER_SECONDS:
            young += 1
        else:
            blind.append(f"{item['metadata']['name']}: {active.get('message', 'not judged yet')}")
    if blind:
        raise BellwetherError(
            "an autoscaler must be able to read its metrics",
            "; ".join(blind),
            "Is metrics-server there? kubectl top pods",
        )
    count = len(found["items"]) - young
    if young:
        return f"{count} read their metrics, {young} were made within {AUTOSCALER_SECONDS} s"
    return f"{count} read their metrics" if count else "none yet; the metrics API answers"


def judge_drift(cronjob: Mapping[str, Any], now: datetime) -> str:
    """Say when the drift job last succeeded.

    Raises:
        BellwetherError: it never did though it had the time, or long ago.
    """
    if cronjob["spec"].get("suspend"):
        return "suspended (drift.suspend)"
    name = cronjob["metadata"]["name"]
    remedy = f"kubectl -n {cronjob['metadata']['namespace']} get jobs, then the log of the newest"
    succeeded = cronjob.get("status", {}).get("lastSuccessfulTime")
    since = succeeded or cronjob["metadata"]["creationTimestamp"]
    hours = (now - datetime.fromisoformat(since)).total_seconds() / 3600
    if hours > DRIFT_HOURS:
        last = f"{hours:.1f} hours ago" if succeeded else "never"
        raise BellwetherError(f"{name} must succeed every hour", f"last success: {last}", remedy)
    return f"succeeded {hours * 60:.0f} min ago" if succeeded else "not due yet"


def judge_models(found: Mapping[str, Any]) -> str:
    """Say which versions are ready.

    Raises:
        BellwetherError: none is there, or one is not ready.
    """
    if not found["items"]:
        raise BellwetherError(
            "a model version must be served",
            "there is no InferenceService",
            "Run a training: bellwether cluster up does, or bellwether rollout start champion",
        )
    ready: list[str] = []
    waiting: list[str] = []
    for item in found["items"]:
        conditions = {
            entry["type"]: entry["status"] for entry in item.get("status", {}).get("conditions", ())
        }
        name = item["metadata"]["name"]
        (ready if conditions.get("Ready") == "True" else waiting).append(name)
    if waiting:
        raise BellwetherError(
            "every version must be ready", ", ".join(waiting), "bellwether rollout status"
        )
    return f"{', '.join(ready)} ready"


def service_proxy(url: str, namespace: str, path: str) -> str:
    """The API server's path to a Service that a URL as pods use it names.

    Raises:
        BellwetherError: the URL does not name a Service of the cluster.
    """
    parts = urlsplit(url)
    name, *rest = (parts.hostname or "").split(".")
    inside = len(rest) <= 1 or rest[1] == "svc"
    if not name or not inside:
        raise BellwetherError(
            "Prometheus must be a Service of the cluster to be asked from here",
            url,
            "Ask it by hand, from where pods are",
        )
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = rest[0] if rest else namespace
    prefix = parts.path.rstrip("/")
    return f"/api/v1/namespaces/{where}/services/{parts.scheme}:{name}:{port}/proxy{prefix}{path}"


def findings_in(log: str) -> list[Finding]:
    """The findings a pod printed; other lines are somebody else's."""
    findings = []
    for line in log.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and set(told) == {"what", "ok", "said"}:
            findings.append(Finding(told["what"], ok=bool(told["ok"]), said=str(told["said"])))
    return findings


def job_from(cronjob: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A Job like the CronJob's own, whose one container examines the connections instead."""
    template = json.loads(json.dumps(cronjob["spec"]["jobTemplate"]))
    spec = template["spec"]
    spec |= {"backoffLimit": 0, "activeDeadlineSeconds": int(INSIDE_SECONDS)}
    container = spec["template"]["spec"]["containers"][0]
    container["command"] = ["python", "-m", "bellwether.inside"]
    container["args"] = []
    metadata = template.get("metadata", {})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": metadata.get("labels", {})},
        "spec": spec,
    }


def _tried(what: str, check: Callable[[Place], str], place: Place) -> Finding:
    try:
        return Finding(what, ok=True, said=check(place))
    except BellwetherError as error:
        return Finding(what, ok=False, said=str(error))
    except (KeyError, ValueError) as error:
        return Finding(what, ok=False, said=f"{type(error).__name__}: {error}")


def _release(place: Place) -> str:
    from bellwether.cluster.installer import installed_release

    found = installed_release(place.cluster, place.release, place.namespace)
    if found is None:
        raise BellwetherError(
            "Bellwether must be installed",
            f"no release {place.release} in {place.namespace}",
            "make up, or name it: --namespace, --release",
        )
    if found.status != "deployed":
        raise BellwetherError("the release must be deployed", found.status, "Run make up again")
    return f"{found.chart}, {found.status}"


def _pods(place: Place) -> str:
    chosen = ("--selector", f"app.kubernetes.io/instance={place.release}")
    found = place.get("deployments", *chosen)
    short = [
        item["metadata"]["name"]
        for item in found["items"]
        if item.get("status", {}).get("readyReplicas", 0) < item["spec"]["replicas"]
    ]
    if short or not found["items"]:
        raise BellwetherError(
            "every Deployment must have its pods ready",
            ", ".join(short) or "there is none",
            f"kubectl -n {place.namespace} get pods, then describe the one that is not ready",
        )
    return f"{len(found['items'])} Deployments ready"


def judge_gateway(gateways: Mapping[str, Any], routes: Mapping[str, Any]) -> str:
    """Say that the gateway listens and takes every route.

    Raises:
        BellwetherError: it does not.
    """
    wrong = [
        f"{item['metadata']['name']}: {condition.get('message', 'not programmed')}"
        for item in gateways["items"]
        if (condition := _condition(item.get("status", {}), "Programmed")).get("status") != "True"
    ]
    wrong += [
        f"{item['metadata']['name']}: no gateway accepts it"
        for item in routes["items"]
        if not any(
            _condition(parent, "Accepted").get("status") == "True"
            for parent in item.get("status", {}).get("parents", ())
        )
    ]
    if wrong or not routes["items"]:
        raise BellwetherError(
            "the gateway must listen, and accept every route",
            "; ".join(wrong) or "there is no route",
            "kubectl describe gateway,httproute, and look at the pods in envoy-gateway-system",
        )
    return f"{len(routes['items'])} routes accepted"


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((entry for entry in status.get("conditions", ()) if entry["type"] == kind), {})


def _gateway(place: Place) -> str:
    return judge_gateway(
        place.get("gateways.gateway.networking.k8s.io"),
        place.get("httproutes.gateway.networking.k8s.io"),
    )


def _models(place: Place) -> str:
    return judge_models(place.get("inferenceservices.serving.kserve.io"))


def webhook_answers(cluster: Cluster, namespace: str) -> bool:
    """Whether KServe answers when an InferenceService is written; nothing is written.

    Raises:
        Unavailable: the cluster cannot be asked at all.
    """
    return not _refusal(cluster, namespace)


def _refusal(cluster: Cluster, namespace: str) -> str:
    probe = PROBE | {"metadata": {"name": "doctor", "namespace": namespace}}
    answer = ask(
        cluster.kubectl("create", "--dry-run=server", "--filename", "-"), json.dumps(probe)
    )
    # A refusal for its content is an answer too.
    silent = ("failed calling webhook", "no matches for kind", "could not find the requested")
    return answer.err.strip() if any(sign in answer.err for sign in silent) else ""


def _webhook(place: Place) -> str:
    if refusal := _refusal(place.cluster, place.namespace):
        raise BellwetherError(
            "KServe must answer when an InferenceService is written",
            refusal.splitlines()[-1],
            "kubectl -n kserve get pods,certificates",
        )
    return "answers"


def _certificates(place: Place) -> str:
    if not place.cluster.there("crd", "certificates.cert-manager.io"):
        return "cert-manager is not here; the webhook's certificate is somebody else's"
    found = place.cluster.objects("certificates.cert-manager.io", "--namespace", "kserve")
    late = [
        item["metadata"]["name"]
        for item in found["items"]
        if not any(
            entry["type"] == "Ready" and entry["status"] == "True"
            for entry in item.get("status", {}).get("conditions", ())
        )
    ]
    if late:
        raise BellwetherError(
            "KServe's certificates must be ready",
            ", ".join(late),
            "kubectl -n kserve describe certificate; kubectl -n cert-manager get pods",
        )
    return f"{len(found['items'])} ready"


def _autoscaling(place: Place) -> str:
    run(place.cluster.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))
    return judge_autoscalers(place.get("hpa"), datetime.now(UTC))


def _drift(place: Place) -> str:
    return judge_drift(place.get("cronjob", f"{place.release}-drift"), datetime.now(UTC))


def _prometheus(place: Place) -> str:
    plan = place.get("configmap", f"{place.release}-rollout")
    url = json.loads(plan["data"]["rollout.json"])["prometheusUrl"]
    query = quote(f'count(up{{namespace="{place.namespace}"}} == 1)')
    path = service_proxy(url, place.namespace, f"/api/v1/query?query={query}")
    told = json.loads(run(place.cluster.kubectl("get", "--raw", path)))
    result = told["data"]["result"]
    if not result:
        raise BellwetherError(
            "Prometheus must scrape the model's pods",
            f"no target of {place.namespace} is up",
            "Does its podMonitorSelector take our labels? See monitoring.labels",
        )
    return f"{result[0]['value'][1]} targets of ours are up"


def _inside(place: Place) -> list[Finding]:
    what = "connections, from a pod"
    name = f"{place.release}-doctor-{uuid4().hex[:6]}"
    scope = ("--namespace", place.namespace)
    try:
        cronjob = place.get("cronjob", f"{place.release}-drift")
        job = json.dumps(job_from(cronjob, name))
        run(place.cluster.kubectl("create", *scope, "--filename", "-"), job)
        try:
            log = _log_of(place, name)
        finally:
            ask(place.cluster.kubectl("delete", "job", name, *scope, "--wait=false"))
    except BellwetherError as error:
        return [Finding(what, ok=False, said=str(error))]
    found = findings_in(log)
    if not found:
        words = "\n".join(log.splitlines()[-5:])
        said = f"the pod said nothing of use: {words}. Is the image as new as this command?"
        return [Finding(what, ok=False, said=said)]
    return found


def _log_of(place: Place, job: str) -> str:
    from bellwether.cluster.installer import unready

    deadline = time.monotonic() + INSIDE_SECONDS
    while time.monotonic() < deadline:
        status = place.get("job", job).get("status", {})
        ended = {entry["type"] for entry in status.get("conditions", ())}
        if ended & {"Complete", "Failed"}:
            scope = ("--namespace", place.namespace)
            return run(place.cluster.kubectl("logs", f"job/{job}", *scope))
        time.sleep(POLL_SECONDS)
    pods = place.get("pods", "--selector", f"batch.kubernetes.io/job-name={job}")
    raise Unavailable(
        f"a pod must run within {INSIDE_SECONDS:.0f} s", unready(pods), "kubectl describe it"
    )
