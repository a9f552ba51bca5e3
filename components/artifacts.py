"""Protocols of the artifacts KFP passes to a step, so that steps do not import kfp."""

from typing import Any, Protocol


class Artifact(Protocol):
    """A file or folder with words about it."""

    path: str
    """Where the bytes are, or go."""

    metadata: dict[str, Any]
    """Words shown beside the artifact: strings, numbers, lists, dicts."""


def listed_in(artifact: Artifact, name: str) -> list[Any]:
    """A list among an artifact's words; none if it is not there.

    KFP on a cluster keeps words in ML Metadata, which has no lists: one comes back as
    {"list": [...]}.
    """
    words = artifact.metadata.get(name, [])
    return list(words["list"] if isinstance(words, dict) and "list" in words else words)


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
