"""The features that are served: files named by their digest, and a pointer to the newest.

Nothing here needs pandas: the model server reads its features with this.
"""

import hashlib
import re
from typing import TYPE_CHECKING, Final

import orjson

from forecasting.adapters.lake.blobs import Blobs
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, NotReady, SnapshotCorrupted

if TYPE_CHECKING:
    from forecasting.features.online import ServedFeatures

RESTORE: Final = "Fetch the prices again into another data set, or restore the lake from its backup"
"""Remedy for a damaged lake."""

_DATASET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class FeatureStore:
    """Served features under one address.

    Args:
        url: plain path or fsspec URL. Nothing is opened before the first call.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._blobs = Blobs(url)

    def publish_features(self, dataset: str, served: "ServedFeatures") -> str:
        """Make these the features that are served. Returns their id."""
        data = served.to_bytes()
        digest = hashlib.sha256(data).hexdigest()
        folder = f"features/{checked_name(dataset)}"
        self._blobs.write(f"{folder}/{digest}.npz", data)
        pointer = {"id": served.id, "sha256": digest, "created_at": utc_now()}
        self._blobs.write(f"{folder}/latest.json", orjson.dumps(pointer))
        return served.id

    def served_id(self, dataset: str) -> str | None:
        """Id of the features that are served, or None: one small read."""
        pointer = self._pointer(f"features/{checked_name(dataset)}")
        return None if pointer is None else pointer["id"]

    def served_features(self, dataset: str) -> "ServedFeatures":
        """The features that are served, verified.

        Raises:
            NotReady: none were published.
            SnapshotCorrupted: they are missing or not what their digest promises.
        """
        from forecasting.features.online import ServedFeatures

        folder = f"features/{checked_name(dataset)}"
        pointer = self._pointer(folder)
        if pointer is None:
            raise NotReady(
                "the server needs published features",
                f"{dataset!r} in {self.url} has none",
                "Publish some first: bellwether train, or the refresh pipeline",
            )
        name = f"{folder}/{pointer['sha256']}.npz"
        data = self._blobs.read_if_there(name)
        if data is None or hashlib.sha256(data).hexdigest() != pointer["sha256"]:
            raise SnapshotCorrupted(
                "served features must be what their digest promises",
                f"{name} {'is missing' if data is None else 'holds something else'}",
                "Publish them again: the refresh pipeline",
            )
        return ServedFeatures.from_bytes(data)

    def _pointer(self, folder: str) -> dict[str, str] | None:
        data = self._blobs.read_if_there(f"{folder}/latest.json")
        if data is None:
            return None
        try:
            pointer = orjson.loads(data)
            return {name: str(pointer[name]) for name in pointer} | {
                "id": str(pointer["id"]),
                "sha256": str(pointer["sha256"]),
            }
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise SnapshotCorrupted(
                "a pointer must name an id and a digest", f"{folder}/latest.json: {error}", RESTORE
            ) from error


def checked_name(dataset: str) -> str:
    """The name of a data set.

    Raises:
        InvalidSettings: it has other characters than a name may have.
    """
    if not _DATASET.fullmatch(dataset):
        raise InvalidSettings(
            "a data set's name has letters, digits, dots, dashes and underscores, at most 100",
            f"{dataset!r} was given",
        )
    return dataset
