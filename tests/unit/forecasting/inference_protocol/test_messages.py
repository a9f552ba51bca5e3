"""V2 requests: what is well formed passes unchanged, everything else is refused with its reason."""

import json
import string

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InvalidRequest
from forecasting.inference_protocol.messages import (
    DEFAULT_OUTPUTS,
    INPUTS,
    MAX_BARS,
    MAX_ID,
    MAX_SYMBOLS,
    OUTPUTS,
    parse_request,
    render_message,
)
from forecasting.inference_protocol.tensors import (
    MAX_TEXT,
    Tensor,
    pack_texts,
    to_raw,
)


def symbols(*names, **changes):
    return {
        "name": "symbols",
        "datatype": "BYTES",
        "shape": [len(names)],
        "data": list(names),
    } | changes


def horizon(value=5, **changes):
    return {"name": "horizon", "datatype": "INT64", "shape": [1], "data": [value]} | changes


def body(*inputs, **fields):
    return json.dumps({"inputs": list(inputs), **fields}).encode()


def refusal(raw, json_length=None):
    with pytest.raises(InvalidRequest) as caught:
        parse_request(raw, json_length)
    return str(caught.value)


def test_a_request_for_symbols_is_read():
    request = parse_request(body(symbols("AAPL", "2330.TW"), horizon(7), id="a1"))
    assert request.id == "a1"
    assert request.inputs["symbols"].data == ["AAPL", "2330.TW"]
    assert request.inputs["horizon"].data.tolist() == [7]
    assert request.outputs == DEFAULT_OUTPUTS
    assert not request.binary


def test_the_baseline_is_only_given_on_request():
    assert "baseline" not in parse_request(body(symbols("AAPL"))).outputs
    wanted = parse_request(body(symbols("AAPL"), outputs=[{"name": "baseline"}])).outputs
    assert wanted == ("baseline",)


def test_numbers_may_be_nested_like_their_shape():
    bars = {"name": "bars", "datatype": "FP64", "shape": [2, 5]}
    rows = [[1, 2.5, 0.5, 1.5, 100], [2, 3, 1, 2, 0]]
    nested = parse_request(body(bars | {"data": rows})).inputs["bars"].data
    flat = parse_request(body(bars | {"data": [*rows[0], *rows[1]]})).inputs["bars"].data
    assert nested.dtype == np.float64
    np.testing.assert_array_equal(nested, flat)
    np.testing.assert_array_equal(nested, rows)


def test_an_optional_field_may_be_absent_or_empty():
    request = parse_request(body(symbols("AAPL", parameters={}), id="", parameters={}, outputs=[]))
    assert request == parse_request(body(symbols("AAPL")))
    assert (request.id, request.outputs) == ("", DEFAULT_OUTPUTS)


@given(st.text(max_size=MAX_ID))
def test_an_id_passes_unchanged_if_it_is_printable(text):
    raw = orjson.dumps({"inputs": [symbols("A")], "id": text})
    if text.isprintable():
        assert parse_request(raw).id == text
    else:
        assert "'id' must be printable" in refusal(raw)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"inputs":[NaN]}', "JSON"),
        (b'{"id":"\xff","inputs":[]}', "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"inputs":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "JSON"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b"{}", "'inputs'"),
        (b'{"inputs":[]}', "'inputs'"),
        (b'{"inputs":{}}', "'inputs'"),
        (b'{"inputs":[1]}', "must be an object"),
        (body(symbols("A", name="prices")), "Known: symbols, horizon"),
        (body(symbols("A", name=["symbols"])), "one the model takes"),
        (body(symbols("A", name=None)), "one the model takes"),
        (body(symbols("A", datatype="FP32")), "must be BYTES: 'FP32'"),
        (body(symbols("A", datatype=None)), "must be BYTES"),
        (body(symbols("A", shape=None)), "'shape'"),
        (body(symbols("A", shape=[])), "[1..1000]"),
        (body(symbols("A", shape=[-1])), "[1..1000]: [-1]"),
        (body(symbols("A", shape=[0], data=[])), "[1..1000]"),
        (body(symbols("A", shape=[1.0])), "[1..1000]"),
        (body(symbols("A", shape=[True])), "[1..1000]"),
        (body(symbols("A", shape=["1"])), "[1..1000]"),
        (body(symbols("A", shape=[1, 1])), "[1..1000]"),
        (body(symbols("A", shape=[10**9])), "[1..1000]"),
        (body(symbols("A", shape=[2**70])), "[1..1000]"),
        (body(symbols("A", shape=[2])), "1 elements for shape [2]"),
        (body(symbols("A", "B", shape=[1])), "2 elements for shape [1]"),
        (body(symbols("A", data="A")), "a list as 'data'"),
        (body(symbols("A", data=None)), "a list as 'data'"),
        (body(symbols("A", data={"0": "A"})), "a list as 'data'"),
        (body(symbols("A", data=[1])), "printable text"),
        (body(symbols("A", data=[None])), "printable text"),
        (body(symbols("A", data=[["A"]])), "printable text"),
        (body(symbols("A", data=[""])), "printable text"),
        (body(symbols("A", data=["A\u0000B"])), "printable text"),
        (body(symbols("A", data=["A" * (MAX_TEXT + 1)])), "printable text"),
        (body(horizon(True)), "must be INT64: True"),
        (body(horizon(5.0)), "must be INT64: 5.0"),
        (body(horizon("5")), "must be INT64"),
        (body(horizon(None)), "must be INT64"),
        (body(horizon(2**63)), "fit INT64"),
        (body(horizon(5, shape=[2], data=[5, 5])), "shape [1]"),
        (body(symbols("A"), symbols("B")), "'symbols' is sent twice"),
        (body(symbols("A"), id=None), "'id' must be printable text"),
        (body(symbols("A"), id=1), "'id' must be printable text"),
        (body(symbols("A"), id="a\u0000"), "'id' must be printable text"),
        (b'{"id":"\\ud800","inputs":[]}', "JSON"),
        (body(symbols("A"), id="x" * (MAX_ID + 1)), "at most 256 characters"),
        (body(symbols("A"), parameters=None), "'parameters' of the request"),
        (body(symbols("A"), parameters={"x": [1]}), "'x' is [1]"),
        (body(symbols("A"), parameters={"x": {}}), "text, a number, true or false"),
        (body(symbols("A"), parameters={"x": None}), "text, a number, true or false"),
        (body(symbols("A", parameters=None)), "'parameters' of input 'symbols'"),
        (body(symbols("A", parameters={"x": []})), "a parameter of input 'symbols'"),
        (body(symbols("A"), outputs=[{"name": "signal", "parameters": {"x": []}}]), "'x' is []"),
        (body(symbols("A"), outputs=None), "'outputs'"),
        (body(symbols("A"), outputs={}), "'outputs'"),
        (body(symbols("A"), outputs=["quantiles"]), "an output must be an object"),
        (body(symbols("A"), outputs=[{}]), "Known: symbol, quantiles"),
        (body(symbols("A"), outputs=[{"name": "price"}]), "'price'"),
        (body(symbols("A"), outputs=[{"name": "signal"}] * 2), "asked for twice"),
        (body(symbols("A"), outputs=[{"name": "signal", "parameters": 1}]), "must be an object"),
        (
            body(symbols("A"), outputs=[{"name": "signal", "parameters": {"binary_data": 1}}]),
            "'binary_data' must be true or false",
        ),
        (
            body(symbols("A"), outputs=[{"name": "signal", "parameters": {"classification": 3}}]),
            "'classification'",
        ),
        (body(symbols("A"), parameters=[]), "'parameters' of the request"),
        (body(symbols("A"), parameters={"binary_data_output": "yes"}), "true or false"),
        (body(symbols("A"), id=7), "'id'"),
        (body(symbols("A"), id="x" * 1000), "'id'"),
        (body(symbols("A", parameters={"shared_memory_region": "r"})), "shared_memory_region"),
        (body(symbols("A", parameters={"binary_data_size": 5})), "0 bytes left"),
        (body(symbols("A", parameters={"binary_data_size": -1})), "binary_data_size"),
        (body(symbols("A", parameters={"binary_data_size": True})), "binary_data_size"),
    ],
)
def test_a_malformed_body_is_refused_with_its_reason(raw, sentence):
    assert sentence in refusal(raw)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([[1, 2, 3, 4, 5], [1, 2, 3, 4]], "rows of 5 numbers"),
        ([[1, 2, 3, 4, 5], 1], "rows of 5 numbers"),
        ([1] * 9, "9 elements for shape [2, 5]"),
        ([1.0] * 9 + [True], "must be FP64: True"),
        ([1.0] * 9 + [None], "must be FP64: None"),
        ([1.0] * 9 + ["1"], "must be FP64: '1'"),
        ([1.0] * 9 + [10**400], "JSON"),
    ],
)
def test_malformed_bars_are_refused_with_their_reason(data, sentence):
    raw = body({"name": "bars", "datatype": "FP64", "shape": [2, 5], "data": data})
    assert sentence in refusal(raw)


def test_limits_hold_before_any_data_is_looked_at():
    for name, limit in (("symbols", MAX_SYMBOLS), ("timestamps", MAX_BARS)):
        spec = INPUTS[name]
        entry = {"name": name, "datatype": spec.datatype, "shape": [limit + 1], "data": []}
        assert f"1..{limit}" in refusal(body(entry))


def test_an_error_message_does_not_echo_a_whole_body():
    assert len(refusal(body(symbols("A", data=["x" * 100_000])))) < 300
    assert len(refusal(body(symbols("A", name="x" * 100_000)))) < 300


def binary_body(*tensors, **fields):
    names = frozenset(tensor.name for tensor in tensors)
    return render_message(fields, "inputs", tensors, names)


BARS = Tensor("bars", "FP64", (2, 5), np.arange(10.0).reshape(2, 5))
STAMPS = Tensor("timestamps", "INT64", (2,), np.array([1, 2]))
NAMES = Tensor("symbols", "BYTES", (1,), ["ÄÖ"])


def test_binary_tensors_come_back_as_they_went():
    raw, json_length = binary_body(BARS, STAMPS, NAMES)
    inputs = parse_request(raw, json_length).inputs
    np.testing.assert_array_equal(inputs["bars"].data, BARS.data)
    np.testing.assert_array_equal(inputs["timestamps"].data, STAMPS.data)
    assert inputs["symbols"].data == ["ÄÖ"]


def test_binary_answers_are_asked_for_output_by_output_or_all_at_once():
    some = [
        {"name": "quantiles", "parameters": {"binary_data": True}},
        {"name": "signal", "parameters": {"binary_data": False}},
    ]
    assert parse_request(body(symbols("A"), outputs=some)).binary == {"quantiles"}
    every = {"binary_data_output": True}
    assert parse_request(body(symbols("A"), parameters=every)).binary == set(DEFAULT_OUTPUTS)
    both = parse_request(body(symbols("A"), outputs=[*some, {"name": "stale"}], parameters=every))
    assert both.binary == {"quantiles", "stale"}


@pytest.mark.parametrize("length", [0, -1, 10**6])
def test_a_header_length_outside_the_body_is_refused(length):
    assert "body of" in refusal(body(symbols("A")), length)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda raw: raw[:-1], "bytes left"),
        (lambda raw: raw + b"x", "announced"),
    ],
)
def test_binary_data_must_be_exactly_what_is_announced(change, sentence):
    raw, json_length = binary_body(STAMPS)
    assert sentence in refusal(change(raw), json_length)


def test_data_and_binary_data_at_once_are_refused():
    entry = symbols("A", parameters={"binary_data_size": 5})
    text = body(entry)
    assert "has both" in refusal(text + pack_texts(["A"]), len(text))


def test_an_answer_carries_the_same_numbers_as_json_and_as_binary():
    tensors = [
        Tensor("quantiles", "FP64", (1, 2, 5), np.random.default_rng(0).random((1, 2, 5))),
        Tensor("target_time", "INT64", (1, 2), np.array([[1, 2]])),
        Tensor("stale", "BOOL", (1,), np.array([True])),
        Tensor("signal", "BYTES", (1,), ["hold"]),
    ]
    text, none = render_message({"id": "1"}, "outputs", tensors)
    assert none is None
    assert orjson.loads(text)["outputs"][0]["data"] == tensors[0].data.reshape(-1).tolist()
    raw, length = render_message({"id": "1"}, "outputs", tensors, frozenset(OUTPUTS))
    heads = orjson.loads(raw[:length])["outputs"]
    assert [head["parameters"]["binary_data_size"] for head in heads] == [80, 16, 1, 8]
    assert raw[length:] == b"".join(map(to_raw, tensors))


# whatever is thrown at the parser, it answers or refuses

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(string.printable, max_size=8)
    | st.sampled_from([*INPUTS, *OUTPUTS, "BYTES", "INT64", "FP64"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "datatype", "data", "parameters", "binary_data_size"])
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(list(INPUTS)) | JUNK,
        "datatype": st.sampled_from(["BYTES", "INT64", "FP64", "FP32"]) | JUNK,
        "shape": st.lists(st.integers(-2, 6), max_size=3) | JUNK,
        "data": st.lists(st.text(max_size=3) | st.integers() | st.floats(), max_size=6) | JUNK,
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(-1, 9)) | JUNK,
    },
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(ENTRY, max_size=3) | JUNK},
    optional={
        "id": st.text(max_size=4) | JUNK,
        "outputs": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(list(OUTPUTS)) | JUNK}), max_size=3
        )
        | JUNK,
        "parameters": st.dictionaries(st.just("binary_data_output"), st.booleans()) | JUNK,
    },
)


def assert_well_formed(request):
    for name, tensor in request.inputs.items():
        spec = INPUTS[name]
        assert (tensor.name, tensor.datatype) == (name, spec.datatype)
        assert len(tensor.shape) == len(spec.shape)
        for size, wanted in zip(tensor.shape, spec.shape, strict=True):
            assert size == wanted or (wanted < 0 and 0 < size <= spec.limit)
        if spec.datatype == "BYTES":
            assert len(tensor.data) == tensor.shape[0]
            assert all(0 < len(text) <= MAX_TEXT for text in tensor.data)
        else:
            assert tensor.data.shape == tensor.shape
            assert tensor.data.dtype == {"INT64": np.int64, "FP64": np.float64}[spec.datatype]
    assert request.outputs
    assert len(set(request.outputs)) == len(request.outputs)
    assert set(request.outputs) <= set(OUTPUTS)
    assert request.binary <= set(request.outputs)


@settings(max_examples=600, deadline=None)
@given(REQUEST, st.none() | st.integers(-5, 300), st.binary(max_size=16))
def test_a_made_up_request_is_well_formed_or_refused(document, length, blob):
    raw = json.dumps(document, allow_nan=True).encode() + (blob if length is not None else b"")
    if length is not None:
        length = len(raw) - len(blob) if length % 2 else length
    try:
        request = parse_request(raw, length)
    except InvalidRequest as refused:
        sentence = str(refused)
    else:
        assert_well_formed(request)
        return
    assert 0 < len(sentence) < 600


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.none() | st.integers(-5, 300))
def test_made_up_bytes_are_refused(raw, length):
    with pytest.raises(InvalidRequest):
        parse_request(raw, length)
