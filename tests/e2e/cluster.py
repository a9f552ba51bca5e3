"""The cluster as the tests speak to it: kubectl, helm, Prometheus, database, store, registry, CLI."""

import base64
import csv
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from tests import time_limits
from tests.e2e.load import Target
from tests.e2e.objects import Objects
from tests.e2e.warm_command import WarmCommand

if TYPE_CHECKING:
    from tests.e2e.testbed import Testbed

ROOT = Path(__file__).parents[2]
NAMESPACE = "bellwether"
DATA_NAMESPACE = "bellwether-data"
DOMAIN = "bellwether.localhost"
GATEWAY_PORT = 30010
STORE_ADDRESS = "http://127.0.0.1:30001"
PROMETHEUS_ADDRESS = "http://127.0.0.1:30002"
QUESTION = json.dumps(
    {
        "inputs": [
            {"name": "symbols", "datatype": "BYTES", "shape": [1], "data": ["AAPL"]},
            {"name": "horizon", "datatype": "INT64", "shape": [1], "data": [5]},
        ]
    }
)

PLAIN = {"COLUMNS": "160", "NO_COLOR": "1"}
"""Variables that make what the command says wide and without colours."""

ROLLOUT = "system:serviceaccount:bellwether:bellwether-rollout"
"""The account that the rollout runs as."""

ASK_MLFLOW = """
import sys, urllib.request
method, path = sys.argv[1:]
request = urllib.request.Request(
    f"http://localhost:5000/api/2.0/mlflow/{path}", sys.stdin.buffer.read(),
    {"Content-Type": "application/json"}, method=method)
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""
"""A change of the registry, asked for in MLflow's own pod: from outside it can only be read."""

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    command: str
    code: int
    output: str
    seconds: float

    def expect(self, code: int = 0) -> "Outcome":
        """This outcome, or the test ends with what the command said."""
        assert self.code == code, (
            f"{self.command} ended with {self.code}, not {code}:\n{self.output}"
        )
        return self


def eventually(what: str, check: Callable[[], T], *, seconds: float, every: float = 0.5) -> T:
    """The first true value of `check`; an assertion that fails in it is tried again.

    Ends the test with the last thing seen when the time is up: so many seconds on a quiet machine
    of the reference's class, more on a slower or busier one.
    """
    end = time.monotonic() + time_limits.seconds(seconds)
    seen: object = None
    while True:
        try:
            value = check()
            if value:
                return value
            seen = value
        except (AssertionError, httpx.HTTPError, LookupError) as error:
            seen = error
        assert time.monotonic() < end, f"within {seconds:g} s: {what}; last seen: {seen}"
        time.sleep(every)


@dataclass
class Cluster:
    """One cluster with Bellwether on it.

    Attributes:
        kubeconfig: how to reach it.
        programs: folders that hold kubectl and helm.
        node: the testbed it runs on, for faults that Kubernetes cannot make; None elsewhere.
    """

    kubeconfig: Path
    programs: tuple[Path, ...] = ()
    namespace: str = NAMESPACE
    node: "Testbed | None" = None
    forecasts: Target = field(
        default_factory=lambda: Target(
            GATEWAY_PORT, f"forecast.{DOMAIN}", "/v2/models/bellwether/infer", QUESTION
        )
    )

    @property
    def environment(self) -> dict[str, str]:
        """Variables for commands that speak to this cluster; none of ours leak in."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BELLWETHER_", "AWS_"))}
        path = os.pathsep.join([*map(str, self.programs), kept.get("PATH", "")])
        return {**kept, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    @cached_property
    def objects(self) -> Objects:
        """What the API server holds."""
        return Objects(self.kubeconfig, self.scratch / "kinds.json")

    @cached_property
    def warm(self) -> WarmCommand:
        """The bellwether command, imported."""
        return WarmCommand(self.scratch, self.environment | PLAIN)

    @cached_property
    def scratch(self) -> Path:
        """A folder for this object alone."""
        return Path(tempfile.mkdtemp(prefix="bellwether-e2e-"))

    def close(self) -> None:
        """End what was started to speak to it."""
        if "warm" in vars(self):
            self.warm.close()
        if "scratch" in vars(self):
            shutil.rmtree(self.scratch)

    # commands

    def run(
        self,
        *command: str,
        text: str = "",
        seconds: float = 120,
        more: dict[str, str] | None = None,
    ) -> Outcome:
        """Run a command against the cluster; `text` is its standard input."""
        start = time.monotonic()
        try:
            done = subprocess.run(
                command,
                check=False,
                input=text,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=time_limits.seconds(seconds),
                env={**self.environment, **(more or {})},
                cwd=ROOT,
            )
        except subprocess.TimeoutExpired as late:
            said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else ""
            raise AssertionError(f"{command} took more than {seconds:g} s:\n{said}") from None
        return Outcome(" ".join(command), done.returncode, done.stdout, time.monotonic() - start)

    def kubectl(
        self, *words: str, text: str = "", seconds: float = 120, namespace: str = ""
    ) -> str:
        """What kubectl says; the test ends where kubectl fails."""
        return (
            self.run(
                *("kubectl", "--namespace", namespace or self.namespace, *words),
                text=text,
                seconds=seconds,
            )
            .expect()
            .output
        )

    def helm(self, *words: str, seconds: float = 600) -> Outcome:
        """What helm did in our namespace."""
        return self.run("helm", "--namespace", self.namespace, *words, seconds=seconds)

    def bellwether(self, *words: str, seconds: float = 300, **settings: str) -> Outcome:
        """What the bellwether command did; settings are fields, e.g. registry_url=..."""
        variables = {f"BELLWETHER_{name.upper()}": value for name, value in settings.items()}
        start = time.monotonic()
        environment = self.environment | PLAIN | variables
        try:
            code, said = self.warm.run(
                words, environment=environment, seconds=time_limits.seconds(seconds)
            )
        except TimeoutError:
            raise AssertionError(f"bellwether {words} took more than {seconds:g} s") from None
        return Outcome(" ".join(("bellwether", *words)), code, said, time.monotonic() - start)

    def rollout(self, *words: str, seconds: float = 300) -> Outcome:
        """`bellwether rollout ...` in our namespace."""
        action, *rest = words
        return self.bellwether(
            "rollout", action, "--namespace", self.namespace, *rest, seconds=seconds
        )

    # Kubernetes' objects

    def get(self, kind: str, name: str = "", *, namespace: str = "", labels: str = "") -> Any:
        """One object, or the list of all (with these labels)."""
        place = namespace or self.namespace
        return self.objects.get(kind, name, namespace=place, labels=labels)

    def exists(self, kind: str, name: str, *, namespace: str = "") -> bool:
        return self.objects.exists(kind, name, namespace=namespace or self.namespace)

    def apply(self, manifest: str, *, namespace: str = "") -> None:
        self.kubectl("apply", "--filename", "-", text=manifest, namespace=namespace)

    def delete(self, kind: str, name: str, *words: str, namespace: str = "") -> None:
        self.kubectl("delete", kind, name, "--ignore-not-found", *words, namespace=namespace)

    def secret(self, name: str, *, namespace: str = "") -> dict[str, str]:
        """A Secret's values, decoded."""
        data = self.get("secret", name, namespace=namespace).get("data", {})
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def wait_for_rollout(
        self, kind: str, name: str, *, namespace: str = "", seconds: int = 180
    ) -> None:
        self.kubectl(
            *("rollout", "status", f"{kind}/{name}", f"--timeout={seconds}s"),
            namespace=namespace,
            seconds=seconds + 10,
        )

    def pods(self, labels: str, *, namespace: str = "") -> list[Any]:
        """Pods with these labels that are not on their way out."""
        found = self.get("pods", namespace=namespace, labels=labels)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self, labels: str, *, namespace: str = "") -> list[str]:
        """Names of the pods with these labels that are ready."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods(labels, namespace=namespace)
            if any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in pod["status"].get("conditions", [])
            )
        ]

    def what_happened(self, labels: str = "") -> str:
        """Pods, events and last log lines, for the message of a test that fails."""
        parts = [
            self.run("kubectl", "-n", self.namespace, "get", "pods", "-o", "wide").output,
            self.run(
                *("kubectl", "-n", self.namespace, "get", "events"),
                *("--sort-by=.lastTimestamp", "--field-selector=type=Warning"),
            ).output[-3000:],
        ]
        if labels:
            parts.append(
                self.run(
                    *("kubectl", "-n", self.namespace, "logs", "--selector", labels),
                    *("--all-containers", "--prefix", "--tail=40"),
                ).output[-6000:]
            )
        return "\n".join(parts)

    # jobs

    def start_job(
        self, cronjob: str, name: str, *, change: Callable[[Any], None] | None = None
    ) -> None:
        """Start a CronJob's job now, under this name; `change` may edit the job before."""
        self.delete("job", name, "--cascade=foreground", "--wait")
        words = ("create", "job", name, f"--from=cronjob/{cronjob}")
        manifest = json.loads(self.kubectl(*words, "--dry-run=client", "--output=json"))
        if change:
            change(manifest)
        self.apply(json.dumps(manifest))

    def job_outcome(self, name: str) -> str:
        """Complete, Failed, or "" while it runs."""
        conditions = self.get("job", name)["status"].get("conditions", [])
        ended = [c["type"] for c in conditions if c["status"] == "True"]
        return next((kind for kind in ("Complete", "Failed") if kind in ended), "")

    def job_logs(self, name: str) -> str:
        words = ("logs", f"job/{name}", "--all-containers", "--prefix", "--tail=-1")
        return self.run("kubectl", "--namespace", self.namespace, *words).output

    def finish_job(self, name: str, *, seconds: float = 300) -> str:
        """Wait until a job is complete; what it said."""
        ended = eventually(
            f"job {name} ends", lambda: self.job_outcome(name), seconds=seconds, every=1
        )
        said = self.job_logs(name)
        assert ended == "Complete", f"job {name}: {ended}\n{said}\n{self.what_happened()}"
        return said

    # services

    def prometheus_query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of each series the expression gives now."""
        answer = httpx.get(
            f"{PROMETHEUS_ADDRESS}/api/v1/query",
            params={"query": expression},
            timeout=time_limits.seconds(10),
        )
        answer.raise_for_status()
        return [(r["metric"], float(r["value"][1])) for r in answer.json()["data"]["result"]]

    def firing_alerts(self) -> dict[str, dict[str, str]]:
        """Labels of the alerts that fire now, by name."""
        found = self.prometheus_query('ALERTS{alertstate="firing"}')
        return {labels["alertname"]: labels for labels, _ in found}

    def database_query(self, sql: str, *, database: str = "bellwether") -> list[dict[str, str]]:
        """Rows of a query, as the database's own administrator sees them."""
        said = self.kubectl(
            *("exec", "deployment/postgresql", "--"),
            *("psql", "--host=/tmp", "--username=postgres", f"--dbname={database}"),
            *("--no-psqlrc", "--quiet", "--csv", "--set=ON_ERROR_STOP=1", f"--command={sql}"),
            namespace=DATA_NAMESPACE,
        )
        return list(csv.DictReader(io.StringIO(said)))

    @property
    def s3(self) -> Any:
        """The object store as a file system: ls, find, cat, open, rm."""
        return self.store_of("bellwether-objectstore")

    def store_of(self, secret: str) -> Any:
        """The same as the account whose keys are in this Secret."""
        import s3fs

        keys = self.secret(secret)
        return s3fs.S3FileSystem(
            key=keys["AWS_ACCESS_KEY_ID"],
            secret=keys["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=STORE_ADDRESS,
            client_kwargs={"region_name": "us-east-1"},
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def page_request(
        self, path: str = "/", *, host: str = DOMAIN, method: str = "GET", login: bool = True
    ) -> httpx.Response:
        """A request through the gateway, with its login or without."""
        return httpx.request(
            method,
            f"http://127.0.0.1:{GATEWAY_PORT}{path}",
            headers={"host": host},
            auth=self.login if login else None,
            timeout=time_limits.seconds(30),
        )

    @cached_property
    def login(self) -> tuple[str, str]:
        """User and password that the gateway asks for."""
        kept = self.secret("bellwether-login")
        return kept["username"], kept["password"]

    def registry(self, path: str, **parameters: str) -> Any:
        """What MLflow's REST interface answers, asked through the gateway."""
        answer = httpx.get(
            f"http://127.0.0.1:{GATEWAY_PORT}/api/2.0/mlflow/{path}",
            params=parameters,
            headers={"host": f"mlflow.{DOMAIN}"},
            auth=self.login,
            timeout=time_limits.seconds(30),
        )
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def versions(self) -> dict[int, dict[str, Any]]:
        """The registered versions: number -> tags, aliases and the rest."""
        found = self.registry("model-versions/search", filter="name='bellwether'")
        return {
            int(v["version"]): {**v, "tags": {t["key"]: t["value"] for t in v.get("tags", [])}}
            for v in found.get("model_versions", [])
        }

    def version_called(self, alias: str) -> int:
        """The version with this alias."""
        found = self.registry("registered-models/alias", name="bellwether", alias=alias)
        return int(found["model_version"]["version"])

    def register(self, source: str, tags: dict[str, str], *, run: str = "") -> int:
        """Register a version of ours by hand, as made by this run; its number."""
        made = self.change_registry(
            "POST",
            "model-versions/create",
            {
                "name": "bellwether",
                "source": source,
                **({"run_id": run} if run else {}),
                "tags": [{"key": key, "value": value} for key, value in tags.items()],
            },
        )
        return int(made["model_version"]["version"])

    def unregister(self, version: int) -> None:
        body = {"name": "bellwether", "version": str(version)}
        self.change_registry("DELETE", "model-versions/delete", body)

    def change_registry(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """Ask MLflow's REST interface for a change, from inside; what it answers."""
        said = self.kubectl(
            *("exec", "--stdin", "deployment/bellwether-mlflow", "--container", "mlflow", "--"),
            *("python", "-c", ASK_MLFLOW, method, path),
            text=json.dumps(body),
        )
        return json.loads(said)

    # the rollout

    def status(self) -> Any:
        """`bellwether rollout status --json`."""
        return json.loads(self.rollout("status", "--json").expect().output)

    def weights(self) -> dict[int, int]:
        """Weight of each version, read from the route itself."""
        rules = self.get("httproute", "bellwether-forecast")["spec"].get("rules") or []
        if not rules:
            return {}
        return {
            int(ref["name"].removeprefix("bellwether-v").removesuffix("-predictor")): ref.get(
                "weight", 1
            )
            for ref in rules[0].get("backendRefs", [])
        }

    def serving(self) -> int:
        """The version that has all the weight."""
        (version,) = (number for number, weight in self.weights().items() if weight == 100)
        return version
