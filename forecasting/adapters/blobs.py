"""Bytes at an fsspec URL, each file replaced as a whole or not at all."""

import os
import uuid
from pathlib import Path
from typing import Any

from forecasting.errors import InvalidSettings, Unavailable


class Blobs:
    """A folder of small immutable files and a few pointers that are replaced.

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
        try:
            return bytes(files.cat_file(f"{root}/{name}"))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreachable(error) from error

    def read_if_there(self, name: str) -> bytes | None:
        """Bytes of one file, or None when there is none."""
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Create or replace one file as a whole."""
        files, root = self._open()
        path = f"{root}/{name}"
        try:
            if "file" in _protocols(files):
                _replace(Path(path), data)
            else:
                files.pipe_file(path, data)
        except OSError as error:
            raise self._unreachable(error) from error

    def remove(self, name: str) -> None:
        """Remove one file, if it is there."""
        files, root = self._open()
        try:
            files.rm_file(f"{root}/{name}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unreachable(error) from error

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        files, root = self._open()
        return bool(files.exists(f"{root}/{name}"))

    def names(self, folder: str) -> tuple[str, ...]:
        """Names of the files and folders in a folder, sorted; none when it is not there."""
        files, root = self._open()
        files.invalidate_cache()
        try:
            found = files.ls(f"{root}/{folder}", detail=False)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreachable(error) from error
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            import fsspec

            try:
                files, root = fsspec.core.url_to_fs(self.url)
            except (ImportError, ValueError) as error:
                raise InvalidSettings(
                    "a lake needs a path or an fsspec URL whose protocol is installed",
                    f"{self.url!r}: {error}",
                    "Check BELLWETHER_LAKE_URL, or install the protocol's package, e.g. s3fs",
                ) from error
            self._opened = files, str(root).rstrip("/")
        return self._opened

    def _unreachable(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"the store at {self.url} must be readable and writable",
            f"{type(error).__name__}: {error}",
            "Check the address, the permissions and the space left",
        )


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
