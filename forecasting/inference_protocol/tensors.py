"""Tensors of the Open Inference Protocol: rules, JSON data, raw bytes.

A tensor is checked against its specification before anything is allocated for its data; the data
must then be exactly what the shape promises. Raw data are little-endian; BYTES elements are UTF-8
text, each after its length as uint32.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecasting.errors import InvalidRequest

Array: TypeAlias = NDArray[Any]

MAX_TEXT: Final = 64
"""Most characters of one text element."""

NUMBERS: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("?"),
    "INT64": np.dtype("<i8"),
    "FP64": np.dtype("<f8"),
}


class TensorSpec(NamedTuple):
    """What a tensor must look like; a free dimension is -1 and may be 1..limit long."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    limit: int = 1

    @property
    def lengths(self) -> str:
        """The shape in words, for error messages."""
        return ", ".join(f"1..{self.limit}" if d < 0 else str(d) for d in self.shape)


class Tensor(NamedTuple):
    """A tensor that kept its rules: numbers as an array of `shape`, or text as a flat list."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Array | list[str]


def quoted(value: object, limit: int = 40) -> str:
    """A value of the caller's for an error message: its repr, shortened."""
    if isinstance(value, list | dict) and len(value) > 8:
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, str | bytes):
        value = value[: limit + 1]
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def check_shape(spec: TensorSpec, datatype: object, shape: Sequence[Any]) -> int:
    """Check a tensor's datatype and shape; return how many elements it has.

    Raises:
        InvalidRequest: names the rule that is broken.
    """
    if datatype != spec.datatype:
        raise InvalidRequest(f"input '{spec.name}' must be {spec.datatype}", quoted(datatype))
    if len(shape) != len(spec.shape):
        raise InvalidRequest(
            f"input '{spec.name}' must have the shape [{spec.lengths}]", quoted(shape)
        )
    count = 1
    for size, fixed in zip(shape, spec.shape, strict=True):
        if type(size) is not int or not (size == fixed if fixed >= 0 else 0 < size <= spec.limit):
            raise InvalidRequest(
                f"input '{spec.name}' must have the shape [{spec.lengths}]", quoted(shape)
            )
        count *= size
    return count


def from_values(spec: TensorSpec, shape: Sequence[int], count: int, values: object) -> Tensor:
    """A tensor from a list, flat or nested like its shape.

    Args:
        spec: the tensor's rules.
        shape: its shape, checked.
        count: how many elements the shape has.
        values: the data as they came.

    Raises:
        InvalidRequest: wrong element type, or not as many elements as the shape promises.
    """
    if type(values) is not list:
        raise InvalidRequest(f"input '{spec.name}' must carry a list as 'data'", quoted(values))
    if len(shape) == 2 and values and type(values[0]) is list:
        width = shape[1]
        if not all(type(row) is list and len(row) == width for row in values):
            raise InvalidRequest(
                f"nested data of input '{spec.name}' must be rows of {width} numbers",
                "a row that is not",
            )
        values = list(chain.from_iterable(values))
    _check_count(spec, shape, count, len(values))
    if spec.datatype == "BYTES":
        return Tensor(spec.name, spec.datatype, tuple(shape), _check_texts(spec.name, values))
    allowed = (int, float) if spec.datatype == "FP64" else (int,)
    if not {*map(type, values)}.issubset(allowed):
        odd = next(value for value in values if type(value) not in allowed)
        raise InvalidRequest(
            f"elements of input '{spec.name}' must be {spec.datatype}", quoted(odd)
        )
    try:
        data = np.array(values, dtype=NUMBERS[spec.datatype]).reshape(shape)
    except OverflowError:
        raise InvalidRequest(
            f"elements of input '{spec.name}' must fit {spec.datatype}", "a number out of range"
        ) from None
    return Tensor(spec.name, spec.datatype, tuple(shape), data)


def from_raw(spec: TensorSpec, shape: Sequence[int], count: int, raw: bytes | memoryview) -> Tensor:
    """A tensor from raw bytes; arguments as for `from_values`.

    Raises:
        InvalidRequest: the bytes are not exactly what the shape promises, or not UTF-8.
    """
    if spec.datatype == "BYTES":
        texts = unpack_texts(raw, spec.name)
        _check_count(spec, shape, count, len(texts))
        return Tensor(spec.name, spec.datatype, tuple(shape), _check_texts(spec.name, texts))
    dtype = NUMBERS[spec.datatype]
    if len(raw) != count * dtype.itemsize:
        raise InvalidRequest(
            f"input '{spec.name}' must carry as many bytes as its shape says",
            f"{len(raw)} bytes for shape {list(shape)} of {spec.datatype}",
        )
    data = np.frombuffer(raw, dtype=dtype).reshape(shape)
    return Tensor(spec.name, spec.datatype, tuple(shape), data)


def _check_count(spec: TensorSpec, shape: Sequence[int], count: int, found: int) -> None:
    if found != count:
        raise InvalidRequest(
            f"input '{spec.name}' must carry as many elements as its shape says",
            f"{found} elements for shape {list(shape)}",
        )


def _check_texts(name: str, values: list[Any]) -> list[str]:
    for value in values:
        if type(value) is not str or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
            raise InvalidRequest(
                f"elements of input '{name}' must be printable text of 1..{MAX_TEXT} characters",
                quoted(value),
            )
    return values


def unpack_texts(raw: bytes | memoryview, name: str) -> list[str]:
    """Decode a BYTES tensor.

    Raises:
        InvalidRequest: a length runs past the end, or the bytes are not UTF-8.
    """
    raw = bytes(raw)
    texts = []
    start = 0
    while start < len(raw):
        first = start + 4
        end = first + int.from_bytes(raw[start:first], "little")
        if end > len(raw):
            raise InvalidRequest(
                f"each element of input '{name}' must be a uint32 length and that many bytes",
                f"the length at byte {start} runs past the end",
            )
        try:
            texts.append(raw[first:end].decode())
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"input '{name}' must be text in UTF-8", str(error)) from None
        start = end
    return texts


def pack_texts(texts: Sequence[str]) -> bytes:
    """Encode a BYTES tensor: the opposite of `unpack_texts`."""
    parts = []
    for text in texts:
        raw = text.encode()
        parts += [len(raw).to_bytes(4, "little"), raw]
    return b"".join(parts)


def to_raw(tensor: Tensor) -> bytes:
    """A tensor's data as the binary extension and gRPC's raw contents carry them."""
    if isinstance(tensor.data, list):
        return pack_texts(tensor.data)
    return np.ascontiguousarray(tensor.data, dtype=NUMBERS[tensor.datatype]).tobytes()
