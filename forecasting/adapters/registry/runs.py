"""A run's scores and reports read over MLflow's REST interface, for the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from forecasting.adapters.registry.reader import RegistryReader
from forecasting.errors import InvalidInput

REPORT: Final = "report/report.html"
"""Artifact of a run that holds its walk-forward report."""

MAX_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True)
class RunRecord:
    """A run, as the registry tells it.

    Attributes:
        run_id: MLflow's id of it.
        experiment_id: experiment it belongs to.
        metrics: the newest value of each metric.
    """

    run_id: str
    experiment_id: str
    metrics: Mapping[str, float]


class RegistryRuns(RegistryReader):
    """A registry reader that also reads the runs behind the versions."""

    def run(self, run_id: str) -> RunRecord | None:
        """A run, or None when it is gone.

        Raises:
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        found = self._get("/api/2.0/mlflow/runs/get", run_id=run_id)
        if found is None:
            return None
        entries = found["run"].get("data", {}).get("metrics", [])
        metrics = {str(one["key"]): float(one["value"]) for one in entries}
        return RunRecord(run_id, str(found["run"]["info"]["experiment_id"]), metrics)

    def artifact(self, run_id: str, path: str) -> bytes | None:
        """A file of a run, or None when the run has none of that name.

        Raises:
            InvalidInput: the file is larger than MAX_BYTES.
            RegistryUnavailable: the registry cannot be reached or answers with an error.
        """
        from httpx import HTTPError, InvalidURL

        query = {"path": path, "run_uuid": run_id}
        data = bytearray()
        try:
            with self.client.stream("GET", "/get-artifact", params=query) as response:
                if response.status_code != 200:
                    response.read()
                    # MLflow answers 404 or, from some artifact stores, 500 "No such artifact".
                    if response.status_code == 404 or "No such artifact" in response.text:
                        return None
                    raise self._failed(response)
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > MAX_BYTES:
                        raise InvalidInput(
                            f"a report must not be larger than {MAX_BYTES} bytes", f"run {run_id}"
                        )
        except (HTTPError, InvalidURL) as error:
            raise self._unreachable(error) from error
        return bytes(data)
