"""The registry over MLflow's REST interface, for those that carry no MLflow.

`forecasting.adapters.registry.registry` writes with MLflow's own packages; the model server and the page
only read: aliases, versions, tags, and the files of a bundle. A rollout asks where a bundle lies,
too, and writes its outcome back as tags.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.http_client import LateClient
from forecasting.errors import BundleRejected, RegistryUnavailable, UnknownVersion

if TYPE_CHECKING:
    from httpx import Response

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"

MAX_BUNDLE_BYTES: Final = 512 * 1024 * 1024
MAX_BUNDLE_FILES: Final = 32
_FOLDER: Final = "bundle"
_PAGE: Final = 200


@dataclass(frozen=True)
class VersionRecord:
    """A version of the registered model, as the registry tells it.

    Attributes:
        version: its number, e.g. "3".
        run_id: MLflow run that made it.
        tags: bundle_digest, kind, verdict, verdict_reason, data_snapshot, dataset, source, ...
        aliases: champion, challenger, or none.
        created_at: unix milliseconds.
    """

    version: str
    run_id: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    created_at: int

    @property
    def bundle_digest(self) -> str:
        """SHA-256 of the bundle's manifest."""
        return self.tags.get("bundle_digest", "")

    @property
    def kind(self) -> str:
        """Kind of model: random_walk, ridge, random_forest, xgboost, ..."""
        return self.tags.get("kind", "")

    @property
    def dataset(self) -> str:
        """Data set in the lake whose features the version reads."""
        return self.tags.get("dataset") or "default"


class RegistryReader(LateClient):
    """Reads one registered model.

    Args:
        url: address of the MLflow server; user and password may stand in it.
        model: name of the registered model.
        timeout_seconds: longest wait for one answer.
    """

    def __init__(self, url: str, model: str, *, timeout_seconds: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self.model = model
        super().__init__(base_url=self._url, timeout=timeout_seconds)

    def aliases(self) -> dict[str, str]:
        """Version by alias; empty before the first training.

        Raises:
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        found = self._get("/api/2.0/mlflow/registered-models/get", name=self.model)
        entries = (found or {}).get("registered_model", {}).get("aliases", [])
        return {str(one["alias"]): str(one["version"]) for one in entries}

    def version(self, version: str) -> VersionRecord:
        """One version.

        Raises:
            UnknownVersion: the registry has no such version.
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        path = "/api/2.0/mlflow/model-versions/get"
        found = self._get(path, name=self.model, version=version)
        if found is None:
            raise UnknownVersion(
                "a version must be registered",
                f"{self.model} has no version {version!r}",
                "Train first, or list the versions in MLflow",
            )
        return _record(found["model_version"])

    def versions(self) -> list[VersionRecord]:
        """Every version with its aliases, newest first.

        Raises:
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        by_version: dict[str, list[str]] = {}
        for alias, version in self.aliases().items():
            by_version.setdefault(version, []).append(alias)
        records = []
        token = ""
        while True:
            page = self._get(
                "/api/2.0/mlflow/model-versions/search",
                filter=f"name='{self.model}'",
                max_results=str(_PAGE),
                **({"page_token": token} if token else {}),
            )
            for one in (page or {}).get("model_versions", []):
                aliases = by_version.get(str(one["version"]), [])
                records.append(_record({**one, "aliases": aliases}))
            token = (page or {}).get("next_page_token", "")
            if not token:
                return sorted(records, key=lambda one: int(one.version), reverse=True)

    def artifact_uri(self, run_id: str) -> str:
        """Where a run's artifacts lie, e.g. mlflow-artifacts:/1/<run>/artifacts.

        Raises:
            UnknownVersion: the registry has no such run.
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        found = self._get("/api/2.0/mlflow/runs/get", run_id=run_id) if run_id else None
        if found is None:
            raise UnknownVersion(
                "a version's run must be in the registry",
                f"{self.model} has a version "
                + (f"of run {run_id!r}, which is gone" if run_id else "that no run made"),
                "Register the version again",
            )
        return str(found["run"]["info"]["artifact_uri"])

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Write tags of a version.

        Raises:
            RegistryUnavailable: the registry cannot be reached, or refuses a tag.
        """
        from httpx import HTTPError, InvalidURL

        path = "/api/2.0/mlflow/model-versions/set-tag"
        for key, value in tags.items():
            body = {"name": self.model, "version": version, "key": key, "value": value}
            try:
                response = self.client.post(path, json=body)
            except (HTTPError, InvalidURL) as error:
                raise self._unreachable(error) from error
            if response.status_code != 200:
                raise self._failed(response)

    def download_bundle(self, record: VersionRecord, destination: Path) -> Path:
        """Copy a version's bundle into `destination`, whole or not at all; return it.

        An existing `destination` is left alone: bundles are named by digest and never change.
        Digests are for `forecasting.bundle.bundle.load_bundle` to check.

        Raises:
            BundleRejected: the files are too many, too large or strangely named.
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        if destination.exists():
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=destination.parent, prefix=".download-") as folder:
            part = Path(folder) / "bundle"
            part.mkdir()
            left = MAX_BUNDLE_BYTES
            for name in self._bundle_files(record.run_id):
                left -= self._download(record.run_id, name, part / name, left)
            try:
                part.rename(destination)
            except OSError:
                if not destination.exists():  # else another process was faster
                    raise
        return destination

    def _bundle_files(self, run_id: str) -> list[str]:
        listing = self._get("/api/2.0/mlflow/artifacts/list", run_id=run_id, path=_FOLDER)
        files = (listing or {}).get("files", [])
        names = [PurePosixPath(str(one["path"])).name for one in files]
        plain = all(
            not one.get("is_dir") and str(one["path"]) == f"{_FOLDER}/{name}" and name != ".."
            for one, name in zip(files, names, strict=True)
        )
        if not names or not plain or len(names) > MAX_BUNDLE_FILES:
            raise BundleRejected(
                f"a bundle must be 1..{MAX_BUNDLE_FILES} plain files in one folder",
                f"run {run_id} has {[str(one['path']) for one in files[:8]]}",
                "Register the version again",
            )
        return names

    def _download(self, run_id: str, name: str, target: Path, left: int) -> int:
        from httpx import HTTPError

        query = {"path": f"{_FOLDER}/{name}", "run_uuid": run_id}
        size = 0
        try:
            with (
                self.client.stream("GET", "/get-artifact", params=query) as response,
                target.open("wb") as file,
            ):
                if response.status_code != 200:
                    response.read()
                    raise self._failed(response)
                for chunk in response.iter_bytes():
                    size += len(chunk)
                    if size > left:
                        raise BundleRejected(
                            f"a bundle must not be larger than {MAX_BUNDLE_BYTES} bytes",
                            f"run {run_id}, file {name}",
                        )
                    file.write(chunk)
        except HTTPError as error:
            raise self._unreachable(error) from error
        return size

    def _get(self, endpoint: str, **query: str) -> dict[str, Any] | None:
        """The JSON answer; None when the registry knows no such thing."""
        from httpx import HTTPError, InvalidURL

        try:
            response = self.client.get(endpoint, params=query)
        except (HTTPError, InvalidURL) as error:
            raise self._unreachable(error) from error
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            raise self._failed(response) from None
        if response.status_code == 404 and answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        if response.status_code != 200 or not isinstance(answer, dict):
            raise self._failed(response)
        return answer

    def _unreachable(self, error: Exception) -> RegistryUnavailable:
        return RegistryUnavailable(
            "the MLflow server must be reachable",
            f"{self._url}: {error or type(error).__name__}",
            "Start it, or correct BELLWETHER_REGISTRY_URL",
        )

    def _failed(self, response: "Response") -> RegistryUnavailable:
        return RegistryUnavailable(
            "the MLflow server must answer",
            f"{self._url} answered {response.status_code}: {response.text[:200]!r}",
            "Look into its log; 403 means its allowed hosts lack this address",
        )


def _record(made: Mapping[str, Any]) -> VersionRecord:
    return VersionRecord(
        version=str(made["version"]),
        run_id=str(made.get("run_id", "")),
        tags={str(tag["key"]): str(tag.get("value", "")) for tag in made.get("tags", [])},
        aliases=tuple(str(alias) for alias in made.get("aliases", [])),
        created_at=int(made.get("creation_timestamp", 0)),
    )
