"""Of all that MLflow serves, its route lets only reading through: tried on a real server, route by route."""

import re
import sqlite3
import sys
from functools import cache

import httpx
import pytest

from tests.chart.rendering import one, render
from tests.ports import free_port
from tests.processes import running
from tests.routes import of_mlflow
from tests.servers import answers
from tests.time_limits import seconds, wait_until

ROUTED = ("mlflow.route=true", "gateway.login.type=basic")
MODEL = "bellwether"
NOT_READ = re.compile(
    r"gateway|secret|webhook|presigned|jobs|assistant|invoke|mcp|workspaces|telemetry"
)
"""What is left out although some of it reads: accounts of others, and addresses signed for anybody."""


@cache
def matches():
    route = one(render("", *ROUTED), "HTTPRoute", "bellwether-mlflow")
    return [match for rule in route["spec"]["rules"] for match in rule["matches"]]


def fits(match, method, path):
    kind, value = match["path"]["type"], match["path"]["value"]
    below = kind == "PathPrefix" and path.startswith(f"{value.rstrip('/')}/")
    return match["method"] == method and (path == value or below)


def let_through(method, path):
    return any(fits(match, method, path) for match in matches())


@pytest.fixture(scope="module")
def through():
    """What of it the route lets through."""
    found = {(method, path) for method, path in of_mlflow() if let_through(method, path)}
    assert len(found) > 30
    return found


def test_every_request_that_the_route_names_is_one_that_mlflow_serves(through):
    idle = [match for match in matches() if not any(fits(match, *request) for request in through)]
    assert idle == []


def test_only_searches_are_let_through_that_are_not_a_get(through):
    others = {path for method, path in through if method != "GET"}
    assert others == {
        "/graphql",
        *(
            f"/{api}/2.0/mlflow/{path}"
            for api in ("api", "ajax-api")
            for path in (
                "experiments/search", "logged-models/search", "runs/search",
                "registered-models/get-latest-versions",
            )
        ),
        "/ajax-api/2.0/mlflow/experiments/search-datasets",
        "/ajax-api/3.0/mlflow/traces/search",
    }  # fmt: skip


def test_secrets_webhooks_and_signed_addresses_are_not_shown(through):
    assert [path for _, path in through if NOT_READ.search(path)] == []
    assert any("/gateway/secrets/" in path for _, path in of_mlflow())


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A real server with a run and a version in it: its address, and what it keeps."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{folder / 'store.sqlite'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with running(command, folder / "log", variables) as server:
        wait_until(lambda: server.up() and answers(f"{url}/health"), 90, server.said)
        with httpx.Client(base_url=url, timeout=seconds(30)) as client:
            yield Registry(client, folder)


class Registry:
    """A server, asked directly, with an experiment, a run with an artifact, and a version."""

    def __init__(self, client, folder):
        self.client, self.folder = client, folder
        self.experiment = self.made("experiments/create", name="e")["experiment_id"]
        run = self.made("runs/create", experiment_id=self.experiment)["run"]["info"]
        self.run = run["run_id"]
        path = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        self.artifact = f"{path}/note.txt"
        put = client.put(f"/api/2.0/mlflow-artifacts/artifacts/{self.artifact}", content=b"note")
        assert put.status_code == httpx.codes.OK
        self.made("registered-models/create", name=MODEL)
        self.made("model-versions/create", name=MODEL, source=run["artifact_uri"], run_id=self.run)

    def made(self, path, **body):
        answer = self.client.post(f"/api/2.0/mlflow/{path}", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def kept(self):
        """Everything it keeps: rows, and artifacts."""
        with sqlite3.connect(self.folder / "store.sqlite") as store:
            rows = list(store.iterdump())
        files = {
            path: path.read_bytes() for path in self.folder.rglob("*") if path.suffix == ".txt"
        }
        return rows, files

    def ask(self, method, path):
        """Send a request that names what is there, and asks for changes where it can."""
        named = {"artifact_path": self.artifact, "path": "main.js"}
        path = re.sub(r"<(?:path:)?(\w+)(?::path)?>", lambda p: named.get(p[1], self.run), path)
        words = {
            "experiment_id": self.experiment, "experiment_ids": [self.experiment],
            "run_id": self.run, "run_uuid": self.run, "run_ids": [self.run], "name": MODEL,
            "version": "1", "alias": "champion", "key": "k", "value": "v", "metric_key": "m",
            "path": "note.txt", "artifact_location": str(self.folder / "elsewhere"),
            "tags": [{"key": "k", "value": "v"}], "max_results": 5,
        }  # fmt: skip
        if method == "GET":
            flat = {key: value for key, value in words.items() if isinstance(value, str)}
            return self.client.request(method, path, params=flat, json=words)
        return self.client.request(method, path, json=words)


def test_what_is_let_through_changes_nothing(registry, through):
    before = registry.kept()
    understood = 0
    for method, path in sorted(through):
        for body in ("named", "empty"):
            if body == "named":
                answer = registry.ask(method, path)
            else:
                answer = registry.client.request(method, re.sub(r"<[^>]*>", "x", path), json={})
            understood += answer.is_success
            assert registry.kept() == before, (method, path, answer.text[:200])
    assert understood > 20
    # The comparison sees a change.
    registry.made("registered-models/alias", name=MODEL, alias="champion", version="1")
    assert registry.kept() != before
