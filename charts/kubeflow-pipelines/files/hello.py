"""Uploads a pipeline, runs it, waits, and fails with what the server says of the run. Python's own library only."""

# ruff: noqa: INP001, S310, T201 - a program in a ConfigMap, for one server, read by its output

import argparse
import http.client
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

API = "/apis/v2beta1"
POLL = 3.0
GOOD, BAD = "SUCCEEDED", {"FAILED", "CANCELED", "SKIPPED"}


def main() -> None:
    """Run the pipeline once; remove it when it went well, leave it to be looked at when not."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--server", required=True, help="address of the API server")
    options.add_argument("--pipeline", required=True, type=Path, help="the compiled pipeline")
    options.add_argument("--timeout", default=600.0, type=float, help="seconds")
    options.add_argument("--poll", default=POLL, type=float, help="seconds between two looks")
    given = options.parse_args()
    server = given.server.rstrip("/")
    name = f"helm-test-{int(time.time())}"
    uploaded = upload(server, name, given.pipeline.read_bytes())
    pipeline = str(uploaded["pipeline_id"])
    versions = ask(server, f"/pipelines/{pipeline}/versions")["pipeline_versions"]
    version = str(versions[0]["pipeline_version_id"])
    print(f"uploaded {name}")
    reference = {"pipeline_id": pipeline, "pipeline_version_id": version}
    body = {"display_name": name, "pipeline_version_reference": reference}
    run = str(ask(server, "/runs", "POST", body)["run_id"])
    print(f"started run {run}")
    finished = wait(server, run, given.timeout, given.poll)
    if finished["state"] != GOOD:
        sys.exit(f"the run ended {finished['state']}: {words(finished)}")
    ask(server, f"/pipelines/{pipeline}/versions/{version}", "DELETE")
    ask(server, f"/pipelines/{pipeline}", "DELETE")
    print("the run succeeded; its pipeline is removed, the run is kept")


def upload(server: str, name: str, package: bytes) -> dict:
    """Upload a pipeline as browsers upload files."""
    mark = "----pipeline"
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="uploadfile"; filename="hello.yaml"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + package + f"\r\n--{mark}--\r\n".encode()
    where = f"/pipelines/upload?{urllib.parse.urlencode({'name': name})}"
    return ask(server, where, "POST", body, f"multipart/form-data; boundary={mark}")


def wait(server: str, run: str, timeout: float, poll: float) -> dict:
    """The run, once it is over."""
    deadline, said = time.monotonic() + timeout, ""
    while True:
        found = ask(server, f"/runs/{run}")
        state = found.get("state", "PENDING")
        if state != said:
            print(f"{state.lower()} after {timeout - (deadline - time.monotonic()):.0f} s")
            said = state
        if state == GOOD or state in BAD:
            return found
        if time.monotonic() > deadline:
            sys.exit(f"the run is {state} after {timeout:.0f} s: {words(found)}")
        time.sleep(poll)


def words(run: dict) -> str:
    """What the server knows of a run that did not succeed."""
    error = run.get("error") or {}
    tasks = [
        f"{task.get('display_name', '?')} {task.get('state', 'unknown')}"
        for task in run.get("run_details", {}).get("task_details", [])
    ]
    said = [error.get("message", ""), *tasks]
    return "; ".join(part for part in said if part) or "the server says no more"


def ask(
    server: str, path: str, method: str = "GET", body: object = None, kind: str = "application/json"
) -> dict:
    """One request; a refusal ends the test in the server's words."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        server + API + path, data, {"Content-Type": kind}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as refused:
        sys.exit(f"{method} {path}: {refused.code} {refused.read().decode(errors='replace')[:500]}")
    except (OSError, http.client.HTTPException) as lost:
        sys.exit(f"{method} {path}: {lost}")


if __name__ == "__main__":
    main()
