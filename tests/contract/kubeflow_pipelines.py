"""Kubeflow Pipelines' documented answers over a few objects in memory; tests only.

Every answer is made by `kfp_server_api`'s own models, and every request is read by them: a field
that the OpenAPI does not have is an error of the test.
"""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from urllib.parse import unquote

import kfp_server_api as kfp
from kfp_server_api.api_client import ApiClient

from tests.contract.replay_server import Answer, Asked, Replay, data

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""What the server says for an instant that has not come."""

PACKAGE = "pipelineInfo: {name: bellwether-training}\n"
"""A compiled pipeline, as far as the server looks into it."""


def written(model) -> dict:
    """A model as JSON, as the official client writes it."""
    return ApiClient().sanitize_for_serialization(model)


def requested_paths(server: Replay, method: str) -> list[str]:
    """Paths of the requests of a method, below the API's root."""
    return [one.path.removeprefix("/apis/v2beta1") for one in server.asked if one.method == method]


def read(body, kind: str):
    """A body as the official model of it.

    Raises:
        AssertionError: the model has not all of its fields, or other values.
    """
    model = ApiClient()._ApiClient__deserialize(body, kind)
    assert written(model) == body, f"{kind} is not {body}"
    return model


class KubeflowPipelines:
    """The server: what it holds, and how it answers.

    Attributes:
        pipelines, versions, runs, recurring: what it holds, the oldest first.
        uploads: form bodies of uploads.
        deleted: (recurring run's id, propagation policy).
        before: called with each request before it is answered; where a test steps in between.
        tag: what healthz says of the release.
    """

    def __init__(self) -> None:
        self.pipelines: list[kfp.V2beta1Pipeline] = []
        self.versions: list[kfp.V2beta1PipelineVersion] = []
        self.runs: list[kfp.V2beta1Run] = []
        self.recurring: list[kfp.V2beta1RecurringRun] = []
        self.uploads: list[bytes] = []
        self.deleted: list[tuple[str, str]] = []
        self.before = lambda asked: None
        self.health = {"tag_name": "2.17.0", "multi_user": False, "pipeline_store": "database"}
        self._numbers = count(1)

    def __call__(self, asked: Asked) -> Answer:
        self.before(asked)
        root, version, *path = asked.path.strip("/").split("/")
        if (root, version) != ("apis", "v2beta1"):
            return Answer(404, b"404 page not found\n")
        match asked.method, path:
            case "GET", ["healthz"]:
                return data(self.health)
            case "GET", ["pipelines"]:
                found = self._filtered(asked, self.pipelines)
                return self._page(asked, found, kfp.V2beta1ListPipelinesResponse, "pipelines")
            case "POST", ["pipelines"]:
                return self._make_pipeline(read(asked.body, "V2beta1Pipeline"))
            case "GET", ["pipelines", pipeline_id, "versions"]:
                of_it = [one for one in self.versions if one.pipeline_id == pipeline_id]
                found = self._filtered(asked, of_it)
                kind = kfp.V2beta1ListPipelineVersionsResponse
                return self._page(asked, found, kind, "pipeline_versions")
            case "POST", ["pipelines", "upload_version"]:
                return self._make_version(asked)
            case "GET", ["runs"]:
                found = self._filtered(asked, self.runs)
                return self._page(asked, found, kfp.V2beta1ListRunsResponse, "runs")
            case "POST", ["runs"]:
                return self._make_run(read(asked.body, "V2beta1Run"))
            case "GET", ["runs", run_id]:
                found = [one for one in self.runs if one.run_id == run_id]
                return (
                    data(written(found[0])) if found else refused(404, 5, f"Run {run_id} not found")
                )
            case "POST", ["runs", action] if action.endswith(":terminate"):
                self._run(action.removesuffix(":terminate")).state = "CANCELING"
                return data({})
            case "GET", ["recurringruns"]:
                found = self._filtered(asked, self.recurring)
                kind = kfp.V2beta1ListRecurringRunsResponse
                return self._page(asked, found, kind, "recurring_runs")
            case "POST", ["recurringruns"]:
                return self._make_recurring(read(asked.body, "V2beta1RecurringRun"))
            case "POST", ["recurringruns", action]:
                one, _, word = action.partition(":")
                found = next(each for each in self.recurring if each.recurring_run_id == one)
                found.status = {"enable": "ENABLED", "disable": "DISABLED"}[word]
                return data({})
            case "DELETE", ["recurringruns", one]:
                self.deleted.append((one, asked.query.get("propagation_policy", "")))
                self.recurring = [r for r in self.recurring if r.recurring_run_id != one]
                return data({})
        return Answer(404, json.dumps({"code": 5, "message": "Not Found"}).encode())

    # what a test puts in

    def add_version(self, pipeline: str, name: str) -> kfp.V2beta1PipelineVersion:
        """A version, and its pipeline if it is not there."""
        if not any(one.name == pipeline for one in self.pipelines):
            self._make_pipeline(kfp.V2beta1Pipeline(name=pipeline))
        owner = next(one for one in self.pipelines if one.name == pipeline)
        number = next(self._numbers)
        made = kfp.V2beta1PipelineVersion(
            pipeline_id=owner.pipeline_id,
            pipeline_version_id=f"version-{number}",
            name=name,
            display_name=name,
            created_at=START + timedelta(minutes=number),
        )
        self.versions.append(made)
        return made

    def add_run(self, name: str, state: str = "RUNNING", **fields) -> kfp.V2beta1Run:
        """A run as the server makes one."""
        number = next(self._numbers)
        made = kfp.V2beta1Run(
            **{
                "run_id": f"run-{number}",
                "experiment_id": "default",
                "display_name": name,
                "state": state,
                "created_at": START + timedelta(minutes=number),
                "finished_at": EPOCH,
                "storage_state": "AVAILABLE",
                **fields,
            }
        )
        self.runs.append(made)
        return made

    # how it answers

    def _make_pipeline(self, made: kfp.V2beta1Pipeline) -> Answer:
        if any(one.name == made.name for one in self.pipelines):
            return refused(409, 6, f"The name {made.name} already exist. Please specify a new name")
        number = next(self._numbers)
        made.pipeline_id, made.created_at = f"pipeline-{number}", START + timedelta(minutes=number)
        self.pipelines.append(made)
        return data(written(made))

    def _make_version(self, asked: Asked) -> Answer:
        owner = next(one for one in self.pipelines if one.pipeline_id == asked.query["pipelineid"])
        known = [v for v in self.versions if v.pipeline_id == owner.pipeline_id]
        if any(one.name == asked.query["name"] for one in known):
            # The upload handler's own shape: it is no part of the gateway.
            said = {"error_message": "Failed to create a pipeline version", "error_details": "..."}
            return data(said, 409)
        self.uploads.append(asked.form)
        return data(written(self.add_version(owner.name, asked.query["name"])))

    def _make_run(self, sent: kfp.V2beta1Run) -> Answer:
        made = self.add_run(
            sent.display_name,
            "PENDING",
            description=sent.description,
            pipeline_version_reference=sent.pipeline_version_reference,
            runtime_config=sent.runtime_config,
        )
        return data(written(made))

    def _make_recurring(self, sent: kfp.V2beta1RecurringRun) -> Answer:
        if len(sent.trigger.cron_schedule.cron.split()) not in {1, 6}:
            return refused(400, 3, "Schedule cron is not a supported format")
        number = next(self._numbers)
        sent.recurring_run_id = f"recurring-{number}"
        sent.status = f"{sent.mode}D"
        sent.created_at = sent.updated_at = START + timedelta(minutes=number)
        sent.namespace = "kubeflow"
        self.recurring.append(sent)
        return data(written(sent))

    def _run(self, run_id: str) -> kfp.V2beta1Run:
        return next(one for one in self.runs if one.run_id == run_id)

    @staticmethod
    def _filtered(asked: Asked, objects: list) -> list:
        if "filter" not in asked.query:
            return list(objects)
        # The server decodes a filter once more than the router did.
        wanted = read(json.loads(unquote(asked.query["filter"])), "V2beta1Filter")
        for one in wanted.predicates:
            assert one.operation == "EQUALS"
            # As MySQL compares.
            objects = [
                each
                for each in objects
                if getattr(each, one.key).lower() == one.string_value.lower()
            ]
        return objects

    @staticmethod
    def _page(asked: Asked, found: list, kind, field: str) -> Answer:
        by, _, order = asked.query["sort_by"].partition(" ")
        found = sorted(found, key=lambda one: getattr(one, by), reverse=order == "desc")
        first = int(asked.query.get("page_token", "0"))
        last = first + int(asked.query["page_size"])
        more = str(last) if last < len(found) else None
        answer = kind(**{field: found[first:last]}, total_size=len(found), next_page_token=more)
        return data(written(answer))


def refused(status: int, code: int, said: str) -> Answer:
    """An error as the gateway writes it."""
    return data(written(kfp.GoogleRpcStatus(code=code, message=said, details=[])), status)
