"""The features that are served, each specification's own: files named by their digest, and pointers.

    features/<dataset>/<sha256>.npz                                  features, never changed
    features/<dataset>/specifications/<digest>/specification.json    what the digest stands for
    features/<dataset>/specifications/<digest>/latest.json           pointer to its newest features
    features/<dataset>/specifications/<digest>/idle.json             since when no version needs it
    features/<dataset>/latest.json                                   pointer of before
    features/<dataset>/differing.json                                how many symbols differ

A model version reads the features of its own specification, so what is published for one version
takes nothing from another. The pointer of before named the newest features of a data set, whatever
their specification: servers of before still read it, and servers of today where their specification
has no pointer yet.

Nothing here needs pandas: the model server reads its features with this.
"""

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import orjson

from forecasting.adapters.lake.blobs import Blobs
from forecasting.clock import utc_now
from forecasting.errors import InvalidSettings, NotReady, SnapshotCorrupted
from forecasting.features.spec import FeatureSpec
from forecasting.path_names import is_digest, is_plain_name

if TYPE_CHECKING:
    from forecasting.features.online import ServedFeatures

RESTORE: Final = "Fetch the prices again into another data set, or restore the lake from its backup"
"""Remedy for a damaged lake."""

_FEATURES: Final = ".npz"


class FeatureStore:
    """Served features under one address.

    Args:
        url: plain path or fsspec URL. Nothing is opened before the first call.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._blobs = Blobs(url)

    def publish_features(self, dataset: str, served: "ServedFeatures") -> str:
        """Make these the newest features of their specification. Returns their id.

        The pointer is replaced last, so a reader finds the features of before or these, whole.
        """
        data = served.to_bytes()
        digest = hashlib.sha256(data).hexdigest()
        self._blobs.write(f"features/{checked_name(dataset)}/{digest}{_FEATURES}", data)
        self._point_to(dataset, served, digest)
        return digest

    def adopt_features_of_before(self, dataset: str) -> None:
        """Give the features that the pointer of before names to their own specification.

        To be done before that pointer is replaced: a version that runs may have nothing else.

        Raises:
            SnapshotCorrupted: the pointer or what it names is damaged.
        """
        pointer = self._pointer(f"features/{checked_name(dataset)}")
        if pointer is None:
            return
        served = self._read(dataset, pointer["sha256"])
        if self._pointer(_specification_folder(dataset, served.spec_digest)) is None:
            self._point_to(dataset, served, pointer["sha256"])

    def point_servers_of_before(self, dataset: str, specification: str) -> None:
        """Let the pointer of before name the newest features of a specification.

        Servers that know nothing of specifications follow it: those of an installation whose
        versions still run as before its upgrade, and after a downgrade all.

        Raises:
            NotReady: none of the specification were published.
        """
        pointer = self._pointer(_specification_folder(dataset, specification))
        if pointer is None:
            raise self._none_published(dataset, specification)
        self._blobs.write(f"features/{dataset}/latest.json", orjson.dumps(pointer))

    def served_id(self, dataset: str, specification: str) -> str | None:
        """Id of the features a version of that specification is served from: a small read or two.

        Where none of the specification were published yet, that of the pointer of before, of
        whatever specification; None when there is none either.
        """
        pointer = self._served_pointer(dataset, specification)
        return None if pointer is None else pointer["id"]

    def served_features(self, dataset: str, specification: str) -> "ServedFeatures":
        """The features a version of that specification is served from, verified.

        Raises:
            NotReady: none were published, or those of before are of another specification.
            SnapshotCorrupted: they are missing or not what their digest promises.
        """
        pointer = self._served_pointer(dataset, specification)
        if pointer is None:
            raise self._none_published(dataset, specification)
        try:
            served = self._read(dataset, pointer["sha256"])
        except SnapshotCorrupted:
            # Replaced since the pointer was read, and cleared away: the newer ones are there.
            newer = self._served_pointer(dataset, specification)
            if newer is None or newer["sha256"] == pointer["sha256"]:
                raise
            served = self._read(dataset, newer["sha256"])
        if served.spec_digest != specification:
            raise self._none_published(dataset, specification, served.spec_digest)
        return served

    def specifications(self, dataset: str) -> dict[str, FeatureSpec]:
        """The specifications whose features are kept in a data set, by digest.

        Raises:
            SnapshotCorrupted: one is not what its digest promises.
        """
        parent = f"features/{checked_name(dataset)}/specifications"
        kept = {}
        for digest in self._blobs.names(parent):
            data = self._blobs.read_if_there(f"{parent}/{digest}/specification.json")
            if data is None:  # being written or removed
                continue
            try:
                spec = FeatureSpec.from_dict(orjson.loads(data))
            except (TypeError, ValueError, AttributeError, InvalidSettings) as error:
                raise _not_the_specification(parent, digest, str(error)) from error
            if spec.digest != digest:
                raise _not_the_specification(parent, digest, f"it holds {spec.digest}")
            kept[digest] = spec
        return kept

    def idle_since(self, dataset: str, specification: str) -> datetime | None:
        """Since when no version in use needs a specification; None while one does.

        Raises:
            SnapshotCorrupted: the note is damaged.
        """
        name = f"{_specification_folder(dataset, specification)}/idle.json"
        data = self._blobs.read_if_there(name)
        if data is None:
            return None
        try:
            return datetime.fromisoformat(orjson.loads(data)["since"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotCorrupted(
                "the note of an idle specification must name an instant",
                f"{name}: {error}",
                "Remove the file",
            ) from error

    def mark_idle(self, dataset: str, specification: str, since: datetime) -> None:
        """Note since when no version in use needs a specification."""
        note = orjson.dumps({"since": since.astimezone(UTC).isoformat()})
        self._blobs.write(f"{_specification_folder(dataset, specification)}/idle.json", note)

    def mark_needed(self, dataset: str, specification: str) -> None:
        """Take that note away: a version in use needs the specification."""
        self._blobs.remove(f"{_specification_folder(dataset, specification)}/idle.json")

    def note_differing_symbols(self, dataset: str, count: int) -> None:
        """Note how many symbols are asked for and unknown to the champion, or the other way round."""
        note = orjson.dumps({"symbols": count})
        self._blobs.write(f"features/{checked_name(dataset)}/differing.json", note)

    def differing_symbols(self, dataset: str) -> int | None:
        """That number, or None where no refresh noted one."""
        data = self._blobs.read_if_there(f"features/{checked_name(dataset)}/differing.json")
        try:
            return None if data is None else int(orjson.loads(data)["symbols"])
        except (KeyError, TypeError, ValueError):
            return None  # the next refresh notes it anew

    def remove_specification(self, dataset: str, specification: str) -> None:
        """Forget a specification; the features it pointed to go with the next clearing up."""
        folder = _specification_folder(dataset, specification)
        self._blobs.remove(f"{folder}/latest.json")
        self._blobs.remove_all(folder)

    def remove_superseded(self, dataset: str, before: datetime) -> int:
        """Remove features that no pointer names and that were written before an instant.

        Younger ones stay: a reader may have just read a pointer that was then replaced, and a
        writer writes its features before it points to them.

        Returns:
            How many were removed.

        Raises:
            SnapshotCorrupted: a pointer is damaged, so that nobody knows what it names.
        """
        folder = f"features/{checked_name(dataset)}"
        written = self._blobs.written(folder)  # listed before the pointers are read
        specifications = self._blobs.names(f"{folder}/specifications")
        folders = [folder, *(f"{folder}/specifications/{digest}" for digest in specifications)]
        pointers = [self._pointer(one) for one in folders]
        named = {pointer["sha256"] for pointer in pointers if pointer is not None}
        superseded = [
            name
            for name, at in written.items()
            if is_digest(name.removesuffix(_FEATURES))
            and name.removesuffix(_FEATURES) not in named
            and at < before
        ]
        for name in superseded:
            self._blobs.remove(f"{folder}/{name}")
        return len(superseded)

    def _read(self, dataset: str, digest: str) -> "ServedFeatures":
        from forecasting.features.online import ServedFeatures

        name = f"features/{dataset}/{digest}{_FEATURES}"
        data = self._blobs.read_if_there(name)
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            raise SnapshotCorrupted(
                "served features must be what their digest promises",
                f"{name} {'is missing' if data is None else 'holds something else'}",
                "Publish them again: the refresh pipeline",
            )
        return ServedFeatures.from_bytes(data)

    def _point_to(self, dataset: str, served: "ServedFeatures", digest: str) -> None:
        """Let a specification's pointer name features; the pointer is written last."""
        folder = _specification_folder(dataset, served.spec_digest)
        specification = f"{folder}/specification.json"
        if not self._blobs.exists(specification):
            self._blobs.write(specification, orjson.dumps(served.spec))
        pointer = {"id": digest, "sha256": digest, "created_at": utc_now()}
        self._blobs.write(f"{folder}/latest.json", orjson.dumps(pointer))

    def _served_pointer(self, dataset: str, specification: str) -> dict[str, str] | None:
        """The pointer of a specification, or the one of before where it has none."""
        own = self._pointer(_specification_folder(dataset, specification))
        return own or self._pointer(f"features/{dataset}")

    def _none_published(self, dataset: str, specification: str, found: str = "") -> NotReady:
        found = f"; those of before are of {found}" if found else ""
        return NotReady(
            "a version needs published features of its own specification",
            f"data set {dataset!r} in {self.url} has none of {specification}{found}",
            "Run a refresh, which makes them for every version in use: bellwether refresh",
        )

    def _pointer(self, folder: str) -> dict[str, str] | None:
        data = self._blobs.read_if_there(f"{folder}/latest.json")
        if data is None:
            return None
        try:
            return _named(orjson.loads(data))
        except (KeyError, TypeError, ValueError) as error:
            raise SnapshotCorrupted(
                "a pointer must name an id and a digest", f"{folder}/latest.json: {error}", RESTORE
            ) from error


def _named(pointer: dict[str, object]) -> dict[str, str]:
    """What a pointer names; files are read by its digest and its manifest's name."""
    found = {name: str(pointer[name]) for name in ("id", "sha256", *pointer)}
    digest, manifest = found["sha256"], found.get("manifest", "-")
    if not is_digest(digest) or not (manifest == "-" or is_plain_name(manifest)):
        raise ValueError(f"{digest[:80]!r} is no digest, or {manifest[:80]!r} no file's name")
    return found


def _specification_folder(dataset: str, specification: str) -> str:
    """Where a specification's pointer lies.

    Raises:
        InvalidSettings: the data set or the digest is no plain name.
    """
    if not is_plain_name(specification):
        raise InvalidSettings(
            "a feature specification is named by its digest", f"{specification[:80]!r} was given"
        )
    return f"features/{checked_name(dataset)}/specifications/{specification}"


def _not_the_specification(parent: str, digest: str, found: str) -> SnapshotCorrupted:
    return SnapshotCorrupted(
        "a specification must be what its digest promises",
        f"{parent}/{digest}: {found}",
        "Remove the folder: a refresh writes what versions in use need",
    )


def checked_name(dataset: str) -> str:
    """The name of a data set.

    Raises:
        InvalidSettings: it has other characters than a name may have.
    """
    if not is_plain_name(dataset):
        raise InvalidSettings(
            "a data set's name has letters, digits, dots, dashes and underscores, at most 100",
            f"{dataset[:120]!r} was given",
        )
    return dataset
