"""Kubeflow Pipelines by its REST API: versions are uploaded, runs started, recurring runs kept.

    with Workflows("http://ml-pipeline.kubeflow:8888") as workflows:
        version, _ = workflows.upload("bellwether-training", content_hash(text), text)
        started = workflows.start(version, {"source": "sample"}, key="drift-2026-03-01")
        workflows.run(started.run.id).state

Plain HTTP, so that the page's image needs no `kfp`. Everything here may be done again: an upload
whose version is there, a run whose key was used and a schedule that is as it should be are found,
not made twice.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self

from forecasting.adapters.http_client import Closing
from forecasting.adapters.workflows import schedules
from forecasting.adapters.workflows.http import WorkflowApi
from forecasting.adapters.workflows.records import PipelineVersion, RecurringRun, WorkflowRun
from forecasting.adapters.workflows.schedules import Outcome, Schedule
from forecasting.errors import InvalidInput, NameTaken, UnknownWorkflow, WorkflowsUnavailable

if TYPE_CHECKING:
    from forecasting.settings import Settings

TRAINING: Final = "bellwether-training"
REFRESH: Final = "bellwether-refresh"
NAMES: Final = (TRAINING, REFRESH)
"""Names of our pipelines, and of their recurring runs."""

OLDEST: Final = (2, 17)
"""The release whose API this was written against."""

_SETTLE_SECONDS: Final = 2.0
_LOOKED_AT: Final = 500
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True)
class Started:
    """A run that was asked for.

    Attributes:
        run: the run that has the key.
        fresh: whether this call made it; False when it was there, or somebody else was first.
    """

    run: WorkflowRun
    fresh: bool


class Workflows(Closing):
    """One Kubeflow Pipelines, in single-user mode.

    Args:
        url: address of its API server.
        public_url: address of its UI as a browser reaches it; "" for no links.
        timeout: longest wait for one answer, in seconds.
        settle_seconds: how long after starting a run another caller's run of the same key is
            waited for.
    """

    def __init__(
        self,
        url: str,
        *,
        public_url: str = "",
        timeout: float = 20.0,
        settle_seconds: float = _SETTLE_SECONDS,
    ) -> None:
        self.api = WorkflowApi(url, timeout=timeout)
        self._public_url = public_url.rstrip("/")
        self._settle_seconds = settle_seconds

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """The one that the settings name.

        Raises:
            InvalidSettings: they name none.
        """
        return cls(settings.pipelines_url, public_url=settings.pipelines_public_url)

    def close(self) -> None:
        """Let go of the connections."""
        self.api.close()

    def check(self) -> str:
        """Whether a server that we know how to speak to is there; its version, "" if it hides it.

        Raises:
            WorkflowsUnavailable: none is there, it is too old, or it has users.
        """
        health = self.api.get("/healthz")
        if health.get("multi_user"):
            raise WorkflowsUnavailable(
                "Kubeflow Pipelines must run in single-user mode",
                f"{self.api.url} has users and asks each who he is",
                "Install a standalone one, e.g. with charts/kubeflow-pipelines",
            )
        version = re.match(r"v?(\d+)\.(\d+)\.\S*", str(health.get("tag_name", "")))
        if version and (int(version[1]), int(version[2])) < OLDEST:
            raise WorkflowsUnavailable(
                "Kubeflow Pipelines must be 2.17 or newer",
                f"{self.api.url} is {version[0]}",
                "Upgrade it; what older ones make of our pipelines was never tried",
            )
        return version[0] if version else ""

    def wait(self, seconds: float, on_change: Callable[[str], None]) -> str:
        """Check until it is there, as long as it may take to come up; its version.

        Args:
            seconds: how long it may take.
            on_change: called with what is in the way, each time that changes.

        Raises:
            WorkflowsUnavailable: it is still not there.
        """
        end = time.monotonic() + seconds
        reason = ""
        while True:
            try:
                return self.check()
            except WorkflowsUnavailable as error:
                if time.monotonic() >= end:
                    raise
                if error.found != reason:
                    reason = error.found
                    on_change(reason)
                time.sleep(min(2.0, max(end - time.monotonic(), 0.0)))

    def link(self, run_id: str) -> str:
        """Address of a run in the UI; "" without a public address."""
        return f"{self._public_url}/#/runs/details/{run_id}" if self._public_url else ""

    # versions

    def upload(
        self, pipeline: str, name: str, package: str, *, description: str = ""
    ) -> tuple[PipelineVersion, bool]:
        """Have a version of a pipeline, made at most once.

        Args:
            pipeline: name of the pipeline; it is made when there is none.
            name: name of the version: the content hash of `package`.
            package: the compiled pipeline.
            description: a sentence about a pipeline that is made.

        Returns:
            The version, and whether this call uploaded it.

        Raises:
            InvalidRequest: the server does not take the package.
            WorkflowsUnavailable: the server fails or is not there.
        """
        pipeline_id = self._pipeline(pipeline) or self._made_pipeline(pipeline, description)
        if version := self._version(pipeline, pipeline_id, name):
            return version, False
        try:
            made = self.api.upload(
                "/pipelines/upload_version",
                f"{pipeline}.yaml",
                package,
                name=name,
                display_name=name,
                pipelineid=pipeline_id,
            )
        except NameTaken:
            if version := self._version(pipeline, pipeline_id, name):
                return version, False
            raise
        return PipelineVersion.read(pipeline, made), True

    def version(self, pipeline: str, name: str = "") -> PipelineVersion:
        """A version of a pipeline, the newest by default.

        Raises:
            UnknownWorkflow: there is no such pipeline or version.
            WorkflowsUnavailable: the server fails or is not there.
        """
        pipeline_id = self._pipeline(pipeline)
        version = self._version(pipeline, pipeline_id, name) if pipeline_id else None
        if version is None:
            what = f"{pipeline} {name}".strip()
            raise UnknownWorkflow(
                "what runs on the cluster was uploaded there before",
                f"{self.api.url} has no {what}",
                "Upload it: bellwether pipeline submit",
            )
        return version

    # runs

    def start(
        self, version: PipelineVersion, parameters: Mapping[str, Any], *, key: str
    ) -> Started:
        """Start a run, once for a key.

        The API has no key of its own, so a run is named `<pipeline> <key>` and looked for by that
        name first. Two callers who look at the same time both find none and both make one: each
        waits a moment, looks again, and ends its own if it is not the first by time and id. What
        remains: of two runs made at once, the second runs for a moment before it is ended; and
        both run on if the server took longer to make one than that moment, or if the caller that
        has to end its own dies first. A run that failed keeps its key: a new try has a new one.

        Args:
            version: what to run.
            parameters: the pipeline's arguments.
            key: letters, digits, dots, dashes and underscores; the same for the same request.

        Raises:
            InvalidInput: the key is malformed.
            InvalidRequest: the server does not take the parameters.
            UnknownWorkflow: the version is gone.
            WorkflowsUnavailable: the server fails or is not there; to ask again with the same key
                is harmless.
        """
        if not _KEY.fullmatch(key):
            raise InvalidInput(
                "an idempotency key is up to 80 letters, digits, dots, dashes and underscores",
                repr(key[:100]),
                "Choose another",
            )
        name = f"{version.pipeline} {key}"
        if existing := self._named(name):
            return Started(existing[0], fresh=False)
        made = WorkflowRun.read(
            self.api.post(
                "/runs",
                {
                    "display_name": name,
                    "description": f"Version {version.name}, started by bellwether with {key}.",
                    "pipeline_version_reference": {
                        "pipeline_id": version.pipeline_id,
                        "pipeline_version_id": version.id,
                    },
                    "runtime_config": {"parameters": dict(parameters)},
                },
            )
        )
        time.sleep(self._settle_seconds)
        first = next(iter(self._named(name)), made)
        if first.id == made.id:
            return Started(made, fresh=True)
        self.api.post(f"/runs/{made.id}:terminate")
        return Started(first, fresh=False)

    def start_as_scheduled(
        self, pipeline: str, *, key: str, changes: Mapping[str, Any] | None = None
    ) -> Started:
        """Start a run of what a pipeline's schedule runs, with its parameters.

        Args:
            pipeline: the pipeline's name, which is the recurring run's.
            key: as `start`.
            changes: parameters that differ from the schedule's.

        Raises:
            UnknownWorkflow: there is no schedule of that name.
            Others as `start`.
        """
        schedule = self.schedule_of(pipeline)
        version = PipelineVersion(
            pipeline,
            "of the schedule",
            schedule.pipeline_id,
            schedule.version_id,
            schedule.created_at,
        )
        return self.start(version, {**schedule.parameters, **(changes or {})}, key=key)

    def run(self, run_id: str) -> WorkflowRun:
        """A run as it stands.

        Raises:
            UnknownWorkflow: there is none of that id.
            WorkflowsUnavailable: the server fails or is not there.
        """
        return WorkflowRun.read(self.api.get(f"/runs/{run_id}"))

    def runs(self, newest: int = 20, *, pipeline: str = "") -> list[WorkflowRun]:
        """The newest runs, of one pipeline or of all, the newest first.

        Those of one pipeline are looked for among the newest 500.

        Raises:
            WorkflowsUnavailable: the server fails or is not there.
        """
        answers = map(WorkflowRun.read, self.api.every("/runs", "runs", newest_first=True))
        if not pipeline:
            return list(islice(answers, newest))
        pipeline_id = self._pipeline(pipeline)
        # The server cannot look for a pipeline's runs, and may hold very many of others.
        looked_at = islice(answers, _LOOKED_AT) if pipeline_id else ()
        return list(islice((run for run in looked_at if run.pipeline_id == pipeline_id), newest))

    # recurring runs

    def schedule(self, schedule: Schedule) -> tuple[Outcome, str]:
        """Make a recurring run be what it has to be; see `schedules.apply`."""
        return schedules.apply(self.api, schedule)

    def unschedule(self, pipeline: str) -> int:
        """Delete the recurring runs of a pipeline; how many there were. Their runs go on."""
        return schedules.remove(self.api, pipeline)

    def schedules(self) -> list[RecurringRun]:
        """All recurring runs, the newest first.

        Raises:
            WorkflowsUnavailable: the server fails or is not there.
        """
        answers = self.api.every(schedules.RECURRING, "recurringRuns", newest_first=True)
        return [RecurringRun.read(answer) for answer in answers]

    def schedule_of(self, pipeline: str) -> RecurringRun:
        """The recurring run of a pipeline.

        Raises:
            UnknownWorkflow: there is none.
            WorkflowsUnavailable: the server fails or is not there.
        """
        for recurring in schedules.named(self.api, pipeline):
            return recurring
        raise UnknownWorkflow(
            "a pipeline that is started as scheduled must have a schedule",
            f"{self.api.url} has no recurring run {pipeline}",
            "Make it: bellwether pipeline schedule",
        )

    def _named(self, name: str) -> list[WorkflowRun]:
        """Runs of a name, the first by time, then by id, first."""
        answers = self.api.every("/runs", "runs", equal={"display_name": name})
        runs = [run for run in map(WorkflowRun.read, answers) if run.name == name]
        return sorted(runs, key=lambda run: (run.created_at, run.id))

    def _pipeline(self, name: str) -> str:
        """The id of the pipeline of a name; "" when there is none."""
        for pipeline in self.api.every("/pipelines", "pipelines", equal={"name": name}):
            if pipeline.get("name") == name:
                return str(pipeline["pipeline_id"])
        return ""

    def _made_pipeline(self, name: str, description: str) -> str:
        body = {"name": name, "display_name": name, "description": description}
        try:
            return str(self.api.post("/pipelines", body)["pipeline_id"])
        except NameTaken:
            if pipeline := self._pipeline(name):
                return pipeline
            raise

    def _version(self, pipeline: str, pipeline_id: str, name: str) -> PipelineVersion | None:
        """The version of a name, or the newest."""
        versions = self.api.every(
            f"/pipelines/{pipeline_id}/versions",
            "pipeline_versions",
            equal={"name": name} if name else None,
            newest_first=True,
        )
        for version in (PipelineVersion.read(pipeline, answer) for answer in versions):
            if not name or version.name == name:
                return version
        return None
