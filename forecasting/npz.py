"""Reads and writes NumPy's .npy and .npz files without pickles; equal content gives equal bytes."""

import io
import tokenize
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
from numpy.typing import NDArray

_FIRST_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the zip format's zero
_UNIX: Final = 3
_METADATA: Final = "words"

Dtypes = Mapping[str, "np.dtype[Any]"]


def write_arrays(arrays: Mapping[str, NDArray[Any]], dtypes: Dtypes) -> bytes:
    """Arrays as an uncompressed .npz, in the order and of the types of `dtypes`.

    Unlike numpy.savez the bytes tell neither the time nor the machine.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, dtype in dtypes.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=_FIRST_DATE)
            member.create_system = _UNIX
            content = io.BytesIO()
            array = np.ascontiguousarray(arrays[name], dtype=dtype)
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getbuffer())
    return buffer.getvalue()


def read_arrays(data: bytes, dtypes: Dtypes) -> dict[str, NDArray[Any]]:
    """Arrays that `write_arrays` wrote, read-only.

    Nothing is unpickled, and nothing is allocated on the file's word alone: an array takes the
    bytes that are there.

    Raises:
        ValueError: the bytes are no such file, or an array is missing, extra or of another type.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return dict(_members(archive, len(data), dtypes))
    except (
        *(EOFError, KeyError, OSError, OverflowError, RuntimeError, SyntaxError, TypeError),
        *(UnicodeError, tokenize.TokenError, zipfile.BadZipFile),
    ) as error:
        raise ValueError(f"not the arrays expected: {error}") from error


def npy_bytes(array: NDArray[Any]) -> bytes:
    """An array as .npy bytes, as numpy.save writes them."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as .npz bytes, as numpy.savez writes them: each member is dated 1980."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes allow_pickle for one
    return buffer.getvalue()


def unpacked_size(data: bytes) -> int:
    """Bytes that an .npz says its members take when unpacked.

    Raises:
        ValueError: the bytes are no .npz.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, EOFError) as fault:
        raise ValueError(str(fault)) from fault


def load_npy(data: bytes) -> NDArray[Any]:
    """The array of .npy bytes.

    Raises:
        ValueError: the bytes are damaged, or hold objects.
    """
    try:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (EOFError, OSError) as fault:
        raise ValueError(str(fault)) from fault
    return array


def load_npz(file: BinaryIO, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The named arrays of an .npz.

    Raises:
        ValueError: it is damaged, holds objects, or one of the arrays is missing.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (zipfile.BadZipFile, EOFError, KeyError) as fault:
        raise ValueError(str(fault)) from fault


def save_with_metadata(
    path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]
) -> None:
    """Write arrays, and JSON beside them, as one .npz without pickles; whole or not at all."""
    text = np.frombuffer(orjson.dumps(metadata), dtype=np.uint8)
    draft = path.with_name(f".{path.name}.part")
    with draft.open("wb") as file:
        np.savez(file, **{**arrays, _METADATA: text})  # type: ignore[arg-type]
    draft.replace(path)


def load_with_metadata(path: Path, names: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The named arrays, and the metadata, that `save_with_metadata` wrote.

    Raises:
        ValueError: the file is damaged, or one of the arrays is missing.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:  # numpy would leave a damaged one open
        arrays = load_npz(file, (*names, _METADATA))
    metadata: dict[str, Any] = orjson.loads(arrays.pop(_METADATA).tobytes())
    return arrays, metadata


def _members(archive: zipfile.ZipFile, size: int, dtypes: Dtypes) -> list[tuple[str, NDArray[Any]]]:
    members = archive.infolist()
    if [member.filename for member in members] != [f"{name}.npy" for name in dtypes]:
        raise ValueError(f"files {[member.filename for member in members]}")
    arrays: list[tuple[str, NDArray[Any]]] = []
    for member, (name, dtype) in zip(members, dtypes.items(), strict=True):
        if member.compress_type != zipfile.ZIP_STORED or member.file_size > size:
            raise ValueError(f"{name} is compressed")
        content = io.BytesIO(archive.read(member))
        if np.lib.format.read_magic(content) != (1, 0):
            raise ValueError(f"{name} has another version of the .npy format")
        shape, fortran, found = np.lib.format.read_array_header_1_0(content)
        if fortran or found != dtype:
            raise ValueError(f"{name} is {found}, expected {dtype} in C order")
        body = content.getbuffer()[content.tell() :].toreadonly()
        arrays.append((name, np.frombuffer(body, dtype=dtype).reshape(shape)))
    return arrays
