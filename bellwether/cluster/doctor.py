"""Uses every connection of an installation on a cluster; each that fails comes with its remedy."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import uuid4

from bellwether.cluster.alerting import receivers
from bellwether.cluster.connections import service_in
from bellwether.cluster.helmfile import installed_release, unready
from bellwether.cluster.installation import Installation
from bellwether.cluster.kubectl import Kubectl, ask, condition, holds, run
from bellwether.cluster.served_versions import models
from bellwether.cluster.signing import judge as judge_signatures
from bellwether.console import Step
from bellwether.doctor import CheckResult, check
from forecasting.adapters.cluster.manifests import MODEL_VERSION, RolloutConfig
from forecasting.adapters.cluster.routes import ServicePort
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


def examine_cluster(place: Installation, step: Step) -> list[CheckResult]:
    """Try everything from the outside in; nothing is left behind."""
    checks: list[tuple[str, Callable[[Installation], str]]] = [
        ("release", _release),
        ("pods", _pods),
        ("gateway", _gateway),
        ("gateway's login", _login),
        ("models", models),
        ("signatures", _signatures),
        ("KServe's webhook", _webhook),
        ("certificates", _certificates),
        ("autoscaling: metrics", _autoscaling),
        ("drift CronJob", _drift),
        ("Prometheus: query", _prometheus),
        ("alerts' receivers", receivers),
    ]
    results = []
    for what, probe in checks:
        step.doing(what)
        results.append(check(what, partial(probe, place)))
    step.doing("connections, from a pod")
    return [*results, *_from_a_pod(place)]


def judge_autoscalers(autoscalers: Mapping[str, Any], now: datetime) -> str:
    """Say that autoscalers read their metrics; one just made has had nothing to read yet.

    Raises:
        BellwetherError: one does not though it had the time.
    """
    blind, young = [], 0
    for item in autoscalers["items"]:
        active = condition(item, "ScalingActive")
        created = datetime.fromisoformat(item["metadata"]["creationTimestamp"])
        if active.get("status") == "True":
            continue
        if (now - created).total_seconds() < AUTOSCALER_SECONDS:
            young += 1
        else:
            blind.append(f"{item['metadata']['name']}: {active.get('message', 'not judged yet')}")
    if blind:
        raise BellwetherError(
            "an autoscaler must be able to read its metrics",
            "; ".join(blind),
            "Is metrics-server there? kubectl top pods",
        )
    count = len(autoscalers["items"]) - young
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


def service_proxy(url: str, service: ServicePort | None, path: str) -> str:
    """The API server's path to a Service.

    Args:
        url: of the Service, as pods write it.
        service: that it names; None for a host outside the cluster.
        path: below it.

    Raises:
        BellwetherError: the URL does not name a Service of the cluster.
    """
    if service is None:
        raise BellwetherError(
            "Prometheus must be a Service of the cluster to be asked from here",
            url,
            "Ask it by hand, from where pods are",
        )
    parts = urlsplit(url)
    target = f"{parts.scheme}:{service.service}:{service.port}"
    prefix = parts.path.rstrip("/")
    return f"/api/v1/namespaces/{service.namespace}/services/{target}/proxy{prefix}{path}"


def results_in(log: str) -> list[CheckResult]:
    """The results that `python -m bellwether.doctor` printed; other lines are passed over."""
    results = []
    for line in log.splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict) and set(fields) == {"what", "ok", "detail"}:
            results.append(CheckResult(**fields))
    return results


def job_from(cronjob: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A Job like the CronJob's own, whose one container examines the connections instead."""
    template = json.loads(json.dumps(cronjob["spec"]["jobTemplate"]))
    spec = template["spec"]
    spec |= {"backoffLimit": 0, "activeDeadlineSeconds": int(INSIDE_SECONDS)}
    container = spec["template"]["spec"]["containers"][0]
    container["command"] = ["python", "-m", "bellwether.doctor"]
    container["args"] = []
    metadata = template.get("metadata", {})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": metadata.get("labels", {})},
        "spec": spec,
    }


def _release(place: Installation) -> str:
    release = installed_release(place)
    if release is None:
        raise BellwetherError(
            "Bellwether must be installed",
            f"no release {place.release} in {place.namespace}",
            "make up, or name it: --namespace, --release",
        )
    if release.status != "deployed":
        raise BellwetherError("the release must be deployed", release.status, "Run make up again")
    return f"{release.chart}, {release.status}"


def _pods(place: Installation) -> str:
    selector = ("--selector", f"app.kubernetes.io/instance={place.release}")
    deployments = place.objects("deployments", *selector)
    unready_names = [
        item["metadata"]["name"]
        for item in deployments["items"]
        if item.get("status", {}).get("readyReplicas", 0) < item["spec"]["replicas"]
    ]
    if unready_names or not deployments["items"]:
        raise BellwetherError(
            "every Deployment must have its pods ready",
            ", ".join(unready_names) or "there is none",
            f"kubectl -n {place.namespace} get pods, then describe the one that is not ready",
        )
    return f"{len(deployments['items'])} Deployments ready"


def judge_gateway(gateways: Mapping[str, Any], routes: Mapping[str, Any]) -> str:
    """Say that the gateway listens and takes every route.

    Raises:
        BellwetherError: it does not.
    """
    wrong = [
        f"{item['metadata']['name']}: {condition(item, 'Programmed').get('message', 'not programmed')}"
        for item in gateways["items"]
        if not holds(item, "Programmed")
    ]
    wrong += [
        f"{item['metadata']['name']}: no gateway accepts it"
        for item in routes["items"]
        if not any(
            holds({"status": parent}, "Accepted")
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


def _gateway(place: Installation) -> str:
    return judge_gateway(
        place.objects("gateways.gateway.networking.k8s.io"),
        place.objects("httproutes.gateway.networking.k8s.io"),
    )


def judge_login(policies: Mapping[str, Any]) -> str:
    """Say on how many routes the gateway asks for a login.

    Raises:
        BellwetherError: it does not take the login, and answers 500 there.
    """
    wrong = []
    for item in policies["items"]:
        found = [
            condition({"status": ancestor}, "Accepted")
            for ancestor in item.get("status", {}).get("ancestors", ())
        ]
        refused = [one.get("message", "") for one in found if one.get("status") != "True"]
        if refused or not found:
            why = "; ".join(refused) or "no gateway has looked at it"
            wrong.append(f"{item['metadata']['name']}: {why}")
    if wrong:
        raise BellwetherError(
            "the gateway must take the login",
            "; ".join(wrong),
            "Is the Secret there that gateway.login.existingSecret names? "
            "kubectl describe securitypolicy",
        )
    routes = sum(len(item["spec"].get("targetRefs", ())) for item in policies["items"])
    return f"asked for on {routes} routes" if routes else "asked for nowhere"


def _login(place: Installation) -> str:
    kind = "securitypolicies.gateway.envoyproxy.io"
    if not place.kubectl.exists("crd", kind):
        return "not Envoy Gateway's here; whoever made the gateway asks for it"
    return judge_login(place.objects(kind))


def _signatures(place: Installation) -> str:
    name = f"{place.release}-rollout"
    config = RolloutConfig.parse(name, place.objects("configmap", name)["data"])
    ours = ("--selector", f"{MODEL_VERSION}")
    return judge_signatures(config, place.objects("inferenceservices.serving.kserve.io", *ours))


def webhook_answers(kubectl: Kubectl, namespace: str) -> bool:
    """Whether KServe answers when an InferenceService is written; nothing is written.

    Raises:
        Unavailable: the cluster cannot be asked at all.
    """
    return not _webhook_refusal(kubectl, namespace)


def _webhook_refusal(kubectl: Kubectl, namespace: str) -> str:
    probe = PROBE | {"metadata": {"name": "doctor", "namespace": namespace}}
    result = ask(
        kubectl.command("create", "--dry-run=server", "--filename", "-"), json.dumps(probe)
    )
    # A refusal for its content is an answer too.
    silent = ("failed calling webhook", "no matches for kind", "could not find the requested")
    return result.err.strip() if any(sign in result.err for sign in silent) else ""


def _webhook(place: Installation) -> str:
    if refusal := _webhook_refusal(place.kubectl, place.namespace):
        raise BellwetherError(
            "KServe must answer when an InferenceService is written",
            refusal.splitlines()[-1],
            "kubectl -n kserve get pods,certificates",
        )
    return "answers"


def _certificates(place: Installation) -> str:
    if not place.kubectl.exists("crd", "certificates.cert-manager.io"):
        return "cert-manager is not here; the webhook's certificate is somebody else's"
    certificates = place.kubectl.objects("certificates.cert-manager.io", "--namespace", "kserve")
    unready_names = [
        item["metadata"]["name"] for item in certificates["items"] if not holds(item, "Ready")
    ]
    if unready_names:
        raise BellwetherError(
            "KServe's certificates must be ready",
            ", ".join(unready_names),
            "kubectl -n kserve describe certificate; kubectl -n cert-manager get pods",
        )
    return f"{len(certificates['items'])} ready"


def _autoscaling(place: Installation) -> str:
    run(place.kubectl.command("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))
    return judge_autoscalers(place.objects("hpa"), datetime.now(UTC))


def _drift(place: Installation) -> str:
    return judge_drift(place.objects("cronjob", f"{place.release}-drift"), datetime.now(UTC))


def _prometheus(place: Installation) -> str:
    settings = place.objects("configmap", f"{place.release}-rollout")
    url = json.loads(settings["data"]["rollout.json"])["prometheusUrl"]
    query = quote(f'count(up{{namespace="{place.namespace}"}} == 1)')
    path = service_proxy(url, service_in(place, url), f"/api/v1/query?query={query}")
    answer = json.loads(run(place.kubectl.command("get", "--raw", path)))
    series = answer["data"]["result"]
    if not series:
        raise BellwetherError(
            "Prometheus must scrape the model's pods",
            f"no target of {place.namespace} is up",
            "Does its podMonitorSelector take our labels? See monitoring.labels",
        )
    return f"{series[0]['value'][1]} targets are up"


def _from_a_pod(place: Installation) -> list[CheckResult]:
    what = "connections, from a pod"
    name = f"{place.release}-doctor-{uuid4().hex[:6]}"
    try:
        cronjob = place.objects("cronjob", f"{place.release}-drift")
        job = json.dumps(job_from(cronjob, name))
        run(place.command("create", "--filename", "-"), job)
        try:
            log = _log_of(place, name)
        finally:
            ask(place.command("delete", "job", name, "--wait=false"))
    except BellwetherError as error:
        return [CheckResult(what, ok=False, detail=str(error))]
    results = results_in(log)
    if not results:
        tail = "\n".join(log.splitlines()[-5:])
        detail = f"the pod printed no results: {tail}. Is the image as new as this command?"
        return [CheckResult(what, ok=False, detail=detail)]
    return results


def _log_of(place: Installation, job: str) -> str:
    deadline = time.monotonic() + INSIDE_SECONDS
    while time.monotonic() < deadline:
        state = place.objects("job", job)
        if condition(state, "Complete") or condition(state, "Failed"):
            return run(place.command("logs", f"job/{job}"))
        time.sleep(POLL_SECONDS)
    pods = place.objects("pods", "--selector", f"batch.kubernetes.io/job-name={job}")
    raise Unavailable(
        f"a pod must run within {INSIDE_SECONDS:.0f} s", unready(pods), "kubectl describe it"
    )
