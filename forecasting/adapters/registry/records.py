"""What the registry holds, as records: versions with their tags, runs, and the names of both; see test_reader.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from forecasting.errors import InvalidSettings, RegistryUnavailable
from forecasting.path_names import is_number, require_digest

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
BUNDLE: Final = "bundle"
"""Folder of a run's artifacts that holds the bundle."""
REPORT: Final = "report/report.html"
"""Artifact of a run that holds its walk-forward report."""

RUNS: Final = "runs"
"""Tag of a version: "yes" from before a rollout makes an InferenceService of it until it is deleted."""

REQUEST: Final = "training_request"
"""Tag of a version that holds what its training was asked for, as JSON; trainings on a laptop write it."""

SIGNATURE: Final = "bundle_signature"
"""Tag of a version that holds its signature."""


@dataclass(frozen=True)
class ModelVersion:
    """A version of the registered model.

    Attributes:
        version: number as the registry writes it, e.g. "3".
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
        """SHA-256 of the bundle's manifest as the tag has it: to be shown and compared."""
        return self.tags.get("bundle_digest", "")

    @property
    def checked_digest(self) -> str:
        """SHA-256 of the bundle's manifest, to fetch and verify the bundle by.

        Raises:
            BundleRejected: the tag is missing or no digest.
        """
        return require_digest(
            self.bundle_digest, f"the tag bundle_digest of version {self.version}"
        )

    @property
    def signature(self) -> str:
        """Who trained it, as `forecasting.bundle.signature.Signed` reads it; "" when unsigned."""
        return self.tags.get(SIGNATURE, "")

    @property
    def kind(self) -> str:
        """Kind of model: random_walk, ridge, random_forest, xgboost, ..."""
        return self.tags.get("kind", "")

    @property
    def dataset(self) -> str:
        """Data set in the lake whose features the version reads."""
        return self.tags.get("dataset") or "default"


def require_champions_dataset(
    champion: ModelVersion | None, dataset: str, *, may_change: bool
) -> None:
    """Refuse a challenger of another data set than the champion's: the two answer for other symbols.

    Args:
        champion: the version that is served, or None before the first training.
        dataset: what the challenger learns from.
        may_change: whether the settings allow it all the same.

    Raises:
        InvalidSettings: the data sets differ.
    """
    if champion is None or may_change or champion.dataset == dataset:
        return
    raise InvalidSettings(
        "a challenger learns from the champion's data set",
        f"the champion, version {champion.version}, is of {champion.dataset!r}, "
        f"this training of {dataset!r}",
        "Leave --source and --dataset out to train as the champion was; keep the models of another "
        "data set apart with a BELLWETHER_STATE_DIR or BELLWETHER_REGISTERED_MODEL of their own; "
        "or set BELLWETHER_DATASET_MAY_CHANGE=true to let this one replace it",
    )


@dataclass(frozen=True)
class RunRecord:
    """A run that made a version.

    Attributes:
        run_id: MLflow's id of it.
        experiment_id: experiment it belongs to.
        metrics: the newest value of each metric.
    """

    run_id: str
    experiment_id: str
    metrics: Mapping[str, float]


def model_version(made: Mapping[str, Any]) -> ModelVersion:
    """A version as MLflow's REST interface writes it.

    Raises:
        RegistryUnavailable: its number is none.
    """
    number = str(made["version"])
    if not is_number(number):
        raise RegistryUnavailable(
            "the registry must answer as MLflow does",
            f"it has a version {number[:40]!r}, which is no number",
            "Check that BELLWETHER_REGISTRY_URL is an MLflow server's",
        )
    return ModelVersion(
        version=number,
        run_id=str(made.get("run_id", "")),
        tags={str(tag["key"]): str(tag.get("value", "")) for tag in made.get("tags", [])},
        aliases=tuple(str(alias) for alias in made.get("aliases", [])),
        created_at=int(made.get("creation_timestamp", 0)),
    )
