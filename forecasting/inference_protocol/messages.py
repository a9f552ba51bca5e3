"""Parses requests and renders responses of the Open Inference Protocol V2, as pure functions.

A request passes only if every tensor is one of `INPUTS`, has exactly its datatype and shape, and
carries exactly the data its shape promises. What passes is trusted from there on. Both servers
(REST, gRPC) and our client speak through here; `forecasting.inference_protocol.tensors` knows the bytes.

| input        | datatype | shape  | meaning                                                    |
|--------------|----------|--------|------------------------------------------------------------|
| `symbols`    | BYTES    | [n]    | symbols the server holds, or one name for own bars         |
| `horizon`    | INT64    | [1]    | bars to look ahead; default: all that the version forecasts |
| `as_of`      | BYTES    | [1]    | ISO-8601 instant: answer as it was known then              |
| `bars`       | FP64     | [t, 5] | own bars: open, high, low, close, volume                   |
| `timestamps` | INT64    | [t]    | closes of the own bars, unix milliseconds, rising          |
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from forecasting.errors import InvalidRequest
from forecasting.inference_protocol.tensors import (
    Tensor,
    TensorSpec,
    check_shape,
    from_raw,
    from_values,
    quoted,
    to_raw,
)

HEADER_LENGTH: Final = "inference-header-content-length"
"""HTTP header that says how many bytes of a body are JSON; the rest are binary tensors."""

SHADOW_HEADER: Final = "bellwether-shadow"
"""Header that the gateway sets while a version gets copies of the requests: that version's number.
Both the request and its copy carry it, so a server with that number knows that it has the copy."""

GATEWAY_ID_HEADER: Final = "x-request-id"
"""Header with the id that the gateway gives a request; a copy has the same."""

MAX_BODY_BYTES: Final = 1_048_576
"""Longest request; 5,000 bars in JSON take half of it."""

MAX_SYMBOLS: Final = 1_000
MAX_BARS: Final = 5_000
MAX_ID: Final = 256

INPUTS: Final[Mapping[str, TensorSpec]] = {
    spec.name: spec
    for spec in (
        TensorSpec("symbols", "BYTES", (-1,), MAX_SYMBOLS),
        TensorSpec("horizon", "INT64", (1,)),
        TensorSpec("as_of", "BYTES", (1,)),
        TensorSpec("bars", "FP64", (-1, 5), MAX_BARS),
        TensorSpec("timestamps", "INT64", (-1,), MAX_BARS),
    )
}
OUTPUTS: Final[Mapping[str, TensorSpec]] = {
    spec.name: spec
    for spec in (
        TensorSpec("symbol", "BYTES", (-1,)),
        TensorSpec("quantiles", "FP64", (-1, -1, 5)),
        TensorSpec("target_time", "INT64", (-1, -1)),
        TensorSpec("probability_of_rise", "FP64", (-1, -1)),
        TensorSpec("signal", "BYTES", (-1,)),
        TensorSpec("last_close", "FP64", (-1,)),
        TensorSpec("as_of", "INT64", (-1,)),
        TensorSpec("stale", "BOOL", (-1,)),
        TensorSpec("baseline", "FP64", (-1, -1, 5)),
    )
}
DEFAULT_OUTPUTS: Final = tuple(name for name in OUTPUTS if name != "baseline")
"""Given unless a request names its outputs; the baseline is given only on request."""

ALL_OR_NOTHING: Final = "all_or_nothing"
"""Parameter of a request: true refuses the whole of it when one symbol cannot be answered."""

REFUSED: Final = "refused"
"""Parameter of an answer: the symbols that were not answered, as JSON; there only if some were not."""

JSON_ONLY: Final[frozenset[str]] = frozenset()

_PARAMETER_TYPES: Final = (str, int, float, bool)


class Request(NamedTuple):
    """A V2 inference request whose tensors are all well formed.

    Attributes:
        id: the caller's request id, or "".
        inputs: tensors by name.
        outputs: names of the requested outputs, in order.
        binary: names of those outputs that are requested as binary data.
        all_or_nothing: whether one symbol that cannot be answered refuses the whole request.
    """

    id: str
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    binary: frozenset[str] = JSON_ONLY
    all_or_nothing: bool = False


def parse_request(body: bytes | bytearray, json_length: int | None = None) -> Request:
    """Read a REST request body.

    Args:
        body: the whole body.
        json_length: value of the `Inference-Header-Content-Length` header; None when absent.

    Raises:
        InvalidRequest: names the first rule the body breaks.
    """
    blob = memoryview(b"")
    if json_length is not None:
        if not 0 < json_length <= len(body):
            raise InvalidRequest(
                f"the header {HEADER_LENGTH} must lie between 1 and the body's length",
                f"{json_length} for a body of {len(body)} bytes",
            )
        blob = memoryview(bytes(body))[json_length:]
        body = body[:json_length]
    document = parse_object(body)
    entries = document.get("inputs")
    if type(entries) is not list or not entries:
        raise InvalidRequest(
            "'inputs' must be a list of at least one tensor",
            quoted(entries),
            "Send 'symbols', or 'bars' with 'timestamps'",
        )
    inputs: dict[str, Tensor] = {}
    taken = 0
    for entry in entries:
        tensor, taken = _read_input(entry, blob, taken)
        if tensor.name in inputs:
            raise InvalidRequest("an input may be sent once", f"'{tensor.name}' is sent twice")
        inputs[tensor.name] = tensor
    if taken != len(blob):
        raise InvalidRequest(
            "the bytes after the JSON must be those the inputs' binary_data_size announce",
            f"{len(blob)} bytes, {taken} announced",
        )
    all_binary = all_or_nothing = False
    if "parameters" in document:
        parameters = _parameters(document, "the request")
        all_binary = _flag(parameters, "binary_data_output") or False
        all_or_nothing = _flag(parameters, ALL_OR_NOTHING) or False
    outputs, binary = _read_outputs(document.get("outputs", []), all_binary=all_binary)
    return Request(read_id(document.get("id", "")), inputs, outputs, binary, all_or_nothing)


def parse_object(body: bytes | bytearray) -> dict[str, Any]:
    """Read a body that must be a JSON object.

    Raises:
        InvalidRequest: it is not JSON in UTF-8, is nested too deep, or is no object.
    """
    problem = ""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = str(error)
    if problem:  # raised here, because the library's error holds the whole body
        raise InvalidRequest("a body must be JSON in UTF-8", problem)
    if type(document) is not dict:
        raise InvalidRequest("a body must be a JSON object", quoted(document))
    return document


def find_input(name: object) -> TensorSpec:
    """The rules of an input.

    Raises:
        InvalidRequest: the model takes no input of that name.
    """
    spec = INPUTS.get(name) if type(name) is str else None
    if spec is None:
        raise InvalidRequest(
            "an input must be one the model takes", quoted(name), f"Known: {', '.join(INPUTS)}"
        )
    return spec


def read_id(value: object) -> str:
    """The request id, "" when there is none.

    Raises:
        InvalidRequest: it could not be stored and shown as it is: databases refuse a NUL.
    """
    if type(value) is not str or len(value) > MAX_ID or not value.isprintable():
        raise InvalidRequest(
            f"'id' must be printable text of at most {MAX_ID} characters",
            quoted(value),
            "Leave it out if there is none",
        )
    return value


def read_output_names(names: Sequence[object]) -> tuple[str, ...]:
    """Check the names of requested outputs: each known and asked for once; none means default."""
    for place, name in enumerate(names):
        if type(name) is not str or name not in OUTPUTS:
            raise InvalidRequest(
                "an output must be one the model gives",
                quoted(name),
                f"Known: {', '.join(OUTPUTS)}",
            )
        if name in names[:place]:
            raise InvalidRequest("an output may be asked for once", f"'{name}' is asked for twice")
    return tuple(map(str, names)) or DEFAULT_OUTPUTS


def refuse_unsupported(names: Mapping[str, object], whose: str) -> None:
    """Refuse parameters of protocol extensions we do not speak; unknown ones are ignored."""
    for name in ("shared_memory_region", "classification"):
        if name in names:
            raise InvalidRequest(
                "a request may only use extensions the server lists", f"'{name}' of {whose}"
            )


def _parameters(entry: dict[str, Any], whose: str) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if type(parameters) is not dict:
        raise InvalidRequest(
            f"'parameters' of {whose} must be an object",
            quoted(parameters),
            "Leave it out if there are none",
        )
    for name, value in parameters.items():
        if type(value) not in _PARAMETER_TYPES:
            raise InvalidRequest(
                f"a parameter of {whose} must be text, a number, true or false",
                f"{quoted(name)} is {quoted(value)}",
            )
    refuse_unsupported(parameters, whose)
    return parameters


def _flag(parameters: dict[str, Any], name: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and type(value) is not bool:
        raise InvalidRequest(f"'{name}' must be true or false", quoted(value))
    return value


def _read_outputs(entries: object, *, all_binary: bool) -> tuple[tuple[str, ...], frozenset[str]]:
    if entries == []:
        return DEFAULT_OUTPUTS, frozenset(DEFAULT_OUTPUTS) if all_binary else JSON_ONLY
    if type(entries) is not list:
        raise InvalidRequest("'outputs' must be a list of tensors", quoted(entries))
    names = []
    binary = set()
    for entry in entries:
        if type(entry) is not dict:
            raise InvalidRequest("an output must be an object with a 'name'", quoted(entry))
        name = entry.get("name")
        flag = _flag(_parameters(entry, f"output {quoted(name)}"), "binary_data")
        names.append(name)
        if (all_binary if flag is None else flag) and type(name) is str:
            binary.add(name)
    return read_output_names(names), frozenset(binary)


def _read_input(entry: object, blob: memoryview, taken: int) -> tuple[Tensor, int]:
    if type(entry) is not dict:
        raise InvalidRequest("an input must be an object", quoted(entry))
    spec = find_input(entry.get("name"))
    shape = entry.get("shape")
    if type(shape) is not list:
        raise InvalidRequest(f"'shape' of input '{spec.name}' must be a list", quoted(shape))
    count = check_shape(spec, entry.get("datatype"), shape)
    if "parameters" in entry:
        parameters = _parameters(entry, f"input '{spec.name}'")
        size = parameters.get("binary_data_size")
        if size is not None:
            left = len(blob) - taken
            if type(size) is not int or not 0 <= size <= left:
                raise InvalidRequest(
                    "'binary_data_size' must be how many of the bytes after the JSON are the input's",
                    f"{quoted(size)} for input '{spec.name}' with {left} bytes left",
                )
            if "data" in entry:
                raise InvalidRequest(
                    "an input has either 'data' or 'binary_data_size'", f"'{spec.name}' has both"
                )
            return from_raw(spec, shape, count, blob[taken : taken + size]), taken + size
    return from_values(spec, shape, count, entry.get("data")), taken


def render_message(
    fields: dict[str, Any],
    key: str,
    tensors: Sequence[Tensor],
    binary: frozenset[str] = JSON_ONLY,
) -> tuple[bytes, int | None]:
    """Write a request (`key` "inputs") or an answer (`key` "outputs") as a REST body.

    Args:
        fields: what stands beside the tensors: id, model_name, parameters ...
        key: name of the list of tensors.
        tensors: the tensors, in order.
        binary: names of the tensors to send as binary data.

    Returns:
        The body, and the length of its JSON part if binary data follow.
    """
    entries: list[dict[str, Any]] = []
    blobs = []
    for tensor in tensors:
        name, datatype, shape, _ = tensor
        if name in binary:
            blobs.append(to_raw(tensor))
            parameters = {"binary_data_size": len(blobs[-1])}
            entries.append(
                {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}
            )
        else:
            entries.append(_in_json(tensor))
    text = orjson.dumps({**fields, key: entries}, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((text, *blobs)), len(text)) if binary else (text, None)


def rendered(tensors: Sequence[Tensor]) -> orjson.Fragment:
    """Tensors as the JSON list that `render_message` would write, to be put into a body as it is."""
    entries = [_in_json(tensor) for tensor in tensors]
    return orjson.Fragment(orjson.dumps(entries, option=orjson.OPT_SERIALIZE_NUMPY))


def _in_json(tensor: Tensor) -> dict[str, Any]:
    name, datatype, shape, data = tensor
    values = data if isinstance(data, list) else data.reshape(-1)
    return {"name": name, "datatype": datatype, "shape": shape, "data": values}


def error_body(sentence: str, kind: str = "") -> bytes:
    """The protocol's error object; `kind` names the error of `forecasting.errors`, for our client."""
    return orjson.dumps({"error": sentence, "kind": kind} if kind else {"error": sentence})
