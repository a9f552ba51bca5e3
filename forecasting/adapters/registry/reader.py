"""Reads one registered model over MLflow's REST interface, without the MLflow packages.

The model server and the page carry no MLflow: they read aliases, versions, tags, runs and the files
of a bundle here. A rollout writes its outcome back as tags. What trains, registers and promotes is
`forecasting.adapters.registry.registry`, which extends the reader.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from forecasting.adapters.http_client import LazyClient
from forecasting.adapters.pages import pages
from forecasting.adapters.registry.records import (
    BUNDLE,
    CHALLENGER,
    CHAMPION,
    ModelVersion,
    RunRecord,
    model_version,
)
from forecasting.errors import (
    BundleRejected,
    InvalidInput,
    InvalidSettings,
    RegistryUnavailable,
    UnknownVersion,
)
from forecasting.path_names import is_number, is_plain_name

if TYPE_CHECKING:
    from httpx import Response

    from forecasting.features.spec import FeatureSpec

MAX_BUNDLE_BYTES: Final = 512 * 1024 * 1024
MAX_BUNDLE_FILES: Final = 32
MAX_REPORT_BYTES: Final = 32 * 1024 * 1024
_PAGE: Final = 200


class RegistryReader(LazyClient):
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
        return {str(entry["alias"]): str(entry["version"]) for entry in entries}

    def champion(self) -> ModelVersion | None:
        """The version users are served, or None before the first training.

        Raises:
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        return self._aliased(CHAMPION)

    def challenger(self) -> ModelVersion | None:
        """The version that was last put up against the champion, or None.

        Raises:
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        return self._aliased(CHALLENGER)

    def version(self, version: str) -> ModelVersion:
        """One version.

        Raises:
            UnknownVersion: the registry has no such version.
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        found = self._version(version)
        if found is None:
            raise UnknownVersion(
                "a version must be registered",
                f"{self.model} has no version {version!r}",
                "Train first, or list the versions in MLflow",
            )
        return found

    def versions(self) -> list[ModelVersion]:
        """Every version with its aliases, newest first.

        Raises:
            RegistryUnavailable: the registry cannot be reached, answers with an error or without end.
        """
        by_version: dict[str, list[str]] = {}
        for alias, version in self.aliases().items():
            by_version.setdefault(version, []).append(alias)
        query = {"filter": f"name='{self.model}'", "max_results": str(_PAGE)}

        def page(token: str) -> dict[str, Any]:
            there = {"page_token": token} if token else {}
            return self._get("/api/2.0/mlflow/model-versions/search", **query, **there) or {}

        records = []
        for answer in pages(page, RegistryUnavailable, f"the MLflow server at {self._url}"):
            for entry in answer.get("model_versions", []):
                aliases = by_version.get(str(entry["version"]), [])
                records.append(model_version({**entry, "aliases": aliases}))
        return sorted(records, key=lambda record: int(record.version), reverse=True)

    def find(self, bundle_digest: str, snapshot: str) -> ModelVersion | None:
        """The version that already holds this bundle of this snapshot, or None.

        Raises:
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        for version in self.versions():
            same_bundle = version.bundle_digest == bundle_digest
            if same_bundle and version.tags.get("data_snapshot") == snapshot:
                return version
        return None

    def run(self, run_id: str) -> RunRecord | None:
        """A run, or None when it is gone.

        Raises:
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        found = self._get("/api/2.0/mlflow/runs/get", run_id=run_id)
        if found is None:
            return None
        entries = found["run"].get("data", {}).get("metrics", [])
        metrics = {str(entry["key"]): float(entry["value"]) for entry in entries}
        return RunRecord(run_id, str(found["run"]["info"]["experiment_id"]), metrics)

    def artifact(self, run_id: str, path: str) -> bytes | None:
        """A file of a run, or None when the run has none of that name.

        Raises:
            InvalidInput: the file is larger than MAX_REPORT_BYTES.
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        data = bytearray()
        with self._artifact(run_id, path) as response:
            if response.status_code != 200:
                # MLflow answers 404 or, from some artifact stores, 500 "No such artifact".
                if response.status_code == 404 or "No such artifact" in response.text:
                    return None
                raise self._failed(response)
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > MAX_REPORT_BYTES:
                    raise InvalidInput(
                        f"a report must not be larger than {MAX_REPORT_BYTES} bytes",
                        f"run {run_id}",
                    )
        return bytes(data)

    def specification(self, record: ModelVersion) -> "FeatureSpec":
        """Which features a version needs, as the manifest that its digest promises says.

        Raises:
            BundleRejected: the version has no digest, or the manifest is missing or another.
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        from hashlib import sha256

        from forecasting.bundle.files import MANIFEST, parse_manifest
        from forecasting.features.spec import FeatureSpec

        promised = record.checked_digest
        data = self.artifact(record.run_id, f"{BUNDLE}/{MANIFEST}")
        found = "nothing" if data is None else sha256(data).hexdigest()
        if data is None or found != promised:
            raise BundleRejected(
                "a version's manifest must be what its digest promises",
                f"version {record.version}: {found}, expected {promised}",
                "Restore the registry's artifacts, or register the version again",
            )
        try:
            return FeatureSpec.from_dict(parse_manifest(data)["feature_spec"])
        except (TypeError, ValueError, InvalidSettings) as fault:
            raise BundleRejected(
                "feature_spec must be one this version knows",
                f"version {record.version}: {fault}",
                "Train again",
            ) from fault

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
        path = "/api/2.0/mlflow/model-versions/set-tag"
        for key, value in tags.items():
            body = {"name": self.model, "version": version, "key": key, "value": value}
            with self._reached():
                response = self.client.post(path, json=body)
            if response.status_code != 200:
                raise self._failed(response)

    def set_champion(self, version: str) -> None:
        """Point the alias champion at a version; the ledger has decided so.

        Raises:
            RegistryUnavailable: the registry cannot be reached, or refuses.
        """
        body = {"name": self.model, "alias": CHAMPION, "version": version}
        with self._reached():
            response = self.client.post("/api/2.0/mlflow/registered-models/alias", json=body)
        if response.status_code != 200:
            raise self._failed(response)

    def download_bundle(self, record: ModelVersion, destination: Path) -> Path:
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

    def _aliased(self, alias: str) -> ModelVersion | None:
        version = self.aliases().get(alias)
        return None if version is None else self._version(version)

    def _version(self, version: str) -> ModelVersion | None:
        if not is_number(version):
            return None
        path = "/api/2.0/mlflow/model-versions/get"
        found = self._get(path, name=self.model, version=version)
        return None if found is None else model_version(found["model_version"])

    def _bundle_files(self, run_id: str) -> list[str]:
        listing = self._get("/api/2.0/mlflow/artifacts/list", run_id=run_id, path=BUNDLE)
        files = (listing or {}).get("files", [])
        paths = [str(entry["path"]) for entry in files]
        names = [PurePosixPath(path).name for path in paths]
        plain = all(
            not entry.get("is_dir") and path == f"{BUNDLE}/{name}" and is_plain_name(name)
            for entry, path, name in zip(files, paths, names, strict=True)
        )
        if not names or not plain or len(names) > MAX_BUNDLE_FILES:
            raise BundleRejected(
                f"a bundle must be 1..{MAX_BUNDLE_FILES} plain files in one folder",
                f"run {run_id} has {paths[:8]}",
                "Register the version again",
            )
        return names

    def _download(self, run_id: str, name: str, target: Path, left: int) -> int:
        size = 0
        with (
            self._artifact(run_id, f"{BUNDLE}/{name}") as response,
            target.open("wb") as file,
        ):
            if response.status_code != 200:
                raise self._failed(response)
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > left:
                    raise BundleRejected(
                        f"a bundle must not be larger than {MAX_BUNDLE_BYTES} bytes",
                        f"run {run_id}, file {name}",
                    )
                file.write(chunk)
        return size

    @contextmanager
    def _artifact(self, run_id: str, path: str) -> Iterator["Response"]:
        """The answer for one file of a run, its bytes not read yet unless it is an error."""
        query = {"path": path, "run_uuid": run_id}
        with (
            self._reached(),
            self.client.stream("GET", "/get-artifact", params=query) as response,
        ):
            if response.status_code != 200:
                response.read()
            yield response

    def _get(self, endpoint: str, **query: str) -> dict[str, Any] | None:
        """The JSON answer; None when the registry knows no such thing."""
        with self._reached():
            response = self.client.get(endpoint, params=query)
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            raise self._failed(response) from None
        if response.status_code == 404 and answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        if response.status_code != 200 or not isinstance(answer, dict):
            raise self._failed(response)
        return answer

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Turn a failure on the way to the registry into our error."""
        from httpx import HTTPError, InvalidURL

        try:
            yield
        except (HTTPError, InvalidURL) as error:
            raise RegistryUnavailable(
                "the MLflow server must be reachable",
                f"{self._url}: {error or type(error).__name__}",
                "Start one here (bellwether registry), or correct BELLWETHER_REGISTRY_URL",
            ) from error

    def _failed(self, response: "Response") -> RegistryUnavailable:
        return RegistryUnavailable(
            "the MLflow server must answer",
            f"{self._url} answered {response.status_code}: {response.text[:200]!r}",
            "Look into its log; 403 means its allowed hosts lack this address",
        )
