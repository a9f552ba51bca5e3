"""What may run, who may do what, who may speak to whom, and what happens to a poisoned bundle."""

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from tests.chart.restricted import own_violations, violations
from tests.e2e.cluster import DOMAIN, GATEWAY_PORT, Outcome, eventually
from tests.e2e.connections import Watch
from tests.e2e.grpc_calls import server_ready
from tests.e2e.load import Load, Report
from tests.e2e.network import Policies
from tests.e2e.poison import MARKER, PICKLE, POISONS, Poison, bundle_of, registered
from tests.e2e.stage import alone, wait_for_answers

OURS = "app.kubernetes.io/part-of=bellwether"
ROLLOUT = "system:serviceaccount:bellwether:bellwether-rollout"
PASSWORDS = {
    ("bellwether-objectstore", ""): ("AWS_SECRET_ACCESS_KEY",),
    ("bellwether-database", ""): ("password", "readerPassword"),
    ("postgresql", "bellwether-data"): ("POSTGRES_PASSWORD",),
}
ALERT = 'ALERTS{alertname="BellwetherBundleRejected", alertstate="firing"}'

SEEN_FLOWS = {
    ("envoy-gateway-system", "page", 7860),
    ("envoy-gateway-system", "model", 8080),
    ("envoy-gateway-system", "model", 8081),
    ("monitoring", "model", 8080),
    ("page", "mlflow", 5000),
    ("page", "minio", 9000),
    ("page", "envoy-gateway-system", 10080),
    ("page", "bellwether-data", 5432),
    ("mlflow", "bellwether-data", 5432),
    ("mlflow", "minio", 9000),
    ("model", "bellwether-data", 5432),
    ("model", "minio", 9000),
    ("training", "mlflow", 5000),
    ("training", "minio", 9000),
    ("refresh", "minio", 9000),
    ("drift", "mlflow", 5000),
    ("drift", "minio", 9000),
    ("drift", "bellwether-data", 5432),
}
"""Connections that surely happen: a watch that misses one of them has not looked. What jobs
do last is not among them (they push, and the rollout asks): their pods end within moments of it."""


@pytest.fixture(scope="module")
def served(cluster, versions):
    """The stable version, alone, answering."""
    alone(cluster, versions.stable)
    wait_for_answers(cluster, versions.stable)
    yield versions.stable
    alone(cluster, versions.stable)


# pods


def test_the_namespace_lets_only_restricted_pods_in(cluster, served):
    labels = cluster.get("namespace", cluster.namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = cluster.get("pods")
    components = {p["metadata"]["labels"].get("app.kubernetes.io/component") for p in pods}
    assert {"page", "mlflow", "model"} <= components
    assert {p["metadata"]["name"]: list(violations(p["spec"])) for p in pods} == {
        pod["metadata"]["name"]: [] for pod in pods
    }
    initializers = [
        container
        for pod in pods
        for container in pod["spec"].get("initContainers", [])
        if container["name"] == "storage-initializer"
    ]
    assert initializers, "no model pod has KServe's init container"


def test_pods_that_the_chart_describes_meet_our_own_rules_too(cluster, served):
    described = [
        pod
        for pod in cluster.pods(OURS)
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] in {"page", "mlflow"}
    ]
    assert len(described) >= 2
    for pod in described:
        assert list(own_violations(pod["spec"])) == [], pod["metadata"]["name"]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"securityContext": {"privileged": True}},
        {"securityContext": {"runAsUser": 0}},
        {},
    ],
    ids=["privileged", "root", "says nothing"],
)
def test_a_pod_that_asks_for_more_is_refused(cluster, spoiled):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "e2e-intruder"},
        "spec": {"containers": [{"name": "intruder", "image": "intruder", **spoiled}]},
    }
    tried = cluster.run(
        *("kubectl", "--namespace", cluster.namespace, "create", "--filename", "-"),
        text=json.dumps(pod),
    )
    assert tried.code != 0
    assert 'violates PodSecurity "restricted' in tried.output
    assert not cluster.exists("pod", "e2e-intruder")


# rights


def test_no_right_of_ours_is_a_wildcard_or_reaches_beyond_the_namespace(cluster):
    roles = cluster.get("roles", labels=OURS)
    assert roles
    for role in roles:
        for rule in role["rules"]:
            named = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not any("*" in one for one in named), role["metadata"]["name"]
            assert "secrets" not in rule["resources"]
    everywhere = [
        binding["metadata"]["name"]
        for binding in cluster.get("clusterrolebindings")
        for subject in binding.get("subjects") or []
        if subject.get("namespace") == cluster.namespace
    ]
    assert everywhere == []
    subjects = [
        (binding["roleRef"]["kind"], binding["roleRef"]["name"], subject["name"])
        for binding in cluster.get("rolebindings")
        for subject in binding.get("subjects") or []
    ]
    assert subjects == [("Role", "bellwether-rollout", "bellwether-rollout")]


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (("patch", "httproutes/bellwether-forecast"), True),
        (("create", "inferenceservices.serving.kserve.io"), True),
        (("get", "configmaps/bellwether-rollout"), True),
        (("patch", "httproutes/bellwether-page"), False),
        (("get", "secrets/bellwether-database"), False),
        (("get", "configmaps/bellwether-settings"), False),
        (("create", "pods"), False),
        (("create", "pods", "--subresource=exec"), False),
        (("create", "rolebindings"), False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "may" if value else "no",
)
def test_the_rollout_may_do_its_work_and_no_more(cluster, asked, allowed):
    words = ("auth", "can-i", *asked, f"--as={ROLLOUT}", "--namespace", cluster.namespace)
    answer = cluster.run("kubectl", *words)
    assert answer.output.splitlines()[-1] == ("yes" if allowed else "no"), answer.output


# secrets


@pytest.fixture(scope="module")
def passwords(cluster):
    """Every secret value of ours, as it is and as Kubernetes writes it."""
    values = [
        cluster.secret(name, namespace=namespace)[key]
        for (name, namespace), keys in PASSWORDS.items()
        for key in keys
    ]
    assert all(len(value) >= 12 for value in values)
    return values + [base64.b64encode(value.encode()).decode() for value in values]


def test_no_secret_value_stands_in_an_object_a_log_or_the_release(cluster, served, passwords):
    kinds = (
        "configmaps,pods,jobs,cronjobs,deployments,replicasets,events,services,endpointslices,"
        "inferenceservices.serving.kserve.io,servingruntimes.serving.kserve.io,httproutes,"
        "grpcroutes,gateways,envoyproxies,podmonitors,prometheusrules,networkpolicies,roles"
    )
    texts = {"objects": cluster.kubectl("get", kinds, "--output=yaml")}
    for pod in cluster.get("pods"):
        name = pod["metadata"]["name"]
        words = ("logs", name, "--all-containers", "--tail=-1")
        texts[f"log of {name}"] = cluster.run(
            "kubectl", "--namespace", cluster.namespace, *words
        ).output
    for what in (("values", "--all"), ("manifest",), ("hooks",), ("notes",)):
        said = cluster.helm("get", what[0], "bellwether", *what[1:]).expect().output
        texts[f"release's {what[0]}"] = said
    assert len(texts["objects"]) > 10_000
    assert any(len(text) > 1_000 for name, text in texts.items() if name.startswith("log"))
    found = [name for name, text in texts.items() if any(one in text for one in passwords)]
    assert found == []


# inside the containers, and what they are connected to


@pytest.fixture(scope="module")
def watched(cluster, versions, served):
    """Everything at work at once, watched from inside: load, jobs, a new version, readers."""
    jobs = {f"e2e-watched-{job}": f"bellwether-{job}" for job in ("training", "refresh", "drift")}
    try:
        with Watch(cluster) as watch, Load(cluster.forecasts, rate=30) as load:
            assert server_ready()
            for name, cronjob in jobs.items():
                change = starting(versions.candidate) if cronjob == "bellwether-training" else None
                cluster.start_job(cronjob, name, change=change)
            read_the_page(cluster, versions.stable)
            for name in jobs:
                cluster.finish_job(name, seconds=240)
    finally:
        for name in jobs:
            cluster.delete("job", name)
        # Its two pods would be in the way of those that come next.
        alone(cluster, versions.stable)
    assert load.report.failed == 0, str(load.report)
    return watch.report


def starting(version):
    """Make a training's job start this version, which takes long enough to be looked into."""

    def change(manifest):
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        assert container["args"][:3] == ["rollout", "run", "champion"], container["args"]
        container["args"][1:3] = ["start", str(version), "--weight", "0"]

    return change


def read_the_page(cluster, version):
    """What a reader of the page makes it ask of the others."""
    for path in ("/", "/reports/drift/features", f"/reports/walk-forward/{version}"):
        # While jobs keep both cores busy, the page may say in words that it waited too long.
        eventually(
            f"the page answers {path}",
            lambda path=path: cluster.page_request(path).status_code == httpx.codes.OK,
            seconds=60,
            every=2,
        )
    known = {
        one["api_name"]: one["id"] for one in cluster.page_request("/config").json()["dependencies"]
    }
    for name, data in (("_forecast_or_known", ["AAPL", 5, "champion"]), ("_feed", [None])):
        press(known[name], data)


def press(number, data):
    """What a browser does when its reader presses something; waits for what the page then shows."""
    session = f"e2e{time.monotonic_ns()}"
    address, host = f"http://127.0.0.1:{GATEWAY_PORT}/gradio_api/queue", {"host": DOMAIN}
    asked = {"data": data, "fn_index": number, "session_hash": session}
    with httpx.Client(headers=host, timeout=30) as client:
        assert client.post(f"{address}/join", json=asked).status_code == 200
        with client.stream("GET", f"{address}/data", params={"session_hash": session}) as events:
            done = next(line for line in events.iter_lines() if "process_completed" in line)
    assert json.loads(done.removeprefix("data:"))["success"], done


def test_tokens_are_where_the_rollout_is_and_nowhere_else(cluster, watched):
    looked_into = {inside.name: inside.facts for inside in watched.insides if inside.facts}
    with_token = {name.rpartition("/")[2] for name, facts in looked_into.items() if facts["token"]}
    assert with_token == {"rollout"}
    mounting = {
        container["name"]
        for pod in watched.network.pods.values()
        if pod["metadata"]["namespace"] == cluster.namespace
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
        for mount in container.get("volumeMounts", [])
        if "serviceaccount" in mount["mountPath"]
    }
    assert mounting == {"rollout"}


def test_running_containers_are_nobody_and_can_change_nothing_of_themselves(watched, figures):
    looked_into = [inside for inside in watched.insides if inside.facts]
    parts = {inside.name.rpartition("/")[2] for inside in looked_into}
    assert {"mlflow", "page", "kserve-container", "train", "rollout", "drift", "refresh"} <= parts
    for inside in looked_into:
        facts = inside.facts
        assert facts["user"] == 10001, inside.name
        assert facts["capabilities"] == 0, inside.name
        assert facts["no_new_privileges"], inside.name
        assert facts["filtered"], inside.name
        if inside.container != "storage-initializer":  # KServe's own, which has to write
            assert facts["writable"] == [], inside.name
    figures.record("security", "containers looked into", len(looked_into))


def test_no_secret_value_is_an_argument_of_a_process(watched, passwords):
    for inside in watched.insides:
        for command in inside.facts.get("commands", []):
            assert not any(one in command for one in passwords), inside.name


def test_no_connection_is_one_that_no_policy_allows(cluster, watched, figures):
    found = cluster.get("networkpolicies")
    policies = Policies(found)
    assert any(policy["spec"]["podSelector"] == {} for policy in found), "no default-deny"
    connections = watched.connections()
    refused = watched.refused(policies)
    figures.record("network", "distinct connections of our pods", len(connections))
    figures.record("network", "of them allowed by no policy", len(refused), wanted="0")
    assert refused == [], "\n".join(refused)
    seen = {one.flow for one in connections}
    figures.record("network", "kinds of connections (who, whom, port)", len(seen))
    assert SEEN_FLOWS - seen == set(), sorted(seen)


def test_the_evaluation_is_not_asleep(cluster, watched):
    """Without the policies that allow, default-deny alone refuses nearly everything."""
    deny = [p for p in cluster.get("networkpolicies") if p["spec"]["podSelector"] == {}]
    assert len(watched.refused(Policies(deny))) >= len(SEEN_FLOWS)


# poisoned bundles


@dataclass(frozen=True)
class Attempt:
    """What became of one poisoned version.

    Attributes:
        outcome: of `rollout start`.
        was_ready: whether a pod of it was ever seen ready.
        alert_seconds: from the start until the alert fired for it.
        insides: (markers, commands) in each of its containers.
        weight: on the route.
    """

    outcome: Outcome
    was_ready: bool
    alert_seconds: float | None
    insides: list[tuple[list[str], list[str]]]
    weight: int


@pytest.fixture(scope="module")
def attempts(cluster, versions, served) -> tuple[dict[str, Attempt], Report]:
    """Every poisoned bundle, started as a version beside the stable one, under load."""
    known = cluster.versions()
    model = known[versions.stable]
    good, other = bundle_of(cluster, model), bundle_of(cluster, known[versions.candidate])
    assert hashlib.sha256(good["manifest.json"]).hexdigest() == model["tags"]["bundle_digest"]
    with contextlib.ExitStack() as stack:
        numbers = {
            poison.name: stack.enter_context(
                registered(cluster, model, *stored(poison, good, other))
            )
            for poison in POISONS
        }
        pool = stack.enter_context(ThreadPoolExecutor(len(numbers)))
        with Load(cluster.forecasts) as load:
            try:
                found = observe(cluster, numbers, pool)
            finally:
                for done in [
                    pool.submit(cluster.rollout, "delete", str(one)) for one in numbers.values()
                ]:
                    done.result()
        return found, load.report


def stored(poison: Poison, good, other):
    """(files, digest that the registry promises)"""
    files = poison.tamper(good, other)
    promised = files if poison.registered else good
    return files, hashlib.sha256(promised["manifest.json"]).hexdigest()


def observe(cluster, numbers, pool):
    """Start them all at once; look until each has failed and its alert fires, or time is up."""
    began = time.monotonic()
    words = ("--weight", "10", "--timeout", "100")
    starts = {
        name: pool.submit(cluster.rollout, "start", str(number), *words)
        for name, number in numbers.items()
    }
    ready, alerts = set(), {}
    services = {f"bellwether-v{number}": name for name, number in numbers.items()}
    while time.monotonic() - began < 150:
        for labels, _ in cluster.prometheus_query(ALERT):
            if (name := services.get(labels["inferenceservice"])) and name not in alerts:
                alerts[name] = time.monotonic() - began
        for pod in cluster.pods("app.kubernetes.io/component=model"):
            service = pod["metadata"]["labels"]["serving.kserve.io/inferenceservice"]
            if any(one["ready"] for one in pod["status"].get("containerStatuses", [])):
                ready.add(services.get(service))
        if len(alerts) == len(numbers) and all(start.done() for start in starts.values()):
            break
        time.sleep(1)
    weights = cluster.weights()
    return {
        name: Attempt(
            outcome=starts[name].result(),
            was_ready=name in ready,
            alert_seconds=alerts.get(name),
            insides=[*inside(cluster, f"bellwether-v{number}")],
            weight=weights.get(number, 0),
        )
        for name, number in numbers.items()
    }


def inside(cluster, service):
    """What lies and runs in each server of this InferenceService."""
    look = (
        "import json, os\n"
        f"marks = [os.path.join(f, '{MARKER}') for f in"
        " ('/', '/app', '/tmp', '/var/lib/bellwether', '/mnt/models')]\n"
        "commands = []\n"
        "for one in filter(str.isdigit, os.listdir('/proc')):\n"
        "    if int(one) != os.getpid():\n"
        "        commands.append(open(f'/proc/{one}/cmdline').read().replace('\\0', ' ').strip())\n"
        "print(json.dumps([[m for m in marks if os.path.exists(m)], commands]))\n"
    )
    for pod in cluster.pods(f"serving.kserve.io/inferenceservice={service}"):
        running = [
            one["name"]
            for one in pod["status"].get("containerStatuses", [])
            if "running" in one["state"]
        ]
        for container in running:
            words = ("exec", pod["metadata"]["name"], "--container", container, "--")
            marks, commands = json.loads(cluster.kubectl(*words, "python", "-c", look))
            yield marks, commands


def test_the_payload_is_real(tmp_path):
    """Unpickled, it leaves its mark: so no mark in a pod means that nobody unpickled it."""
    (tmp_path / "model.onnx").write_bytes(PICKLE)
    subprocess.run(
        [sys.executable, "-c", "import pickle; pickle.load(open('model.onnx', 'rb'))"],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "POISON_FOLDER": str(tmp_path)},
    )
    assert (tmp_path / MARKER).exists()


@pytest.mark.parametrize("poison", POISONS, ids=lambda poison: poison.name)
def test_a_poisoned_bundle_is_never_served_and_runs_nothing(cluster, attempts, poison):
    attempt = attempts[0][poison.name]
    said = attempt.outcome.output
    assert attempt.outcome.code == 4, said
    assert "bundle" in said.lower(), said
    assert "it got none" in " ".join(said.split()), said
    assert not attempt.was_ready
    assert attempt.weight == 0
    assert attempt.insides, "no container of it ran: nothing was proved"
    for marks, commands in attempt.insides:
        assert marks == []
        assert set(commands) == {"python -m serving.server"}


def test_the_stable_version_served_on_meanwhile(attempts, versions, figures):
    report = attempts[1]
    figures.record("security", "requests while bundles were poisoned", report.sent)
    figures.record("security", "failed of them", report.failed, wanted="0")
    assert report.failed == 0, str(report)
    assert report.versions == {str(versions.stable): report.sent}


def test_an_alert_says_so_within_two_minutes(attempts, figures):
    took = {name: attempt.alert_seconds for name, attempt in attempts[0].items()}
    assert None not in took.values(), took
    figures.record(
        "security", "start to BundleRejected, slowest", max(took.values()), "s", wanted="<= 120"
    )
    assert max(took.values()) <= 120


def test_afterwards_nothing_of_them_is_left(cluster, versions, attempts):
    eventually(
        "only the stable version runs",
        lambda: (
            {
                pod["metadata"]["labels"]["bellwether.io/model-version"]
                for pod in cluster.pods("app.kubernetes.io/component=model")
            }
            <= {str(versions.stable), str(versions.candidate)}
        ),
        seconds=60,
    )
    assert set(cluster.weights()) <= {versions.stable, versions.candidate}
    assert cluster.page_request("/").status_code == httpx.codes.OK
