"""A stranger at the gateway: every verb on every route of every server, and nothing changes."""

import hashlib
import http.client
import json
import socket

import httpx
import pytest

from gradio_app.gate import MAX_BODY
from tests import routes
from tests.e2e.cluster import DATA_NAMESPACE, DOMAIN, GATEWAY_PORT, QUESTION, eventually
from tests.e2e.installation import install
from tests.e2e.stage import alone
from tests.stranger import send
from tests.time_limits import seconds

ADDRESS = f"http://127.0.0.1:{GATEWAY_PORT}"
BODIES = {
    "": {
        "name": "bellwether", "version": "1", "alias": "champion", "key": "k", "value": "v",
        "experiment_id": "1", "artifact_location": "s3://bellwether/lake",
        "tags": [{"key": "k", "value": "v"}], "path": "note.txt",
    },
    "/infer": json.loads(QUESTION),
}  # fmt: skip
NAMES = {
    "": "bellwether", "version": "1", "model_version": "1", "experiment_id": "1",
    "api_name": "_start_training",
}  # fmt: skip
MOST = 40_000
INSIDE = ("", ".bellwether", ".bellwether.svc", ".bellwether.svc.cluster.local")
KINDS = (
    "inferenceservices.serving.kserve.io", "servingruntimes.serving.kserve.io", "httproutes",
    "grpcroutes", "gateways", "deployments.apps", "cronjobs", "jobs", "secrets", "configmaps",
)  # fmt: skip


def dump(cluster, database, *words):
    """A database as text; of the prediction log's rows nothing, forecasts may add some."""
    said = cluster.kubectl(
        *("exec", "deployment/postgresql", "--", "pg_dump", "--host=/tmp", "--username=postgres"),
        *(f"--dbname={database}", *words),
        namespace=DATA_NAMESPACE,
    )
    # Newer ones draw a word for these lines.
    return [line for line in said.splitlines() if not line.startswith(("\\restrict", "\\unres"))]


def digest(made):
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def kept(cluster):
    """Registry, ledger, prediction log's schema, object store and Kubernetes' objects."""
    objects = {
        f"{kind}/{one['metadata']['name']}": digest([one.get("spec"), one.get("data")])
        for kind in KINDS
        for one in cluster.get(kind)
    }
    stored = {
        name: (one["ETag"], one["size"])
        for name, one in cluster.s3.find("bellwether", detail=True).items()
    }
    return {
        "registry": dump(cluster, "mlflow"),
        "ledger and log": dump(cluster, "bellwether", "--exclude-table-data=predictions"),
        "object store": stored,
        "objects": objects,
    }


def changes(before, after):
    """What is there now and was not, or the other way round."""
    found = {}
    for part, then in before.items():
        now = after[part]
        both = (
            (set(then.items()), set(now.items()))
            if isinstance(then, dict)
            else (set(then), set(now))
        )
        found[part] = sorted(map(str, both[0] ^ both[1]))[:20]
    return {part: lines for part, lines in found.items() if lines}


def hosts(cluster):
    """Host -> the paths tried on it: its own server's, and all others' where anything may go."""
    mlflow, page, model, pipelines = (
        {path for _, path in found()}
        for found in (
            routes.of_mlflow, routes.of_the_page, routes.of_kserve, routes.of_kubeflow_pipelines,
        )
    )  # fmt: skip
    everything = mlflow | page | model | pipelines
    own = {DOMAIN: page | pipelines, f"mlflow.{DOMAIN}": mlflow, f"forecast.{DOMAIN}": everything}
    routed = {
        name
        for kind in ("httproutes", "grpcroutes")
        for route in cluster.get(kind)
        for name in route["spec"]["hostnames"]
    }
    assert set(own) <= routed
    unknown = {f"127.0.0.1:{GATEWAY_PORT}": everything, f"pipelines.{DOMAIN}": pipelines}
    return {name: own.get(name, model) for name in routed} | unknown


@pytest.fixture(scope="module")
def serving(cluster, versions):
    """One version serves."""
    alone(cluster, versions.stable)
    return versions.stable


@pytest.fixture(scope="module")
def tried(cluster, serving, figures):
    """The state before, what was answered, and the state after."""
    before = kept(cluster)
    assert len(before["registry"]) > 100
    assert len(before["object store"]) > 10
    tries = list(routes.tries(hosts(cluster), BODIES, NAMES))
    assert len(tries) < MOST
    seen = send(ADDRESS, tries)
    figures.record("stranger", "routes x verbs x headers tried", seen.sent)
    for (host, kind), count in sorted(seen.classes.items()):
        what = f"{kind}xx" if kind else "no answer"
        figures.record("stranger", f"{host}: {what}", count)
    return before, seen, kept(cluster)


def test_nothing_of_what_a_stranger_tries_changes_anything(tried):
    before, _, after = tried
    assert changes(before, after) == {}


def test_the_comparison_sees_a_change(cluster, tried):
    *_, after = tried
    model = {"name": "bellwether", "key": "e2e", "value": "seen"}
    cluster.change_registry("POST", "registered-models/set-tag", model)
    found = changes(after, kept(cluster))
    body = {"name": "bellwether", "key": "e2e"}
    cluster.change_registry("DELETE", "registered-models/delete-tag", body)
    assert set(found) == {"registry"}
    assert changes(after, kept(cluster)).keys() <= {"registry"}


def test_only_forecasts_and_the_page_answer_a_stranger(tried):
    _, seen, _ = tried
    hosts_that_answer = {host for host, _, _ in seen.good}
    assert DOMAIN in hosts_that_answer
    assert f"forecast.{DOMAIN}" in hosts_that_answer
    assert hosts_that_answer <= {
        DOMAIN, f"forecast.{DOMAIN}",
        *(f"bellwether-forecast{tail}" for tail in INSIDE),
    }  # fmt: skip
    sent = {(host, method, path) for host, method, path in seen.good if method != "GET"}
    assert {path for _, method, path in sent if method != "HEAD"} <= {
        "/v2/models/bellwether/infer",
        "/v2/models/bellwether/versions/1/infer",
        "/gradio_api/reset",
        "/gradio_api/cancel",
    }


def test_no_server_is_surprised(tried):
    _, seen, _ = tried
    assert seen.defects == set()


# the gateway's own limits


def raw(data):
    """The status of the answer to some bytes sent to the gateway; 0 if the connection just ends."""
    with socket.create_connection(("127.0.0.1", GATEWAY_PORT), timeout=seconds(30)) as connection:
        connection.sendall(data)
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
        except (http.client.BadStatusLine, ConnectionError):
            return 0
        return answer.status


def test_the_gateway_takes_its_policies(cluster, serving):
    for kind in ("clienttrafficpolicies", "backendtrafficpolicies", "securitypolicies"):
        for policy in cluster.get(f"{kind}.gateway.envoyproxy.io"):
            for parent in policy["status"]["ancestors"]:
                accepted = {c["type"]: c["status"] for c in parent["conditions"]}
                assert accepted["Accepted"] == "True", (kind, parent)


def test_the_gateway_refuses_what_breaks_its_limits(serving, figures):
    head = f"GET /v2/health/live HTTP/1.1\r\nHost: forecast.{DOMAIN}\r\n"
    assert raw(f"{head}\r\n".encode()) == 200
    assert raw(f"{head}X: {'v' * 70_000}\r\n\r\n".encode()) == 431
    many = "".join(f"X-{n}: v\r\n" for n in range(200))
    assert raw(f"{head}{many}\r\n".encode()) == 431
    assert raw(head.encode()) == 408  # the rest of the head never comes


def test_a_long_body_does_not_reach_the_page(serving):
    body = b"x" * (MAX_BODY + 1)
    path = "/gradio_api/queue/join"
    answer = httpx.post(f"{ADDRESS}{path}", content=body, headers={"host": DOMAIN})
    assert answer.status_code == 413


# who asks, as the gateway says it to the page


def asked(login, *claims):
    """The page's status for somebody with the gateway's login or without, who claims to be others."""
    headers = [("host", DOMAIN), *(("X-Bellwether-User", name) for name in claims)]
    with httpx.Client(timeout=seconds(30)) as client:
        return client.get(ADDRESS, headers=headers, auth=login).status_code


@pytest.fixture
def with_readers(cluster, images, serving):
    """Installs the page behind the login, for these readers alone; as it was at the end."""

    def only(*names):
        roles = {"readers": list(names), "trainers": [], "operators": []}
        words = [f"--set-json=page.roles={json.dumps(roles)}", "--set=page.login=true"]
        install(cluster, images, *words)

    yield only
    install(cluster, images)
    eventually("the page has no login", lambda: asked(None) == 200, seconds=60)


def test_the_page_knows_who_asks_and_nobody_can_say_he_is_another(cluster, with_readers):
    user, _ = cluster.login
    with_readers("somebody-else")
    eventually("the page has a login", lambda: asked(None) == 401, seconds=60)
    eventually("who has no role is turned away", lambda: asked(cluster.login) == 403, seconds=60)
    assert asked(None, "somebody-else") == 401
    assert asked(cluster.login, "somebody-else") == 403
    assert asked(cluster.login, "somebody-else", "somebody-else") == 403
    with_readers(user)
    eventually("who has a role gets in", lambda: asked(cluster.login) == 200, seconds=60)
    assert asked(cluster.login, "somebody-else") == 200
    assert asked(None, user) == 401
