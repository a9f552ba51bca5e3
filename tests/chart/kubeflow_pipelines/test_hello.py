"""`helm test` says of a run what the server says, and its pipeline is one that the server can read."""

import json
import subprocess
import sys
import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
import yaml

from tests.chart.rendering import PIPELINES, one
from tests.time_limits import expires

PROGRAM = PIPELINES.folder / "files" / "hello.py"
PACKAGE = PIPELINES.folder / "files" / "hello.yaml"


class Server(BaseHTTPRequestHandler):
    """The part of the REST API that the test uses; a run goes through `states`."""

    states: ClassVar[list[dict]] = []
    asked: ClassVar[list[str]] = []
    uploaded = b""

    def log_message(self, *_):
        pass

    def answer(self, body, code=200):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.split("?")[0].removeprefix("/apis/v2beta1")
        self.asked.append(f"POST {path}")
        if path == "/pipelines/upload":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            (part,) = BytesParser().parsebytes(head + body).get_payload()
            type(self).uploaded = part.get_payload(decode=True)
            self.answer({"pipeline_id": "p1"})
        elif json.loads(body)["pipeline_version_reference"] == {
            "pipeline_id": "p1", "pipeline_version_id": "v1",
        }:  # fmt: skip
            self.answer({"run_id": "r1"})
        else:
            self.answer({"message": "no such version"}, 400)

    def do_GET(self):
        path = self.path.removeprefix("/apis/v2beta1")
        self.asked.append(f"GET {path}")
        if path.endswith("/versions"):
            self.answer({"pipeline_versions": [{"pipeline_version_id": "v1"}]})
        else:
            self.answer(self.states.pop(0) if len(self.states) > 1 else self.states[0])

    def do_DELETE(self):
        self.asked.append(f"DELETE {self.path.removeprefix('/apis/v2beta1')}")
        self.answer({})


@pytest.fixture
def server():
    Server.asked, Server.uploaded = [], b""
    http = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http
    http.shutdown()
    http.server_close()


def hello(server, states, timeout=20.0):
    Server.states = states
    arguments = [f"--server=http://127.0.0.1:{server.server_port}", f"--pipeline={PACKAGE}",
                 f"--timeout={timeout}", "--poll=0.01"]  # fmt: skip
    return subprocess.run(
        [sys.executable, PROGRAM, *arguments], capture_output=True, text=True, check=False
    )


def test_a_run_that_succeeds_is_a_success_and_its_pipeline_is_removed(server):
    answer = hello(server, [{"state": "PENDING"}, {"state": "RUNNING"}, {"state": "SUCCEEDED"}])
    assert answer.returncode == 0, answer.stderr
    assert "the run succeeded" in answer.stdout
    assert Server.uploaded == PACKAGE.read_bytes()
    assert Server.asked[-2:] == ["DELETE /pipelines/p1/versions/v1", "DELETE /pipelines/p1"]


def test_a_failed_run_fails_with_the_servers_error(server):
    failed = {"state": "FAILED", "error": {"message": "no such image"},
              "run_details": {"task_details": [{"display_name": "hello", "state": "FAILED"}]}}  # fmt: skip
    answer = hello(server, [{"state": "RUNNING"}, failed])
    assert answer.returncode == 1
    assert answer.stderr.strip() == "the run ended FAILED: no such image; hello FAILED"
    assert not [asked for asked in Server.asked if asked.startswith("DELETE")]


def test_a_run_that_does_not_end_fails_at_the_timeout(server):
    answer = hello(server, [{"state": "RUNNING"}], timeout=expires(0.05))
    assert answer.returncode == 1
    assert "the run is RUNNING after 0 s: the server says no more" in answer.stderr


def test_an_unreachable_server_is_reported():
    arguments = ["--server=http://127.0.0.1:9", f"--pipeline={PACKAGE}"]
    answer = subprocess.run(
        [sys.executable, PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "Connection refused" in answer.stderr


def test_the_pipeline_in_the_configmap_is_one_that_kubeflow_reads():
    from kfp import components

    data = one(PIPELINES.render(), "ConfigMap", "pipelines-test")["data"]
    assert data["hello.py"].strip() == PROGRAM.read_text().strip()
    read = components.load_component_from_text(data["hello.yaml"])
    executors = read.pipeline_spec.deployment_spec["executors"]
    assert executors["exec-hello"]["container"]["image"] == "docker.io/library/alpine:3.23"
    pipeline, platform = yaml.safe_load_all(data["hello.yaml"])
    assert pipeline["pipelineInfo"]["name"] == "helm-test"
    (executor,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    assert executor["securityContext"]["runAsNonRoot"] is True
