"""A stranger at our own servers, on this machine: every verb on every route, and nothing changes."""

import hashlib
import json
import sqlite3
import sys

import httpx
import pytest

from tests import routes
from tests.integration.test_server import running as model_server
from tests.ports import free_port
from tests.processes import running
from tests.served_models import make_bundle, make_features, publish
from tests.servers import answers
from tests.stranger import send
from tests.time_limits import seconds, wait_until

pytestmark = pytest.mark.integration

QUESTION = {"inputs": [{"name": "symbols", "datatype": "BYTES", "shape": [1], "data": ["AAPL"]}]}
BODIES = {"": {"name": "bellwether", "version": "1"}, "/infer": QUESTION}
NAMES = {"": "bellwether", "api_name": "_start_training", "model_version": "3", "version": "3"}
MOST = 6_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that the servers read and write, and the two of them on it."""
    folder = tmp_path_factory.mktemp("stranger")
    make_bundle(folder / "bundle")
    publish(folder / "lake", make_features())
    with model_server(folder) as server:
        server.wait()
        port = free_port()
        variables = {
            "GRADIO_TEMP_DIR": str(folder / "uploads"),
            "BELLWETHER_STATE_DIR": str(folder),
            "BELLWETHER_INFERENCE_URL": server.url,
            "BELLWETHER_REGISTRY_URL": f"http://127.0.0.1:{free_port()}",
            "BELLWETHER_PAGE_HOST": "0.0.0.0",
            "BELLWETHER_PAGE_PORT": str(port),
        }
        page = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "gradio_app"]
        with running(command, folder / "page.log", variables) as process:
            wait_until(lambda: process.up() and answers(f"{page}/live"), 90, process.said)
            yield folder, server.url, page


def kept(folder):
    """Digests of all files, and the shape of the prediction log: forecasts may add rows to it."""
    log = folder / "predictions.sqlite"
    with sqlite3.connect(log) as database:
        schema = database.execute("SELECT sql FROM sqlite_master ORDER BY sql").fetchall()
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".log" and not path.name.startswith(log.name)
    }
    return files, schema


def asked(address, found):
    made = list(routes.tries({address: [p for _, p in found]}, BODIES, NAMES))
    assert len(made) < MOST
    return send(address, made)


def test_nothing_of_a_model_server_changes(place):
    folder, server, _ = place
    httpx.post(f"{server}/v2/models/bellwether/infer", json=QUESTION, timeout=seconds(10))
    wait_until(lambda: "CREATE TABLE predictions" in str(kept(folder)[1]), 20)
    before = kept(folder)
    seen = asked(server, routes.of_kserve() | {("GET", "/"), ("GET", "/metrics")})
    assert kept(folder) == before
    assert (server, "POST", "/v2/models/bellwether/infer") in seen.good
    assert {path for _, _, path in seen.good if "repository" in path or "/v1/" in path} == set()
    assert seen.defects == set()
    assert httpx.get(f"{server}/v2/health/ready", timeout=seconds(10)).is_success


def test_nothing_of_the_page_changes(place):
    folder, _, page = place
    before = kept(folder)
    seen = asked(page, routes.of_the_page())
    upload = {"files": ("x.txt", b"x" * 100_000)}
    httpx.post(f"{page}/gradio_api/upload", files=upload, timeout=seconds(10))
    assert kept(folder) == before
    assert (page, "GET", "/") in seen.good
    assert {path for _, method, path in seen.good if method == "POST"} <= {
        "/gradio_api/reset", "/gradio_api/cancel",
    }  # fmt: skip
    assert seen.defects == set()


def test_no_event_of_the_page_starts_anything(place):
    """Hiding a button is not enough: every event is sent as the browser would send it."""
    folder, _, page = place
    before = kept(folder)
    with httpx.Client(base_url=page, timeout=seconds(60)) as client:
        config = client.get("/config").json()
        events = [one["id"] for one in config["dependencies"]]
        assert len(events) > 10
        inputs = {one["id"]: one["inputs"] for one in config["dependencies"]}
        for event in events:
            filled = (["AAPL", "sample", 1, 1] + [None] * 9)[: len(inputs[event])]
            body = {"fn_index": event, "data": filled, "session_hash": f"s{event}"}
            joined = client.post("/gradio_api/queue/join", json=body)
            assert joined.is_success, joined.text
            with client.stream(
                "GET", "/gradio_api/queue/data", params={"session_hash": f"s{event}"}
            ) as stream:
                for line in stream.iter_lines():
                    told = json.loads(line.removeprefix("data: ") or "{}")
                    if told.get("msg") in {"process_completed", "unexpected_error"}:
                        break
    assert kept(folder) == before
    assert not (folder / "retraining").exists()
