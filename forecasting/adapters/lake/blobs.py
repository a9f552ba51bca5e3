"""Bytes at an fsspec URL, each file replaced as a whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from forecasting.errors import InvalidSettings, Unavailable

_S3_OPTIONS: Final = {
    # Other processes write here too: a remembered listing or a shared client would lie about them.
    "use_listings_cache": False,
    # The defaults wait minutes for a store that is down.
    "config_kwargs": {
        "connect_timeout": 2,
        "read_timeout": 10,
        "retries": {"mode": "standard", "total_max_attempts": 1},
    },
}
_S3_TRIES: Final = 2


class Blobs:
    """A folder of small immutable files and a few pointers that are replaced.

    A name is parts with slashes between them; one that would lead out of the folder, or that no
    file can have, is refused with `InvalidSettings`.

    A file on a local disk is written under a temporary name and renamed; an object store puts an
    object as a whole by itself. Nothing is opened before the first call.

    Args:
        url: plain path or fsspec URL (file://, s3://, gs://, memory:// ...).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._opened: tuple[Any, str] | None = None

    def read(self, name: str) -> bytes:
        """Bytes of one file.

        Raises:
            FileNotFoundError: there is no such file.
            Unavailable: the store cannot be reached.
        """
        files, root = self._open()
        with self._words():
            return bytes(files.cat_file(f"{root}/{_inside(name)}"))

    def read_if_there(self, name: str) -> bytes | None:
        """Bytes of one file, or None when there is none."""
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Create or replace one file as a whole."""
        files, root = self._open()
        path = f"{root}/{_inside(name)}"
        with self._words(missing_is_fatal=True):
            if "file" in _protocols(files):
                _replace(Path(path), data)
            else:
                files.pipe_file(path, data)

    def remove(self, name: str) -> None:
        """Remove one file, if it is there."""
        files, root = self._open()
        try:
            with self._words():
                files.rm_file(f"{root}/{_inside(name)}")
        except FileNotFoundError:
            return

    def remove_all(self, name: str) -> None:
        """Remove one file or folder with all that is in it, if it is there."""
        files, root = self._open()
        path = f"{root}/{_inside(name)}"
        try:
            with self._words():
                if "file" in _protocols(files):
                    files.rm(path, recursive=True)
                else:
                    # One by one: where an account may write below one folder only, stores refuse
                    # a request to delete many, which names the bucket alone.
                    for found in files.find(path):
                        files.rm_file(found)
        except FileNotFoundError:
            return

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        files, root = self._open()
        with self._words():
            return bool(files.exists(f"{root}/{_inside(name)}"))

    def names(self, folder: str) -> tuple[str, ...]:
        """Names of the files and folders in a folder, sorted; none when it is not there."""
        files, root = self._open()
        path = f"{root}/{_inside(folder)}" if folder else root
        files.invalidate_cache()
        try:
            with self._words():
                found = files.ls(path, detail=False)
        except FileNotFoundError:
            return ()
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def written(self, folder: str) -> dict[str, datetime]:
        """When each file in a folder was written, by name; those whose store does not say are left out."""
        files, root = self._open()
        files.invalidate_cache()
        try:
            with self._words():
                found = files.ls(f"{root}/{_inside(folder)}", detail=True)
        except FileNotFoundError:
            return {}
        times = {}
        for entry in found:
            at = _written_at(entry)
            if at is not None and entry.get("type") == "file":
                times[str(entry["name"]).rpartition("/")[2]] = at
        return times

    def make_root(self) -> bool:
        """Make the folder, or the bucket it is in, unless it is there; whether it was made.

        Raises:
            Unavailable: the store cannot be reached, or does not let us.
        """
        files, root = self._open()
        folder = root if "file" in _protocols(files) else root.partition("/")[0]
        with self._words(missing_is_fatal=True):
            # An object store has no folders; asking for a listing tells a missing bucket apart
            # from one that we may not see, which a plain question whether it exists does not.
            try:
                files.ls(folder, detail=False)
            except FileNotFoundError:
                try:
                    files.mkdir(folder, create_parents=True)
                except FileExistsError:  # a rival made it
                    return False
                return True
        return False

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            import fsspec

            try:
                options = _S3_OPTIONS if self.url.startswith("s3://") else {}
                files, root = fsspec.core.url_to_fs(self.url, **options)
            except (ImportError, ValueError) as error:
                raise InvalidSettings(
                    "a lake needs a path or an fsspec URL whose protocol is installed",
                    f"{self.url!r}: {error}",
                    "Check BELLWETHER_LAKE_URL, or install the protocol's package, e.g. s3fs",
                ) from error
            if options:
                files.retries = _S3_TRIES
            self._opened = files, str(root).rstrip("/")
        return self._opened

    @contextmanager
    def _words(self, *, missing_is_fatal: bool = False) -> Iterator[None]:
        """Turn what a store's library raises into our error; a missing file stays one."""
        try:
            yield
        except FileNotFoundError as error:
            if missing_is_fatal or _answered(error) == "NoSuchBucket":
                raise self._unreachable(error) from error
            raise
        except OSError as error:
            raise self._unreachable(error) from error
        except Exception as error:
            # botocore's errors (no connection, no credentials, no such region) are no OSErrors.
            if type(error).__module__.partition(".")[0] not in {"botocore", "aiobotocore"}:
                raise
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unavailable:
        if _answered(error) == "NoSuchBucket":
            remedy = "Make the bucket: bellwether prepare"
        elif isinstance(error, PermissionError) and self.url.startswith("s3://"):
            remedy = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do"
        elif self.url.startswith("s3://"):
            remedy = "Check AWS_ENDPOINT_URL and the AWS_* keys, and that the store is up"
        else:
            remedy = "Check the address, the permissions and the space left"
        return Unavailable(
            f"the store at {self.url} must be readable and writable",
            f"{type(error).__name__}: {error}",
            remedy,
        )


def _inside(name: str) -> str:
    """The name, if it stays in the folder.

    Raises:
        InvalidSettings: a part of it is empty, "." or "..", or it holds a NUL.
    """
    if "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise InvalidSettings(
            "a file's name in a lake must lead to a file in the lake", repr(name[:120])
        )
    return name


def _answered(error: BaseException) -> str:
    """The code an S3 store answered with, "" if it did not."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _written_at(entry: dict[str, Any]) -> datetime | None:
    """When a file was written, as its store says: a local disk, S3, or another."""
    at = next(
        (entry[key] for key in ("mtime", "LastModified", "updated", "created") if key in entry),
        None,
    )
    if isinstance(at, int | float):
        return datetime.fromtimestamp(at, UTC)
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return None
    if not isinstance(at, datetime):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _protocols(files: Any) -> tuple[str, ...]:
    protocol = files.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)  # noqa: PTH105 - the atomic one, by its name
    finally:
        temporary.unlink(missing_ok=True)
