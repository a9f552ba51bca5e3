"""Protocols of the artifacts KFP passes to a step, so that steps do not import kfp."""

from typing import Any, Protocol


class Artifact(Protocol):
    """A file or folder with metadata."""

    path: str
    """Where the bytes are, or go."""

    metadata: dict[str, Any]
    """Words shown beside the artifact: strings, numbers, lists, dicts."""


def listed_in(artifact: Artifact, name: str) -> list[Any]:
    """A list in an artifact's metadata; none if it is not there.

    KFP on a cluster keeps metadata in ML Metadata, which has no lists: one comes back as
    {"list": [...]}.
    """
    value = artifact.metadata.get(name, [])
    return list(value["list"] if isinstance(value, dict) and "list" in value else value)


class ScalarMetrics(Protocol):
    """Numbers a run page shows as a table."""

    path: str
    """Where their file goes."""

    def log_metric(self, metric: str, value: float) -> None:
        """Show one number."""


class ConfusionMetrics(Protocol):
    """A confusion matrix a run page draws."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None:
        """Show counts: one row per true category, one column per forecast one."""
