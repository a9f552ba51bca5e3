"""Reads the operators of an ONNX file off its bytes, before anything could run them.

The predictor carries no `onnx` package, so the few protobuf fields that matter are walked here:
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto gives their numbers.
"""

from collections.abc import Iterator
from typing import Final

from forecasting.errors import BundleRejected

DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml")
OPERATORS: Final = frozenset(
    {
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Exp",
        "Gemm",
        "Log",
        "MatMul",
        "Mean",
        "Mul",
        "Shape",
        "Sub",
        "TreeEnsembleRegressor",
    }
)
"""The operators our exporter writes; none of them holds a graph of its own or reads a file."""

_REMEDY: Final = "Train again; do not serve this bundle"

# field numbers
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 8, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_OPSET_DOMAIN = 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def inspect_onnx(content: bytes) -> None:
    """Refuse a model with foreign operators, functions, nested graphs or external data.

    Raises:
        BundleRejected: says which rule the model breaks, or that it is no ONNX model at all.
    """
    graphs = 0
    for number, value in _fields(memoryview(content)):
        if number in {_MODEL_TRAINING, _MODEL_FUNCTIONS}:
            raise BundleRejected(
                "a model must not define functions or training", "it does", _REMEDY
            )
        if number == _MODEL_OPSET:
            _check_domain("".join(_text(value, _OPSET_DOMAIN)))
        if number == _MODEL_GRAPH:
            graphs += 1
            _inspect_graph(value)
    if graphs != 1:
        raise BundleRejected("model.onnx must hold one graph", f"{graphs} found", _REMEDY)


def _inspect_graph(graph: memoryview) -> None:
    for number, value in _fields(graph):
        if number == _GRAPH_NODE:
            _inspect_node(value)
        elif number == _GRAPH_INITIALIZER:
            _inspect_tensor(value)
        elif number == _GRAPH_SPARSE:
            raise BundleRejected("a model's tensors must be dense", "a sparse one", _REMEDY)


def _inspect_node(node: memoryview) -> None:
    operator = "".join(_text(node, _NODE_OPERATOR))
    _check_domain("".join(_text(node, _NODE_DOMAIN)))
    if operator not in OPERATORS:
        raise BundleRejected(
            f"a model may use only the operators {', '.join(sorted(OPERATORS))}",
            repr(operator),
            _REMEDY,
        )
    for number, attribute in _fields(node):
        if number != _NODE_ATTRIBUTE:
            continue
        for inner, value in _fields(attribute):
            if inner in {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS}:
                raise BundleRejected("an operator must not hold a graph", operator, _REMEDY)
            if inner in {_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS}:
                _inspect_tensor(value)


def _inspect_tensor(tensor: memoryview) -> None:
    for number, _ in _fields(tensor, numbers=True):
        if number in {_TENSOR_EXTERNAL, _TENSOR_LOCATION}:
            raise BundleRejected(
                "a model's tensors must lie in the file itself", "one lies elsewhere", _REMEDY
            )


def _check_domain(domain: str) -> None:
    if domain not in DOMAINS:
        raise BundleRejected(
            "a model may use only the standard operator domains ai.onnx and ai.onnx.ml",
            repr(domain),
            _REMEDY,
        )


def _text(message: memoryview, field: int) -> Iterator[str]:
    for number, value in _fields(message):
        if number == field:
            yield bytes(value).decode(errors="replace")


def _fields(message: memoryview, *, numbers: bool = False) -> Iterator[tuple[int, memoryview]]:
    """Length-delimited fields of a message as (number, bytes); all fields with `numbers`."""
    at, end = 0, len(message)
    nothing = memoryview(b"")
    while at < end:
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _BYTES:
            size, at = _varint(message, at)
            if at + size > end:
                raise _malformed()
            yield number, message[at : at + size]
            at += size
            continue
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire in {_FIXED32, _FIXED64}:
            at += 4 if wire == _FIXED32 else 8
        else:
            raise _malformed()
        if numbers:
            yield number, nothing
    if at != end:
        raise _malformed()


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _malformed()


def _malformed() -> BundleRejected:
    return BundleRejected("model.onnx must be an ONNX model", "its bytes are not", _REMEDY)
