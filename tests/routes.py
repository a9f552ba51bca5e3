"""What servers answer to, asked of the servers themselves: every path, and how a stranger would ask for it."""

import asyncio
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Every verb; each is tried on every path, whether the server says that it takes it or not."""

OF_MLFLOW = """
from mlflow.server.fastapi_app import app, flask_app
for rule in flask_app.url_map.iter_rules():
    for method in rule.methods:
        print("route", method, rule.rule)
for route in app.routes:
    for method in getattr(route, "methods", None) or ():
        print("route", method, route.path)
"""
"""In a process of its own: MLflow's server changes what warnings and the environment are."""

OF_KSERVE = """
from unittest.mock import MagicMock
from fastapi import FastAPI
from kserve.protocol.rest.v1_endpoints import register_v1_endpoints
from kserve.protocol.rest.v2_endpoints import register_v2_endpoints
from tests.routes import tree
app = FastAPI()
register_v1_endpoints(app, MagicMock(), MagicMock())
register_v2_endpoints(app, MagicMock(), MagicMock())
for method, path in tree(app):
    print("route", method, path)
"""
"""All that KServe's server can serve, its loading and unloading of models included: ours serves less."""


def tree(app: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of every route of a Starlette application, those of what is mounted included."""
    for route in app.routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from tree(included, prefix + route.include_context.prefix)
            continue
        for method in getattr(route, "methods", None) or ():
            yield method, prefix + route.path
        if getattr(route, "routes", None):
            yield from tree(route, prefix + route.path)


def _told(script: str) -> set[tuple[str, str]]:
    said = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    lines = (line.split(" ", 2) for line in said.splitlines() if line.startswith("route "))
    return {(method, in_angles(path)) for _, method, path in lines}


def in_angles(path: str) -> str:
    """A path whose parameters stand in angle brackets, as Flask writes them."""
    return re.sub(r"{([^}]*)}", r"<\1>", path)


@cache
def of_mlflow() -> frozenset[tuple[str, str]]:
    """(method, path) of everything that `mlflow server` answers."""
    return frozenset(_told(OF_MLFLOW))


@cache
def of_kserve() -> frozenset[tuple[str, str]]:
    """(method, path) of everything that KServe's server would answer if ours let it."""
    return frozenset(_told(OF_KSERVE))


@cache
def of_the_page() -> frozenset[tuple[str, str]]:
    """(method, path) of Gradio's application and ours around it, whatever the gate lets through."""
    from types import SimpleNamespace

    from forecasting.settings import Settings
    from gradio_app import routes
    from gradio_app.access import Access
    from gradio_app.app import build_app

    data: Any = SimpleNamespace(prefix="", walk_forward_report=None, drift_report=None)
    trains: Any = SimpleNamespace(sources=("sample",))
    seen: list[Any] = []

    class NoGate:
        """In the gate's place: shows what stands behind it."""

        def __init__(self, app: Any, _access: Any) -> None:
            seen.append(app)

    async def build() -> None:
        gate, routes.Gate = routes.Gate, NoGate  # type: ignore[misc, assignment]
        access = Access.of(Settings())
        try:
            routes.build_server(data, build_app(data, trains, access), access)
        finally:
            routes.Gate = gate  # type: ignore[misc]

    asyncio.run(build())
    return frozenset((method, in_angles(path)) for method, path in tree(seen[0]))


@cache
def of_kubeflow_pipelines() -> frozenset[tuple[str, str]]:
    """(method, path) of the API of Kubeflow Pipelines, as its official client asks for them."""
    import kfp_server_api

    calls = re.compile(r"call_api\(\s*'(/[^']*)',\s*'([A-Z]+)'")
    found = {
        (method, in_angles(path))
        for name, api in inspect.getmembers(kfp_server_api, inspect.isclass)
        if name.endswith("ServiceApi")
        for path, method in calls.findall(inspect.getsource(api))
    }
    return frozenset(found)


@dataclass(frozen=True)
class Try:
    """One request of a stranger's.

    Attributes:
        host: the Host header.
        method: the verb.
        path: with its parameters filled in.
        headers: what he adds in the hope that somebody believes it.
        body: JSON, or nothing.
    """

    host: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


CLAIMS: Mapping[str, str] = {
    "authorization": "Basic YWRtaW46cGFzc3dvcmQ=",
    "cookie": "access-token-unsecure-x=y; IdToken=x; mlflow-request-header-x=y",
    "forwarded": "for=127.0.0.1;host=localhost;proto=https",
    "x-bellwether-user": "tester",
    "x-envoy-internal": "true",
    "x-envoy-original-path": "/",
    "x-forwarded-email": "admin@example.org",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-host": "localhost:5000",
    "x-forwarded-user": "admin",
    "x-http-method-override": "GET",
    "x-original-url": "/health",
    "x-real-ip": "127.0.0.1",
    "x-remote-user": "admin",
}
"""Headers that some proxy or server somewhere takes for the truth."""


def tries(
    hosts: Mapping[str, Sequence[str]], bodies: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[Try]:
    """Every verb on every path, on each host: as anybody asks, and with a stranger's claims.

    Args:
        hosts: Host header -> paths, parameters in angle brackets.
        bodies: what is sent with verbs that have a body, by how a path ends; "" for all others.
        names: values of parameters by name; "" for all others.
    """
    for host, paths in hosts.items():
        for path in sorted(set(paths)):
            filled = fill(path, names)
            ending = next((end for end in bodies if end and filled.endswith(end)), "")
            body = json.dumps(bodies[ending]).encode()
            for method in METHODS:
                sent = body if method in {"POST", "PUT", "PATCH", "DELETE"} else b""
                yield Try(host, method, filled, {}, sent)
                yield Try(host, method, filled, CLAIMS, sent)


def fill(path: str, names: Mapping[str, str]) -> str:
    """A path with a value for each parameter; `<int:id>` and `<path:rest>` are `id` and `rest`."""

    def value(found: "re.Match[str]") -> str:
        parts = set(found[1].split(":"))
        return next((names[part] for part in parts if part in names), names[""])

    return re.sub(r"<([^>]*)>", value, path).replace("^", "")
