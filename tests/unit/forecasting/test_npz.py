"""Arrays in files: bytes by content alone, and nothing unpickled or believed."""

import io
import zipfile

import numpy as np
import pytest

from forecasting.npz import (
    load_npy,
    load_npz,
    load_with_metadata,
    npy_bytes,
    npz_bytes,
    read_arrays,
    save_with_metadata,
    unpacked_size,
    write_arrays,
)

DTYPES = {"times": np.dtype("<i8"), "values": np.dtype("<f4")}
ARRAYS = {
    "times": np.arange(4, dtype=np.int64),
    "values": np.linspace(0, 1, 8, dtype=np.float32).reshape(4, 2),
}


class Payload:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_written_arrays_come_back_read_only_and_of_their_types():
    data = write_arrays(ARRAYS, DTYPES)
    arrays = read_arrays(data, DTYPES)
    assert list(arrays) == list(DTYPES)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.dtype == DTYPES[name]
        assert not array.flags.writeable
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["values"], ARRAYS["values"])


def test_equal_content_gives_equal_bytes_whatever_the_layout():
    fortran = {**ARRAYS, "values": np.asfortranarray(ARRAYS["values"])}
    assert write_arrays(fortran, DTYPES) == write_arrays(ARRAYS, DTYPES)
    assert npy_bytes(fortran["values"]) == npy_bytes(ARRAYS["values"])
    assert npz_bytes(ARRAYS) == npz_bytes({name: array.copy() for name, array in ARRAYS.items()})
    with zipfile.ZipFile(io.BytesIO(write_arrays(ARRAYS, DTYPES))) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x05\x06",
        write_arrays(ARRAYS, DTYPES)[:-30],
        write_arrays(ARRAYS, {"times": DTYPES["times"]}),
        write_arrays(ARRAYS, dict(reversed(DTYPES.items()))),
        write_arrays(ARRAYS, {**DTYPES, "values": np.dtype("<f8")}),
    ],
)
def test_what_is_not_exactly_the_arrays_expected_is_refused(data):
    with pytest.raises(ValueError, match=r"not the arrays expected|^files \[|expected float32"):
        read_arrays(data, DTYPES)


def test_compressed_members_are_refused():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **ARRAYS)
    with pytest.raises(ValueError, match="compressed"):
        read_arrays(buffer.getvalue(), DTYPES)


def test_npy_and_npz_are_those_of_numpy():
    buffer = io.BytesIO()
    np.save(buffer, ARRAYS["values"])
    assert npy_bytes(ARRAYS["values"]) == buffer.getvalue()
    np.testing.assert_array_equal(load_npy(buffer.getvalue()), ARRAYS["values"])
    loaded = load_npz(io.BytesIO(npz_bytes(ARRAYS)), ["values"])
    assert list(loaded) == ["values"]
    np.testing.assert_array_equal(loaded["values"], ARRAYS["values"])
    sizes = sum(len(npy_bytes(array)) for array in ARRAYS.values())
    assert unpacked_size(npz_bytes(ARRAYS)) == sizes


def test_objects_are_never_unpickled(capsys):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"[Oo]bject arrays"):
        load_npy(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(buffer, values=np.array([Payload()], dtype=object))
    with pytest.raises(ValueError, match=r"[Oo]bject arrays"):
        load_npz(io.BytesIO(buffer.getvalue()), ["values"])
    assert capsys.readouterr().out == ""


def test_damaged_or_missing_arrays_are_value_errors():
    for read in (load_npy, unpacked_size, lambda data: load_npz(io.BytesIO(data), ["a"])):
        for data in (b"", b"PK\x03\x04 torn"):
            with pytest.raises(ValueError, match=r".+"):
                read(data)
    with pytest.raises(ValueError, match="nothing"):
        load_npz(io.BytesIO(npz_bytes(ARRAYS)), ["nothing"])


def test_words_stand_beside_the_arrays_and_a_draft_is_never_left(tmp_path):
    path = tmp_path / "table.npz"
    save_with_metadata(path, ARRAYS, {"names": ["a", "b"]})
    arrays, metadata = load_with_metadata(path, ARRAYS)
    assert metadata == {"names": ["a", "b"]}
    assert list(arrays) == list(ARRAYS)
    np.testing.assert_array_equal(arrays["times"], ARRAYS["times"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.npz"]
    with pytest.raises(FileNotFoundError):
        load_with_metadata(tmp_path / "none.npz", ARRAYS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r".+"):
        load_with_metadata(path, ARRAYS)
